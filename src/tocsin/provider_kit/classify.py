"""The meaning of a reply where a provider's documentation says nothing else. Design, section 4."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from tocsin.model.wire import Delivered, HttpReply, NoReply, Outcome, Rejected, Reply, Retry
from tocsin.provider_kit.text import cut, line

AGAIN = frozenset({408, 425, 429})
GONE = frozenset({404, 410})
REFUSED = frozenset({401, 403})

WAIT_MIN_S = 1.0
WAIT_MAX_S = 24 * 3600.0
"""Nobody is asked less or more than this by `Retry-After`: a day covers every documented quota, and no reply may park
a delivery for ever."""

_SECONDS = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*")


def by_status(reply: Reply, *, retry_refusals: bool = False, now_s: float | None = None) -> Outcome:
    """2xx delivered; 408, 425, 429, 5xx and silence: again; 404 and 410: the endpoint is gone; the rest is refused.

    A redirect is never followed and counts as a failure that may be mended, as does anything that is no final answer.
    `retry_refusals` is for custom webhooks, where any other 4xx is tried again.
    """
    if isinstance(reply, NoReply):
        return silence(reply)
    if not isinstance(reply, HttpReply):
        return Retry(f"an answer that is not HTTP: {type(reply).__name__}")
    status = reply.status
    if 200 <= status < 300:
        return Delivered()
    if status in AGAIN or status >= 500:
        return Retry(said(reply), retry_after_s(reply.headers, now_s), rate_limited=status == 429)
    if status < 400:
        return Retry(f"HTTP {status}: a redirect is not followed" if status >= 300 else f"HTTP {status}: no answer")
    if status in GONE:
        return Rejected(said(reply), "endpoint")
    if retry_refusals:
        return Retry(said(reply), retry_after_s(reply.headers, now_s))
    return Rejected(said(reply), "credential" if status in REFUSED else "message")


def silence(reply: NoReply) -> Outcome:
    """No whole answer: try again, unless the request must not be sent at all.

    A blocked address rejects the message, not the endpoint: the verdict is our guard's and hangs on DNS and on the
    allow-list, so nobody has said that the endpoint is gone, and its dead letters can be replayed once it is allowed.
    """
    reason = f"{reply.reason}: {reply.detail}" if reply.detail else reply.reason
    if reply.reason in ("blocked", "invalid"):
        return Rejected(reason, "message")
    return Retry(reason)


def retry_after_s(headers: Mapping[str, str], now_s: float | None = None) -> float | None:
    """`Retry-After` in seconds, between WAIT_MIN_S and WAIT_MAX_S; None where it is absent or makes no sense.

    RFC 9110, 10.2.3, and fractions, which some providers send. A date is read against the reply's own `Date`, so that
    a clock that is off on either side does no harm, or else against `now_s` (Unix seconds).
    """
    value = headers.get("retry-after")
    if not value:
        return None
    if number := _SECONDS.fullmatch(value):
        return _clamped(float(number[1]))
    until_s = _unix_s(value)
    since_s = _unix_s(headers.get("date", "")) or now_s
    return None if until_s is None or since_s is None else _clamped(until_s - since_s)


def said(reply: HttpReply, limit: int = 200) -> str:
    """The status and the beginning of what the other side wrote, in one line."""
    words = cut(line(reply.body[: limit * 4].decode("utf-8", "replace")), limit)
    return f"HTTP {reply.status}: {words}" if words else f"HTTP {reply.status}"


def _clamped(seconds: float) -> float:
    return min(max(seconds, WAIT_MIN_S), WAIT_MAX_S)


def _unix_s(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
