"""What a provider would be sent for an event: `/v1/webhooks/preview`. Nothing is sent, nothing is kept.

It goes the way of a real message: the same words, the same provider, the same settings. What is secret is shown as ***.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.compose import live
from tocsin.compose.message import compose
from tocsin.compose.templated import check as check_templates
from tocsin.model.delivery import Words
from tocsin.model.endpoint import Target
from tocsin.model.errors import Invalid, NotFound
from tocsin.model.event import Event
from tocsin.model.hidden import Hidden
from tocsin.model.noise import Templates
from tocsin.model.run import Run
from tocsin.model.wire import AppriseRequest, HttpRequest, InboxRequest, Request, Sending, SmtpRequest
from tocsin.previews import PREVIEWS
from tocsin.provider_kit.provider import Provider, Tuning
from tocsin.provider_kit.settings_form import secret_fields
from tocsin.provider_kit.text import masked
from tocsin.rules import run_state
from tocsin.rules.incident import incident
from tocsin.sources.draft import Draft
from tocsin.sources.native import decode_native
from tocsin.stages.deliver.conversation import keys_of
from tocsin.stages.deliver.opening import hidden_of, inside_of
from tocsin.stages.deliver.wording import Wording
from tocsin.stages.intake import as_event
from tocsin.store import config, log
from tocsin.web.api.preview_samples import Sample, sample
from tocsin.web.api.webhooks import checked_address, filled_in, opened_settings, provider_of, typed_settings
from tocsin.web.ownership import own
from tocsin.web.references import in_place, usable
from tocsin.web.routes import LAST, Call, Route, no_nul, reply
from tocsin.web.switches import tuning_of

MASK = "***"
SECRET_HEADERS = frozenset({"authorization", "webhook-signature"})
"""Whatever they hold: a signature over words of the caller's choosing would be as good as the secret."""


class MessagePreviewIn(Struct, frozen=True, forbid_unknown_fields=True):
    """For whom, and about what.

    For whom: `provider_type` with the `settings` (and the `webhook_url`, where there is one already) of a webhook that
    is not saved yet; or `webhook_id`, and `settings` to see others than those saved. About what: an `event` as
    POST /v1/events takes it, the `event_id` of one that came in, or the name of a `sample`. `templates`: a rule's own
    words, in place of those that the webhook has.
    """

    provider_type: str = ""
    webhook_id: str = ""
    webhook_url: str = ""
    settings: dict[str, Any] | UnsetType = UNSET
    event: msgspec.Raw | UnsetType = UNSET
    event_id: str = ""
    sample: Sample | UnsetType = UNSET
    templates: Templates | UnsetType | None = UNSET


class RequestOut(Struct, frozen=True, kw_only=True):
    """A request as it would be made: `body` is JSON where it is JSON, else text. `html` shows what people would see;
    null where only programs look."""

    method: str
    url: str
    headers: dict[str, str]
    body: Any
    size_bytes: int
    html: str | None


class MessagePreviewOut(RequestOut, frozen=True, kw_only=True):
    """`problems` say why it would not get through. `html` is a fragment for a page that has `style` in it, or a whole
    document, as `html_kind` says. `root`: the message of the whole run, where the provider keeps one up to date."""

    provider_type: str
    limit_bytes: int
    problems: tuple[str, ...]
    html_kind: Literal["fragment", "document"] | None
    style: str
    root: RequestOut | None


class Receiver(Hidden, frozen=True):
    """An endpoint, saved or not. `problems`: what keeps it from being sent anything."""

    provider: Provider
    target: Target
    problems: tuple[str, ...] = ()
    templates: Templates | None = None


async def preview(call: Call) -> Response:
    given = await call.body(MessagePreviewIn)
    only_one({"provider_type": given.provider_type, "webhook_id": given.webhook_id})
    only_one({"event": given.event is not UNSET, "event_id": given.event_id, "sample": given.sample})
    receiver = await (saved(call, given) if given.webhook_id else unsaved(call, given))
    if given.templates:
        check_templates(given.templates, "templates")
        receiver = replace(receiver, templates=given.templates)
    event, run = await subject(call, given)
    tuning = (await tuning_of(call))[receiver.provider.kind]
    return reply(previewed(receiver, event, run, tuning, call.app.clock_ms()))


def only_one(given: dict[str, Any]) -> None:
    """Raises Invalid where none of these fields is given, or more than one."""
    found = [name for name, value in given.items() if value]
    expected = f"one of {', '.join(given)}"
    if not found:
        raise Invalid(next(iter(given)), "nothing", expected)
    if len(found) > 1:
        raise Invalid(found[1], f"{found[0]} beside it", expected)


