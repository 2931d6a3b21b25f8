"""What a rule says about noise and time, checked for sense: values that fit their types and yet mean nothing."""

import math
from zoneinfo import ZoneInfo

from tocsin.model.errors import Invalid
from tocsin.model.noise import Changes, Failures, Grouping, Hours, Metric, Noise, Schedule, SuccessRate, Watch, Window
from tocsin.rules.cron import check_cron
from tocsin.rules.pattern import is_exact
from tocsin.rules.windows import KEPT

GROUPED_BY = ("pipeline", "run_id", "stage", "type", "kind", "severity", "source")
LEAST_RENOTIFY_S = 60
LEAST_EVERY_S = 10


def check_noise(noise: Noise, pipelines: tuple[str, ...]) -> None:
    """Raises Invalid with the field, such as `window.recover`. `pipelines` are the rule's."""
    if noise.window is not None:
        check_window(noise.window)
    if noise.changes is not None:
        check_changes(noise.changes)
    if noise.group is not None:
        check_group(noise.group)
    if noise.watch is not None:
        check_watch(noise.watch)
    if noise.schedule is not None:
        check_schedule(noise.schedule, pipelines)
    for place, hours in enumerate(noise.mute):
        check_hours(f"mute[{place}]", hours)


def check_window(window: Window) -> None:
    if isinstance(window, Failures):
        at_most("window.count", window.count, KEPT)
    elif isinstance(window, SuccessRate):
        check_rate(window)
    else:
        check_metric(window)


def check_rate(window: SuccessRate) -> None:
    if window.runs is None and window.within_s is None:
        raise Invalid("window.runs", "neither runs nor within_s", "a number of runs, or a span in within_s")
    at_most("window.runs", window.runs, KEPT)
    at_most("window.least", window.least, window.runs or KEPT)
    if window.below == 0:
        raise Invalid("window.below", "0, which no share is below", "a share above 0, such as 0.9")
    if window.recover is not None and window.recover < window.below:
        raise Invalid("window.recover", f"{window.recover:g}", f"at least `below`, which is {window.below:g}")


def check_metric(window: Metric) -> None:
    for field, bound in (("above", window.above), ("below", window.below)):
        if bound is not None and not math.isfinite(bound):
            raise Invalid(f"window.{field}", f"{bound:g}", "a finite number")
    if window.above is None and window.below is None and window.drop is None:
        raise Invalid("window.above", "none of above, below and drop", "at least one of them")
    if window.above is not None and window.below is not None and window.below >= window.above:
        raise Invalid("window.below", f"{window.below:g}", f"less than `above`, which is {window.above:g}")


def check_changes(changes: Changes) -> None:
    if changes.renotify_s is not None and changes.renotify_s < LEAST_RENOTIFY_S:
        raise Invalid("changes.renotify_s", f"{changes.renotify_s:g}", f"at least {LEAST_RENOTIFY_S} seconds")


def check_group(group: Grouping) -> None:
    for place, name in enumerate(group.by):
        if name not in GROUPED_BY and not (name.startswith("labels.") and len(name) > len("labels.")):
            raise Invalid(f"group.by[{place}]", repr(name), f"{', '.join(GROUPED_BY)} or labels.NAME")


def check_watch(watch: Watch) -> None:
    limits = (watch.exceeded_s, watch.exceeded_p95_of, watch.shorter_s, watch.stalled_s)
    if all(limit is None for limit in limits):
        raise Invalid("watch", "nothing to watch", "at least one of exceeded_s, exceeded_p95_of, shorter_s, stalled_s")
    at_most("watch.least", watch.least, watch.exceeded_p95_of or watch.least)
    if watch.shorter_s is not None and watch.exceeded_s is not None and watch.shorter_s > watch.exceeded_s:
        raise Invalid("watch.shorter_s", f"{watch.shorter_s:g}", f"at most `exceeded_s`, which is {watch.exceeded_s:g}")


def check_schedule(schedule: Schedule, pipelines: tuple[str, ...]) -> None:
    if len(pipelines) != 1 or not is_exact(pipelines[0]):
        found = ", ".join(pipelines) or "none"
        raise Invalid("pipelines", found, "one pipeline by its name, since the rule has a schedule")
    if (schedule.cron is None) == (schedule.every_s is None):
        found = "neither cron nor every_s" if schedule.cron is None else "both cron and every_s"
        raise Invalid("schedule.cron", found, "one of cron and every_s")
    check_zone("schedule.time_zone", schedule.time_zone)
    if schedule.cron is not None:
        check_cron(schedule.cron, "schedule.cron")
    if schedule.every_s is not None and schedule.every_s < LEAST_EVERY_S:
        raise Invalid("schedule.every_s", f"{schedule.every_s:g}", f"at least {LEAST_EVERY_S} seconds")
    if schedule.finish_within_s is not None and schedule.finish_within_s < schedule.start_within_s:
        found, least = f"{schedule.finish_within_s:g}", f"{schedule.start_within_s:g}"
        raise Invalid("schedule.finish_within_s", found, f"at least `start_within_s`, which is {least}")


def check_hours(field: str, hours: Hours) -> None:
    """Raises Invalid, with `field` before the name of what is wrong: for quiet hours and silences, too."""
    if hours.start == hours.end:
        raise Invalid(f"{field}.end", f"{hours.end}, where it starts", "another time than `start`")
    check_zone(f"{field}.time_zone", hours.time_zone)


def check_zone(field: str, name: str) -> None:
    """Raises Invalid for a time zone that nobody knows: for digests, too."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; a path; a folder such as "America"
        raise Invalid(field, repr(name), "an IANA time zone such as Europe/Berlin") from None


def at_most(field: str, number: int | None, most: int) -> None:
    if number is not None and number > most:
        raise Invalid(field, f"{number}", f"at most {most}")
