"""What deciding knows of what was before, and what it leaves behind. Read before, written after, in one transaction."""

from typing import Any

from msgspec import Struct, field

from tocsin.model.noise import Hours


class RuleState(Struct, frozen=True, omit_defaults=True):
    """What one rule knows of one thing that it watches: a pipeline, mostly. Times are Unix milliseconds.

    newest_ms: the newest event known. recent: (time, 1 for good or 0 for bad) of the last runs, oldest first. row:
    failures since the trouble began, or in a row. since_ms: when the trouble began, 0 for none. told_ms: when people
    were last told of it, 0 for not yet; told_before_ms: the time before that. moved: when trouble began or ended,
    newest last. flapping: that was said, and it is not over. best: a metric's best value.
    """

    newest_ms: int = 0
    recent: tuple[tuple[int, int], ...] = ()
    row: int = 0
    since_ms: int = 0
    told_ms: int = 0
    told_before_ms: int = 0
    moved: tuple[int, ...] = ()
    flapping: bool = False
    best: float | None = None

    @property
    def firing(self) -> bool:
        """It has told of trouble that is not over."""
        return bool(self.since_ms and self.told_ms)


class Fold(Struct, frozen=True, omit_defaults=True):
    """Messages that become one. `head` is the delivery that will tell, at `due_ms`, "" where nothing can join it any
    more; `count` how many it tells of. bucket_us: where a flood limit is kept, its number (see pacing.py)."""

    head: str = ""
    due_ms: int = 0
    count: int = 0
    bucket_us: int = 0


class Timer(Struct, frozen=True):
    """What is to happen at `due_ms`, unless it is dropped before. `id` is unique within the tenant: setting it again
    moves it."""

    id: str
    kind: str
    rule_id: str
    due_ms: int
    data: dict[str, Any] = {}


class Matcher(Struct, frozen=True, forbid_unknown_fields=True):
    """`field`: pipeline, type, kind, severity, source, stage, rule, endpoint, or labels.NAME. `value` is a glob."""

    field: str
    value: str
    negate: bool = False


class Silence(Struct, frozen=True, kw_only=True):
    """All matchers must fit. `hours` () is the whole span; `ends_ms` None has no end."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_ms: int
    ends_ms: int | None = None
    hours: tuple[Hours, ...] = ()
    reason: str = ""
    created_by: str = ""


StateKey = tuple[str, str]
"""Rule, and the thing it watches."""

FoldKey = tuple[str, str]
"""Endpoint, and what the messages have in common."""


class World(Struct):
    """One tenant's, for one transaction or one preview. What is not in `states` and `folds` is as new.

    history: by pipeline, how long its last good runs took, newest first, milliseconds.
    changed_states, changed_folds, hidden, timers (None drops one): what there is to write.
    """

    silences: tuple[Silence, ...] = ()
    states: dict[StateKey, RuleState] = field(default_factory=dict)
    folds: dict[FoldKey, Fold] = field(default_factory=dict)
    history: dict[str, tuple[int, ...]] = field(default_factory=dict)
    changed_states: set[StateKey] = field(default_factory=set)
    changed_folds: set[FoldKey] = field(default_factory=set)
    hidden: dict[tuple[str, str], int] = field(default_factory=dict)
    timers: dict[str, Timer | None] = field(default_factory=dict)

    def state(self, key: StateKey) -> RuleState:
        return self.states.get(key, RuleState())

    def put_state(self, key: StateKey, state: RuleState) -> None:
        if self.states.get(key) != state:
            self.states[key] = state
            self.changed_states.add(key)

    def put_fold(self, key: FoldKey, fold: Fold) -> None:
        self.folds[key] = fold
        self.changed_folds.add(key)

    def hide(self, silence_id: str, endpoint_id: str) -> None:
        self.hidden[silence_id, endpoint_id] = self.hidden.get((silence_id, endpoint_id), 0) + 1

    def set_timer(self, timer: Timer) -> None:
        self.timers[timer.id] = timer

    def drop_timer(self, timer_id: str) -> None:
        self.timers[timer_id] = None
