"""Any HTTP endpoint: a signed JSON body whose every retry carries the same id and the same bytes.

Headers:  https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
Replies:  any 4xx is tried again, since receivers answer 400 while they are deployed; 404 and 410 mean that the endpoint
          is gone.
"""

from typing import Annotated

from msgspec import Meta

from tocsin.model.message import Message
from tocsin.model.wire import HttpRequest, Outcome, Reply, Sending
from tocsin.provider_kit.access import Access, check_access, credentials, tls
from tocsin.provider_kit.body import CONTENT_TYPES, MAX_BYTES, Format, Include, body
from tocsin.provider_kit.classify import by_status
from tocsin.provider_kit.provider import Provider, refuse_address
from tocsin.provider_kit.signing import hex_signature, sign
from tocsin.provider_kit.templates import check_template
from tocsin.provider_kit.text import masked

ADDRESS_CHARS = 2048
"""What browsers, proxies and servers agree on in practice for the length of a URL."""
TEMPLATE_CHARS = 20_000

HeaderName = Annotated[
    str,
    Meta(
        # A header name as in RFC 9110, 5.6.2, but none that has a meaning of its own on the wire or beside this one.
        pattern=r"^(?!(?i:host|connection|content-.*|transfer-encoding|te|upgrade|expect|authorization|cookie|webhook-.*)\Z)"
        r"[A-Za-z][A-Za-z0-9-]{0,63}\Z",
        description="The header that carries `sha256=<hex>`",
    ),
]


class WebhookSettings(Access, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a body is made, and how its receiver is got into.

    format: what the body is made like.
    include: what the body holds beyond ids and summary.
    template: the body, where `format` is `template`.
    auth: how Tocsin logs in: `basic`, `bearer`, or `oauth2` with client credentials.
    username: for `basic`.
    password: for `basic`.
    token: for `bearer`: sent as it is.
    token_url: for `oauth2`: where tokens are asked for. It has to be as public as the address.
    client_id: for `oauth2`.
    client_secret: for `oauth2`.
    scopes: for `oauth2`: a list.
    audience: for `oauth2`, where the server asks for one.
    client_secret_in_body: for `oauth2`: id and secret go into the form in place of a header.
    client_certificate: for mutual TLS: PEM, with the chain that the receiver needs.
    client_key: the certificate's key: PEM, not encrypted.
    ca: certificates (PEM) that are trusted for this address, in place of the system's.
    """

    format: Format = "tocsin"
    include: tuple[Include, ...] = ()
    template: Annotated[str, Meta(max_length=TEMPLATE_CHARS)] = ""
    signature_header: HeaderName = "X-Exosphere-Signature"

    def __post_init__(self) -> None:
        if self.format == "template" and not self.template.strip():
            raise ValueError("the format `template` needs a `template`")


def check_address(address: str) -> str:
    """The shape only: which hosts may be reached, and how, is for the address guard to say when it is used."""
    if len(address) > ADDRESS_CHARS:
        raise refuse_address(f"{len(address)} characters", f"at most {ADDRESS_CHARS} characters")
    if not address.startswith(("https://", "http://")) or not address.isprintable() or " " in address:
        raise refuse_address(masked(address), "an address that begins with https://")
    return address


def fix_body(message: Message, settings: WebhookSettings) -> bytes:
    """Made once, when the delivery is planned."""
    return body(message, settings.format, settings.include, settings.template)


def headline_does(settings: WebhookSettings) -> bool:
    """`simple` shows actions, a template may show anything; the other two hold ids and the headline."""
    return settings.format in ("tocsin", "cloudevents")


def check_settings(settings: WebhookSettings) -> None:
    """Raises Invalid for a template that could never be rendered, and for a way in that cannot work."""
    check_access(settings)
    if settings.format == "template":
        check_template(settings.template)


def render(sending: Sending) -> HttpRequest:
    """The request, signed over exactly the bytes that it carries."""
    target = sending.target
    settings: WebhookSettings = target.settings
    content = sending.body
    if content is None:
        assert sending.message is not None, "a sending has a body or a message"
        content = fix_body(sending.message, settings)
    headers = [
        ("content-type", CONTENT_TYPES[settings.format]),
        ("webhook-id", sending.id),
        ("webhook-timestamp", str(sending.at_s)),
    ]
    if target.secrets:
        headers.append(("webhook-signature", sign(target.secrets, sending.id, sending.at_s, content)))
        headers.append((settings.signature_header, hex_signature(target.secrets[0], content)))
    if sending.traceparent:
        headers.append(("traceparent", sending.traceparent))
    if target.headers:
        ours = {name.lower() for name, _ in headers} | ({"authorization"} if settings.auth != "none" else set())
        headers += [pair for pair in target.headers if pair[0].lower() not in ours]
    return HttpRequest("POST", target.address, content, tuple(headers), credentials(settings), tls(settings))


def classify(reply: Reply) -> Outcome:
    """2xx is delivered, 404 and 410 are gone, everything else is tried again."""
    return by_status(reply, retry_refusals=True)


PROVIDER = Provider(
    kind="webhook",
    label="Custom webhook",
    settings_type=WebhookSettings,
    check_address=check_address,
    render=render,
    classify=classify,
    check_settings=check_settings,
    dialled=("token_url",),
    headline_does=headline_does,
    fix_body=fix_body,
    given=render,
    signs=True,
    timeout_s=5.0,
    max_age_s=3 * 24 * 3600,
    max_body_bytes=MAX_BYTES,
)
