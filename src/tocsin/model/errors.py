"""What can be wrong with a request, as values that a person can act on.

Refusal
├── Invalid       the input: names the field, what was found, what was expected   (400, or 413)
├── Unauthorised  no token, or one that is unknown, expired or revoked            (401)
├── Forbidden     the token's role does not allow it                              (403)
├── NotFound      no such thing in this tenant                                    (404)
├── Conflict      the same key with another body, or a state that forbids it      (409)
├── Changed       it is not as the caller has seen it: `current` is how it is     (412)
├── Busy          not now: `retry_after_s` says when to come back                 (429, 503)
│   └── Limited   a rate of the tenant's is used up: `reached` says which         (429)
└── Full          the tenant has as many of these as it may                       (409)
"""

from typing import Any

from tocsin.model.limits import RAISE, Reached


class Refusal(Exception):
    """A request that Tocsin declines; nothing was changed by it. `code` names its page of help (`tocsin.web.help`)."""

    status = 400
    title = "Bad request"
    code = "invalid-input"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Invalid(Refusal):
    """The input is not what was expected."""

    title = "Invalid input"

    def __init__(self, field: str, found: str, expected: str, *, status: int = 400) -> None:
        super().__init__(f"{field or 'body'}: expected {expected}, found {found}")
        self.field = field
        self.found = found
        self.expected = expected
        self.status = status
        self.code = {413: "too-large", 415: "wrong-content-type"}.get(status, "invalid-input")


class Unauthorised(Refusal):
    """No valid token came with the request."""

    status = 401
    title = "Not authenticated"
    code = "not-authenticated"


class Forbidden(Refusal):
    """The token is valid, but its role does not allow this."""

    status = 403
    title = "Not allowed"
    code = "not-allowed"


class NotFound(Refusal):
    """There is no such thing in this tenant."""

    status = 404
    title = "Not found"
    code = "not-found"


class Conflict(Refusal):
    """The request contradicts what is stored."""

    status = 409
    title = "Conflict"
    code = "conflict"


class Changed(Refusal):
    """Somebody else was faster. `current` is what is there now, as it is shown, and `tag` its ETag."""

    status = 412
    title = "Changed meanwhile"
    code = "changed-meanwhile"

    def __init__(self, detail: str, tag: str, current: Any) -> None:
        super().__init__(detail)
        self.tag = tag
        self.current = current


class Busy(Refusal):
    """Not now. `status` is 429 where the caller is over a limit, 503 where Tocsin is."""

    title = "Try again later"

    def __init__(self, detail: str, retry_after_s: int, *, status: int = 503) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s
        self.status = status
        self.code = "too-many-requests" if status == 429 else "try-later"


class Limited(Busy):
    """The tenant, or the token, has done as much as it may in this time."""

    title = "Limit reached"

    def __init__(self, reached: Reached, retry_after_s: int) -> None:
        super().__init__(f"{reached.said()}. {RAISE}", retry_after_s, status=429)
        self.reached = reached
        self.code = "rate-limit-reached"


class Full(Refusal):
    """The tenant has as many of these as it may."""

    status = 409
    title = "Limit reached"
    code = "limit-reached"

    def __init__(self, reached: Reached, used: int, adding: int) -> None:
        more = f"{adding:,} more are" if adding > 1 else "one more is"
        super().__init__(f"{reached.said()}; there are {used:,}, and {more} too many. {RAISE}")
        self.reached = reached
