"""Patterns: what fits, and that none can take long."""

import fnmatch
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.errors import Invalid
from tocsin.rules.pattern import check_pattern, is_exact, matcher, matches


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("run.failed", "run.failed", True),
        ("run.failed", "run.failed2", False),
        ("run.*", "run.failed", True),
        ("run.*", "run.", True),
        ("run.*", "runs.failed", False),
        ("RUN.*", "run.failed", False),  # case-sensitive
        ("*", "", True),
        ("*", "anything at all", True),
        ("**", "", True),
        ("?", "", False),
        ("?", "x", True),
        ("etl/*_eu", "etl/orders_eu", True),
        ("etl/*_eu", "etl/orders_us", False),
        ("*.failed", "a.b.failed", True),
        ("a*b*c", "aXbXbXc", True),
        ("a*b*c", "aXcXb", False),
        ("[ab]", "a", False),  # no classes
        ("[ab]", "[ab]", True),
        ("a.b", "axb", False),
        ("", "", True),
    ],
)
def test_what_fits(pattern: str, text: str, fits: bool) -> None:  # S0-04, S1-07, S4-03
    assert matches(pattern, text) is fits
    if pattern:
        assert matcher((pattern,))(text) is fits


@given(st.text("ab*?.", max_size=8), st.text("ab.", max_size=8))
def test_it_agrees_with_the_standard_library(pattern: str, text: str) -> None:
    assert matches(pattern, text) == fnmatch.fnmatchcase(text, pattern)


@given(st.lists(st.text("ab*?.", min_size=1, max_size=5), max_size=4), st.text("ab.", max_size=6))
def test_any_of_several_patterns_is_enough_and_none_means_any(patterns: list[str], text: str) -> None:
    expected = not patterns or any(matches(pattern, text) for pattern in patterns)
    assert matcher(tuple(patterns))(text) is expected


def test_the_worst_pattern_on_the_worst_text_is_quick() -> None:  # S18
    pattern = "*a" * 8 + "b"
    check_pattern("event_types", pattern)
    started = time.perf_counter()
    assert not matches(pattern, "a" * 20_000)
    assert time.perf_counter() - started < 0.1


@pytest.mark.parametrize(("text", "found"), [("", "empty"), ("a" * 257, "257"), ("*a" * 9, "9 times")])
def test_what_is_refused(text: str, found: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_pattern("event_types[0]", text)
    assert caught.value.field == "event_types[0]"
    assert found in caught.value.found
    with pytest.raises(Invalid):
        matcher(("ok", text))


def test_exact_or_not() -> None:
    assert is_exact("run.failed")
    assert not is_exact("run.*")
    assert not is_exact("run.?")
