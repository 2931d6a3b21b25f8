"""Windows and changes of state: what is told, once, and why the rest is not."""

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.model.event import KINDS, Event
from tocsin.model.noise import (
    Changes,
    Failures,
    Flapping,
    Grouping,
    Metric,
    Noise,
    Schedule,
    SuccessRate,
    Watch,
)
from tocsin.model.run import Run
from tocsin.model.world import RuleState
from tocsin.rules.telling import TELL, Verdict, after, again, state_key, undone
from tocsin.rules.windows import KEPT

START_MS = 1_795_240_800_000  # 2026-11-21 06:00 UTC
MINUTE_MS = 60_000
HOUR_MS = 3_600_000
CHANGES = Noise(changes=Changes())
STEADY = Noise(changes=Changes(flapping=None))
KIND = {"g": "run.succeeded", "b": "run.failed"}


def event(kind: str, minute: float = 0, **fields: Any) -> Event:
    at_ms = START_MS + int(minute * MINUTE_MS)
    standard: dict[str, Any] = {
        "uid": "evt_1", "tenant_id": "t", "id": "e", "source": "airflow", "type": kind, "kind": kind,
        "pipeline": "etl/orders", "time_ms": at_ms, "received_ms": at_ms,
    }  # fmt: skip
    return Event(**standard | fields)


class Teller:
    """One rule and one thing that it watches."""

    def __init__(self, noise: Noise) -> None:
        self.noise = noise
        self.state = RuleState()

    def hear(
        self, kind: str, minute: float = 0, now: float | None = None, run: Run | None = None, **fields: Any
    ) -> Verdict:
        """An event of this minute, that comes in at once, or in the minute `now`."""
        self.state, verdict = after(
            self.noise, self.state, event(kind, minute, **fields), run, at(minute if now is None else now)
        )
        return self.checked(verdict)

    def good(self, minute: float = 0, **fields: Any) -> Verdict:
        return self.hear("run.succeeded", minute, **fields)

    def bad(self, minute: float = 0, **fields: Any) -> Verdict:
        return self.hear("run.failed", minute, **fields)

    def runs(self, story: str, minute: float = 0) -> list[Verdict]:
        """`bbg`: two failures and a success, a minute each."""
        return [self.hear(KIND[letter], minute + place) for place, letter in enumerate(story)]

    def look(self, minute: float) -> Verdict:
        """The clock says that it is time."""
        self.state, verdict = again(self.noise, self.state, "etl/orders", at(minute))
        return self.checked(verdict)

    def undo(self) -> None:
        """A silence kept it back."""
        self.state = undone(self.state)

    def checked(self, verdict: Verdict) -> Verdict:
        """What is true of every verdict; and the state survives the store."""
        assert verdict == TELL or verdict.reason, "nothing is told or kept back without a reason"
        assert not (verdict.recovered and verdict.act == "quiet")
        assert len(self.state.recent) <= KEPT
        assert len(self.state.moved) <= 100
        stored = msgspec.json.decode(msgspec.json.encode(self.state), type=RuleState)
        assert stored == self.state
        return verdict


def at(minute: float) -> int:
    return START_MS + int(minute * MINUTE_MS)


def acts(verdicts: Sequence[Verdict]) -> str:
    """T is told, R is told as a recovery, - is quiet."""
    return "".join("R" if v.recovered else "T" if v.act == "tell" else "-" for v in verdicts)


def test_a_rule_that_says_nothing_tells_everything() -> None:
    teller = Teller(Noise())
    assert [teller.hear(kind, minute) for minute, kind in enumerate(KINDS)] == [TELL] * len(KINDS)
    assert teller.state == RuleState()


# Changes of state.


def test_the_first_failure_and_the_recovery_are_told() -> None:
    verdicts = Teller(CHANGES).runs("ggbbbgg")
    assert acts(verdicts) == "--T--R-"
    assert [v.reason for v in verdicts] == [
        "no change: it was not failing",
        "no change: it was not failing",
        "the first failure",
        "still failing since 2026-11-21 06:02 UTC; told at 2026-11-21 06:02 UTC",
        "still failing since 2026-11-21 06:02 UTC; told at 2026-11-21 06:02 UTC",
        "recovered after 3m 00s, 3 failures",
        "no change: it was not failing",
    ]
    assert verdicts[2].title == verdicts[2].note == ""  # the event's own words say it all
    assert verdicts[5].note == "recovered after 3m 00s, 3 failures"


def test_a_recovery_says_how_long_it_took_and_how_often_it_failed() -> None:
    teller = Teller(CHANGES)
    for number in range(7):
        teller.bad(number * 30)
    assert teller.good(190).note == "recovered after 3h 10m, 7 failures"
    teller.bad(200)
    assert teller.good(201).note == "recovered after 1m 00s, 1 failure"


def test_recoveries_may_be_left_out() -> None:
    teller = Teller(Noise(changes=Changes(recovered=False, flapping=None)))
    assert acts(teller.runs("bgbg")) == "T-T-"
    assert "does not tell of recoveries" in teller.runs("bg", 10)[1].reason


