"""Health, readiness, metrics, tokens and the OpenAPI document."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from tocsin import __version__
from tocsin.app import App, new_token
from tocsin.model.audit import ITSELF, Act, Actor
from tocsin.model.errors import NotFound
from tocsin.store.config import token_hash
from tocsin.store.database import StoreUnavailable, Transaction
from tocsin.web import metrics
from tocsin.web.routes import Call, Route, no_nul, reply, rfc3339


class TokenIn(Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=200)]
    role: Literal["viewer", "developer", "admin"]
    user_id: Annotated[str, Meta(max_length=200)] = ""
    expires_in_s: Annotated[int, Meta(ge=60, le=10 * 365 * 86_400)] | None = None


class TokenOut(Struct, frozen=True):
    """`token` is shown this once."""

    id: str
    name: str
    role: str
    user_id: str
    token: str


class Health(Struct, frozen=True):
    status: str
    version: str


class Ready(Struct, frozen=True, omit_defaults=True):
    """`status` is ok, stopping or unavailable. `durability`: full, or reduced durability, and `warnings` say why."""

    status: str
    durability: str = ""
    warnings: tuple[str, ...] | None = None
    reason: str = ""


async def make_token(
    app: App, tenant_id: str, name: str, role: str, user_id: str, expires_ms: int | None, *, by: Actor = ITSELF
) -> TokenOut:
    async with app.db.transaction() as tx:
        return await add_token(tx, app, tenant_id, name, role, user_id, expires_ms, by)


async def add_token(
    tx: Transaction, app: App, tenant_id: str, name: str, role: str, user_id: str, expires_ms: int | None, by: Actor
) -> TokenOut:
    token, id_ = new_token(), app.new_id("tok")
    await tx.fetch(
        "insert_token",
        {
            "tenant_id": tenant_id,
            "id": id_,
            "name": name,
            "user_id": user_id,
            "role": role,
            "hash": token_hash(token),
            "hint": token[-4:],
            "now": app.clock_ms(),
            "expires_ms": expires_ms,
        },
    )
    shown = {"name": name, "role": role, "user_id": user_id, "expires_at": rfc3339(expires_ms)}
    await app.trail.add(tx, Act(tenant_id, by, "token.create", "token", id_, after=shown))
    return TokenOut(id_, name, role, user_id, token)


async def create_token(call: Call) -> Response:
    given = await call.body(TokenIn)
    app = call.app
    expires_ms = None if given.expires_in_s is None else app.clock_ms() + given.expires_in_s * 1000
    name, user_id = no_nul("name", given.name), no_nul("user_id", given.user_id)
    async with app.db.transaction() as tx:
        made = await add_token(tx, app, call.tenant_id, name, given.role, user_id, expires_ms, call.actor)
        return await call.made(tx, made)


async def list_tokens(call: Call) -> Response:
    found = await call.app.db.read("list_tokens", {"tenant_id": call.tenant_id})
    items = [
        {
            "id": id_,
            "name": name,
            "user_id": user_id,
            "role": role,
            "hint": f"…{hint}",
            "created_at": rfc3339(created_ms),
            "expires_at": rfc3339(expires_ms),
            "revoked_at": rfc3339(revoked_ms),
        }
        for id_, name, user_id, role, hint, created_ms, expires_ms, revoked_ms in found
    ]
    return reply({"items": items, "next": None})


async def revoke_token(call: Call) -> Response:
    id_ = no_nul("id", call.path("id"))
    values = {"tenant_id": call.tenant_id, "id": id_, "now": call.app.clock_ms()}
    async with call.app.db.transaction() as tx:
        if not await tx.fetch("revoke_token", values):
            raise NotFound("No such token.")
        await call.audit(tx, "token.revoke", "token", id_)
    return Response(status_code=204)


async def health(call: Call) -> Response:
    """The process is up and its loop turns."""
    return reply(Health("ok", __version__))


async def ready(call: Call) -> Response:
    """Whether work can be done: the store answers. Says where it is weaker than promised."""
    app = call.app
    try:
        weaknesses = await app.db.weaknesses()
        await app.db.read("soonest_due")
    except StoreUnavailable:
        return reply(Ready("unavailable", reason="the store does not answer"), 503)
    if app.deliver.stopping:
        return reply(Ready("stopping"), 503)
    if app.intake.is_failing():
        return reply(Ready("unavailable", reason="the store does not take events"), 503)
    durability = "reduced durability" if weaknesses else "full"
    return reply(Ready("ok", durability, weaknesses))


async def prometheus(call: Call) -> Response:
    return Response(await metrics.text(call.app), media_type=CONTENT_TYPE_LATEST)


async def openapi(call: Call) -> Response:
    return Response(msgspec.json.encode(call.request.app.state.document), media_type="application/json")


ROUTES = (
    Route(method="GET", path="/healthz", handler=health, summary="The process is up", role="", answer=Health),
    Route(
        method="GET",
        path="/readyz",
        handler=ready,
        summary="The store answers, and how durable it is",
        role="",
        answer=Ready,
        also=(503,),
    ),
    Route(method="GET", path="/metrics", handler=prometheus, summary="Prometheus metrics", role="", media="text/plain"),
    Route(method="GET", path="/openapi.json", handler=openapi, summary="This document", role="", answer=dict[str, Any]),
    Route(
        method="POST",
        path="/v1/tokens",
        handler=create_token,
        action="token.create",
        summary="Make a token; it is shown this once",
        role="admin",
        body=TokenIn,
        answer=TokenOut,
        status=201,
    ),
    Route(method="GET", path="/v1/tokens", handler=list_tokens, summary="Tokens, without the tokens", role="admin"),
    Route(
        method="DELETE",
        path="/v1/tokens/{id}",
        handler=revoke_token,
        action="token.revoke",
        summary="Revoke a token",
        role="admin",
        status=204,
    ),
)
