"""Endpoints of every provider: `/v1/webhooks`."""

import asyncio
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.app import App, hint_of, new_secret
from tocsin.compose.templated import check as check_templates
from tocsin.model.endpoint import Endpoint, Options, Secret
from tocsin.model.errors import Conflict, Invalid
from tocsin.model.hidden import Hidden
from tocsin.model.noise import Digest, Templates
from tocsin.outbound.address_guard import check_header, check_url
from tocsin.outbound.smtp import check_server
from tocsin.provider_kit import signing
from tocsin.provider_kit.provider import Provider
from tocsin.provider_kit.settings_form import hinted, secret_fields, split, with_operator
from tocsin.providers import PROVIDERS
from tocsin.rules.noise_check import check_zone
from tocsin.rules.pattern import check_pattern
from tocsin.sources.draft import Draft
from tocsin.store import config, log
from tocsin.store.database import Reader, Transaction
from tocsin.web.api.deliveries import (
    DeliveryWithAttempts,
    RecoverIn,
    Replayed,
    replay_matching,
    shown_with_attempts,
)
from tocsin.web.auth import Principal
from tocsin.web.ownership import own, seen_by
from tocsin.web.references import check_may_use, in_place
from tocsin.web.replies import sees_words, status_alone
from tocsin.web.routes import (
    DELETED,
    PAGE,
    Call,
    Route,
    asks_deleted,
    cursor_of,
    filters_of,
    invalid_field,
    no_nul,
    page,
    page_limit,
    reply,
    rfc3339,
    tagged,
)

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Headers = Annotated[dict[str, str], Meta(max_length=32)]
MOST_PATTERNS = 100
TEST_WAIT_S = 12.0
OVERLAP_S = 86_400


class WebhookIn(Struct, frozen=True, forbid_unknown_fields=True):
    """A new endpoint. The address is `webhook_url`, or `settings.webhook_url`."""

    provider_type: str
    name: Name
    webhook_url: str = ""
    description: Annotated[str, Meta(max_length=2000)] = ""
    enabled_events: tuple[str, ...] = ()
    settings: dict[str, Any] = {}
    is_active: bool = True
    secret: str | None = None
    headers: Headers = {}
    digest: Digest | None = None
    templates: Templates | None = None


class WebhookPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is left out stays. `headers` and `settings` replace the old ones as a whole."""

    name: Name | UnsetType = UNSET
    webhook_url: str | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=2000)] | UnsetType = UNSET
    enabled_events: tuple[str, ...] | UnsetType = UNSET
    settings: dict[str, Any] | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    headers: Headers | UnsetType = UNSET
    digest: Digest | UnsetType | None = UNSET
    templates: Templates | UnsetType | None = UNSET


class RotateIn(Struct, frozen=True, forbid_unknown_fields=True):
    """A new signing secret; the old one signs along for `overlap_s` seconds (a day; 0 ends it at once)."""

    secret: str | None = None
    overlap_s: Annotated[int, Meta(ge=0, le=7 * 86_400)] = OVERLAP_S


class Rotated(Struct, frozen=True):
    """`secret` is shown this once."""

    id: str
    secret: str
    old_secret_until: str | None


class Webhook(Struct, frozen=True):
    """An endpoint as it is shown. `secret` is there once, in the answer that made it."""

    id: str
    provider_type: str
    name: str
    description: str
    webhook_url: str
    enabled_events: tuple[str, ...]
    settings: dict[str, Any]
    headers: dict[str, str]
    digest: Digest | None
    templates: Templates | None
    is_active: bool
    disabled_reason: str
    consecutive_failures: int
    last_used_at: str | None
    last_error: str
    user_id: str
    created_by: str
    created_at: str | None
    updated_at: str | None
    secret: str | UnsetType = UNSET

    noted: ClassVar = ("consecutive_failures", "last_used_at", "last_error", "secret")


def shown(endpoint: Endpoint, secret: str | UnsetType = UNSET) -> Webhook:
    return Webhook(
        id=endpoint.id,
        provider_type=endpoint.provider_type,
        name=endpoint.name,
        description=endpoint.description,
        webhook_url=endpoint.address_hint,
        enabled_events=endpoint.enabled_events,
        settings=endpoint.settings,
        headers=dict.fromkeys(endpoint.header_names, "***"),
        digest=endpoint.options.digest,
        templates=endpoint.options.templates,
        is_active=endpoint.is_active and not endpoint.disabled_reason,
        disabled_reason=endpoint.disabled_reason,
        consecutive_failures=endpoint.consecutive_failures,
        last_used_at=rfc3339(endpoint.last_used_ms),
        last_error=endpoint.last_error,
        user_id=endpoint.user_id,
        created_by=endpoint.created_by,
        created_at=rfc3339(endpoint.created_ms),
        updated_at=rfc3339(endpoint.updated_ms),
        secret=secret,
    )


def seen(by: Principal, endpoint: Endpoint) -> Webhook:
    """As this one may see it: a viewer without what the receiver said."""
    if sees_words(by):
        return shown(endpoint)
    reason, error = status_alone(endpoint.disabled_reason), status_alone(endpoint.last_error)
    return shown(replace(endpoint, disabled_reason=reason, last_error=error))


def provider_of(kind: str) -> Provider:
    provider = PROVIDERS.get(kind)
    if provider is None:
        raise Invalid("provider_type", repr(kind[:40]), f"one of {', '.join(sorted(PROVIDERS))}")
    return provider


def checked_address(app: App, provider: Provider, address: str) -> str:
    """Raises Invalid where the provider cannot use it, or where nothing may be sent there. Kept byte-exact."""
    if provider.check_address is None:
        if address:
            raise Invalid("webhook_url", "an address", f"nothing: {provider.label} has its settings instead")
        return ""
    if not address:
        raise Invalid("webhook_url", "nothing", "the address that messages go to")
    no_nul("webhook_url", address)
    address = provider.check_address(address)
    check_url(address, app.allow)
    return address


def typed_settings(app: App, provider: Provider, settings: dict[str, Any]) -> Any:
    """The settings as the provider takes them, the operator's values filled in. Raises Invalid for an unknown setting
    and for one of the wrong type."""
    whole, _ = with_operator(provider.operator, settings, app.operator.get(provider.kind, {}))
    try:
        known = msgspec.convert(whole, provider.settings_type)
    except msgspec.ValidationError as error:
        wrong = invalid_field(str(error))
        name, _, expected = str(error).partition(": expected ")  # as a settings type says it that checks itself
        if expected and name in provider.settings_type.__struct_fields__:
            wrong = Invalid(name, "something else", expected)
        hides = wrong.field in secret_fields(provider.settings_type) and wrong.found != "nothing"
        found = "***" if hides else wrong.found
        raise Invalid(f"settings.{wrong.field}".rstrip("."), found, wrong.expected) from None
    no_nul("settings", repr(settings).replace("\\x00", "\x00") if "\\x00" in repr(settings) else "")
    return known


def checked_settings(app: App, provider: Provider, settings: dict[str, Any]) -> Any:
    """The same. Raises Invalid for what the provider cannot use, too."""
    known = typed_settings(app, provider, settings)
    if provider.check_settings is not None:
        provider.check_settings(known)
    if provider.mails and settings.get("smtp_host"):  # the operator's own may be private
        check_server(known.smtp_host, known.smtp_port, app.allow)
    for name in provider.dialled:
        if url := getattr(known, name):
            try:
                check_url(url, app.allow)
            except Invalid as invalid:
                raise Invalid(f"settings.{name}", invalid.found, invalid.expected) from None
    return known


class SettingsGiven(Hidden, frozen=True):
    """What is kept of an endpoint's settings: what may be seen (secret ones by their ends), what is sealed, and what
    people know the endpoint by."""

    seen: dict[str, Any]
    secret: dict[str, str]
    hint: str


def filled_in(call: Call, provider: Provider, given: dict[str, Any], known: dict[str, str]) -> dict[str, Any]:
    """The settings that are meant. `known` are the secret settings so far: one that comes back as it is shown stays.
    The operator's name for the signature header and the caller's own inbox are filled in."""
    standard: dict[str, Any] = {}
    if provider.signs:
        standard["signature_header"] = call.app.settings.signature_header
    if "user_id" in provider.settings_type.__struct_fields__:
        standard["user_id"] = call.by.user_id
        if not call.by.sees_all() and given.get("user_id", call.by.user_id) != call.by.user_id:
            raise Invalid("settings.user_id", repr(given["user_id"])[:80], "your own")
    settings = standard | given
    return settings | {name: known[name] for name, hint in hinted(known).items() if settings.get(name) == hint}


async def settings_of(
    call: Call, db: Reader, provider: Provider, given: dict[str, Any], known: dict[str, str] | None = None
) -> SettingsGiven:
    """The settings to keep, checked."""
    settings = filled_in(call, provider, given, known or {})
    seen, secret = split(provider.settings_type, settings)
    fitting = checked_settings(call.app, provider, await opened_settings(call, db, provider, settings))
    return SettingsGiven(seen | hinted(secret), secret, provider.hint(fitting))


def options_of(given: WebhookIn | WebhookPatch, known: Options) -> Options:
    """What any endpoint may say, over what is known. Raises Invalid for templates that cannot be used."""
    digest = known.digest if given.digest is UNSET else given.digest
    templates = known.templates if given.templates is UNSET else given.templates
    if digest is not None:
        check_zone("digest.time_zone", digest.time_zone)
    if templates is not None:
        check_templates(templates, "templates")
    return Options(digest, templates)


def checked_patterns(field: str, patterns: tuple[str, ...]) -> tuple[str, ...]:
    if len(patterns) > MOST_PATTERNS:
        raise Invalid(field, f"{len(patterns)} patterns", f"at most {MOST_PATTERNS}")
    for number, pattern in enumerate(patterns):
        check_pattern(f"{field}[{number}]", pattern)
    return patterns


def checked_headers(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        check_header(name, value)
    return headers


async def opened_settings(call: Call, db: Reader, provider: Provider, settings: dict[str, Any]) -> dict[str, Any]:
    """With secrets in the place of their names, where a setting is one."""
    secret = {name: settings[name] for name in secret_fields(provider.settings_type) if name in settings}
    return settings | await in_place(call, db, "settings", secret)


def check_opened(app: App, opened: config.Opened) -> None:
    """Raises Invalid where an endpoint with these parts could not be saved."""
    provider = provider_of(opened.provider_type)
    checked_address(app, provider, opened.address)
    checked_settings(app, provider, opened.settings)
    checked_headers(opened.headers)
    for secret in opened.secrets:
        signing.key(secret.value)


async def address_of(call: Call, db: Reader, provider: Provider, address: str) -> str:
    """The address to keep, checked: one that is a secret's name stays that."""
    found = await in_place(call, db, "webhook_url", address)
    checked = checked_address(call.app, provider, found)
    return checked if found == address else address


