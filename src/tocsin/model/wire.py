"""What crosses the wire: the request a provider asks for, the reply that came, and what the reply means."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

from tocsin.model.endpoint import Target
from tocsin.model.hidden import Hidden
from tocsin.model.message import Message
from tocsin.model.thread import Thread


class Sending(Struct, frozen=True):
    """Everything a provider may use to make one request. `id` is the delivery's; `at_s` the attempt's Unix time.

    `body` is the fixed body where the provider fixes it when planned; `message` is None in that case. `plain` asks for
    words only: the second try after a provider refused the rich form of this message.

    `run_key` and `incident_key` are stable, opaque names (32 hex digits) of the run and of the trouble that the message
    is about, "" where there is none: what a provider threads or deduplicates by. `thread` is what was said of the run
    here before, where the provider keeps one message per run; `quiet` is an update that should wake nobody: no mention.
    `traceparent` goes to custom webhooks, as a header.
    """

    id: str
    at_s: int
    target: Target
    message: Message | None = None
    body: bytes | None = None
    attempt: int = 1
    plain: bool = False
    run_key: str = ""
    incident_key: str = ""
    thread: Thread = Thread()
    quiet: bool = False
    traceparent: str = ""

    @property
    def told(self) -> Message:
        """The message, for providers that make their bodies when they send: those always get one."""
        assert self.message is not None, f"{self.id} has a body that was fixed when it was planned"
        return self.message


class Basic(Hidden, frozen=True):
    """A user name and a password: RFC 7617."""

    username: str
    password: str


class Bearer(Hidden, frozen=True):
    """A token that is sent as it is: RFC 6750."""

    token: str


class ClientCredentials(Hidden, frozen=True):
    """OAuth 2.0 client credentials (RFC 6749, 4.4): what a bearer token is asked for with, and kept by.

    `in_body`: the client's name and secret stand in the form, for token endpoints that read them nowhere else.
    """

    token_url: str
    client_id: str
    client_secret: str
    scopes: tuple[str, ...] = ()
    audience: str = ""
    in_body: bool = False


Credentials = Basic | Bearer | ClientCredentials


class Tls(Hidden, frozen=True):
    """Certificates of an endpoint's own, in PEM: who we are there (`certificate`, `key`), and whom alone we trust."""

    certificate: str = ""
    key: str = ""
    ca: str = ""


Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


class HttpRequest(Hidden, frozen=True):
    """`credentials` become its Authorization header when it is sent; `tls` is None for the usual trust."""

    method: Method
    url: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    credentials: Credentials | None = None
    tls: Tls | None = None

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} *** {len(self.body)} bytes)"


class SmtpRequest(Hidden, frozen=True):
    """A mail, ready to be handed over. `body` is the whole message (RFC 5322), `recipients` the envelope's.

    `trusted`: the server was named by the operator, so it may be a private address and go without TLS.
    """

    host: str
    port: int
    tls: Literal["starttls", "tls", "none"]
    username: str
    password: str
    sender: str
    recipients: tuple[str, ...]
    body: bytes
    trusted: bool = False


class InboxRequest(Struct, frozen=True):
    """A message for somebody's inbox in Tocsin itself. `body` is its JSON."""

    user_id: str
    title: str
    text: str
    tone: str
    url: str
    body: bytes


class AppriseRequest(Hidden, frozen=True):
    """A message for one of Apprise's services. `tone` is info, success, warning or failure; `body` is the text."""

    url: str
    title: str
    body: bytes
    tone: Literal["info", "success", "warning", "failure"]


Request = HttpRequest | SmtpRequest | InboxRequest | AppriseRequest


class HttpReply(Struct, frozen=True):
    """Header names are lower-case. The body is cut at the cap of `outbound`; `truncated` says so."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool = False


class SmtpReply(Struct, frozen=True):
    """What the mail server said last: its three-digit code, and its words as the body. 250 is "queued"."""

    code: int
    body: bytes


class AppriseReply(Struct, frozen=True):
    """Whether Apprise says that it went out. It knows no more; `body` is what it logged, cleaned of the address."""

    ok: bool
    body: bytes = b""


class Kept(Struct, frozen=True):
    """The message is in the inbox."""

    body: bytes = b""


NoReplyReason = Literal[
    "timeout", "refused", "reset", "dns", "tls", "blocked", "protocol", "invalid", "credentials", "proxy"
]


class NoReply(Struct, frozen=True):
    """The other side never gave a whole answer.

    `blocked` is the address guard, `invalid` a request that must not be sent (headers, URL), `credentials` a token that
    was not to be had, `proxy` the operator's way out. `maybe_received` is true once the request had been written.
    `detail` is safe to show: it holds no address and no secret.
    """

    reason: NoReplyReason
    detail: str = ""
    maybe_received: bool = False


Reply = HttpReply | SmtpReply | AppriseReply | Kept | NoReply


class Delivered(Struct, frozen=True):
    """`receipt` is what a later edit needs, such as Slack's ts. `pause_s`: the provider says that its limit is used up
    for so long."""

    receipt: Mapping[str, str] = field(default_factory=dict)
    pause_s: float | None = None


class Accepted(Struct, frozen=True):
    """Taken, but the provider cannot say whether anybody saw it."""

    note: str = ""


class Retry(Struct, frozen=True):
    """Try again. `after_s` is what the provider asked for; `rate_limited` pauses the whole endpoint. `settings`: the
    provider says that these have changed, such as a chat's number; the endpoint is changed first."""

    reason: str
    after_s: float | None = None
    rate_limited: bool = False
    settings: Mapping[str, str | int] = field(default_factory=dict)


Scope = Literal["message", "thread", "endpoint", "credential"]


class Rejected(Struct, frozen=True):
    """Trying the same again cannot help. The scope says what is refused: this message, or all that follow; "thread" is
    an earlier message that cannot be edited or answered any more: a new one is posted instead."""

    reason: str
    scope: Scope = "message"


Outcome = Delivered | Accepted | Retry | Rejected
