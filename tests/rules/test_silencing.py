"""Silences: what they fit, when they are on, and that those about something else cost nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.event import Event
from tocsin.model.noise import Hours
from tocsin.model.world import Matcher, Silence
from tocsin.rules.silencing import SilenceIndex, silenced

RULE = ("rule_1", "nightly failures")
ENDPOINT = ("whk_1", "Ops Slack")
NOW_MS = 1_795_240_800_000  # 2026-11-21 06:00 UTC, a Saturday
HOUR_MS = 3_600_000


def event(**fields: Any) -> Event:
    standard: dict[str, Any] = {
        "uid": "evt_1", "tenant_id": "t", "id": "e", "source": "airflow", "type": "workflow.failed",
        "kind": "run.failed", "pipeline": "etl/orders", "stage": "load", "severity": "error",
        "labels": {"env": "prod", "empty": ""},
        "time_ms": NOW_MS, "received_ms": NOW_MS,
    }  # fmt: skip
    return Event(**standard | fields)


def silence(*matchers: Matcher, **fields: Any) -> Silence:
    standard: dict[str, Any] = {"id": "sil_1", "matchers": matchers, "starts_ms": NOW_MS - HOUR_MS}
    return Silence(**standard | fields)


def is_hidden(*matchers: Matcher, now_ms: int = NOW_MS, **fields: Any) -> bool:
    return silenced((silence(*matchers, **fields),), event(), RULE, ENDPOINT, now_ms) is not None


@pytest.mark.parametrize(
    ("field", "value", "fits"),
    [
        ("pipeline", "etl/orders", True),
        ("pipeline", "etl/*", True),
        ("pipeline", "etl/order?", True),
        ("pipeline", "etl", False),
        ("type", "workflow.failed", True),
        ("type", "run.failed", False),  # that is its kind
        ("kind", "run.failed", True),
        ("severity", "error", True),
        ("severity", "critical", False),
        ("source", "airflow", True),
        ("stage", "load", True),
        ("labels.env", "prod", True),
        ("labels.env", "pro*", True),
        ("labels.env", "dev", False),
        ("labels.team", "*", True),  # a label that is not there is read as ""
        ("labels.team", "", True),
        ("labels.team", "data", False),
        ("rule", "rule_1", True),
        ("rule", "nightly failures", True),
        ("rule", "nightly *", True),
        ("rule", "rule_2", False),
        ("endpoint", "whk_1", True),
        ("endpoint", "Ops Slack", True),
        ("endpoint", "whk_2", False),
    ],
)
def test_what_a_matcher_fits(field: str, value: str, fits: bool) -> None:
    assert is_hidden(Matcher(field, value)) is fits
    assert is_hidden(Matcher(field, value, negate=True)) is not fits


@pytest.mark.parametrize("field", ["message", "tenant_id", "data", "labels", "", "uid"])
@pytest.mark.parametrize("negate", [False, True])
def test_a_field_that_nobody_knows_hides_nothing(field: str, negate: bool) -> None:
    assert not is_hidden(Matcher(field, "*", negate))


def test_all_matchers_must_fit() -> None:
    pipeline, prod, dev = Matcher("pipeline", "etl/*"), Matcher("labels.env", "prod"), Matcher("labels.env", "dev")
    assert is_hidden(pipeline, prod)
    assert not is_hidden(pipeline, dev)
    assert is_hidden()  # everything


def test_the_start_belongs_to_it_the_end_does_not() -> None:
    span = {"starts_ms": NOW_MS, "ends_ms": NOW_MS + HOUR_MS}
    asked = {-1: False, 0: True, HOUR_MS - 1: True, HOUR_MS: False, 2 * HOUR_MS: False}
    assert {late: is_hidden(now_ms=NOW_MS + late, **span) for late in asked} == asked


def test_without_an_end_it_does_not_end() -> None:
    assert is_hidden(ends_ms=None, now_ms=NOW_MS + 10**12)


def test_hours_that_come_back() -> None:
    saturdays = Hours("06:00", "08:00", (5,))
    evenings = Hours("20:00", "22:00")
    asked = {-1: False, 0: True, HOUR_MS: True, 2 * HOUR_MS: False, 14 * HOUR_MS: True, 24 * HOUR_MS: False,
             38 * HOUR_MS: True, 7 * 24 * HOUR_MS: True}  # fmt: skip
    hours = (saturdays, evenings)
    assert {late: is_hidden(hours=hours, now_ms=NOW_MS + late) for late in asked} == asked
    # Hours count within the span only.
    assert not is_hidden(hours=hours, ends_ms=NOW_MS + 24 * HOUR_MS, now_ms=NOW_MS + 38 * HOUR_MS)


def test_the_first_that_fits_is_named() -> None:
    misfit = silence(Matcher("pipeline", "ml/*"), id="sil_0")
    first, second = silence(id="sil_1"), silence(id="sil_2")
    assert silenced((misfit, first, second), event(), RULE, ENDPOINT, NOW_MS) is first
    assert silenced((misfit,), event(), RULE, ENDPOINT, NOW_MS) is None
    assert silenced((), event(), RULE, ENDPOINT, NOW_MS) is None


FIELDS = (
    "pipeline",
    "type",
    "kind",
    "severity",
    "source",
    "stage",
    "labels.env",
    "labels.team",
    "rule",
    "endpoint",
    "no",
)
MATCHERS = st.builds(
    Matcher,
    st.sampled_from(FIELDS),
    st.sampled_from(["etl/orders", "etl/*", "prod", "dev", "", "*", "run.failed", "rule_1", "load", "airflow"]),
    st.booleans(),
)


@given(st.lists(st.lists(MATCHERS, max_size=3), max_size=12), st.sampled_from(["etl/orders", "ml", ""]))
def test_the_index_leaves_out_only_what_cannot_fit(lists: list[list[Matcher]], pipeline: str) -> None:
    silences = tuple(silence(*matchers, id=f"sil_{place}") for place, matchers in enumerate(lists))
    told = event(pipeline=pipeline)
    near = SilenceIndex(silences).near(told, [RULE], [ENDPOINT])
    assert list(near) == [one for one in silences if one in near]  # in order
    assert silenced(near, told, RULE, ENDPOINT, NOW_MS) == silenced(silences, told, RULE, ENDPOINT, NOW_MS)


def test_silences_about_something_else_are_not_looked_at() -> None:  # shows 4
    others = [
        silence(Matcher("pipeline", f"etl/{number}"), Matcher("rule", "*"), id=str(number)) for number in range(1000)
    ]
    mine = silence(Matcher("rule", "rule_1"), Matcher("labels.env", "prod"), id="mine")
    everything = silence(Matcher("pipeline", "*"), id="everything")
    assert SilenceIndex([*others, mine, everything]).near(event()) == (mine, everything)
