"""What POSTs with an Idempotency-Key were answered: kept with what they made, sealed, for KEPT_MS."""

import base64
import hashlib

from msgspec import Struct

from tocsin.model.hidden import Hidden
from tocsin.store.database import Database, Transaction
from tocsin.store.sealing import Keyring, Place

KEPT_MS = 24 * 3600 * 1000


class Asked(Struct, frozen=True):
    """A request that came with a key. `id` is one for a tenant, a caller and a key."""

    tenant_id: str
    id: str
    request_hash: bytes


class Answer(Hidden, frozen=True):
    """It may hold a secret that is shown once."""

    request_hash: bytes
    status: int
    body: bytes


def asked(tenant_id: str, caller: str, key: str, method: str, path: str, body: bytes) -> Asked:
    id_ = hashlib.sha256("\x1f".join((tenant_id, caller, key)).encode()).hexdigest()
    return Asked(tenant_id, id_, hashlib.sha256(f"{method} {path}\n".encode() + body).digest())


def place(asked: Asked) -> Place:
    return Place(asked.tenant_id, "answer", asked.id, "body")


async def find(db: Database, keyring: Keyring, asked: Asked, now_ms: int) -> Answer | None:
    """What this key was answered within KEPT_MS. Raises WrongKey."""
    values = {"tenant_id": asked.tenant_id, "id": asked.id, "since_ms": now_ms - KEPT_MS}
    found = await db.read("find_answer", values)
    if not found:
        return None
    request_hash, status, sealed = found[0]
    body = base64.b64decode(keyring.open(bytes(sealed), place(asked)))
    return Answer(bytes(request_hash), int(status), body)


async def keep(tx: Transaction, keyring: Keyring, asked: Asked, status: int, body: bytes, now_ms: int) -> bool:
    """False where the same key was faster."""
    sealed = keyring.seal(base64.b64encode(body).decode(), place(asked))
    values = {
        "id": asked.id,
        "tenant_id": asked.tenant_id,
        "request_hash": asked.request_hash,
        "status": status,
        "body_sealed": sealed,
        "now": now_ms,
        "since_ms": now_ms - KEPT_MS,
    }
    return bool(await tx.fetch("keep_answer", values))
