"""What people set up: endpoints and rules. Each change moves the tenant's config version: caches notice."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from tocsin.model.endpoint import Endpoint, Options, Secret, Target
from tocsin.model.errors import NotFound
from tocsin.model.hidden import Hidden
from tocsin.model.reference import filled, names_in
from tocsin.model.rule import Rule
from tocsin.store import noise, rows
from tocsin.store.database import Database, Reader, Row, Transaction
from tocsin.store.sealing import Keyring, Place
from tocsin.store.secrets import refer

_secrets = msgspec.json.Decoder(tuple[Secret, ...])
KEY_CHECK = Place("", "meta", "key_check", "value")


class Opened(Hidden, frozen=True):
    """An endpoint's sealed parts, opened. `secrets` newest first, with their ends."""

    provider_type: str
    address: str
    secrets: tuple[Secret, ...]
    headers: dict[str, str]
    settings: dict[str, Any]
    version: int
    secret_settings: dict[str, str] = {}
    options: Options = Options()

    def names(self) -> set[str]:
        """Of the secrets that it refers to."""
        secrets = [secret.value for secret in self.secrets]
        return {*names_in(self.address), *names_in(secrets), *names_in(self.headers), *names_in(self.secret_settings)}

    def filled(self, values: Mapping[str, str]) -> "Opened":
        """With secrets in the place of their names. Raises KeyError for one that is not among `values`."""
        secret_settings = filled(self.secret_settings, values)
        return replace(
            self,
            address=filled(self.address, values),
            secrets=tuple(replace(secret, value=filled(secret.value, values)) for secret in self.secrets),
            headers=filled(self.headers, values),
            settings=self.settings | secret_settings,
            secret_settings=secret_settings,
        )

    def target(self, settings: Any, now_ms: int) -> Target:
        live = tuple(s.value for s in self.secrets if s.expires_ms is None or s.expires_ms > now_ms)
        return Target(self.address, settings, live, tuple(self.headers.items()))


def place(tenant_id: str, endpoint_id: str, column: str) -> Place:
    return Place(tenant_id, "endpoint", endpoint_id, column)


def seal_secrets(keyring: Keyring, endpoint: Endpoint, secrets: tuple[Secret, ...]) -> bytes:
    value = [msgspec.structs.asdict(secret) for secret in secrets]
    return keyring.seal(value, place(endpoint.tenant_id, endpoint.id, "secret"))


def seal_settings(keyring: Keyring, endpoint: Endpoint, secret_settings: dict[str, str]) -> bytes | None:
    where = place(endpoint.tenant_id, endpoint.id, "settings")
    return keyring.seal(secret_settings, where) if secret_settings else None


async def add_endpoint(
    tx: Transaction,
    keyring: Keyring,
    endpoint: Endpoint,
    address: str,
    secrets: tuple[Secret, ...],
    headers: dict[str, str],
    secret_settings: dict[str, str] | None = None,
) -> None:
    await tx.fetch(
        "insert_endpoint",
        {
            "tenant_id": endpoint.tenant_id,
            "id": endpoint.id,
            "user_id": endpoint.user_id,
            "provider_type": endpoint.provider_type,
            "name": endpoint.name,
            "description": endpoint.description,
            "address_sealed": keyring.seal(address, place(endpoint.tenant_id, endpoint.id, "address")),
            "address_hint": endpoint.address_hint,
            "secret_sealed": seal_secrets(keyring, endpoint, secrets),
            "headers_sealed": keyring.seal(headers, place(endpoint.tenant_id, endpoint.id, "headers")),
            "header_names": rows.text(sorted(headers)),
            "settings": rows.text(endpoint.settings),
            "options": rows.text(endpoint.options),
            "settings_sealed": seal_settings(keyring, endpoint, secret_settings or {}),
            "enabled_events": rows.text(endpoint.enabled_events),
            "is_active": int(endpoint.is_active),
            "created_by": endpoint.created_by,
            "now": endpoint.created_ms,
        },
    )
    await tx.fetch("insert_endpoint_state", {"tenant_id": endpoint.tenant_id, "id": endpoint.id})
    parts = {
        "address": address,
        "secret": [secret.value for secret in secrets],
        "headers": headers,
        "settings": secret_settings or {},
    }
    for part, value in parts.items():
        if names := set(names_in(value)):
            await refer(tx, endpoint.tenant_id, endpoint.id, part, names)
    await tx.fetch("bump_config", {"tenant_id": endpoint.tenant_id})


