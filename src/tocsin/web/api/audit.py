"""The audit trail: who changed what, who was refused, and whether the trail is whole."""

from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec
from msgspec import Struct
from starlette.responses import Response, StreamingResponse

from tocsin.model.audit import Entry
from tocsin.model.errors import Invalid
from tocsin.store import audit
from tocsin.store.audit import Head, Verdict, parse_head
from tocsin.web.routes import (
    A_NUMBER,
    A_TIME,
    PAGE,
    Call,
    Moment,
    Param,
    Route,
    cursor_of,
    filters_of,
    moment_ms,
    page,
    page_limit,
    reply,
    rfc3339,
)

FILTERS = ("actor", "token_id", "action", "kind", "id", "outcome", "since", "until")


class EntryOut(Struct, frozen=True):
    """`actor` is a user, a service's token, or tocsin, environment, command line. `before` and `after` hold the fields
    that changed, secrets masked; null where there was nothing. `outcome` is done or denied. `hash` covers the entry and
    the one before; `seal` is the key's signature of it."""

    number: int
    time: str | None
    actor: str
    token_id: str
    role: str
    address: str
    request_id: str
    user_agent: str
    action: str
    kind: str
    id: str
    outcome: str
    reason: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    hash: str
    seal: str


def shown(entry: Entry) -> EntryOut:
    return EntryOut(
        number=entry.number,
        time=rfc3339(entry.time_ms),
        actor=entry.actor,
        token_id=entry.token_id,
        role=entry.role,
        address=entry.address,
        request_id=entry.request_id,
        user_agent=entry.user_agent,
        action=entry.action,
        kind=entry.kind,
        id=entry.object_id,
        outcome=entry.outcome,
        reason=entry.reason,
        before=msgspec.json.decode(entry.before) if entry.before else None,
        after=msgspec.json.decode(entry.after) if entry.after else None,
        hash=entry.hash.hex(),
        seal=entry.seal.hex(),
    )


async def list_(call: Call) -> Response:
    limit = page_limit(call)
    filters: dict[str, Any] = filters_of(call, FILTERS)
    if "id" in filters:
        filters["object_id"] = filters.pop("id")
    filters |= {name: moment_ms(filters[name]) for name in ("since", "until") if name in filters}
    cursor = cursor_of(call, str(audit.ENDLESS), A_NUMBER)
    found = await audit.list_(call.app.db, call.tenant_id, before=int(cursor), limit=limit + 1, filters=filters)
    return reply(page([shown(entry) for entry in found], limit, lambda entry: str(entry.number)))


def head_given(call: Call) -> Head | None:
    given = filters_of(call, ("head",)).get("head", "")
    try:
        return parse_head(given) if given else None
    except ValueError:
        raise Invalid("head", repr(given[:40]), "what `tocsin audit head` prints") from None


async def verify(call: Call) -> Response:
    app = call.app
    return reply(await audit.verify(app.db, app.keyring, call.tenant_id, head_given(call)))


async def export(call: Call) -> Response:
    app, tenant_id = call.app, call.tenant_id

    async def lines() -> AsyncIterator[bytes]:
        number = 0
        while entries := await audit.after(app.db, tenant_id, number):
            yield b"".join(msgspec.json.encode(shown(entry)) + b"\n" for entry in entries)
            number = entries[-1].number

    return StreamingResponse(lines(), media_type="application/jsonl")


ROUTES = (
    Route(
        method="GET",
        path="/v1/audit",
        handler=list_,
        summary="Who changed what, and who was refused, newest first",
        role="admin",
        answer=EntryOut,
        query={
            "actor": "Only by this user or service",
            "token_id": "Only with this token",
            "action": "Only this action, such as webhook.update",
            "kind": "Only of this kind of object",
            "id": "Only of this object",
        }
        | {
            "outcome": Param("How it ended", Literal["done", "denied"]),
            "since": Param("At this time or later", Moment, A_TIME),
            "until": Param("Before this time", Moment, A_TIME),
        }
        | PAGE,
    ),
    Route(
        method="GET",
        path="/v1/audit/verify",
        handler=verify,
        summary="Whether the trail is as it was written; the first entry that is not",
        role="admin",
        answer=Verdict,
        query={"head": "What `tocsin audit head` printed before: that far at least it must reach"},
    ),
    Route(
        method="GET",
        path="/v1/audit/export",
        handler=export,
        summary="The whole trail, oldest first, a JSON object a line",
        role="admin",
        media="application/jsonl",
    ),
)
