"""An event and its run → a message. What the source says in `title` and `message` is worth more than our own words.

❌ train-ranker failed in prod after 12m 31s — step "evaluate": CUDA out of memory. Run 8f3a21c.
emoji · what · state · where · how long · which step · why · which run
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from tocsin.compose.facts import duration_ms, facts, humane, number, short_id
from tocsin.compose.wording import CHEERS, FAMILIES, SAID_IN_FAMILY, heading, spoken
from tocsin.compose.wording import Words as KindWords
from tocsin.compose.wording import words as words_of
from tocsin.model.delivery import Words
from tocsin.model.event import Action, Event
from tocsin.model.message import Message
from tocsin.model.run import ENDED, RUN_STATUS, Run, RunStep
from tocsin.provider_kit.text import cut, duration, line, lines, tail

TITLE_CHARS = 80
CAUSE_CHARS = 200
TEXT_CHARS = 4000
DETAIL_CHARS = 3000
SAID_CHARS = 300
NAME_CHARS = 60
URL_CHARS = 2000
ACTIONS = 3
FOOTER_LABELS = ("project", "version", "owner", "trigger")
LINK_LABELS = (("run", "Open run"), ("logs", "Logs"), ("dashboard", "Dashboard"), ("runbook", "Runbook"))

NO_WORDS = Words()
_URL = re.compile(r"https?://[^\s\x00-\x20\x7f]+", re.IGNORECASE)


def compose(
    event: Event, run: Run | None, *, words: Words = NO_WORDS, home: str = "", only_headline: bool = False
) -> Message:
    """The message for one event. `only_headline` leaves out facts, detail, actions and footer.

    `words` are what the rule found: its title is the news, its note the small print; `home` is the address
    of this Tocsin (TOCSIN_PUBLIC_URL): with it the message links to the run's page."""
    if words.kind:
        event = replace(event, kind=words.kind, severity=severity_of(event.severity, words.kind))
    kind, data = event.kind, event.data
    say = words_of(kind, event.severity)
    emoji = CHEERS.get(event.type, say.emoji)
    name = named(event)
    where = place(event.labels)
    stage = failed_stage(event, run)
    took = how_long(event, run)
    error = error_of(event, run) if say.tone in ("bad", "warning", "rollback") else ""
    cause = last_line(error)
    title, clause = headline(event, say, name, where, stage)
    if words.title:
        title = clause = line(words.title[:1000])
    note = cut(line(words.note[:1000]), SAID_CHARS) if words.note else ""
    if late := lateness(event, run):
        note = f"{late} {note}".rstrip()
    return Message(
        event_id=event.id,
        event_uid=event.uid,
        event_type=event.type,
        kind=kind,
        source=event.source,
        severity=event.severity,
        tone=say.tone,
        emoji=emoji,
        title=cut(title, TITLE_CHARS),
        sentence=sentence(event, emoji, clause, took, stage, cause, note),
        cause=cause,
        text=cut(lines(event.message[: TEXT_CHARS * 2]), TEXT_CHARS) if event.message else "",
        detail="" if only_headline or len(error) <= len(cause) else tail(error, DETAIL_CHARS),
        facts=() if only_headline else facts(data, first_facts(event, run, stage, took)),
        actions=() if only_headline else actions(event, run, home),
        footer=() if only_headline else footer(event, where, note),
        pipeline=event.pipeline,
        run_id=event.run_id,
        stage=event.stage,
        run_status=run.status if run and run.status != "unknown" else RUN_STATUS.get(kind, ""),
        duration_ms=took,
        time_ms=event.time_ms,
        labels=event.labels,
        data=data,
        links={key: url for key, url in event.links.items() if is_web(url)} if event.links else event.links,
        steps=() if only_headline or run is None or not kind.startswith("run.") else steps(run),
    )


def severity_of(severity: str, kind: str) -> str:
    """Of what a rule found: trouble is an error, even where a good run brought it; its end is none."""
    if kind == "alert":
        return "error" if severity == "info" else severity
    return "info"


def steps(run: Run) -> tuple[RunStep, ...]:
    return tuple(
        RunStep(cut(line(stage.label[:300]), NAME_CHARS), stage.status, stage.duration_ms) for stage in run.stages
    )


