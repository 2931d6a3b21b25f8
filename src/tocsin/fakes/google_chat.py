"""Google Chat incoming webhooks: what they take, what they refuse and in which words, and what a space shows.

https://developers.google.com/workspace/chat/quickstart/webhooks
https://developers.google.com/workspace/chat/api/reference/rest/v1/spaces.messages/create
"""

import json
import re
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tocsin.fakes import Answer, Asked

MAX_BYTES = 32_000
WIDGETS = 100
THREAD_KEY_CHARS = 4000
WRITES = 60
PER_MS = 60_000
REPLY_OPTIONS = ("REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD", "REPLY_MESSAGE_OR_FAIL")
FIELDS = frozenset({"text", "fallbackText", "cardsV2", "thread", "accessoryWidgets", "markupSyntax"})

_PATH = re.compile(r"/v1/spaces/([A-Za-z0-9_-]+)/messages")


@dataclass
class ChatMessage:
    """One message of a space. `thread` is its thread's name, `body` what was posted."""

    name: str
    space: str
    thread: str
    body: dict[str, Any]

    @property
    def text(self) -> str:
        return str(self.body.get("text", ""))


class FakeGoogleChat:
    """`messages` in the order in which they came. `tokens` are the webhooks' tokens by space; a space without one
    takes any. Spaces in `gone` were deleted. `next` are answers to give instead of its own."""

    hosts: tuple[str, ...] = ("chat.googleapis.com",)

    def __init__(self) -> None:
        self.messages: list[ChatMessage] = []
        self.tokens: dict[str, str] = {}
        self.gone: set[str] = set()
        self.next: list[Answer] = []
        self._by_request: dict[tuple[str, str], ChatMessage] = {}
        self._threads: dict[tuple[str, str], str] = {}
        self._taken_ms: dict[str, deque[int]] = defaultdict(deque)

    def answer(self, asked: Asked) -> Answer:
        if self.next:
            return self.next.pop(0)
        url = urlsplit(asked.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        found = _PATH.fullmatch(url.path)
        if asked.method != "POST" or not found:
            return Answer(404, b"<title>Error 404 (Not Found)!!1</title>", {"content-type": "text/html"})
        space = found[1]
        return (
            self._refused(space, query, asked)
            or self._repeated(space, query)
            or self._posted(space, query, json.loads(asked.body))
        )

    def thread_of(self, space: str, key: str) -> list[ChatMessage]:
        """The messages that were posted with this thread key."""
        name = self._threads.get((space, key), "")
        return [one for one in self.messages if one.space == space and one.thread == name]

    def _refused(self, space: str, query: dict[str, str], asked: Asked) -> Answer | None:
        """Who asks, where, how much, how often and what, in this order."""
        if not query.get("key"):
            told = "API key not valid. Please pass a valid API key."
            return _error(400, "INVALID_ARGUMENT", told, [{"reason": "API_KEY_INVALID", "domain": "googleapis.com"}])
        if not query.get("token") or query["token"] != self.tokens.get(space, query["token"]):
            return _error(403, "PERMISSION_DENIED", "The API is called without a valid token.")
        if space in self.gone:
            return _error(404, "NOT_FOUND", "Space not found.")
        if wrong := _wrong(query, asked.body):
            return _error(400, "INVALID_ARGUMENT", wrong)
        taken = self._taken_ms[space]
        while taken and taken[0] <= asked.at_ms - PER_MS:
            taken.popleft()
        if len(taken) >= WRITES:
            told = "Quota exceeded for quota metric 'Message writes' and limit 'Message writes per minute per space'."
            return _error(429, "RESOURCE_EXHAUSTED", told)
        taken.append(asked.at_ms)
        return None

    def _repeated(self, space: str, query: dict[str, str]) -> Answer | None:
        """The same request again returns its message, and posts none."""
        known = self._by_request.get((space, query.get("requestId", "")))
        return _message(known) if known else None

    def _posted(self, space: str, query: dict[str, str], body: dict[str, Any]) -> Answer:
        number = len(self.messages) + 1
        option = query.get("messageReplyOption")
        key = body.get("thread", {}).get("threadKey") or query.get("threadKey", "")
        new = f"spaces/{space}/threads/T{number}"
        thread = self._threads.setdefault((space, key), new) if key and option else new
        message = ChatMessage(f"spaces/{space}/messages/M{number}.M{number}", space, thread, body)
        self.messages.append(message)
        if request_id := query.get("requestId"):
            self._by_request[(space, request_id)] = message
        return _message(message)


def _wrong(query: dict[str, str], raw: bytes) -> str:
    """The first thing that is wrong with a message, "" for none."""
    try:
        body = json.loads(raw)
    except ValueError:
        return "Invalid JSON payload received. Unable to parse."
    if not isinstance(body, dict):
        return "Invalid JSON payload received. Root element must be a message."
    for name in body.keys() - FIELDS:
        return f"Invalid JSON payload received. Unknown name \"{name}\" at 'message': Cannot find field."
    if len(raw) > MAX_BYTES:
        return f"Message size exceeds the limit of {MAX_BYTES} bytes."
    if not body.get("text") and not body.get("cardsV2"):
        return "Message cannot be empty. Discarding empty create message request."
    if query.get("messageReplyOption", REPLY_OPTIONS[0]) not in REPLY_OPTIONS:
        return "Invalid value at 'message_reply_option'."
    if len(body.get("thread", {}).get("threadKey", "")) > THREAD_KEY_CHARS:
        return f"Thread key exceeds the limit of {THREAD_KEY_CHARS} characters."
    return next((wrong for one in body.get("cardsV2", []) if (wrong := _wrong_card(one.get("card", {})))), "")


def _wrong_card(card: dict[str, Any]) -> str:
    header = card.get("header")
    if header is not None and not header.get("title"):
        return "Card header must have a title."
    sections = card.get("sections", [])
    if not sections or not all(section.get("widgets") for section in sections):
        return "Card sections must have at least one widget."
    widgets = list(_widgets(card))
    if len(widgets) > WIDGETS:
        return f"Card exceeds the limit of {WIDGETS} widgets."
    return next((wrong for one in widgets if (wrong := _wrong_widget(one))), "")


def _widgets(card: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for section in card["sections"]:
        yield from section["widgets"]


def _wrong_widget(widget: dict[str, Any]) -> str:
    """A widget is one thing, and says something."""
    if len(widget) != 1:
        return "Widget must have exactly one kind of data."
    ((kind, content),) = widget.items()
    if kind in ("textParagraph", "decoratedText"):
        return "" if content.get("text") else f"Widget '{kind}' must have a text."
    if kind == "buttonList":
        buttons = content.get("buttons", [])
        fine = all(one.get("text") and one.get("onClick", {}).get("openLink", {}).get("url") for one in buttons)
        return "" if buttons and fine else "Button must have a text and an onClick."
    return f"Invalid JSON payload received. Unknown name \"{kind}\" at 'widget': Cannot find field."


def _message(message: ChatMessage) -> Answer:
    said = message.body | {
        "name": message.name,
        "thread": message.body.get("thread", {}) | {"name": message.thread},
        "space": {"name": f"spaces/{message.space}"},
    }
    return Answer(200, json.dumps(said).encode(), {"content-type": "application/json; charset=UTF-8"})


def _error(code: int, status: str, message: str, details: list[dict[str, str]] | None = None) -> Answer:
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    if details:
        error["details"] = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", **one} for one in details]
    return Answer(code, json.dumps({"error": error}).encode(), {"content-type": "application/json; charset=UTF-8"})
