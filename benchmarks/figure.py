"""What a benchmark finds, and how it is shown."""

from typing import Any

from msgspec import Struct


class Figure(Struct, kw_only=True):
    """One row of the table. `ours` and `limit` are in `unit`; `limit` is None where there is nothing to compare with.

    `held` judges `judged` against `bound`: `ratio` where the bound is a ratio, else `ours`. `detail` goes to the JSON.
    """

    name: str
    ours: float
    limit: float | None = None
    ratio: float | None = None
    unit: str
    hold: str
    held: bool
    note: str = ""
    detail: dict[str, Any] = {}


def table(figures: list[Figure]) -> str:
    """The figures as text, in columns."""
    rows = [("figure", "Tocsin", "limit", "ratio", "to hold", "", "")]
    for figure in figures:
        rows.append(
            (
                figure.name,
                shown(figure.ours, figure.unit),
                shown(figure.limit, figure.unit),
                "" if figure.ratio is None else f"{figure.ratio:.2f}",
                figure.hold,
                "ok" if figure.held else "SHORT",
                figure.note,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def shown(value: float | None, unit: str) -> str:
    """Three digits that count, and the unit."""
    if value is None:
        return ""
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return f"{number} {unit}"
