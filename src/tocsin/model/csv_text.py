"""Values as lines of CSV (RFC 4180), for spreadsheets: no text of an event becomes a formula there.

https://owasp.org/www-community/attacks/CSV_Injection
"""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a cell must not begin with. An apostrophe before it makes it a text."""


def csv_lines(rows: Iterable[Iterable[Any]]) -> str:
    """Numbers as they are, objects and lists as JSON, nothing as an empty cell."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()


def cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        text = value.replace("\x00", "")
        return f"'{text}" if text.lstrip(" ").startswith(FORMULAS) else text
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
