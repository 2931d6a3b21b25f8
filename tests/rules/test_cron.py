"""Cron schedules: what is due when, over both turns of the clocks, and what is refused."""

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.model.errors import Invalid
from tocsin.rules.cron import MACROS, check_cron, next_ms, previous_ms

MINUTE_MS = 60_000
TURNS = {"Europe/Berlin": ("2026-03-29", "2026-10-25"), "America/New_York": ("2026-03-08", "2026-11-01"),
         "Asia/Kolkata": ("2026-03-29",)}  # fmt: skip
PLACES = st.sampled_from([(zone, day) for zone, days in TURNS.items() for day in days])
SCHEDULES = st.sampled_from([
    "30 2 * * *", "15 1 * * *", "0 3 * * *", "0,30 1-3 * * *", "45 2,4 * * SUN", "0-59/20 1-3 * * *", "10 */2 * * *",
    "*/30 * * * *", "5 * * * *", "*/7 1-3 * * *", "0 0 * * *",
])  # fmt: skip


def ms(text: str, zone: str, fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def shown(due_ms: int, zone: str) -> str:
    """The local time, with its offset: `2026-03-29 03:00+02:00`."""
    return datetime.fromtimestamp(due_ms / 1000, ZoneInfo(zone)).isoformat(" ", "minutes")


def due(text: str, zone: str, begin: str, count: int) -> list[str]:
    found, after_ms = [], ms(begin, zone) - 1
    for _ in range(count):
        after_ms = next_ms(text, zone, after_ms)
        found.append(shown(after_ms, zone))
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30 2 * * *", ["2026-11-21 02:30", "2026-11-22 02:30"]),
        ("0 9 * * MON-FRI", ["2026-11-23 09:00", "2026-11-24 09:00"]),
        ("0 9 * * 1-5", ["2026-11-23 09:00", "2026-11-24 09:00"]),
        ("0 9 * * 7", ["2026-11-22 09:00", "2026-11-29 09:00"]),
        ("0 9 * * 0", ["2026-11-22 09:00", "2026-11-29 09:00"]),
        ("0 0 1 JAN,jul *", ["2027-01-01 00:00", "2027-07-01 00:00"]),
        ("*/20 8-9 * * *", ["2026-11-21 08:00", "2026-11-21 08:20", "2026-11-21 08:40", "2026-11-21 09:00"]),
        ("10-30/10 0 * * *", ["2026-11-21 00:10", "2026-11-21 00:20", "2026-11-21 00:30", "2026-11-22 00:10"]),
        ("5,7 0 * * *", ["2026-11-21 00:05", "2026-11-21 00:07"]),
        ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00"]),
        # The day of month and that of the week: either is enough where both are given, both where one has a star.
        ("0 0 23 * MON", ["2026-11-23 00:00", "2026-11-30 00:00", "2026-12-07 00:00"]),
        ("0 0 24 * MON", ["2026-11-23 00:00", "2026-11-24 00:00", "2026-11-30 00:00"]),
        ("0 0 */2 * MON", ["2026-11-23 00:00", "2026-12-07 00:00", "2026-12-21 00:00"]),
        ("@daily", ["2026-11-21 00:00", "2026-11-22 00:00"]),
        (" @Hourly ", ["2026-11-21 00:00", "2026-11-21 01:00"]),
        ("@weekly", ["2026-11-22 00:00", "2026-11-29 00:00"]),
        ("@monthly", ["2026-12-01 00:00", "2027-01-01 00:00"]),
        ("@yearly", ["2027-01-01 00:00", "2028-01-01 00:00"]),
    ],
)
def test_what_is_due(text: str, expected: list[str]) -> None:
    check_cron(text)
    assert due(text, "UTC", "2026-11-21", len(expected)) == [f"{time}+00:00" for time in expected]


def test_the_time_zone_counts() -> None:
    assert due("30 2 * * *", "Asia/Kolkata", "2026-11-21", 1) == ["2026-11-21 02:30+05:30"]


def test_an_hour_that_is_skipped() -> None:  # cases 30, 35
    """What is due in it is due once, when the clocks have gone forward; what is due every hour goes on every hour."""
    zone = "Europe/Berlin"
    assert due("30 2 * * *", zone, "2026-03-28", 3) == [
        "2026-03-28 02:30+01:00", "2026-03-29 03:00+02:00", "2026-03-30 02:30+02:00",
    ]  # fmt: skip
    assert due("0,30 2 * * *", zone, "2026-03-29", 2) == ["2026-03-29 03:00+02:00", "2026-03-30 02:00+02:00"]
    assert due("30 * * * *", zone, "2026-03-29T01:00", 2) == ["2026-03-29 01:30+01:00", "2026-03-29 03:30+02:00"]
    assert shown(previous_ms("30 2 * * *", zone, ms("2026-03-29T12:00", zone)), zone) == "2026-03-29 03:00+02:00"


