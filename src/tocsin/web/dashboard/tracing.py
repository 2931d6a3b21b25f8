"""What the pages of events, runs and pipelines share: how an outcome looks, silences of a pipeline, a run's stages to
shapes, the lines of a log. Pure functions over what the API says."""

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from tocsin.compose.message import is_web
from tocsin.rules.index import OF_ENDPOINT
from tocsin.rules.pattern import matches
from tocsin.web.dashboard.wording import parsed, span
from tocsin.web.help import address_for

SILENCE = re.compile(r"\((sil_[0-9a-f]{32})\)")
TROUBLE = re.compile(r"error|exception|traceback|fatal|panic|failed|killed|no space left|out of memory", re.IGNORECASE)
MOST_ROWS = 60
"""Rows of a timeline: a stage that ran more often than fits is one row of all its parts."""

# Events.


def tone_of(outcome: dict[str, Any] | None) -> str:
    """Of what became of an event: the worst of it that somebody should see."""
    counts = (outcome or {}).get("counts", {})
    for name, tone in (("dead", "bad"), ("expired", "bad"), ("retrying", "warn"), ("waiting", "info")):
        if counts.get(name):
            return tone
    return "ok" if counts.get("delivered") else "mute"


OUTCOME_ICONS = {"ok": "check", "bad": "x", "warn": "rotate-cw", "info": "clock", "mute": "minus"}

FILTERS = {
    "type": "type",
    "kind": "kind",
    "pipeline": "pipeline",
    "run": "run_id",
    "source": "source",
    "severity": "severity",
}
"""What the filter box takes, and what the API calls it."""


class Asked(Struct, frozen=True):
    """A filter box's text. `words`: what is no filter, to be searched for. `unknown`: the first filter nobody knows."""

    filters: dict[str, str]
    words: str = ""
    unknown: str = ""


def asked_of(text: str) -> Asked:
    """`type:run.failed pipeline:"my etl" disk` → two filters and a word. A pipeline with spaces is quoted."""
    filters: dict[str, str] = {}
    words: list[str] = []
    unknown = ""
    for quoted, plain in re.findall(r'(\w+:"[^"]*")|(\S+)', text):
        token = quoted or plain
        name, colon, value = token.partition(":")
        if not colon:
            words.append(token)
        elif name in FILTERS:
            filters[FILTERS[name]] = value.strip('"')
        else:
            unknown = unknown or name
    return Asked(filters, " ".join(words), unknown)


def as_text(filters: dict[str, str]) -> str:
    """The filter box's text for these filters of the API."""
    names = {api: name for name, api in FILTERS.items()}
    return " ".join(
        f'{names[api]}:"{value}"' if re.search(r"\s", value) else f"{names[api]}:{value}"
        for api, value in filters.items()
        if value and api in names
    )


def verdict_tone(told: Sequence[dict[str, Any]]) -> str:
    """Of an event's deliveries."""
    statuses = {one["status"] for one in told}
    if statuses & {"dead", "expired"}:
        return "bad"
    if statuses & {"retrying", "pending", "sending"}:
        return "warn" if "retrying" in statuses else "info"
    return "ok" if "delivered" in statuses else "mute"


def headline(summary: str, about_events: Sequence[str] = ()) -> tuple[str, str]:
    """The answer, and the reason: `Nobody was told: a silence …` is two things to read. `about_events`: the summaries
    of a run's events, of which the run's own repeats one."""
    for start in ("Nobody was told", "None of your webhooks was told"):
        if not summary.startswith(start):
            continue
        for one in about_events:
            said = reason_alone(one)
            if said != one and summary.lower().endswith(said.lower()):
                return start, said
        head, _, rest = summary.partition(": ")
        return head, rest[:1].upper() + rest[1:]
    for told in (" was told of ", " were told of "):
        who, found, rest = summary.partition(told)
        if found and about_events:
            return who + told.removesuffix(" of "), rest.rpartition(": ")[2]
    return summary, ""


def reason_alone(summary: str) -> str:
    """`Nobody was told: no rule …` without its beginning, where one sees that nobody was."""
    for start in ("Nobody was told: ", "None of your webhooks was told: "):
        if summary.startswith(start):
            rest = summary.removeprefix(start)
            return rest[:1].upper() + rest[1:]
    return summary


def last_line(text: str) -> str:
    """Of an error: a traceback ends with what happened."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""


def rule_path(rule_id: str) -> str:
    """Where a rule is changed; that of a webhook's own events at the webhook. "" where there is no page."""
    kind, _, rest = rule_id.partition(":")
    if kind == OF_ENDPOINT:
        return f"/endpoints/{rest}"
    return f"/rules/{rule_id}" if rule_id.startswith("rul_") else ""


def links_of(links: dict[str, str]) -> list[tuple[str, str]]:
    """What the source links to, by name: http and https alone."""
    return [(name, url) for name, url in links.items() if is_web(url)][:8]


# Silences.


def silence_ids(texts: Iterable[str]) -> list[str]:
    """Those that reasons name, three at the most."""
    return list(dict.fromkeys(SILENCE.findall(" ".join(texts))))[:3]


def without_ids(text: str) -> str:
    """A reason without the silence's id, which nobody reads."""
    return SILENCE.sub("", text).replace(" .", ".").strip()


def covering(silences: Iterable[dict[str, Any]], pipeline: str) -> list[dict[str, Any]]:
    """The open ones that are about this pipeline. Other matchers of theirs may leave some of its messages alone."""
    return [one for one in silences if about(one["matchers"], pipeline)]


