"""Threads: what an endpoint was told of a run, with one writer at a time; and the limits that endpoints share."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from tocsin.model.thread import Thread
from tocsin.store import rows
from tocsin.store.database import Transaction

_thread = msgspec.json.Decoder(Thread)


class Place(Struct, frozen=True):
    """Which thread: an endpoint's, about a run or an alarm."""

    tenant_id: str
    endpoint_id: str
    key: str

    def values(self) -> dict[str, str]:
        return {"tenant_id": self.tenant_id, "endpoint_id": self.endpoint_id, "key": self.key}


async def take(tx: Transaction, place: Place, lease: str, until_ms: int, now_ms: int) -> Thread | None:
    """The thread, held under this lease; None where somebody else is writing there."""
    values = place.values() | {"lease": lease, "until_ms": until_ms, "now": now_ms}
    found = await tx.fetch("take_thread", values)
    return None if not found else (_thread.decode(found[0][0]) if found[0][0] else Thread())


async def save(tx: Transaction, place: Place, lease: str, thread: Thread, now_ms: int) -> None:
    """Writes it down, still held. Where the lease was lost meanwhile, the other writer's word counts."""
    await tx.fetch("save_thread", place.values() | {"lease": lease, "state": rows.text(thread), "now": now_ms})


async def let_go(tx: Transaction, place: Place, lease: str) -> None:
    await tx.fetch("let_thread_go", place.values() | {"lease": lease})


async def buckets(tx: Transaction, tenant_id: str, keys: Sequence[str]) -> dict[str, int]:
    """Shared limits, kept from changing until this transaction ends; microseconds, as rules/pacing has them."""
    found = await tx.fetch_many("lock_shared_limits", [(tenant_id, key) for key in sorted(keys)])
    return dict(found)


async def put_buckets(tx: Transaction, tenant_id: str, buckets: dict[str, int]) -> None:
    await tx.run_many("put_shared_limits", [(tenant_id, key, bucket_us) for key, bucket_us in sorted(buckets.items())])