async def saved(call: Call, given: MessagePreviewIn) -> Receiver:
    """A webhook of the caller's, with the settings that are given in place of its own. Raises Invalid."""
    app = call.app
    if given.webhook_url:
        raise Invalid("webhook_url", "an address", "nothing: the webhook has its own")
    try:
        endpoint = await own(call, no_nul("webhook_id", given.webhook_id))
    except NotFound:
        raise Invalid("webhook_id", repr(given.webhook_id[:60]), "the id of a webhook that you may see") from None
    opened = await config.open_endpoint(app.db, app.keyring, call.tenant_id, endpoint.id)
    if names := opened.names():
        opened = opened.filled(await usable(call, app.db, "webhook_id", names))
    provider = provider_of(endpoint.provider_type)
    settings = opened.settings
    if given.settings is not UNSET:
        settings = filled_in(call, provider, given.settings, opened.secret_settings)
    known = typed_settings(app, provider, await opened_settings(call, app.db, provider, settings))
    problems = [wrong.detail] if (wrong := unfit(provider, known)) else []
    if endpoint.disabled_reason or not endpoint.is_active:
        problems.append(f"The webhook is switched off. {endpoint.disabled_reason}".rstrip())
    return Receiver(provider, opened.target(known, app.clock_ms()), tuple(problems), opened.options.templates)


async def unsaved(call: Call, given: MessagePreviewIn) -> Receiver:
    """A webhook as it is being filled in: what is missing yet is a problem, no error. Raises Invalid."""
    provider = provider_of(given.provider_type)
    settings = dict(given.settings or {})
    address = given.webhook_url or str(settings.pop("webhook_url", ""))
    if address:
        address = checked_address(call.app, provider, await in_place(call, call.app.db, "webhook_url", address))
    required = {field.name for field in msgspec.structs.fields(provider.settings_type) if field.required}
    missing = secret_fields(provider.settings_type) & required - settings.keys()
    if missing:
        settings_type = without(provider.settings_type, missing)  # type: ignore[arg-type]  # a class has a hash
        provider = replace(provider, settings_type=settings_type)
    settings = await opened_settings(call, call.app.db, provider, filled_in(call, provider, settings, {}))
    known = typed_settings(call.app, provider, settings)
    problems = [f"settings.{name}: expected a value: the field is required, found nothing" for name in sorted(missing)]
    if not missing and (wrong := unfit(provider, known)):
        problems = [wrong.detail]
    return Receiver(provider, Target(address, known), tuple(problems))


@cache
def without(settings_type: type[Any], missing: frozenset[str]) -> type[Any]:
    """The same settings, with *** for secrets that are required and not there yet."""
    fields = [(name, str, MASK) for name in missing]
    return msgspec.defstruct(
        settings_type.__name__, fields, bases=(settings_type,), frozen=True, kw_only=True, forbid_unknown_fields=True
    )


def unfit(provider: Provider, settings: Any) -> Invalid | None:
    """Why the provider cannot use these settings."""
    if provider.check_settings is not None:
        try:
            provider.check_settings(settings)
        except Invalid as error:
            return error
    return None


async def subject(call: Call, given: MessagePreviewIn) -> tuple[Event, Run | None]:
    """What the message is about, and the run it belongs to as that stands, with this event. Raises Invalid."""
    now_ms = call.app.clock_ms()
    if given.sample is not UNSET:
        return sample(given.sample, call.tenant_id, now_ms)
    if given.event_id:
        found = await log.find_event(call.app.db, call.tenant_id, given.event_id, None)
        if found is None:
            raise Invalid("event_id", repr(given.event_id[:60]), "the id of an event")
        return found[0], await run_of(call, found[0])
    event = as_event(draft_of(bytes(given.event or b"")), "evt_preview", call.tenant_id, now_ms)
    run = await run_of(call, event)
    if run_state.concerns_run(event):
        new = Run(id="run_preview", tenant_id=call.tenant_id, pipeline=event.pipeline, run_id=event.run_id)
        run = run_state.after(run or new, event)
    return event, run


def draft_of(body: bytes) -> Draft:
    """One event, as POST /v1/events reads it."""
    try:
        drafts = decode_native(body)
    except Invalid as error:
        raise Invalid(f"event.{error.field}".rstrip("."), error.found, error.expected, status=error.status) from None
    if len(drafts) != 1:
        raise Invalid("event.events", f"{len(drafts)} events", "one")
    return drafts[0]


async def run_of(call: Call, event: Event) -> Run | None:
    if not event.run_id:
        return None
    names = {"pipeline": event.pipeline, "run_id": event.run_id}
    found = await log.list_runs(call.app.db, call.tenant_id, before=LAST, limit=1, filters=names)
    return found[0] if found else None


