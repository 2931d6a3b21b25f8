"""Secrets that webhooks refer to as `secret:NAME`: `/v1/secrets`."""

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.model.errors import Conflict, Invalid, NotFound
from tocsin.model.hidden import Hidden
from tocsin.model.reference import NAME
from tocsin.model.secret import SecretRecord, UsableBy
from tocsin.store import config
from tocsin.store import secrets as store
from tocsin.store.database import Reader, Transaction
from tocsin.web.api.webhooks import check_opened
from tocsin.web.routes import (
    PAGE,
    Call,
    Route,
    as_cursor,
    name_cursor,
    no_nul,
    page,
    page_limit,
    reply,
    rfc3339,
    tagged,
)

MOST_BYTES = 65_536
NO_STORE = {"cache-control": "no-store"}
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}\Z")]
Description = Annotated[str, Meta(max_length=2000)]


class SecretIn(Hidden, frozen=True, forbid_unknown_fields=True):
    """A new secret, at most 64 KiB. `usable_by` is the least role that may put it into a webhook: whoever says where a
    webhook sends can read what it sends."""

    name: Name
    value: str
    description: Description = ""
    usable_by: UsableBy = "admin"


class SecretPut(Hidden, frozen=True, forbid_unknown_fields=True):
    """What to replace; what is left out stays. Every webhook that refers to it uses the new value from then on."""

    value: str | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    usable_by: UsableBy | UnsetType = UNSET


class User(Struct, frozen=True):
    """A webhook that refers to a secret."""

    id: str
    name: str


class SecretOut(Struct, frozen=True):
    """A secret without its value. `source` is `store`, or `environment` where it is SECRET_<name>, which only changes
    there."""

    name: str
    description: str
    usable_by: UsableBy
    source: str
    used_by: tuple[User, ...]
    created_by: str
    created_at: str | None
    updated_by: str
    updated_at: str | None

    noted: ClassVar = ("used_by",)


class Revealed(Hidden, frozen=True):
    """A secret with its value."""

    name: str
    value: str


async def shown(call: Call, one: SecretRecord, db: Reader | None = None) -> SecretOut:
    users = await store.users(db or call.app.db, call.tenant_id, [one.name])
    return with_users(one, users[one.name])


def with_users(one: SecretRecord, users: list[tuple[str, str]]) -> SecretOut:
    return SecretOut(
        name=one.name,
        description=one.description,
        usable_by=one.usable_by,
        source="environment" if one.from_environment else "store",
        used_by=tuple(User(*user) for user in users),
        created_by=one.created_by,
        created_at=rfc3339(one.created_ms),
        updated_by=one.updated_by,
        updated_at=rfc3339(one.updated_ms),
    )


def in_trail(one: SecretOut) -> dict[str, Any]:
    """As the audit trail has it."""
    found: dict[str, Any] = msgspec.to_builtins(one)
    return found | {"value": "***"}


def checked_value(value: str) -> str:
    if not value:
        raise Invalid("value", "nothing", "a secret")
    if len(value.encode()) > MOST_BYTES:
        raise Invalid("value", f"{len(value)} characters", f"at most {MOST_BYTES} bytes")
    return no_nul("value", value)


def given_record(name: str) -> SecretRecord:
    return SecretRecord(name=name, description=f"SECRET_{name} of the environment", from_environment=True)


def refuse_given(call: Call, name: str) -> None:
    """Raises Conflict for a secret that the environment gives."""
    if name in call.app.vault.given(call.tenant_id):
        raise Conflict(f"The secret {name} comes from the environment: change SECRET_{name} there.")


def name_of(call: Call) -> str:
    """Raises NotFound for what cannot be a name."""
    name = call.path("name")
    if not NAME.fullmatch(name):
        raise NotFound("No such secret.")
    return name


async def find(call: Call, db: Reader | None = None) -> SecretRecord:
    name = name_of(call)
    if name in call.app.vault.given(call.tenant_id):
        return given_record(name)
    found = await store.get(db or call.app.db, call.tenant_id, name)
    if found is None:
        raise NotFound("No such secret.")
    return found


async def create(call: Call) -> Response:
    app, given = call.app, await call.body(SecretIn)
    refuse_given(call, given.name)
    value, now_ms = checked_value(given.value), app.clock_ms()
    one = SecretRecord(
        name=given.name,
        id=app.new_id("sec"),
        description=no_nul("description", given.description),
        usable_by=given.usable_by,
        created_by=call.by.who,
        created_ms=now_ms,
        updated_by=call.by.who,
        updated_ms=now_ms,
    )
    async with call.changing() as tx:
        await call.check_room(tx, "secrets")
        await check_users(call, tx, given.name, value)
        if not await store.add(tx, app.keyring, call.tenant_id, one, value):
            raise Conflict(f"There is a secret {one.name} already: PUT /v1/secrets/{one.name} replaces it.")
        answer = await shown(call, one, tx)
        await call.audit(tx, "secret.create", "secret", one.name, None, in_trail(answer))
        return await call.made(tx, answer)


