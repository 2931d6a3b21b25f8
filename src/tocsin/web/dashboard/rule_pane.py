"""What stands beside a rule that is being written: its preview, as numbers, shapes and lines."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from tocsin.web.dashboard.charts import Cell
from tocsin.web.dashboard.rule_words import misses
from tocsin.web.dashboard.wording import parsed, plural

SHOWN = 10
MOST_CELLS = 100
LEAST_S = 3600
"""Over less than an hour, how many a day it would be says nothing."""

Json = Mapping[str, Any]


class Pane(Struct, frozen=True):
    """`would`: so many events would become a message; `was`: with the saved version, None where there is none. `a_day`:
    about so many a day, None where the events lie too close together to say."""

    events: int
    matched: int
    would: int
    was: int | None
    a_day: float | None
    cells: tuple[Cell, ...]
    said: str
    lines: tuple[Json, ...]
    more: int
    misses: tuple[tuple[str, int], ...]
    missed: int


def pane_of(preview: Json, now_ms: int, *, is_saved: bool) -> Pane:
    items = preview["items"]
    matched = [one for one in items if one["matched"]]
    would = sum(bool(one["notifies"]) for one in items)
    missed = [one["reason"] for one in items if not one["matched"]]
    said = f"{plural(len(matched), 'match', 'match')}, {would} would notify, of {plural(preview['events'], 'event')}"
    return Pane(
        events=preview["events"],
        matched=len(matched),
        would=would,
        was=sum(bool(one["before"]) for one in items) if is_saved else None,
        a_day=a_day(items, would, now_ms),
        cells=cells_of(items[::-1]),
        said=said,
        lines=tuple(matched[:SHOWN]),
        more=max(0, len(matched) - SHOWN),
        misses=tuple(misses(missed)),
        missed=len(missed),
    )


def a_day(items: list[Json], would: int, now_ms: int) -> float | None:
    times = [parsed(one["time"]).timestamp() for one in items if one["time"]]
    span_s = now_ms / 1000 - min(times, default=now_ms / 1000)
    return would * 86_400 / span_s if span_s >= LEAST_S else None


def cells_of(items: list[Json]) -> tuple[Cell, ...]:
    """Oldest first; of many events, each cell is several of them."""
    each = -(-len(items) // MOST_CELLS)
    if each <= 1:
        return tuple(map(cell_of, items))
    return tuple(cell_of_many(items[place : place + each]) for place in range(0, len(items), each))


def cell_of_many(items: list[Json]) -> Cell:
    matched, would = sum(one["matched"] for one in items), sum(bool(one["notifies"]) for one in items)
    tone = "info" if would else "mute" if matched else ""
    return Cell(tone, f"{plural(len(items), 'event')}: {plural(matched, 'match', 'match')}, {would} would notify")


def cell_of(item: Json) -> Cell:
    name = f"{item['event_type']} {item['pipeline']}".strip()
    if item["notifies"]:
        return Cell("info", f"{name}: would notify {', '.join(item['notifies'])}")
    if item["matched"]:
        return Cell("mute", f"{name}: matches, and nobody is told: {item['reason']}")
    return Cell("", f"{name}: no match")