def headline(event: Event, say: KindWords, name: str, where: str, stage: str) -> tuple[str, str]:
    """The title, and the beginning of the sentence."""
    if event.title:
        title = line(event.title[:1000])
        return title, title
    family, _, state = event.type.partition(".")
    if family in FAMILIES:
        title = trial(event) or heading(event.type)
        said = SAID_IN_FAMILY.get(state.rpartition("_")[2], say.said)
        spoke = f"{FAMILIES[family][1]} {name}" if name else FAMILIES[family][0]
        spoke = f"{title} of {name}" if title.startswith("HPO Trial") and name else spoke
        return f"{title} - {name}" if name else title, f"{spoke} {said}{where}"
    if event.kind.startswith("stage.") and stage:
        clause = f'{name}: step "{stage}" {say.said}{where}' if name else f'Step "{stage}" {say.said}{where}'
    elif event.kind == "safety.rollback":
        clause = f"Rolled back: {name or line(event.source)}{versions(event.data)}{where}"
    elif event.kind == "other":
        clause = f"{name}: {spoken(event.type)}{where}" if name else f"{spoken(event.type)}{where}"
    elif event.kind == "alert" and event.type != "alert":
        clause = f"{name or line(event.source)}: {spoken(event.type)}{where}"
    else:
        clause = f"{name or line(event.source)} {say.said}{where}"
    return clause, clause


def sentence(event: Event, emoji: str, clause: str, took: int | None, stage: str, cause: str, note: str) -> str:
    """The whole story in one sentence, and which run it is about."""
    told = f"{emoji} {cut(clause, SAID_CHARS)}"
    if took is not None and not event.title:
        told += timed(event, duration(took))
    if event.type.startswith("hpo.") and (best := humane("best_value", event.data.get("best_value"))):
        told += f" — best {best}"
    if stage and not event.kind.startswith("stage.") and cause:
        told += f' — step "{stage}"'
    if event.message:
        said = cut(line(event.message[: SAID_CHARS * 2]), SAID_CHARS)
        told += "" if said in told else f": {said}"
    elif cause:
        told += f": {cause}"
    if told[-1] not in ".!?…":
        told += "."
    if event.run_id:
        told += f" Run {short_id(event.run_id)}."
    return f"{told} {note}" if note else told


def timed(event: Event, took: str) -> str:
    """How long, in the words that fit the kind."""
    if event.kind == "run.exceeded":
        data = event.data
        limit = data.get("expected_s") or data.get("limit_s") or data.get("threshold_s")
        return f": {took}, expected {number('_s', limit)}" if isinstance(limit, int | float) else f": {took} already"
    if event.kind in ("run.progress", "stage.progress"):
        return f" for {took}"
    return "" if event.kind in ("run.started", "stage.started") else f" after {took}"


NAMED = ("experiment_name", "campaign_name", "study_name", "flag_name", "model_name", "name")
NAMES = frozenset(NAMED)


def named(event: Event) -> str:
    """What it is about: the experiment's own name, or else the pipeline's."""
    data = event.data
    found = event.pipeline
    if not NAMES.isdisjoint(data):
        for key in NAMED:
            value = data.get(key)
            if isinstance(value, str) and value and (not found or key == "experiment_name"):
                found = value
                break
    return cut(line(found[:300]), NAME_CHARS) if found else ""


def place(labels: Mapping[str, str]) -> str:
    """` in prod`, or nothing."""
    if not labels:
        return ""
    found = labels.get("env") or labels.get("environment") or labels.get("namespace") or ""
    return f" in {cut(line(str(found)), 30)}" if found else ""


def trial(event: Event) -> str:
    """`HPO Trial 37/100` for a trial; "" for anything else."""
    if not event.type.startswith("hpo.trial"):
        return ""
    number = event.data.get("trial", event.data.get("trial_number"))
    total = event.data.get("n_trials", event.data.get("total_trials"))
    if not isinstance(number, int) or isinstance(number, bool) or abs(number) >= 10**9:
        return ""
    return f"HPO Trial {number}/{total}" if isinstance(total, int) and 0 < total < 10**9 else f"HPO Trial {number}"


def versions(data: Mapping[str, Any]) -> str:
    """` v18 → v17` where a rollback says from what to what."""
    was, now = data.get("from_version", data.get("from")), data.get("to_version", data.get("to"))
    return f" {humane('', was)} → {humane('', now)}" if was and now else ""


def failed_stage(event: Event, run: Run | None) -> str:
    """The step that the event is about; for a failed run, the one that failed."""
    found: Any = event.stage
    if not found and event.data:
        data = event.data
        found = data.get("failed_step") or data.get("stage") or data.get("step")
    if not found and run is not None and event.kind == "run.failed":
        found = next((stage.label for stage in run.stages if stage.status == "failed"), "")
    return cut(line(found[:300]), NAME_CHARS) if isinstance(found, str) and found else ""


