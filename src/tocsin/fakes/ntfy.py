"""An ntfy server: topics, and the notifications that a telephone would show.

https://docs.ntfy.sh/publish/#limitations
https://github.com/binwiederhier/ntfy/blob/main/server/errors.go
"""

import json
import re
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

from tocsin.fakes import Answer, Asked

MESSAGE_BYTES = 4096
BODY_BYTES = 2 * MESSAGE_BYTES
TITLE_BYTES = 1024
ACTIONS = 3
REQUESTS = 60
REFILL_MS = 5000

_NAME = re.compile(r"[-_A-Za-z0-9]{1,64}")


@dataclass
class Notification:
    """What a telephone shows. `earlier` are those that it replaced, oldest first."""

    body: dict[str, Any]
    at_ms: int
    earlier: list[dict[str, Any]] = field(default_factory=list)


class FakeNtfy:
    """A server that keeps no files, so that what is too long is refused. Every topic works.

    topics: by name, what is shown there. reserved: the tokens that may write, by topic; others need none.
    limits: whether rates are kept. next: answers that are given before anything is looked at, first come first.
    """

    hosts: tuple[str, ...] = ("ntfy.sh",)

    def __init__(self, *, limits: bool = False) -> None:
        self.limits = limits
        self.topics: dict[str, list[Notification]] = defaultdict(list)
        self.reserved: dict[str, set[str]] = {}
        self.next: deque[Answer] = deque()
        self._left = float(REQUESTS)
        self._asked_ms = 0
        self._count = 0

    def answer(self, asked: Asked) -> Answer:
        """The message as it was taken, or an error with ntfy's number."""
        if self.next:
            return self.next.popleft()
        if asked.method not in ("POST", "PUT") or asked.path != "/":
            return refused(40401, "page not found")
        self._left = min(REQUESTS, self._left + (asked.at_ms - self._asked_ms) / REFILL_MS)
        self._asked_ms = asked.at_ms
        if self.limits and self._left < 1:
            return refused(42901, "limit reached: too many requests")
        self._left -= 1
        if len(asked.body) > BODY_BYTES:
            return refused(41303, "JSON body too large")
        try:
            sent = json.loads(asked.body)
        except ValueError:
            sent = None
        if not isinstance(sent, dict):
            return refused(40017, "invalid request: request body must be message JSON")
        return self._published(sent, asked)

    def _published(self, sent: dict[str, Any], asked: Asked) -> Answer:
        topic, sequence = str(sent.get("topic", "")), str(sent.get("sequence_id", ""))
        if not _NAME.fullmatch(topic):
            return refused(40009, "invalid request: topic invalid")
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.reserved.get(topic, {token}):
            return refused(40301, "forbidden") if token else refused(40101, "unauthorized")
        if wrong := fault(sent):
            return refused(*wrong)
        self._count += 1
        shown = self.topics[topic]
        old = next((one for one in shown if sequence and one.body.get("sequence_id") == sequence), None)
        if old:
            shown.remove(old)
        shown.append(Notification(sent, asked.at_ms, [*old.earlier, old.body] if old else []))
        said = {"id": f"fake{self._count:08d}", "time": asked.at_ms // 1000, "event": "message", "topic": topic}
        return Answer(200, json.dumps(said).encode(), {"content-type": "application/json"})


def fault(sent: dict[str, Any]) -> tuple[int, str] | None:
    """What is wrong with a message: the number and the words."""
    if len(str(sent.get("message", "")).encode()) > MESSAGE_BYTES:
        return 40014, "invalid request: attachments not allowed"
    if len(str(sent.get("title", "")).encode()) > TITLE_BYTES:
        return 40000, "invalid request: title too large"
    if sent.get("priority", 3) not in range(1, 6):
        return 40007, "invalid priority parameter"
    if not _NAME.fullmatch(str(sent.get("sequence_id", "x"))):
        return 40000, "invalid request: sequence ID invalid"
    actions = sent.get("actions", [])
    if len(actions) > ACTIONS:
        return 40018, f"invalid request: actions invalid, only {ACTIONS} actions allowed"
    if not all(one.get("action") == "view" and one.get("label") and one.get("url") for one in actions):
        return 40018, "invalid request: actions invalid, parameter 'label' is required"
    return None


def refused(code: int, words: str) -> Answer:
    """The first three digits of ntfy's numbers are the status."""
    said = {"code": code, "http": code // 100, "error": words}
    return Answer(code // 100, json.dumps(said).encode(), {"content-type": "application/json"})