def previewed(receiver: Receiver, event: Event, run: Run | None, tuning: Tuning, now_ms: int) -> MessagePreviewOut:
    """The message as the deliver stage would make it now. Raises Invalid where it cannot be made of such settings."""
    provider, target = receiver.provider, as_tuned(receiver.target, tuning)
    run_key, incident_key = keys_of(event, Words())
    say = Wording(receiver.templates)
    message = say(compose(event, run), event, run)
    sending = Sending(
        id="dlv_preview",
        at_s=now_ms // 1000,
        target=target,
        message=message,
        plain=not tuning.rich,
        run_key=run_key,
        incident_key=incident_key,
    )
    if provider.fix_body is not None:
        sending = replace(sending, message=None, body=provider.fix_body(message, target.settings))
    meaning, _ = incident(event)
    make = provider.resolve if provider.resolve is not None and meaning == "closes" else provider.render
    request = made(make, sending, receiver)
    root = None
    if provider.live is not None and run is not None and provider.live.is_on(target.settings):
        whole = replace(sending, message=say(live.root_of(event, run), event, run), quiet=event.kind not in live.ALARMS)
        root = shown(made(provider.render, whole, receiver), provider.kind, target)
    problems = list(receiver.problems)
    if say.failed:
        problems.append(f"The template fails, and the usual words are sent: {say.failed}.")
    if provider.resolve is not None and not meaning:
        problems.append("Alarms are opened and closed here, no more: this event does neither, so it is not sent.")
    if tuning.off:
        problems.append(f"{provider.label} is switched off: {tuning.off}.")
    if len(request.body) > provider.max_body_bytes:
        problems.append(f"The body has {len(request.body)} bytes; {provider.label} takes {provider.max_body_bytes}.")
    look = PREVIEWS.get(provider.kind)
    return MessagePreviewOut(
        **msgspec.structs.asdict(shown(request, provider.kind, target)),
        provider_type=provider.kind,
        limit_bytes=provider.max_body_bytes,
        problems=tuple(problems),
        html_kind=look.kind if look else None,
        style=look.style if look else "",
        root=root,
    )


def as_tuned(target: Target, tuning: Tuning) -> Target:
    if not tuning.mentions and hasattr(target.settings, "mention_on_failure"):
        return replace(target, settings=replace(target.settings, mention_on_failure=False))
    return target


def made(make: Callable[[Sending], Request], sending: Sending, receiver: Receiver) -> Request:
    """The request. Settings that will not do may be more than the provider can make anything of."""
    try:
        return make(sending)
    except Exception:
        if not receiver.problems:
            raise
        raise Invalid("settings", "what no message can be made with", receiver.problems[0]) from None


def shown(request: Request, kind: str, target: Target) -> RequestOut:
    """The request without secrets, and how it would look."""
    secrets = [str(getattr(target.settings, name) or "") for name in secret_fields(type(target.settings))]
    everywhere = texts(hidden_of(target, secrets))
    # In a body, what is a part of the address or a header may just as well be a word of the event's own.
    inside = texts(inside_of(target, secrets))
    is_json = isinstance(request, InboxRequest) or "json" in content_type(request)
    body: Any = msgspec.json.decode(request.body) if is_json else request.body.decode("utf-8", "replace")
    body = clean(body, inside)
    look = PREVIEWS.get(kind)
    sent = msgspec.json.encode(body) if is_json else body.encode()
    method, url, headers = envelope(request, target)
    return RequestOut(
        method=method,
        url=clean(url.replace(target.address, masked(target.address)) if target.address else url, everywhere),
        headers=clean(headers, everywhere),
        body=body,
        size_bytes=len(request.body),
        html=look.html(replace(request, body=sent)) if look else None,
    )


def texts(hidden: tuple[bytes, ...]) -> list[str]:
    return [one.decode() for one in hidden]


def content_type(request: Request) -> str:
    headers = request.headers if isinstance(request, HttpRequest) else ()
    return next((value for name, value in headers if name.lower() == "content-type"), "")


def envelope(request: Request, target: Target) -> tuple[str, str, dict[str, str]]:
    """Method, address and headers; what is like them where it is no HTTP."""
    if isinstance(request, HttpRequest):
        hidden = SECRET_HEADERS | {getattr(target.settings, "signature_header", "").lower()}
        headers = {
            name: MASK if name.lower() in hidden or (name, value) in target.headers else value
            for name, value in request.headers
        }
        return request.method, request.url if "://" in request.url else "", headers
    if isinstance(request, SmtpRequest):
        envelope = {"MAIL FROM": request.sender, "RCPT TO": ", ".join(request.recipients)}
        return "SMTP", f"smtp://{request.host}:{request.port}" if request.host else "", envelope
    if isinstance(request, AppriseRequest):
        return "APPRISE", f"{request.url.partition('://')[0]}://{MASK}", {"title": request.title, "type": request.tone}
    return "INBOX", "", {"user_id": request.user_id, "title": request.title}


def clean(value: Any, hidden: list[str]) -> Any:
    """The value with *** in place of what is hidden, in every text in it."""
    if isinstance(value, str):
        for secret in filter(None, hidden):
            value = value.replace(secret, MASK)
        return value
    if isinstance(value, dict):
        return {name: clean(one, hidden) for name, one in value.items()}
    return [clean(one, hidden) for one in value] if isinstance(value, list) else value


ROUTES = (
    Route(
        method="POST",
        path="/v1/webhooks/preview",
        handler=preview,
        summary="What would be sent for an event, and how it would look; nothing is sent",
        role="developer",
        scope="read",
        body=MessagePreviewIn,
        answer=MessagePreviewOut,
    ),
)