@pytest.mark.parametrize(
    "kind", ["run.failed", "run.exceeded", "run.missed", "safety.rollback", "stage.failed", "alert"]
)
def test_what_is_trouble(kind: str) -> None:
    teller = Teller(CHANGES)
    assert acts([teller.hear(kind, 0), teller.hear(kind, 1), teller.good(2)]) == "T-R"
    assert acts([teller.hear(kind, 3), teller.hear("alert.resolved", 4)]) == "TR"


def test_what_is_neither_good_nor_bad_is_told_as_it_is() -> None:
    teller = Teller(CHANGES)
    teller.bad(0)
    before = teller.state
    for kind in ("run.started", "run.warning", "run.cancelled", "stage.succeeded", "rollout.advanced", "other"):
        assert teller.hear(kind, 1) == TELL
    assert teller.state == before


def test_still_failing_is_told_by_the_event_that_comes_when_it_is_time() -> None:  # case 28
    teller = Teller(Noise(changes=Changes(renotify_s=3600)))
    assert teller.bad(0).again_ms == at(60)
    assert teller.bad(59.9).again_ms == at(60)
    told = teller.bad(60)
    assert (told.act, told.note, told.again_ms) == ("tell", "still failing: 3 failures in 1h 00m", at(120))
    assert acts([teller.bad(61), teller.good(62), teller.bad(63)]) == "-RT"


def test_still_failing_is_told_by_the_clock() -> None:  # case 28
    teller = Teller(Noise(changes=Changes(renotify_s=3600)))
    teller.bad(0)
    teller.bad(30)
    early = teller.look(59)
    assert (early.act, early.again_ms) == ("quiet", at(60))
    told = teller.look(60)
    assert (told.act, told.title) == ("tell", "etl/orders is still failing: 2 failures in 1h 00m")
    assert (told.recovered, told.again_ms) == (False, at(120))
    assert acts([teller.look(60), teller.look(119), teller.look(120)]) == "--T"
    teller.good(130)
    assert (teller.look(180).act, teller.look(180).again_ms) == ("quiet", 0)


def test_the_clock_has_nothing_to_say_where_the_rule_was_changed_meanwhile() -> None:
    teller = Teller(Noise(changes=Changes(renotify_s=3600)))
    teller.bad(0)
    for noise in (STEADY, Noise(), Noise(window=Failures(1))):
        teller.noise = noise
        assert teller.look(60) == Verdict("quiet", "it is not time to say so again")


def test_a_recovery_is_told_only_if_the_trouble_was() -> None:  # cases 25, 26
    teller = Teller(CHANGES)
    assert acts([teller.good(0)]) == "-"
    assert teller.bad(1).act == "tell"
    teller.undo()
    assert not teller.state.firing
    quiet = teller.good(2)
    assert (quiet.act, quiet.reason) == ("quiet", "it recovered; nobody was told that it was failing")
    assert acts(teller.runs("bg", 3)) == "TR"


def test_trouble_that_a_silence_kept_back_is_told_once_it_is_over() -> None:  # case 26
    teller = Teller(CHANGES)
    for minute in range(3):
        assert teller.bad(minute).act == "tell"
        teller.undo()
    told = teller.bad(10)
    assert (told.act, told.note) == ("tell", "still failing: 4 failures in 10m 00s")
    assert acts([teller.bad(11), teller.good(12)]) == "-R"


def test_a_reminder_that_a_silence_kept_back_does_not_undo_what_people_know() -> None:
    teller = Teller(Noise(changes=Changes(renotify_s=3600)))
    teller.bad(0)
    assert teller.bad(60).act == "tell"
    teller.undo()
    assert teller.state.firing
    assert teller.good(61).recovered


def test_a_recovery_that_a_silence_kept_back_is_over_all_the_same() -> None:
    teller = Teller(CHANGES)
    assert acts(teller.runs("bg")) == "TR"
    teller.undo()
    assert acts(teller.runs("gbg", 2)) == "-TR"


def test_trouble_that_nobody_was_told_of_is_told_by_the_clock() -> None:
    teller = Teller(Noise(changes=Changes(renotify_s=3600)))
    teller.bad(0)
    teller.undo()
    assert teller.look(60).title == "etl/orders is still failing: 1 failure in 1h 00m"
    assert teller.good(61).recovered


# What comes late.


def test_what_comes_late_is_counted_and_flips_nothing() -> None:  # case 31
    teller = Teller(CHANGES)
    teller.good(10)
    late = teller.bad(5, now=11)
    assert (late.act, late.reason) == ("quiet", "it came late: what happened at 2026-11-21 06:10 UTC is known already")
    assert teller.good(12).reason == "no change: it was not failing"
    teller.bad(20)
    assert teller.good(15, now=21).act == "quiet"
    assert teller.bad(25).act == "quiet"  # the same trouble goes on
    assert teller.bad(22, now=26).act == "quiet"
    assert teller.good(30).note == "recovered after 10m 00s, 3 failures"


