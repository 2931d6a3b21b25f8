"""Local times: hours that come back, and the next time of a digest. Daylight saving included.

https://docs.python.org/3/library/zoneinfo.html; a time that does not exist on the day the clocks go forward is taken as
the moment they go forward, one that exists twice as its first.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tocsin.model.noise import Digest, Hours

DAY = timedelta(days=1)


def ends_ms(hours: Hours, now_ms: int) -> int:
    """When the hours that it is in end, Unix milliseconds; 0 where it is not in them. The start belongs to them, the
    end does not."""
    zone, today = _today(hours.time_zone, now_ms)
    start, end = time.fromisoformat(hours.start), time.fromisoformat(hours.end)
    over_midnight = end <= start
    for day in (today, today - DAY) if over_midnight else (today,):
        if hours.weekdays and day.weekday() not in hours.weekdays:
            continue
        last_day = day + DAY if over_midnight else day
        over_ms = moment_ms(last_day, end, zone)
        if moment_ms(day, start, zone) <= now_ms < over_ms:
            return over_ms
    return 0


def next_digest_ms(digest: Digest, now_ms: int) -> int:
    """The next time a digest goes out, later than now, Unix milliseconds."""
    zone, day = _today(digest.time_zone, now_ms)
    at = time.fromisoformat(digest.at)
    while True:
        if digest.every == "day" or day.weekday() == digest.weekday:
            due_ms = moment_ms(day, at, zone)
            if due_ms > now_ms:
                return due_ms
        day += DAY


def moment_ms(day: date, at: time, zone: ZoneInfo) -> int:
    """When the clocks there show this time, Unix milliseconds."""
    first = datetime.combine(day, at, zone)
    second = first.replace(fold=1)
    first_ms, second_ms = _ms(first), _ms(second)
    if second_ms >= first_ms:
        return first_ms
    # It does not exist: with the offset from before the clocks go forward it is too late, with that from after it is
    # too early. https://docs.python.org/3/library/datetime.html#datetime.datetime.fold
    early_ms, late_ms = second_ms, first_ms
    before = datetime.fromtimestamp(early_ms / 1000, zone).utcoffset()
    while late_ms - early_ms > 1000:
        middle_ms = (early_ms + late_ms) // 2000 * 1000
        if datetime.fromtimestamp(middle_ms / 1000, zone).utcoffset() == before:
            early_ms = middle_ms
        else:
            late_ms = middle_ms
    return late_ms


def utc(ms: int) -> str:
    """For people: `2026-11-21 07:00 UTC`."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _today(time_zone: str, now_ms: int) -> tuple[ZoneInfo, date]:
    zone = ZoneInfo(time_zone)
    return zone, datetime.fromtimestamp(now_ms / 1000, zone).date()


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1000
