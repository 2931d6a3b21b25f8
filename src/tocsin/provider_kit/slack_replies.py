"""What Slack answers: a bare word (`no_service`), or a JSON object with `ok` and, where that is false, the word as its
`error`. Words: https://docs.slack.dev/reference/methods/chat.postMessage#errors, and of the webhooks
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors
"""

import re
from typing import Any

import msgspec

from tocsin.model.wire import HttpReply
from tocsin.provider_kit.text import cut, line

REASON_CHARS = 300

_BEGINNING = re.compile(
    rb'\s*\{\s*"ok"\s*:\s*true\s*,\s*"channel"\s*:\s*"(\w{1,40})"\s*,\s*"ts"\s*:\s*"([0-9.]{1,40})"'
)


def answer(reply: HttpReply) -> dict[str, Any]:
    """The JSON object; {} for anything else.

    chat.postMessage answers with the whole message, which may be longer than what is read of it. It begins with what
    matters.
    """
    try:
        found = msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        start = _BEGINNING.match(reply.body) if reply.truncated else None
        return {"ok": True, "channel": start[1].decode(), "ts": start[2].decode()} if start else {}
    return found if isinstance(found, dict) else {}


def word(reply: HttpReply) -> str:
    """The word that says what is wrong, or `ok`: bare, or as the `error` of a JSON object."""
    if reply.body.lstrip().startswith(b"{"):
        return str(answer(reply).get("error", ""))
    return reply.body[:1000].decode("utf-8", "replace").strip()


def reason(found: dict[str, Any]) -> str:
    """The word, and what Slack adds for people: the culprit of a refused message, the scope that is missing."""
    said = [str(found.get("error", ""))]
    if found.get("needed"):
        said.append(f"needs {found['needed']}")
    metadata = found.get("response_metadata")
    messages = metadata.get("messages") if isinstance(metadata, dict) else None
    said += [str(one) for one in messages[:5]] if isinstance(messages, list) else []
    return cut(line(": ".join([said[0], "; ".join(said[1:])]) if said[1:] else said[0]), REASON_CHARS)