def test_the_later_end_of_a_run_counts() -> None:  # case 31
    teller = Teller(CHANGES)
    run = Run(id="r", tenant_id="t", pipeline="etl/orders", run_id="r", status="succeeded", finished_ms=at(10))
    before = teller.state
    verdict = teller.hear("run.failed", 9, now=11, run=run)
    assert (verdict.act, verdict.reason) == ("quiet", "the run ended later, at 2026-11-21 06:10 UTC: it succeeded")
    assert teller.state == before
    assert teller.hear("alert", 9, now=11, run=run).act == "tell"
    assert teller.hear("run.succeeded", 10, now=11, run=run).recovered


def test_a_clock_that_is_years_ahead_does_not_make_everything_late() -> None:  # case 50
    teller = Teller(CHANGES)
    assert teller.bad(10**7, now=0).act == "tell"
    assert teller.good(1).recovered
    assert teller.bad(2).act == "tell"


def test_a_clock_that_begins_in_1970() -> None:
    teller = Teller(CHANGES)
    verdicts = [teller.hear(kind, 0, time_ms=0) for kind in ("run.failed", "run.failed", "run.succeeded")]
    assert acts(verdicts) == "T-R"


def test_a_clock_that_jumps_back_tells_nothing_twice() -> None:  # case 50
    teller = Teller(Noise(changes=Changes(renotify_s=3600)))
    teller.bad(60)
    assert acts([teller.bad(61, now=1), teller.bad(62, now=2), teller.look(3)]) == "---"


# Flapping.


def test_flapping_is_said_once_and_then_the_state() -> None:  # case 37
    teller = Teller(Noise(changes=Changes(flapping=Flapping(6, 3600))))
    verdicts = teller.runs("bg" * 100)
    assert acts(verdicts) == "TRTRT" + "T" + "-" * 194
    assert verdicts[6].reason == "it is flapping; told at 2026-11-21 06:05 UTC"
    notice = verdicts[5]
    assert notice.title == "etl/orders is flapping: 6 changes in an hour"
    assert (notice.reason, notice.note) == (
        "flapping: 6 changes in an hour; quiet until it is steady",
        "quiet until it is steady",
    )
    assert notice.again_ms == at(5 + 60)
    assert verdicts[-1].again_ms == at(199 + 60)
    early = teller.look(199 + 59)
    assert (early.act, early.again_ms) == ("quiet", at(199 + 60))
    steady = teller.look(199 + 60)
    assert (steady.title, steady.recovered) == ("etl/orders is steady again", True)
    assert acts([teller.look(300), teller.good(301), teller.bad(302)]) == "--T"


def test_what_flapped_and_fails_for_good_is_told_by_the_clock() -> None:
    teller = Teller(Noise(changes=Changes(flapping=Flapping(3, 600))))
    assert acts(teller.runs("bgbbb")) == "TRT--"
    told = teller.look(12)
    assert (told.act, told.title) == ("tell", "etl/orders is still failing: 3 failures in 10m 00s")
    assert acts([teller.bad(13), teller.good(14)]) == "-R"


@pytest.mark.parametrize(
    ("story", "last", "act", "note"),
    [
        ("bgb", "b", "T", "no longer flapping: still failing: 2 failures in 10m 00s"),
        ("bgb", "g", "R", "recovered after 10m 00s, 1 failure"),
        ("bgbg", "g", "R", "steady again"),
        ("bgbg", "b", "T", "no longer flapping"),
    ],
)
def test_what_flapped_and_is_steady_is_told_by_the_next_event(story: str, last: str, act: str, note: str) -> None:
    teller = Teller(Noise(changes=Changes(flapping=Flapping(3, 600))))
    teller.runs(story)
    (verdict,) = teller.runs(last, len(story) - 1 + 10)
    assert (acts([verdict]), verdict.note) == (act, note)
    assert acts(teller.runs("bg", 60)) == ("-R" if last == "b" else "TR")


def test_a_notice_of_flapping_that_a_silence_kept_back_comes_later() -> None:
    teller = Teller(Noise(changes=Changes(flapping=Flapping(3, 3600))))
    teller.runs("bgb")
    teller.undo()
    assert "flapping" in teller.runs("g", 3)[0].title


def test_slow_changes_are_no_flapping() -> None:
    teller = Teller(Noise(changes=Changes(flapping=Flapping(3, 600))))
    assert acts([teller.hear(KIND["bg"[number % 2]], number * 6) for number in range(10)]) == "TRTRTRTRTR"


def test_a_span_holds_what_happened_at_both_its_ends() -> None:
    flapping = Teller(Noise(changes=Changes(flapping=Flapping(3, 600))))
    assert "flapping" in [flapping.bad(0), flapping.good(5), flapping.bad(10)][-1].title
    rate = Teller(Noise(window=SuccessRate(0.5, within_s=600, least=1)))
    rate.runs("b")
    assert rate.good(10).title == "etl/orders recovered: 1 of 2 runs within 10 minutes succeeded (50%)"


def test_failures_at_the_same_moment_all_count() -> None:
    teller = Teller(CHANGES)
    assert acts([teller.bad(0), teller.bad(0), teller.bad(0)]) == "T--"
    assert teller.good(0).note == "recovered after 0 ms, 3 failures"


