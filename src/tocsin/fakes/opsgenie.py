"""Opsgenie's alerts: what it takes, what it refuses and in which words, what is open.

https://docs.opsgenie.com/docs/alert-api
https://docs.opsgenie.com/docs/response
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from tocsin.fakes import Answer, Asked

CHARS = {"message": 130, "alias": 512, "description": 15_000, "entity": 512, "source": 100, "user": 100, "note": 25_000}
LISTS = {"tags": (20, 50), "actions": (10, 50)}
DETAILS_CHARS = 8000
PRIORITIES = ("P1", "P2", "P3", "P4", "P5")

_KEY = re.compile(r"GenieKey ([0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})")
_CLOSE = re.compile(r"/v2/alerts/([^/?]+)/close(?:\?(.*))?")


@dataclass
class Alert:
    """One alert; `status` is open or closed, `count` how often it was raised while it was open."""

    alias: str
    message: str
    priority: str
    status: str = "open"
    count: int = 1
    content: dict[str, Any] = field(default_factory=dict)
    note: str = ""


class FakeOpsgenie:
    """`alerts` in the order in which they were opened. `keys` are those that it knows; empty knows every one of the
    right form. `next` are answers to give instead of its own."""

    hosts: tuple[str, ...] = ("api.opsgenie.com", "api.eu.opsgenie.com")

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.keys: set[str] = set()
        self.next: list[Answer] = []
        self._asked = 0

    def answer(self, asked: Asked) -> Answer:
        if self.next:
            return self.next.pop(0)
        self._asked += 1
        key = _KEY.fullmatch(asked.headers.get("authorization", ""))
        if key is None:
            return self._said(422, message="Key format is not valid!")
        if self.keys and key[1] not in self.keys:
            return self._said(401, message="Could not authenticate")
        if asked.method != "POST":
            return self._said(405, message="Method not allowed")
        try:
            content = json.loads(asked.body)
        except ValueError:
            return self._said(400, message="Could not parse JSON body")
        if not isinstance(content, dict):
            return self._said(400, message="Could not parse JSON body")
        close = _CLOSE.fullmatch(asked.path)
        if close is None and asked.path != "/v2/alerts":
            return Answer(404, b"<html>Not Found</html>", {"content-type": "text/html"})
        errors = _wrong(content) if close else {**_wrong(content), **_wrong_alert(content)}
        if errors:
            return self._said(422, message="Request body is not processable. Please check the errors.", errors=errors)
        if close:
            by = parse_qs(close[2] or "").get("identifierType", ["id"])[0]
            self._close(unquote(close[1]) if by == "alias" else "", content)
        else:
            self._open(content)
        return self._said(202, result="Request will be processed")

    def open_alerts(self) -> list[Alert]:
        return [one for one in self.alerts if one.status == "open"]

    def _open(self, content: dict[str, Any]) -> None:
        """An open alert with the same alias is raised once more instead."""
        alias = content.get("alias") or f"generated-{len(self.alerts)}"
        for one in self.open_alerts():
            if one.alias == alias:
                one.count += 1
                return
        self.alerts.append(Alert(alias, content["message"], content.get("priority", "P3"), content=content))

    def _close(self, alias: str, content: dict[str, Any]) -> None:
        """Closing what nobody knows is taken as well: the answer comes before the work."""
        for one in self.open_alerts():
            if one.alias == alias:
                one.status, one.note = "closed", content.get("note", "")

    def _said(self, status: int, **content: Any) -> Answer:
        told = content | {"took": 0.002, "requestId": f"00000000-0000-0000-0000-{self._asked:012}"}
        return Answer(status, json.dumps(told).encode(), {"content-type": "application/json"})


def _wrong(content: dict[str, Any]) -> dict[str, str]:
    """What is wrong with the texts, by their names."""
    wrong: dict[str, str] = {}
    for name, limit in CHARS.items():
        value = content.get(name)
        if value is not None and not isinstance(value, str):
            wrong[name] = f"{name} must be a string."
        elif value is not None and len(value) > limit:
            wrong[name] = f"{name} must not be longer than {limit} characters."
    return wrong


def _wrong_alert(content: dict[str, Any]) -> dict[str, str]:
    """What else is wrong with an alert to open."""
    wrong: dict[str, str] = {}
    message = content.get("message")
    if message is None or (isinstance(message, str) and not message.strip()):
        wrong["message"] = "Message can not be empty."
    if content.get("priority", "P3") not in PRIORITIES:
        wrong["priority"] = "Priority must be one of P1, P2, P3, P4, P5."
    for name, (count, chars) in LISTS.items():
        given = content.get(name, [])
        if not isinstance(given, list) or not all(isinstance(one, str) and 0 < len(one) <= chars for one in given):
            wrong[name] = f"{name} must be texts of at most {chars} characters."
        elif len(given) > count:
            wrong[name] = f"{name} must not be more than {count}."
    details = content.get("details", {})
    if not isinstance(details, dict) or not all(isinstance(one, str) for one in details.values()):
        wrong["details"] = "Details must be a map of texts."
    elif sum(len(name) + len(value) for name, value in details.items()) > DETAILS_CHARS:
        wrong["details"] = f"Details must not be longer than {DETAILS_CHARS} characters in all."
    return wrong
