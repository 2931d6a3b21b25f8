"""A Slack workspace: incoming webhooks, the Web API's messages and reactions, and workflows' triggers.

Shapes, limits and words: https://docs.slack.dev/reference/block-kit/blocks and
https://docs.slack.dev/reference/methods/chat.postMessage (chat.update, reactions.add)
"""

import re
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import Struct

from tocsin.fakes import Answer, Asked

CHANNEL = "C0TOCSIN01"
"""The channel #alerts, which is there from the start."""

BOT_TOKEN = re.compile(r"xox[be](?:\.xox[bp])?-[A-Za-z0-9-]{10,}")
WEBHOOK = re.compile(r"/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{16,64}/?")
TRIGGER = re.compile(r"/(?:workflows|triggers)/[TE][A-Z0-9]{6,}/[A-Za-z0-9]+(?:/[A-Za-z0-9]+){1,2}/?")
CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{2,20}")
EMOJI = re.compile(r"[a-z0-9_+'-]{1,100}(?:::skin-tone-[2-6])?")

BLOCKS = 50
ATTACHMENTS = 100
ATTACHMENT_BLOCKS = 20
"""Seen to be refused beyond: https://github.com/slackapi/bolt-python/issues/914."""
ALL_BLOCKS_CHARS = 13_200
"""Seen to be refused beyond, with msg_blocks_too_long: https://github.com/slackapi/bolt-js/issues/2509."""
TEXT_CHARS = 40_000
UPDATE_TEXT_CHARS = 4000
HEADER_CHARS = 150
SECTION_CHARS = 3000
FIELDS = 10
FIELD_CHARS = 2000
CONTEXT_ELEMENTS = 10
BUTTONS = 25
BUTTON_CHARS = 75
URL_CHARS = 3000
ACTION_ID_CHARS = 255
POSTS_EVERY_MS = 1000
TIER_3_EVERY_MS = 60_000
TIER_3 = 50


class Shape(Struct):
    """A message as it stood at some time."""

    text: str
    blocks: list[Any] = []
    attachments: list[Any] = []


class Message(Shape):
    """A message in a channel. `thread_ts` is "" for one that is no reply; `broadcast` is a reply seen in the channel.

    edits: what it was before each edit, oldest first; edited_ms: when those were made. reactions: emoji names.
    """

    ts: str = ""
    at_ms: int = 0
    thread_ts: str = ""
    broadcast: bool = False
    edits: list[Shape] = []
    edited_ms: list[int] = []
    reactions: list[str] = []
    replies: list["Message"] = []


class Channel(Struct):
    """`messages` are those seen in the channel; replies hang below theirs."""

    id: str
    name: str = ""
    is_archived: bool = False
    has_bot: bool = True
    messages: list[Message] = []


class Refused(Exception):
    """Slack's word for what is wrong, and what it says about it."""

    def __init__(self, word: str, *messages: str) -> None:
        super().__init__(word)
        self.word = word
        self.messages = messages


