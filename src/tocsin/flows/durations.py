"""Durations as flows write them."""

import re

DURATION = re.compile(
    r"^(-)?P(?=.)(?:(\d+)W)?(?:(\d+)D)?(?:T(?=.)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?\Z", re.IGNORECASE
)


def seconds(text: str) -> float | None:
    """An ISO 8601 duration such as `PT5M` or `P1DT2H`, without months and years; None for anything else."""
    found = DURATION.match(text.strip())
    if found is None:
        return None
    weeks, days, hours, minutes, rest = (float(part or 0) for part in found.groups()[1:])
    total = (((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60 + rest
    return -total if found[1] else total