async def headers_of(call: Call, db: Reader, headers: dict[str, str]) -> dict[str, str]:
    """The headers to keep, checked."""
    checked_headers(await in_place(call, db, "headers", headers))
    return headers


async def check_secret(call: Call, db: Reader, secret: str) -> None:
    signing.key(await in_place(call, db, "secret", secret))


async def create(call: Call) -> Response:
    app = call.app
    given = await call.body(WebhookIn)
    provider = provider_of(given.provider_type)
    settings = dict(given.settings)
    address = await address_of(call, app.db, provider, given.webhook_url or str(settings.pop("webhook_url", "")))
    secret = given.secret or (new_secret() if provider.signs else "")
    if secret:
        await check_secret(call, app.db, secret)
    now_ms = app.clock_ms()
    kept = await settings_of(call, app.db, provider, settings)
    endpoint = Endpoint(
        id=app.new_id("whk"),
        tenant_id=call.tenant_id,
        user_id=call.by.user_id,
        provider_type=provider.kind,
        name=no_nul("name", given.name),
        description=no_nul("description", given.description),
        address_hint=hint_of(address) or kept.hint,
        enabled_events=checked_patterns("enabled_events", given.enabled_events),
        settings=kept.seen,
        options=options_of(given, Options()),
        header_names=tuple(sorted(given.headers)),
        is_active=given.is_active,
        created_by=call.by.who,
        created_ms=now_ms,
        updated_ms=now_ms,
    )
    headers = await headers_of(call, app.db, given.headers)
    async with app.db.transaction() as tx:
        await call.check_room(tx, "endpoints")
        secrets = (Secret(secret),) if secret else ()
        await config.add_endpoint(tx, app.keyring, endpoint, address, secrets, headers, kept.secret)
        await call.audit(tx, "webhook.create", "webhook", endpoint.id, None, shown(endpoint))
        return await call.made(tx, shown(endpoint, secret or UNSET))


