"""Who there is: tenants, members, tokens."""

import hashlib
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from tocsin.model.access import OPERATOR, lower
from tocsin.model.errors import Conflict, Invalid, NotFound
from tocsin.model.ids import OPERATOR_TENANT
from tocsin.store import rows
from tocsin.store.database import Database, Reader, Row, Transaction


class Tenant(Struct, frozen=True):
    id: str
    name: str
    created_ms: int
    suspended_ms: int | None
    time_zone: str = "UTC"


class Member(Struct, frozen=True):
    """`email` and `name` are "" where nobody said."""

    user_id: str
    role: str
    email: str
    name: str
    created_ms: int
    updated_ms: int


class Token(Struct, frozen=True):
    """A token without the token. No `scopes` are all that its role can have. `last_used_ms` is to the minute."""

    id: str
    name: str
    user_id: str
    role: str
    scopes: tuple[str, ...]
    hint: str
    created_ms: int
    created_by: str
    expires_ms: int | None
    revoked_ms: int | None = None
    last_used_ms: int | None = None


class Found(Struct, frozen=True):
    """What a token leads to. `old_until_ms`: it was rotated, and holds until then. `member_role` is None for a
    service's, and for somebody who is no member (any more)."""

    tenant_id: str
    id: str
    user_id: str
    role: str
    scopes: tuple[str, ...]
    expires_ms: int | None
    revoked_ms: int | None
    last_used_ms: int | None
    old_until_ms: int | None
    tenant_suspended: bool
    tenant_deleted: bool
    member_role: str | None


# Tenants.


async def make_tenant(tx: Transaction, tenant: Tenant) -> bool:
    """False where there is one of this id, or was one."""
    values = {"id": tenant.id, "name": tenant.name, "now": tenant.created_ms}
    return bool(await tx.fetch("insert_tenant", values))


async def get_tenant(db: Reader, id_: str) -> Tenant:
    found = await db.read("get_tenant", {"id": id_}) if id_ != OPERATOR_TENANT else []
    if not found:
        raise NotFound("No such tenant.")
    return Tenant(*found[0])


async def list_tenants(db: Database, *, after: str, limit: int) -> list[Tenant]:
    values = {"after": after, "limit": limit, "but": OPERATOR_TENANT}
    return [Tenant(*row) for row in await db.read("list_tenants", values)]


async def hold_tenant(tx: Transaction, id_: str) -> None:
    """Nobody else changes it before this transaction ends."""
    await tx.fetch("bump_config", {"tenant_id": id_.replace("\x00", "")})


async def rename_tenant(tx: Transaction, id_: str, name: str) -> None:
    await tx.fetch("rename_tenant", {"id": id_, "name": name})


async def set_time_zone(tx: Transaction, id_: str, name: str) -> None:
    await tx.fetch("set_time_zone", {"id": id_, "time_zone": name})


async def suspend_tenant(tx: Transaction, id_: str, now_ms: int) -> None:
    """Its tokens are refused from now on, and its messages wait."""
    await tx.fetch("suspend_tenant", {"id": id_, "now": now_ms})
    await tx.fetch("bump_config", {"tenant_id": id_})


async def resume_tenant(tx: Transaction, id_: str, now_ms: int) -> None:
    await tx.fetch("resume_tenant", {"id": id_})
    await tx.fetch("bump_config", {"tenant_id": id_})
    await tx.fetch("wake_tenant", {"tenant_id": id_, "now": now_ms})


async def delete_tenant(tx: Transaction, id_: str, now_ms: int) -> None:
    """Softly: nothing of it can be reached any more, and its id is not given again."""
    await tx.fetch("delete_tenant", {"id": id_, "now": now_ms})
    await tx.fetch("bump_config", {"tenant_id": id_})


# Members.


async def get_member(db: Reader, tenant_id: str, user_id: str) -> Member | None:
    found = await db.read("get_member", {"tenant_id": tenant_id, "user_id": user_id})
    return Member(*found[0]) if found else None


async def list_members(db: Database, tenant_id: str, *, after: str, limit: int) -> list[Member]:
    found = await db.read("list_members", {"tenant_id": tenant_id, "after": after, "limit": limit})
    return [Member(*row) for row in found]


async def actor_names(db: Database, tenant_id: str, ids: Iterable[str]) -> list[Row]:
    """Id, name, and `member` or `token`, of those that there are."""
    return await db.read("actor_names", {"tenant_id": tenant_id, "ids": rows.text(list(ids))})


def member_values(tenant_id: str, member: Member, now_ms: int) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "user_id": member.user_id,
        "role": member.role,
        "email": member.email,
        "name": member.name,
        "now": now_ms,
    }


async def add_member(tx: Transaction, tenant_id: str, member: Member, now_ms: int) -> bool:
    """False where they are a member already. One who was removed may come back; their old tokens do not."""
    return bool(await tx.fetch("insert_member", member_values(tenant_id, member, now_ms)))


