"""Tables on a terminal, tab-separated values in a pipe, CSV or JSON when asked; and how an error ends a command."""

import json
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import typer

UNPRINTABLE = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
STEERING = (*range(0x2028, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F)
BIDI = {code: f"\\u{code:04x}" for code in STEERING}


def safe(text: object) -> str:
    """Event text is hostile: no escape sequence and no direction override reaches the terminal."""
    return str("" if text is None else text).translate(UNPRINTABLE | BIDI)


def rows(items: Sequence[dict[str, Any]], columns: Sequence[str], form: str) -> None:
    if form == "json":
        print(json.dumps(list(items), indent=2 if sys.stdout.isatty() else None))
        return
    if form == "csv":
        from tocsin.model.csv_text import csv_lines

        sys.stdout.write(csv_lines([columns, *([item.get(column) for column in columns] for item in items)]))
        return
    table = [[safe(item.get(column)) for column in columns] for item in items]
    if form == "tsv" or (form == "auto" and not sys.stdout.isatty()):
        for line in (columns, *table):
            print("\t".join(line))
        return
    widths = [max(len(line[n]) for line in (list(columns), *table)) for n in range(len(columns))]
    for line in ([column.upper() for column in columns], *table):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def line(item: dict[str, Any], columns: Sequence[str], form: str) -> None:
    """One of a list that goes on: at once, without a heading."""
    shown = json.dumps(item) if form == "json" else "\t".join(safe(item.get(column)) for column in columns)
    print(shown, flush=True)


def fail(message: str, code: int) -> NoReturn:
    print(f"tocsin: {safe(message)}", file=sys.stderr)
    raise typer.Exit(code)
