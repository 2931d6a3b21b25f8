"""What crosses the wire: the request a provider asks for, the reply that came, and what the reply means."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, field

from tocsin.model.endpoint import Target
from tocsin.model.hidden import Hidden
from tocsin.model.message import Message


class Sending(Struct, frozen=True):
    """Everything a provider may use to make one request. `id` is the delivery's; `at_s` the attempt's Unix time.

    `body` is the fixed body where the provider fixes it when planned; `message` is None in that case. `plain` asks for
    words only: the second try after a provider refused the rich form of this message.
    """

    id: str
    at_s: int
    target: Target
    message: Message | None = None
    body: bytes | None = None
    attempt: int = 1
    plain: bool = False


class HttpRequest(Hidden, frozen=True):
    """`timeout_s` bounds the whole exchange, reading the reply included."""

    method: Literal["GET", "POST", "PUT", "PATCH"]
    url: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"HttpRequest({self.method} *** {len(self.body)} bytes)"


Request = HttpRequest


class HttpReply(Struct, frozen=True):
    """Header names are lower-case. The body is cut at the cap of `outbound`; `truncated` says so."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool = False


NoReplyReason = Literal["timeout", "refused", "reset", "dns", "tls", "blocked", "protocol", "invalid"]


class NoReply(Struct, frozen=True):
    """The other side never gave a whole answer.

    `blocked` is the address guard, `invalid` a request that must not be sent (headers, URL). `maybe_received` is true
    once the request had been written. `detail` is safe to show: it holds no address and no secret.
    """

    reason: NoReplyReason
    detail: str = ""
    maybe_received: bool = False


Reply = HttpReply | NoReply


class Delivered(Struct, frozen=True):
    """`receipt` is what a later edit needs, such as Slack's ts."""

    receipt: Mapping[str, str] = field(default_factory=dict)


class Accepted(Struct, frozen=True):
    """Taken, but the provider cannot say whether anybody saw it."""

    note: str = ""


class Retry(Struct, frozen=True):
    """Try again. `after_s` is what the provider asked for; `rate_limited` pauses the whole endpoint."""

    reason: str
    after_s: float | None = None
    rate_limited: bool = False


Scope = Literal["message", "endpoint", "credential"]


class Rejected(Struct, frozen=True):
    """Trying the same again cannot help. The scope says what is refused: this message, or all that follow."""

    reason: str
    scope: Scope = "message"


Outcome = Delivered | Accepted | Retry | Rejected
