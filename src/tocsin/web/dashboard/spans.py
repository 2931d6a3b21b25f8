"""Lengths of time as people write them into forms: `10 min`, `1 h 30 min`, `90` (seconds)."""

import re

from tocsin.model.errors import Invalid

UNITS = {"d": 86_400, "h": 3600, "min": 60, "s": 1}
WORDS = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*")
MEANINGS = {
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86_400),
    **dict.fromkeys(("w", "week", "weeks"), 604_800),
}


def seconds_of(field: str, text: str) -> float | None:
    """None of nothing. Raises Invalid.

    >>> seconds_of("span", "1 h 30 min"), seconds_of("span", "90"), seconds_of("span", " ")
    (5400, 90, None)
    """
    left, total = text.strip().lower(), 0.0
    if not left:
        return None
    while left:
        found = WORDS.match(left)
        if found is None or found[2] not in MEANINGS:
            raise Invalid(field, repr(text[:40]), "a length of time such as 10 min, 2 h or 1 h 30 min")
        total += float(found[1]) * MEANINGS[found[2]]
        left = left[found.end() :]
    return int(total) if total.is_integer() else total


def written(seconds: float | None) -> str:
    """The same the other way round, to the point.

    >>> written(5400), written(0.5), written(None)
    ('1 h 30 min', '0.5 s', '')
    """
    if seconds is None:
        return ""
    if not float(seconds).is_integer():
        return f"{seconds} s"
    left, parts = int(seconds), []
    for name, length in UNITS.items():
        if left >= length:
            parts.append(f"{left // length} {name}")
            left %= length
    return " ".join(parts) or "0 s"
