"""A message as Discord shows it: a sentence where it is loud, and one embed beside a bar in the colour of the state.

Shapes and limits:  https://docs.discord.com/developers/resources/message#embed-object
Markup:             https://docs.discord.com/developers/reference#message-formatting

What comes from outside is escaped: no event can mention anybody, hide a link or format the message. Besides, every
message says in `allowed_mentions` whom it may wake: nobody, or whom the endpoint's settings name.
"""

import re
from typing import Annotated, Any

from msgspec import Meta

from tocsin.model.event import Action
from tocsin.model.message import Message
from tocsin.provider_kit.block_kit import COLOURS, LOUD, MENTIONED
from tocsin.provider_kit.body import rfc3339
from tocsin.provider_kit.markdown import fenced, main_link, safe_links, stages
from tocsin.provider_kit.text import cut, cut_escaped, line, lines

Json = dict[str, Any]

CONTENT_CHARS = 2000
TITLE_CHARS = 256
URL_CHARS = 2048
THREAD_NAME_CHARS = 100
"""Discord's own limits. An embed holds 4096 characters in its description, 25 fields of 1024, none of them empty, and
6000 characters in all."""

# What each part may take of the 6000; with the title (256) and the stages (850) 5,880.
CAUSE_CHARS = 300
TEXT_CHARS = 1000
DETAIL_CHARS = 1000
FACTS = 6
NAME_CHARS = 60
VALUE_CHARS = 200
LINKS_CHARS = 700
LABEL_CHARS = 75
FOOTER_CHARS = 200

SILENT = 1 << 12
"""SUPPRESS_NOTIFICATIONS: it is there when somebody looks, and no device makes a sound."""

_ONE_MENTION = r"(?:@?(?:here|everyone)|<@!?[0-9]{17,20}>|<@&[0-9]{17,20}>)"
Mention = Annotated[
    str,
    Meta(
        pattern=rf"^(?:{_ONE_MENTION}(?: {_ONE_MENTION})*)?\Z",
        max_length=500,
        description="`<@user id>`, `<@&role id>`, `here` or `everyone`, or several with a space between",
    ),
]


def embed(message: Message, with_links: bool = True, theme_color: str = "") -> Json:
    """Title, cause, text, stages, the end of the error, facts, links, small print."""
    shown = safe_links(message.actions) if with_links else []
    made: Json = {
        "title": cut_escaped(line(f"{message.emoji} {message.title}"), TITLE_CHARS, escape) or "–",
        "color": colour(message, theme_color),
    }
    if is_taken(url := main_link(shown)):
        made["url"] = url
    if words := description(message):
        made["description"] = words
    fields = [field(name, value) for name, value in message.facts[:FACTS]]
    if shown_links := link_line(shown):
        fields.append({"name": "Links", "value": shown_links, "inline": False})
    if fields:
        made["fields"] = fields
    if small := cut(neutral(line(" · ".join(message.footer))), FOOTER_CHARS):
        made["footer"] = {"text": small}
    if message.time_ms > 0:
        made["timestamp"] = rfc3339(message.time_ms)
    return made


def description(message: Message) -> str:
    """Everything between the title and the facts; "" where there is nothing to say."""
    parts = [
        cut_escaped(line(message.cause), CAUSE_CHARS, escape),
        cut_escaped(lines(message.text).strip(), TEXT_CHARS, escape),
        stages(message, escape),
    ]
    told = "\n\n".join(part for part in parts if part)
    if detail := lines(message.detail).strip():
        told += ("\n" if told else "") + fenced(neutral(detail), DETAIL_CHARS)
    return told


def sentence(message: Message, limit: int) -> str:
    """The whole story in at most `limit` characters of markup."""
    return cut_escaped(line(message.sentence), limit, escape)


def plain(message: Message, whom: str = "", with_links: bool = True) -> str:
    """Words and addresses, one under the other, in CONTENT_CHARS; never empty."""
    told = line(message.sentence)
    parts = [part for part in (whom, cut_escaped(told, 700, escape)) if part]
    if message.text and line(message.text) not in told:
        parts.append(cut_escaped(lines(message.text).strip(), 700, escape))
    for one in safe_links(message.actions) if with_links else []:
        link = f"{label(one.label)}: <{one.url}>"
        if sum(len(part) + 1 for part in parts) + len(link) <= CONTENT_CHARS:
            parts.append(link)
    return "\n".join(part for part in parts if part) or "–"


