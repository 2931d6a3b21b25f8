"""Any of Apprise's services, by its address: for what Tocsin does not speak itself.

Addresses:  https://appriseit.com/services/

Apprise knows yes and no, and hands back no receipt: nothing is edited, threaded or proved. What matters comes first in
the text, because each service cuts it at a length of its own (see `fitted` in provider_kit/apprise_service.py).
"""

import re
from typing import Literal

from msgspec import Struct

from tocsin.model.message import Message, Tone
from tocsin.model.wire import (
    Accepted,
    AppriseReply,
    AppriseRequest,
    HttpReply,
    Outcome,
    Rejected,
    Reply,
    Retry,
    Sending,
)
from tocsin.provider_kit.apprise_service import service
from tocsin.provider_kit.classify import by_status
from tocsin.provider_kit.links import web_links
from tocsin.provider_kit.progress import bar, current
from tocsin.provider_kit.provider import Provider, SecretText
from tocsin.provider_kit.text import cut, line, lines, tail

TITLE_CHARS = 250
"""As Apprise has it where a service says nothing of its own."""
CAUSE_CHARS = 300
TEXT_CHARS = 2000
DETAIL_CHARS = 1500
FACTS = 6
FACT_CHARS = 200
FOOTER_CHARS = 300
MAX_BYTES = 48_000
"""More than the parts below come to, four bytes to the character."""

TONES: dict[Tone, Literal["info", "success", "warning", "failure"]] = {
    "running": "info",
    "good": "success",
    "bad": "failure",
    "warning": "warning",
    "rollback": "failure",
    "neutral": "info",
}

# Services have markup of all kinds, and Apprise hands text on to most of them as it is. What could mention somebody or
# hide a link is written with a character that looks alike.
_MENTION = re.compile(r"(?<![\w.+-])@(?=\w)")
_TAG = re.compile(r"<(?=\S)")
_LINK = re.compile(r"\](?=[(\[])")

_SAID = re.compile(r"HTTP ([3-5]\d\d)(?:, retry after (\d{1,6}) s)?: ")


class AppriseSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`url` is the address as Apprise writes it, such as `gotify://host/token`; it is secret as a whole. Only services
    that are reached over HTTP are allowed. Needs the extra `tocsin[apprise]`. `include_action_buttons` adds the links,
    one a line."""

    url: SecretText
    include_action_buttons: bool = True


def check_settings(settings: AppriseSettings) -> None:
    """Raises Invalid where Apprise is missing, does not understand the address, or its service may not be used."""
    service(settings.url)


def render(sending: Sending) -> AppriseRequest:
    """The title, and the text from what matters most to the small print."""
    message = sending.told
    settings: AppriseSettings = sending.target.settings
    title = harmless(line(f"{message.emoji} {message.title}"))
    title = "".join(char for char in title if char.isprintable())  # some services carry it in a header
    text = _text(message, settings.include_action_buttons, plain=sending.plain)
    return AppriseRequest(settings.url, cut(title, TITLE_CHARS), text.encode("utf-8", "replace"), TONES[message.tone])


def _text(message: Message, links: bool, plain: bool) -> str:
    parts = [cut(line(message.cause), CAUSE_CHARS), cut(lines(message.text).strip(), TEXT_CHARS)]
    parts = [harmless(part) for part in parts if part]
    if message.run_status == "running" and (progress := bar(message.steps)):
        parts.append(f"{progress} {cut(harmless(current(message.steps)), FACT_CHARS)}".rstrip())
    if not plain:
        parts.append("\n".join(_fact(name, value) for name, value in message.facts[:FACTS] if line(value)))
    if links:
        parts.append("\n".join(f"{_label(one.label)}: {one.url}" for one in web_links(message.actions)))
    if not plain:
        parts.append(harmless(tail(lines(message.detail).strip(), DETAIL_CHARS)))
        parts.append(harmless(cut(" · ".join(filter(None, map(line, message.footer))), FOOTER_CHARS)))
    # The title says most of the sentence already.
    return "\n\n".join(filter(None, parts)) or harmless(cut(line(message.sentence), TEXT_CHARS))


def _fact(name: str, value: str) -> str:
    return harmless(f"{cut(line(name), 40)}: {cut(line(value), FACT_CHARS)}")


def _label(label: str) -> str:
    return harmless(cut(line(label), 40)) or "Open"


def harmless(text: str) -> str:
    """The text with nothing in it that mentions somebody or hides where a link goes, in any service's markup."""
    return _LINK.sub("] ", _TAG.sub("‹", _MENTION.sub("＠", text)))


def classify(reply: Reply) -> Outcome:
    """What Apprise calls sent is taken, delivery is not provable.

    A refusal is the message's, never the endpoint's: an address may name several receivers, and one that is gone says
    nothing of the others.
    """
    if not isinstance(reply, AppriseReply):
        return by_status(reply)
    if reply.ok:
        return Accepted("Apprise says that it was sent, and hands back no receipt")
    words = line(reply.body.decode("utf-8", "replace"))
    found = _SAID.match(words)
    if found is None:
        return Retry(words or "Apprise says that it failed")
    headers = {"retry-after": found[2]} if found[2] else {}
    outcome = by_status(HttpReply(int(found[1]), headers, words[found.end() :].encode()))
    return Rejected(outcome.reason, "message") if isinstance(outcome, Rejected) else outcome


PROVIDER = Provider(
    kind="apprise",
    label="Apprise",
    about="Any of Apprise's services that is reached over HTTP, by its address. For what is not in this list.",
    settings_type=AppriseSettings,
    check_address=None,
    check_settings=check_settings,
    render=render,
    classify=classify,
    hint=lambda settings: settings.url.partition("://")[0][:40],
    rate_per_s=1.0,  # what most services take; Apprise itself would wait for up to 5.5 s between two messages
    timeout_s=20.0,
    max_body_bytes=MAX_BYTES,
)
