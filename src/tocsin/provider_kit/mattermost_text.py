"""A message as Mattermost shows it: one attachment beside a bar in the colour of the state. For webhooks and for bots.

Shapes:  https://developers.mattermost.com/integrate/reference/message-attachments/
Markup:  https://docs.mattermost.com/collaborate/format-messages.html

What comes from outside is escaped: no event can mention anybody, hide a link or format the message. Mattermost also
reads Slack's markup in attachments (`<https://…|words>`, `<!here>`), wherever it stands.
"""

import re
from typing import Annotated, Any

from msgspec import Meta, Struct

from tocsin.model.message import Message
from tocsin.model.wire import HttpReply
from tocsin.provider_kit.block_kit import COLOURS, LOUD, MENTIONED
from tocsin.provider_kit.classify import retry_after_s
from tocsin.provider_kit.json_reply import decoded
from tocsin.provider_kit.markdown import fenced, main_link, safe_links, stages
from tocsin.provider_kit.text import cut, cut_escaped, line, lines

Json = dict[str, Any]

POST_CHARS = 4000
"""What every server takes, the oldest too; newer ones take 16,383."""
FOOTER_CHARS = 300
"""Mattermost cuts a longer one off."""

TITLE_CHARS = 250
SENTENCE_CHARS = 1200
CAUSE_CHARS = 300
TEXT_CHARS = 2000
DETAIL_CHARS = 600
CARD_CHARS = 4000
FACTS = 6
NAME_CHARS = 60
VALUE_CHARS = 300
LABEL_CHARS = 75

_ONE_MENTION = r"@?[A-Za-z0-9][A-Za-z0-9._-]{1,63}"
Mention = Annotated[
    str,
    Meta(
        pattern=rf"^(?:{_ONE_MENTION}(?: {_ONE_MENTION})*)?\Z",
        max_length=500,
        description="`here`, `channel`, `all`, the name of a user or a group, or several with a space between",
    ),
]
ThemeColor = Annotated[str, Meta(pattern=r"^(?:#?[0-9A-Fa-f]{6})?\Z")]


def attachment(message: Message, with_links: bool = True, theme_color: str = "") -> Json:
    """Title, cause, text, stages, links, the end of the error, facts in two columns, small print. The links come first,
    since Mattermost folds what is long."""
    shown = safe_links(message.actions) if with_links else []
    title = line(f"{message.emoji} {message.title}") or "–"
    made: Json = {
        "fallback": cut(neutral(line(message.sentence)) or title, SENTENCE_CHARS),
        "color": colour(message, theme_color),
    }
    if url := main_link(shown):
        made["title"] = cut(neutral(title), TITLE_CHARS)  # a title with a link is plain text, one without is Markdown
        made["title_link"] = url
    else:
        made["title"] = cut_escaped(title, TITLE_CHARS, escape)
    parts = [
        cut_escaped(line(message.cause), CAUSE_CHARS, escape),
        cut_escaped(lines(message.text).strip(), TEXT_CHARS, escape),
        stages(message, escape),
        " · ".join(f"[{label(one.label)}]({one.url})" for one in shown),
        code(detail, DETAIL_CHARS) if (detail := lines(message.detail).strip()) else "",
    ]
    if text := "\n\n".join(part for part in parts if part):
        made["text"] = text
    if message.facts:
        made["fields"] = [field(name, value) for name, value in message.facts[:FACTS]]
    if small := cut(neutral(line(" · ".join(message.footer))), FOOTER_CHARS):
        made["footer"] = small
    return made


def card(message: Message) -> str:
    """What opens beside the channel: the whole error, where the message shows its end only; else ""."""
    detail = lines(message.detail).strip()
    if len(detail) <= DETAIL_CHARS - len("```\n\n```"):
        return ""
    title = cut_escaped(line(f"{message.emoji} {message.title}"), TITLE_CHARS, escape)
    return f"**{title}**\n\n{code(detail, CARD_CHARS)}"


