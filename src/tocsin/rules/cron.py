"""Cron: when a schedule of five fields is due, in local time.

    30 2 * * *          every day at 02:30
    */15 8-18 * * MON-FRI
    0 0 1 * MON         on the first of a month and on every Monday: either is enough, as in Vixie cron
    @daily              and @hourly, @weekly, @monthly, @yearly

Daylight saving as Debian's cron and Healthchecks have it (https://manpages.debian.org/cron.8): what is due at a fixed
hour that is skipped is due once, when the clocks have gone forward; in an hour that comes twice, the first time only.
What is due every hour or every few minutes simply follows the clock on the wall.
"""

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from tocsin.model.errors import Invalid

MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * SUN",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
EXPECTED = "five fields (minute, hour, day of month, month, day of week) such as 30 2 * * MON-FRI, or @daily"
MAX_CHARS = 100
BACK_MS = 3 * 3600 * 1000
"""No clock goes back by more than that for daylight saving; twice an hour is usual."""
_SOME_DAY = datetime(2026, 1, 1)  # noqa: DTZ001 - without a zone, it is a wall clock's


def check_cron(text: str, field: str = "cron") -> None:
    """Raises Invalid for what cannot be read, and for what never comes, such as the 30th of February."""
    fields = fields_of(text)
    if len(text) > MAX_CHARS or not text.isascii() or len(fields.split()) != 5:
        raise Invalid(field, repr(text[:MAX_CHARS]), EXPECTED)
    try:
        due = next(CronSim(fields, _SOME_DAY), None)
    except CronSimError as error:
        raise Invalid(field, f"{text!r} ({error})", EXPECTED) from None
    if due is None:
        raise Invalid(field, f"{text!r}, which never comes", "a day that comes within fifty years")


def next_ms(text: str, time_zone: str, after_ms: int) -> int:
    """When it is due next, later than `after_ms`; Unix milliseconds. `text` must have passed `check_cron`."""
    return next(due for due in _walk(text, time_zone, after_ms, back=False) if due > after_ms)


def previous_ms(text: str, time_zone: str, before_ms: int) -> int:
    """When it was due last, earlier than `before_ms`."""
    # In an hour that comes twice the walk looks at the clock on the wall alone; it begins where that hour is over.
    second_time = datetime.fromtimestamp(before_ms / 1000, ZoneInfo(time_zone)).fold == 1
    start_ms = before_ms + BACK_MS if second_time else before_ms
    return next(due for due in _walk(text, time_zone, start_ms, back=True) if due < before_ms)


def fields_of(text: str) -> str:
    """The five fields that a macro stands for; any other text as it is."""
    return MACROS.get(text.strip().lower(), text)


def _walk(text: str, time_zone: str, start_ms: int, *, back: bool) -> Iterator[int]:
    start = datetime.fromtimestamp(start_ms / 1000, ZoneInfo(time_zone))
    return (int(due.timestamp()) * 1000 for due in CronSim(fields_of(text), start, reverse=back))
