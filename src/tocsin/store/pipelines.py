"""Pipelines as runs show them, and the rules that one call sets for one of them."""

import msgspec
from msgspec import Struct

from tocsin.model.rule import Rule
from tocsin.store import rows
from tocsin.store.database import Database, Reader, Transaction


class Seen(Struct, frozen=True):
    """A pipeline that has had a run. `last_status`: how its last run ended, or how far it is where none has ended.
    `ended`, `succeeded`, `failed`: of its last runs that have ended."""

    name: str
    last_status: str
    last_finished_ms: int | None
    ended: int
    succeeded: int
    failed: int


async def list_(db: Database, tenant_id: str, *, after: str, limit: int, last: int) -> list[Seen]:
    """By name. The counts are of the `last` runs of each."""
    known = await db.read("list_pipelines", {"tenant_id": tenant_id, "after": after, "limit": limit})
    values = {"tenant_id": tenant_id, "pipelines": rows.text([name for name, _ in known]), "limit": last}
    runs_of: dict[str, str] = dict(await db.read("last_runs", values)) if known else {}
    found = []
    for name, status in known:
        runs = msgspec.json.decode(runs_of[name])
        ends = [ended_as for ended_as, _ in runs]
        last_status, last_ms = runs[0] if runs else (status, None)
        found.append(Seen(name, last_status, last_ms, len(ends), ends.count("succeeded"), ends.count("failed")))
    return found


async def of_run(db: Reader, tenant_id: str, run_id: str) -> str:
    """The pipeline that has had a run of this id; "" where none is known."""
    found = await db.read("pipeline_of_run", {"tenant_id": tenant_id, "run_id": run_id})
    return str(found[0][0]) if found else ""


async def is_known(db: Reader, tenant_id: str, pipeline: str) -> bool:
    """Whether it has had a run."""
    return bool(await db.read("knows_pipeline", {"tenant_id": tenant_id, "pipeline": pipeline}))


async def rules(db: Database, tenant_id: str, created_by: str) -> list[Rule]:
    """By their ids: in the order in which they were made, and in which they count."""
    found = await db.read("rules_made_by", {"tenant_id": tenant_id, "created_by": created_by})
    return [rows.rule(row) for row in found]


async def rules_to_replace(tx: Transaction, tenant_id: str, created_by: str) -> list[Rule]:
    """The same, kept from changing until this transaction ends."""
    await tx.fetch("bump_config", {"tenant_id": tenant_id})  # of the changes to a tenant one follows the other
    found = await tx.fetch("rules_made_by", {"tenant_id": tenant_id, "created_by": created_by})
    return [rows.rule(row) for row in found]