async def get(call: Call) -> Response:
    return tagged(await shown(call, await find(call)))


async def list_(call: Call) -> Response:
    limit, after = page_limit(call), name_cursor(call)
    given = [given_record(name) for name in call.app.vault.given(call.tenant_id) if name > after]
    names = {one.name for one in given}
    kept = await store.list_(call.app.db, call.tenant_id, after, limit + 1 + len(names))
    found = sorted([*given, *(one for one in kept if one.name not in names)], key=lambda one: one.name)
    users = await store.users(call.app.db, call.tenant_id, [one.name for one in found])
    items = [with_users(one, users[one.name]) for one in found[: limit + 1]]
    return reply(page(items, limit, lambda secret: as_cursor(secret.name)))


async def change(call: Call) -> Response:
    app, given = call.app, await call.body(SecretPut)
    refuse_given(call, name_of(call))
    value = None if given.value is UNSET else checked_value(given.value)
    async with call.changing() as tx:
        known = await find(call, tx)
        before = await shown(call, known, tx)
        call.check_unchanged(before)
        if value is not None:
            await check_users(call, tx, known.name, value)
        changed = replace(
            known,
            description=known.description if given.description is UNSET else no_nul("description", given.description),
            usable_by=known.usable_by if given.usable_by is UNSET else given.usable_by,
            updated_by=call.by.who,
            updated_ms=app.clock_ms(),
        )
        await store.change(tx, app.keyring, call.tenant_id, changed, value)
        after = in_trail(await shown(call, changed, tx))
        touched = () if value is None else ("value",)
        await call.audit(tx, "secret.update", "secret", known.name, in_trail(before), after, touched=touched)
    app.deliver.wake()
    return await get(call)


async def check_users(call: Call, tx: Transaction, name: str, value: str) -> None:
    """Raises Invalid where a webhook that refers to it could not be saved with this value."""
    app = call.app
    for id_, webhook in (await store.users(tx, call.tenant_id, [name]))[name]:
        opened = await config.open_endpoint(tx, app.keyring, call.tenant_id, id_)
        values = await app.vault.values(call.tenant_id, opened.names(), tx) | {name: value}
        if opened.names() - values.keys():
            continue  # it lacks another one, and says so whenever something is sent there
        try:
            check_opened(app, opened.filled(values))
        except Invalid as wrong:
            expected = f"{wrong.expected} ({wrong.field} of the webhook {webhook})"
            raise Invalid("value", "what will not do there", expected) from None


async def delete(call: Call) -> Response:
    refuse_given(call, name_of(call))
    async with call.changing() as tx:
        one = await find(call, tx)
        before = await shown(call, one, tx)
        call.check_unchanged(before)
        if before.used_by:
            names = ", ".join(user.name for user in before.used_by[:10])
            raise Conflict(f"{len(before.used_by)} webhooks refer to the secret {one.name}: {names}.")
        await store.delete(tx, call.tenant_id, one, call.by.who, call.app.clock_ms())
        await call.audit(tx, "secret.delete", "secret", one.name, in_trail(before), None)
    return Response(status_code=204)


async def reveal(call: Call) -> Response:
    one = await find(call)
    found = await call.app.vault.values(call.tenant_id, [one.name])
    if one.name not in found:
        raise NotFound("No such secret.")
    async with call.app.db.transaction() as tx:  # on the disk before the value leaves
        await call.audit(tx, "secret.reveal", "secret", one.name)
    answer = reply(Revealed(one.name, found[one.name]))
    answer.headers.update(NO_STORE)
    return answer


ONE = "/v1/secrets/{name}"
ROUTES = (
    Route(
        method="POST",
        path="/v1/secrets",
        handler=create,
        summary="Add a secret that webhooks refer to as `secret:NAME`",
        role="admin",
        body=SecretIn,
        answer=SecretOut,
        status=201,
        action="secret.create",
        problems=(409,),
    ),
    Route(
        method="GET",
        path="/v1/secrets",
        handler=list_,
        summary="Secrets by name: who, when and where used, never values",
        role="admin",
        answer=SecretOut,
        query=PAGE,
    ),
    Route(method="GET", path=ONE, handler=get, summary="One secret, without its value", role="admin", answer=SecretOut),
    Route(
        method="PUT",
        path=ONE,
        handler=change,
        summary="Replace a secret; every webhook that refers to it uses the new value",
        role="admin",
        body=SecretPut,
        answer=SecretOut,
        action="secret.update",
        if_match=True,
        problems=(409,),
    ),
    Route(
        method="DELETE",
        path=ONE,
        handler=delete,
        summary="Delete a secret that no webhook refers to: its value goes, who and when stay",
        role="admin",
        status=204,
        action="secret.delete",
        if_match=True,
        problems=(409,),
    ),
    Route(
        method="POST",
        path=f"{ONE}/reveal",
        handler=reveal,
        summary="The value of a secret; asking for it is recorded",
        role="admin",
        answer=Revealed,
        action="secret.reveal",
    ),
)
