"""A message as mail: what both of its parts show, the plain one, the headers, and the bytes.

Format:   https://www.rfc-editor.org/rfc/rfc5322, multipart/alternative as in https://www.rfc-editor.org/rfc/rfc2046
Words:    https://www.rfc-editor.org/rfc/rfc2047 for whatever is not plain ASCII
Headers:  https://www.rfc-editor.org/rfc/rfc3834 (Auto-Submitted), https://www.rfc-editor.org/rfc/rfc8058 (one click)

Nothing here asks `email.message` to fold what came from outside: every header is made of words that were cleaned and
encoded first, so that none can begin another, and the same message is the same bytes in every version of Python.
"""

import binascii
import re
from base64 import b64encode
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Annotated
from urllib.parse import quote

from msgspec import Meta, Struct

from tocsin.model.event import Action
from tocsin.model.message import Message, Tone
from tocsin.model.run import RunStep
from tocsin.provider_kit.body import rfc3339
from tocsin.provider_kit.text import cut, duration, line, lines, shared_key, tail

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
ADDRESS = rf"^(?=[^@]{{1,64}}@){_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+[A-Za-z](?:[A-Za-z0-9-]{{0,61}}[A-Za-z0-9])?\Z"
"""RFC 5321, 4.1.2, without the forms that nobody has: quoted names, comments, numbers for a domain. An international
domain is written xn--…, as in DNS."""
ADDRESS_CHARS = 254
"""RFC 5321, 4.5.3.1.3: a path has 256 characters, two of them its brackets."""

EmailAddress = Annotated[str, Meta(pattern=ADDRESS, max_length=ADDRESS_CHARS, description="`name@example.com`")]

# Gmail shows the first 102 KB of a mail and hides the rest behind a link. With all of these filled, and every character
# escaped, a mail has some 90 KB of HTML.
SUBJECT_CHARS = 150
TITLE_CHARS = 200
CAUSE_CHARS = 300
TEXT_CHARS = 3000
DETAIL_CHARS = 3000
FACTS = 6
NAME_CHARS = 60
VALUE_CHARS = 300
STEPS = 12
FOOTER_CHARS = 600
LINKS = 3
LABEL_CHARS = 60
URL_CHARS = 2000
PREVIEW_CHARS = 140
"""What inboxes show beside the subject, at the most."""

BADGES = {
    "run.started": "Started",
    "run.progress": "Running",
    "run.paused": "Paused",
    "run.succeeded": "Succeeded",
    "run.failed": "Failed",
    "run.warning": "Warning",
    "run.cancelled": "Cancelled",
    "run.exceeded": "Overdue",
    "run.missed": "Missed",
    "stage.started": "Running",
    "stage.progress": "Running",
    "stage.succeeded": "Succeeded",
    "stage.failed": "Failed",
    "stage.skipped": "Skipped",
    "rollout.advanced": "Rollout",
    "safety.rollback": "Rolled back",
    "alert.resolved": "Resolved",
}
"""The state in a word, for those to whom a colour says nothing. An alert shows how severe it is."""
MARKS = {"running": "⏳", "succeeded": "✅", "failed": "❌", "skipped": "⏭️"}
URGENT: frozenset[Tone] = frozenset({"bad", "rollback"})

_LINE_BYTES = 42
"""Of UTF-8 in one encoded word: 68 characters, and 76 with `Subject: ` before it; RFC 2047 allows 76 in a line."""
_PHRASE = re.compile(r"[ !#-\[\]-~]*")  # what needs no escape between quotation marks
_URL_KEPT = ":/?#[]@!$&'()*+,;=%-._~"


class Link(Struct, frozen=True):
    """A label, and an http(s) address in visible ASCII."""

    label: str
    url: str


