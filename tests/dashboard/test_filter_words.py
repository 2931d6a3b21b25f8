"""The filter box: what people write in it, and what it means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.errors import Invalid
from tocsin.web.dashboard.filters import WORDS, code_of, moment_of, one_of, parse, status_of, written

NOW_MS = 1_795_273_200_000  # 2026-11-21 15:00 UTC


def test_words_and_what_has_none() -> None:
    asked = 'status:failed endpoint:"Ops Teams" code:5xx orders nightly'
    assert parse(asked) == {"status": "failed", "endpoint": "Ops Teams", "code": "5xx", "text": "orders nightly"}
    assert parse("since:14:00") == {"since": "14:00"}
    assert parse("type:run.failed PIPELINE:etl/*") == {"type": "run.failed", "pipeline": "etl/*"}
    assert parse("") == parse("   ") == {}
    assert parse(r'reason:"he said \"no\""') == {"reason": 'he said "no"'}


@given(st.dictionaries(st.sampled_from(list(WORDS)), st.text("abZ 0.:*\"\\/'", min_size=1, max_size=20)))
def test_what_is_written_is_read_back(words: dict[str, str]) -> None:
    assert parse(written(words)) == words


def test_an_unknown_word_names_the_known_ones() -> None:
    with pytest.raises(Invalid) as wrong:
        parse("stauts:failed")
    assert wrong.value.field == "stauts"
    assert "status, endpoint, rule" in wrong.value.expected
    for asked in ("status:dead status:failed", "x" * 501):
        with pytest.raises(Invalid):
            parse(asked)


def test_times_are_spans_clocks_days_and_moments() -> None:
    assert moment_of("since", "14:00", NOW_MS) == "2026-11-21T14:00:00Z"
    assert moment_of("since", "23:30", NOW_MS) == "2026-11-20T23:30:00Z"
    assert moment_of("since", "2h", NOW_MS) == "2026-11-21T13:00:00Z"
    assert moment_of("since", "7d", NOW_MS) == "2026-11-14T15:00:00Z"
    assert moment_of("since", "2026-11-20", NOW_MS) == "2026-11-20T00:00:00Z"
    assert moment_of("until", "2026-11-20T10:00:00+02:00", NOW_MS) == "2026-11-20T08:00:00Z"
    assert moment_of("since", "all", NOW_MS) == ""
    for asked in ("25:00", "yesterday", "9999999d", "0000-00-00"):
        with pytest.raises(Invalid):
            moment_of("since", asked, NOW_MS)


def test_states_and_codes() -> None:
    assert status_of("Failed") == "failed"
    assert status_of("held") == "suppressed"
    assert code_of("5XX") == "5xx"
    with pytest.raises(Invalid, match="retrying"):
        status_of("lost")
    for asked in ("6xx", "50", "4041"):
        with pytest.raises(Invalid, match="none"):
            code_of(asked)


def test_names_are_found_by_a_part_of_them() -> None:
    known = [("whk_1", "#ml-alerts"), ("whk_2", "#ml-chatter"), ("whk_3", "Ops Teams")]
    assert one_of("endpoint", "whk_2", known) == "whk_2"
    assert one_of("endpoint", "#ML-alerts", known) == "whk_1"
    assert one_of("endpoint", "ops", known) == "whk_3"
    with pytest.raises(Invalid, match="ml-chatter"):
        one_of("endpoint", "ml", known)
    with pytest.raises(Invalid, match="Ops Teams"):
        one_of("endpoint", "nobody", known)
