"""Telegram's Bot API as far as messages go: what it takes, what it refuses and in which words, and what a chat shows.

https://core.telegram.org/bots/api
https://github.com/tdlib/telegram-bot-api, whose words the errors are
"""

import json
import re
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tocsin.fakes import Answer, Asked

TEXT_UNITS = 4096
BUTTONS = 100
GROUP_MESSAGES = 20
PER_MS = 60_000
BOT_NUMBER = 110201543
TAGS = frozenset({
    "b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "a", "code", "pre", "blockquote", "tg-spoiler", "span",
})  # fmt: skip
ESCAPES = {"&lt;": "<", "&gt;": ">", "&amp;": "&", "&quot;": '"'}

_PATH = re.compile(r"/bot([0-9]+:[A-Za-z0-9_-]+)/([A-Za-z]+)")
_TOKEN = re.compile(r"<(/?)([a-z-]+)([^<>]*)>|&(?:lt|gt|amp|quot);|<", re.DOTALL)
_MENTION = re.compile(r"(?<!\w)@([A-Za-z0-9_]{2,32})")


@dataclass
class TelegramMessage:
    """A message as a chat shows it. `text` is what people read, without markup; `edits` the texts before it."""

    chat_id: int
    message_id: int
    text: str
    sent: str
    is_silent: bool = False
    reply_to: int | None = None
    topic: int | None = None
    buttons: list[dict[str, str]] = field(default_factory=list)
    mentions: list[str] = field(default_factory=list)
    edits: list[str] = field(default_factory=list)


