"""What a rule says about noise and time: when a match is worth a message, and what becomes of the rest."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(gt=0, le=31 * 86_400)]
Count = Annotated[int, Meta(ge=1, le=1000)]
Share = Annotated[float, Meta(ge=0, le=1)]
Zone = Annotated[str, Meta(min_length=1, max_length=64)]
"""An IANA time zone, such as Europe/Berlin."""


class Flapping(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`changes` of state within `within_s` seconds are flapping: said once, then nothing until it is steady for as
    long."""

    changes: Annotated[int, Meta(ge=3, le=100)] = 6
    within_s: Seconds = 3600


class Changes(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Only changes are told: the first failure, still failing (every `renotify_s`, where given), recovered."""

    renotify_s: Seconds | None = None
    recovered: bool = True
    flapping: Flapping | None = Flapping()


class Failures(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind", tag="failures"):
    """`count` failures in a row; within `within_s` seconds, in a row or not, where that is given."""

    count: Count
    within_s: Seconds | None = None


class SuccessRate(
    Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind", tag="success_rate"
):
    """Fires once when the share of runs that succeeded falls below `below`, over the last `runs` runs or over
    `within_s` seconds, and recovers once it is at or above `recover` (`below` where that is not given). Not before
    `least` runs are known (`runs` where that is not given)."""

    below: Share
    runs: Count | None = None
    within_s: Seconds | None = None
    recover: Share | None = None
    least: Count | None = None


class Metric(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind", tag="metric"):
    """A number in the event's data: fires when it is `above` or `below` a bound, or worse than the best run so far by
    more than `drop` (a share: 0.02 is two percent). `better` says which way is better."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    above: float | None = None
    below: float | None = None
    drop: Annotated[float, Meta(gt=0, le=10)] | None = None
    better: Literal["higher", "lower"] = "higher"


Window = Failures | SuccessRate | Metric


class Grouping(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What belongs together becomes one message. `by`: pipeline, run_id, stage, type, kind, severity, source, or
    labels.NAME; () is everything of the rule. The first waits `wait_s` for company, later ones `interval_s`."""

    by: Annotated[tuple[Annotated[str, Meta(max_length=200)], ...], Meta(max_length=10)] = ("pipeline",)
    wait_s: Seconds = 30
    interval_s: Seconds = 300


class Flood(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """More than `count` messages in `per_s` seconds: the rest goes into one summary when there is room again."""

    count: Annotated[int, Meta(ge=1, le=100_000)]
    per_s: Seconds = 60


class Digest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything but `critical` waits for one message a day or a week. `at` is local time, HH:MM; `weekday` 0 is
    Monday."""

    every: Literal["day", "week"] = "day"
    at: Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z")] = "09:00"
    weekday: Annotated[int, Meta(ge=0, le=6)] = 0
    time_zone: Zone = "UTC"


class Hours(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Local hours that come back: from `start` to `end` (HH:MM; past midnight where the end is earlier), on these
    weekdays (0 is Monday; () is every day; the day is that of the start)."""

    start: Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z")]
    end: Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]\Z")]
    weekdays: Annotated[tuple[Annotated[int, Meta(ge=0, le=6)], ...], Meta(max_length=7)] = ()
    time_zone: Zone = "UTC"


class Watch(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The clock is watched while runs of the rule's pipelines go on; each tells once a run.

    exceeded_s: a run that takes longer. exceeded_p95_of: longer than the 95th percentile of so many of the pipeline's
    last good runs, times `factor` (not before `least` of them are known). shorter_s: a run that succeeds sooner.
    stalled_s: no event of a run for so long.
    """

    exceeded_s: Seconds | None = None
    exceeded_p95_of: Annotated[int, Meta(ge=5, le=200)] | None = None
    factor: Annotated[float, Meta(ge=1, le=100)] = 1.0
    least: Annotated[int, Meta(ge=3, le=200)] = 5
    shorter_s: Seconds | None = None
    stalled_s: Seconds | None = None


class Schedule(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """When runs of the rule's pipeline (one, by name) are due: by `cron` (five fields, in `time_zone`), or every
    `every_s` seconds after the last start. `start_within_s`: grace for the start. `finish_within_s`: where given, the
    run must have ended so long after it was due."""

    cron: Annotated[str, Meta(max_length=100)] | None = None
    time_zone: Zone = "UTC"
    every_s: Seconds | None = None
    start_within_s: Seconds = 600
    finish_within_s: Seconds | None = None


class Templates(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A person's own words for a message, in Liquid; "" leaves the usual ones. `fields` are the facts, by name; they
    take the place of all others, and one that renders to nothing is left out. See docs/templates.md."""

    title: Annotated[str, Meta(max_length=16_384)] = ""
    text: Annotated[str, Meta(max_length=16_384)] = ""
    fields: Annotated[dict[str, Annotated[str, Meta(max_length=16_384)]], Meta(max_length=10)] = {}


class Noise(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All of it; what is left out does not apply.

    retries: what a stage's failure is worth while its run may still get through: silent (the run's end tells), thread
    (only where one message per run is kept up to date), alert. mute: hours in which the rule tells nobody.
    """

    retries: Literal["silent", "thread", "alert"] = "silent"
    changes: Changes | None = None
    window: Window | None = None
    group: Grouping | None = None
    flood: Flood | None = None
    watch: Watch | None = None
    schedule: Schedule | None = None
    mute: Annotated[tuple[Hours, ...], Meta(max_length=20)] = ()
    templates: Templates | None = None

    @property
    def is_stateful(self) -> bool:
        """Whether what was before counts: then the rule's state is read and written with each event that it wants."""
        return self.changes is not None or self.window is not None
