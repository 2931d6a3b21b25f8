"""Times in expressions: read from text or numbers, moved, and written in Java's patterns.

https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/time/format/DateTimeFormatter.html
"""

import datetime as dt
import re
from collections.abc import Callable
from zoneinfo import ZoneInfo

from tocsin.flows.expression.values import ExpressionError, Value, kind

PARTS = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+")
STYLES = {
    "iso": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX",
    "iso_sec": "yyyy-MM-dd'T'HH:mm:ssXXX",
    "sql": "yyyy-MM-dd HH:mm:ss.SSSSSS",
    "sql_seq": "yyyy-MM-dd HH:mm:ss",
    "iso_date_time": "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "iso_date": "yyyy-MM-dd",
    "iso_local_date": "yyyy-MM-dd",
    "iso_local_date_time": "yyyy-MM-dd'T'HH:mm:ss.SSS",
    "iso_instant": "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'",
    "iso_time": "HH:mm:ss",
    "iso_local_time": "HH:mm:ss",
    "basic_iso_date": "yyyyMMdd",
}
UNITS = {
    "NANOS": 1e-9, "MICROS": 1e-6, "MILLIS": 1e-3, "SECONDS": 1.0, "MINUTES": 60.0, "HOURS": 3600.0,
    "HALF_DAYS": 43_200.0, "DAYS": 86_400.0, "WEEKS": 604_800.0,
}  # fmt: skip
MONTHS = {"MONTHS": 1, "YEARS": 12, "DECADES": 120}
READ = {
    "yyyy": "%Y", "yy": "%y", "MM": "%m", "MMM": "%b", "MMMM": "%B", "dd": "%d", "EEE": "%a", "EEEE": "%A",
    "HH": "%H", "hh": "%I", "a": "%p", "mm": "%M", "ss": "%S", "SSS": "%f", "SSSSSS": "%f", "XXX": "%z", "Z": "%z",
}  # fmt: skip
Field = Callable[[dt.datetime, int], str]


def zone(name: str) -> dt.tzinfo:
    """Raises ExpressionError for a time zone that does not exist."""
    try:
        return dt.UTC if name in ("", "UTC", "Z") else ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise ExpressionError(f"there is no time zone {name[:60]!r}") from None


def read(value: Value, pattern: str = "", zone_name: str = "") -> dt.datetime:
    """Seconds or milliseconds since 1970, or RFC 3339, or text in a given pattern; without an offset, in that zone."""
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = value / 1000 if abs(value) > 10**11 else value
        return dt.datetime.fromtimestamp(min(max(seconds, -6e10), 2.5e11), dt.UTC)
    if not isinstance(value, str):
        raise ExpressionError(f"expected a time, found {kind(value)}")
    try:
        found = (
            dt.datetime.strptime(value, parsing(pattern))  # noqa: DTZ007 - it gets its zone below
            if pattern
            else dt.datetime.fromisoformat(value.strip())
        )
    except ValueError:
        raise ExpressionError(f"{value[:60]!r} is not a time") from None
    return found if found.tzinfo else found.replace(tzinfo=zone(zone_name))


def written(at: dt.datetime, pattern: str = "", zone_name: str = "") -> str:
    """The time in one of the named styles or in a pattern of Java's letters."""
    at = at.astimezone(zone(zone_name)) if zone_name else at
    pattern = STYLES.get(pattern.lower(), pattern) or STYLES["iso"]
    return "".join(_part(at, found) for found in PARTS.finditer(pattern))


def _part(at: dt.datetime, found: re.Match[str]) -> str:
    if found[1] is not None:
        return found[1].replace("''", "'") or "'"
    if found[2] is None:
        return found[0]
    field = FIELDS.get(found[2])
    if field is None:
        raise ExpressionError(f"the pattern letter `{found[2]}` is not known")
    return field(at, len(found[0]))


def parsing(pattern: str) -> str:
    """The pattern for strptime, as far as it has one."""
    pattern = STYLES.get(pattern.lower(), pattern)
    found = []
    for part in PARTS.finditer(pattern):
        if part[1] is not None:
            found.append(part[1].replace("%", "%%"))
        elif part[2] is None:
            found.append(part[0].replace("%", "%%"))
        elif part[0] in READ:
            found.append(READ[part[0]])
        else:
            raise ExpressionError(f"the pattern `{part[0]}` cannot be read")
    return "".join(found)


def moved(at: dt.datetime, amount: int, unit: str) -> dt.datetime:
    """The time so many units later. Months keep the day, or end with their last."""
    unit = unit.upper()
    unit = unit if unit.endswith("S") else unit + "S"
    try:
        if unit in UNITS:
            return at + dt.timedelta(seconds=amount * UNITS[unit])
        if unit in MONTHS:
            month = at.year * 12 + at.month - 1 + amount * MONTHS[unit]
            year, index = divmod(month, 12)
            following = dt.date(year + (index == 11), (index + 1) % 12 + 1, 1)
            last = (following - dt.timedelta(days=1)).day
            return at.replace(year=year, month=index + 1, day=min(at.day, last))
    except (ValueError, OverflowError):
        raise ExpressionError("a time out of any calendar") from None
    raise ExpressionError(f"there is no unit {unit[:30]!r}; there are {', '.join([*UNITS, *MONTHS])}")


def offset(at: dt.datetime, colon: str, zero: str) -> str:
    seconds = int((at.utcoffset() or dt.timedelta()).total_seconds())
    if not seconds and zero:
        return zero
    sign, minutes = "-" if seconds < 0 else "+", abs(seconds) // 60
    return f"{sign}{minutes // 60:02d}{colon}{minutes % 60:02d}"


FIELDS: dict[str, Field] = {
    "y": lambda at, n: f"{at.year % 100:02d}" if n == 2 else f"{at.year:0{n}d}",
    "u": lambda at, n: f"{at.year % 100:02d}" if n == 2 else f"{at.year:0{n}d}",
    "M": lambda at, n: at.strftime("%B") if n > 3 else at.strftime("%b") if n == 3 else f"{at.month:0{n}d}",
    "L": lambda at, n: at.strftime("%B") if n > 3 else at.strftime("%b") if n == 3 else f"{at.month:0{n}d}",
    "d": lambda at, n: f"{at.day:0{n}d}",
    "D": lambda at, n: f"{at.timetuple().tm_yday:0{n}d}",
    "H": lambda at, n: f"{at.hour:0{n}d}",
    "h": lambda at, n: f"{at.hour % 12 or 12:0{n}d}",
    "m": lambda at, n: f"{at.minute:0{n}d}",
    "s": lambda at, n: f"{at.second:0{n}d}",
    "S": lambda at, n: f"{at.microsecond:06d}".ljust(9, "0")[: min(n, 9)],
    "n": lambda at, n: f"{at.microsecond * 1000:0{min(n, 9)}d}",
    "a": lambda at, n: "AM" if at.hour < 12 else "PM",
    "E": lambda at, n: at.strftime("%A") if n > 3 else at.strftime("%a"),
    "e": lambda at, n: str(at.isoweekday()),
    "w": lambda at, n: f"{at.isocalendar().week:0{n}d}",
    "Q": lambda at, n: str((at.month + 2) // 3),
    "X": lambda at, n: offset(at, ":" if n == 3 else "", "Z"),
    "x": lambda at, n: offset(at, ":" if n == 3 else "", ""),
    "Z": lambda at, n: offset(at, ":" if n == 5 else "", ""),
    "z": lambda at, n: at.tzname() or "",
    "V": lambda at, n: str(at.tzinfo),
}
