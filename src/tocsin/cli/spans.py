"""Spans of time as people write them: 30m, 2h, 1h30m, 7d."""

import re

from tocsin.cli.output import fail

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def seconds(option: str, text: str) -> int:
    """Ends the command for anything else."""
    parts = re.findall(r"(\d{1,6})([smhdw])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        fail(f"{option} {text}: expected a time such as 30m, 2h, 1d or 1h30m.", 2)
    return sum(int(number) * UNITS[unit] for number, unit in parts)
