"""Tokens, of people and of services; and who one is: `/v1/tokens`, `/v1/me`."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.app import App, new_token
from tocsin.model.access import ANYBODY, RANKS, SCOPES_OF, check_user_id, scopes_within
from tocsin.model.audit import ITSELF, Act, Actor
from tocsin.model.errors import Forbidden, Invalid, NotFound
from tocsin.model.ids import OPERATOR_TENANT
from tocsin.store import identity
from tocsin.store.database import Reader, Transaction
from tocsin.store.identity import Token
from tocsin.web.auth import Principal
from tocsin.web.routes import PAGE, Call, Route, cursor_of, no_nul, page, page_limit, reply, rfc3339

HINT_CHARS = 4
OVERLAP_S = 86_400

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Role = Literal["viewer", "developer", "admin"]
Scope = Literal["ingest", "read", "write", "admin"]
Scopes = Annotated[tuple[Scope, ...], Meta(max_length=4)]
Lifetime = Annotated[int, Meta(ge=60, le=10 * 365 * 86_400)]
UserId = Annotated[str, Meta(max_length=200)]


class TokenIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Without a `user_id` an admin makes a service's token, and anybody else one of their own. Without `scopes` it may
    do all that its role may."""

    name: Name
    role: Role
    scopes: Scopes = ()
    user_id: UserId | UnsetType = UNSET
    expires_in_s: Lifetime | None = None


class TokenRotateIn(Struct, frozen=True, forbid_unknown_fields=True):
    """The old one holds for `overlap_s` seconds more (a day; 0 ends it within a second). `expires_in_s`: a new end."""

    overlap_s: Annotated[int, Meta(ge=0, le=7 * 86_400)] = OVERLAP_S
    expires_in_s: Lifetime | None = None


class TokenOut(Struct, frozen=True):
    """`token` is shown this once."""

    id: str
    name: str
    role: str
    scopes: tuple[str, ...]
    user_id: str
    expires_at: str | None
    token: str


class TokenShown(Struct, frozen=True):
    """A token without the token: `hint` is its end. `user_id` is "" for a service's. `last_used_at`: to the minute."""

    id: str
    name: str
    user_id: str
    role: str
    scopes: tuple[str, ...]
    hint: str
    created_at: str | None
    created_by: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class MeOut(Struct, frozen=True):
    """Who is asking. `role` and `scopes` are those that count now; an operator's token has the role `operator`, and no
    tenant. `expires_at` is the token's end."""

    tenant_id: str
    user_id: str
    name: str
    email: str
    role: str
    scopes: tuple[str, ...]
    is_operator: bool
    token_id: str
    expires_at: str | None


def in_order(scopes: tuple[str, ...], role: str) -> tuple[str, ...]:
    return tuple(sorted(scopes_within(scopes, role)))


def made(token: Token, secret: str) -> TokenOut:
    scopes = in_order(token.scopes, token.role)
    return TokenOut(token.id, token.name, token.role, scopes, token.user_id, rfc3339(token.expires_ms), secret)


def shown(token: Token) -> TokenShown:
    return TokenShown(
        id=token.id,
        name=token.name,
        user_id=token.user_id,
        role=token.role,
        scopes=in_order(token.scopes, token.role),
        hint=f"…{token.hint}",
        created_at=rfc3339(token.created_ms),
        created_by=token.created_by,
        expires_at=rfc3339(token.expires_ms),
        revoked_at=rfc3339(token.revoked_ms),
        last_used_at=rfc3339(token.last_used_ms),
    )


def checked_scopes(scopes: tuple[str, ...], role: str) -> tuple[str, ...]:
    """Raises Invalid for a scope that the role does not reach to."""
    for number, scope in enumerate(scopes):
        if scope not in SCOPES_OF[role]:
            expected = f"one of {', '.join(SCOPES_OF[role])}, which is what the role {role} may"
            raise Invalid(f"scopes[{number}]", repr(scope), expected)
    return tuple(sorted(set(scopes)))


async def make_token(
    app: App,
    tenant_id: str,
    name: str,
    role: str,
    user_id: str,
    expires_ms: int | None,
    scopes: tuple[str, ...] = (),
    *,
    by: Actor = ITSELF,
) -> TokenOut:
    """Raises Invalid where the user is a member in a lower role, or the scopes do not fit the role."""
    async with app.db.transaction() as tx:
        return await add_token(tx, app, tenant_id, name, role, user_id, expires_ms, scopes, by)


async def add_token(
    tx: Transaction,
    app: App,
    tenant_id: str,
    name: str,
    role: str,
    user_id: str,
    expires_ms: int | None,
    scopes: tuple[str, ...],
    by: Actor,
) -> TokenOut:
    """With the member whose it is, where they are none yet."""
    secret = new_token()
    token = Token(
        id=app.new_id("tok"),
        name=name,
        user_id=user_id,
        role=role,
        scopes=checked_scopes(scopes, role),
        hint=secret[-HINT_CHARS:],
        created_ms=app.clock_ms(),
        created_by=by.name,
        expires_ms=expires_ms,
    )
    await identity.add_token(tx, tenant_id, token, secret)
    after = audited(token)
    await app.trail.add(tx, Act(tenant_id, by, "token.create", "token", token.id, after=after))
    return made(token, secret)


def audited(token: Token) -> dict[str, Any]:
    """What the trail says of a token."""
    return {
        "name": token.name,
        "role": token.role,
        "scopes": in_order(token.scopes, token.role),
        "user_id": token.user_id,
        "expires_at": rfc3339(token.expires_ms),
    }


