"""The inbox in Tocsin itself: a message that waits for somebody until they look.

Nothing is escaped here: the inbox shows text as text. What steers a screen is taken out, and everything is cut to what
one item may take.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from tocsin.model.event import Action
from tocsin.model.message import Message
from tocsin.model.wire import Delivered, InboxRequest, Kept, Outcome, Reply, Sending
from tocsin.provider_kit.body import rfc3339
from tocsin.provider_kit.classify import by_status
from tocsin.provider_kit.links import web_links
from tocsin.provider_kit.provider import Provider
from tocsin.provider_kit.text import cut, line, lines, tail

MAX_BYTES = 8_000
"""Of an item's body: a thousand items of one person's inbox are 8 MB."""
TITLE_CHARS = 150
TEXT_CHARS = 300
FACTS = 6
NARROWER = (2000, 600, 150, 40)
"""Characters of each part, tried until the body fits. A character takes four bytes at most."""

_encoder = msgspec.json.Encoder()


class InAppSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`user_id` is whose inbox it is; "" is the inbox of the endpoint's own user."""

    user_id: Annotated[str, Meta(max_length=200)] = ""


def render(sending: Sending) -> InboxRequest:
    """The headline for the list, and the rest as JSON for whoever opens it."""
    message = sending.told
    settings: InAppSettings = sending.target.settings
    actions = _actions(message)
    text = message.cause or message.text or message.sentence
    return InboxRequest(
        user_id=settings.user_id,
        title=cut(line(f"{message.emoji} {message.title}"), TITLE_CHARS),
        text=cut(line(text), TEXT_CHARS),
        tone=message.tone,
        url=next((one.url for one in actions if one.style != "danger"), ""),
        body=_body(message, actions),
    )


def _actions(message: Message) -> list[Action]:
    return web_links(message.actions or tuple(Action("Open", url) for url in message.links.values()))


def _body(message: Message, actions: list[Action]) -> bytes:
    for chars in NARROWER:
        body = _encoder.encode(_item(message, actions, chars))
        if len(body) <= MAX_BYTES:
            break
    return body


def _item(message: Message, actions: list[Action], chars: int) -> dict[str, object]:
    """Every part in at most so many characters; facts, labels and ids in a quarter of them or less."""
    short = min(chars // 4 + 10, 120)
    return {
        "title": cut(line(message.title), min(chars, TITLE_CHARS)),
        "emoji": message.emoji,
        "tone": message.tone,
        "sentence": cut(line(message.sentence), chars),
        "cause": cut(line(message.cause), chars),
        "text": cut(lines(message.text), chars),
        "detail": tail(lines(message.detail), chars),
        "facts": [[cut(line(part), short) for part in pair] for pair in message.facts[:FACTS]],
        "steps": [[cut(line(one.name), short), one.status] for one in message.steps[: short // 2]],
        "actions": [
            {"label": cut(line(one.label), short), "url": one.url, "style": one.style}
            for one in actions
            if len(one.url) <= chars
        ],
        "footer": [cut(line(part), short) for part in message.footer[:FACTS]],
        "event_id": cut(line(message.event_id), short),
        "kind": message.kind,
        "source": cut(line(message.source), short),
        "severity": message.severity,
        "status": message.run_status,
        "pipeline": cut(line(message.pipeline), short),
        "run_id": cut(line(message.run_id), short),
        "time": rfc3339(message.time_ms),
    }


def classify(reply: Reply) -> Outcome:
    """What is kept is delivered: it stays until somebody has seen it."""
    return Delivered() if isinstance(reply, Kept) else by_status(reply)


PROVIDER = Provider(
    kind="in_app",
    label="Inbox",
    about="Messages that wait in Tocsin's own dashboard until somebody has seen them.",
    settings_type=InAppSettings,
    check_address=None,
    render=render,
    classify=classify,
    hint=lambda settings: settings.user_id,
    max_age_s=7 * 24 * 3600,
    max_body_bytes=MAX_BYTES,
)