class FakeTelegram:
    """`messages` in the order in which they came. `tokens` are the bots that exist; None: all do. `broken` says by chat
    why it takes no message, such as "Forbidden: bot was blocked by the user"; `moved` gives a group's new number. A
    public `@name` has the number that `names` says. `next` are answers to give instead of its own."""

    hosts: tuple[str, ...] = ("api.telegram.org",)

    def __init__(self) -> None:
        self.messages: list[TelegramMessage] = []
        self.tokens: set[str] | None = None
        self.broken: dict[int, str] = {}
        self.moved: dict[int, int] = {}
        self.names: dict[str, int] = {}
        self.next: list[Answer] = []
        self._ids: dict[int, int] = defaultdict(int)
        self._taken_ms: dict[int, deque[int]] = defaultdict(deque)

    def answer(self, asked: Asked) -> Answer:
        if self.next:
            return self.next.pop(0)
        found = _PATH.fullmatch(urlsplit(asked.path).path)
        if not found or found[2] not in ("sendMessage", "editMessageText"):
            return _error(404, "Not Found")
        if self.tokens is not None and found[1] not in self.tokens:
            return _error(401, "Unauthorized")
        try:
            given = json.loads(asked.body)
        except ValueError:
            return _error(400, "Bad Request: can't parse request body")
        chat_id = self._chat(given.get("chat_id"))
        if chat_id is None:
            return _error(400, "Bad Request: chat not found")
        if new := self.moved.get(chat_id):
            told = "Bad Request: group chat was upgraded to a supergroup chat"
            return _error(400, told, {"migrate_to_chat_id": new})
        if why := self.broken.get(chat_id):
            return _error(403 if why.startswith("Forbidden") else 400, why)
        text, wrong = _parsed(given)
        if wrong := wrong or _wrong(given, text):
            return _error(400, wrong)
        if wait_s := self._wait_s(chat_id, asked.at_ms):
            return _error(429, f"Too Many Requests: retry after {wait_s}", {"retry_after": wait_s})
        return (self._send if found[2] == "sendMessage" else self._edit)(chat_id, given, text)

    def message(self, chat_id: int, message_id: int) -> TelegramMessage | None:
        return next((one for one in self.messages if (one.chat_id, one.message_id) == (chat_id, message_id)), None)

    def delete(self, message: TelegramMessage) -> None:
        """As people do in the chat."""
        self.messages.remove(message)

    def _chat(self, given: Any) -> int | None:
        if isinstance(given, str) and given.startswith("@"):
            return self.names.get(given)
        try:
            return int(given) or None
        except (TypeError, ValueError):
            return None

    def _wait_s(self, chat_id: int, at_ms: int) -> int:
        """Seconds until a group takes another one: twenty in any minute. Elsewhere it is not that strict."""
        taken = self._taken_ms[chat_id]
        while taken and taken[0] <= at_ms - PER_MS:
            taken.popleft()
        if chat_id < 0 and len(taken) >= GROUP_MESSAGES:
            return max(1, (taken[0] + PER_MS - at_ms + 999) // 1000)
        taken.append(at_ms)
        return 0

    def _send(self, chat_id: int, given: dict[str, Any], text: str) -> Answer:
        quoted = given.get("reply_parameters") or {}
        reply_to = quoted.get("message_id")
        if reply_to is not None and self.message(chat_id, reply_to) is None:
            if not quoted.get("allow_sending_without_reply"):
                return _error(400, "Bad Request: message to be replied not found")
            reply_to = None
        self._ids[chat_id] += 1
        message = TelegramMessage(
            chat_id,
            self._ids[chat_id],
            text,
            given["text"],
            is_silent=bool(given.get("disable_notification")),
            reply_to=reply_to,
            topic=given.get("message_thread_id"),
            buttons=_buttons(given),
            mentions=_mentions(given, text),
        )
        self.messages.append(message)
        return _sent(message)

    def _edit(self, chat_id: int, given: dict[str, Any], text: str) -> Answer:
        if not given.get("message_id"):
            return _error(400, "Bad Request: message identifier is not specified")
        message = self.message(chat_id, given["message_id"])
        if message is None:
            return _error(400, "Bad Request: message to edit not found")
        if (message.sent, message.buttons) == (given["text"], _buttons(given)):
            told = (
                "Bad Request: message is not modified: specified new message content and reply markup are exactly the "
                "same as a current content and reply markup of the message"
            )
            return _error(400, told)
        message.edits.append(message.text)
        message.text, message.sent, message.buttons = text, given["text"], _buttons(given)
        return _sent(message)


def _parsed(given: dict[str, Any]) -> tuple[str, str]:
    """What people read, and what is wrong with the markup."""
    sent = given.get("text")
    if not isinstance(sent, str):
        return "", "Bad Request: message text is empty"
    if given.get("parse_mode") is None:
        return sent.strip(), ""
    if given["parse_mode"] != "HTML":
        return "", "Bad Request: unsupported parse_mode"
    text, at, opened = "", 0, list[str]()
    for found in _TOKEN.finditer(sent):
        text += sent[at : found.start()]
        at = found.end()
        if found[0] in ESCAPES:
            text += ESCAPES[found[0]]
            continue
        byte = len(sent[: found.start()].encode())
        if found[2] not in TAGS:
            return "", _unparsed(f'Unsupported start tag "{found[2] or ""}" at byte offset {byte}')
        if not found[1]:
            opened.append(found[2])
        elif not opened or opened.pop() != found[2]:
            return "", _unparsed(f"Unexpected end tag at byte offset {byte}")
    if opened:
        return "", _unparsed(f'Can\'t find end tag corresponding to start tag "{opened[-1]}"')
    return (text + sent[at:]).strip(), ""


def _unparsed(why: str) -> str:
    return f"Bad Request: can't parse entities: {why}"


def _wrong(given: dict[str, Any], text: str) -> str:
    """What is wrong with the rest, "" for nothing."""
    if not text:
        return "Bad Request: message text is empty"
    if len(text.encode("utf-16-le")) // 2 > TEXT_UNITS:
        return "Bad Request: message is too long"
    buttons = _buttons(given)
    if len(buttons) > BUTTONS:
        return "Bad Request: reply markup is too long"
    for one in buttons:
        if not one.get("text"):
            return "Bad Request: inline keyboard button text must be non-empty"
        url = one.get("url", "")
        if not url.lower().startswith(("https://", "http://")):
            return f"Bad Request: inline keyboard button URL '{url}' is invalid: Unsupported URL protocol"
        if "." not in (urlsplit(url).hostname or ""):
            return f"Bad Request: inline keyboard button URL '{url}' is invalid: Wrong HTTP URL"
    return ""


def _buttons(given: dict[str, Any]) -> list[dict[str, str]]:
    markup = given.get("reply_markup") or {}
    return [one for row in markup.get("inline_keyboard", []) for one in row]


def _mentions(given: dict[str, Any], text: str) -> list[str]:
    """Whom the message wakes: `@name` anywhere but in code."""
    if given.get("parse_mode") != "HTML":
        return _MENTION.findall(text)
    prose = re.sub(r"<(code|pre)>.*?</\1>", "", given["text"], flags=re.DOTALL)
    return _MENTION.findall(re.sub(r"<[^>]*>", "", prose))


def _sent(message: TelegramMessage) -> Answer:
    kind = "private" if message.chat_id > 0 else "supergroup"
    result = {
        "message_id": message.message_id,
        "from": {"id": BOT_NUMBER, "is_bot": True, "first_name": "Tocsin"},
        "chat": {"id": message.chat_id, "type": kind},
        "date": 1,
        "text": message.text,
    }
    return Answer(200, json.dumps({"ok": True, "result": result}).encode(), {"content-type": "application/json"})


def _error(code: int, description: str, parameters: dict[str, int] | None = None) -> Answer:
    said: dict[str, Any] = {"ok": False, "error_code": code, "description": description}
    if parameters:
        said["parameters"] = parameters
    return Answer(code, json.dumps(said).encode(), {"content-type": "application/json"})
