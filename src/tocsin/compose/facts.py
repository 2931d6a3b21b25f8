"""Facts: an event's data as a few short pairs that people read at a glance."""

import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from tocsin.provider_kit.text import cut, duration, line

FACTS = 6
"""As many as fit two columns without scrolling."""
VALUE_CHARS = 120

SAID_ELSEWHERE = frozenset({
    "error", "exception", "traceback", "stacktrace", "reason", "cause", "message", "title", "dashboard_url",
    "run_url", "log_url", "logs_url", "url", "experiment_id", "run_id", "id", "user", "user_id", "started_by",
    "duration", "duration_s", "duration_ms", "duration_seconds", "elapsed_s", "step", "stage", "failed_step", "log",
    "logs", "trial", "n_trials", "total_trials", "trial_number", "log_tail", "parent_run_id", "will_retry", "map_index",
    "watch", "due_at",
})  # fmt: skip
"""What the title, the cause, the links, the footer or the first facts say already."""

SHARES = frozenset({
    "accuracy", "precision", "recall", "f1", "f1_score", "auc", "progress", "success_rate", "error_rate",
    "val_accuracy",
})  # fmt: skip
"""Numbers between 0 and 1 that are read as percentages."""

_DURATION = re.compile(r"(?:(\d+) ?d)? ?(?:(\d+) ?h)? ?(?:(\d+) ?m(?:in)?)? ?(?:(\d+(?:\.\d+)?) ?s)?")
_LONG_ID = re.compile(r"[0-9a-fA-F]{8}[0-9a-fA-F-]{4,}")
_UPPER = {"id": "ID", "url": "URL", "auc": "AUC", "hpo": "HPO", "gpu": "GPU", "cpu": "CPU", "p95": "p95", "p99": "p99"}


def facts(data: Mapping[str, Any], first: list[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The first pairs given, then what the data adds, in its own order; FACTS in all, none of them empty."""
    found = first
    for name, value in data.items():
        if len(found) >= FACTS:
            break
        if name not in SAID_ELSEWHERE and (shown := humane(name, value)):
            found.append((named(name), shown))
    return tuple(found[:FACTS])


def humane(name: str, value: Any) -> str:
    """A value with its unit; "" for what cannot be said in one short line."""
    if isinstance(value, str):
        return cut(line(value[: VALUE_CHARS * 4]), VALUE_CHARS)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(name, value)
    if isinstance(value, Mapping) and 0 < len(value) <= 8:
        pairs = [f"{line(str(key)[:40])} {shown}" for key, one in value.items() if (shown := scalar(one))]
        return cut(", ".join(pairs), VALUE_CHARS)
    return ""


def scalar(value: Any) -> str:
    """The value inside a small mapping, such as a trial's parameters."""
    return humane("", value) if isinstance(value, str | int | float) else ""


def number(name: str, value: float) -> str:
    """`96.8 %`, `12m 31s`, `12,400`, `0.912`."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if name in SHARES and 0 <= value <= 1:
        return f"{value * 100:.4g}%"
    if name.endswith(("_s", "_seconds")) and 0 <= value < 10**10:
        return duration(value * 1000)
    if name.endswith("_ms") and 0 <= value < 10**13:
        return duration(value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) < 10**15 else f"{float(value):.3g}" if abs(value) < 10**300 else "very large"
    return f"{value:,.0f}" if abs(value) >= 100_000 else f"{value:.4g}"


@lru_cache(maxsize=4096)
def named(name: str) -> str:
    """`model_type` → `Model Type`, at most 40 characters; the unit is told by the value."""
    name = re.sub(r"_(s|ms|seconds)$", "", name[:200])
    return cut(line(" ".join(_UPPER.get(word, word[:1].upper() + word[1:]) for word in name.split("_"))), 40)


DURATIONS = frozenset({"duration_ms", "duration_s", "duration_seconds", "elapsed_s", "duration"})


def duration_ms(data: Mapping[str, Any]) -> int | None:
    """How long it took, if the data says so in a usual way: seconds, milliseconds, words like `14m 32s`."""
    if DURATIONS.isdisjoint(data):
        return None
    for name, unit in (("duration_ms", 1), ("duration_s", 1000), ("duration_seconds", 1000), ("elapsed_s", 1000)):
        value = data.get(name)
        if isinstance(value, int | float) and 0 <= value < 10**10:
            return round(value * unit)
    value = data.get("duration")
    if isinstance(value, int | float) and 0 <= value < 10**10:
        return round(value * 1000)
    return spelled_ms(value) if isinstance(value, str) else None


def spelled_ms(words: str) -> int | None:
    """`14m 32s` in milliseconds; None for what reads otherwise."""
    match = _DURATION.fullmatch(words[:40].strip())
    if not match or not match[0]:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    return round(total * 1000) if total < 10**10 else None


def short_id(run_id: str) -> str:
    """Eight characters of a hash or a UUID; a name as it is, up to 40."""
    return run_id[:8] if _LONG_ID.fullmatch(run_id) else cut(line(run_id[:200]), 40)
