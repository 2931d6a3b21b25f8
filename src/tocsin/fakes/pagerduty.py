"""PagerDuty, Events API v2, as far as alerts go: what it takes, what it refuses and in which words, what is open.

https://developer.pagerduty.com/docs/send-alert-event
https://developer.pagerduty.com/docs/events-api-v2-overview
"""

import json
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

from tocsin.fakes import Answer, Asked

SEVERITIES = ("critical", "warning", "error", "info")
ACTIONS = ("trigger", "acknowledge", "resolve")
MAX_BYTES = 524_288
SUMMARY_CHARS = 1024
DEDUP_KEY_CHARS = 255
EVENTS = 120
PER_MS = 60_000


@dataclass
class Alert:
    """One alert; `status` is triggered, acknowledged or resolved. `events` are the bodies that spoke of it."""

    routing_key: str
    dedup_key: str
    status: str
    summary: str
    severity: str
    events: list[dict[str, Any]] = field(default_factory=list)


class FakePagerDuty:
    """`alerts` in the order in which they were opened: one that triggers anew after it was resolved is a new one.
    `dead_keys` belong to integrations that were deleted. `next` are answers to give instead of its own."""

    hosts: tuple[str, ...] = ("events.pagerduty.com", "events.eu.pagerduty.com")

    def __init__(self) -> None:
        self.alerts: list[Alert] = []
        self.dead_keys: set[str] = set()
        self.next: list[Answer] = []
        self._taken_ms: dict[str, deque[int]] = defaultdict(deque)

    def answer(self, asked: Asked) -> Answer:
        if self.next:
            return self.next.pop(0)
        if asked.path != "/v2/enqueue":
            return _said(404, {"status": "not found", "message": "Not found"})
        if asked.method != "POST":
            return _said(405, {"status": "method not allowed", "message": "Method not allowed"})
        if len(asked.body) > MAX_BYTES:
            return _said(413, {"status": "invalid event", "message": "Event is larger than 512 KB"})
        try:
            event = json.loads(asked.body)
        except ValueError:
            return _refused("Event object format is unrecognized", "JSON parse error", status="Unrecognized object")
        wrong = _wrong(event) if isinstance(event, dict) else ["Event is not an object"]
        if not wrong and event["routing_key"] in self.dead_keys:
            wrong = ["'routing_key' is not that of an integration"]
        if wrong:
            return _refused("Event object is invalid", *wrong)
        if self._too_many(event["routing_key"], asked.at_ms):
            told = "Requests for this service are arriving too quickly.  Please retry later."
            return _said(429, {"status": "throttle exceeded", "message": told})
        key = event.get("dedup_key") or f"generated-{len(self.alerts)}"
        self._keep(event, key)
        return _said(202, {"status": "success", "message": "Event processed", "dedup_key": key})

    def open_alerts(self) -> list[Alert]:
        return [one for one in self.alerts if one.status != "resolved"]

    def _too_many(self, routing_key: str, at_ms: int) -> bool:
        """120 in any 60 seconds; those that are refused do not count."""
        taken = self._taken_ms[routing_key]
        while taken and taken[0] <= at_ms - PER_MS:
            taken.popleft()
        if len(taken) >= EVENTS:
            return True
        taken.append(at_ms)
        return False

    def _keep(self, event: dict[str, Any], key: str) -> None:
        """A trigger opens an alert or adds to the open one; the rest finds an open one or is dropped."""
        routing_key, action = event["routing_key"], event["event_action"]
        found = [one for one in self.open_alerts() if (one.routing_key, one.dedup_key) == (routing_key, key)]
        if not found and action == "trigger":
            payload = event["payload"]
            found = [Alert(routing_key, key, "triggered", payload["summary"], payload["severity"])]
            self.alerts += found
        for one in found:
            one.events.append(event)
            if action != "trigger":
                one.status = f"{action.removesuffix('e')}ed"


def _wrong(event: dict[str, Any]) -> list[str]:
    """Everything that is wrong with an event, in its order of fields."""
    wrong: list[str] = []
    key = event.get("routing_key")
    if not isinstance(key, str) or not key.strip():
        wrong.append("'routing_key' is missing or blank")
    elif len(key) != 32:
        wrong.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    action = event.get("event_action")
    if action not in ACTIONS:
        wrong.append("'event_action' is missing or invalid (must be one of: 'trigger', 'acknowledge' or 'resolve')")
    dedup_key = event.get("dedup_key")
    if dedup_key is not None and not isinstance(dedup_key, str):
        wrong.append("'dedup_key' must be a string")
    elif dedup_key and len(dedup_key) > DEDUP_KEY_CHARS:
        wrong.append("'dedup_key' is too long (maximum is 255 characters)")
    elif not dedup_key and action in ("acknowledge", "resolve"):
        wrong.append("'dedup_key' is missing or blank")
    if action == "trigger":
        wrong += _wrong_payload(event.get("payload"))
    wrong += [
        f"'{name}' must be a string" for name in ("client", "client_url") if not isinstance(event.get(name, ""), str)
    ]
    for name, address in (("links", "href"), ("images", "src")):
        given = event.get(name, [])
        if not isinstance(given, list) or not all(isinstance(one, dict) and _word(one.get(address)) for one in given):
            wrong.append(f"'{name}' must be an array of objects with '{address}'")
    return wrong


def _wrong_payload(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    wrong = [f"'payload.{name}' is missing or blank" for name in ("summary", "source") if not _word(payload.get(name))]
    if _word(payload.get("summary")) and len(payload["summary"]) > SUMMARY_CHARS:
        wrong.append("'payload.summary' is too long (maximum is 1024 characters)")
    if payload.get("severity") not in SEVERITIES:
        wrong.append(
            "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')"
        )
    if not isinstance(payload.get("custom_details", {}), dict):
        wrong.append("'payload.custom_details' must be an object")
    return wrong


def _word(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _refused(message: str, *errors: str, status: str = "invalid event") -> Answer:
    return _said(400, {"status": status, "message": message, "errors": list(errors)})


def _said(status: int, content: dict[str, Any]) -> Answer:
    return Answer(status, json.dumps(content).encode(), {"content-type": "application/json"})
