"""Slack's Block Kit: a message as Slack shows it, for the webhook and for the bot.

Shapes and limits:  https://docs.slack.dev/reference/block-kit/blocks
Layout:             headline first, cause second, at most six facts in two columns, links, small print

What comes from outside is text, whatever it says. Rich text elements, plain text and code spans are never parsed by
Slack; everything else is escaped. So no event can mention anybody, hide a link or format the message.
"""

import re
from typing import Annotated, Any

from msgspec import Meta

from tocsin.model.event import Action
from tocsin.model.message import Message, Tone
from tocsin.provider_kit.body import rfc3339
from tocsin.provider_kit.text import cut, cut_escaped, line, lines, tail

Block = dict[str, Any]

HEADER_CHARS = 150
SECTION_CHARS = 3000
FIELDS = 10
FIELD_CHARS = 2000
TEXT_CHARS = 4000
"""Slack's own limits. The last is the recommended length of a message's text."""

# What each part may take of the 12,000 characters (13,200 were seen to fail with msg_blocks_too_long). Together with
# the header and the mention, 11,300.
CAUSE_CHARS = 300
BODY_CHARS = 1500
DETAIL_CHARS = 600
ALL_FIELDS_CHARS = 4000
LINKS_CHARS = SECTION_CHARS
CONTEXT_CHARS = 1000
LABEL_CHARS = 75
LINKS = 3

COLOURS: dict[Tone, str] = {
    "running": "#2F80ED",
    "good": "#2EB67D",
    "bad": "#D72D30",
    "warning": "#DE9B00",
    "rollback": "#8B2FC9",
    "neutral": "#868E96",
}
LOUD: frozenset[Tone] = frozenset({"bad", "rollback", "warning"})
MENTIONED: frozenset[Tone] = frozenset({"bad", "rollback"})

Mention = Annotated[
    str,
    Meta(
        pattern=r"^(?:<!(?:here|channel|everyone)>|<@[UW][A-Z0-9]{2,20}>|<!subteam\^S[A-Z0-9]{2,20}>)"
        r"(?: (?:<!(?:here|channel|everyone)>|<@[UW][A-Z0-9]{2,20}>|<!subteam\^S[A-Z0-9]{2,20}>))*\Z",
        max_length=500,
        description="`<!here>`, `<!channel>`, `<@U…>`, `<!subteam^S…>`, or several with a space between",
    ),
]


def rich_payload(message: Message, whom: str = "", with_links: bool = True) -> Block:
    """What matters first; the rest beside a bar in the colour of the state."""
    sentence = cut_escaped(line(message.sentence), TEXT_CHARS, escape)
    return {
        "text": sentence,
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": first_blocks(message, whom),
        "attachments": [
            {"color": COLOURS[message.tone], "fallback": sentence, "blocks": other_blocks(message, with_links)},
        ],
    }


