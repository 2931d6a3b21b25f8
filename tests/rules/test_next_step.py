"""Outcome → what follows, for the delivery and for its endpoint: the table of design 4."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tocsin.model.rule import RetryPolicy
from tocsin.model.wire import Accepted, Delivered, Outcome, Rejected, Retry
from tocsin.rules.next_step import Step, Tried, next_step

NOW_MS = 1_000_000
TRIED = Tried(0, RetryPolicy(), None, NOW_MS + 10**9, plain=False, can_go_plain=False)
CHAT = replace(TRIED, can_go_plain=True)
LAST = replace(TRIED, policy=RetryPolicy(max_attempts=1))
QUICK_ROUND_OVER = replace(TRIED, failures=3)

TABLE: list[tuple[str, Outcome, Tried, tuple[str, str, str, str]]] = [
    # outcome, tried → status, attempt, effect on the endpoint, seconds until the next
    ("2xx", Delivered(), TRIED, ("delivered", "sent", "success", "")),
    ("accepted", Accepted("perhaps"), TRIED, ("delivered", "sent", "success", "")),
    ("5xx", Retry("HTTP 500"), TRIED, ("retrying", "failed", "none", "2")),
    ("second 5xx", Retry("HTTP 500"), replace(TRIED, failures=1), ("retrying", "failed", "none", "4")),
    ("fourth 5xx", Retry("HTTP 500"), QUICK_ROUND_OVER, ("retrying", "failed", "failure", "60")),
    ("fifth 5xx", Retry("HTTP 500"), replace(TRIED, failures=4), ("retrying", "failed", "none", "300")),
    ("last 5xx", Retry("HTTP 500"), replace(TRIED, failures=9), ("dead", "failed", "none", "")),
    ("only 5xx", Retry("HTTP 500"), LAST, ("dead", "failed", "failure", "")),
    ("5xx of a host that is down", Retry("x"), replace(LAST, host_is_down=True), ("dead", "failed", "none", "")),
    ("429", Retry("HTTP 429", None, True), TRIED, ("retrying", "rate_limited", "none", "5")),
    ("429 with a time", Retry("HTTP 429", 30, True), TRIED, ("retrying", "rate_limited", "none", "30")),
    ("429 on the last attempt", Retry("x", 30, True), LAST, ("retrying", "rate_limited", "none", "30")),
    ("503 with a time", Retry("HTTP 503", 120), TRIED, ("retrying", "failed", "none", "120")),
    ("gone", Rejected("HTTP 410", "endpoint"), TRIED, ("dead", "failed", "gone", "")),
    ("revoked", Rejected("token_revoked", "credential"), TRIED, ("dead", "failed", "gone", "")),
    ("refused", Rejected("invalid_payload"), TRIED, ("dead", "failed", "none", "")),
    ("refused, and rich", Rejected("invalid_blocks"), CHAT, ("retrying", "failed", "none", "0")),
    ("refused, and plain", Rejected("no_text"), replace(CHAT, plain=True), ("dead", "failed", "none", "")),
]


@pytest.mark.parametrize(("outcome", "tried", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_table(outcome: Outcome, tried: Tried, expected: tuple[str, str, str, str]) -> None:
    step = next_step(outcome, tried, NOW_MS, 0)
    wait_s = (step.due_ms - NOW_MS) // 1000 if step.status == "retrying" else ""
    assert (step.status, step.attempt_outcome, step.effect, str(wait_s)) == expected


def test_a_429_uses_up_no_attempt_and_holds_the_endpoint() -> None:
    step = next_step(Retry("HTTP 429", 2, True), replace(TRIED, failures=2), NOW_MS, 1)
    assert (step.failures, step.pause_s, step.due_ms) == (2, 2, NOW_MS + 2000)
    assert next_step(Retry("HTTP 503", 2), TRIED, NOW_MS, 0).pause_s is None


def test_the_plain_form_is_for_the_next_try() -> None:
    assert next_step(Rejected("invalid_blocks"), CHAT, NOW_MS, 0).plain is True
    assert next_step(Retry("HTTP 500"), replace(CHAT, plain=True), NOW_MS, 0).plain is True
    assert next_step(Retry("HTTP 500"), CHAT, NOW_MS, 0).plain is False


def test_what_would_be_too_late_expires() -> None:
    tried = replace(TRIED, expires_ms=NOW_MS + 2_000)
    step = next_step(Retry("HTTP 500"), tried, NOW_MS, 0)
    assert (step.status, step.reason) == ("expired", "HTTP 500; too old before the next try")
    assert next_step(Retry("HTTP 500"), replace(tried, expires_ms=NOW_MS + 2_001), NOW_MS, 0).status == "retrying"
    assert next_step(Retry("x", 60, True), tried, NOW_MS, 0).status == "expired"
    assert next_step(Delivered(), replace(tried, expires_ms=0), NOW_MS, 0).status == "delivered"


OUTCOMES = st.one_of(
    st.just(Delivered()),
    st.builds(Retry, st.text(), st.none() | st.floats(0, 86_400), st.booleans()),
    st.builds(Rejected, st.text(), st.sampled_from(["message", "endpoint", "credential"])),
)
TRIES = st.builds(
    Tried,
    st.integers(0, 20),
    st.builds(RetryPolicy, st.none() | st.integers(1, 20), st.none() | st.floats(0.1, 86_400), st.none()),
    st.none() | st.integers(1, 20),
    st.integers(NOW_MS, NOW_MS + 10**9),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@given(OUTCOMES, TRIES, st.floats(-1, 1))
def test_every_outcome_leads_somewhere(outcome: Outcome, tried: Tried, draw: float) -> None:
    step: Step = next_step(outcome, tried, NOW_MS, draw)
    assert step.due_ms >= NOW_MS
    assert step.failures >= tried.failures
    if step.status == "retrying" and isinstance(outcome, Retry):
        assert step.due_ms < tried.expires_ms
    if step.status in ("dead", "expired"):
        assert step.attempt_outcome != "sent"


@given(st.integers(1, 30), st.floats(-1, 1))
def test_a_failing_delivery_ends_after_its_attempts(most: int, draw: float) -> None:
    tried = replace(TRIED, policy=RetryPolicy(max_attempts=most, base_s=1, cap_s=1))
    attempts, effects = 0, 0
    while True:
        attempts += 1
        step = next_step(Retry("HTTP 500"), tried, NOW_MS, draw)
        effects += step.effect == "failure"
        if step.status != "retrying":
            break
        tried = replace(tried, failures=step.failures)
    assert (step.status, attempts, effects) == ("dead", most, 1)