def test_flapping_ends_where_the_rule_no_longer_looks_for_it() -> None:
    teller = Teller(Noise(changes=Changes(flapping=Flapping(3, 3600))))
    teller.runs("bgb")
    teller.noise = STEADY
    assert teller.bad(4).note == "no longer flapping: still failing: 2 failures in 2m 00s"
    assert acts([teller.bad(5), teller.good(6)]) == "-R"


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(3, 10), st.booleans())
def test_two_hundred_changes_make_few_messages(seed: int, changes: int, renotify: bool) -> None:  # case 37
    teller = Teller(Noise(changes=Changes(3600 if renotify else None, flapping=Flapping(changes, 3600))))
    draw = random.Random(seed)
    minute, verdicts = 0.0, []
    for number in range(200):
        minute += draw.random() * 5
        verdicts.append(teller.hear(KIND["bg"[number % 2]], minute))
    verdicts += [teller.look(minute + 60), teller.look(minute + 120)]
    spent = sum(verdict.act == "tell" for verdict in verdicts)
    assert spent == changes + 1


# Failures in a row, and in a span.


def test_failures_in_a_row() -> None:
    teller = Teller(Noise(window=Failures(3)))
    verdicts = teller.runs("bbgbbbbbgg")
    assert acts(verdicts) == "-----T--R-"
    assert [v.reason for v in verdicts[:4]] == [
        "1 of 3 failures in a row",
        "2 of 3 failures in a row",
        "no failures in a row; 3 are told",
        "1 of 3 failures in a row",
    ]
    assert (verdicts[5].title, verdicts[5].reason) == ("etl/orders: 3 failures in a row", "3 failures in a row")
    assert verdicts[6].reason == "still failing since 2026-11-21 06:03 UTC; told at 2026-11-21 06:05 UTC"
    assert verdicts[8].note == "recovered after 5m 00s, 5 failures"


def test_one_failure_in_a_row_speaks_for_itself() -> None:
    verdicts = Teller(Noise(window=Failures(1))).runs("bbg")
    assert (acts(verdicts), verdicts[0].title) == ("T-R", "")


def test_a_row_that_a_silence_kept_back_is_told_at_its_length() -> None:
    teller = Teller(Noise(window=Failures(2)))
    teller.runs("bb")
    teller.undo()
    told = teller.bad(2)
    assert (told.title, told.note) == ("etl/orders: 3 failures in a row", "still failing: 3 failures in 2m 00s")


def test_a_window_with_changes_reminds() -> None:
    teller = Teller(Noise(window=Failures(2), changes=Changes(renotify_s=600)))
    assert acts(teller.runs("bbb")) == "-T-"
    assert teller.look(11).title == "etl/orders is still failing: 3 failures in 11m 00s"
    told = teller.bad(21)
    assert (told.title, told.note) == ("etl/orders: 4 failures in a row", "still failing: 4 failures in 21m 00s")


def test_a_window_with_changes_knows_flapping() -> None:
    teller = Teller(Noise(window=Failures(2), changes=Changes(flapping=Flapping(4, 3600))))
    assert acts(teller.runs("bbg" * 30)) == "-TR-TT" + "-" * 84


@given(st.lists(st.sampled_from("bg"), max_size=40).map("".join), st.integers(1, 5))
def test_a_row_is_a_row(story: str, count: int) -> None:
    """Against the plain reading: told when so many in a row are reached, over at the next success."""
    expected, row = "", 0
    for letter in story:
        over = letter == "g" and row >= count
        row = row + 1 if letter == "b" else 0
        expected += "R" if over else "T" if row == count else "-"
    assert acts(Teller(Noise(window=Failures(count))).runs(story)) == expected


@given(
    st.lists(st.tuples(st.sampled_from("bg"), st.booleans()), min_size=1, max_size=20), st.integers(1, 4), st.randoms()
)
def test_late_events_are_counted_where_they_belong(story: list[tuple[str, bool]], count: int, shuffle: Any) -> None:
    """Some come late, after all others: then a row is what it would be, had they come in time."""
    placed = list(enumerate(story))
    late = [(minute, letter) for minute, (letter, is_late) in placed if is_late]
    shuffle.shuffle(late)
    teller = Teller(Noise(window=Failures(20)))
    teller.runs("g", -1)
    for minute, (letter, is_late) in placed:
        if not is_late:
            teller.hear(KIND[letter], minute)
    end = len(story) + 1
    teller.bad(end)
    for minute, letter in late:
        assert teller.hear(KIND[letter], minute, now=end + 1).act == "quiet"
    letters = "".join(letter for letter, _ in story)
    assert teller.bad(end + 1).reason == f"{len(letters) - len(letters.rstrip('b')) + 2} of 20 failures in a row"


def test_late_events_of_a_row_that_is_longer_than_what_is_remembered() -> None:
    teller = Teller(Noise(window=Failures(2)))
    teller.runs("bbbb", 10)
    assert teller.state.row == 4
    teller.bad(1, now=20)  # older than what is remembered: nobody knows whether it belongs to the row
    assert teller.state.row == 4
    teller.good(12.5, now=20)
    assert teller.state.row == 1