def plain_payload(message: Message, whom: str = "", with_links: bool = True) -> Block:
    """Words and addresses, one under the other, in TEXT_CHARS."""
    sentence = line(message.sentence)
    parts = [part for part in (whom, cut_escaped(sentence, 1200, escape)) if part]
    if message.text and line(message.text) not in sentence:
        parts.append(cut_escaped(lines(message.text), 1200, escape))
    for one in links(message.actions) if with_links else []:
        link = f"{label(one.label)}: {address(one.url)}"
        if sum(len(part) + 1 for part in parts) + len(link) <= TEXT_CHARS:
            parts.append(link)
    return {"text": "\n".join(parts), "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}


def first_blocks(message: Message, whom: str) -> list[Block]:
    """The title, whom it concerns and the cause. What goes wrong or ends has a header; what goes on is quiet."""
    title = cut(line(f"{message.emoji} {message.title}"), HEADER_CHARS)
    loud = message.tone in LOUD or message.kind == "run.succeeded"
    blocks = [header(title) if loud else rich([{**text(title), "style": {"bold": True}}])]
    if whom:
        blocks.append(section(whom))
    if cause := line(message.cause):
        blocks.append(rich([text(cut(cause, CAUSE_CHARS))]))
    return blocks


def other_blocks(message: Message, with_links: bool) -> list[Block]:
    """Text, facts in pairs, the end of the error, links, and the small print, which is always there."""
    blocks: list[Block] = []
    if body := lines(message.text).strip():
        blocks.append(rich([text(cut(body, BODY_CHARS))]))
    if facts := message.facts[:FIELDS]:
        limit = min(FIELD_CHARS, ALL_FIELDS_CHARS // len(facts))
        blocks.append({"type": "section", "fields": [mrkdwn(fact(name, value, limit)) for name, value in facts]})
    if detail := lines(message.detail).strip():
        blocks.append(rich([text(tail(detail, DETAIL_CHARS))], "rich_text_preformatted"))
    shown = links(message.actions) if with_links else []
    if shown:
        blocks.append(section(" · ".join(f"<{address(one.url)}|{label(one.label)}>" for one in shown)))
    blocks.append({"type": "context", "elements": context(message)})
    return blocks


def context(message: Message) -> list[Block]:
    """The footer and the time: each reader sees their own time zone."""
    at = max(0, message.time_ms // 1000)
    shown = rfc3339(message.time_ms)[:16].replace("T", " ") + " UTC"
    when = mrkdwn(f"<!date^{at}^{{date_short_pretty}} {{time}}|{shown}>")
    small = cut(unmentionable(line(" · ".join(message.footer))), CONTEXT_CHARS)
    return [{"type": "plain_text", "text": small, "emoji": False}, when] if small else [when]


def header(title: str) -> Block:
    """A header is plain text, at most HEADER_CHARS."""
    return {"type": "header", "text": {"type": "plain_text", "text": cut(unmentionable(title), HEADER_CHARS)}}


def section(mrkdwn_text: str) -> Block:
    """The argument is markup that was made here."""
    return {"type": "section", "text": mrkdwn(mrkdwn_text)}


def mrkdwn(markup: str) -> Block:
    """`verbatim` keeps Slack from linking addresses, channels and names by itself."""
    return {"type": "mrkdwn", "text": markup, "verbatim": True}


def rich(elements: list[Block], kind: str = "rich_text_section") -> Block:
    """Elements of a rich text are structure, so nothing in them is parsed."""
    return {"type": "rich_text", "elements": [{"type": kind, "elements": elements}]}


def text(words: str) -> Block:
    """One piece of a rich text. Slack refuses an empty one."""
    return {"type": "text", "text": words or " "}


_MARKUP = re.compile(r"[*_~`]|:[\w+-]+:")
_NOT_IN_LABELS = str.maketrans("", "", "*_~`|:\n")


def fact(name: str, value: str, limit: int) -> str:
    """The name in bold over its value. A value that could be read as formatting is shown as code, where it is not."""
    bold = f"*{cut_escaped(line(name).translate(_NOT_IN_LABELS), 100, escape) or '·'}*\n"
    value = line(value) or "–"
    room = limit - len(bold)
    if _MARKUP.search(value):
        return f"{bold}`{cut_escaped(value.replace('`', 'ˋ'), room - 2, escape)}`"
    return bold + cut_escaped(value, room, escape)


def label(words: str) -> str:
    """The visible part of a link."""
    return cut_escaped(line(words).translate(_NOT_IN_LABELS), LABEL_CHARS, escape) or "Link"


def links(actions: tuple[Action, ...]) -> list[Action]:
    """The first few that fit one section together; http and https only, whoever made the message."""
    shown: list[Action] = []
    room = LINKS_CHARS
    for one in actions:
        size = len(address(one.url)) + 5 * LABEL_CHARS
        if len(shown) < LINKS and size <= room and one.url.lower().startswith(("https://", "http://")):
            shown.append(one)
            room -= size
    return shown


def address(url: str) -> str:
    """A URL inside `<…|…>`: what would end it early is percent-encoded, the rest escaped as Slack wants it."""
    url = "".join(url.split())
    for char, code in (("<", "%3C"), (">", "%3E"), ("|", "%7C"), ("`", "%60"), ('"', "%22")):
        url = url.replace(char, code)
    return line(url).replace("&", "&amp;")


def escape(words: str) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text#escaping, and no `@channel` for old workspaces."""
    words = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _AT_ALL.sub("@\u200b", words) if "@" in words else words


_AT_ALL = re.compile(r"@(?=channel|here|everyone|all\b)", re.IGNORECASE)
_MENTION = re.compile(r"<(?=[!@#])")


def unmentionable(words: str) -> str:
    """Plain text is not parsed; still, nothing in it should look like a mention to any client."""
    return _AT_ALL.sub("@\u200b", _MENTION.sub("<\u200b", words)) if "<" in words or "@" in words else words


def mention(message: Message, asked: bool | str) -> str:
    """Whom to wake, on a failure or a rollback only."""
    if message.tone not in MENTIONED or not asked:
        return ""
    return "<!here>" if asked is True else str(asked)