async def change_endpoint(tx: Transaction, endpoint: Endpoint, now_ms: int) -> None:
    """Everything but what is sealed. Raises NotFound where it was deleted meanwhile."""
    changed = await tx.fetch(
        "update_endpoint",
        {
            "tenant_id": endpoint.tenant_id,
            "id": endpoint.id,
            "name": endpoint.name,
            "description": endpoint.description,
            "settings": rows.text(endpoint.settings),
            "options": rows.text(endpoint.options),
            "enabled_events": rows.text(endpoint.enabled_events),
            "is_active": int(endpoint.is_active),
            "now": now_ms,
        },
    )
    if not changed:
        raise NotFound("No such webhook.")
    await tx.fetch("bump_config", {"tenant_id": endpoint.tenant_id})


async def change_address(
    tx: Transaction, keyring: Keyring, endpoint: Endpoint, address: str, hint: str, now_ms: int
) -> None:
    sealed = keyring.seal(address, place(endpoint.tenant_id, endpoint.id, "address"))
    values = {
        "tenant_id": endpoint.tenant_id,
        "id": endpoint.id,
        "address_sealed": sealed,
        "address_hint": hint,
        "now": now_ms,
    }
    await tx.fetch("update_address", values)
    await refer(tx, endpoint.tenant_id, endpoint.id, "address", names_in(address))


async def change_headers(
    tx: Transaction, keyring: Keyring, endpoint: Endpoint, headers: dict[str, str], now_ms: int
) -> None:
    sealed = keyring.seal(headers, place(endpoint.tenant_id, endpoint.id, "headers"))
    names = rows.text(sorted(headers))
    values = {
        "tenant_id": endpoint.tenant_id,
        "id": endpoint.id,
        "headers_sealed": sealed,
        "header_names": names,
        "now": now_ms,
    }
    await tx.fetch("update_headers", values)
    await refer(tx, endpoint.tenant_id, endpoint.id, "headers", names_in(headers))


async def change_secret_settings(
    tx: Transaction, keyring: Keyring, endpoint: Endpoint, secret_settings: dict[str, str], now_ms: int
) -> None:
    sealed = seal_settings(keyring, endpoint, secret_settings)
    values = {"tenant_id": endpoint.tenant_id, "id": endpoint.id, "settings_sealed": sealed, "now": now_ms}
    await tx.fetch("update_settings", values)
    await refer(tx, endpoint.tenant_id, endpoint.id, "settings", names_in(secret_settings))


async def change_secrets(
    tx: Transaction, keyring: Keyring, endpoint: Endpoint, secrets: tuple[Secret, ...], now_ms: int
) -> None:
    sealed = seal_secrets(keyring, endpoint, secrets)
    values = {"tenant_id": endpoint.tenant_id, "id": endpoint.id, "secret_sealed": sealed, "now": now_ms}
    await tx.fetch("update_signing_secret", values)
    await refer(tx, endpoint.tenant_id, endpoint.id, "secret", names_in([secret.value for secret in secrets]))
    await tx.fetch("bump_config", {"tenant_id": endpoint.tenant_id})


async def switch_endpoint(
    tx: Transaction, tenant_id: str, endpoint_id: str, *, is_active: bool, reason: str, now_ms: int
) -> bool:
    """On or off. Switching on forgets the failures and has the claimer look at what waits."""
    values = {"tenant_id": tenant_id, "id": endpoint_id, "is_active": int(is_active), "reason": reason, "now": now_ms}
    if not await tx.fetch("switch_endpoint", values):
        return False
    if is_active and not reason:
        await tx.fetch("clear_failures", {"tenant_id": tenant_id, "id": endpoint_id})
        await tx.run_many("wake_endpoints", [(now_ms, endpoint_id)])
    await tx.fetch("bump_config", {"tenant_id": tenant_id})
    return True


