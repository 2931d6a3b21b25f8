"""What follows from an event, in one place: production and simulation both ask here.

Planning, the clock that is set for the event's run, and alarms that open and close, in this order: each needs what the
one before found out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from tocsin.model.run import Run
from tocsin.model.world import World
from tocsin.rules import run_state
from tocsin.rules.alarms import Alarms, with_alarms
from tocsin.rules.index import CompiledRule, RuleIndex
from tocsin.rules.plan import Channel, Moment, Plan, plan
from tocsin.rules.watching import looking, noted, watch


class Rules(Protocol):
    """A tenant's rules and endpoints, compiled. `watches` are the rules that look at the clock."""

    @property
    def index(self) -> RuleIndex: ...

    @property
    def channels(self) -> Mapping[str, Channel]: ...

    @property
    def watches(self) -> RuleIndex: ...


def decide(
    rules: Rules,
    moment: Moment,
    candidates: Sequence[CompiledRule],
    world: World,
    alarms: Alarms | None,
    new_id: Callable[[], str],
) -> tuple[Plan, Run | None]:
    """The plan, and the event's run with what is noted there. `candidates` are the rules that want the event, and those
    that owe people the end of its run. `world` and `alarms` are changed in place; `alarms` is None where no endpoint
    opens any. `new_id` names deliveries."""
    event, run = moment.event, moment.run
    planned = plan(moment, candidates, rules.channels, world, new_id)
    if run is not None and rules.watches.size:
        if run_state.concerns_run(event):
            asked = looking(rules.watches, rules.index, event, run.about.labels)
            watch(world, asked, event, moment.before, run, moment.now_ms)
        else:  # what the clock itself had to say
            reached = (send.channel.endpoint_id for send in planned.sends if not send.suppressed or send.folded_into)
            run = noted(rules.index, event, run, reached)
    if alarms is not None:
        planned = with_alarms(planned, event, rules.channels, alarms, new_id)
    return planned, run
