"""The clock is watched while runs go on: which timers an event sets and drops, and what a timer that is due says."""

from collections.abc import Sequence

from tocsin.model.event import Event
from tocsin.model.run import Run
from tocsin.model.world import World
from tocsin.rules.index import CompiledRule


def wants_history(rule: CompiledRule) -> bool:
    """Whether it compares a run with the pipeline's last good ones."""
    return rule.rule.noise.watch is not None and rule.rule.noise.watch.exceeded_p95_of is not None


def watch(world: World, rules: Sequence[CompiledRule], event: Event, before: Run | None, run: Run, now_ms: int) -> None:
    """Sets and drops the timers of these rules (all have a watch or a schedule and want this run's pipeline and
    labels). `before` is the run before this event, None where it is the first."""
