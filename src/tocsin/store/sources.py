"""Senders that people set up."""

import hashlib
from typing import Any

import msgspec

from tocsin.model.source import Sender, SourceRecord
from tocsin.store.database import Database, Reader, Row, Transaction
from tocsin.store.sealing import Keyring, Place


def place(tenant_id: str, id_: str) -> Place:
    return Place(tenant_id, "source", id_, "secret")


def key_hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def record(row: Row) -> SourceRecord:
    id_, kind, name, settings, hint, has_secret, is_active, created_by, created_ms, updated_ms, last_used_ms = row
    return SourceRecord(
        id_, kind, name, msgspec.json.decode(settings), hint, bool(has_secret), bool(is_active), created_by, created_ms,
        updated_ms, last_used_ms,
    )  # fmt: skip


async def add(
    tx: Transaction, keyring: Keyring, tenant_id: str, one: SourceRecord, key: str, secret: str, now_ms: int
) -> None:
    await tx.fetch(
        "insert_source",
        {
            "tenant_id": tenant_id,
            "id": one.id,
            "kind": one.kind,
            "name": one.name,
            "settings": msgspec.json.encode(one.settings).decode(),
            "key_hash": key_hash(key),
            "key_hint": one.key_hint,
            "secret_sealed": keyring.seal(secret, place(tenant_id, one.id)) if secret else None,
            "is_active": int(one.is_active),
            "created_by": one.created_by,
            "now": now_ms,
        },
    )


async def get(db: Reader, tenant_id: str, id_: str) -> SourceRecord | None:
    found = await db.read("get_source", {"tenant_id": tenant_id, "id": id_})
    return record(found[0]) if found else None


async def list_(db: Database, tenant_id: str, after: str, limit: int) -> list[SourceRecord]:
    found = await db.read("list_sources", {"tenant_id": tenant_id, "after": after, "limit": limit})
    return [record(row) for row in found]


async def change(tx: Transaction, tenant_id: str, one: SourceRecord, now_ms: int) -> None:
    values: dict[str, Any] = {
        "tenant_id": tenant_id,
        "id": one.id,
        "name": one.name,
        "settings": msgspec.json.encode(one.settings).decode(),
        "is_active": int(one.is_active),
        "now": now_ms,
    }
    await tx.fetch("update_source", values)


async def change_secret(tx: Transaction, keyring: Keyring, tenant_id: str, id_: str, secret: str, now_ms: int) -> None:
    """ "" takes it away."""
    sealed = keyring.seal(secret, place(tenant_id, id_)) if secret else None
    await tx.fetch("update_source_secret", {"tenant_id": tenant_id, "id": id_, "secret_sealed": sealed, "now": now_ms})


async def change_key(tx: Transaction, tenant_id: str, id_: str, key: str, hint: str, now_ms: int) -> None:
    values = {"tenant_id": tenant_id, "id": id_, "key_hash": key_hash(key), "key_hint": hint, "now": now_ms}
    await tx.fetch("update_source_key", values)


async def delete(tx: Transaction, tenant_id: str, id_: str, now_ms: int) -> None:
    await tx.fetch("delete_source", {"tenant_id": tenant_id, "id": id_, "now": now_ms})


async def by_key(db: Reader, keyring: Keyring, key: str) -> Sender | None:
    """Raises WrongKey where its secret cannot be opened."""
    found = await db.read("source_by_key", {"key_hash": key_hash(key)})
    if not found:
        return None
    tenant_id, id_, kind, settings, sealed, is_active, last_used_ms, suspended = found[0]
    secret = keyring.open(bytes(sealed), place(tenant_id, id_)) if sealed is not None else ""
    return Sender(
        tenant_id, id_, kind, msgspec.json.decode(settings), secret, bool(is_active), bool(suspended), last_used_ms
    )


async def note_use(db: Database, sender: Sender, now_ms: int) -> None:
    async with db.transaction() as tx:
        await tx.fetch("note_source_use", {"tenant_id": sender.tenant_id, "id": sender.source_id, "now": now_ms})