def test_failures_in_a_span() -> None:
    teller = Teller(Noise(window=Failures(3, within_s=600)))
    verdicts = [teller.bad(0), teller.good(1), teller.bad(4), teller.good(5), teller.bad(10), teller.bad(11)]
    assert acts(verdicts) == "----T-"
    assert verdicts[0].reason == "1 of 3 failures within 10 minutes"
    assert verdicts[1].reason == "3 failures within 10 minutes are told"
    assert (verdicts[4].title, verdicts[4].reason) == (
        "etl/orders: 3 failures within 10 minutes",
        "3 failures within 10 minutes",
    )
    soon = teller.good(12)
    assert (soon.act, soon.reason) == (
        "quiet",
        "still in trouble since 2026-11-21 06:00 UTC, though this is good news",
    )
    assert teller.good(15).note == "recovered after 15m 00s, 4 failures"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(60, "a minute"), (3600, "an hour"), (7200, "2 hours"), (86_400, "a day"), (5400, "90 minutes"), (90, "1m 30s"),
     (0.5, "500 ms")],
)  # fmt: skip
def test_a_span_in_words(seconds: float, words: str) -> None:
    teller = Teller(Noise(window=Failures(2, within_s=seconds)))
    assert teller.bad(0).reason == f"1 of 2 failures within {words}"


def test_failures_too_far_apart() -> None:
    teller = Teller(Noise(window=Failures(3, within_s=600)))
    assert acts([teller.bad(minute) for minute in (0, 5, 11, 16, 22, 27)]) == "------"


def test_a_second_burst_is_told_though_nothing_succeeded_between() -> None:
    """Alerts that are never resolved would be told once and never again."""
    teller = Teller(Noise(window=Failures(3, within_s=600)))
    first = [teller.hear("alert", minute) for minute in (0, 1, 2, 3)]
    alone = teller.hear("alert", 100)
    second = [teller.hear("alert", minute) for minute in (200, 201, 202, 203)]
    assert acts([*first, alone, *second]) == "--T--" + "--T-"
    assert teller.good(230).note == "recovered after 30m 00s, 4 failures"


def test_a_burst_that_is_over_is_not_said_to_go_on() -> None:
    teller = Teller(Noise(window=Failures(2, within_s=600), changes=Changes(renotify_s=300)))
    teller.bad(0)
    assert teller.bad(1).again_ms == at(6)
    assert teller.look(6).act == "tell"
    assert teller.look(11) == Verdict("quiet", "it does not go on")
    assert teller.good(12).recovered


@given(st.lists(st.integers(0, 12), min_size=1, max_size=40), st.integers(1, 5))
def test_a_span_is_a_span(gaps: list[int], count: int) -> None:
    """Failures only: told at each one with which the last ten minutes come to hold so many."""
    teller = Teller(Noise(window=Failures(count, within_s=600)))
    times: list[int] = []
    held_enough = False
    for gap in gaps:
        times.append((times[-1] if times else 0) + gap)
        enough = sum(time >= times[-1] - 10 for time in times) >= count
        assert (teller.bad(times[-1]).act == "tell") is (enough and not held_enough)
        held_enough = enough


def test_parts_of_a_run_do_not_count_for_a_window_but_its_end_does() -> None:
    teller = Teller(Noise(window=Failures(2)))
    for kind in ("stage.failed", "run.exceeded", "safety.rollback", "run.started", "run.cancelled", "other"):
        verdict = teller.hear(kind, 0, run_id="r1")
        assert verdict == Verdict("quiet", f"{kind} does not count for the rule's window: the ends of runs do")
    assert acts([teller.bad(1, run_id="r1"), teller.hear("alert", 2, run_id="r1")]) == "-T"
    assert teller.good(3, run_id="r2").recovered


@pytest.mark.parametrize(
    "kind", ["run.failed", "run.missed", "alert", "safety.rollback", "stage.failed", "run.exceeded"]
)
def test_what_belongs_to_no_run_counts_as_it_is(kind: str) -> None:
    teller = Teller(Noise(window=Failures(2)))
    assert acts([teller.hear(kind, 0), teller.hear(kind, 1), teller.hear("alert.resolved", 2)]) == "-TR"


def test_what_the_rule_itself_watches_is_told_whatever_its_window_says() -> None:
    watching = Noise(window=Failures(5), watch=Watch(exceeded_s=60))
    assert Teller(watching).hear("run.exceeded", 0, run_id="r") == TELL
    waiting = Noise(window=Metric("rows", below=1), schedule=Schedule(every_s=60))
    assert Teller(waiting).hear("run.missed", 0) == TELL
    assert Teller(Noise(window=Metric("rows", below=1))).hear("run.missed", 0).act == "quiet"


# Success rate.


