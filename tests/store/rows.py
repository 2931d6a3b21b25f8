"""Rows for tests of the store, written with the store's own functions."""

from typing import Any

from tests.harness import Running
from tocsin.model.delivery import Attempt, Delivery
from tocsin.model.endpoint import Endpoint, Secret
from tocsin.model.event import Event
from tocsin.store import config, intake, queue
from tocsin.store.database import Database, Transaction
from tocsin.store.sealing import Keyring

ADDRESS = "https://example.com/hook"


def endpoint(id_: str = "whk_1", tenant_id: str = "default", **fields: Any) -> Endpoint:
    return Endpoint(
        **{"id": id_, "tenant_id": tenant_id, "user_id": "", "provider_type": "webhook", "name": id_} | fields
    )


def event(uid: str = "evt_1", tenant_id: str = "default", **fields: Any) -> Event:
    standard: dict[str, Any] = {
        "uid": uid, "tenant_id": tenant_id, "id": uid, "source": "test", "type": "run.failed", "kind": "run.failed",
        "time_ms": 0, "received_ms": 0,
    }  # fmt: skip
    return Event(**standard | fields)


def delivery(id_: str = "dlv_1", tenant_id: str = "default", **fields: Any) -> Delivery:
    standard: dict[str, Any] = {
        "id": id_, "tenant_id": tenant_id, "event_uid": "evt_1", "endpoint_id": "whk_1", "rule_id": "rul_1",
        "provider_type": "webhook", "event_type": "run.failed", "expires_ms": 10_000_000,
    }  # fmt: skip
    return Delivery(**standard | fields)


def attempt(of: Delivery, number: int = 1, **fields: Any) -> Attempt:
    standard: dict[str, Any] = {
        "tenant_id": of.tenant_id, "delivery_id": of.id, "number": number, "endpoint_id": of.endpoint_id,
        "started_ms": 0, "duration_ms": 1, "outcome": "sent",
    }  # fmt: skip
    return Attempt(**standard | fields)


def result(of: Delivery, lease: str, status: str = "delivered", **fields: Any) -> queue.Result:
    standard: dict[str, Any] = {
        "attempt": attempt(of, of.attempts + 1), "lease": lease, "status": status, "reason": "", "failures": 0,
        "plain": False, "due_ms": 0, "delivered_ms": None,
    }  # fmt: skip
    return queue.Result(**standard | fields)


async def add_tenant(db: Database, tenant_id: str = "default") -> None:
    async with db.transaction() as tx:
        await tx.fetch("insert_tenant", {"id": tenant_id, "name": tenant_id, "now": 0})


async def add_endpoint(db: Database, keyring: Keyring, of: Endpoint, address: str = ADDRESS) -> None:
    async with db.transaction() as tx:
        await config.add_endpoint(tx, keyring, of, address, (Secret("whsec_x"),), {})


async def add_deliveries(tx: Transaction, *deliveries: Delivery, alone: bool = True) -> None:
    """Each with an event of its own, due at once at its endpoint."""
    events = {d.event_uid: event(d.event_uid, d.tenant_id) for d in deliveries}
    planned = [(d, "", None, None) for d in deliveries]
    await intake.save(tx, [(e, "{}") for e in events.values()], [], [], planned, {}, alone=alone, writer=None)
    for one in deliveries:
        await intake.wake(tx, {one.endpoint_id: one.due_ms})


async def seed_attempt(tocsin: Running, **fields: Any) -> None:
    """A delivery that was sent once."""
    db = tocsin.app.db
    await add_endpoint(db, tocsin.app.keyring, endpoint(is_active=False))
    one = delivery(status="pending")
    async with db.transaction() as tx:
        await add_deliveries(tx, one)
        await queue.claim(tx, {"whk_1": 1}, 1, "lease", 2**40)
        await queue.finish(tx, [result(one, "lease", attempt=attempt(one, **fields))], 1)
