"""Slack's Block Kit: a message as Slack shows it, for the webhook and for the bot.

Shapes and limits:  https://docs.slack.dev/reference/block-kit/blocks
Layout:             headline first, cause second, how far, facts in two columns, links; beside a bar in the state's
                    colour what Slack may fold: the end of the error and the small print

What comes from outside is text, whatever it says. Rich text elements, plain text and code spans are never parsed by
Slack; everything else is escaped. So no event can mention anybody, hide a link or format the message.
"""

import re
from typing import Annotated, Any, Literal

from msgspec import Meta

from tocsin.model.event import Action
from tocsin.model.message import Message, Tone
from tocsin.model.run import ENDED, RunStep
from tocsin.provider_kit.body import rfc3339
from tocsin.provider_kit.text import cut, cut_escaped, duration, line, lines, tail

Block = dict[str, Any]
Shown = Literal["no", "links", "buttons"]
"""How a message's actions are shown. Without an app that answers the click, Slack puts a warning beside a button, even
one that only opens a link (https://github.com/slackapi/node-slack-sdk/issues/869); a link in the text works always."""

HEADER_CHARS = 150
SECTION_CHARS = 3000
FIELDS = 10
FIELD_CHARS = 2000
TEXT_CHARS = 4000
"""Slack's own limits. The last is the recommended length of a message's text."""

# What each part may take of the 12,000 characters (13,200 were seen to fail with msg_blocks_too_long). Together with
# the header and the mention, 11,400 for a message and 11,300 for a reply.
CAUSE_CHARS = 300
BODY_CHARS = 1500
DETAIL_CHARS = 600
REPLY_DETAIL_CHARS = 2900
ALL_FIELDS_CHARS = 3000
REPLY_FIELDS_CHARS = 1500
LINKS_CHARS = SECTION_CHARS
CONTEXT_CHARS = 1000
LABEL_CHARS = 75
LINKS = 3
STEPS = 12
STEP_CHARS = 60
BAR_CELLS = 10

