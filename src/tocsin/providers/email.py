"""Email: through SendGrid where there is a key for it, else by SMTP.

SendGrid:  https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send
Errors:    https://www.twilio.com/docs/sendgrid/api-reference/mail-send/errors
SMTP:      https://www.rfc-editor.org/rfc/rfc5321, enhanced codes https://www.rfc-editor.org/rfc/rfc3463

Both say "queued" at best: whether the mail is read, or ends among the spam, nobody tells.
"""

import re
import unicodedata
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from tocsin.model.errors import Invalid
from tocsin.model.wire import (
    Accepted,
    Delivered,
    HttpReply,
    HttpRequest,
    Outcome,
    Rejected,
    Reply,
    Request,
    Retry,
    Sending,
    SmtpReply,
    SmtpRequest,
)
from tocsin.provider_kit import mail
from tocsin.provider_kit.classify import WAIT_MAX_S, WAIT_MIN_S, by_status, retry_after_s, said
from tocsin.provider_kit.mail import ADDRESS, ADDRESS_CHARS, EmailAddress
from tocsin.provider_kit.mail_html import bare, html
from tocsin.provider_kit.provider import Provider, SecretText
from tocsin.provider_kit.text import cut, line, masked

SENDGRID = "https://api.sendgrid.com/v3/mail/send"
SENDGRID_KEY = re.compile(r"SG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}")
RECIPIENTS = 50
"""In `to`, and again in `cc`: together what every mail server takes at once (RFC 5321, 4.5.3.1.8)."""
HINT_CHARS = 80
NO_CREDITS_S = 3600.0
"""SendGrid's credits come back at a new day or month, which no header says."""

OptionalAddress = Annotated[str, Meta(pattern=rf"^\Z|{ADDRESS}", max_length=ADDRESS_CHARS)]
HostName = Annotated[str, Meta(pattern=r"^(?:[A-Za-z0-9_:][A-Za-z0-9_.:-]{0,252})?\Z")]
OneLine = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]*\Z", max_length=320)]

_encoder = msgspec.json.Encoder()


class EmailSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is written to, who writes, and by which way.

    to: 1 to 50 addresses. They see each other, and those in `cc`.
    cc: up to 50 more who get a copy.
    from_address: the sender. SendGrid and most servers refuse one that they do not know.
    from_name: the name beside it.
    sendgrid_api_key: with a key, mail goes through SendGrid; without, by SMTP.
    smtp_host, smtp_port, smtp_username, smtp_password: the mail server, and who we are to it.
    smtp_tls: `starttls` (port 587), `tls` from the first byte (port 465), or `none`, for a server that the operator
        named or TOCSIN_ALLOW_TARGETS holds.
    subject_prefix: put before every subject, such as `[prod]`.
    unsubscribe_url: where mail programs lead who wants no more of it: https://… (which they POST to), or mailto:….
    mention_on_failure: failures and rollbacks are marked as important (`Importance: high`).
    use_rich_formatting: false sends the words alone, without colours, tables and buttons.
    include_action_buttons: false leaves out the links.
    theme_color: `#RRGGBB` for the bar on top and the first button, in place of the colour of the state.
    """

    to: Annotated[tuple[EmailAddress, ...], Meta(min_length=1, max_length=RECIPIENTS)]
    cc: Annotated[tuple[EmailAddress, ...], Meta(max_length=RECIPIENTS)] = ()
    from_address: OptionalAddress = ""
    from_name: Annotated[str, Meta(max_length=120)] = ""
    sendgrid_api_key: SecretText = ""
    smtp_host: HostName = ""
    smtp_port: Annotated[int, Meta(ge=1, le=65535)] = 587
    smtp_username: OneLine = ""
    smtp_password: SecretText = ""
    smtp_tls: Literal["starttls", "tls", "none"] = "starttls"
    subject_prefix: Annotated[str, Meta(max_length=60)] = ""
    unsubscribe_url: Annotated[str, Meta(pattern=r"^(?:(?:https?://|mailto:)[!#-;=?-~]+)?\Z", max_length=900)] = ""
    mention_on_failure: bool = False
    use_rich_formatting: bool = True
    include_action_buttons: bool = True
    theme_color: Annotated[str, Meta(pattern=r"^(?:#[0-9A-Fa-f]{6})?\Z")] = ""


def check_settings(settings: EmailSettings) -> None:
    """Raises Invalid where there is no way out, nobody to send as, or a login that cannot be one."""
    key = settings.sendgrid_api_key
    if key and not SENDGRID_KEY.fullmatch(key):
        raise Invalid("settings.sendgrid_api_key", masked(key), "a key such as SG.….…")
    if not key and not settings.smtp_host:
        raise Invalid(
            "settings.smtp_host", "neither it nor sendgrid_api_key", "one of the two, here or of the operator"
        )
    if not settings.from_address:
        raise Invalid("settings.from_address", "nothing", "the address to send from, here or of the operator")
    if bool(settings.smtp_username) != bool(settings.smtp_password):
        raise Invalid("settings.smtp_password", "one of smtp_username and smtp_password", "both or neither")
    if "\x00" in settings.smtp_password:
        raise Invalid("settings.smtp_password", "a NUL character", "a password without one")


def hint(settings: EmailSettings) -> str:
    """`ana@example.com, bob@example.com +3`"""
    everybody = recipients(settings.to, settings.cc)
    shown = everybody[:2] if len(", ".join(everybody[:2])) <= HINT_CHARS else everybody[:1]
    more = len(everybody) - len(shown)
    return cut(", ".join(shown), HINT_CHARS) + (f" +{more}" if more else "")


def recipients(*groups: tuple[str, ...]) -> tuple[str, ...]:
    """Everybody once, in the order given: SendGrid refuses a mail that names somebody twice."""
    found: dict[str, str] = {}
    for group in groups:
        for address in group:
            found.setdefault(address.lower(), address)
    return tuple(found.values())


def render(sending: Sending) -> Request:
    """The mail, as SendGrid's JSON or as it goes to a mail server."""
    settings: EmailSettings = sending.target.settings
    message = sending.told
    content = mail.content_of(
        message, with_links=settings.include_action_buttons, unsubscribe_url=settings.unsubscribe_url
    )
    rich = settings.use_rich_formatting and not sending.plain
    text = mail.plain(content)
    parts = text, html(content, settings.theme_color) if rich else bare(content.title, text)
    subject = mail.subject(message, settings.subject_prefix)
    urgent = settings.mention_on_failure and message.tone in mail.URGENT and not sending.quiet
    return request(sending, subject, parts, urgent=urgent)


