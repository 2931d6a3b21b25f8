"""A run: one execution of a pipeline, built up from its events in whatever order they come."""

from typing import Any, Literal, get_args

from msgspec import Struct

RunStatus = Literal["unknown", "running", "paused", "succeeded", "failed", "warning", "cancelled"]
RUN_STATUSES: tuple[str, ...] = get_args(RunStatus)
ENDED: frozenset[str] = frozenset({"succeeded", "failed", "warning", "cancelled"})

RUN_STATUS = {
    "run.started": "running",
    "run.progress": "running",
    "run.paused": "paused",
    "run.succeeded": "succeeded",
    "run.failed": "failed",
    "run.warning": "warning",
    "run.cancelled": "cancelled",
}
"""What an event of this kind says of its run."""

StageStatus = Literal["running", "succeeded", "failed", "skipped"]


class Stage(Struct, frozen=True):
    """One step of a run. Times are Unix milliseconds; None where no event said."""

    name: str
    status: str
    started_ms: int | None = None
    finished_ms: int | None = None
    error: str = ""

    @property
    def duration_ms(self) -> int | None:
        """Start to end; None while either is not known."""
        if self.started_ms is None or self.finished_ms is None:
            return None
        return max(0, self.finished_ms - self.started_ms)


class RunStep(Struct, frozen=True):
    """A stage as a message shows it: `status` is running, succeeded, failed or skipped."""

    name: str
    status: str
    duration_ms: int | None = None


class RunAbout(Struct, frozen=True, omit_defaults=True):
    """What the events of a run say of it as a whole, the newest word on each thing."""

    type: str = ""
    severity: str = "info"
    title: str = ""
    message: str = ""
    labels: dict[str, str] = {}
    data: dict[str, Any] = {}
    links: dict[str, str] = {}


class Run(Struct, frozen=True, kw_only=True):
    """Unique by (tenant_id, pipeline, run_id, attempt). `error` is the last error reported, capped."""

    id: str
    tenant_id: str
    pipeline: str
    run_id: str
    attempt: int = 1
    status: str = "unknown"
    started_ms: int | None = None
    finished_ms: int | None = None
    updated_ms: int = 0
    error: str = ""
    stages: tuple[Stage, ...] = ()
    about: RunAbout = RunAbout()

    @property
    def duration_ms(self) -> int | None:
        """Start to end; None while either is not known."""
        if self.started_ms is None or self.finished_ms is None:
            return None
        return max(0, self.finished_ms - self.started_ms)