class FakeSlack:
    """One workspace with one app. Every webhook and trigger of the right shape works, unless it is in `gone`.

    revoked: bot tokens that it no longer takes; any other of the right shape will do.
    channels: by id. webhook_channel: where webhooks post.
    triggers: by path, the variables that a workflow declares; a path that is not there takes any.
    started: what triggers were given, in order.
    next: answers that are given before anything is looked at, first come first.
    limits: whether Slack's rates are kept.
    """

    hosts: tuple[str, ...] = ("slack.com", "hooks.slack.com", "slack-gov.com", "hooks.slack-gov.com")

    def __init__(self, *, limits: bool = False) -> None:
        self.limits = limits
        self.revoked: set[str] = set()
        self.channels = {CHANNEL: Channel(CHANNEL, "alerts")}
        self.webhook_channel = CHANNEL
        self.gone: set[str] = set()
        self.triggers: dict[str, frozenset[str]] = {}
        self.started: list[dict[str, str]] = []
        self.next: deque[Answer] = deque()
        self._posted_ms: dict[str, int] = {}
        self._tier_3: dict[str, list[int]] = {}
        self._count = 0
        self._methods: dict[str, Callable[[Asked, dict[str, Any]], dict[str, Any]]] = {
            "/api/chat.postMessage": self._post,
            "/api/chat.update": self._update,
            "/api/reactions.add": self._react,
        }

    @property
    def messages(self) -> list[Message]:
        """What is seen in the first channel."""
        return self.channels[CHANNEL].messages

    def answer(self, asked: Asked) -> Answer:
        """As Slack answers: the API in JSON with status 200 whatever it says, webhooks with a word, triggers both."""
        if self.next:
            return self.next.popleft()
        path = asked.path.partition("?")[0]
        if asked.host.startswith("hooks."):
            return self._trigger(asked, path) if TRIGGER.fullmatch(path) else self._webhook(asked, path)
        try:
            return said({"ok": True} | self._called(asked, path))
        except Refused as refused:
            if refused.word == "ratelimited":
                return said({"ok": False, "error": "ratelimited"}, 429, {"retry-after": refused.messages[0]})
            metadata = {"response_metadata": {"messages": refused.messages}} if refused.messages else {}
            return said({"ok": False, "error": refused.word} | metadata)

    def _webhook(self, asked: Asked, path: str) -> Answer:
        channel = self.channels[self.webhook_channel]
        if asked.method != "POST" or not WEBHOOK.fullmatch(path) or path in self.gone:
            return Answer(404, b"no_service")
        if channel.is_archived:
            return Answer(410, b"channel_is_archived")
        if self._too_soon(path, asked.at_ms):
            return Answer(429, b"rate_limited", {"retry-after": "1"})
        try:
            sent = decoded(asked, "invalid_payload")
            shape = checked(sent)
        except Refused as refused:
            word = "invalid_blocks" if refused.word == "msg_blocks_too_long" else refused.word
            return Answer(400, word.encode())
        self._put(channel, shape, asked.at_ms, str(sent.get("thread_ts") or ""), broadcast=False)
        self._posted_ms[path] = asked.at_ms
        return Answer(200, b"ok", {"content-type": "text/html"})

    def _trigger(self, asked: Asked, path: str) -> Answer:
        if path in self.gone:
            return said({"ok": False, "error": "trigger_not_found"}, 404)
        try:
            values = decoded(asked, "invalid_json")
        except Refused as refused:
            return said({"ok": False, "error": refused.word}, 400)
        declared = self.triggers.get(path, frozenset(values))
        if set(values) != declared or not all(isinstance(one, str) and one for one in values.values()):
            return said({"ok": False, "error": "invalid_workflow_input"}, 400)
        self.started.append(values)
        return said({"ok": True})

    def _called(self, asked: Asked, path: str) -> dict[str, Any]:
        method = self._methods.get(path)
        if method is None:
            raise Refused("unknown_method")
        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Refused("not_authed")
        if token in self.revoked:
            raise Refused("token_revoked")
        if not BOT_TOKEN.fullmatch(token):
            raise Refused("invalid_auth")
        kind, _, charset = asked.headers.get("content-type", "").partition(";")
        if kind.strip() != "application/json":
            raise Refused("invalid_post_type")
        if charset.strip().lower() not in ("", "charset=utf-8", "charset=iso-8859-1"):
            raise Refused("invalid_charset")
        return method(asked, decoded(asked, "invalid_json"))

    def _post(self, asked: Asked, sent: dict[str, Any]) -> dict[str, Any]:
        channel = self._channel(str(sent.get("channel", "")), by_name=True)
        if channel.is_archived:
            raise Refused("is_archived")
        if not channel.has_bot:
            raise Refused("not_in_channel")
        if self._too_soon(channel.id, asked.at_ms):
            raise Refused("ratelimited", "1")
        shape = checked(sent)
        thread_ts = str(sent.get("thread_ts") or "")
        message = self._put(channel, shape, asked.at_ms, thread_ts, broadcast=sent.get("reply_broadcast") is True)
        self._posted_ms[channel.id] = asked.at_ms
        return {"channel": channel.id, "ts": message.ts, "message": {"type": "message", "text": message.text}}

    def _update(self, asked: Asked, sent: dict[str, Any]) -> dict[str, Any]:
        self._count_tier_3("chat.update", asked.at_ms)
        channel = self._channel(str(sent.get("channel", "")), by_name=False)
        message = self._message(channel, str(sent.get("ts", "")))
        if channel.is_archived:
            raise Refused("is_inactive")
        if len(str(sent.get("text", ""))) > UPDATE_TEXT_CHARS:
            raise Refused("msg_too_long")
        shape = checked(sent)
        message.edits.append(Shape(message.text, message.blocks, message.attachments))
        message.edited_ms.append(asked.at_ms)
        message.text = shape.text
        # What is not given stays as it was.
        message.blocks = shape.blocks if "blocks" in sent else message.blocks
        message.attachments = shape.attachments if "attachments" in sent else message.attachments
        return {"channel": channel.id, "ts": message.ts, "text": message.text}

    def _react(self, asked: Asked, sent: dict[str, Any]) -> dict[str, Any]:
        self._count_tier_3("reactions.add", asked.at_ms)
        if not sent.get("channel") or not sent.get("timestamp"):
            raise Refused("no_item_specified")
        channel = self._channel(str(sent["channel"]), by_name=False)
        message = self._message(channel, str(sent["timestamp"]))
        name = str(sent.get("name", ""))
        if not EMOJI.fullmatch(name):
            raise Refused("invalid_name")
        if name in message.reactions:
            raise Refused("already_reacted")
        message.reactions.append(name)
        return {}

    def _channel(self, called: str, *, by_name: bool) -> Channel:
        if CHANNEL_ID.fullmatch(called):
            found = self.channels.get(called)
        else:
            name = called.removeprefix("#")
            found = next((one for one in self.channels.values() if by_name and name and one.name == name), None)
        if found is None:
            raise Refused("channel_not_found")
        return found

    def _message(self, channel: Channel, ts: str) -> Message:
        for one in channel.messages:
            for message in (one, *one.replies):
                if message.ts == ts:
                    return message
        raise Refused("message_not_found")

    def _put(self, channel: Channel, shape: Shape, at_ms: int, thread_ts: str, *, broadcast: bool) -> Message:
        """A reply to a message that is not there stands in the channel by itself."""
        self._count += 1
        ts = f"{at_ms // 1000}.{self._count:06}"
        message = Message(shape.text[:TEXT_CHARS], shape.blocks, shape.attachments, ts, at_ms, thread_ts, broadcast)
        parent = next((one for one in channel.messages if one.ts == thread_ts), None)
        if parent is not None:
            parent.replies.append(message)
        if parent is None or broadcast:
            channel.messages.append(message)
        return message

    def _too_soon(self, place: str, at_ms: int) -> bool:
        last_ms = self._posted_ms.get(place)
        return self.limits and last_ms is not None and at_ms - last_ms < POSTS_EVERY_MS

    def _count_tier_3(self, method: str, at_ms: int) -> None:
        recent = [one for one in self._tier_3.get(method, ()) if at_ms - one < TIER_3_EVERY_MS]
        if self.limits and len(recent) >= TIER_3:
            raise Refused("ratelimited", str(-(-(recent[0] + TIER_3_EVERY_MS - at_ms) // 1000)))
        self._tier_3[method] = [*recent, at_ms]


def said(answer: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    kind = {"content-type": "application/json; charset=utf-8"}
    return Answer(status, msgspec.json.encode(answer), kind | (headers or {}))


def decoded(asked: Asked, word: str) -> dict[str, Any]:
    """The body as an object; raises Refused with the word where it is none."""
    try:
        found = msgspec.json.decode(asked.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused(word) from None
    if not isinstance(found, dict):
        raise Refused(word)
    return found


def checked(sent: dict[str, Any]) -> Shape:
    """The content of a message. Raises Refused with Slack's word and the place of what is wrong."""
    text, blocks, attachments = sent.get("text") or "", sent.get("blocks") or [], sent.get("attachments") or []
    if not isinstance(text, str) or not (text.strip() or blocks or attachments):
        raise Refused("no_text")
    if not isinstance(blocks, list):
        raise Refused("invalid_blocks_format")
    if not isinstance(attachments, list):
        raise Refused("invalid_attachments")
    if len(attachments) > ATTACHMENTS:
        raise Refused("too_many_attachments")
    if len(blocks) > BLOCKS:
        raise Refused("invalid_blocks", f"[ERROR] no more than {BLOCKS} items allowed [json-pointer:/blocks]")
    wrong = [fault for index, one in enumerate(blocks) for fault in faults(one, f"/blocks/{index}")]
    if wrong or repeated_action_ids(blocks):
        raise Refused("invalid_blocks", *(wrong or ["[ERROR] duplicate action_id"]))
    for one in attachments:
        inner = one.get("blocks") or [] if isinstance(one, dict) else None
        if inner is None or len(inner) > ATTACHMENT_BLOCKS or any(list(faults(block, "")) for block in inner):
            raise Refused("invalid_attachments")
        blocks = [*blocks, *inner]
    if sum(map(len, words(blocks))) > ALL_BLOCKS_CHARS:
        raise Refused("msg_blocks_too_long")
    return Shape(text, sent.get("blocks") or [], attachments)


def faults(block: Any, place: str) -> Iterable[str]:
    """What is wrong with a block, as Slack puts it. Blocks that no message of ours has are unknown here."""
    match block:
        case {"type": "header", "text": {"type": "plain_text"} as title}:
            yield from text_faults(title, HEADER_CHARS, f"{place}/text")
        case {"type": "section"}:
            shown, fields = block.get("text"), block.get("fields")
            if shown is None and not fields:
                yield f"[ERROR] missing required field: text [json-pointer:{place}]"
            if shown is not None:
                yield from text_faults(shown, SECTION_CHARS, f"{place}/text")
            if len(fields or []) > FIELDS:
                yield f"[ERROR] no more than {FIELDS} items allowed [json-pointer:{place}/fields]"
            for index, one in enumerate(fields or []):
                yield from text_faults(one, FIELD_CHARS, f"{place}/fields/{index}")
        case {"type": "context", "elements": list(elements)}:
            if not 1 <= len(elements) <= CONTEXT_ELEMENTS:
                yield f"[ERROR] must have 1 to {CONTEXT_ELEMENTS} items [json-pointer:{place}/elements]"
            for index, one in enumerate(elements):
                yield from text_faults(one, SECTION_CHARS, f"{place}/elements/{index}")
        case {"type": "actions", "elements": list(elements)}:
            if not 1 <= len(elements) <= BUTTONS:
                yield f"[ERROR] must have 1 to {BUTTONS} items [json-pointer:{place}/elements]"
            for index, one in enumerate(elements):
                yield from button_faults(one, f"{place}/elements/{index}")
        case {"type": "rich_text", "elements": list(elements)}:
            for index, one in enumerate(elements):
                yield from rich_text_faults(one, f"{place}/elements/{index}")
        case {"type": "divider"}:
            pass
        case _:
            yield f"[ERROR] unsupported type or missing field [json-pointer:{place}]"


def text_faults(found: Any, limit: int, place: str) -> Iterable[str]:
    match found:
        case {"type": "plain_text" | "mrkdwn", "text": str(shown)}:
            if not shown.strip():
                yield f"[ERROR] must be more than 0 characters [json-pointer:{place}/text]"
            if len(shown) > limit:
                yield f"[ERROR] must be less than {limit + 1} characters [json-pointer:{place}/text]"
        case _:
            yield f"[ERROR] failed to match all allowed schemas [json-pointer:{place}]"


def button_faults(found: Any, place: str) -> Iterable[str]:
    match found:
        case {"type": "button", "text": {"type": "plain_text"} as shown}:
            yield from text_faults(shown, BUTTON_CHARS, f"{place}/text")
            if len(found.get("url", "")) > URL_CHARS:
                yield f"[ERROR] must be less than {URL_CHARS + 1} characters [json-pointer:{place}/url]"
            if len(found.get("action_id", "")) > ACTION_ID_CHARS:
                yield f"[ERROR] must be less than {ACTION_ID_CHARS + 1} characters [json-pointer:{place}/action_id]"
            if found.get("style", "primary") not in ("primary", "danger"):
                yield f"[ERROR] invalid style [json-pointer:{place}/style]"
        case _:
            yield f"[ERROR] unsupported type: not a button [json-pointer:{place}]"


def rich_text_faults(found: Any, place: str) -> Iterable[str]:
    match found:
        case {"type": "rich_text_section" | "rich_text_preformatted" | "rich_text_quote", "elements": list(pieces)}:
            for index, piece in enumerate(pieces):
                if not (isinstance(piece, dict) and (piece.get("text") or piece.get("type") != "text")):
                    yield f"[ERROR] must be more than 0 characters [json-pointer:{place}/elements/{index}/text]"
        case _:
            yield f"[ERROR] unsupported rich text [json-pointer:{place}]"


def repeated_action_ids(blocks: list[Any]) -> bool:
    ids = [
        one["action_id"]
        for block in blocks
        if block["type"] == "actions"
        for one in block["elements"]
        if one.get("action_id")
    ]
    return len(ids) != len(set(ids))


def words(value: Any) -> Iterable[str]:
    """Every text in there, however deep."""
    if isinstance(value, dict):
        for name, one in value.items():
            if name in ("text", "url") and isinstance(one, str):
                yield one
            else:
                yield from words(one)
    elif isinstance(value, list):
        for one in value:
            yield from words(one)