class Given(Struct, frozen=True):
    """A mail that somebody else has written: one of `text` and `html` at least."""

    subject: str
    text: str = ""
    html: str = ""


def given(sending: Sending) -> Request:
    """Where it has one part, the other is made of it."""
    assert sending.body is not None
    told = msgspec.json.decode(sending.body, type=Given)
    subject = cut(line(told.subject), mail.SUBJECT_CHARS) or "Notification"
    text = told.text or "This mail is written in HTML."
    return request(sending, subject, (text, told.html or bare(subject, text)), urgent=False)


def request(sending: Sending, subject: str, parts: tuple[str, str], *, urgent: bool) -> Request:
    """By SendGrid, or by a mail server. `parts`: text and HTML."""
    settings: EmailSettings = sending.target.settings
    headers = mail.shared_headers(
        delivery_id=sending.id,
        run_key=sending.run_key,
        from_address=settings.from_address,
        unsubscribe_url=settings.unsubscribe_url,
        urgent=urgent,
    )
    everybody = recipients(settings.to, settings.cc)
    to = tuple(one for one in everybody if one in settings.to)
    cc = tuple(one for one in everybody if one not in settings.to)
    if settings.sendgrid_api_key:
        return sendgrid_request(settings, sending.id, to, cc, subject, headers, parts)
    body = mail.mail(
        sender=(settings.from_name, settings.from_address),
        to=to,
        cc=cc,
        subject=subject,
        at_s=sending.at_s,
        headers=headers,
        parts=parts,
    )
    return SmtpRequest(
        host=settings.smtp_host,
        port=settings.smtp_port,
        tls=settings.smtp_tls,
        username=settings.smtp_username,
        password=settings.smtp_password,
        sender=settings.from_address,
        recipients=everybody,
        body=body,
        trusted=sending.target.trusted,
    )


def sendgrid_request(
    settings: EmailSettings,
    delivery_id: str,
    to: tuple[str, ...],
    cc: tuple[str, ...],
    subject: str,
    headers: Mapping[str, str],
    parts: tuple[str, str],
) -> HttpRequest:
    """One mail to all of them. Nothing in it is tracked: SendGrid rewrites no link and adds no picture."""
    envelope: dict[str, Any] = {"to": [{"email": one} for one in to]}
    if cc:
        envelope["cc"] = [{"email": one} for one in cc]
    envelope["custom_args"] = {"delivery": delivery_id}
    sender = {"email": settings.from_address}
    if name := ascii_name(settings.from_name):
        sender["name"] = name
    kinds = zip(("text/plain", "text/html"), parts, strict=True)  # in this order, or it is refused
    body = {
        "personalizations": [envelope],
        "from": sender,
        "subject": subject,
        "content": [{"type": kind, "value": value} for kind, value in kinds],
        "headers": headers,
        "tracking_settings": {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": {"enable": False},
            "subscription_tracking": {"enable": False},
        },
    }
    sent = (("content-type", "application/json"), ("authorization", f"Bearer {settings.sendgrid_api_key}"))
    return HttpRequest("POST", SENDGRID, _encoder.encode(body), sent)