class Content(Struct, frozen=True, kw_only=True):
    """What a mail says, clean and in its limits, for both parts. `when` is UTC; `stages` is the heading
    of the steps, and says how many are left out."""

    tone: Tone
    emoji: str
    badge: str
    title: str
    preview: str
    cause: str
    text: str
    facts: tuple[tuple[str, str], ...]
    stages: str
    steps: tuple[tuple[str, str, str], ...]
    detail: str
    links: tuple[Link, ...]
    footer: str
    when: str
    unsubscribe_url: str


def content_of(message: Message, *, with_links: bool = True, unsubscribe_url: str = "") -> Content:
    """The message as a mail tells it."""
    title = cut(line(message.title), TITLE_CHARS) or cut(line(message.sentence), TITLE_CHARS) or "Notification"
    cause = cut(line(message.cause), CAUSE_CHARS)
    text = cut(lines(message.text).strip(), TEXT_CHARS)
    shown = tuple((cut(line(name), NAME_CHARS), cut(line(value), VALUE_CHARS)) for name, value in message.facts[:FACTS])
    facts = tuple((name or "·", value or "–") for name, value in shown)
    footer = cut(" · ".join(part for part in map(line, message.footer) if part), FOOTER_CHARS)
    told = [part for part in (cause, line(text)) if part] or [f"{name} {value}" for name, value in facts] or [footer]
    return Content(
        tone=message.tone,
        emoji=line(message.emoji),
        badge=BADGES.get(message.kind) or (message.severity.capitalize() if message.kind == "alert" else "Update"),
        title=title,
        preview=cut(" · ".join(told), PREVIEW_CHARS),
        cause=cause,
        text=text,
        facts=facts,
        stages="Stages" if len(message.steps) <= STEPS else f"Stages (the last {STEPS} of {len(message.steps)})",
        steps=tuple(map(step, message.steps[-STEPS:])),
        detail=tail(lines(message.detail).strip("\n"), DETAIL_CHARS),
        links=links(message.actions) if with_links else (),
        footer=footer,
        when=rfc3339(message.time_ms)[:16].replace("T", " ") + " UTC",
        unsubscribe_url=unsubscribe_url,
    )


def step(one: RunStep) -> tuple[str, str, str]:
    """(mark, name, how long or its state)"""
    took = one.status if one.duration_ms is None else duration(one.duration_ms)
    return MARKS.get(one.status, "•"), cut(line(one.name), NAME_CHARS) or "stage", took


def links(actions: tuple[Action, ...]) -> tuple[Link, ...]:
    """The first few; http and https only, whoever made the message."""
    found: list[Link] = []
    for one in actions:
        url = quote(line("".join(one.url.split())), safe=_URL_KEPT)
        if url.lower().startswith(("https://", "http://")) and len(url) <= URL_CHARS and len(found) < LINKS:
            found.append(Link(cut(line(one.label), LABEL_CHARS) or "Open", url))
    return tuple(found)


def plain(content: Content) -> str:
    """The plain part: all that the other part says, in the same order."""
    parts = [f"{content.emoji} {content.title}".strip(), content.cause, content.text]
    if content.facts:
        width = min(20, max(len(name) for name, _ in content.facts)) + 1
        parts.append("\n".join(f"{name + ':':<{width}} {value}" for name, value in content.facts))
    parts.append("\n".join(f"{one.label}: {one.url}" for one in content.links))
    if content.steps:
        shown = (f"{mark} {name} · {took}" for mark, name, took in content.steps)
        parts.append("\n".join([content.stages, *shown]))
    if content.detail:
        parts.append(f"Error\n{content.detail}")
    small = " · ".join(part for part in (content.footer, content.when) if part)
    parts.append(f"-- \n{small}\nSent by Tocsin")
    if content.unsubscribe_url:
        parts[-1] += f" · Unsubscribe: {content.unsubscribe_url}"
    return "\n\n".join(part for part in parts if part) + "\n"