async def mine(call: Call, tx: Reader | None = None, *, to_change: bool = False, deleted: bool = False) -> Endpoint:
    """The endpoint of the path."""
    return await own(call, no_nul("id", call.path("id")), tx, to_change=to_change, deleted=deleted)


async def get(call: Call) -> Response:
    return tagged(seen(call.by, await mine(call)))


async def list_(call: Call) -> Response:
    limit = page_limit(call)
    filters = filters_of(call, ("provider_type",))
    filters |= seen_by(call.by)
    after = cursor_of(call, "")
    found = await config.list_endpoints(
        call.app.db, call.tenant_id, after=after, limit=limit + 1, filters=filters, deleted=asks_deleted(call)
    )
    return reply(page([seen(call.by, endpoint) for endpoint in found], limit, lambda webhook: str(webhook.id)))


async def change(call: Call) -> Response:
    given = await call.body(WebhookPatch)
    async with call.changing() as tx:
        await apply(call, tx, await mine(call, tx, to_change=True), given)
    call.app.deliver.wake()
    return await get(call)


async def apply(call: Call, tx: Transaction, endpoint: Endpoint, given: WebhookPatch) -> None:
    app = call.app
    call.check_unchanged(shown(endpoint))
    provider = provider_of(endpoint.provider_type)
    address = "" if given.webhook_url is UNSET else await address_of(call, tx, provider, given.webhook_url)
    headers = UNSET if given.headers is UNSET else await headers_of(call, tx, given.headers)
    kept = None
    if address or headers is not UNSET or given.settings is not UNSET:
        opened = await config.open_endpoint(tx, app.keyring, call.tenant_id, endpoint.id)
        await check_may_use(call, tx, opened.names())  # what stays would go to the new address, too
        if given.settings is not UNSET:
            kept = await settings_of(call, tx, provider, given.settings, opened.secret_settings)
    changed = replace(
        endpoint,
        name=endpoint.name if given.name is UNSET else no_nul("name", given.name),
        description=endpoint.description if given.description is UNSET else no_nul("description", given.description),
        enabled_events=(
            endpoint.enabled_events
            if given.enabled_events is UNSET
            else checked_patterns("enabled_events", given.enabled_events)
        ),
        settings=kept.seen if kept else endpoint.settings,
        options=options_of(given, endpoint.options),
        is_active=endpoint.is_active if given.is_active is UNSET else given.is_active,
    )
    now_ms = app.clock_ms()
    if address:
        await config.change_address(tx, app.keyring, endpoint, address, hint_of(address), now_ms)
    if headers is not UNSET:
        await config.change_headers(tx, app.keyring, endpoint, headers, now_ms)
    if kept and kept.hint:
        await config.change_address(tx, app.keyring, endpoint, "", kept.hint, now_ms)
    if kept:
        await config.change_secret_settings(tx, app.keyring, endpoint, kept.secret, now_ms)
    await config.change_endpoint(tx, changed, now_ms)
    if given.is_active is True:
        await config.switch_endpoint(tx, call.tenant_id, endpoint.id, is_active=True, reason="", now_ms=now_ms)
    after = await config.get_endpoint(tx, call.tenant_id, endpoint.id)
    hidden = {"webhook_url": address, "headers": headers, "settings": kept and kept.secret}
    touched = tuple(name for name, given in hidden.items() if given)
    await call.audit(tx, "webhook.update", "webhook", endpoint.id, shown(endpoint), shown(after), touched=touched)


