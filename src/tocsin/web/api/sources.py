"""Senders that people set up, each with an address of its own: `/v1/sources`."""

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.app import new_key
from tocsin.model.errors import Invalid, NotFound
from tocsin.model.hidden import Hidden
from tocsin.model.source import SourceRecord
from tocsin.provider_kit import signing
from tocsin.sources import SOURCES
from tocsin.sources.draft import MAX_EVENTS, Draft
from tocsin.sources.incoming import Incoming, Source
from tocsin.store import sources as store
from tocsin.store.database import Reader
from tocsin.web.routes import (
    PAGE,
    Call,
    Route,
    cursor_of,
    invalid_field,
    no_nul,
    page,
    page_limit,
    reply,
    rfc3339,
    tagged,
)

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Secret = Annotated[str, Meta(max_length=1000)]
NO_STORE = {"cache-control": "no-store"}


class SourceIn(Hidden, frozen=True, forbid_unknown_fields=True):
    """A new source. `secret` is what the service signs with, where it signs; `settings` are the kind's own."""

    kind: str
    name: Name
    secret: Secret = ""
    settings: dict[str, Any] = {}
    is_active: bool = True


class SourcePatch(Hidden, frozen=True, forbid_unknown_fields=True):
    """What to change; what is left out stays. An empty `secret` takes it away."""

    name: Name | UnsetType = UNSET
    secret: Secret | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


class SourceOut(Struct, frozen=True):
    """A source. `url` is its whole address, there once: in the answer that made it or gave it a new one.
    `last_used_at`: when something that it sent was last taken in, to the minute."""

    id: str
    kind: str
    name: str
    address_hint: str
    has_secret: bool
    settings: dict[str, Any]
    is_active: bool
    created_by: str
    created_at: str | None
    updated_at: str | None
    last_used_at: str | None
    url: str | UnsetType = UNSET

    noted: ClassVar = ("last_used_at", "url")


class SourcePreviewIn(Hidden, frozen=True, forbid_unknown_fields=True):
    """What a service would send: `body` as it comes (any JSON), `headers` where the kind looks at them. `settings` are
    those of a source that is still being written."""

    kind: str
    body: Any
    headers: dict[str, str] = {}
    settings: dict[str, Any] = {}


class PreviewedEvent(Struct, frozen=True):
    """An event as it would be. `id` is null where each sending would be an event of its own."""

    id: str | None
    type: str
    kind: str
    source: str
    pipeline: str
    run_id: str
    stage: str
    time: str | None
    severity: str
    title: str
    message: str
    labels: dict[str, str]
    data: dict[str, Any]
    links: dict[str, str]


class SourcePreviewOut(Struct, frozen=True):
    """What it would become. `ignored` says why, where it would become nothing."""

    events: tuple[PreviewedEvent, ...]
    ignored: str


def shown(one: SourceRecord, url: str | UnsetType = UNSET) -> SourceOut:
    return SourceOut(
        id=one.id,
        kind=one.kind,
        name=one.name,
        address_hint=f"…{one.key_hint}",
        has_secret=one.has_secret,
        settings=one.settings,
        is_active=one.is_active,
        created_by=one.created_by,
        created_at=rfc3339(one.created_ms),
        updated_at=rfc3339(one.updated_ms),
        last_used_at=rfc3339(one.last_used_ms),
        url=url,
    )


def in_trail(one: SourceRecord) -> dict[str, Any]:
    """As the audit trail has it: without the address, and what Tocsin notes."""
    found: dict[str, Any] = msgspec.to_builtins(shown(one))
    return {name: value for name, value in found.items() if name not in SourceOut.noted}


def source_kind(kind: str) -> Source:
    if kind not in SOURCES:
        raise Invalid("kind", repr(kind[:40]), f"one of {', '.join(sorted(SOURCES))}")
    return SOURCES[kind]


def checked(source: Source, settings: dict[str, Any], secret: str) -> dict[str, Any]:
    """The settings as they are kept. Raises Invalid for what the kind has not, and for a secret where nothing signs."""
    if secret and source.signed is None:
        raise Invalid("secret", "a secret", f"none: {source.label} signs nothing")
    no_nul("secret", secret)
    if secret.startswith("whsec_"):
        signing.key(secret)
    if source.settings_type is None:
        if settings:
            raise Invalid("settings", f"{len(settings)} settings", f"none: {source.label} has none")
        return {}
    try:
        found = msgspec.convert(settings, source.settings_type)
    except msgspec.ValidationError as error:
        wrong = invalid_field(str(error))
        raise Invalid(f"settings.{wrong.field}".rstrip("."), wrong.found, wrong.expected) from None
    if source.check_settings is not None:
        source.check_settings(found)
    kept: dict[str, Any] = msgspec.to_builtins(found)
    return kept


def url_of(call: Call, kind: str, key: str) -> str:
    base = call.app.settings.public_url or f"{call.request.url.scheme}://{call.request.url.netloc}"
    return f"{base.rstrip('/')}{SOURCES[kind].path or f'/v1/ingest/{kind}/'}{key}"


async def find(call: Call, db: Reader | None = None) -> SourceRecord:
    found = await store.get(db or call.app.db, call.tenant_id, no_nul("id", call.path("id")))
    if found is None:
        raise NotFound("No such source.")
    return found


async def preview(call: Call) -> Response:
    """Nothing is kept, and no signature is looked at."""
    given = await call.body(SourcePreviewIn)
    source = source_kind(given.kind)
    settings = checked(source, given.settings, "")
    headers = {name.lower(): value for name, value in given.headers.items()}
    found = source.read(Incoming(headers, msgspec.json.encode(given.body), {}, settings))
    return reply(SourcePreviewOut(tuple(previewed(one) for one in found.drafts[:MAX_EVENTS]), found.ignored))