def ascii_name(name: str) -> str:
    """SendGrid takes no Unicode in `from`, and no `;` or `,` in names."""
    plain = unicodedata.normalize("NFKD", line(name)).encode("ascii", "ignore").decode()
    return " ".join(re.sub("[;,]", " ", plain).split())


def classify(reply: Reply) -> Outcome:
    """What SendGrid or the mail server said."""
    if isinstance(reply, HttpReply):
        return by_sendgrid(reply)
    return by_code(reply) if isinstance(reply, SmtpReply) else by_status(reply)


def by_sendgrid(reply: HttpReply) -> Outcome:
    """Taken is 202 and nothing else. 401 and 403: the key, its scope, or a sender that was not verified."""
    if reply.status == 202:
        known = line(reply.headers.get("x-message-id", ""))[:100]
        return Accepted(f"queued by SendGrid as {known}" if known else "queued by SendGrid")
    if 200 <= reply.status < 300:
        return Retry(f"answered, but not with 202: {said(reply)}")
    words = errors(reply)
    if reply.status == 401 and "credits exceeded" in words.lower():
        return Retry(words, NO_CREDITS_S, rate_limited=True)
    if reply.status == 429:
        return Retry(words, retry_after_s(reply.headers) or reset_s(reply.headers), rate_limited=True)
    outcome = by_status(reply)
    return msgspec.structs.replace(outcome, reason=words) if isinstance(outcome, Retry | Rejected) else outcome


def errors(reply: HttpReply) -> str:
    """`HTTP 400: The subject is required. (subject)`; where it is not SendGrid's JSON, what there is."""
    try:
        found = msgspec.json.decode(reply.body, type=_Errors).errors
    except (msgspec.DecodeError, UnicodeDecodeError):
        return said(reply)
    told = "; ".join(f"{one.message} ({one.field})" if one.field else one.message for one in found if one.message)
    return cut(line(f"HTTP {reply.status}: {told}"), 300) if told else said(reply)


class _Error(Struct):
    message: str | None = None
    field: str | None = None


class _Errors(Struct):
    errors: list[_Error]


def reset_s(headers: Mapping[str, str]) -> float | None:
    """X-RateLimit-Reset is a Unix time; it is read against the reply's own Date."""
    reset, now = headers.get("x-ratelimit-reset", ""), headers.get("date", "")
    try:
        wait_s = int(reset[:12]) - parsedate_to_datetime(now).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return min(max(wait_s, WAIT_MIN_S), WAIT_MAX_S)


_ENHANCED = re.compile(r"\s*5\.([0-9]{1,3})\.([0-9]{1,3})\b")
NO_LOGIN = frozenset({530, 534, 535, 538})
"""Authentication is required, too weak, wrong, or wants TLS: RFC 4954, 6."""
NO_MAILBOX = frozenset({550, 551, 553})
"""Unavailable, not local, no allowed name: RFC 5321, 4.2.3, where no enhanced code says more. Said of the mail itself,
and not of those it is for, 550 is mostly "looks like spam"."""


def by_code(reply: SmtpReply) -> Outcome:
    """2xx is queued; 4xx passes; 5xx stays, and its enhanced code says what is refused: 5.1 an address, 5.7.8 the
    login, anything else this mail."""
    body, refused, whom = reply.body.decode("utf-8", "replace").partition("\nrefused ")
    words = cut(line(f"{reply.code} {body}"), 300)
    if 200 <= reply.code < 300:
        return Accepted(cut(line(f"refused {whom}"), 300)) if refused else Delivered()
    if not 500 <= reply.code < 600:
        return Retry(words)
    enhanced = _ENHANCED.match(body)
    subject, detail = enhanced.groups() if enhanced else ("", "")
    if reply.code in NO_LOGIN or (subject == "7" and detail in ("8", "9", "11")):
        return Rejected(words, "credential")
    if subject == "1" or (subject, detail) == ("2", "1") or (refused and not subject and reply.code in NO_MAILBOX):
        return Rejected(words, "endpoint")
    return Rejected(words, "message")


PROVIDER = Provider(
    kind="email",
    mails=True,
    label="Email",
    about="Mail to one or several people, through SendGrid or any mail server.",
    settings_type=EmailSettings,
    check_address=None,
    check_settings=check_settings,
    hint=hint,
    operator=(
        ("smtp_host", "smtp_port", "smtp_username", "smtp_password", "smtp_tls", "sendgrid_api_key"),
        ("from_address",),
        ("from_name",),
    ),
    render=render,
    classify=classify,
    given=given,
    timeout_s=30.0,  # a mail server may take its time to greet, and longer to look into what it got
    max_age_s=24 * 3600,
    max_body_bytes=400_000,
)