async def delete(call: Call) -> Response:
    async with call.changing() as tx:
        endpoint = await mine(call, tx, to_change=True)
        call.check_unchanged(shown(endpoint))
        await config.delete_endpoint(tx, call.tenant_id, endpoint.id, call.app.clock_ms())
        await call.audit(tx, "webhook.delete", "webhook", endpoint.id, shown(endpoint), None)
    return Response(status_code=204)


async def restore(call: Call) -> Response:
    """As it was; what waited for it was cancelled, and can be replayed."""
    async with call.changing() as tx:
        endpoint = await mine(call, tx, to_change=True, deleted=True)
        await call.check_room(tx, "endpoints")
        await config.restore_endpoint(tx, call.tenant_id, endpoint.id, call.app.clock_ms())
        after = await config.get_endpoint(tx, call.tenant_id, endpoint.id)
        await call.audit(tx, "webhook.restore", "webhook", endpoint.id, None, shown(after))
    return await get(call)


async def enable(call: Call) -> Response:
    return await switch(call, is_active=True)


async def disable(call: Call) -> Response:
    return await switch(call, is_active=False)


async def switch(call: Call, *, is_active: bool) -> Response:
    now_ms = call.app.clock_ms()
    async with call.changing() as tx:
        endpoint = await mine(call, tx, to_change=True)
        await config.switch_endpoint(tx, call.tenant_id, endpoint.id, is_active=is_active, reason="", now_ms=now_ms)
        after = await config.get_endpoint(tx, call.tenant_id, endpoint.id)
        action = "webhook.enable" if is_active else "webhook.disable"
        await call.audit(tx, action, "webhook", endpoint.id, shown(endpoint), shown(after))
    call.app.deliver.wake()
    return await get(call)


async def rotate_secret(call: Call) -> Response:
    app = call.app
    given = await call.body(RotateIn)
    secret = given.secret or new_secret()
    await check_secret(call, app.db, secret)
    now_ms = app.clock_ms()
    async with call.changing() as tx:
        endpoint = await mine(call, tx, to_change=True)
        if not provider_of(endpoint.provider_type).signs:
            raise Conflict(f"Endpoints of the type {endpoint.provider_type} have no signing secret.")
        opened = await config.open_endpoint(tx, app.keyring, call.tenant_id, endpoint.id)
        secrets = rotated(opened.secrets, secret, now_ms, given.overlap_s)
        await config.change_secrets(tx, app.keyring, endpoint, secrets, now_ms)
        old_until = rfc3339(now_ms + given.overlap_s * 1000) if given.overlap_s else None
        after = {"secret": "***", "old_secret_until": old_until}
        await call.audit(
            tx, "webhook.rotate_secret", "webhook", endpoint.id, {"secret": "***"}, after, touched=("secret",)
        )
        return await call.made(tx, Rotated(endpoint.id, secret, old_until), 200)


def rotated(old: tuple[Secret, ...], secret: str, now_ms: int, overlap_s: int) -> tuple[Secret, ...]:
    """The new secret first; of the old ones at most three, each to its end."""
    until_ms = now_ms + overlap_s * 1000
    kept = [Secret(s.value, min(until_ms, s.expires_ms or until_ms)) for s in old]
    return (Secret(secret), *[s for s in kept if (s.expires_ms or 0) > now_ms and s.value != secret][:3])


async def test(call: Call) -> Response:
    """Sends a real message to this endpoint alone, whether it is switched on or not, and waits for what comes of it."""
    endpoint = await mine(call, to_change=True)
    async with call.app.db.transaction() as tx:
        await call.audit(tx, "webhook.test", "webhook", endpoint.id)
    delivery = await send_test(call, endpoint.id, endpoint.name)
    return reply(await shown_with_attempts(call.app, call.tenant_id, delivery))


