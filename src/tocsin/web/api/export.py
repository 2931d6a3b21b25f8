"""Deliveries and events as files, for spreadsheets and programs: what their lists show, row by row."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal

import msgspec
from starlette.responses import Response, StreamingResponse

from tocsin.model.csv_text import csv_lines
from tocsin.web.api import deliveries, events
from tocsin.web.routes import LAST, Call, Handler, Param, Route, cursor_of, number_of, whole

MOST_EXPORTED = 100_000
AT_ONCE = 200
"""Rows of one query: the loop is free for others between two of them."""

Some = Callable[[Call, dict[str, Any], str, int], Awaitable[tuple[list[Any], str]]]
"""So many items before an id, and how far back was looked, where that is not to the end."""


async def of_deliveries(call: Call) -> Response:
    """The columns are those of the list. What is in it while it is read comes once, and as it is then."""
    filters = deliveries.filters_in_query(call)
    return await exported(call, "deliveries", deliveries.some, filters, deliveries.DeliveryRow, "id")


async def of_events(call: Call) -> Response:
    """The columns are those of the list."""
    return await exported(call, "events", events.some, events.filters_in_query(call), events.EventOut, "uid")


async def exported(call: Call, name: str, some: Some, filters: dict[str, Any], shape: Any, id_: str) -> Response:
    form = call.request.query_params.get("format") or "csv"
    columns: tuple[str, ...] = shape.__struct_fields__

    async def parts() -> AsyncIterator[bytes]:
        left, before = number_of(call, "limit", MOST_EXPORTED), cursor_of(call, LAST)
        while left > 0 and before:
            asked = min(AT_ONCE, left)
            items, floor = await some(call, filters, before, asked)
            left -= len(items)
            before = getattr(items[-1], id_) if len(items) == asked else floor
            if form == "csv":
                rows = ((plain(getattr(item, column)) for column in columns) for item in items)
                yield csv_lines(rows).encode()
            else:
                yield b"".join(msgspec.json.encode(item) + b"\n" for item in items)

    found = parts()
    first = await anext(found)  # so that what is wrong is answered as it is everywhere
    heading = csv_lines([columns]).encode() if form == "csv" else b""

    async def whole_() -> AsyncIterator[bytes]:
        yield heading + first
        async for part in found:
            yield part

    media = "text/csv; charset=utf-8" if form == "csv" else "application/jsonl"
    headers = {"content-disposition": f'attachment; filename="{name}.{form}"'}
    return StreamingResponse(whole_(), media_type=media, headers=headers)


def plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int) else msgspec.to_builtins(value)


QUERY: dict[str, str | Param] = {
    "format": Param("csv (where it is not given), or jsonl: a JSON object a line", Literal["csv", "jsonl"]),
    "limit": whole("How many rows at the most", MOST_EXPORTED, MOST_EXPORTED),
}


def export_route(name: str, handler: Handler, summary: str, query: dict[str, str | Param], id_: str) -> Route:
    return Route(
        method="GET",
        path=f"/v1/{name}/export",
        handler=handler,
        name=f"export_{name}",
        summary=summary,
        role="viewer",
        media="text/csv",
        other_media=("application/jsonl",),
        query=query | QUERY | {"cursor": f"The `{id_}` of the last row of the file before"},
    )


ROUTES = (
    export_route("deliveries", of_deliveries, "The delivery log as a file, newest first", deliveries.QUERY, "id"),
    export_route("events", of_events, "Events as a file, newest first", events.QUERY, "uid"),
)
