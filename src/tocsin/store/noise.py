"""What deciding needs of before, and what it leaves behind: states of rules, folds, timers, hidden messages."""

from collections.abc import Iterable

import msgspec

from tocsin.model.world import Fold, FoldKey, RuleState, StateKey, Timer, World
from tocsin.store import rows
from tocsin.store.database import Database, Transaction

HISTORY = 200
"""Good runs of a pipeline that are looked at, at the most."""

_state = msgspec.json.Decoder(RuleState)
_fold = msgspec.json.Decoder(Fold)


async def load(
    tx: Transaction, tenant_id: str, states: Iterable[StateKey], folds: Iterable[FoldKey], pipelines: Iterable[str]
) -> World:
    """What there is of these, kept from changing until this transaction ends. `pipelines` are those whose history
    counts."""
    await tx.fetch("lock_noise", {"tenant_id": tenant_id})
    found = await tx.fetch_many("rule_states", [(tenant_id, *key) for key in sorted(states)])
    folded = await tx.fetch_many("folds", [(tenant_id, *key) for key in sorted(folds)])
    world = World(
        states={(rule_id, key): _state.decode(state) for rule_id, key, state in found},
        folds={(endpoint_id, key): _fold.decode(state) for endpoint_id, key, state in folded},
    )
    for pipeline in sorted(pipelines):
        took = await tx.fetch("good_runs", {"tenant_id": tenant_id, "pipeline": pipeline, "limit": HISTORY})
        world.history[pipeline] = tuple(row[0] for row in took)
    return world


async def save(tx: Transaction, tenant_id: str, world: World, now_ms: int) -> None:
    """Writes what changed, and begins afresh."""
    await tx.run_many(
        "put_rule_states",
        [(tenant_id, *key, rows.text(world.states[key]), now_ms) for key in sorted(world.changed_states)],
    )
    await tx.run_many(
        "put_folds", [(tenant_id, *key, rows.text(world.folds[key]), now_ms) for key in sorted(world.changed_folds)]
    )
    await tx.run_many("count_hidden", [(tenant_id, *key, count) for key, count in sorted(world.hidden.items())])
    set_ = [timer for _, timer in sorted(world.timers.items()) if timer is not None]
    await tx.run_many("drop_timers", [(tenant_id, id_) for id_, timer in sorted(world.timers.items()) if timer is None])
    await put_timers(tx, tenant_id, set_)
    world.changed_states.clear()
    world.changed_folds.clear()
    world.hidden.clear()
    world.timers.clear()


async def put_timers(tx: Transaction, tenant_id: str, timers: Iterable[Timer]) -> None:
    """Sets them; one that is set already moves."""
    await tx.run_many("put_timers", [(tenant_id, t.id, t.kind, t.rule_id, t.due_ms, rows.text(t.data)) for t in timers])


async def due_timers(db: Database, now_ms: int, limit: int) -> list[tuple[str, Timer]]:
    """(tenant, timer), the longest due first."""
    found = await db.read("due_timers", {"now": now_ms, "limit": limit})
    return [
        (tenant_id, Timer(id_, kind, rule_id, due_ms, msgspec.json.decode(data)))
        for tenant_id, id_, kind, rule_id, due_ms, data in found
    ]


async def end_timer(tx: Transaction, tenant_id: str, timer: Timer) -> bool:
    """Drops it if nobody moved it meanwhile."""
    values = {"tenant_id": tenant_id, "id": timer.id, "due_ms": timer.due_ms}
    return bool(await tx.fetch("end_timer", values))