def test_an_hour_that_comes_twice() -> None:
    """What is due in it is due the first time only; what is due every hour is due in both."""
    zone = "Europe/Berlin"
    first_ms, second_ms = (ms("2026-10-25T02:15", zone, fold) for fold in (0, 1))
    assert due("30 2 * * *", zone, "2026-10-25", 2) == ["2026-10-25 02:30+02:00", "2026-10-26 02:30+01:00"]
    assert due("30 * * * *", zone, "2026-10-25T02:00", 3) == [
        "2026-10-25 02:30+02:00", "2026-10-25 02:30+01:00", "2026-10-25 03:30+01:00",
    ]  # fmt: skip
    assert shown(next_ms("30 2 * * *", zone, first_ms), zone) == "2026-10-25 02:30+02:00"
    assert shown(next_ms("30 2 * * *", zone, second_ms), zone) == "2026-10-26 02:30+01:00"
    assert shown(previous_ms("30 2 * * *", zone, first_ms), zone) == "2026-10-24 02:30+02:00"
    assert shown(previous_ms("30 2 * * *", zone, second_ms), zone) == "2026-10-25 02:30+02:00"


@cache
def walked(text: str, zone: str, begin_ms: int, end_ms: int) -> list[int]:
    """When it is due: found by looking at the clock on the wall every minute, and at the minutes that it leaves out."""
    minutes, hours, _, _, weekdays = (numbers(field) for field in text.replace("SUN", "0").split())
    follows_the_clock = text.split()[0].startswith("*") or text.split()[1].startswith("*")
    found, seen = [], set()
    before: datetime | None = None
    for at_ms in range(begin_ms, end_ms, MINUTE_MS):
        wall = datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone)).replace(tzinfo=None, fold=0)
        passed = [wall]
        while not follows_the_clock and before is not None and passed[0] - before > timedelta(minutes=1):
            passed.insert(0, passed[0] - timedelta(minutes=1))
        fits = [
            one
            for one in passed
            if minutes(one.minute) and hours(one.hour) and weekdays(one.isoweekday() % 7) and one not in seen
        ]
        if fits:
            found.append(at_ms)
        if not follows_the_clock:
            seen.update(passed)
        before = wall
    return found


def numbers(field: str):  # type: ignore[no-untyped-def]
    """Whether a number fits a field of one of SCHEDULES."""
    span, _, step = field.partition("/")

    def fits(number: int) -> bool:
        for part in span.split(","):
            first, _, last = part.partition("-")
            begin, end = (0, 59) if part == "*" else (int(first), int(last or first))
            if begin <= number <= end and (number - begin) % int(step or 1) == 0:
                return True
        return False

    return fits


@settings(max_examples=80, deadline=None)
@given(SCHEDULES, PLACES, st.integers(0, 60 * 60))
def test_it_agrees_with_a_walk_through_time(text: str, place: tuple[str, str], offset: int) -> None:
    zone, day = place
    begin_ms = ms(day, zone) - 30 * 3_600_000
    expected = walked(text, zone, begin_ms, begin_ms + 10 * 24 * 3_600_000)
    now_ms = begin_ms + 3_600_000 + offset * MINUTE_MS
    later = [due_ms for due_ms in expected if due_ms > now_ms]
    assert shown(next_ms(text, zone, now_ms), zone) == shown(later[0], zone)
    assert next_ms(text, zone, later[0] - 1) == later[0]
    for earlier_ms, later_ms in pairwise(later[:20]):
        assert next_ms(text, zone, earlier_ms) == later_ms
        assert previous_ms(text, zone, later_ms) == earlier_ms
        assert previous_ms(text, zone, later_ms - 1) == earlier_ms


@given(PLACES, SCHEDULES, st.integers(0, 4 * 86_400_000))
def test_next_is_later_and_previous_is_earlier(place: tuple[str, str], text: str, offset_ms: int) -> None:
    zone, day = place
    now_ms = ms(day, zone) - 86_400_000 + offset_ms
    assert previous_ms(text, zone, now_ms) < now_ms < next_ms(text, zone, now_ms)


@pytest.mark.parametrize(
    "text",
    [
        "", "*", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *", "* * * 13 *",
        "* * * * 8", "* * * * MOO", "5-1 * * * *", "*/0 * * * *", "1,,2 * * * *", "a b c d e", "-1 * * * *",
        "1.5 * * * *",
        "@reboot", "@", "every day", "* * * * *\n* * * * *", "０ 0 * * *", "0 0 30 2 *", "0 0 31 4,6 *",
        "* * */20 * 1L",
        "0 " * 5000, "9" * 5000 + " * * * *",
    ],
)  # fmt: skip
def test_what_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_cron(text, "schedule.cron")
    assert caught.value.field == "schedule.cron"
    assert len(caught.value.detail) < 500


@given(st.text("0123456789*/-,#LWJANMONSUN @", max_size=60))
def test_any_text_is_refused_or_has_a_next_time(text: str) -> None:
    try:
        check_cron(text)
    except Invalid:
        return
    now_ms = 1_795_240_800_000
    assert next_ms(text, "Europe/Berlin", now_ms) > now_ms


def test_every_macro_is_a_schedule() -> None:
    for macro in MACROS:
        check_cron(macro)
        assert next_ms(macro, "UTC", 0) > 0


def test_a_day_that_is_forty_years_away_is_found() -> None:
    """The longest wait that the calendar knows: the 29th of February on one weekday, over 2100."""
    first_ms = next_ms("0 0 * 2 MON#5", "UTC", ms("2072-03-01", "UTC"))
    assert datetime.fromtimestamp(first_ms / 1000, UTC).year == 2112