def check_within(by: Principal, role: str, scopes: tuple[str, ...], expires_ms: int | None) -> None:
    """Nobody hands out more than they have. A session is a person, whose tokens outlive it: they end with the
    membership. Raises Forbidden."""
    if RANKS[role] > RANKS[by.role]:
        raise Forbidden(f"A token has at most the role of whoever makes it: {by.role}.")
    if more := scopes_within(scopes, role) - by.scopes:
        raise Forbidden(f"A token has at most the scopes of the one that makes it, which has no {sorted(more)[0]}.")
    if "admin" in by.scopes or by.token_id.startswith("ses_") or by.expires_ms is None:
        return
    if expires_ms is None or expires_ms > by.expires_ms:
        raise Forbidden(f"A token ends no later than the one that makes it: {rfc3339(by.expires_ms)}.")


def end_of(call: Call, lifetime_s: int | None) -> int | None:
    return None if lifetime_s is None else call.app.clock_ms() + lifetime_s * 1000


async def create(call: Call) -> Response:
    given = await call.body(TokenIn)
    by = call.by
    user_id = given.user_id
    if user_id is UNSET:
        user_id = "" if by.sees_all() else by.user_id
    name = no_nul("name", given.name)
    if user_id:
        check_user_id("user_id", user_id)
    scopes = checked_scopes(given.scopes, given.role)
    if not user_id or user_id != by.user_id:
        by.require("admin", "admin")
    expires_ms = end_of(call, given.expires_in_s)
    check_within(by, given.role, scopes, expires_ms)
    async with call.app.db.transaction() as tx:
        await call.check_room(tx, "tokens")
        token = await add_token(tx, call.app, call.tenant_id, name, given.role, user_id, expires_ms, scopes, call.actor)
        return await call.made(tx, token)


def mine(call: Call) -> tuple[tuple[str, ...], dict[str, str]]:
    """The filter for tokens that are not everybody's, and its values."""
    if call.by.sees_all() and "admin" in call.by.scopes:
        return (), {}
    return ("mine",), {"mine": call.by.token_id, "user_id": call.by.user_id}


async def list_(call: Call) -> Response:
    limit = page_limit(call)
    filters, values = mine(call)
    after = cursor_of(call, "")
    if owner := call.request.query_params.get("user_id"):
        filters, values = (*filters, "owner"), values | {"owner": owner}
    found = await identity.list_tokens(
        call.app.db, call.tenant_id, after=after, limit=limit + 1, filters=filters, **values
    )
    return reply(page([shown(token) for token in found], limit, lambda token: str(token.id)))


async def find(call: Call, tx: Reader) -> Token:
    filters, values = mine(call)
    values |= {"id": no_nul("id", call.path("id"))}
    found = await identity.list_tokens(tx, call.tenant_id, after="", limit=1, filters=(*filters, "id"), **values)
    if not found or found[0].revoked_ms is not None:
        raise NotFound("No such token.")
    return found[0]


async def rotate(call: Call) -> Response:
    given, now_ms = await call.body(TokenRotateIn), call.app.clock_ms()
    secret, old_until_ms = new_token(), now_ms + given.overlap_s * 1000
    async with call.changing() as tx:
        token = await find(call, tx)
        expires_ms = token.expires_ms if given.expires_in_s is None else end_of(call, given.expires_in_s)
        check_within(call.by, token.role, token.scopes, expires_ms)
        rotated = replace(token, hint=secret[-HINT_CHARS:], expires_ms=expires_ms)
        await identity.rotate_token(tx, call.tenant_id, rotated, secret, old_until_ms)
        old_until = {"old_token_until": rfc3339(old_until_ms)}
        await call.audit(tx, "token.rotate", "token", token.id, audited(token), audited(rotated) | old_until)
        return await call.made(tx, made(rotated, secret), 200)


async def revoke(call: Call) -> Response:
    async with call.changing() as tx:
        token = await find(call, tx)
        await identity.revoke_token(tx, call.tenant_id, token.id, call.app.clock_ms())
        await call.audit(tx, "token.revoke", "token", token.id, before=audited(token))
    return Response(status_code=204)


async def me(call: Call) -> Response:
    by = call.by
    member = await identity.get_member(call.app.db, by.tenant_id, by.user_id) if by.user_id else None
    return reply(
        MeOut(
            tenant_id="" if by.tenant_id == OPERATOR_TENANT else by.tenant_id,
            user_id=by.user_id,
            name=member.name if member else "",
            email=member.email if member else "",
            role=by.role,
            scopes=tuple(sorted(by.scopes)),
            is_operator=by.is_operator,
            token_id=by.token_id,
            expires_at=rfc3339(by.expires_ms),
        )
    )


ID = "/v1/tokens/{id}"
ROUTES = (
    Route(method="GET", path="/v1/me", handler=me, summary="Who you are here", role=ANYBODY, answer=MeOut),
    Route(
        method="POST",
        path="/v1/tokens",
        handler=create,
        action="token.create",
        summary="Make a token, of your own or (admin) any; it is shown this once",
        role="viewer",
        body=TokenIn,
        answer=TokenOut,
        status=201,
    ),
    Route(
        method="GET",
        path="/v1/tokens",
        handler=list_,
        summary="Tokens, without the tokens: your own, or (admin) all",
        role="viewer",
        answer=TokenShown,
        query={"user_id": "Only this member's"} | PAGE,
    ),
    Route(
        method="POST",
        path=f"{ID}/rotate",
        handler=rotate,
        action="token.rotate",
        idempotent=True,
        summary="A new token in the place of one, with an overlap",
        role="viewer",
        body=TokenRotateIn,
        answer=TokenOut,
    ),
    Route(
        method="DELETE",
        path=ID,
        handler=revoke,
        action="token.revoke",
        summary="Revoke a token",
        role="viewer",
        status=204,
    ),
)
