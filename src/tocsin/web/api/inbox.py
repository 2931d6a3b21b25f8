"""Messages for people in Tocsin itself: `/v1/inbox`. Everybody sees their own, and nobody else's."""

from typing import Any, Literal

from msgspec import Struct
from starlette.responses import Response

from tocsin.model.errors import NotFound
from tocsin.store import inbox
from tocsin.web.routes import (
    LAST,
    PAGE,
    Call,
    Param,
    Route,
    cursor_of,
    no_nul,
    page_limit,
    reply,
    rfc3339,
)


class InboxItem(Struct, frozen=True):
    """`tone` is running, good, bad, warning, rollback or neutral; `url` is "" where there is nothing to open."""

    id: str
    title: str
    text: str
    tone: str
    url: str
    created_at: str | None
    read_at: str | None


class InboxPage(Struct, frozen=True):
    """`unread`: how many there are in all that were not read yet."""

    items: tuple[InboxItem, ...]
    next: str | None
    unread: int


class ReadOut(Struct, frozen=True):
    """How many became read, and how many are unread still."""

    read: int
    unread: int


def shown(found: dict[str, Any]) -> InboxItem:
    return InboxItem(
        id=found["id"],
        title=found["title"],
        text=found["text"],
        tone=found["tone"],
        url=found["url"],
        created_at=rfc3339(found["created_ms"]),
        read_at=rfc3339(found["read_ms"]),
    )


async def list_(call: Call) -> Response:
    limit = page_limit(call)
    only_unread = call.request.query_params.get("unread", "") == "true"
    db, whose = call.app.db, (call.tenant_id, call.by.user_id)
    before = cursor_of(call, LAST)
    found = await inbox.list_(db, *whose, before=before, limit=limit + 1, only_unread=only_unread)
    items = tuple(shown(one) for one in found)
    last = items[limit - 1].id if len(items) > limit else None
    return reply(InboxPage(items[:limit], last, await inbox.unread(db, *whose)))


async def read_one(call: Call) -> Response:
    """One of somebody else's is as one that does not exist."""
    id_ = no_nul("id", call.path("id"))
    if not await inbox.is_there(call.app.db, call.tenant_id, call.by.user_id, id_):
        raise NotFound("No such message in your inbox.")
    return await mark(call, id_)


async def read_all(call: Call) -> Response:
    return await mark(call, "")


async def mark(call: Call, id_: str) -> Response:
    db, whose = call.app.db, (call.tenant_id, call.by.user_id)
    read = await inbox.mark_read(db, *whose, id_, call.app.clock_ms())
    return reply(ReadOut(read, await inbox.unread(db, *whose)))


ROUTES = (
    Route(
        method="GET",
        path="/v1/inbox",
        handler=list_,
        summary="Your messages, newest first, and how many are `unread`",
        role="viewer",
        answer=InboxPage,
        query={"unread": Param("`true`: only those not read yet", Literal["true", "false"])} | PAGE,
    ),
    Route(
        method="POST",
        path="/v1/inbox/{id}/read",
        handler=read_one,
        name="read_inbox_message",
        summary="Mark a message of yours as read",
        role="viewer",
        answer=ReadOut,
    ),
    Route(
        method="POST",
        path="/v1/inbox/read",
        handler=read_all,
        summary="Mark all of your messages as read",
        role="viewer",
        answer=ReadOut,
    ),
)
