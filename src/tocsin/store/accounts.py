"""People who sign in: accounts, sessions, links that work once, and the pace of tries. Keys are kept as hashes only."""

import hashlib
from typing import Any

import msgspec
from msgspec import Struct

from tocsin.model.account import Account, Membership, Session
from tocsin.store.database import Database, Row, Transaction

LINK_MS = 24 * 3600 * 1000


def key_hash(key: str) -> bytes:
    """Of cookies and links: 256 random bits, so that a fast hash is enough."""
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


def account_of(row: Row) -> Account:
    user_id, email, name, password, home_tenant, is_operator, issuer, subject = row
    return Account(user_id, email, name, password, home_tenant, bool(is_operator), issuer, subject)


# Accounts.


async def any_account(db: Database) -> bool:
    return bool(await db.read("any_account"))


async def anybody(db: Database) -> bool:
    """Whether there is an account, or a token: somebody who can go on from here."""
    return await any_account(db) or bool(await db.read("any_token"))


async def by_email(db: Database, email: str) -> Account | None:
    found = await db.read("account_by_email", {"email": email})
    return account_of(found[0]) if found else None


async def by_id(db: Database, user_id: str) -> Account | None:
    found = await db.read("account_by_id", {"user_id": user_id})
    return account_of(found[0]) if found else None


async def by_subject(db: Database, issuer: str, subject: str) -> Account | None:
    found = await db.read("account_by_subject", {"issuer": issuer, "subject": subject})
    return account_of(found[0]) if found else None


async def memberships(db: Database, user_id: str) -> tuple[Membership, ...]:
    """The tenants that somebody belongs to, the oldest first: where there is a member of their id and their address."""
    return tuple(Membership(*row) for row in await db.read("memberships", {"user_id": user_id}))


class MemberRole(Struct, frozen=True):
    role: str
    removed: bool


async def member_role(db: Database, tenant_id: str, user_id: str) -> MemberRole | None:
    """None for somebody who never was a member."""
    found = await db.read("member_role", {"tenant_id": tenant_id, "user_id": user_id})
    return MemberRole(found[0][0], found[0][1] is not None) if found else None


async def members_by_email(db: Database, email: str) -> tuple[str, ...]:
    """The ids of users who are members somewhere with this address and have no account."""
    return tuple(row[0] for row in await db.read("members_by_email", {"email": email}))


async def add_account(tx: Transaction, account: Account, now_ms: int) -> bool:
    """False where the user, the address or the subject has an account already."""
    values = {
        "user_id": account.user_id,
        "email": account.email,
        "name": account.name,
        "password": account.password,
        "home_tenant": account.home_tenant,
        "is_operator": int(account.is_operator),
        "issuer": account.issuer,
        "subject": account.subject,
        "now": now_ms,
        "password_ms": now_ms if account.password else None,
    }
    return bool(await tx.fetch("insert_account", values))


async def set_password(tx: Transaction, user_id: str, password: str, now_ms: int) -> bool:
    return bool(await tx.fetch("set_password", {"user_id": user_id, "password": password, "now": now_ms}))


async def vouch(tx: Transaction, user_id: str) -> None:
    """The account counts in every tenant from now on."""
    await tx.fetch("vouch", {"user_id": user_id})


async def set_subject(tx: Transaction, user_id: str, issuer: str, subject: str) -> None:
    await tx.fetch("set_subject", {"user_id": user_id, "issuer": issuer, "subject": subject})


async def first_of_all(tx: Transaction) -> bool:
    """Of all who set Tocsin up, at whatever time and in whatever process, one gets True."""
    return bool(await tx.fetch("put_meta", {"name": "set_up", "value": "done"}))


async def fill_member_email(tx: Transaction, user_id: str, email: str) -> None:
    """The operator says whose address it is; tenants that have another one of theirs keep it."""
    await tx.fetch("fill_member_email", {"user_id": user_id, "email": email})


# Sessions.


class Browser(Struct, frozen=True):
    """Where a session is used from."""

    address: str
    agent: str


async def add_session(tx: Transaction, hash_: bytes, session: Session, browser: Browser) -> None:
    values = {
        "hash": hash_,
        "id": session.id,
        "user_id": session.user_id,
        "tenant_id": session.tenant_id,
        "role": session.role,
        "how": session.how,
        "address": browser.address,
        "agent": browser.agent,
        "now": session.seen_ms,
        "ends_ms": session.ends_ms,
    }
    await tx.fetch("insert_session", values)