def previewed(one: Draft) -> PreviewedEvent:
    return PreviewedEvent(
        id=one.id,
        type=one.type,
        kind=one.kind,
        source=one.source,
        pipeline=one.pipeline,
        run_id=one.run_id,
        stage=one.stage,
        time=rfc3339(one.time_ms),
        severity=one.severity,
        title=one.title,
        message=one.message,
        labels=one.labels,
        data=one.data,
        links=one.links,
    )


async def create(call: Call) -> Response:
    app, given = call.app, await call.body(SourceIn)
    source, key, now_ms = source_kind(given.kind), new_key(), app.clock_ms()
    one = SourceRecord(
        id=app.new_id("src"),
        kind=source.kind,
        name=no_nul("name", given.name),
        settings=checked(source, given.settings, given.secret),
        key_hint=key[-4:],
        has_secret=bool(given.secret),
        is_active=given.is_active,
        created_by=call.by.who,
        created_ms=now_ms,
        updated_ms=now_ms,
    )
    async with call.changing() as tx:
        await store.add(tx, app.keyring, call.tenant_id, one, key, given.secret, now_ms)
        await call.audit(tx, "source.create", "source", one.id, None, in_trail(one))
        answer = await call.made(tx, shown(one, url_of(call, one.kind, key)))
    answer.headers.update(NO_STORE)
    return answer


async def get(call: Call) -> Response:
    return tagged(shown(await find(call)))


async def list_(call: Call) -> Response:
    limit = page_limit(call)
    found = await store.list_(call.app.db, call.tenant_id, cursor_of(call, ""), limit + 1)
    return reply(page([shown(one) for one in found], limit, lambda one: str(one.id)))


async def change(call: Call) -> Response:
    app, given = call.app, await call.body(SourcePatch)
    async with call.changing() as tx:
        known = await find(call, tx)
        call.check_unchanged(shown(known))
        secret = "" if given.secret is UNSET else given.secret
        settings = known.settings if given.settings is UNSET else given.settings
        changed = replace(
            known,
            name=known.name if given.name is UNSET else no_nul("name", given.name),
            settings=checked(source_kind(known.kind), settings, secret),
            is_active=known.is_active if given.is_active is UNSET else given.is_active,
            has_secret=known.has_secret if given.secret is UNSET else bool(secret),
            updated_ms=app.clock_ms(),
        )
        await store.change(tx, call.tenant_id, changed, changed.updated_ms)
        if given.secret is not UNSET:
            await store.change_secret(tx, app.keyring, call.tenant_id, known.id, secret, changed.updated_ms)
        touched = () if given.secret is UNSET else ("has_secret",)
        await call.audit(tx, "source.update", "source", known.id, in_trail(known), in_trail(changed), touched=touched)
    return await get(call)


async def rotate(call: Call) -> Response:
    app, key = call.app, new_key()
    async with call.changing() as tx:
        known = await find(call, tx)
        call.check_unchanged(shown(known))
        changed = replace(known, key_hint=key[-4:], updated_ms=app.clock_ms())
        await store.change_key(tx, call.tenant_id, known.id, key, changed.key_hint, changed.updated_ms)
        touched = ("address_hint",)
        await call.audit(tx, "source.rotate", "source", known.id, in_trail(known), in_trail(changed), touched=touched)
    answer = reply(shown(changed, url_of(call, known.kind, key)))
    answer.headers.update(NO_STORE)
    return answer


async def delete(call: Call) -> Response:
    async with call.changing() as tx:
        known = await find(call, tx)
        call.check_unchanged(shown(known))
        await store.delete(tx, call.tenant_id, known.id, call.app.clock_ms())
        await call.audit(tx, "source.delete", "source", known.id, in_trail(known), None)
    return Response(status_code=204)


ONE = "/v1/sources/{id}"
ROUTES = (
    Route(
        method="POST",
        path="/v1/sources",
        handler=create,
        summary="Give a sender an address of its own; it is shown this once",
        role="developer",
        body=SourceIn,
        answer=SourceOut,
        status=201,
        action="source.create",
    ),
    Route(
        method="POST",
        path="/v1/sources/preview",
        handler=preview,
        summary="What a service's request would become; nothing is kept",
        role="developer",
        scope="read",
        body=SourcePreviewIn,
        answer=SourcePreviewOut,
        problems=(404,),
    ),
    Route(
        method="GET",
        path="/v1/sources",
        handler=list_,
        summary="Sources, without their addresses and secrets",
        role="viewer",
        answer=SourceOut,
        query=PAGE,
    ),
    Route(method="GET", path=ONE, handler=get, summary="One source", role="viewer", answer=SourceOut),
    Route(
        method="PATCH",
        path=ONE,
        handler=change,
        summary="Change a source",
        role="developer",
        body=SourcePatch,
        answer=SourceOut,
        action="source.update",
        if_match=True,
    ),
    Route(
        method="POST",
        path=f"{ONE}/rotate",
        handler=rotate,
        summary="A new address; the old one ends at once",
        role="developer",
        answer=SourceOut,
        action="source.rotate",
        if_match=True,
    ),
    Route(
        method="DELETE",
        path=ONE,
        handler=delete,
        summary="Delete a source (softly): its address ends at once",
        role="developer",
        status=204,
        action="source.delete",
        if_match=True,
    ),
)