async def delete_endpoint(tx: Transaction, tenant_id: str, endpoint_id: str, now_ms: int) -> bool:
    """Softly; what waits for it is cancelled."""
    values = {"tenant_id": tenant_id, "id": endpoint_id, "now": now_ms}
    gone = await tx.fetch("delete_endpoint", values)
    if gone:
        await tx.fetch("cancel_waiting", values | {"reason": "the webhook was deleted"})
        await tx.fetch("bump_config", {"tenant_id": tenant_id})
    return bool(gone)


async def restore_endpoint(tx: Transaction, tenant_id: str, endpoint_id: str, now_ms: int) -> bool:
    """As it was when it was deleted. What was cancelled then stays so; it can be replayed."""
    back = await tx.fetch("restore_endpoint", {"tenant_id": tenant_id, "id": endpoint_id, "now": now_ms})
    await tx.fetch("bump_config", {"tenant_id": tenant_id})
    return bool(back)


async def get_endpoint(db: Reader, tenant_id: str, endpoint_id: str, *, deleted: bool = False) -> Endpoint:
    """One that is there, or one that was deleted. Raises NotFound."""
    found = await db.read("get_endpoint", {"tenant_id": tenant_id, "id": endpoint_id, "deleted": int(deleted)})
    if not found:
        raise NotFound("No such webhook.")
    return rows.endpoint(found[0])


async def list_endpoints(
    db: Reader, tenant_id: str, *, after: str, limit: int, filters: dict[str, str], deleted: bool = False
) -> list[Endpoint]:
    values: dict[str, Any] = {"tenant_id": tenant_id, "after": after, "limit": limit, "deleted": int(deleted)} | filters
    return [rows.endpoint(row) for row in await db.read("list_endpoints", values, tuple(sorted(filters)))]


async def endpoint_names(db: Reader, tenant_id: str, after: str, limit: int, filters: dict[str, Any]) -> list[Row]:
    """Id, name, provider type, whether it is on, whose it is, and who made it. Filters: `ids`, `q`, `seen_by`."""
    return await _names(db, "endpoint_names", tenant_id, after, limit, filters)


async def rule_names(db: Reader, tenant_id: str, after: str, limit: int, filters: dict[str, Any]) -> list[Row]:
    """Id, name, whether it is on, and the ids of its endpoints, a JSON list. Filters: `ids`, `q`."""
    return await _names(db, "list_rule_names", tenant_id, after, limit, filters)


async def _names(db: Reader, query: str, tenant_id: str, after: str, limit: int, filters: dict[str, Any]) -> list[Row]:
    values = {"tenant_id": tenant_id, "after": after, "limit": limit} | filters
    if "ids" in values:
        values["ids"] = rows.text(values["ids"])
    return await db.read(query, values, tuple(sorted(filters)))


async def open_endpoint(db: Reader, keyring: Keyring, tenant_id: str, endpoint_id: str) -> Opened:
    """The sealed parts. Raises NotFound, and WrongKey where the key is not the one that sealed them."""
    found = await db.read("sealed_endpoint", {"tenant_id": tenant_id, "id": endpoint_id})
    if not found:
        raise NotFound("No such webhook.")
    _, id_, provider_type, address, secret, headers, settings_sealed, settings, options, version = found[0]
    hidden = keyring.open(bytes(settings_sealed), place(tenant_id, id_, "settings")) if settings_sealed else {}
    return Opened(
        provider_type,
        keyring.open(bytes(address), place(tenant_id, id_, "address")),
        msgspec.convert(keyring.open(bytes(secret), place(tenant_id, id_, "secret")), tuple[Secret, ...]),
        keyring.open(bytes(headers), place(tenant_id, id_, "headers")),
        msgspec.json.decode(settings) | hidden,
        version,
        hidden,
        msgspec.json.decode(options, type=Options),
    )


def rule_values(rule: Rule, now_ms: int) -> dict[str, Any]:
    return {
        "tenant_id": rule.tenant_id,
        "id": rule.id,
        "name": rule.name,
        "event_types": rows.text(rule.event_types),
        "pipelines": rows.text(rule.pipelines),
        "labels": rows.text(rule.labels),
        "condition": rule.condition,
        "endpoint_ids": rows.text(rule.endpoint_ids),
        "retry": rows.text(rule.retry),
        "rate_limit": rows.text(rule.rate_limit) if rule.rate_limit else None,
        "settings": rows.text(rule.settings),
        "noise": rows.text(rule.noise),
        "is_active": int(rule.is_active),
        "created_by": rule.created_by,
        "now": now_ms,
    }


