"""Opsgenie alerts: trouble opens one under an alias, and its end closes it by that alias.

Shapes:  https://docs.opsgenie.com/docs/alert-api
Errors:  https://docs.opsgenie.com/docs/response
End:     Atlassian ends support, and the API with it, on 5 April 2027:
         https://www.atlassian.com/software/opsgenie/migration
"""

from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct

from tocsin.model.event import Kind
from tocsin.model.hidden import Hidden
from tocsin.model.message import Message
from tocsin.model.wire import Accepted, HttpReply, HttpRequest, Outcome, Rejected, Reply, Request, Retry, Sending
from tocsin.provider_kit import alarm
from tocsin.provider_kit.alarm import alarm_key, details, links, severity, summary
from tocsin.provider_kit.classify import by_status, retry_after_s, said
from tocsin.provider_kit.given import as_object
from tocsin.provider_kit.json_reply import decoded
from tocsin.provider_kit.provider import Provider, SecretText
from tocsin.provider_kit.text import cut, line

HOSTS = {"us": "api.opsgenie.com", "eu": "api.eu.opsgenie.com"}

MESSAGE_CHARS = 130
DESCRIPTION_CHARS = 15_000
TAGS = 20
TAG_CHARS = 50
DETAILS_CHARS = 8000
ENTITY_CHARS = 512
SOURCE_CHARS = 100
NOTE_CHARS = 25_000
"""https://docs.opsgenie.com/docs/alert-api#create-alert; the details' is the sum over names and values."""

Priority = Literal["P1", "P2", "P3", "P4", "P5"]
PRIORITIES: dict[str, Priority] = {"critical": "P1", "error": "P2", "warning": "P3", "info": "P5"}

_encoder = msgspec.json.Encoder()