def about(matchers: Iterable[dict[str, Any]], pipeline: str) -> bool:
    of_pipeline = [one for one in matchers if one["field"] == "pipeline"]
    return bool(of_pipeline) and all(
        matches(one["value"], pipeline) is not bool(one.get("negate")) for one in of_pipeline
    )


def matchers_said(matchers: Iterable[dict[str, Any]]) -> str:
    """`pipeline=etl/*, labels.env!=prod`."""
    return ", ".join(f"{one['field']}{'!=' if one.get('negate') else '='}{one['value']}" for one in matchers)


# Runs.


class Row(Struct, frozen=True):
    """A stage on the timeline: bars in thousandths of the run's time. `count`: so many parts, where it is many."""

    name: str
    status: str
    said: str
    took_s: float | None
    bars: tuple[tuple[float, float, str], ...]
    error: str = ""
    count: int = 1
    attempt: int = 1


class Gantt(Struct, frozen=True):
    """`ends`: the labels below, at equal distances."""

    rows: tuple[Row, ...]
    ends: tuple[str, ...]
    omitted: int = 0


TONES = {"succeeded": "ok", "failed": "bad", "running": "info", "skipped": "mute"}
WORST = ("failed", "running", "succeeded", "skipped")


def gantt(run: dict[str, Any], now_ms: int) -> Gantt:
    """The stages in the order in which they began; the parts of a mapped stage, which are many, in one row."""
    stages = run["stages"]
    times = [
        parsed(one[name]).timestamp() for one in (run, *stages) for name in ("started_at", "finished_at") if one[name]
    ]
    if not stages or not times:
        return Gantt((), ())
    going = any(one["status"] == "running" for one in (run, *stages))
    first, last = min(times), max([*times, now_ms / 1000] if going else times)
    whole = max(last - first, 0.001)
    grouped: dict[str, list[dict[str, Any]]] = {}
    for one in stages:
        alone = one["map_index"] is None or len(stages) <= MOST_ROWS
        grouped.setdefault(label(one) if alone else one["name"], []).append(one)
    rows = [row_of(name, parts, first, last, whole) for name, parts in grouped.items()]
    rows.sort(key=lambda row: row.bars[0][0] if row.bars else 0.0)
    ends = tuple(span(whole * part / 4) if part else "0" for part in range(5))
    return Gantt(tuple(rows[:MOST_ROWS]), ends, len(rows[MOST_ROWS:]))


def label(stage: dict[str, Any]) -> str:
    return stage["name"] if stage["map_index"] is None else f"{stage['name']}[{stage['map_index']}]"


def row_of(name: str, parts: list[dict[str, Any]], first: float, last: float, whole: float) -> Row:
    bars = []
    for one in parts:
        begun, ended = (parsed(one[at]).timestamp() if one[at] else None for at in ("started_at", "finished_at"))
        start = begun if begun is not None else ended
        if start is None:
            continue
        end = ended if ended is not None else last if one["status"] == "running" else start
        left = (start - first) / whole * 1000
        bars.append((round(left, 1), round(max((end - start) / whole * 1000, 4), 1), TONES.get(one["status"], "mute")))
    status = min((one["status"] for one in parts), key=lambda one: WORST.index(one) if one in WORST else 9)
    failed = next((one for one in parts if one["error"]), parts[0])
    took = [one["duration_s"] for one in parts if one["duration_s"] is not None]
    took_s = max(took) if took else None
    said = f"{name}: {status}" + (f" after {span(took_s)}" if took_s is not None else "")
    attempt = max(one["attempt"] for one in parts)
    return Row(name, status, said, took_s, tuple(bars[:500]), failed["error"], len(parts), attempt)


class Took(Struct, frozen=True):
    """A run's time beside the usual one, in percent of the bar: the mark stands at what is usual."""

    seconds: float
    part: float
    mark: float | None
    tone: str
    said: str
    compared: str


def took_of(run: dict[str, Any], now_ms: int) -> Took | None:
    """None where it has not begun, as far as anybody said."""
    seconds = run["duration_s"]
    if seconds is None:
        if run["status"] != "running" or not run["started_at"]:
            return None
        seconds = max(0.0, now_ms / 1000 - parsed(run["started_at"]).timestamp())
    usual = run["usual_s"]
    if not usual:
        return Took(seconds, 100, None, "mute", span(seconds), "the first of its pipeline, or nearly")
    times = seconds / usual
    whole = max(2.0, times)
    good = "ok" if run["status"] == "succeeded" else "mute"
    tone = "warn" if times > 1.5 else "info" if run["duration_s"] is None else good
    compared = f"{times:.1f} × the usual {span(usual)}"
    return Took(
        seconds, round(times / whole * 100, 1), round(100 / whole, 1), tone, f"{span(seconds)}, {compared}", compared
    )


class LogLine(Struct, frozen=True):
    text: str
    bad: bool


def log_lines(log_tail: str) -> list[LogLine]:
    """Lines that tell of trouble stand out."""
    return [LogLine(text, TROUBLE.search(text) is not None) for text in log_tail.splitlines()]


def pretty(event: dict[str, Any]) -> str:
    """What somebody sent, as JSON that people read; what they did not say is left out."""
    left = {name: value for name, value in event.items() if value not in ("", None, [], {}) and name not in OURS}
    return msgspec.json.format(msgspec.json.encode(left), indent=2).decode()


OURS = frozenset({"uid", "kind", "received_at", "outcome"})
FILTERS_OF_TEMPLATES = {
    "outcome_tone": tone_of,
    "without_ids": without_ids,
    "pretty": pretty,
    "shell": shlex.quote,
    "last_line": last_line,
    "reason_alone": reason_alone,
    "help_for": address_for,
}
