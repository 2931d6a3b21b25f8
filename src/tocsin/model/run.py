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
    """One step of a run, known by its name and, where it runs many times over a list, its place there. Times are Unix
    milliseconds; None where no event said. `will_retry`: it failed, and is tried again."""

    name: str
    status: str
    started_ms: int | None = None
    finished_ms: int | None = None
    error: str = ""
    map_index: int | None = None
    attempt: int = 1
    will_retry: bool = False

    @property
    def label(self) -> str:
        """`load`, or `load[3]`: what it is called where people read it."""
        return self.name if self.map_index is None else f"{self.name}[{self.map_index}]"

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
    """What the events of a run say of it as a whole, the newest word on each thing.

    at_ms: the time of the newest of them. from_ms: the time of the first event of the run, whatever it was. due_ms:
    when it should have ended, once that is past; 0 before. told: the rules that told people so, and owe them the end.
    """

    type: str = ""
    severity: str = "info"
    title: str = ""
    message: str = ""
    labels: dict[str, str] = {}
    data: dict[str, Any] = {}
    links: dict[str, str] = {}
    at_ms: int = 0
    from_ms: int = 0
    due_ms: int = 0
    told: tuple[str, ...] = ()


class Run(Struct, frozen=True, kw_only=True):
    """Unique by (tenant_id, pipeline, run_id, attempt). `error` is the last error reported, capped; `log_tail` the end
    of its log, capped; `parent_run_id` the run that started it, "" for none."""

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
    parent_run_id: str = ""
    log_tail: str = ""

    @property
    def duration_ms(self) -> int | None:
        """Start to end; None while either is not known."""
        if self.started_ms is None or self.finished_ms is None:
            return None
        return max(0, self.finished_ms - self.started_ms)

    @property
    def is_over(self) -> bool:
        return self.status in ENDED

    @property
    def late_ms(self) -> int | None:
        """How long after its due time it ended; negative where it had ended in time and word of it came late. None
        where nothing was late, or it goes on."""
        if not self.about.due_ms or self.finished_ms is None:
            return None
        return self.finished_ms - self.about.due_ms
