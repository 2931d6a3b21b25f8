"""The one shape of an error: RFC 9457, https://www.rfc-editor.org/rfc/rfc9457"""

from typing import Any

import msgspec

from tocsin.model.errors import Busy, Changed, Full, Invalid, Limited, Refusal
from tocsin.model.limits import Reached
from tocsin.web import request_id
from tocsin.web.help import address_of

PROBLEM_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """`type` leads to the page that explains it. `errors` names the field, what was found and what was expected.
    `current`: with 412, how the thing is now. `limit`: the one that is reached; `window_s` is null where it counts what
    there is."""

    title: str
    status: int
    detail: str
    type: str
    errors: tuple[dict[str, str], ...] = ()
    request_id: str = ""
    current: Any = None
    limit: Reached | None = None


def problem_of(error: Refusal) -> Problem:
    errors: tuple[dict[str, str], ...] = ()
    if isinstance(error, Invalid):
        errors = ({"field": error.field, "found": error.found, "expected": error.expected},)
    current = error.current if isinstance(error, Changed) else None
    limit = error.reached if isinstance(error, (Limited, Full)) else None
    return Problem(
        error.title,
        error.status,
        error.detail,
        address_of(error.code),
        errors=errors,
        request_id=request_id.current.get(),
        current=current,
        limit=limit,
    )


def answer_of(error: Refusal) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    """Status, body and headers."""
    headers = [(b"content-type", PROBLEM_TYPE.encode())]
    if isinstance(error, Busy):
        headers.append((b"retry-after", str(error.retry_after_s).encode()))
    if isinstance(error, Limited) and error.reached.window_s is not None:
        headers += rate_limit(error.reached, error.retry_after_s)
    if isinstance(error, Changed):
        headers.append((b"etag", error.tag.encode()))
    if error.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="tocsin"'))
    return error.status, encoded(problem_of(error)), headers


def rate_limit(reached: Reached, retry_after_s: int) -> list[tuple[bytes, bytes]]:
    """https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/"""
    return [
        (b"ratelimit-policy", f'"{reached.name}";q={reached.value};w={reached.window_s}'.encode()),
        (b"ratelimit", f'"{reached.name}";r=0;t={retry_after_s}'.encode()),
    ]


def encoded(value: Any) -> bytes:
    return msgspec.json.encode(value)
