"""Members of the tenant, and their roles: `/v1/members`."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.model.access import check_user_id
from tocsin.model.errors import Conflict, NotFound
from tocsin.provider_kit.mail import EmailAddress
from tocsin.store import identity
from tocsin.store.database import Reader
from tocsin.store.identity import Member
from tocsin.web.api.tokens import Role
from tocsin.web.routes import (
    PAGE,
    Call,
    Route,
    as_cursor,
    name_cursor,
    no_nul,
    page,
    page_limit,
    reply,
    rfc3339,
    tagged,
)

FullName = Annotated[str, Meta(max_length=200)]


class MemberIn(Struct, frozen=True, forbid_unknown_fields=True):
    """`user_id` is what people are known by: with single sign-on what the provider calls them, else their address."""

    user_id: str
    role: Role
    email: EmailAddress | None = None
    name: FullName = ""


class MemberPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is left out stays. A lower role lowers all of their tokens within a second."""

    role: Role | UnsetType = UNSET
    email: EmailAddress | UnsetType | None = UNSET
    name: FullName | UnsetType = UNSET


class MemberOut(Struct, frozen=True):
    user_id: str
    role: str
    email: str | None
    name: str
    created_at: str | None
    updated_at: str | None


def shown(member: Member) -> MemberOut:
    return MemberOut(
        user_id=member.user_id,
        role=member.role,
        email=member.email or None,
        name=member.name,
        created_at=rfc3339(member.created_ms),
        updated_at=rfc3339(member.updated_ms),
    )


async def create(call: Call) -> Response:
    """Somebody who was removed may come back; their old tokens do not."""
    given, now_ms = await call.body(MemberIn), call.app.clock_ms()
    member = Member(
        user_id=check_user_id("user_id", given.user_id),
        role=given.role,
        email=given.email or "",
        name=no_nul("name", given.name),
        created_ms=now_ms,
        updated_ms=now_ms,
    )
    async with call.app.db.transaction() as tx:
        await call.check_room(tx, "members")
        if not await identity.add_member(tx, call.tenant_id, member, now_ms):
            raise Conflict("They are a member already; PATCH changes their role.")
        made = shown(member)
        await call.audit(tx, "member.create", "member", member.user_id, after=made)
        return await call.made(tx, made)


async def list_(call: Call) -> Response:
    limit = page_limit(call)
    found = await identity.list_members(call.app.db, call.tenant_id, after=name_cursor(call), limit=limit + 1)
    return reply(page([shown(member) for member in found], limit, lambda member: as_cursor(member.user_id)))


async def find(call: Call, tx: Reader | None = None) -> Member:
    found = await identity.get_member(tx or call.app.db, call.tenant_id, no_nul("user", call.path("user")))
    if found is None:
        raise NotFound("No such member.")
    return found


async def get(call: Call) -> Response:
    return tagged(shown(await find(call)))


async def change(call: Call) -> Response:
    given = await call.body(MemberPatch)
    async with call.changing() as tx:
        known, now_ms = await find(call, tx), call.app.clock_ms()
        call.check_unchanged(shown(known))
        changed = replace(
            known,
            role=known.role if given.role is UNSET else given.role,
            email=known.email if given.email is UNSET else given.email or "",
            name=known.name if given.name is UNSET else no_nul("name", given.name),
            updated_ms=now_ms,
        )
        await identity.change_member(tx, call.tenant_id, changed, now_ms)
        await call.audit(tx, "member.update", "member", known.user_id, shown(known), shown(changed))
    return tagged(shown(changed))


async def remove(call: Call) -> Response:
    async with call.changing() as tx:
        known = await find(call, tx)
        call.check_unchanged(shown(known))
        await identity.remove_member(tx, call.tenant_id, known.user_id, call.app.clock_ms())
        await call.audit(tx, "member.delete", "member", known.user_id, before=shown(known))
    return Response(status_code=204)


ID = "/v1/members/{user}"
ROUTES = (
    Route(
        method="POST",
        path="/v1/members",
        handler=create,
        action="member.create",
        summary="Add a member",
        role="admin",
        body=MemberIn,
        answer=MemberOut,
        status=201,
    ),
    Route(
        method="GET",
        path="/v1/members",
        handler=list_,
        summary="Who belongs to the tenant, by user id",
        role="admin",
        answer=MemberOut,
        query=PAGE,
    ),
    Route(method="GET", path=ID, handler=get, summary="One member", role="admin", answer=MemberOut),
    Route(
        method="PATCH",
        path=ID,
        handler=change,
        action="member.update",
        summary="Change a member's role, address or name; the last admin stays one",
        role="admin",
        body=MemberPatch,
        answer=MemberOut,
        if_match=True,
    ),
    Route(
        method="DELETE",
        path=ID,
        handler=remove,
        action="member.delete",
        summary="Remove a member; their tokens end",
        role="admin",
        status=204,
        if_match=True,
    ),
)