def plain(message: Message, whom: str = "", with_links: bool = True) -> str:
    """Words and addresses, one under the other, in POST_CHARS; never empty."""
    told = line(message.sentence)
    parts = [part for part in (whom, cut_escaped(told, SENTENCE_CHARS, escape)) if part]
    if message.text and line(message.text) not in told:
        parts.append(cut_escaped(lines(message.text).strip(), SENTENCE_CHARS, escape))
    for one in safe_links(message.actions) if with_links else []:
        link = f"{label(one.label)}: <{one.url}>"
        if sum(len(part) + 1 for part in parts) + len(link) <= POST_CHARS:
            parts.append(link)
    return "\n".join(part for part in parts if part) or "–"


def field(name: str, value: str) -> Json:
    return {
        "title": cut_escaped(line(name), NAME_CHARS, escape) or "·",
        "value": cut_escaped(line(value), VALUE_CHARS, escape) or "–",
        "short": True,
    }


def label(words: str) -> str:
    """The visible part of a link."""
    return cut_escaped(line(words), LABEL_CHARS, escape) or "Link"


def colour(message: Message, theme_color: str = "") -> str:
    """The state's colour. A theme's own replaces it only where nothing went wrong."""
    chosen = COLOURS[message.tone] if message.tone in LOUD or not theme_color else theme_color
    return f"#{chosen.removeprefix('#')}"


def mention(message: Message, asked: bool | str) -> str:
    """Whom to wake, on a failure or a rollback only."""
    if message.tone not in MENTIONED or not asked:
        return ""
    words = "here" if asked is True else str(asked)
    return " ".join(f"@{one.removeprefix('@')}" for one in words.split())


_MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\*_~`|[]()!$"})
_ENTITY = re.compile(r"&(?=#?\w+;)")
_COLON = re.compile(r":(?=//|[\w+-]+:)")
_AT = re.compile(r"@(?=\w)")
_LINE_START = re.compile(r"^([ \t]*)(#|>|[-+=])", re.MULTILINE)
_NUMBER = re.compile(r"^([ \t]*[0-9]+)(?=\.\s)", re.MULTILINE)


def escape(words: str) -> str:
    """Words in which Mattermost finds nothing: no format, link, list, picture, emoji or mention."""
    words = _ENTITY.sub("&amp;", words).translate(_MARKS)
    words = _LINE_START.sub(r"\1\\\2", _NUMBER.sub(r"\1\\", words))
    return _COLON.sub(":\u200b", neutral(words.replace("<", "&lt;")))


def neutral(words: str) -> str:
    """Plain words that mention nobody: a character without width after each `@`, since a back-slash does not help. An
    angle bracket that would be Slack's gets one too."""
    return _SLACKS.sub("<\u200b", _AT.sub("@\u200b", words))


_SLACKS = re.compile(r"<(?=[!@#])")
_SLACKS_LINK = re.compile(r"<(?=[^<|>]+\|[^|>]+>)")


def code(words: str, limit: int) -> str:
    """The end of an error, as it is. Mattermost makes links of Slack's even in code, so those lose their bracket."""
    return fenced(_SLACKS_LINK.sub("‹", neutral(words)), limit)


class AppError(Struct):
    """Mattermost's error: `id` is what does not change with the server's language."""

    id: str = ""
    message: str = ""


def app_error(reply: HttpReply) -> AppError:
    """The error in a reply; an empty one where something else answered."""
    return decoded(reply.body, AppError) or AppError()


def reason(error: AppError) -> str:
    """The id, and what the server says to people."""
    return cut(line(f"{error.id}: {error.message}" if error.message else error.id), 300)


def wait_s(reply: HttpReply) -> float | None:
    """Seconds until the server takes more: https://developers.mattermost.com/api-documentation/#rate-limiting"""
    reset = reply.headers.get("x-ratelimit-reset", "")
    return retry_after_s(reply.headers) or (retry_after_s({"retry-after": reset}) if reset.isdigit() else None)
