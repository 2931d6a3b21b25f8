"""Microsoft Teams behind its workflows: takes what the template takes, and loses in silence what the real one loses.

A workflow answers before it does anything: 202 says that a run was queued. What the run then makes of the card stands
in `Flow.posts`, or with its reason in `Flow.failures`, which is all that the run history would tell.
Codes and words: https://learn.microsoft.com/azure/logic-apps/logic-apps-securing-a-logic-app, and those that people
reported for Teams (msteams-docs issues 11274 and 11302).
"""

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tocsin.fakes import Answer, Asked

HOST = "default0123.4b.environment.api.powerplatform.com"
OLD_HOST = "prod-161.westeurope.logic.azure.com"
SIGNATURE = "KODuebWbDGYFr0z0eu-_"

MEASURED_BYTES = 28 * 1024
GROWTH = 1.18
"""Teams measures the card after it has expanded it: 24,453 bytes sent were 28,897 there."""
VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4", "1.5")
ACTIONS = 6
"""How many buttons Teams shows."""

_PATH = re.compile(r"/(?:.*/)?workflows/([A-Za-z0-9]+)/triggers/manual/paths/invoke/?")


class Flow:
    """One workflow, and the channel that it posts to."""

    def __init__(self) -> None:
        self.enabled = True
        self.posts: list[dict[str, Any]] = []
        self.failures: list[str] = []


class FakeTeams:
    """Workflows by their id. `next` are the answers to give instead, first to last."""

    hosts: tuple[str, ...] = (HOST, OLD_HOST)

    def __init__(self) -> None:
        self.flows: dict[str, Flow] = {}
        self.next: list[Answer] = []

    def address(self, name: str = "b840a60a611b4d") -> str:
        """The webhook address of a workflow, which is made if it is new."""
        self.flows.setdefault(name, Flow())
        return (
            f"https://{HOST}:443/powerautomate/automations/direct/workflows/{name}/triggers/manual/paths/invoke"
            f"?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={SIGNATURE}"
        )

    def answer(self, asked: Asked) -> Answer:
        """202 and nothing more, or the error that Azure Logic Apps gives."""
        if self.next:
            return self.next.pop(0)
        url = urlsplit(asked.path)
        query = parse_qs(url.query)
        found = _PATH.fullmatch(url.path)
        flow = self.flows.get(found[1]) if found else None
        if "api-version" not in query:
            return error(
                400,
                "MissingApiVersionParameter",
                "The api-version query parameter (?api-version=) is required for all requests.",
            )
        if "authorization" in asked.headers or "sig" not in query:
            return error(
                401, "DirectApiAuthorizationRequired", "The request must be authenticated only by Shared Access scheme."
            )
        if query["sig"] != [SIGNATURE]:
            return error(403, "AuthorizationFailed", "The authentication credentials are not valid.")
        if flow is None:
            name = found[1] if found else ""
            return error(404, "WorkflowNotFound", f"The workflow '{name}' could not be found.")
        if not flow.enabled:
            words = "Could not execute workflow trigger 'manual' with state 'Disabled': trigger is not enabled."
            return error(400, "WorkflowTriggerIsNotEnabled", words)
        try:
            envelope = json.loads(asked.body)
        except ValueError:
            return error(
                400, "InvalidRequestContent", "The request content is not valid and could not be deserialized."
            )
        if not isinstance(envelope, dict) or "json" not in asked.headers.get("content-type", ""):
            return error(
                400,
                "TriggerInputSchemaMismatch",
                "The input body for trigger 'manual' did not match its schema definition.",
            )
        run(flow, envelope)
        return Answer(202, b"")


def run(flow: Flow, envelope: dict[str, Any]) -> None:
    """What happens after the answer: the card is posted, or the run fails and nobody is told."""
    attachments = envelope.get("attachments")
    if not isinstance(attachments, list):
        flow.failures.append(
            "The execution of template action 'Send_each_adaptive_card' failed: 'attachments' is of type 'Null'."
        )
        return
    for attachment in attachments:
        reason = refusal(attachment)
        if reason:
            flow.failures.append(reason)
        else:
            flow.posts.append(attachment["content"])


def refusal(attachment: Any) -> str:
    """Why Teams would not post this card, or ""."""
    if not isinstance(attachment, dict) or attachment.get("contentType") != "application/vnd.microsoft.card.adaptive":
        return "The attachment is no Adaptive Card."
    content = attachment.get("content")
    if not isinstance(content, dict) or content.get("type") != "AdaptiveCard" or not content.get("body"):
        return "Property 'type' must be 'AdaptiveCard', and the card must have a body."
    if content.get("version") not in VERSIONS:
        return f"The card's version {content.get('version')!r} is not supported."
    size = len(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()) * GROWTH
    if size > MEASURED_BYTES:
        return f"RequestEntityTooLarge: the message is {size:.0f} bytes, at most {MEASURED_BYTES} are allowed."
    if len(content.get("actions", [])) > ACTIONS:
        return f"A card may have at most {ACTIONS} actions."
    text = json.dumps(content["body"], ensure_ascii=False)
    for entity in content.get("msteams", {}).get("entities", []):
        if json.dumps(entity["text"], ensure_ascii=False)[1:-1] not in text:
            return f"The mention {entity['text']!r} does not stand in the card's text."
    return ""


def error(status: int, code: str, message: str) -> Answer:
    """As Azure Logic Apps words it."""
    body = json.dumps({"error": {"code": code, "message": message}}).encode()
    return Answer(status, body, {"content-type": "application/json; charset=utf-8"})
