"""Slack workflows that begin with a webhook: the workflow says what becomes of the values it is given.

Shapes:  https://slack.com/help/articles/360041352714-Build-a-workflow--Create-a-workflow-that-starts-outside-of-Slack
Reply:   https://github.com/slackapi/node-slack-sdk/pull/2615: `{"ok": true}`, or false with an `error`

The body is one flat object of strings with exactly the variables that the workflow declares; any other is refused.
"""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from tocsin.model.message import Message
from tocsin.model.wire import Accepted, HttpReply, HttpRequest, Outcome, Rejected, Reply, Retry, Sending
from tocsin.provider_kit.block_kit import unmentionable
from tocsin.provider_kit.body import rfc3339
from tocsin.provider_kit.classify import by_status, retry_after_s, said
from tocsin.provider_kit.provider import Provider, refuse_address
from tocsin.provider_kit.slack_replies import answer, reason
from tocsin.provider_kit.text import cut, duration, lines, masked

ADDRESS = re.compile(
    r"https://hooks\.slack(?:-gov)?\.com/(?:workflows|triggers)/[TE][A-Z0-9]{6,}/[A-Za-z0-9]+(?:/[A-Za-z0-9]+){1,2}/?"
)
"""Today's `triggers` and the older `workflows`, for commercial workspaces and for GovSlack."""

VALUE_CHARS = 3000
"""What a text block of the message takes that the workflow makes of it."""
ABSENT = "–"
"""For a value that the message does not have: a workflow that begins without one of its variables fails."""

RATE_LIMITED = frozenset({"ratelimited", "rate_limited"})
PASSING = RATE_LIMITED | {"internal_error", "service_unavailable", "fatal_error"}

Variable = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,80}\Z", description="The key that the workflow declares")]
Value = Literal[
    "title", "summary", "cause", "text", "detail", "status", "severity", "type", "pipeline", "run_id", "stage",
    "duration", "source", "time", "url", "facts",
]  # fmt: skip

_encoder = msgspec.json.Encoder()


def standard() -> dict[Variable, Value]:
    return {"title": "title", "status": "status", "summary": "summary", "url": "url"}


class SlackWorkflowSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`variables`: the keys that the workflow declares, all of the type text, and what each of them gets. A workflow
    takes 20 at most."""

    variables: Annotated[dict[Variable, Value], Meta(min_length=1, max_length=20)] = msgspec.field(
        default_factory=standard
    )


def check_address(address: str) -> str:
    """A workflow's trigger and nothing else: an incoming webhook takes other bodies."""
    if not ADDRESS.fullmatch(address):
        raise refuse_address(masked(address), "https://hooks.slack.com/triggers/T…/…/…")
    return address


def render(sending: Sending) -> HttpRequest:
    """The variables, each a string that is not empty."""
    settings: SlackWorkflowSettings = sending.target.settings
    body = {name: value(sending.told, what) for name, what in settings.variables.items()}
    headers = (("content-type", "application/json; charset=utf-8"),)
    return HttpRequest("POST", sending.target.address, _encoder.encode(body), headers)


def value(message: Message, what: Value) -> str:
    """One value in words; nothing in it looks like a mention."""
    words = found(message, what)
    return cut(unmentionable(lines(words)).strip(), VALUE_CHARS) or ABSENT


def found(message: Message, what: Value) -> str:
    match what:
        case "title":
            return f"{message.emoji} {message.title}".strip()
        case "summary":
            return message.sentence
        case "status":
            return message.run_status or message.severity
        case "type":
            return message.event_type
        case "duration":
            return "" if message.duration_ms is None else duration(message.duration_ms)
        case "time":
            return rfc3339(message.time_ms)
        case "url":
            return message.actions[0].url if message.actions else ""
        case "facts":
            return "\n".join(f"{name}: {shown}" for name, shown in message.facts)
        case _:
            return str(getattr(message, what))


def classify(reply: Reply) -> Outcome:
    """Slack says that the workflow was started, never that it posted anything."""
    if not isinstance(reply, HttpReply):
        return by_status(reply)
    told = answer(reply)
    word = str(told.get("error", ""))
    if word in PASSING:
        limited = reply.status == 429 or word in RATE_LIMITED
        return Retry(reason(told), retry_after_s(reply.headers), rate_limited=limited)
    if not 200 <= reply.status < 300:
        return by_status(reply)
    if told.get("ok") is True:
        return Accepted("the workflow was started; what it does shows in its activity log")
    if told.get("ok") is False:
        return Rejected(reason(told) or said(reply))
    return Retry(f"answered, but not with ok: {said(reply)}")


PROVIDER = Provider(
    kind="slack_workflow",
    label="Slack workflow",
    about="A workflow of Slack's Workflow Builder that begins with a webhook.",
    settings_type=SlackWorkflowSettings,
    check_address=check_address,
    render=render,
    classify=classify,
    rate_per_s=1.0,  # as slow as other webhooks of Slack: https://docs.slack.dev/apis/web-api/rate-limits
    timeout_s=10.0,
    max_age_s=6 * 3600,
    max_body_bytes=400_000,
)