class Found(Struct, frozen=True):
    """What a cookie leads to. `began_as` is the role when it began, `member_role` that of today, None where they are no
    member."""

    session: Session
    began_as: str
    member_role: str | None
    tenant_suspended: bool
    tenant_deleted: bool


async def find_session(db: Database, hash_: bytes) -> Found | None:
    found = await db.read("find_session", {"hash": hash_})
    if not found:
        return None
    id_, user_id, tenant_id, began_as, how, seen_ms, ends_ms, email, name, is_operator, role, *over = found[0]
    session = Session(id_, user_id, tenant_id, began_as, how, seen_ms, ends_ms, email, name, bool(is_operator))
    return Found(session, began_as, role, *(moment is not None for moment in over))


async def touch_session(db: Database, hash_: bytes, now_ms: int) -> None:
    async with db.transaction() as tx:
        await tx.fetch("touch_session", {"hash": hash_, "now": now_ms})


async def list_sessions(db: Database, user_id: str, idle_before_ms: int, now_ms: int) -> list[dict[str, Any]]:
    """Those that hold, the last used first."""
    values = {"user_id": user_id, "idle_before": idle_before_ms, "now": now_ms}
    names = ("id", "tenant_id", "how", "address", "agent", "created_ms", "seen_ms", "ends_ms")
    return [dict(zip(names, row, strict=True)) for row in await db.read("list_sessions", values)]


async def end_session(tx: Transaction, hash_: bytes) -> bool:
    return bool(await tx.fetch("end_session", {"hash": hash_}))


async def end_one(tx: Transaction, user_id: str, id_: str) -> bool:
    return bool(await tx.fetch("end_one_session", {"user_id": user_id, "id": id_}))


async def end_others(tx: Transaction, user_id: str, id_: str = "") -> int:
    """All of somebody's sessions but this one. Returns how many."""
    return len(await tx.fetch("end_other_sessions", {"user_id": user_id, "id": id_}))


# Links that work once.


class Link(Struct, frozen=True):
    """Whose link it is; all of it "" for the link that sets Tocsin up. `tenant_id`: whose admin made it, "" for the
    operator."""

    user_id: str = ""
    email: str = ""
    name: str = ""
    tenant_id: str = ""


async def add_link(tx: Transaction, kind: str, key: str, link: Link, now_ms: int) -> None:
    values = {"hash": key_hash(key), "kind": kind, "expires_ms": now_ms + LINK_MS}
    await tx.fetch("insert_link", values | msgspec.structs.asdict(link))


async def find_link(db: Database, kind: str, key: str, now_ms: int) -> Link | None:
    found = await db.read("find_link", {"hash": key_hash(key), "kind": kind, "now": now_ms})
    return Link(*found[0]) if found else None


async def take_link(tx: Transaction, kind: str, key: str, now_ms: int) -> Link | None:
    """The link, which is used up by this, and with it the others to the same thing."""
    found = await tx.fetch("take_link", {"hash": key_hash(key), "kind": kind, "now": now_ms})
    if not found:
        return None
    link = Link(*found[0])
    await tx.fetch("drop_links", {"kind": kind, "user_id": link.user_id})
    return link


# How often.


class Pace(Struct, frozen=True):
    """`count` at once, then one in `every_ms`."""

    count: int
    every_ms: int

    @property
    def room_ms(self) -> int:
        return (self.count - 1) * self.every_ms


async def wait_ms(db: Database, key: str, pace: Pace, now_ms: int) -> int:
    """How long until one more may be tried; 0 at once."""
    found = await db.read("pace_of", {"key": key})
    return max(0, found[0][0] - pace.room_ms - now_ms) if found else 0


async def take_try(tx: Transaction, key: str, pace: Pace, now_ms: int) -> bool:
    values = {"key": key, "now": now_ms, "every_ms": pace.every_ms, "room_ms": pace.room_ms}
    return bool(await tx.fetch("take_pace", values))


async def give_back(tx: Transaction, key: str, pace: Pace) -> None:
    await tx.fetch("give_pace_back", {"key": key, "every_ms": pace.every_ms})


async def clear_tries(tx: Transaction, key: str) -> None:
    await tx.fetch("clear_pace", {"key": key})


async def use_state(tx: Transaction, state: str, expires_ms: int) -> bool:
    """False where it was used before."""
    return bool(await tx.fetch("use_state", {"hash": key_hash(state), "expires_ms": expires_ms}))


async def delete_old(tx: Transaction, now_ms: int) -> None:
    """What is over: sessions, links, tries, states."""
    for query in ("delete_old_sessions", "delete_old_links", "delete_old_paces", "delete_old_states"):
        await tx.fetch(query, {"now": now_ms})
