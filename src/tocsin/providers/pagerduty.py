"""PagerDuty, Events API v2: trouble opens an alert, and its end resolves it.

Shapes:  https://developer.pagerduty.com/docs/send-alert-event
Errors:  https://developer.pagerduty.com/docs/events-api-v2-overview#response-codes--retry-logic

`dedup_key` is what a second trigger is counted by and what a resolve finds its alert by; both must come with the same
`routing_key`. A resolve of something unknown is taken and dropped.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from tocsin.model.event import Kind, Severity
from tocsin.model.hidden import Hidden
from tocsin.model.message import Message
from tocsin.model.wire import Delivered, HttpReply, HttpRequest, Outcome, Rejected, Reply, Request, Retry, Sending
from tocsin.provider_kit import alarm
from tocsin.provider_kit.alarm import NAME_CHARS, VALUE_CHARS, alarm_key, details, links, severity, summary
from tocsin.provider_kit.body import rfc3339
from tocsin.provider_kit.classify import by_status, retry_after_s, said
from tocsin.provider_kit.given import as_object
from tocsin.provider_kit.json_reply import decoded
from tocsin.provider_kit.provider import Limit, Provider, SecretText
from tocsin.provider_kit.text import cut, line, shared_key

HOSTS = {"us": "events.pagerduty.com", "eu": "events.eu.pagerduty.com"}

SUMMARY_CHARS = 1024
FIELD_CHARS = 255
LABELS = 20
MAX_BYTES = 512_000
"""512 KB by the documentation; read as thousands, as Prometheus' Alertmanager does. The limits above leave room for
more than twice the largest message."""

EVENTS = 60
PER_S = 60.0
"""About 120 events in any 60 seconds for each integration key: 60 at once and 60 more in the minute after them."""
WAIT_S = 30.0
"""Its 429 has no `Retry-After`; the documentation asks for 30 seconds."""

TOO_MANY = frozenset({403, 429})
"""429 is documented; 403 is how its older interfaces say the same. A key that is no good is a 400, never a 403."""

_encoder = msgspec.json.Encoder()


class PagerDutySettings(Hidden, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`routing_key`: the integration key of an "Events API v2" integration. `region`: `eu` for accounts in the
    European service region. `severities` overrides how grave a kind is, such as `{"run.missed": "critical"}`.
    `client`: the name that PagerDuty shows for who raised it; empty for the event's source. `include_action_buttons`
    adds the links."""

    routing_key: Annotated[
        SecretText, Meta(pattern=r"^[A-Za-z0-9]{32}\Z", description="The integration key: 32 letters and digits")
    ]
    region: Literal["us", "eu"] = "us"
    severities: dict[Kind, Severity] = {}
    client: Annotated[str, Meta(max_length=FIELD_CHARS)] = ""
    include_action_buttons: bool = True


def render(sending: Sending) -> Request:
    """Opens the alert, or says more of one that is open."""
    message, settings = sending.told, sending.target.settings
    grave = settings.severities.get(message.kind) or severity(message)
    event: dict[str, Any] = {
        "routing_key": settings.routing_key,
        "event_action": "trigger",
        "dedup_key": alarm_key(sending),
        "payload": payload(message, grave, with_details=not sending.plain),
        "client": cut(line(settings.client or message.source), FIELD_CHARS) or "Tocsin",
    }
    shown = links(message) if settings.include_action_buttons and not sending.plain else []
    if shown:
        event["links"] = [{"href": one.url, "text": one.label} for one in shown]
    if url := next((one.url for one in shown if one.style == "primary"), ""):
        event["client_url"] = url
    return request(settings, event)


def payload(message: Message, grave: str, *, with_details: bool) -> dict[str, Any]:
    """What happened. PagerDuty's event orchestration can route by any of it."""
    found: dict[str, Any] = {
        "summary": cut(summary(message), SUMMARY_CHARS),
        "source": cut(line(message.source), FIELD_CHARS) or "tocsin",
        "severity": grave,
        "timestamp": rfc3339(message.time_ms),
    }
    named = (
        ("component", message.pipeline),
        ("group", message.labels.get("env", "")),
        ("class", message.event_type),
    )
    found |= {name: cut(line(value), FIELD_CHARS) for name, value in named if line(value)}
    if with_details:
        labels = {
            cut(line(name), NAME_CHARS): cut(line(value), VALUE_CHARS)
            for name, value in list(message.labels.items())[:LABELS]
            if line(name) and line(value)
        }
        told = {"Message": alarm.said(message), "Error": alarm.error(message), "Labels": labels}
        found["custom_details"] = details(message) | {name: value for name, value in told.items() if value}
    return found


def resolve(sending: Sending) -> Request:
    """Closes the alert that `render` opened for the same trouble."""
    settings: PagerDutySettings = sending.target.settings
    event = {"routing_key": settings.routing_key, "event_action": "resolve", "dedup_key": alarm_key(sending)}
    return request(settings, event)


def request(settings: PagerDutySettings, event: dict[str, Any]) -> HttpRequest:
    url = f"https://{HOSTS[settings.region]}/v2/enqueue"
    return HttpRequest("POST", url, _encoder.encode(event), (("content-type", "application/json"),))


def given(sending: Sending) -> Request:
    """An event that somebody else has made, with the key that is kept apart from it."""
    settings: PagerDutySettings = sending.target.settings
    return request(settings, {"routing_key": settings.routing_key} | as_object(sending))


def classify(reply: Reply) -> Outcome:
    """202 is taken. A 400 says in `errors` whether the key is no good or this event."""
    if not isinstance(reply, HttpReply):
        return by_status(reply)
    if reply.status == 202:
        return Delivered()
    if 200 <= reply.status < 300:
        # Nothing but 202 is documented: a proxy or a login page in between. A second trigger opens no second alert.
        return Retry(f"answered, but not with 202: {said(reply)}")
    if reply.status in TOO_MANY:
        words = f"too many requests: {said(reply)}"
        return Retry(words, retry_after_s(reply.headers) or WAIT_S, rate_limited=True)
    if reply.status == 400:
        return Rejected(said(reply), "endpoint" if "routing_key" in errors(reply) else "message")
    return by_status(reply)


class _Refusal(Struct):
    errors: list[str] = []


def errors(reply: HttpReply) -> str:
    """What its `errors` say, together; "" where there are none."""
    found = decoded(reply.body, _Refusal)
    return " ".join(found.errors) if found else ""


def limits(sending: Sending, request: Request) -> tuple[Limit, ...]:
    """Endpoints with the same key share its limit."""
    settings: PagerDutySettings = sending.target.settings
    return (Limit(shared_key("pagerduty", settings.routing_key), EVENTS, PER_S),)


def hint(settings: PagerDutySettings) -> str:
    """The host: the key is shown by its end elsewhere."""
    return HOSTS[settings.region]


PROVIDER = Provider(
    kind="pagerduty",
    label="PagerDuty",
    about="Opens an alert on a failure, a rollback or a run that takes too long, and resolves it when it is over.",
    settings_type=PagerDutySettings,
    check_address=None,
    hint=hint,
    render=render,
    resolve=resolve,
    classify=classify,
    given=given,
    limits=limits,
    timeout_s=10.0,
    max_age_s=24 * 3600,  # a resolve that expires leaves an alert open, and somebody awake, for nothing
    max_body_bytes=MAX_BYTES,
)
