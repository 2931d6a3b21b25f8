"""Executions of flows: those that wait, those that run, and, for a while, those that are over."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from tocsin.model.hidden import Hidden
from tocsin.store.database import Database, Row, Transaction
from tocsin.store.sealing import Keyring, Place, WrongKey


class Wanted(Hidden, frozen=True, kw_only=True):
    """An execution that is to be. `cause` is what expressions know as `trigger`; `labels` join the flow's own."""

    tenant_id: str
    id: str
    namespace: str
    flow_id: str
    inputs: Mapping[str, Any] = {}
    cause: Mapping[str, Any] = {}
    labels: Mapping[str, str] = {}
    created_by: str = ""


class Begun(Struct, frozen=True):
    """One that this process is to run. `claims`: 1 for the first time. `unreadable`: its inputs do not open."""

    wanted: Wanted
    started_ms: int
    claims: int
    unreadable: str = ""


def place(tenant_id: str, id_: str) -> Place:
    return Place(tenant_id, "flow_execution", id_, "inputs")


async def add(tx: Transaction, keyring: Keyring, wanted: Wanted, now_ms: int) -> bool:
    """False where there is one of this id already."""
    values = {
        "tenant_id": wanted.tenant_id,
        "id": wanted.id,
        "namespace": wanted.namespace,
        "flow_id": wanted.flow_id,
        "inputs_sealed": keyring.seal(wanted.inputs, place(wanted.tenant_id, wanted.id)),
        "cause": msgspec.json.encode(wanted.cause).decode(),
        "labels": msgspec.json.encode(wanted.labels).decode(),
        "by": wanted.created_by,
        "now": now_ms,
    }
    return bool(await tx.fetch("insert_flow_execution", values))


async def queued(tx: Transaction, tenant_id: str) -> int:
    return int((await tx.fetch("queued_flow_executions", {"tenant_id": tenant_id}))[0][0])


async def claim(
    db: Database, keyring: Keyring, lease: str, now_ms: int, lease_until_ms: int, limit: int
) -> list[Begun]:
    """The oldest that wait, as this process's own until `lease_until_ms`."""
    values = {"lease": lease, "now": now_ms}
    if not await db.read("flow_executions_waiting", values):
        return []
    async with db.transaction() as tx:
        values |= {"lease_until_ms": lease_until_ms, "limit": limit}
        return [begun(keyring, row) for row in await tx.fetch("claim_flow_executions", values)]


def begun(keyring: Keyring, row: Row) -> Begun:
    tenant_id, id_, namespace, flow_id, sealed, cause, labels, by, started_ms, claims = row
    unreadable, inputs = "", {}
    try:
        inputs = keyring.open(bytes(sealed), place(tenant_id, id_))
    except WrongKey as error:
        unreadable = str(error)
    wanted = Wanted(
        tenant_id=tenant_id,
        id=id_,
        namespace=namespace,
        flow_id=flow_id,
        inputs=inputs,
        cause=msgspec.json.decode(cause),
        labels=msgspec.json.decode(labels),
        created_by=by,
    )
    return Begun(wanted, int(started_ms), int(claims), unreadable)


async def keep(db: Database, lease: str, lease_until_ms: int) -> set[tuple[str, str]]:
    """Those that are still ours: tenant and id."""
    async with db.transaction() as tx:
        found = await tx.fetch("keep_flow_executions", {"lease": lease, "lease_until_ms": lease_until_ms})
    return {(row[0], row[1]) for row in found}


async def take_back(tx: Transaction) -> None:
    """What another process of this store ran, which is gone: SQLite has one at a time."""
    await tx.fetch("my_old_flow_executions")


async def state(db: Database, tenant_id: str, id_: str) -> str:
    """ "" for one that is not there, or not any more."""
    found = await db.read("flow_execution_state", {"tenant_id": tenant_id, "id": id_})
    return str(found[0][0]) if found else ""


async def cancel(db: Database, tenant_id: str, id_: str, now_ms: int) -> None:
    """Where nobody has begun it."""
    async with db.transaction() as tx:
        await tx.fetch("cancel_flow_execution", {"tenant_id": tenant_id, "id": id_, "now": now_ms})


async def end(db: Database, wanted: Wanted, lease: str, state: str, now_ms: int) -> None:
    """Its inputs go with it."""
    values = {"tenant_id": wanted.tenant_id, "id": wanted.id, "lease": lease, "state": state, "now": now_ms}
    async with db.transaction() as tx:
        await tx.fetch("end_flow_execution", values)
