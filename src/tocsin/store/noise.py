"""What deciding needs of before, and what it leaves behind: states of rules, folds, timers, hidden messages."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tocsin.model.rule import Rule
from tocsin.model.run import Run
from tocsin.model.world import Fold, FoldKey, RuleState, StateKey, Timer, World
from tocsin.store import rows
from tocsin.store.database import Database, Transaction

HISTORY = 200
"""Good runs of a pipeline that are looked at, at the most."""

_state = msgspec.json.Decoder(RuleState)
_fold = msgspec.json.Decoder(Fold)

SWEEPS = "sweeps"


async def lock(tx: Transaction, tenant_id: str) -> None:
    """Nobody else decides for this tenant until this transaction ends."""
    await tx.fetch("lock_noise", {"tenant_id": tenant_id})


async def load(
    tx: Transaction, tenant_id: str, states: Iterable[StateKey], folds: Iterable[FoldKey], pipelines: Iterable[str]
) -> World:
    """What there is of these; the tenant is locked. `pipelines` are those whose history counts."""
    found = await tx.fetch_many("rule_states", [(tenant_id, *key) for key in sorted(states)])
    known = await tx.fetch_many("folds", [(tenant_id, *key) for key in sorted(folds)])
    folded = {(endpoint_id, key): _fold.decode(state) for endpoint_id, key, state in known}
    heads = sorted({(tenant_id, fold.head) for fold in folded.values() if fold.head})
    waiting = {row[0] for row in await tx.fetch_many("untried_heads", heads)}
    world = World(
        states={(rule_id, key): _state.decode(state) for rule_id, key, state in found},
        folds={key: fold if fold.head in waiting else replace(fold, head="") for key, fold in folded.items()},
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
        "put_folds",
        [
            (tenant_id, *key, rows.text(fold), max(now_ms, fold.due_ms))  # nothing is old that is still to come
            for key, fold in sorted((key, world.folds[key]) for key in world.changed_folds)
        ],
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


async def watch_schedule(tx: Transaction, rule: Rule, now_ms: int) -> None:
    """The rule was saved: its schedule, if it has one, holds from now on. The sweep finds the times."""
    await drop_schedule(tx, rule.tenant_id, rule.id)
    if rule.noise.schedule is not None and rule.is_active:
        first = Timer(f"start:{rule.id}", "start", rule.id, now_ms, {"since_ms": now_ms})
        await put_timers(tx, rule.tenant_id, [first])


async def drop_schedule(tx: Transaction, tenant_id: str, rule_id: str) -> None:
    await tx.run_many("drop_timers", [(tenant_id, f"{kind}:{rule_id}") for kind in ("start", "finish")])


async def started_runs(db: Database, tenant_id: str, pipeline: str, since_ms: int, until_ms: int) -> list[Run]:
    """The newest start first, 20 at the most."""
    values = {"tenant_id": tenant_id, "pipeline": pipeline, "since": since_ms, "until": until_ms, "limit": 20}
    return [rows.run(row) for row in await db.read("started_runs", values)]


async def ended_unstarted(db: Database, tenant_id: str, pipeline: str, since_ms: int, until_ms: int) -> int:
    """The newest end of a run whose start nobody reported; 0 for none."""
    values = {"tenant_id": tenant_id, "pipeline": pipeline, "since": since_ms, "until": until_ms}
    return int((await db.read("ended_unstarted", values))[0][0] or 0)


async def newest_attempt(db: Database, run: Run) -> int:
    values = {"tenant_id": run.tenant_id, "pipeline": run.pipeline, "run_id": run.run_id}
    return int((await db.read("newest_attempt", values))[0][0] or 0)


async def history(db: Database, tenant_id: str, pipeline: str) -> tuple[int, ...]:
    """How long the pipeline's last good runs took, newest first, milliseconds."""
    values = {"tenant_id": tenant_id, "pipeline": pipeline, "limit": HISTORY}
    return tuple(row[0] for row in await db.read("good_runs", values))


async def delay_ms(db: Database, tenant_id: str, since_ms: int) -> int:
    """How long the events that came since then took to get here, the quickest of the last; 0 where none came."""
    return int((await db.read("delay", {"tenant_id": tenant_id, "since": since_ms}))[0][0] or 0)


class Sweeps(Struct, frozen=True):
    """When Tocsin last looked at the clock, and from when to when it last did not."""

    at_ms: int = 0
    away: tuple[int, int] = (0, 0)


_sweeps = msgspec.json.Decoder(Sweeps)


async def sweeps(db: Database) -> Sweeps | None:
    """None where it never did."""
    found = await db.read("get_meta", {"name": SWEEPS})
    return _sweeps.decode(found[0][0]) if found else None


async def note_sweep(db: Database, was: Sweeps | None, now: Sweeps) -> bool:
    """False where another process was faster."""
    values = {"name": SWEEPS, "value": rows.text(now)}
    async with db.transaction() as tx:
        if was is None:
            return bool(await tx.fetch("put_meta", values))
        return bool(await tx.fetch("move_meta", values | {"old": rows.text(was)}))