class OpsgenieSettings(Hidden, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`api_key`: the key of an API integration, which may create and close alerts. `region`: `eu` for accounts at
    `app.eu.opsgenie.com`. `priorities` overrides the priority of a kind, such as `{"run.missed": "P1"}`.
    `include_action_buttons` adds the links to the description."""

    api_key: Annotated[
        SecretText,
        Meta(
            pattern=r"^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\Z",
            description="The API key of the integration, in the form of a UUID",
        ),
    ]
    region: Literal["us", "eu"] = "us"
    priorities: dict[Kind, Priority] = {}
    include_action_buttons: bool = True


def render(sending: Sending) -> Request:
    """Opens the alert; while one with the same alias is open, it is counted as that one."""
    message, settings = sending.told, sending.target.settings
    alert: dict[str, Any] = {
        "message": headline(message),
        "alias": alarm_key(sending),
        "description": description(message, settings.include_action_buttons, rich=not sending.plain),
        "source": source(message),
        "priority": settings.priorities.get(message.kind) or PRIORITIES[severity(message)],
    }
    if entity := cut(line(message.pipeline), ENTITY_CHARS):
        alert["entity"] = entity
    if not sending.plain:
        alert |= {"tags": tags(message), "details": fitting(details(message))}
    return request(settings, "/v2/alerts", alert)


def resolve(sending: Sending) -> Request:
    """Closes the alert that `render` opened for the same trouble."""
    path = f"/v2/alerts/{quote(alarm_key(sending), safe='')}/close?identifierType=alias"
    note = {"source": source(sending.told), "note": cut(inert(summary(sending.told)), NOTE_CHARS)}
    return request(sending.target.settings, path, note)


def request(settings: OpsgenieSettings, path: str, content: dict[str, Any]) -> HttpRequest:
    headers = (("content-type", "application/json"), ("authorization", f"GenieKey {settings.api_key}"))
    return HttpRequest("POST", f"https://{HOSTS[settings.region]}{path}", _encoder.encode(content), headers)


def given(sending: Sending) -> Request:
    """An alert that somebody else has made."""
    return request(sending.target.settings, "/v2/alerts", as_object(sending))


def headline(message: Message) -> str:
    """What, which state and where, and the cause as far as there is room."""
    title, cause = line(message.title), line(message.cause)
    told = f"{title}: {cause}" if title and cause else title or summary(message)
    return cut(inert(told), MESSAGE_CHARS)


def source(message: Message) -> str:
    return cut(line(message.source), SOURCE_CHARS) or "tocsin"


def description(message: Message, with_links: bool, *, rich: bool) -> str:
    """The whole story, what was said, the end of the error and where to look."""
    parts = [cut(summary(message), 2000)]
    if rich:
        parts += [alarm.said(message), alarm.error(message)]
    if rich and with_links:
        parts.append("\n".join(f"{one.label}: {one.url}" for one in links(message)))
    return cut(inert("\n\n".join(part for part in parts if part)), DESCRIPTION_CHARS)


def inert(words: str) -> str:
    """Its pages show some HTML of a description; with a word joiner after each "<" there is no tag to show."""
    return words.replace("<", "<\u2060")


def tags(message: Message) -> list[str]:
    """The kind and the labels, to search and route by; a comma would make two of one."""
    told = [message.kind, *(f"{name}:{value}" for name, value in message.labels.items())]
    found = (cut(line(one.replace(",", " ")), TAG_CHARS) for one in told)
    return list(dict.fromkeys(one for one in found if one))[:TAGS]


def fitting(pairs: dict[str, str]) -> dict[str, str]:
    """The first of the pairs, as many as fit together."""
    found: dict[str, str] = {}
    room = DETAILS_CHARS
    for name, value in pairs.items():
        kept = cut(inert(value), room - len(inert(name)))
        if kept:
            found[inert(name)] = kept
            room -= len(inert(name)) + len(kept)
    return found


def classify(reply: Reply) -> Outcome:
    """202 is taken, and worked on later: nobody says here whether the alert came to be."""
    if not isinstance(reply, HttpReply):
        return by_status(reply)
    words = error(reply)
    if reply.status == 202:
        return Accepted("Opsgenie works on it later")
    if 200 <= reply.status < 300:
        return Retry(f"answered, but not with 202: {said(reply)}")
    if reply.status == 429:
        return Retry(said(reply), wait_s(reply), rate_limited=True)
    if reply.status == 402:
        return Rejected(said(reply), "endpoint")  # the account's plan does not include it
    if reply.status == 404 and words:
        return Accepted("Opsgenie has no such alert to close")
    if reply.status == 422 and "key format" in words.lower():
        return Rejected(said(reply), "credential")
    return by_status(reply)


class _Refusal(Struct, rename="camel"):
    message: str
    request_id: str


def error(reply: HttpReply) -> str:
    """The `message` of its own errors, which carry a `requestId`; "" for anybody else's."""
    found = decoded(reply.body, _Refusal)
    return found.message if found else ""


def wait_s(reply: HttpReply) -> float | None:
    """`Retry-After`, or else its own header for the same."""
    own = reply.headers.get("x-ratelimit-period-in-sec", "")
    return retry_after_s(reply.headers) or retry_after_s({"retry-after": own})


def hint(settings: OpsgenieSettings) -> str:
    """The host: the key is shown by its end elsewhere."""
    return HOSTS[settings.region]


PROVIDER = Provider(
    kind="opsgenie",
    label="Opsgenie",
    about="Opens an alert on trouble and closes it when it is over. Atlassian switches Opsgenie off on 5 April 2027: "
    "plan your move to Jira Service Management.",
    settings_type=OpsgenieSettings,
    check_address=None,
    hint=hint,
    render=render,
    resolve=resolve,
    classify=classify,
    given=given,
    rate_per_s=1.0,  # the limit depends on plan and users and is nowhere a number; a minute's smallest share
    timeout_s=10.0,
    max_age_s=24 * 3600,  # an alert that is never closed keeps somebody awake for nothing
    max_body_bytes=200_000,
)
