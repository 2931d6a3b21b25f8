"""Signing in, for the dashboard: `/auth/…`. Programs have tokens; these routes are about sessions: cookies."""

from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.responses import Response

from tocsin.model.access import ANYBODY
from tocsin.model.account import Membership
from tocsin.model.errors import Conflict, Forbidden, Invalid, NotFound
from tocsin.store import accounts, identity
from tocsin.store.accounts import LINK_MS, Link
from tocsin.web.passwords import MOST
from tocsin.web.people import People, link_in
from tocsin.web.routes import Call, Route, no_nul, reply, rfc3339
from tocsin.web.sessions import Signed
from tocsin.web.sign_in import normal_email

Email = Annotated[str, Meta(min_length=3, max_length=254)]
Password = Annotated[str, Meta(min_length=1, max_length=4 * MOST)]


class SignInIn(Struct, frozen=True, forbid_unknown_fields=True):
    """`tenant_id`: which of one's tenants; without it, the one that one has been in longest."""

    email: Email
    password: Password
    tenant_id: Annotated[str, Meta(max_length=64)] = ""

    def __repr__(self) -> str:
        return "SignInIn(***)"


class PasswordIn(Struct, frozen=True, forbid_unknown_fields=True):
    current_password: Password
    new_password: Password

    def __repr__(self) -> str:
        return "PasswordIn(***)"


class SessionIn(Struct, frozen=True, forbid_unknown_fields=True):
    tenant_id: Annotated[str, Meta(min_length=1, max_length=64)]


class SessionOut(Struct, frozen=True):
    """Who is signed in, and where. `csrf_token` is what X-CSRF-Token has to be in every request that changes something;
    `tenants` are those that `PATCH /auth/session` can choose. The session ends at `ends_at`, or when it is not used."""

    id: str
    user_id: str
    email: str
    name: str
    tenant_id: str
    role: str
    is_operator: bool
    ends_at: str | None
    csrf_token: str
    tenants: tuple[Membership, ...]


class SessionItem(Struct, frozen=True):
    """`how` is password or oidc; `current` marks the one that asks."""

    id: str
    tenant_id: str
    how: str
    address: str
    user_agent: str
    created_at: str | None
    last_used_at: str | None
    ends_at: str | None
    current: bool


class EndedOut(Struct, frozen=True):
    """How many sessions were ended."""

    ended: int


class LinkIn(Struct, frozen=True, forbid_unknown_fields=True):
    """`email` is needed where the member has none yet."""

    email: Email | None = None


class LinkOut(Struct, frozen=True):
    """`link` works once. Whoever has it sets the password: hand it to the member alone."""

    link: str
    expires_at: str | None


def people_of(call: Call) -> People:
    found: People = call.request.app.state.people
    return found


async def signed_in(call: Call) -> Signed:
    """Raises NotFound for a token: it is no session. The request was let in already."""
    if call.by.token_id.startswith("ses_"):
        signed = await people_of(call).sessions.of(call.request.headers)
        if signed is not None:
            return signed
    raise NotFound("This is a token and no session: sessions are for people, who sign in with POST /auth/login.")


async def shown(call: Call, signed: Signed) -> SessionOut:
    session = signed.session
    return SessionOut(
        id=session.id,
        user_id=session.user_id,
        email=session.email,
        name=session.name,
        tenant_id=session.tenant_id,
        role=session.role,
        is_operator=session.is_operator,
        ends_at=rfc3339(session.ends_ms),
        csrf_token=signed.csrf,
        tenants=await accounts.memberships(call.app.db, session.user_id),
    )


async def log_in(call: Call) -> Response:
    if call.request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Invalid("content-type", "something else", "application/json")
    given = await call.body(SignInIn)
    for name in ("email", "password", "tenant_id"):
        no_nul(name, getattr(given, name))
    people = people_of(call)
    signed = await people.with_password(call.request, given.email, given.password, given.tenant_id)
    return people.hand_out(reply(await shown(call, signed)), signed)


async def log_out(call: Call) -> Response:
    people, signed = people_of(call), await signed_in(call)
    await people.sessions.end(signed, people.browser(call.request))
    response = Response(status_code=204)
    people.sessions.set_cookie(response, "tocsin", "", 0)
    return response


async def session(call: Call) -> Response:
    return reply(await shown(call, await signed_in(call)))


async def choose_tenant(call: Call) -> Response:
    given = await call.body(SessionIn)
    people, signed = people_of(call), await signed_in(call)
    tenant_id = no_nul("tenant_id", given.tenant_id)
    renewed = await people.sessions.renew(signed, people.browser(call.request), tenant_id)
    return people.hand_out(reply(await shown(call, renewed)), renewed)


async def list_(call: Call) -> Response:
    signed, now_ms = await signed_in(call), call.app.clock_ms()
    idle_before_ms = now_ms - people_of(call).sessions.idle_ms
    found = await accounts.list_sessions(call.app.db, signed.session.user_id, idle_before_ms, now_ms)
    return reply({"items": [item(one, signed) for one in found], "next": None})