async def send_test(call: Call, endpoint_id: str, name: str) -> dict[str, Any]:
    """The delivery of a test message, once it has an end or has kept us waiting."""
    app = call.app
    draft = Draft(
        type="tocsin.test",
        kind="other",
        source="tocsin",
        severity="info",
        title=f"Test message for {name}",
        message="If you can read this, Tocsin can reach you here.",
        links={"tocsin": app.settings.url} if app.settings.public_url else {},
    )
    receipts = await app.intake.accept(call.tenant_id, [draft], only_endpoint=endpoint_id)
    event, _ = await log.find_event(app.db, call.tenant_id, receipts[0].id, None) or (None, "")
    assert event is not None, "the event was accepted a moment ago"
    deliveries = await log.deliveries_of_event(app.db, call.tenant_id, event.uid)
    if not deliveries:
        raise Conflict("The provider of this webhook is not available.")
    waited_s = 0.0
    while True:
        delivery = await log.get_delivery(app.db, call.tenant_id, deliveries[0]["id"])
        assert delivery is not None, "the delivery was committed with its event"
        if delivery["status"] not in ("pending", "sending") or waited_s >= TEST_WAIT_S:
            return delivery
        await asyncio.sleep(0.05)
        waited_s += 0.05


async def recover(call: Call) -> Response:
    """Sends again what did not get through to this endpoint since a moment."""
    endpoint = await mine(call, to_change=True)
    given = await call.body(RecoverIn)
    return await replay_matching(call, given, {"webhook_id": endpoint.id}, "webhook.recover", "webhook", endpoint.id)


ID = "/v1/webhooks/{id}"
ROUTES = (
    Route(
        method="POST",
        path="/v1/webhooks",
        handler=create,
        action="webhook.create",
        summary="Add an endpoint; the answer shows its signing secret, this once",
        role="developer",
        body=WebhookIn,
        answer=Webhook,
        status=201,
    ),
    Route(
        method="GET",
        path="/v1/webhooks",
        handler=list_,
        summary="Endpoints",
        role="viewer",
        answer=Webhook,
        query={"provider_type": "Only this type"} | {"deleted": DELETED} | PAGE,
    ),
    Route(method="GET", path=ID, handler=get, summary="One endpoint", role="viewer", answer=Webhook),
    Route(
        method="PATCH",
        path=ID,
        handler=change,
        action="webhook.update",
        summary="Change an endpoint",
        role="developer",
        body=WebhookPatch,
        answer=Webhook,
        if_match=True,
    ),
    Route(
        method="DELETE",
        path=ID,
        handler=delete,
        action="webhook.delete",
        summary="Delete an endpoint (softly)",
        role="developer",
        status=204,
        if_match=True,
    ),
    Route(
        method="POST",
        path=f"{ID}/test",
        handler=test,
        action="webhook.test",
        summary="Send a test message and say what came of it",
        role="developer",
        answer=DeliveryWithAttempts,
        problems=(409,),
    ),
    Route(
        method="POST",
        path=f"{ID}/restore",
        handler=restore,
        action="webhook.restore",
        summary="Bring back an endpoint that was deleted",
        role="developer",
        answer=Webhook,
    ),
    Route(
        method="POST",
        path=f"{ID}/enable",
        handler=enable,
        action="webhook.enable",
        summary="Switch on",
        role="developer",
        answer=Webhook,
    ),
    Route(
        method="POST",
        path=f"{ID}/disable",
        handler=disable,
        action="webhook.disable",
        summary="Switch off",
        role="developer",
        answer=Webhook,
    ),
    Route(
        method="POST",
        path=f"{ID}/rotate-secret",
        handler=rotate_secret,
        action="webhook.rotate_secret",
        idempotent=True,
        summary="A new signing secret, with an overlap",
        role="developer",
        name="rotate_webhook_secret",
        body=RotateIn,
        answer=Rotated,
        problems=(409,),
    ),
    Route(
        method="POST",
        path=f"{ID}/recover",
        handler=recover,
        action="webhook.recover",
        summary="Send again what did not get through",
        role="developer",
        body=RecoverIn,
        problems=(409,),
        answer=Replayed,
        also=(202,),
    ),
)
