"""Threads: what an endpoint was told of a run, with one writer at a time; and the limits that endpoints share."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from tocsin.model.delivery import Claimed
from tocsin.model.thread import Thread
from tocsin.store import rows
from tocsin.store.database import Transaction

_thread = msgspec.json.Decoder(Thread)


class Place(Struct, frozen=True):
    """Which thread: an endpoint's, about a run or an alarm."""

    tenant_id: str
    endpoint_id: str
    key: str

    def values(self) -> dict[str, Any]:
        return {"tenant_id": self.tenant_id, "endpoint_id": self.endpoint_id, "key": self.key}


def lease_of(item: Claimed) -> str:
    """What a thread is held under: a later claim of the same delivery may take it over, and has another name."""
    return f"{item.delivery.id}/{item.lease}"


async def take(tx: Transaction, place: Place, item: Claimed, now_ms: int) -> Thread | None:
    """The thread, held as long as this delivery; None where somebody else is writing there."""
    values = place.values() | {"lease": lease_of(item), "until_ms": item.lease_until_ms, "now": now_ms}
    values["same"] = f"{item.delivery.id}/%"
    found = await tx.fetch("take_thread", values)
    return None if not found else (_thread.decode(found[0][0]) if found[0][0] else Thread())


async def save(tx: Transaction, place: Place, item: Claimed, thread: Thread, now_ms: int) -> bool:
    """Writes it down, still held. False where it was lost meanwhile: the other writer's word counts."""
    values = place.values() | {"lease": lease_of(item), "state": rows.text(thread), "now": now_ms}
    return bool(await tx.fetch("save_thread", values))


async def let_go(tx: Transaction, place: Place, item: Claimed) -> None:
    await tx.fetch("let_thread_go", place.values() | {"lease": lease_of(item)})


async def buckets(tx: Transaction, tenant_id: str, keys: Sequence[str]) -> dict[str, int]:
    """Shared limits, kept from changing until this transaction ends; microseconds, as rules/pacing has them."""
    found = await tx.fetch_many("lock_shared_limits", [(tenant_id, key) for key in sorted(keys)])
    return dict(found)


async def put_buckets(tx: Transaction, tenant_id: str, buckets: dict[str, int]) -> None:
    await tx.run_many("put_shared_limits", [(tenant_id, key, bucket_us) for key, bucket_us in sorted(buckets.items())])
