"""An event: something that happened, as a source told it."""

from typing import Any, Literal, get_args

from msgspec import Struct

Severity = Literal["info", "warning", "error", "critical"]
SEVERITIES: tuple[str, ...] = get_args(Severity)

Kind = Literal[
    "run.started",
    "run.progress",
    "run.paused",
    "run.succeeded",
    "run.failed",
    "run.warning",
    "run.cancelled",
    "run.exceeded",
    "run.missed",
    "stage.started",
    "stage.progress",
    "stage.succeeded",
    "stage.failed",
    "stage.skipped",
    "rollout.advanced",
    "safety.rollback",
    "alert",
    "alert.resolved",
    "other",
]
"""The normal form of a type, whatever its source calls it. `sources/kinds.py` maps types to kinds."""
KINDS: tuple[str, ...] = get_args(Kind)


class Action(Struct, frozen=True):
    """A button under the message: a label, an http(s) address, and `primary`, `danger` or nothing as its style."""

    label: str
    url: str
    style: str = ""


class Event(Struct, frozen=True, kw_only=True, gc=False):
    """Unique by (tenant_id, source, id). Times are Unix milliseconds, UTC.

    `id` is what the source gave, or equals `uid` where it gave none; `uid` is ours and unique everywhere.
    `run_id` and `stage` are "" where the event belongs to no run or to the run as a whole.
    """

    uid: str
    tenant_id: str
    id: str
    source: str
    type: str
    kind: str
    time_ms: int
    received_ms: int
    severity: str = "info"
    pipeline: str = ""
    run_id: str = ""
    stage: str = ""
    title: str = ""
    message: str = ""
    labels: dict[str, str] = {}
    data: dict[str, Any] = {}
    links: dict[str, str] = {}
    actions: tuple[Action, ...] = ()
