"""SendGrid's Mail Send: what it takes, what it refuses and in which words, and the mails that people would have got.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send
https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tocsin.fakes import Answer, Asked

MAX_BYTES = 30 * 1024 * 1024
PERSONALIZATIONS = 1000
RECIPIENTS = 1000
CUSTOM_ARGS_BYTES = 10_000
RESERVED = frozenset({
    "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding", "to", "from",
    "subject", "reply-to", "cc", "bcc",
})  # fmt: skip
KEYS = frozenset({
    "personalizations", "from", "reply_to", "reply_to_list", "subject", "content", "attachments", "template_id",
    "headers", "categories", "custom_args", "send_at", "batch_id", "asm", "ip_pool_name", "mail_settings",
    "tracking_settings",
})  # fmt: skip

_ADDRESS = re.compile(r"[^@\s<>\"]{1,64}@[^@\s<>\"]+\.[^@\s<>\".]+")
_KEY = re.compile(r"Bearer SG\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class _Wrong(Exception):
    """(message, field)"""


@dataclass
class Mail:
    """One mail as it went out. `to` and `cc` are addresses."""

    to: list[str]
    cc: list[str]
    sender: str
    subject: str
    text: str
    html: str
    headers: dict[str, str]
    sent: dict[str, Any] = field(default_factory=dict)


class FakeSendGrid:
    """`mails` in their order. `dead_keys` were revoked; with `verified` senders, others are refused; without `credits`
    nothing is taken. `next` are answers to give instead of its own."""

    hosts: tuple[str, ...] = ("api.sendgrid.com",)

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.dead_keys: set[str] = set()
        self.verified: set[str] = set()
        self.credits: int | None = None
        self.next: list[Answer] = []

    def answer(self, asked: Asked) -> Answer:
        if self.next:
            return self.next.pop(0)
        if asked.path != "/v3/mail/send":
            return _refused(404, "not found")
        if asked.method != "POST":
            return _refused(405, "method not allowed")
        key = asked.headers.get("authorization", "")
        if not _KEY.fullmatch(key) or key.removeprefix("Bearer ") in self.dead_keys:
            return _refused(401, "The provided authorization grant is invalid, expired, or revoked")
        if len(asked.body) > MAX_BYTES:
            return _refused(413, "content too large")
        if self.credits == len(self.mails):
            return _refused(401, "Maximum credits exceeded")
        try:
            sent = json.loads(asked.body)
            mails = list(_mails(sent))
        except ValueError:
            return _refused(400, "Bad Request")
        except _Wrong as wrong:
            return _refused(400, *wrong.args)
        if self.verified and sent["from"]["email"] not in self.verified:
            told = (
                "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is "
            )
            told += (
                "resolved. Visit https://sendgrid.com/docs/for-developers/sending-email/sender-identity/ to see the "
            )
            return _refused(403, told + "Sender Identity requirements", "from")
        self.mails += mails
        return Answer(202, b"", {"x-message-id": f"fake{len(self.mails):018d}"})


def _mails(sent: Any) -> Iterator[Mail]:
    if not isinstance(sent, dict):
        raise ValueError
    for unknown in sent.keys() - KEYS:
        raise _Wrong("Bad Request", unknown)
    envelopes = sent.get("personalizations")
    if not isinstance(envelopes, list) or not envelopes:
        told = "The personalizations field is required and must have at least one personalization."
        raise _Wrong(told, "personalizations")
    if len(envelopes) > PERSONALIZATIONS:
        raise _Wrong(
            "The personalization block is limited to 1000 personalizations per API request.", "personalizations"
        )
    if sum(len(one.get(group, [])) for one in envelopes for group in ("to", "cc", "bcc")) > RECIPIENTS:
        raise _Wrong("There is a limit of 1000 total recipients (to + cc + bcc) per request.", "personalizations")
    sender = sent.get("from")
    if not isinstance(sender, dict) or not _is_address(sender):
        raise _Wrong("The from email does not contain a valid address.", "from.email")
    if not str(sender.get("name", "")).isascii():
        raise _Wrong("The from name may not hold Unicode characters.", "from.name")
    subject = sent.get("subject")
    if not isinstance(subject, str) or not subject:
        told = "The subject is required. You can get around this requirement if you use a template with a subject "
        raise _Wrong(told + "defined or if every personalization has a subject defined.", "subject")
    text, html = _content(sent.get("content"))
    headers = _headers(sent.get("headers", {}))
    for number, one in enumerate(envelopes):
        to, cc = _recipients(one, f"personalizations.{number}")
        yield Mail(to, cc, sender["email"], subject, text, html, headers, sent)


def _recipients(envelope: dict[str, Any], place: str) -> tuple[list[str], list[str]]:
    if not envelope.get("to"):
        told = "The to array is required for all personalization objects, and must have at least one email object with "
        raise _Wrong(told + "a valid email address.", f"{place}.to")
    seen: set[str] = set()
    for group in ("to", "cc", "bcc"):
        for number, one in enumerate(envelope.get(group, [])):
            if not _is_address(one):
                raise _Wrong("Does not contain a valid address.", f"{place}.{group}.{number}.email")
            if one["email"].lower() in seen:
                told = "Each email address in the personalization block should be unique between to, cc, and bcc. We "
                told += f"found the first duplicate instance of [{one['email']}] in the {place}.{group} field."
                raise _Wrong(told, place)
            seen.add(one["email"].lower())
    if len(json.dumps(envelope.get("custom_args", {})).encode()) >= CUSTOM_ARGS_BYTES:
        raise _Wrong("The custom_args may not exceed 10,000 bytes.", f"{place}.custom_args")
    return [one["email"] for one in envelope["to"]], [one["email"] for one in envelope.get("cc", [])]


def _content(content: Any) -> tuple[str, str]:
    if not isinstance(content, list) or not content:
        told = "Unless a valid template_id is provided, the content parameter is required. There must be at least one "
        raise _Wrong(told + "defined content block.", "content")
    for number, one in enumerate(content):
        if not isinstance(one.get("value"), str) or not one["value"]:
            told = "The content value must be a string at least one character in length."
            raise _Wrong(told, f"content.{number}.value")
    kinds = [one.get("type") for one in content]
    if len(set(kinds)) < len(kinds):
        raise _Wrong("If present, each content type may appear only once.", "content")
    if "text/plain" in kinds[1:] or "text/html" in kinds[2:]:
        told = "If present, text/plain and text/html must be the first content, in this order."
        raise _Wrong(told, "content")
    found = {one["type"]: one["value"] for one in content}
    return found.get("text/plain", ""), found.get("text/html", "")


def _headers(headers: Any) -> dict[str, str]:
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise _Wrong("The headers must be an object of strings.", "headers")
    for name in headers:
        if name.lower() in RESERVED:
            raise _Wrong(f"The header {name} cannot be set.", "headers")
    return dict(headers)


def _is_address(found: Any) -> bool:
    return isinstance(found, dict) and isinstance(found.get("email"), str) and bool(_ADDRESS.fullmatch(found["email"]))


def _refused(status: int, message: str, where: str | None = None) -> Answer:
    body = json.dumps({"errors": [{"message": message, "field": where, "help": None}]}).encode()
    return Answer(status, body, {"content-type": "application/json"})
