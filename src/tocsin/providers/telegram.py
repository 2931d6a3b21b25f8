"""Telegram bots: one message for every run, edited while it goes on.

Methods:  https://core.telegram.org/bots/api#sendmessage and #editmessagetext
Markup:   https://core.telegram.org/bots/api#html-style
Errors:   https://core.telegram.org/bots/api#making-requests and the words of https://github.com/tdlib/telegram-bot-api

The limit of a message counts UTF-16 code units, and not the tags. In HTML only `&`, `<` and `>` mean anything; but
Telegram also makes a mention of `@name` and a command of `/name` wherever they stand outside code, so those are
broken up with a character that nobody sees.
"""

import html
import re
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from tocsin.model.event import Action
from tocsin.model.hidden import Hidden
from tocsin.model.message import Message, Tone
from tocsin.model.wire import Delivered, HttpReply, HttpRequest, Outcome, Rejected, Reply, Request, Retry, Sending
from tocsin.provider_kit.body import rfc3339
from tocsin.provider_kit.classify import WAIT_MAX_S, WAIT_MIN_S, by_status, retry_after_s, said
from tocsin.provider_kit.given import as_object
from tocsin.provider_kit.json_reply import decoded
from tocsin.provider_kit.links import web_links
from tocsin.provider_kit.progress import bar, current, step_line
from tocsin.provider_kit.provider import Limit, Live, Provider, SecretText
from tocsin.provider_kit.text import cut, line, lines, shared_key, tail

API = "https://api.telegram.org/bot"

TEXT_UNITS = 4096
"""UTF-16 code units of a text, after its entities have been parsed: https://core.telegram.org/bots/api#sendmessage"""

# Units of each part: together, with the line ends, never more than TEXT_UNITS. Addresses take what is left.
WHOM_UNITS = 350
TITLE_UNITS = 200
CAUSE_UNITS = 250
STEP_UNITS = 40
NAME_UNITS = 40
VALUE_UNITS = 110
BODY_UNITS = 600
DETAIL_UNITS = 600
SMALL_UNITS = 200
PLAIN_UNITS = 1500
STEPS = 15
FACTS = 6
LABEL_UNITS = 40

MENTIONED: frozenset[Tone] = frozenset({"bad", "rollback"})
SILENT_KINDS = frozenset({
    "run.started", "run.progress", "stage.started", "stage.progress", "stage.succeeded", "stage.skipped",
})  # fmt: skip
"""Nobody's telephone rings because something goes on as it should."""

Token = Annotated[SecretText, Meta(pattern=r"^[0-9]{6,12}:[A-Za-z0-9_-]{30,50}\Z")]
ChatNumber = Annotated[int, Meta(ge=-(10**16), le=10**16)]
ChatName = Annotated[
    str,
    Meta(
        pattern=r"^(?:-?[0-9]{1,16}|@[A-Za-z][A-Za-z0-9_]{3,31})\Z",
        description="A number such as -1001234567890, or `@name`",
    ),
]
Mention = Annotated[
    str,
    Meta(
        pattern=r"^@[A-Za-z][A-Za-z0-9_]{3,31}(?: @[A-Za-z][A-Za-z0-9_]{3,31}){0,9}\Z",
        description="`@name`, or several with a space between",
    ),
]

_encoder = msgspec.json.Encoder()


