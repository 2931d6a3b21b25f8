"""What has come to whom, as the operator set it: see model/rollout.py."""

from msgspec import Struct

from tocsin.model.ids import OPERATOR_TENANT
from tocsin.model.rollout import Rollout, Rollouts
from tocsin.store import rows
from tocsin.store.database import Reader, Row, Transaction


class Stored(Struct, frozen=True):
    """A rollout, and who set it when."""

    rollout: Rollout
    updated_ms: int
    updated_by: str


def stored(row: Row) -> Stored:
    feature, state, tenants, updated_ms, updated_by = row
    return Stored(Rollout(feature, state, rows.strings(tenants)), updated_ms, updated_by)


async def list_(db: Reader) -> dict[str, Stored]:
    return {one.rollout.feature: one for one in rows.readable(stored, await db.read("rollouts"))}


async def in_force(db: Reader, given: Rollouts) -> dict[str, Rollout]:
    """By feature. `given` is the environment's, which counts first."""
    return {feature: one.rollout for feature, one in (await list_(db)).items()} | dict(given)


async def hold(tx: Transaction) -> None:
    """Nobody else changes a rollout before this transaction ends."""
    await tx.fetch("bump_config", {"tenant_id": OPERATOR_TENANT})


async def put(tx: Transaction, rollout: Rollout, now_ms: int, by: str) -> None:
    """What is planned from now on, in every process, follows it; what waits follows within a second or two."""
    values = {"feature": rollout.feature, "state": rollout.state, "tenants": rows.text(rollout.tenants)}
    await tx.fetch("put_rollout", values | {"now": now_ms, "updated_by": by})
    await tx.fetch("bump_all_configs")