POSTED: Block = {"mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
"""What a new message says of itself: its text is text, and its links need no previews."""

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

_WHO = r"(?:<!(?:here|channel|everyone)>|<@[UW][A-Z0-9]{2,20}>|<!subteam\^S[A-Z0-9]{2,20}>"
_WHO += r"|here|channel|everyone|[UW][A-Z0-9]{2,20}|S[A-Z0-9]{2,20})"
_MENTIONS = re.compile(rf"{_WHO}(?: {_WHO})*")
Mention = Annotated[str, Meta(pattern=rf"^{_WHO}\Z")]
Mentions = (
    bool
    | Annotated[
        str,
        # A `pattern` here, beside the tuple, makes msgspec 0.22 write where it must not; see check_mentions.
        Meta(
            max_length=500,
            description="`here`, `channel`, a user's id (U…), a group's id (S…), or as Slack writes them: `<!here>`, "
            "`<@U…>`, `<!subteam^S…>`; several with a space between",
        ),
    ]
    | Annotated[tuple[Mention, ...], Meta(max_length=10)]
)
MENTION_CHARS = 500
"""What a list of mentions may come to; the rest of it is left out."""


def rich(message: Message, whom: str = "", actions: Shown = "links", steps: bool = True) -> Block:
    """What matters first; the rest beside a bar in the colour of the state. `steps` lists the stages."""
    sentence = cut_escaped(said(message), TEXT_CHARS, escape)
    return {
        "text": sentence,
        "blocks": first_blocks(message, whom, actions, steps),
        "attachments": [{"color": COLOURS[message.tone], "fallback": sentence, "blocks": other_blocks(message)}],
    }


def plain(message: Message, whom: str = "", actions: Shown = "links") -> Block:
    """Words and addresses, one under the other, in TEXT_CHARS."""
    sentence = said(message)
    parts = [part for part in (whom, cut_escaped(sentence, 1200, escape)) if part]
    if running(message):
        parts.append(cut_escaped("".join(one["text"] for one in progress(message.steps)), 200, escape))
    if message.text and line(message.text) not in sentence:
        parts.append(cut_escaped(lines(message.text), 1200, escape))
    for one in shown_actions(message.actions) if actions != "no" else []:
        link = f"{label(one.label)}: {address(one.url)}"
        if sum(len(part) + 1 for part in parts) + len(link) <= TEXT_CHARS:
            parts.append(link)
    return {"text": "\n".join(parts)}


def reply(message: Message, whom: str = "", actions: Shown = "links") -> Block:
    """What is said beneath a message: of stages a line each and what they measured; of trouble its headline and as much
    of the error as one block takes; of all else one sentence."""
    sentence = said(message)
    body = lines(message.text).strip()
    if message.steps and message.kind.startswith("stage."):
        measured = tuple(one for one in message.facts if one[0] not in SAID_BY_STEPS)
        blocks = [rich_text(step_list(message.steps, "\n")), *addressed(message, whom)]
        blocks += fields(measured, REPLY_FIELDS_CHARS)
    elif message.tone in LOUD:
        blocks = [rich_text([bold(cut(line(f"{message.emoji} {message.title}"), HEADER_CHARS))])]
        blocks += addressed(message, whom)
        blocks += [rich_text([text(cut(body, BODY_CHARS))])] if body else []
        blocks += action_blocks(message.actions, actions)
    else:
        blocks = [rich_text([text(cut(sentence, BODY_CHARS))])]
    blocks += preformatted(message.detail, REPLY_DETAIL_CHARS)
    return {"text": cut_escaped(sentence, TEXT_CHARS, escape), "blocks": blocks}


def said(message: Message) -> str:
    """The sentence; never nothing, since Slack refuses a message without text."""
    return line(message.sentence) or line(f"{message.emoji} {message.title}") or message.kind


def first_blocks(message: Message, whom: str, actions: Shown, steps: bool) -> list[Block]:
    """What everybody must see. What goes wrong or ends has a header; what goes on is quiet."""
    title = cut(line(f"{message.emoji} {message.title}"), HEADER_CHARS)
    loud = message.tone in LOUD or message.kind == "run.succeeded"
    blocks = [header(title) if loud else rich_text([bold(title)])]
    blocks += addressed(message, whom)
    if body := lines(message.text).strip():
        blocks.append(rich_text([text(cut(body, BODY_CHARS))]))
    if running(message):
        blocks.append(rich_text(progress(message.steps)))
    if message.steps and steps:
        blocks.append(rich_text(step_list(message.steps, " · ")))
    return [*blocks, *fields(message.facts, ALL_FIELDS_CHARS), *action_blocks(message.actions, actions)]


def other_blocks(message: Message) -> list[Block]:
    """The end of the error, and the small print, which is always there."""
    small = [{"type": "context", "elements": context(message)}]
    return [*preformatted(message.detail, DETAIL_CHARS), *small]


def addressed(message: Message, whom: str) -> list[Block]:
    """Whom it concerns, and the cause."""
    blocks = [section(whom)] if whom else []
    if cause := line(message.cause):
        blocks.append(rich_text([text(cut(cause, CAUSE_CHARS))]))
    return blocks


def fields(facts: tuple[tuple[str, str], ...], room: int) -> list[Block]:
    """Facts in pairs, in `room` characters together."""
    facts = facts[:FIELDS]
    if not facts:
        return []
    limit = min(FIELD_CHARS, room // len(facts))
    return [{"type": "section", "fields": [mrkdwn(fact(name, value, limit)) for name, value in facts]}]


def preformatted(detail: str, limit: int) -> list[Block]:
    """The end of a longer text, as it is."""
    words = lines(detail).strip()
    return [rich_text([text(tail(words, limit))], "rich_text_preformatted")] if words else []


MARKS = {"running": "⏳", "succeeded": "✅", "failed": "❌", "skipped": "⏭️"}
DONE = frozenset({"succeeded", "skipped"})
SAID_BY_STEPS = frozenset({"Step", "Duration", "Steps"})


def running(message: Message) -> bool:
    """Whether there is progress to show."""
    return bool(message.steps) and message.run_status not in ENDED


def progress(steps: tuple[RunStep, ...]) -> list[Block]:
    """`▰▰▰▱▱ 3/5 · evaluate`: how many of the known stages are done, and what is at work."""
    done = sum(one.status in DONE for one in steps)
    cells = min(len(steps), BAR_CELLS)
    full = done * cells // len(steps)
    shown = [text(f"{'▰' * full}{'▱' * (cells - full)} {done}/{len(steps)}")]
    at_work = next((one.name for one in reversed(steps) if one.status == "running"), "")
    return [*shown, text(" · "), bold(cut(line(at_work), STEP_CHARS))] if line(at_work) else shown


def step_list(steps: tuple[RunStep, ...], between: str) -> list[Block]:
    """`✅ load 12 s`, the newest STEPS of them; a failed one stands out."""
    shown: list[Block] = [text(f"… {len(steps) - STEPS} more")] if len(steps) > STEPS else []
    for one in steps[-STEPS:]:
        took = "" if one.duration_ms is None else f" {duration(one.duration_ms)}"
        words = f"{MARKS.get(one.status, '•')} {cut(line(one.name), STEP_CHARS) or 'stage'}{took}"
        shown += [text(between)] if shown else []
        shown.append(bold(words) if one.status == "failed" else text(words))
    return shown


def action_blocks(actions: tuple[Action, ...], shown: Shown) -> list[Block]:
    """Links in one line, or real buttons. Two buttons with the same action_id would be refused (invalid_blocks)."""
    found = shown_actions(actions) if shown != "no" else []
    if not found:
        return []
    if shown == "links":
        return [section(" · ".join(f"<{address(one.url)}|{label(one.label)}>" for one in found))]
    return [{"type": "actions", "elements": [button(index, one) for index, one in enumerate(found)]}]


def button(index: int, action: Action) -> Block:
    """One that opens its address; Slack tells the app of the click all the same."""
    words = cut(unmentionable(line(action.label)), LABEL_CHARS) or "Open"
    made: Block = {
        "type": "button",
        "text": {"type": "plain_text", "text": words, "emoji": False},
        "url": "".join(action.url.split()),
        "action_id": f"open_{index}",
    }
    return made | ({"style": action.style} if action.style in ("primary", "danger") else {})


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


def rich_text(elements: list[Block], kind: str = "rich_text_section") -> Block:
    """Elements of a rich text are structure, so nothing in them is parsed."""
    return {"type": "rich_text", "elements": [{"type": kind, "elements": elements}]}


def text(words: str) -> Block:
    """One piece of a rich text. Slack refuses an empty one."""
    return {"type": "text", "text": words or " "}


def bold(words: str) -> Block:
    return {**text(words), "style": {"bold": True}}


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


def shown_actions(actions: tuple[Action, ...]) -> list[Action]:
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


def check_mentions(asked: Mentions) -> None:
    """Raises ValueError for a text that is no mention, nor several."""
    if isinstance(asked, str) and not _MENTIONS.fullmatch(asked):
        raise ValueError("mention_on_failure: expected here, channel, a user's id (U…) or a group's id (S…)")


def mention(message: Message, asked: Mentions) -> str:
    """Whom to wake, on a failure or a rollback only, as Slack writes it."""
    if message.tone not in MENTIONED or not asked:
        return ""
    if asked is True:
        return "<!here>"
    asked = asked if isinstance(asked, str) else " ".join(asked)  # type: ignore[arg-type]
    whom = ""
    for one in dict.fromkeys(map(mentioned, asked.split())):
        if len(whom) + len(one) < MENTION_CHARS:
            whom += f" {one}" if whom else one
    return whom


def mentioned(who: str) -> str:
    """`here` → `<!here>`, `U…` → `<@U…>`, `S…` → `<!subteam^S…>`."""
    if who.startswith("<"):
        return who
    if who in ("here", "channel", "everyone"):
        return f"<!{who}>"
    return f"<!subteam^{who}>" if who.startswith("S") else f"<@{who}>"