class TelegramSettings(Hidden, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which bot writes, where, and how.

    bot_token: what @BotFather gave for the bot, such as 110201543:AAHd…
    chat_id: a number such as -1001234567890, or @name for a public group or channel. The bot must be a member.
    message_thread_id: a topic of a group that has topics.
    silent: no message makes a sound. Else only those that say that something goes on as it should make none.
    one_message_per_run: a run has one message, which is edited as the run goes on. False sends each by itself.
    stage_details: answers the run's message for every stage that ends; the message lists them anyway.
    use_rich_formatting: false sends words alone.
    mention_on_failure: whom to wake, such as `@ana`, or several; Telegram has no way to mention a whole group.
    include_action_buttons: whether to show the links.
    """

    bot_token: Token
    chat_id: ChatNumber | ChatName
    message_thread_id: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    silent: bool = False
    one_message_per_run: bool = True
    stage_details: bool = False
    use_rich_formatting: bool = True
    mention_on_failure: Mention | None = None
    include_action_buttons: bool = True


def render(sending: Sending) -> HttpRequest:
    """A new message."""
    return request(sending, "sendMessage", new(sending))


def given(sending: Sending) -> Request:
    """A message that somebody else has made."""
    return request(sending, "sendMessage", {"chat_id": sending.target.settings.chat_id} | as_object(sending))


def edit(sending: Sending) -> Request:
    """The same message, rewritten. In another chat than today's, which is so once a group has moved or the settings
    were changed, there is nothing to rewrite: message 0 never exists."""
    refs, chat = sending.thread.refs, sending.target.settings.chat_id
    message_id = refs.get("message_id", "0") if is_here(sending) else "0"
    payload = {"chat_id": chat, "message_id": int(message_id), **content(sending)}
    return request(sending, "editMessageText", payload)


def answer(sending: Sending) -> Request:
    """A message that quotes the run's, or stands for itself if that is gone."""
    payload = new(sending)
    if is_here(sending) and (message_id := sending.thread.refs.get("message_id")):
        payload["reply_parameters"] = {"message_id": int(message_id), "allow_sending_without_reply": True}
    return request(sending, "sendMessage", payload)


def is_here(sending: Sending) -> bool:
    """Whether the run's message is in today's chat; the number behind an `@name` is not known."""
    chat = str(sending.target.settings.chat_id)
    return chat.startswith("@") or sending.thread.refs.get("chat_id", chat) == chat


def request(sending: Sending, method: str, payload: dict[str, Any]) -> HttpRequest:
    url = f"{API}{sending.target.settings.bot_token}/{method}"
    return HttpRequest("POST", url, _encoder.encode(payload), (("content-type", "application/json"),))


def new(sending: Sending) -> dict[str, Any]:
    """Where to, what, and whether it makes a sound."""
    settings: TelegramSettings = sending.target.settings
    payload: dict[str, Any] = {"chat_id": settings.chat_id}
    if settings.message_thread_id:
        payload["message_thread_id"] = settings.message_thread_id
    payload |= content(sending)
    if settings.silent or sending.quiet or sending.told.kind in SILENT_KINDS:
        payload["disable_notification"] = True
    return payload


def content(sending: Sending) -> dict[str, Any]:
    """Text and buttons."""
    settings: TelegramSettings = sending.target.settings
    message = sending.told
    whom = ""
    if settings.mention_on_failure and message.tone in MENTIONED and not sending.quiet:
        whom = settings.mention_on_failure
    links = web_links(message.actions) if settings.include_action_buttons else []
    if sending.plain or not settings.use_rich_formatting:
        return {"text": plain_text(message, whom, links), "link_preview_options": {"is_disabled": True}}
    buttons = [one for one in links if can_be_a_button(one.url)]
    payload = {
        "text": rich_text(message, whom, [one for one in links if one not in buttons]),
        "parse_mode": "HTML",
        "link_preview_options": {"is_disabled": True},
    }
    if buttons:
        payload["reply_markup"] = {"inline_keyboard": [[button(one) for one in buttons]]}
    return payload


def rich_text(message: Message, whom: str, links: list[Action]) -> str:
    """What, which state and where; why; how far; facts; the end of the error; the small print."""
    small = " · ".join((*message.footer, rfc3339(message.time_ms)[:16].replace("T", " ") + " UTC"))
    cause = cut_units(line(message.cause), CAUSE_UNITS)
    detail = tail_units(lines(message.detail).strip(), DETAIL_UNITS)
    pairs = [
        f"<b>{shown(line(name), NAME_UNITS) or '·'}</b> {shown(line(value), VALUE_UNITS) or '–'}"
        for name, value in message.facts[:FACTS]
    ]
    first = [whom, f"<b>{shown(headline(message), TITLE_UNITS)}</b>", f"<code>{escape(cause)}</code>" if cause else ""]
    parts = [
        "\n".join(part for part in first if part),
        shown(lines(message.text).strip(), BODY_UNITS),
        "\n".join(stages(message)),
        "\n".join(pairs),
        f"<pre>{escape(detail)}</pre>" if detail else "",
    ]
    closing = f"<i>{shown(line(small), SMALL_UNITS)}</i>"
    room = TEXT_UNITS - units(html.unescape(_TAG.sub("", "\n\n".join((*parts, closing))))) - 2
    written = [f"{escape(label)}: <code>{escape(url)}</code>" for label, url in fitting(links, room)]
    return "\n\n".join(part for part in (*parts, "\n".join(written), closing) if part)


def plain_text(message: Message, whom: str, links: list[Action]) -> str:
    """Words and addresses, one under the other. Nothing in it is parsed, so nothing is escaped."""
    sentence = line(message.sentence) or headline(message)
    parts = [part for part in (whom, tame(sentence, PLAIN_UNITS)) if part]
    if message.text and line(message.text) not in sentence:
        parts.append(tame(lines(message.text).strip(), PLAIN_UNITS))
    room = TEXT_UNITS - sum(units(part) + 1 for part in parts)
    return "\n".join((*parts, *(f"{label}: {url}" for label, url in fitting(links, room))))


def stages(message: Message) -> list[str]:
    """How far a run is while it runs, and its stages; beneath it, the stages that ended, if the title does not name
    them."""
    steps = message.steps
    if message.kind.startswith("stage.") and len(steps) < 2:
        return []
    found: list[str] = []
    if message.kind.startswith("run.") and (running := current(steps)):
        found.append(f"{bar(steps)} · <b>{shown(running, NAME_UNITS)}</b>")
    if len(steps) > STEPS:
        found.append(f"… and {len(steps) - STEPS} before")
    return found + [shown(step_line(step), STEP_UNITS) for step in steps[-STEPS:]]


def fitting(links: list[Action], room: int) -> list[tuple[str, str]]:
    """Labels and addresses to write out, as far as there is room (in units) for whole ones."""
    found: list[tuple[str, str]] = []
    for one in links:
        label = tame(line(one.label), LABEL_UNITS) or "Link"
        size = units(label) + len(one.url) + 3
        if size <= room:
            found.append((label, one.url))
            room -= size
    return found


def button(one: Action) -> dict[str, str]:
    found = {"text": cut(line(one.label), LABEL_UNITS) or "Link", "url": one.url}
    return found | ({"style": one.style} if one.style in ("primary", "danger") else {})


def can_be_a_button(url: str) -> bool:
    """Telegram refuses a whole message for a button to a host without a dot ("Wrong HTTP URL"), such as localhost."""
    try:
        parts = urlsplit(url)
        return _HOST.fullmatch(parts.hostname or "") is not None and parts.port != 0
    except ValueError:
        return False


def headline(message: Message) -> str:
    """Never empty."""
    return line(f"{message.emoji} {message.title}") or "Notification"


_HOST = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+")
_TAG = re.compile(r"<[^>]*>")
_CALL = re.compile(r"((?<!\w)@|(?<![\w/<>])/)(?=\w)")


def inert(words: str) -> str:
    """No mention of anybody, and no command that a tap would send."""
    return _CALL.sub("\\1\u200b", words)


def escape(words: str) -> str:
    """For HTML: Telegram wants `&`, `<` and `>` escaped and nothing else."""
    return html.escape(words, quote=False)


def shown(words: str, limit: int) -> str:
    """Words that came from outside, as HTML of at most `limit` units."""
    return escape(tame(words, limit))


def tame(words: str, limit: int) -> str:
    """The same as plain text. It is cut before as well, since a megabyte takes its time to look through."""
    return cut_units(inert(cut(words, limit)), limit)


def units(text: str) -> int:
    """UTF-16 code units: most emoji have two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def cut_units(text: str, limit: int) -> str:
    """At most `limit` units of the beginning."""
    kept = cut(text, limit)
    while (over := units(kept) - limit) > 0:
        kept = cut(kept, len(kept) - 1 - over // 2)
    return kept


def tail_units(text: str, limit: int) -> str:
    """At most `limit` units of the end."""
    kept = tail(text, limit)
    while (over := units(kept) - limit) > 0:
        kept = tail(kept, len(kept) - 1 - over // 2)
    return kept


class _Chat(Struct, frozen=True):
    id: int = 0


class _Message(Struct, frozen=True):
    message_id: int = 0
    chat: _Chat = _Chat()


class _Parameters(Struct, frozen=True):
    retry_after: float | None = None
    migrate_to_chat_id: int | None = None


class _Answer(Struct, frozen=True):
    """https://core.telegram.org/bots/api#making-requests; `result` is True where there is no message to return."""

    ok: bool = False
    description: str = ""
    parameters: _Parameters = _Parameters()
    result: _Message | bool | None = None


ROOT_GONE = (
    "message to edit not found", "message can't be edited", "message_id_invalid",
    "message identifier is not specified", "message to be replied not found", "message to reply not found",
)  # fmt: skip
ENDPOINT_DEAD = (
    "forbidden: ", "chat not found", "user not found", "have no rights to send", "not enough rights",
    "need administrator rights", "chat_write_forbidden", "chat_admin_required", "chat_restricted", "channel_private",
    "peer_id_invalid", "group chat was deactivated", "group chat was upgraded", "message thread not found",
    "topic_closed", "topic_deleted",
)  # fmt: skip


def classify(reply: Reply) -> Outcome:
    """Delivered is `ok` and a message, or one that says already what the edit would make it say."""
    if not isinstance(reply, HttpReply):
        return by_status(reply)
    answer = decoded(reply.body, _Answer) or _Answer()
    if 200 <= reply.status < 300 and answer.ok:
        sent = answer.result
        if isinstance(sent, _Message) and sent.message_id and sent.chat.id:
            return Delivered({"chat_id": str(sent.chat.id), "message_id": str(sent.message_id)})
        return Delivered()
    reason, words = cut(line(answer.description), 200), answer.description.lower()
    if "message is not modified" in words:
        return Delivered()
    if new := moved_to(reply):
        return Retry(f"the group became a supergroup: its chat_id is now {new}", settings={"chat_id": int(new)})
    if reply.status == 429:
        told = answer.parameters.retry_after
        after_s = retry_after_s(reply.headers) if told is None else min(max(told, WAIT_MIN_S), WAIT_MAX_S)
        return Retry(reason or said(reply), after_s, rate_limited=True)
    if any(one in words for one in ROOT_GONE):
        return Rejected(reason, "thread")
    if any(one in words for one in ENDPOINT_DEAD):
        return Rejected(reason, "endpoint")
    if 200 <= reply.status < 300:
        return Retry(f"answered, but not ok: {said(reply)}")
    outcome = by_status(reply)
    if isinstance(outcome, Rejected) and reason:
        return Rejected(f"{reason}: is the token right?" if reply.status in (401, 404) else reason, outcome.scope)
    return outcome


def moved_to(reply: Reply) -> str | None:
    """The chat's new number, where the reply says that the group has become a supergroup. The old one never works
    again."""
    if not isinstance(reply, HttpReply) or reply.status != 400:
        return None
    told = decoded(reply.body, _Answer)
    new = told.parameters.migrate_to_chat_id if told else None
    return str(new) if new else None


def limits(sending: Sending, request: Request) -> tuple[Limit, ...]:
    """A second for each message of a chat, twenty a minute in a group, thirty a second for the bot as a whole:
    https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this"""
    settings: TelegramSettings = sending.target.settings
    token, chat = settings.bot_token, str(settings.chat_id)
    found = (Limit(shared_key("telegram", token), 30, 1.0), Limit(shared_key("telegram chat", token, chat), 1, 1.0))
    if not chat.startswith(("-", "@")):
        return found
    return (*found, Limit(shared_key("telegram group", token, chat), 20, 60.0))


def hint(settings: TelegramSettings) -> str:
    topic = settings.message_thread_id
    return f"{settings.chat_id}, topic {topic}" if topic else str(settings.chat_id)


PROVIDER = Provider(
    kind="telegram",
    label="Telegram",
    about="Sends through a bot; a run's message is edited while the run goes on.",
    settings_type=TelegramSettings,
    check_address=None,
    hint=hint,
    render=render,
    classify=classify,
    given=given,
    live=Live(
        edit=edit,
        reply=answer,
        is_on=lambda settings: bool(settings.one_message_per_run),
        edit_every_s=4.0,  # beside its answers, within twenty a minute
    ),
    limits=limits,
    rate_per_s=1.0,
    timeout_s=10.0,
    max_age_s=6 * 3600,
    max_body_bytes=40_000,
)