def test_a_success_rate_fires_once_and_recovers_with_hysteresis() -> None:  # case 36
    teller = Teller(Noise(window=SuccessRate(0.8, runs=10, recover=0.95)))
    verdicts = teller.runs("ggggggg" + "bbb" + "b")
    assert acts(verdicts) == "-" * 9 + "T-"
    assert verdicts[0].reason == "only 1 run known so far"
    assert verdicts[9].title == "etl/orders: only 7 of the last 10 runs succeeded (70%)"
    verdicts = teller.runs("g" * 20, 20)
    assert acts(verdicts) == "-" * 9 + "R" + "-" * 10
    assert verdicts[9].title == "etl/orders recovered: 10 of the last 10 runs succeeded (100%)"
    assert verdicts[9].note == "recovered after 20m 00s"
    assert verdicts[10].reason == "10 of the last 10 runs succeeded (100%); below 80% is told"


def test_nineteen_of_twenty() -> None:
    teller = Teller(Noise(window=SuccessRate(0.9, runs=20, recover=0.95)))
    story = "g" * 16 + "bbb" + "b" + "g" * 18 + "g"
    verdicts = teller.runs(story)
    assert acts(verdicts) == "-" * 19 + "T" + "-" * 18 + "R"
    assert verdicts[-1].title == "etl/orders recovered: 19 of the last 20 runs succeeded (95%)"


def test_a_success_rate_without_hysteresis_recovers_at_its_bound() -> None:
    teller = Teller(Noise(window=SuccessRate(0.5, runs=4)))
    assert acts(teller.runs("gbbb" + "gg")) == "---T" + "-R"


def test_a_success_rate_over_a_span() -> None:
    teller = Teller(Noise(window=SuccessRate(0.5, within_s=3600, least=3), changes=Changes(renotify_s=1800)))
    assert acts(teller.runs("gbb")) == "--T"
    told = teller.look(32)
    assert told.title == ("etl/orders is still in trouble after 30m 00s: 1 of 3 runs within an hour succeeded (33.33%)")
    back = teller.good(63)  # the failures are more than an hour ago
    assert (back.recovered, back.title) == (True, "etl/orders recovered: 1 of 1 run within an hour succeeded (100%)")


def test_a_success_rate_is_judged_once_enough_runs_are_known() -> None:
    assert acts(Teller(Noise(window=SuccessRate(0.9, within_s=3600))).runs("bbbbb")) == "----T"
    assert acts(Teller(Noise(window=SuccessRate(0.9, runs=10, least=2))).runs("bb")) == "-T"
    assert acts(Teller(Noise(window=SuccessRate(0.9, runs=3))).runs("bbbb")) == "--T-"


def test_a_success_never_tells_of_a_low_rate() -> None:
    teller = Teller(Noise(window=SuccessRate(0.9, runs=4)))
    assert acts(teller.runs("bbbg")) == "----"
    assert teller.bad(4).act == "tell"
    teller.undo()
    assert teller.good(5).act == "quiet"
    assert teller.bad(6).note == "still in trouble after 2m 00s: 2 of the last 4 runs succeeded (50%)"


@given(st.lists(st.sampled_from("bg"), max_size=60).map("".join), st.integers(1, 8), st.sampled_from([0.5, 0.75, 1.0]))
def test_a_rate_is_a_rate(story: str, runs: int, below: float) -> None:
    """Against the plain reading of the last runs."""
    teller = Teller(Noise(window=SuccessRate(below, runs=runs)))
    firing = False
    for place, letter in enumerate(story):
        last = story[: place + 1][-runs:]
        share = last.count("g") / len(last)
        expected = "-"
        if firing and letter == "g" and share >= below:
            firing, expected = False, "R"
        elif not firing and letter == "b" and len(last) == runs and share < below:
            firing, expected = True, "T"
        assert acts([teller.hear(KIND[letter], place)]) == expected


@given(st.permutations(range(12)), st.integers(0, 2**12 - 1))
def test_a_rate_is_the_same_in_whatever_order_its_runs_come(order: list[int], outcomes: int) -> None:  # case 31
    window = Noise(window=SuccessRate(0.01, runs=8))
    teller, sorted_ = Teller(window), Teller(window)
    for minute in order:
        teller.hear(KIND["bg"[outcomes >> minute & 1]], minute, now=20)
    for minute in range(12):
        sorted_.hear(KIND["bg"[outcomes >> minute & 1]], minute, now=20)
    assert teller.state.recent == sorted_.state.recent


# Metrics.


def metric(teller: Teller, *values: Any, name: str = "accuracy", minute: int = 0) -> list[Verdict]:
    return [
        teller.good(minute + place, pipeline="train-ranker", data={name: value}) for place, value in enumerate(values)
    ]


def test_a_metric_that_regresses_against_the_best() -> None:
    verdicts = metric(Teller(Noise(window=Metric("accuracy", drop=0.02))), 0.9, 0.912, 0.905, 0.871, 0.8, 0.905, 0.91)
    assert acts(verdicts) == "---T-R-"
    assert verdicts[3].title == "accuracy of train-ranker fell to 0.871 (best 0.912, −4.5%)"
    assert verdicts[3].reason == "accuracy fell to 0.871 (best 0.912, −4.5%)"
    assert verdicts[5].title == "accuracy of train-ranker is back to 0.905"
    assert verdicts[6].reason == "accuracy is 0.91"


