"""Local hours and digests, checked against a walk through time, minute by minute."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.model.noise import Digest, Hours
from tocsin.rules.hours import ends_ms, moment_ms, next_digest_ms, utc

MINUTE_MS = 60_000
TURNS = {
    "Europe/Berlin": (date(2026, 3, 29), date(2026, 10, 25)),
    "America/New_York": (date(2026, 3, 8), date(2026, 11, 1)),
    "Asia/Kolkata": (date(2026, 3, 29), date(2026, 10, 25)),
    "Australia/Lord_Howe": (date(2026, 4, 5), date(2026, 10, 4)),  # by half an hour
    "America/Havana": (date(2026, 3, 8), date(2026, 11, 1)),  # at midnight, and back at one
}
PLACES = st.sampled_from([(zone, day) for zone, days in TURNS.items() for day in days])
CLOCK = st.integers(0, 24 * 60 - 1).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
WEEKDAYS = st.frozensets(st.integers(0, 6), max_size=4).map(lambda days: tuple(sorted(days)))


def ms(text: str, zone: str = "UTC", fold: int = 0) -> int:
    """A local time such as 2026-03-29T01:30."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


@lru_cache
def walk(zone: str, day: date) -> tuple[tuple[int, datetime], ...]:
    """Each minute from ten days before that day to six days after: when it is, and what the clocks there show."""
    place = ZoneInfo(zone)
    begin = datetime.combine(day - timedelta(days=10), time(), place).astimezone(UTC)
    found = []
    for minute in range(16 * 24 * 60):
        now = begin + timedelta(minutes=minute)
        found.append((int(now.timestamp()) * 1000, now.astimezone(place).replace(tzinfo=None, fold=0)))
    return tuple(found)


def spans(hours: Hours, day: date) -> Iterator[tuple[int, int]]:
    """From the first minute at which the clocks show the start, or later, to the first at which they show the end."""
    minutes = walk(hours.time_zone, day)
    for number in range(1, 15):
        start_day = minutes[0][1].date() + timedelta(days=number)
        if hours.weekdays and start_day.weekday() not in hours.weekdays:
            continue
        start = datetime.combine(start_day, time.fromisoformat(hours.start))
        end = datetime.combine(start_day, time.fromisoformat(hours.end))
        end += timedelta(days=end <= start)
        yield (
            next(at for at, shown in minutes if shown >= start),
            next((at for at, shown in minutes if shown >= end), minutes[-1][0]),
        )


@settings(max_examples=60, deadline=None)
@given(PLACES, CLOCK, CLOCK, WEEKDAYS, st.integers(-36 * 60, 24 * 60))
def test_hours_are_those_that_the_clocks_on_the_wall_show(
    place: tuple[str, date], start: str, end: str, weekdays: tuple[int, ...], offset: int
) -> None:
    zone, day = place
    hours = Hours(start, end, weekdays, zone)
    middle_ms = moment_ms(day, time(), ZoneInfo(zone)) + offset * MINUTE_MS
    expected = list(spans(hours, day))
    # Around each turn and each edge, and at some time or other.
    asked = [middle_ms + step * MINUTE_MS for step in range(0, 600, 7)]
    asked += [edge + late for span in expected for edge in span for late in (-1, 0, 1)]
    for now_ms in asked:
        if abs(now_ms - middle_ms) < 2 * 86_400_000:
            inside = [until for begin, until in expected if begin <= now_ms < until]
            assert ends_ms(hours, now_ms) == (inside[0] if inside else 0), utc(now_ms)