async def add_rule(tx: Transaction, rule: Rule) -> None:
    await tx.fetch("insert_rule", rule_values(rule, rule.created_ms))
    await noise.watch_schedule(tx, rule, rule.created_ms)
    await tx.fetch("bump_config", {"tenant_id": rule.tenant_id})


async def change_rule(tx: Transaction, rule: Rule, now_ms: int) -> None:
    known = await tx.fetch("get_rule", {"tenant_id": rule.tenant_id, "id": rule.id, "deleted": 0})
    if not known or not await tx.fetch("update_rule", rule_values(rule, now_ms)):
        raise NotFound("No such alert rule.")
    if scheduled(rows.rule(known[0])) != scheduled(rule):
        await noise.watch_schedule(tx, rule, now_ms)
    await tx.fetch("bump_config", {"tenant_id": rule.tenant_id})


def scheduled(rule: Rule) -> tuple[Any, ...]:
    """What its schedule's times depend on."""
    return rule.noise.schedule, rule.pipelines, rule.is_active


async def delete_rule(tx: Transaction, tenant_id: str, rule_id: str, now_ms: int) -> bool:
    gone = await tx.fetch("delete_rule", {"tenant_id": tenant_id, "id": rule_id, "now": now_ms})
    if gone:
        await noise.drop_schedule(tx, tenant_id, rule_id)
        await tx.fetch("bump_config", {"tenant_id": tenant_id})
    return bool(gone)


async def restore_rule(tx: Transaction, tenant_id: str, rule_id: str, now_ms: int) -> Rule:
    """As it was when it was deleted; its schedule begins anew. Raises NotFound."""
    rule = await get_rule(tx, tenant_id, rule_id, deleted=True)
    await tx.fetch("restore_rule", {"tenant_id": tenant_id, "id": rule_id, "now": now_ms})
    await noise.watch_schedule(tx, rule, now_ms)
    await tx.fetch("bump_config", {"tenant_id": tenant_id})
    return await get_rule(tx, tenant_id, rule_id)


async def get_rule(db: Reader, tenant_id: str, rule_id: str, *, deleted: bool = False) -> Rule:
    """One that is there, or one that was deleted. Raises NotFound."""
    found = await db.read("get_rule", {"tenant_id": tenant_id, "id": rule_id, "deleted": int(deleted)})
    if not found:
        raise NotFound("No such alert rule.")
    return rows.rule(found[0])


async def rules_fired(db: Reader, tenant_id: str, ids: Iterable[str]) -> dict[str, int]:
    """By id, when a message last came of these rules, sent or held back: Unix milliseconds, to the minute."""
    found = await db.read("rules_fired", {"tenant_id": tenant_id, "ids": rows.text(list(ids))})
    return {str(row[0]): int(row[1]) for row in found}


async def list_rules(
    db: Reader, tenant_id: str, *, after: str, limit: int, deleted: bool = False, webhook_id: str = ""
) -> list[Rule]:
    """`webhook_id`: only those that lead there."""
    values = {"tenant_id": tenant_id, "after": after, "limit": limit, "deleted": int(deleted)}
    filters = {"webhook_id": rows.text(webhook_id)} if webhook_id else {}
    found = await db.read("list_rules", values | filters, tuple(filters))
    return [rows.rule(row) for row in found]


async def make_key_check(db: Database, keyring: Keyring) -> None:
    """Notes, at the first start, what only the right key opens; raises WrongKey at any later start with another key."""
    known = await db.read("get_meta", {"name": "key_check"})
    if not known:
        async with db.transaction() as tx:
            await tx.fetch("put_meta", {"name": "key_check", "value": keyring.seal("tocsin", KEY_CHECK).hex()})
        known = await db.read("get_meta", {"name": "key_check"})
    keyring.open(bytes.fromhex(known[0][0]), KEY_CHECK)