def test_a_metric_that_is_better_when_it_is_lower() -> None:
    verdicts = metric(
        Teller(Noise(window=Metric("loss", drop=0.1, better="lower"))), 0.4, 0.3, 0.32, 0.5, 0.2, name="loss"
    )
    assert acts(verdicts) == "---TR"
    assert verdicts[3].title == "loss of train-ranker rose to 0.5 (best 0.3, +66.7%)"


@pytest.mark.parametrize(("best", "worse"), [(0, 5), (0.0, 1e299)])
def test_a_best_of_nothing(best: float, worse: float) -> None:
    verdicts = metric(
        Teller(Noise(window=Metric("errors", drop=0.5, better="lower"))), best, best, worse, name="errors"
    )
    assert acts(verdicts) == "--T"
    assert verdicts[2].title.endswith("(best 0)")


def test_a_negative_best() -> None:
    verdicts = metric(Teller(Noise(window=Metric("score", drop=0.1))), -10, -10.5, -12, -9, name="score")
    assert acts(verdicts) == "--TR"
    assert verdicts[2].title == "score of train-ranker fell to -12 (best -10, −20.0%)"


def test_a_metric_that_crosses_a_bound_fires_until_it_is_back() -> None:
    verdicts = metric(
        Teller(Noise(window=Metric("rows", below=1000, above=100_000))), 5000, 12, 13, 2000, 250_000.0, name="rows"
    )
    assert acts(verdicts) == "-T-RT"
    assert verdicts[1].title == "rows of train-ranker fell to 12 (below 1,000)"
    assert verdicts[3].title == "rows of train-ranker is back to 2,000"
    assert verdicts[4].title == "rows of train-ranker rose to 250,000 (above 100,000)"


def test_a_metric_exactly_at_its_bound_is_within_it() -> None:
    assert acts(metric(Teller(Noise(window=Metric("accuracy", above=1, below=0.5))), 1, 0.5, 0.49)) == "--T"


def test_a_metric_that_is_worse_by_exactly_so_much_is_not_told() -> None:
    assert acts(metric(Teller(Noise(window=Metric("accuracy", drop=0.5))), 100, 50, 49)) == "--T"


def test_a_metric_is_found_at_a_path() -> None:
    window = Metric("metrics.val.loss", above=1)
    assert Teller(Noise(window=window)).good(0, data={"metrics": {"val": {"loss": 2}}}).act == "tell"
    assert Teller(Noise(window=window)).good(0, data={"metrics.val.loss": 2}).act == "tell"


@pytest.mark.parametrize(
    "data",
    [
        {}, {"accuracy": None}, {"accuracy": "0.1"}, {"accuracy": True}, {"accuracy": [0.1]}, {"accuracy": {"v": 1}},
        {"accuracy": float("nan")}, {"accuracy": float("inf")}, {"accuracy": float("-inf")}, {"accuracy": 10**400},
    ],
)  # fmt: skip
def test_what_is_no_number_does_not_count(data: dict[str, Any]) -> None:
    teller = Teller(Noise(window=Metric("accuracy", below=0.5)))
    verdict = teller.good(0, data=data)
    assert verdict == Verdict("quiet", "there is no number accuracy in its data")
    assert teller.state == RuleState()
    assert Teller(Noise(window=Metric("a.b", below=0.5))).good(0, data={"a": 1}).act == "quiet"


def test_a_late_best_counts_and_a_late_regression_is_not_told() -> None:
    teller = Teller(Noise(window=Metric("accuracy", drop=0.02)))
    metric(teller, 0.8, minute=10)
    assert metric(teller, 0.1, minute=5)[0].act == "quiet"
    metric(teller, 0.95, minute=6)
    assert "best 0.95" in metric(teller, 0.8, minute=11)[0].title


def test_a_metric_that_is_not_back_is_said_again() -> None:
    teller = Teller(Noise(window=Metric("accuracy", below=0.5), changes=Changes(renotify_s=3600)))
    metric(teller, 0.4)
    assert teller.look(60).title == "etl/orders is still in trouble after 1h 00m: accuracy is not back"
    assert metric(teller, 0.3, minute=120)[0].note == "still in trouble after 2h 00m: accuracy is not back"
    assert metric(teller, 0.6, minute=130)[0].note == "recovered after 2h 10m"


# Any story.