@settings(max_examples=100, deadline=None)
@given(PLACES, CLOCK, st.integers(0, 6), st.sampled_from(["day", "week"]), st.integers(-36 * 60, 36 * 60))
def test_the_next_digest_is_the_first_minute_that_shows_its_time(
    place: tuple[str, date], at: str, weekday: int, every: str, offset: int
) -> None:
    zone, day = place
    digest = Digest(every, at, weekday, zone)  # type: ignore[arg-type]
    minutes = walk(zone, day)
    start = minutes[0][1].date()
    days = [start + timedelta(days=number) for number in range(1, 15)]
    wanted = [
        next(ms for ms, shown in minutes if shown >= datetime.combine(one, time.fromisoformat(at)))
        for one in days
        if every == "day" or one.weekday() == weekday
    ]
    now_ms = moment_ms(day - timedelta(days=5), time(), ZoneInfo(zone)) + offset * MINUTE_MS
    assert next_digest_ms(digest, now_ms) == next(due for due in wanted if due > now_ms)


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-20T21:59", ""),
        ("2026-11-20T22:00", "2026-11-21T06:00"),  # the start belongs to it
        ("2026-11-21T00:00", "2026-11-21T06:00"),
        ("2026-11-21T05:59", "2026-11-21T06:00"),
        ("2026-11-21T06:00", ""),  # the end does not
    ],
)
def test_hours_past_midnight(now: str, until: str) -> None:  # case 30
    hours = Hours("22:00", "06:00", time_zone="Europe/Berlin")
    assert ends_ms(hours, ms(now, "Europe/Berlin")) == (ms(until, "Europe/Berlin") if until else 0)


def test_the_weekday_is_that_of_the_start() -> None:
    friday_night = Hours("22:00", "06:00", (4,), "Europe/Berlin")
    assert ends_ms(friday_night, ms("2026-11-20T23:00", "Europe/Berlin"))  # a Friday
    assert ends_ms(friday_night, ms("2026-11-21T05:00", "Europe/Berlin"))
    assert not ends_ms(friday_night, ms("2026-11-20T05:00", "Europe/Berlin"))
    assert not ends_ms(friday_night, ms("2026-11-21T23:00", "Europe/Berlin"))


def test_a_time_that_is_skipped_is_when_the_clocks_go_forward() -> None:  # case 30
    turn_ms = ms("2026-03-29T01:00")  # 02:00 becomes 03:00 in Berlin
    assert moment_ms(date(2026, 3, 29), time(2, 30), ZoneInfo("Europe/Berlin")) == turn_ms
    assert ends_ms(Hours("02:15", "02:45", time_zone="Europe/Berlin"), turn_ms) == 0  # an hour that there is not
    assert ends_ms(Hours("01:00", "02:30", time_zone="Europe/Berlin"), turn_ms - 1) == turn_ms
    assert next_digest_ms(Digest(at="02:30", time_zone="Europe/Berlin"), turn_ms - 1) == turn_ms


def test_a_time_that_comes_twice_is_its_first() -> None:  # case 30
    first_ms, second_ms = (ms("2026-10-25T02:30", "Europe/Berlin", fold) for fold in (0, 1))
    assert second_ms - first_ms == 3_600_000
    assert moment_ms(date(2026, 10, 25), time(2, 30), ZoneInfo("Europe/Berlin")) == first_ms
    digest = Digest(at="02:30", time_zone="Europe/Berlin")
    assert next_digest_ms(digest, first_ms - 1) == first_ms
    assert next_digest_ms(digest, first_ms) == ms("2026-10-26T02:30", "Europe/Berlin")  # and not once more
    assert next_digest_ms(digest, second_ms - 1) == ms("2026-10-26T02:30", "Europe/Berlin")


def test_a_day_that_a_country_left_out() -> None:
    """Samoa went from the 29th to the 31st of December 2011."""
    skipped = moment_ms(date(2011, 12, 30), time(12), ZoneInfo("Pacific/Apia"))
    assert skipped == ms("2011-12-31T00:00", "Pacific/Apia")


def test_a_weekly_digest() -> None:
    digest = Digest("week", "08:30", 0, "Asia/Kolkata")
    monday = ms("2026-11-23T08:30", "Asia/Kolkata")
    assert next_digest_ms(digest, ms("2026-11-21T12:00", "Asia/Kolkata")) == monday
    assert next_digest_ms(digest, monday - 1) == monday
    assert next_digest_ms(digest, monday) == monday + 7 * 86_400_000


def test_a_moment_for_people() -> None:
    assert utc(ms("2026-11-21T07:00") + 59_999) == "2026-11-21 07:00 UTC"
