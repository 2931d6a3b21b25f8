"""Rate limits as one number."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tocsin.rules.pacing import SECOND_US, Rate, allowed, next_us, spaced, taken

RATES = st.builds(Rate, st.integers(1, 50), st.floats(0.01, 1000))
WISHES = st.lists(st.tuples(st.integers(0, 5 * SECOND_US), st.integers(0, 20)), min_size=1, max_size=60)
"""(microseconds later, how many want to go)"""


def sent(rate: Rate, wishes: list[tuple[int, int]]) -> list[int]:
    """When each message went."""
    bucket_us, now_us, times = 0, 1_000 * SECOND_US, []
    for later_us, wanted in wishes:
        now_us += later_us
        count = allowed(rate, bucket_us, now_us, wanted)
        assert 0 <= count <= wanted
        bucket_us = taken(rate, bucket_us, now_us, count)
        times += [now_us] * count
    return times


@given(RATES, WISHES)
def test_never_more_than_the_rate(rate: Rate, wishes: list[tuple[int, int]]) -> None:
    """In any span: the burst, and one more for each interval that passed."""
    times = sent(rate, wishes)
    for first in range(len(times)):
        for last in range(first, len(times)):
            most = rate.count + (times[last] - times[first]) // rate.interval_us
            assert last - first + 1 <= most


@given(RATES, WISHES)
def test_nothing_waits_longer_than_it_must(rate: Rate, wishes: list[tuple[int, int]]) -> None:
    bucket_us, now_us = 0, 1_000 * SECOND_US
    for later_us, wanted in wishes:
        now_us += later_us
        count = allowed(rate, bucket_us, now_us, wanted)
        bucket_us = taken(rate, bucket_us, now_us, count)
        again_us = next_us(rate, bucket_us, now_us)
        if count < wanted:
            assert allowed(rate, bucket_us, now_us, 1) == 0
            assert again_us > now_us
        assert allowed(rate, bucket_us, again_us, 1) == 1
        if again_us > now_us:
            assert allowed(rate, bucket_us, again_us - 1, 1) == 0


@given(st.floats(0.01, 500), WISHES)
def test_spaced_means_without_a_burst(per_s: float, wishes: list[tuple[int, int]]) -> None:
    times = sent(spaced(per_s), wishes)
    gap_us = int(SECOND_US / per_s)
    assert all(later - earlier >= gap_us - 1 for earlier, later in pairwise(times))


def test_a_burst_and_then_the_rate() -> None:
    rate = Rate(3, 3.0)
    assert allowed(rate, 0, 0, 10) == 3
    bucket_us = taken(rate, 0, 0, 3)
    assert [allowed(rate, bucket_us, s * SECOND_US, 10) for s in (0, 1, 2, 3, 9)] == [0, 1, 2, 3, 3]
    assert next_us(rate, bucket_us, 0) == SECOND_US


def test_a_bucket_that_was_idle_for_years_allows_no_more_than_its_burst() -> None:
    assert allowed(Rate(2, 1.0), 5, 10**15, 100) == 2