def subject(message: Message, prefix: str = "") -> str:
    """`❌ train-ranker failed in prod (evaluate)`, one line."""
    said = line(f"{message.emoji} {message.title}") or line(message.sentence) or "Notification"
    stage = line(message.stage or dict(message.facts).get("Step", ""))
    if stage and stage not in said:
        said = f"{cut(said, SUBJECT_CHARS - NAME_CHARS)} ({cut(stage, NAME_CHARS - 20)})"
    return cut(line(f"{prefix} {said}"), SUBJECT_CHARS)


def shared_headers(
    *, delivery_id: str, run_key: str, from_address: str, unsubscribe_url: str, urgent: bool
) -> dict[str, str]:
    """The headers that a mail carries whoever takes it to its readers. The id is the delivery's, so that a mail sent
    twice is one to a mailbox; all mails of a run refer to one that never was, so that they are one conversation."""
    domain = from_address.rpartition("@")[2]
    found = {"Message-ID": f"<{delivery_id}@{domain}>"}
    if run_key:
        root = f"<run.{run_key}@{domain}>"
        found |= {"In-Reply-To": root, "References": root}
    # Nobody's "I am on holiday" answers a machine: RFC 3834, and what Exchange asks for.
    found |= {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "OOF, AutoReply"}
    if urgent:
        found["Importance"] = "high"
    if unsubscribe_url:
        found["List-Unsubscribe"] = f"<{unsubscribe_url}>"
        if unsubscribe_url.startswith("https://"):
            found["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return found


def mail(
    *,
    sender: tuple[str, str],
    to: tuple[str, ...],
    cc: tuple[str, ...],
    subject: str,
    at_s: int,
    headers: dict[str, str],
    parts: tuple[str, str],
) -> bytes:
    """The whole mail: 7-bit, CRLF, no line longer than 998. `sender` is (name, address), `parts` text and HTML."""
    head = [("From", mailbox(*sender)), ("To", ",\r\n ".join(to))]
    if cc:
        head.append(("Cc", ",\r\n ".join(cc)))
    head += [("Subject", words(subject)), ("Date", date(at_s)), *headers.items(), ("MIME-Version", "1.0")]
    boundary = "=_" + shared_key("boundary", headers["Message-ID"])  # "=_" never stands in quoted-printable
    head.append(("Content-Type", f'multipart/alternative;\r\n boundary="{boundary}"'))
    text, html = parts
    pieces = [_head(head), _part("plain", text), _part("html", html)]
    return f"\r\n--{boundary}\r\n".encode().join(pieces) + f"\r\n--{boundary}--\r\n".encode()


def mailbox(name: str, address: str) -> str:
    """`"Tocsin" <alerts@example.com>`"""
    name = line(name)
    if not name:
        return address
    if _PHRASE.fullmatch(name) and len(name) <= 60 and "=?" not in name:
        return f'"{name}" <{address}>'
    return f"{encoded(name)}\r\n <{address}>"


def words(text: str) -> str:
    """Text as it may stand in a header."""
    text = line(text)
    if text.isascii() and text.isprintable() and len(text) <= 60 and "=?" not in text:
        return text
    return encoded(text)


def encoded(text: str) -> str:
    """RFC 2047: as many encoded words as it takes, one a line; no character is divided between two."""
    chunks = [b""]
    for char in text:
        raw = char.encode("utf-8", "replace")
        if len(chunks[-1]) + len(raw) > _LINE_BYTES:
            chunks.append(b"")
        chunks[-1] += raw
    return "\r\n ".join(f"=?utf-8?b?{b64encode(chunk).decode()}?=" for chunk in chunks)


def date(at_s: int) -> str:
    """Unix seconds as in RFC 5322, 3.3."""
    return format_datetime(datetime.fromtimestamp(at_s, UTC))


def _head(pairs: list[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in pairs).encode("ascii")


def _part(kind: str, text: str) -> bytes:
    content = binascii.b2a_qp(text.encode("utf-8", "replace"), istext=True).replace(b"\n", b"\r\n")
    return (
        f"Content-Type: text/{kind}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n".encode()
        + content
        + (b"" if content.endswith(b"\r\n") else b"\r\n")
    )
