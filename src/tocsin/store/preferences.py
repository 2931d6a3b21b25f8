"""Users' preferences, and the endpoints that they lead to. Each change moves the tenant's config version."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from tocsin.model.endpoint import Endpoint
from tocsin.model.ids import NewId
from tocsin.model.preference import Preferences
from tocsin.store import config, rows
from tocsin.store.database import Database, Reader, Row, Transaction
from tocsin.store.sealing import Keyring

_preferences = msgspec.json.Decoder(Preferences)

Stored = tuple[str, Preferences]
"""A user's id, and what they want."""

Told = Literal["tried", "success", "failed"]


class Wanted(msgspec.Struct, frozen=True):
    """An endpoint that somebody's preferences need; the operator's settings say the rest. `mine`: those of the user who
    is saving now, so that it is switched on again where Tocsin switched it off. `user_id`: whose own it is, "" for a
    place that others may read, too."""

    provider_type: str
    settings: dict[str, Any]
    hint: str
    mine: bool
    user_id: str = ""


async def everybody(db: Reader, tenant_id: str) -> list[Stored]:
    found = await db.read("config_preferences", {"tenant_id": tenant_id})
    return list(rows.readable(stored_of, found))


def stored_of(row: Row) -> Stored:
    return row[0], _preferences.decode(row[1])


async def get(db: Database, tenant_id: str, user_id: str) -> Preferences | None:
    found = await db.read("get_preference", {"tenant_id": tenant_id, "user_id": user_id})
    return _preferences.decode(found[0][0]) if found else None


async def get_to_change(tx: Transaction, tenant_id: str, user_id: str) -> Preferences | None:
    """The same, kept from changing until this transaction ends."""
    await tx.fetch("bump_config", {"tenant_id": tenant_id})  # of the changes to a tenant one follows the other
    found = await tx.fetch("get_preference", {"tenant_id": tenant_id, "user_id": user_id})
    return _preferences.decode(found[0][0]) if found else None


async def list_(db: Database, tenant_id: str, after: str, limit: int) -> list[Stored]:
    found = await db.read("list_preferences", {"tenant_id": tenant_id, "after": after, "limit": limit})
    return [(user_id, _preferences.decode(settings)) for user_id, settings in found]


async def put(tx: Transaction, tenant_id: str, user_id: str, wants: Preferences, now_ms: int) -> None:
    values = {"tenant_id": tenant_id, "user_id": user_id, "settings": rows.text(wants), "now": now_ms}
    await tx.fetch("put_preference", values)


async def endpoints(db: Database, tenant_id: str) -> list[tuple[str, str, dict[str, Any], str]]:
    """Those made for preferences and those of the environment: id, provider type, settings, created_by."""
    found = await db.read("preference_endpoints", {"tenant_id": tenant_id})
    return [(id_, kind, msgspec.json.decode(settings), made_by) for id_, kind, settings, made_by, _ in found]


async def keep_endpoints(
    tx: Transaction,
    keyring: Keyring,
    tenant_id: str,
    wanted: Sequence[Wanted],
    made_by: str,
    new_id: NewId,
    now_ms: int,
) -> None:
    """Makes those that are missing, and deletes those that nobody needs any more."""
    found = await tx.fetch("preference_endpoints", {"tenant_id": tenant_id})
    known = {(kind, settings): (id_, on) for id_, kind, settings, by, on in found if by == made_by}
    asked: Mapping[tuple[str, str], Wanted] = {
        (one.provider_type, rows.text(one.settings)): one for one in sorted(wanted, key=lambda one: one.mine)
    }
    for key, (id_, _) in known.items():
        if key not in asked:
            await config.delete_endpoint(tx, tenant_id, id_, now_ms)
    for key, one in asked.items():
        if key not in known:
            await config.add_endpoint(tx, keyring, made(tenant_id, one, made_by, new_id, now_ms), "", (), {})
        elif one.mine and not known[key][1]:
            await config.switch_endpoint(tx, tenant_id, known[key][0], is_active=True, reason="", now_ms=now_ms)


def made(tenant_id: str, wanted: Wanted, made_by: str, new_id: NewId, now_ms: int) -> Endpoint:
    return Endpoint(
        id=new_id("whk"),
        tenant_id=tenant_id,
        user_id=wanted.user_id,
        provider_type=wanted.provider_type,
        name=f"preferences: {wanted.hint}",
        description="Made for the preferences of those who want to be told here",
        address_hint=wanted.hint,
        settings=wanted.settings,
        created_by=made_by,
        created_ms=now_ms,
    )


async def delivery_log(
    db: Database, tenant_id: str, *, told: Told, event_type: str, limit: int, offset: int, most: int
) -> tuple[list[Row], int]:
    """(id, event type, provider type, status, error, reason, created) newest first, and how many there are, counted up
    to `most`. `event_type` is a pattern of LIKE, or ""."""
    filters = (told, "event_type") if event_type else (told,)
    values = {"tenant_id": tenant_id, "event_type": event_type, "limit": limit, "offset": offset, "most": most}
    found = await db.read("delivery_log", values, filters)
    total = await db.read("delivery_log_total", values, filters)
    return found, int(total[0][0])
