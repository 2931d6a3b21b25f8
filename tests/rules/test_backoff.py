"""When to try again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.rule import RetryPolicy
from tocsin.rules.backoff import LONGEST_S, attempts_allowed, delay_s, quick_round_over

STANDARD = RetryPolicy()
DRAWS = st.floats(-1, 1)


@pytest.mark.parametrize(
    ("failures", "plain"),
    [
        *((1, 2), (2, 4), (3, 8), (4, 60), (5, 300), (6, 1800), (7, 7200), (8, 18_000), (9, 36_000)),
        *((10, 36_000), (99, 36_000)),
    ],
)
def test_the_schedule(failures: int, plain: float) -> None:
    # S1-04
    assert delay_s(STANDARD, failures, None, 0) == plain
    assert delay_s(STANDARD, failures, None, -1) == pytest.approx(0.8 * plain)
    assert delay_s(STANDARD, failures, None, 1) == pytest.approx(1.2 * plain)


@given(st.integers(1, 1000), st.floats(0.1, 86_400), st.floats(0.1, 86_400), DRAWS)
def test_base_and_cap(failures: int, base_s: float, cap_s: float, draw: float) -> None:
    # S4-07
    found = delay_s(RetryPolicy(base_s=base_s, cap_s=cap_s), failures, None, draw)
    assert 0 < found <= 1.2 * cap_s + 1e-6
    if failures > 1:
        assert (
            found >= min(delay_s(RetryPolicy(base_s=base_s, cap_s=cap_s), failures - 1, None, draw), 0.8 * cap_s) - 1e-6
        )


def test_a_base_without_a_cap_and_a_cap_without_a_base() -> None:
    assert [delay_s(RetryPolicy(base_s=10), n, None, 0) for n in (1, 2, 3)] == [10, 20, 40]
    assert [delay_s(RetryPolicy(cap_s=5), n, None, 0) for n in (1, 2, 3)] == [2, 4, 5]


@given(st.integers(1, 20), st.floats(0, 1e9), DRAWS)
def test_what_the_receiver_asks_for_is_the_least(failures: int, asked_s: float, draw: float) -> None:
    found = delay_s(STANDARD, failures, asked_s, draw)
    assert found >= min(asked_s, LONGEST_S)
    assert found >= delay_s(STANDARD, failures, None, draw)
    assert found <= max(LONGEST_S, 1.2 * 36_000)


@pytest.mark.parametrize(
    ("of_rule", "of_provider", "expected"),
    [(None, None, 10), (None, 3, 3), (5, 3, 5), (1, None, 1), (50, None, 50)],
)
def test_who_says_how_often(of_rule: int | None, of_provider: int | None, expected: int) -> None:
    assert attempts_allowed(RetryPolicy(max_attempts=of_rule), of_provider) == expected


@pytest.mark.parametrize(("attempts", "counted"), [(None, 4), (10, 4), (4, 4), (3, 3), (2, 2), (1, 1)])
def test_a_message_counts_once_against_its_endpoint(attempts: int | None, counted: int) -> None:
    # S1-08: when the quick round is used up, or with the last attempt
    policy = RetryPolicy(max_attempts=attempts)
    assert [n for n in range(1, 12) if quick_round_over(policy, None, n)] == [counted]
