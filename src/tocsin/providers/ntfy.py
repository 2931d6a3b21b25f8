"""ntfy: notifications for telephones and browsers, by ntfy.sh or a server of one's own.

Publishing:  https://docs.ntfy.sh/publish/#publish-as-json
Limits:      https://docs.ntfy.sh/publish/#limitations
Errors:      https://github.com/binwiederhier/ntfy/blob/main/server/errors.go

Text is text there: nothing in it is markup, and nobody is mentioned. Who knows a topic's name may read it, so the whole
address is a secret.
"""

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from tocsin.model.hidden import Hidden
from tocsin.model.message import Message, Tone
from tocsin.model.wire import Delivered, HttpReply, HttpRequest, Outcome, Rejected, Reply, Request, Retry, Sending
from tocsin.provider_kit.classify import by_status, retry_after_s, said
from tocsin.provider_kit.json_reply import decoded
from tocsin.provider_kit.links import web_links
from tocsin.provider_kit.progress import step_line
from tocsin.provider_kit.provider import Limit, Provider, SecretText, refuse_address
from tocsin.provider_kit.text import cut, line, lines, masked, shared_key, tail

ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]{1,253}(?::[0-9]{1,5})?/[-_A-Za-z0-9]{1,64}/?")
"""A server and a topic. Which hosts may be reached, and how, is for the address guard to say."""

MESSAGE_BYTES = 4096
"""A longer one becomes a file that nobody opens, or is refused where files are not allowed."""
BODY_BYTES = 2 * MESSAGE_BYTES
"""Of the whole JSON: server.go reads no more than twice the length of a message."""
TITLE_CHARS = 150
LABEL_CHARS = 40
URL_CHARS = 500
"""A title takes 1 KB at most; four addresses and three labels of such lengths leave half of the JSON to the message."""
FACTS = 6
STEPS = 15
NARROWER = (4000, 2000, 900)
"""Characters of the message, tried until all of it fits. A character takes four bytes at most."""

TOPIC_REFUSED = frozenset({40009, 40010})
TOO_MANY_TODAY = 42908
DAY_USED_UP_S = 3600.0
"""Nothing says when a day's messages are given anew."""

QUIET, USUAL = 2, 3
"""Without a sound, and with one: https://docs.ntfy.sh/publish/#message-priority"""
ALARMING: frozenset[Tone] = frozenset({"bad", "rollback"})

_encoder = msgspec.json.Encoder()


class NtfySettings(Hidden, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a topic is written to.

    token: an access token, tk_…, where the topic is reserved.
    failure_priority: of failures and rollbacks: 1 (hidden) to 5 (rings on and on); 4 rings once, long.
    one_message_per_run: a run has one notification, which the next one about it replaces. False leaves all of them.
    include_action_buttons: whether to show the links.
    """

    token: Annotated[SecretText, Meta(pattern=r"^(?:tk_[A-Za-z0-9]{1,100})?\Z")] = ""
    failure_priority: Annotated[int, Meta(ge=1, le=5)] = 4
    one_message_per_run: bool = True
    include_action_buttons: bool = True


def check_address(address: str) -> str:
    """A topic at a server, without a name or a password in the address."""
    if not ADDRESS.fullmatch(address):
        raise refuse_address(masked(address), "https://ntfy.sh/ (or your own server) and a topic")
    return address


def render(sending: Sending) -> HttpRequest:
    """Published as JSON, to the server's root: headers could not carry every character."""
    settings: NtfySettings = sending.target.settings
    server, _, topic = sending.target.address.rstrip("/").rpartition("/")
    for chars in NARROWER:
        content = made(sending.told, settings, chars)
        if settings.one_message_per_run and (sequence := sending.run_key or sending.incident_key):
            content["sequence_id"] = sequence
        body = _encoder.encode({"topic": topic} | content)
        if len(content["message"].encode()) <= MESSAGE_BYTES and len(body) <= BODY_BYTES:
            break
    headers: tuple[tuple[str, str], ...] = (("content-type", "application/json"),)
    if settings.token:
        headers += (("authorization", f"Bearer {settings.token}"),)
    return HttpRequest("POST", f"{server}/", body, headers)


def made(message: Message, settings: NtfySettings, chars: int) -> dict[str, Any]:
    """Everything but the topic, its message in at most so many characters."""
    title = cut(line(f"{message.emoji} {message.title}"), TITLE_CHARS)
    content: dict[str, Any] = {
        "title": title,
        "message": words(message, chars) or title,
        "priority": priority(message, settings),
    }
    links = [one for one in web_links(message.actions) if len(one.url) <= URL_CHARS]
    if links and settings.include_action_buttons:
        content["actions"] = [
            {"action": "view", "label": cut(line(one.label), LABEL_CHARS) or "Open", "url": one.url} for one in links
        ]
        if main := next((one.url for one in links if one.style == "primary"), ""):
            content["click"] = main
    return content


def priority(message: Message, settings: NtfySettings) -> int:
    """Nobody's telephone rings because something goes on as it should."""
    if message.tone in ALARMING:
        return settings.failure_priority
    return QUIET if message.tone == "running" or message.kind.startswith("stage.") else USUAL


def words(message: Message, chars: int) -> str:
    """Cause, text, facts, stages; the end of the error gets the room that is left."""
    told = [cut(line(message.cause), chars // 4), cut(lines(message.text).strip(), chars // 4)]
    told += [cut(f"{line(name)}: {line(value)}", chars // 30) for name, value in message.facts[:FACTS]]
    told += [cut(step_line(one), chars // 60) for one in message.steps[-STEPS:]]
    small = cut(" · ".join(part for one in message.footer if (part := line(one))), chars // 8)
    shown = "\n".join(part for part in told if part)
    room = chars - len(shown) - len(small) - len("\n\n" * 2)
    detail = tail(lines(message.detail).strip(), room) if message.detail and room > len("…") else ""
    return cut("\n\n".join(part for part in (shown, detail, small) if part.strip()), chars)


def limits(sending: Sending, request: Request) -> tuple[Limit, ...]:
    """60 requests at once, then one each 5 s, for whoever asks: ntfy.sh goes by account, or by address without one."""
    assert isinstance(request, HttpRequest)
    return (Limit(shared_key("ntfy", request.url, sending.target.settings.token), 60, 300.0),)


class _Said(Struct):
    """A message that was taken has an id; an error has a number, whose first three digits are the status."""

    id: str = ""
    code: int = 0


def classify(reply: Reply) -> Outcome:
    """Delivered is 200 and the message's id, nothing less."""
    if not isinstance(reply, HttpReply):
        return by_status(reply)
    found = decoded(reply.body, _Said) or _Said()
    if found.code in TOPIC_REFUSED:
        return Rejected(said(reply), "endpoint")
    if found.code == TOO_MANY_TODAY:
        return Retry(said(reply), retry_after_s(reply.headers) or DAY_USED_UP_S, rate_limited=True)
    if not 200 <= reply.status < 300:
        return by_status(reply)
    # Anything without an id is a proxy or a login page in between: nothing was published.
    return Delivered() if found.id else Retry(f"answered, but with no message: {said(reply)}")


PROVIDER = Provider(
    kind="ntfy",
    label="ntfy",
    about="Notifications on telephones and browsers that subscribe to a topic of ntfy.sh or of your own server.",
    settings_type=NtfySettings,
    check_address=check_address,
    render=render,
    classify=classify,
    limits=limits,
    timeout_s=10.0,
    max_age_s=6 * 3600,
    max_body_bytes=BODY_BYTES,
)