NOISES = [
    CHANGES,
    STEADY,
    Noise(changes=Changes(60, False, Flapping(3, 600))),
    Noise(changes=Changes(renotify_s=600)),
    Noise(window=Failures(3)),
    Noise(window=Failures(2, within_s=300), changes=Changes(renotify_s=120, flapping=Flapping(3, 600))),
    Noise(window=SuccessRate(0.6, runs=5, recover=0.8), changes=Changes()),
    Noise(window=SuccessRate(0.6, within_s=600, least=2)),
    Noise(window=Metric("v", below=0.3, drop=0.5), changes=Changes(renotify_s=60)),
]
STEPS = st.lists(
    st.tuples(
        st.sampled_from([*KINDS, "look", "undo"] + ["run.failed", "run.succeeded"] * 8),
        st.integers(-10, 30),
        st.integers(0, 20),
        st.floats(0, 1),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(st.sampled_from(NOISES), STEPS)
def test_whatever_happens_trouble_is_told_before_its_end_and_never_twice_at_once(
    noise: Noise, steps: list[tuple[str, int, int, float]]
) -> None:
    teller = Teller(noise)
    now = 0
    known = False
    for what, ahead, wait, value in steps:
        now += wait
        before = known
        if what == "undo":
            continue
        verdict = teller.look(now) if what == "look" else teller.hear(what, now + ahead, now=now, data={"v": value})
        if verdict == TELL:
            continue
        if verdict.recovered:
            assert before, "a recovery from what nobody was told of"
            known = False
        elif verdict.act == "tell":
            renotify_s = noise.changes.renotify_s if noise.changes else None
            is_reminder = before and "flapping" not in verdict.reason and noise.window is None
            if is_reminder and teller.state.told_before_ms:
                assert renotify_s is not None
                assert teller.state.told_ms - teller.state.told_before_ms >= renotify_s * 1000
            known = True
        elif noise.changes is not None and "does not tell of recoveries" in verdict.reason:
            known = False


@settings(max_examples=200)
@given(st.sampled_from(NOISES), STEPS)
def test_under_a_silence_nobody_is_told_of_a_recovery(noise: Noise, steps: list[tuple[str, int, int, float]]) -> None:
    """All that was to be told is kept back: then there is nothing to recover from."""
    teller = Teller(noise)
    now = 0
    for what, ahead, wait, value in steps:
        now += wait
        if what == "undo":
            continue
        verdict = teller.look(now) if what == "look" else teller.hear(what, now + ahead, now=now, data={"v": value})
        assert not verdict.recovered
        if verdict.act == "tell" and verdict != TELL:
            teller.undo()
            assert not teller.state.firing


@pytest.mark.parametrize("noise", [*NOISES, Noise(window=Failures(500, within_s=86_400))])
def test_what_is_remembered_is_bounded(noise: Noise) -> None:
    draw, state = random.Random(1), RuleState()
    for minute in range(1000):
        kind = draw.choice(["run.failed", "run.failed", "run.succeeded"])
        state, _ = after(noise, state, event(kind, minute / 100, data={"v": draw.random()}), None, at(minute))
    assert len(state.recent) <= KEPT
    assert len(msgspec.json.encode(state)) < 12_000


# What is kept apart.


def test_pipelines_are_kept_apart() -> None:
    assert state_key(CHANGES, event("run.failed")) == "etl/orders"
    assert state_key(CHANGES, event("run.failed", pipeline="")) == "airflow"
    assert state_key(Noise(changes=Changes(), group=Grouping(())), event("run.failed")) == "etl/orders"


def test_groups_are_kept_apart_by_what_good_and_bad_news_share() -> None:
    noise = Noise(
        changes=Changes(), group=Grouping(("pipeline", "run_id", "severity", "stage", "labels.env", "labels.no"))
    )
    bad = event("run.failed", run_id="1", severity="error", stage="load", labels={"env": "prod"})
    good = event("run.succeeded", run_id="2", labels={"env": "prod"})
    other = event("run.succeeded", run_id="2", labels={"env": "dev"})
    assert state_key(noise, bad) == state_key(noise, good) == "pipeline=etl/orders\x1flabels.env=prod\x1flabels.no="
    assert state_key(noise, other) != state_key(noise, good)
    assert state_key(Noise(group=Grouping(("run_id",))), bad) == "etl/orders"


def test_alerts_are_kept_apart_by_what_they_are_about() -> None:
    def key(noise: Noise, kind: str, **fields: Any) -> str:
        return state_key(noise, event(kind, pipeline="", **fields))

    disk, cpu = {"fingerprint": "d15c"}, {"fingerprint": "c0de"}
    assert key(CHANGES, "alert", data=disk) == key(CHANGES, "alert.resolved", data=disk)
    assert key(CHANGES, "alert", data=disk) != key(CHANGES, "alert", data=cpu)
    assert key(CHANGES, "alert", labels={"alertname": "a"}) == key(CHANGES, "alert.resolved", labels={"alertname": "a"})
    assert key(CHANGES, "alert", labels={"alertname": "a"}) != key(CHANGES, "alert", labels={"alertname": "b"})
    assert key(CHANGES, "alert", data={"fingerprint": 5}) == key(CHANGES, "alert")
    burst = Noise(window=Failures(3, 60))  # so many of the source, whatever they are about
    assert key(burst, "alert", data=disk) == key(burst, "alert", data=cpu) == "airflow"


def test_keys_are_short_and_still_different() -> None:
    noise = Noise(changes=Changes(), group=Grouping(tuple(f"labels.{letter}" for letter in "abcdefghij")))
    labels = {letter: letter * 512 for letter in "abcdefghij"}
    one = state_key(noise, event("run.failed", labels=labels))
    two = state_key(noise, event("run.failed", labels=labels | {"j": "other"}))
    assert len(one) == len(two) == 400
    assert one != two
    assert one == state_key(noise, event("run.succeeded", labels=labels))
