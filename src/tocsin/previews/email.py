"""A mail as its reader gets it. The document is shown in an iframe with `sandbox`, so that nothing in it runs."""

import json
from email import message_from_bytes, policy
from email.message import EmailMessage

from tocsin.model.wire import HttpRequest, SmtpRequest


def html(request: HttpRequest | SmtpRequest) -> str:
    """The HTML part, a whole document."""
    return parts(request)[2]


def subject_and_text(request: HttpRequest | SmtpRequest) -> tuple[str, str]:
    """What the inbox shows, and the plain part."""
    subject, text, _ = parts(request)
    return subject, text


def parts(request: HttpRequest | SmtpRequest) -> tuple[str, str, str]:
    """(subject, plain text, HTML) of SendGrid's JSON, or of the mail itself."""
    if isinstance(request, HttpRequest):
        sent = json.loads(request.body)
        content = {one["type"]: one["value"] for one in sent["content"]}
        return sent["subject"], content.get("text/plain", ""), content.get("text/html", "")
    mail = message_from_bytes(request.body, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    return str(mail["Subject"]), part(mail, "plain"), part(mail, "html")


def part(mail: EmailMessage, kind: str) -> str:
    found = mail.get_body(preferencelist=(kind,))
    return "" if found is None else str(found.get_content())