def how_long(event: Event, run: Run | None) -> int | None:
    """Milliseconds: as the event says, as the run was, or, while it still runs, from its start to the event."""
    told = duration_ms(event.data)
    if told is not None or run is None or event.kind.startswith(("stage.", "alert")):
        return told
    if run.status in ENDED and run.duration_ms is not None:
        return run.duration_ms
    if run.started_ms is None or event.kind in ("run.started", "other", "run.missed"):
        return None
    return max(0, event.time_ms - run.started_ms)


def error_of(event: Event, run: Run | None) -> str:
    """The error's text, clean, and its end if it is very long; of a run without one, that of the stage that failed."""
    data = event.data
    found: Any = ""
    if data:
        found = data.get("error") or data.get("exception") or data.get("reason") or data.get("traceback")
        if isinstance(found, Mapping):
            found = found.get("message") or found.get("error")
    if not found and run is not None and event.kind == "run.failed":
        found = run.error or next((stage.error for stage in run.stages if stage.status == "failed" and stage.error), "")
    return lines(found[-2 * DETAIL_CHARS :]).strip() if isinstance(found, str) else ""


def last_line(error: str) -> str:
    """The exception itself, not the head of its traceback."""
    return cut(line(error.rsplit("\n", 1)[-1]), CAUSE_CHARS) if error else ""


def first_facts(event: Event, run: Run | None, stage: str, took: int | None) -> list[tuple[str, str]]:
    """What is worth saying first: the step, how long, how far."""
    found: list[tuple[str, str]] = []
    if stage:
        found.append(("Step", stage))
    if took is not None:
        found.append(("Running" if event.kind == "run.exceeded" else "Duration", duration(took)))
    if run is not None and run.stages and event.kind in ("run.progress", "stage.progress", "stage.succeeded"):
        done = sum(one.status in ("succeeded", "skipped") for one in run.stages)
        found.append(("Steps", f"{done}/{len(run.stages)} done"))
    return found


def actions(event: Event, run: Run | None, home: str) -> tuple[Action, ...]:
    """At most three, the source's own first; anything but http and https is dropped."""
    if not (event.actions or event.links or home or event.data):
        return ()
    found: dict[str, Action] = {}
    for one in event.actions:
        if is_web(one.url):
            found.setdefault(one.url, Action(cut(line(one.label), 75) or "Open", one.url, style(one.style)))
    named_links = event.links
    for key, label in LINK_LABELS:
        if key in named_links and is_web(named_links[key]):
            found.setdefault(named_links[key], Action(label, named_links[key], "" if found else "primary"))
    url: Any = event.data.get("dashboard_url")
    if is_web(url):
        label = "View Results" if event.type.partition(".")[0] in FAMILIES else "Dashboard"
        found.setdefault(url, Action(label, url, "" if found else "primary"))
    for key, other in named_links.items():
        if is_web(other):
            found.setdefault(other, Action(cut(line(key), 40).capitalize() or "Open", other))
    if home and run is not None:
        url = f"{home.rstrip('/')}/runs/{run.id}"
        found.setdefault(url, Action("In Tocsin" if found else "Open run", url, "" if found else "primary"))
    return tuple(found.values())[:ACTIONS]


def style(asked: str) -> str:
    """`primary`, `danger` or nothing."""
    return asked if asked in ("primary", "danger") else ""


def is_web(url: Any) -> bool:
    """Whether it is a link that may be shown: http or https, of a sane length, nothing invisible in it."""
    return isinstance(url, str) and len(url) <= URL_CHARS and _URL.fullmatch(url) is not None and url.isprintable()


def lateness(event: Event, run: Run | None) -> str:
    """`Finished 18m 00s late.`, where the clock had said that it takes too long."""
    if run is None or run.late_ms is None or RUN_STATUS.get(event.kind) not in ENDED:
        return ""
    if run.late_ms > 0:
        return f"Finished {duration(run.late_ms)} late."
    return "It had finished in time; word of it came late."


def footer(event: Event, where: str, note: str) -> tuple[str, ...]:
    """The small print: note, experiment, who, where, version, run, source."""
    found: list[str] = [note] if note else []
    if data := event.data:
        if shown := humane("experiment_id", data.get("experiment_id")):
            found.append(f"Experiment #{shown.replace(',', '')}")
        if shown := humane("", data.get("started_by", data.get("user"))):
            found.append(f"Started by {shown}")
    if where:
        found.append(where.removeprefix(" in "))
    if labels := event.labels:
        found += [f"{key} {cut(line(str(labels[key])), 40)}" for key in FOOTER_LABELS if labels.get(key)]
    if event.run_id:
        found.append(f"run {short_id(event.run_id)}")
    found.append(cut(line(event.source), 40))
    return tuple(found)
