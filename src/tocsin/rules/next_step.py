"""What follows from an outcome: for the delivery, and for its endpoint."""

from typing import Literal

from msgspec import Struct

from tocsin.model.rule import RetryPolicy
from tocsin.model.wire import Accepted, Delivered, Outcome, Rejected, Retry
from tocsin.rules.backoff import attempts_allowed, delay_s, quick_round_over

DISABLE_AFTER = 10
WARN_AFTER = 5
PAUSE_S = 5.0
"""A 429 that does not say for how long."""


class Step(Struct, frozen=True):
    """`effect` on the endpoint: a success clears its failures, a failure counts, gone switches it off at once.

    `pause_s` holds everything to this endpoint. `plain` has the next try go as plain text.
    """

    status: Literal["delivered", "retrying", "dead", "expired", "cancelled"]
    reason: str
    due_ms: int
    failures: int
    attempt_outcome: Literal["sent", "failed", "rate_limited"]
    effect: Literal["success", "failure", "none", "gone"] = "none"
    pause_s: float | None = None
    plain: bool = False


class Tried(Struct, frozen=True):
    """What is known of a delivery when its attempt ends. `failures` counts those before this attempt."""

    failures: int
    policy: RetryPolicy
    standard_attempts: int | None
    expires_ms: int
    plain: bool
    can_go_plain: bool
    host_is_down: bool = False


def next_step(outcome: Outcome, tried: Tried, now_ms: int, draw: float) -> Step:
    """`draw` in [-1, 1] spreads retries."""
    match outcome:
        case Delivered(pause_s=pause_s):
            return Step("delivered", "", now_ms, tried.failures, "sent", "success", pause_s)
        case Accepted(note=note):
            return Step("delivered", note, now_ms, tried.failures, "sent", "success")
        case Rejected(reason=reason, scope="message" | "thread"):
            if tried.can_go_plain and not tried.plain:
                again = f"{reason}; trying once more as plain text"
                return Step("retrying", again, now_ms, tried.failures + 1, "failed", plain=True)
            return Step("dead", reason, now_ms, tried.failures + 1, "failed")
        case Rejected(reason=reason):
            return Step("dead", reason, now_ms, tried.failures + 1, "failed", "gone")
        case Retry(rate_limited=True, reason=reason, after_s=after_s):
            pause_s = PAUSE_S if after_s is None else after_s
            return later(tried, reason, now_ms, pause_s, tried.failures, "rate_limited", pause_s=pause_s)
        case Retry(reason=reason, after_s=after_s):
            return after_failure(tried, reason, after_s, now_ms, draw)


def after_failure(tried: Tried, reason: str, after_s: float | None, now_ms: int, draw: float) -> Step:
    failures = tried.failures + 1
    counts = quick_round_over(tried.policy, tried.standard_attempts, failures) and not tried.host_is_down
    effect: Literal["failure", "none"] = "failure" if counts else "none"
    if failures >= attempts_allowed(tried.policy, tried.standard_attempts):
        said = f"{reason}; all {failures} attempts failed"
        return Step("dead", said, now_ms, failures, "failed", effect)
    wait_s = delay_s(tried.policy, failures, after_s, draw)
    return later(tried, reason, now_ms, wait_s, failures, "failed", effect=effect)


def later(
    tried: Tried,
    reason: str,
    now_ms: int,
    wait_s: float,
    failures: int,
    attempt_outcome: Literal["failed", "rate_limited"],
    *,
    effect: Literal["failure", "none"] = "none",
    pause_s: float | None = None,
) -> Step:
    """Again after `wait_s`, or expired where that is too late to be worth saying."""
    due_ms = now_ms + int(wait_s * 1000)
    if due_ms >= tried.expires_ms:
        said = f"{reason}; too old before the next try"
        return Step("expired", said, now_ms, failures, attempt_outcome, effect, pause_s)
    return Step("retrying", reason, due_ms, failures, attempt_outcome, effect, pause_s, tried.plain)