def colour(message: Message, theme_color: str = "") -> int:
    """The state's colour. A theme's own replaces it only where nothing went wrong."""
    chosen = COLOURS[message.tone] if message.tone in LOUD or not theme_color else theme_color
    return int(chosen.removeprefix("#"), 16)


def field(name: str, value: str) -> Json:
    """A pair; Discord refuses the whole message for one that is empty."""
    return {
        "name": cut_escaped(line(name), NAME_CHARS, escape) or "·",
        "value": cut_escaped(line(value), VALUE_CHARS, escape) or "–",
        "inline": True,
    }


def link_line(shown: list[Action]) -> str:
    """The links that fit together, in one line."""
    parts: list[str] = []
    room = LINKS_CHARS
    for one in shown:
        words = label(one.label)
        link = f"[{words}]({one.url})" if is_taken(one.url) else f"{words}: <{one.url}>"
        if len(link) + 3 <= room:
            parts.append(link)
            room -= len(link) + 3
    return " · ".join(parts)


def label(words: str) -> str:
    """The visible part of a link."""
    return cut_escaped(line(words), LABEL_CHARS, escape) or "Link"


_TAKEN = re.compile(r"https?://(?:[A-Za-z0-9_-]{1,63}\.)+[A-Za-z]{2,63}(?::[0-9]{1,5})?(?:[/?#].*)?", re.IGNORECASE)


def is_taken(url: str) -> bool:
    """Whether Discord takes it as an embed's link: it refuses the whole message for a host without a dot, such as
    `http://localhost:8080`. https://github.com/bugsink/bugsink/issues/280"""
    return len(url) <= URL_CHARS and _TAKEN.fullmatch(url) is not None


def thread_name(message: Message) -> str:
    """A forum post's title. A webhook can never rename it, so it shows a state only when that is final."""
    state = "" if message.run_status in ("running", "paused", "unknown") else message.emoji
    name = neutral(line(message.pipeline or message.title)) or "Notification"
    run = f" · {cut(line(message.run_id), 8)}" if line(message.run_id) else ""
    rest = f"{run} · {rfc3339(max(0, message.time_ms))[:10]}"
    return f"{cut(line(f'{state} {name}'), THREAD_NAME_CHARS - len(rest))}{rest}"


def mention(message: Message, asked: bool | str) -> str:
    """Whom to wake, on a failure or a rollback only."""
    if message.tone not in MENTIONED or not asked:
        return ""
    words = "here" if asked is True else str(asked)
    return " ".join(one if one[0] in "<@" else f"@{one}" for one in words.split())


def allowed_mentions(whom: str) -> Json:
    """Exactly those whom `mention` named. An empty `parse` keeps Discord from finding more in the text."""
    every = "@here" in whom or "@everyone" in whom
    found: Json = {"parse": ["everyone"] if every else []}
    if users := list(dict.fromkeys(re.findall(r"<@!?([0-9]+)>", whom))):
        found["users"] = users
    if roles := list(dict.fromkeys(re.findall(r"<@&([0-9]+)>", whom))):
        found["roles"] = roles
    return found


def is_silent(message: Message) -> bool:
    """What goes on makes no sound."""
    return message.tone == "running" or (message.kind.startswith("stage.") and message.tone not in LOUD)


_MARKS = re.compile(r"[\\*_~`|\[\]()<>]|:(?=//|[\w+-]+:)")
_LINE_START = re.compile(r"^([ \t]*)(#|[-+](?=[ #])|[0-9]+(?=\. ))", re.MULTILINE)
_EVERYONE = re.compile(r"@(?=everyone|here)", re.IGNORECASE)


def escape(words: str) -> str:
    """Words in which Discord finds nothing: no format, link, list, emoji, mention or time."""
    return _LINE_START.sub(_escaped_start, neutral(_MARKS.sub(_escaped, words)))


def _escaped(found: re.Match[str]) -> str:
    return "\\" + found[0]


def _escaped_start(found: re.Match[str]) -> str:
    """A number is no mark itself: the dot behind it is escaped."""
    return f"{found[0]}\\" if found[2].isdigit() else f"{found[1]}\\{found[2]}"


def neutral(words: str) -> str:
    """A back-slash does not stop `@everyone`; a character without width does."""
    return _EVERYONE.sub("@\u200b", words) if "@" in words else words