async def change_member(tx: Transaction, tenant_id: str, member: Member, now_ms: int) -> None:
    """Raises NotFound, and Conflict where the tenant would be left without an admin."""
    if member.role != "admin":
        await keep_an_admin(tx, tenant_id, member.user_id)
    if not await tx.fetch("update_member", member_values(tenant_id, member, now_ms)):
        raise NotFound("No such member.")


async def remove_member(tx: Transaction, tenant_id: str, user_id: str, now_ms: int) -> None:
    """Ends their tokens for good. Raises NotFound, and Conflict for the last admin."""
    await keep_an_admin(tx, tenant_id, user_id)
    values = {"tenant_id": tenant_id, "user_id": user_id, "now": now_ms}
    if not await tx.fetch("remove_member", values):
        raise NotFound("No such member.")
    await tx.fetch("revoke_tokens_of", values)


async def keep_an_admin(tx: Transaction, tenant_id: str, but: str) -> None:
    """Raises Conflict where they are the only admin. Two who are lowered at once wait for each other."""
    admins = [row[0] for row in await tx.fetch("lock_admins", {"tenant_id": tenant_id})]
    if admins == [but]:
        raise Conflict("This is the last admin of the tenant: make somebody else an admin first.")


# Tokens.


def token_hash(token: str) -> bytes:
    """Tokens are 256 random bits: a fast hash is enough, there is nothing to guess."""
    return hashlib.sha256(token.encode()).digest()


async def find_token(db: Database, token: str) -> Found | None:
    found = await db.read("find_token", {"hash": token_hash(token)})
    if not found:
        return None
    row = found[0]
    return Found(
        tenant_id=row[0],
        id=row[1],
        user_id=row[2],
        role=role_in(row[0], row[3]),
        scopes=rows.strings(row[4]),
        expires_ms=row[5],
        revoked_ms=row[6],
        last_used_ms=row[7],
        old_until_ms=row[8],
        tenant_suspended=row[9] is not None,
        tenant_deleted=row[10] is not None,
        member_role=None if row[12] is not None else row[11],
    )


async def add_token(tx: Transaction, tenant_id: str, token: Token, secret: str) -> None:
    """With the member whose it is, where they are none yet: in the token's role. Raises Invalid where they are one in
    a lower role, for the token would have no more than that."""
    if token.user_id:
        new = Member(token.user_id, token.role, "", "", token.created_ms, token.created_ms)
        if not await add_member(tx, tenant_id, new, token.created_ms):
            known = Member(*(await tx.fetch("get_member", {"tenant_id": tenant_id, "user_id": token.user_id}))[0])
            if lower(known.role, token.role) != token.role:
                raise Invalid("role", repr(token.role), f"at most {known.role}, which is the role of {token.user_id}")
    await tx.fetch(
        "insert_token",
        {
            "tenant_id": tenant_id,
            "id": token.id,
            "name": token.name,
            "user_id": token.user_id,
            "role": "admin" if tenant_id == OPERATOR_TENANT else token.role,
            "scopes": rows.text(token.scopes),
            "hash": token_hash(secret),
            "hint": token.hint,
            "now": token.created_ms,
            "created_by": token.created_by,
            "expires_ms": token.expires_ms,
        },
    )


async def list_tokens(
    db: Reader, tenant_id: str, *, after: str, limit: int, filters: tuple[str, ...] = (), **values: Any
) -> list[Token]:
    asked = {"tenant_id": tenant_id, "after": after, "limit": limit} | values
    return [token_of_row(tenant_id, row) for row in await db.read("list_tokens", asked, filters)]


def token_of_row(tenant_id: str, row: Row) -> Token:
    id_, name, user_id, role, scopes, *rest = row
    return Token(id_, name, user_id, role_in(tenant_id, role), rows.strings(scopes), *rest)


def role_in(tenant_id: str, role: str) -> str:
    """Tokens of the operator's are admin's in the table, of a tenant that is empty for ever."""
    return OPERATOR if tenant_id == OPERATOR_TENANT else role


async def rotate_token(tx: Transaction, tenant_id: str, token: Token, secret: str, old_until_ms: int) -> None:
    """The token keeps its id; the old one holds until then. Raises NotFound for one that was revoked meanwhile."""
    values = {
        "tenant_id": tenant_id,
        "id": token.id,
        "hash": token_hash(secret),
        "hint": token.hint,
        "expires_ms": token.expires_ms,
        "old_until_ms": old_until_ms,
    }
    if not await tx.fetch("rotate_token", values):
        raise NotFound("No such token.")


async def revoke_token(tx: Transaction, tenant_id: str, id_: str, now_ms: int) -> bool:
    return bool(await tx.fetch("revoke_token", {"tenant_id": tenant_id, "id": id_, "now": now_ms}))