def item(found: dict[str, Any], signed: Signed) -> SessionItem:
    return SessionItem(
        id=found["id"],
        tenant_id=found["tenant_id"],
        how=found["how"],
        address=found["address"],
        user_agent=found["agent"],
        created_at=rfc3339(found["created_ms"]),
        last_used_at=rfc3339(found["seen_ms"]),
        ends_at=rfc3339(found["ends_ms"]),
        current=found["id"] == signed.session.id,
    )


async def end_one(call: Call) -> Response:
    """One of somebody else's is as one that does not exist."""
    signed = await signed_in(call)
    if not await people_of(call).end_sessions(call.request, signed, no_nul("id", call.path("id"))):
        raise NotFound("You have no such session.")
    return Response(status_code=204)


async def end_others(call: Call) -> Response:
    signed = await signed_in(call)
    return reply(EndedOut(await people_of(call).end_sessions(call.request, signed, "")))


async def change_password(call: Call) -> Response:
    given = await call.body(PasswordIn)
    people, signed = people_of(call), await signed_in(call)
    renewed = await people.change_password(call.request, signed, given.current_password, given.new_password)
    return people.hand_out(reply(await shown(call, renewed)), renewed)


async def sign_in_link(call: Call) -> Response:
    """For a member who forgot their password, or has no account yet."""
    given = await call.body(LinkIn)
    app, user_id = call.app, no_nul("user", call.path("user"))
    member = await identity.get_member(app.db, call.tenant_id, user_id)
    if member is None:
        raise NotFound("No such member.")
    email = normal_email(no_nul("email", given.email or member.email))
    if "@" not in email:
        raise Invalid("email", "nothing", "an address to sign in with: the member has none")
    if member.email and normal_email(member.email) != email:
        raise Invalid("email", "another address", "the member's own, or nothing")
    known = await accounts.by_id(app.db, user_id)
    if known is None:
        if await accounts.by_email(app.db, email):
            raise Conflict("This email address has an account under another user id.")
    elif known.email != email:
        raise Conflict("This user id has an account with another email address.")
    elif known.home_tenant != call.tenant_id and not call.by.is_operator:
        # A password opens all of somebody's tenants: an admin of one of them must not set it.
        raise Forbidden("This account is not your tenant's alone: only the operator can reset its password.")
    vouching = "" if call.by.is_operator else call.tenant_id
    async with call.changing() as tx:
        if not member.email:
            now_ms = app.clock_ms()
            changed = identity.Member(user_id, member.role, email, member.name, member.created_ms, now_ms)
            await identity.change_member(tx, call.tenant_id, changed, now_ms)
        link = await link_in(tx, app, "password", Link(user_id, email, member.name, vouching))
        await call.audit(tx, "member.sign_in_link", "member", user_id, None, {"email": email})
        return await call.made(tx, LinkOut(link, rfc3339(app.clock_ms() + LINK_MS)))


ROUTES = (
    Route(
        method="POST",
        path="/auth/login",
        handler=log_in,
        summary="Sign in with a password; the answer sets a cookie",
        problems=(401, 403, 404, 429),
        role="",
        body=SignInIn,
        answer=SessionOut,
    ),
    Route(
        method="POST",
        path="/auth/logout",
        handler=log_out,
        summary="End this session",
        problems=(404,),
        role=ANYBODY,
        status=204,
    ),
    Route(
        method="GET",
        path="/auth/session",
        handler=session,
        summary="Who is signed in, in which tenant",
        problems=(404,),
        role=ANYBODY,
        answer=SessionOut,
    ),
    Route(
        method="PATCH",
        path="/auth/session",
        handler=choose_tenant,
        summary="Go to another tenant of one's own",
        problems=(404,),
        role=ANYBODY,
        body=SessionIn,
        answer=SessionOut,
    ),
    Route(
        method="GET",
        path="/auth/sessions",
        handler=list_,
        summary="One's own sessions",
        problems=(404,),
        role=ANYBODY,
        answer=SessionItem,
        listed=True,
    ),
    Route(
        method="DELETE",
        path="/auth/sessions",
        handler=end_others,
        summary="End all of one's other sessions",
        problems=(404,),
        role=ANYBODY,
        answer=EndedOut,
    ),
    Route(
        method="DELETE",
        path="/auth/sessions/{id}",
        handler=end_one,
        summary="End one of one's own sessions",
        role=ANYBODY,
        status=204,
    ),
    Route(
        method="POST",
        path="/auth/password",
        handler=change_password,
        summary="Change one's password; one's other sessions end",
        problems=(404,),
        role=ANYBODY,
        body=PasswordIn,
        answer=SessionOut,
    ),
    Route(
        method="POST",
        path="/v1/members/{user}/sign-in-link",
        handler=sign_in_link,
        action="member.sign_in_link",
        summary="A link with which a member sets a password, once; it makes their account where they have none",
        role="admin",
        body=LinkIn,
        answer=LinkOut,
        status=201,
    ),
)
