"""Tenants, for whoever runs Tocsin: `/v1/tenants`. What is in them is not the operator's to see."""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.app import App
from tocsin.model.access import TENANT_ID, check_tenant_id, check_user_id
from tocsin.model.audit import Act, Actor, changes
from tocsin.model.errors import Conflict
from tocsin.model.ids import DEFAULT_TENANT, OPERATOR_TENANT
from tocsin.store import identity
from tocsin.store.database import Reader, Transaction
from tocsin.store.identity import Member, Tenant
from tocsin.web.api.tokens import add_token
from tocsin.web.routes import PAGE, Call, Route, cursor_of, no_nul, page, page_limit, reply, rfc3339, tagged

Name = Annotated[str, Meta(min_length=1, max_length=200)]
FIRST_TOKEN_S = 86_400


class TenantIn(Struct, frozen=True, forbid_unknown_fields=True):
    """`admin` is the user id of the first admin; the answer then shows a token of theirs, this once, for a day."""

    id: str
    name: Name
    admin: str = ""


class TenantPatch(Struct, frozen=True, forbid_unknown_fields=True):
    name: Name


class TenantOut(Struct, frozen=True):
    """`token` is in the answer that made the tenant, where its first admin was named."""

    id: str
    name: str
    is_suspended: bool
    suspended_at: str | None
    created_at: str | None
    token: str = ""


def shown(tenant: Tenant, token: str = "") -> TenantOut:
    return TenantOut(
        id=tenant.id,
        name=tenant.name,
        is_suspended=tenant.suspended_ms is not None,
        suspended_at=rfc3339(tenant.suspended_ms),
        created_at=rfc3339(tenant.created_ms),
        token=token,
    )


async def changed_tenant(tx: Transaction, app: App, known: Tenant, verb: str, by: Actor, name: str = "") -> Tenant:
    """`verb` is update, suspend, resume or delete. Raises Conflict where it may not be."""
    now_ms = app.clock_ms()
    changed = known
    if verb == "update":
        changed = replace(known, name=name)
        await identity.rename_tenant(tx, known.id, name)
    elif verb == "suspend":
        changed = replace(known, suspended_ms=known.suspended_ms or now_ms)
        await identity.suspend_tenant(tx, known.id, now_ms)
    elif verb == "resume":
        changed = replace(known, suspended_ms=None)
        await identity.resume_tenant(tx, known.id, now_ms)
    elif known.id == DEFAULT_TENANT:
        raise Conflict("The default tenant stays: what the environment sets up is in it. It can be suspended.")
    else:
        await identity.delete_tenant(tx, known.id, now_ms)
    await audit(tx, app, known.id, verb, by, known, None if verb == "delete" else changed)
    return changed


async def audit(
    tx: Transaction, app: App, id_: str, verb: str, by: Actor, before: Tenant | None, after: Tenant | None
) -> None:
    """In the operator's trail, and in the tenant's own, whose admins should know."""
    old, new = changes(before and shown(before), after and shown(after))
    for trail in sorted((OPERATOR_TENANT, id_)):
        await app.trail.add(tx, Act(trail, by, f"tenant.{verb}", "tenant", id_, old, new))


async def create(call: Call) -> Response:
    given, app = await call.body(TenantIn), call.app
    now_ms = app.clock_ms()
    tenant = Tenant(check_tenant_id("id", given.id), no_nul("name", given.name), now_ms, None)
    admin = check_user_id("admin", given.admin) if given.admin else ""
    async with app.db.transaction() as tx:
        if not await identity.make_tenant(tx, tenant):
            raise Conflict(f"There is a tenant {tenant.id}, or there was one: its id is not given again.")
        await audit(tx, app, tenant.id, "create", call.actor, None, tenant)
        token = ""
        if admin:
            await identity.add_member(tx, tenant.id, Member(admin, "admin", "", "", now_ms, now_ms), now_ms)
            end_ms = now_ms + FIRST_TOKEN_S * 1000
            token = (await add_token(tx, app, tenant.id, "the first", "admin", admin, end_ms, (), call.actor)).token
        return await call.made(tx, shown(tenant, token))


async def list_(call: Call) -> Response:
    limit = page_limit(call)
    found = await identity.list_tenants(call.app.db, after=cursor_of(call, "", TENANT_ID), limit=limit + 1)
    return reply(page([shown(tenant) for tenant in found], limit, lambda tenant: str(tenant.id)))


async def find(call: Call, tx: Reader | None = None) -> Tenant:
    return await identity.get_tenant(tx or call.app.db, no_nul("tenant", call.path("tenant")))


async def get(call: Call) -> Response:
    return tagged(shown(await find(call)))


async def change(call: Call, verb: str, name: str = "") -> Tenant:
    async with call.app.db.transaction() as tx:
        await identity.hold_tenant(tx, call.path("tenant"))
        known = await find(call, tx)
        call.check_unchanged(shown(known))
        return await changed_tenant(tx, call.app, known, verb, call.actor, name)


async def rename(call: Call) -> Response:
    given = await call.body(TenantPatch)
    return tagged(shown(await change(call, "update", no_nul("name", given.name))))


async def suspend(call: Call) -> Response:
    """Its tokens are refused within a second, and its messages wait."""
    return tagged(shown(await change(call, "suspend")))


async def resume(call: Call) -> Response:
    found = await change(call, "resume")
    call.app.deliver.wake()
    return tagged(shown(found))


async def delete(call: Call) -> Response:
    await change(call, "delete")
    return Response(status_code=204)


ID = "/v1/tenants/{tenant}"
ROUTES = (
    Route(
        method="POST",
        path="/v1/tenants",
        handler=create,
        action="tenant.create",
        summary="Make a tenant, with its first admin",
        role="operator",
        body=TenantIn,
        answer=TenantOut,
        status=201,
    ),
    Route(
        method="GET",
        path="/v1/tenants",
        handler=list_,
        summary="Tenants",
        role="operator",
        answer=TenantOut,
        query=PAGE,
    ),
    Route(method="GET", path=ID, handler=get, summary="One tenant", role="operator", answer=TenantOut),
    Route(
        method="PATCH",
        path=ID,
        handler=rename,
        action="tenant.update",
        summary="Rename a tenant",
        role="operator",
        body=TenantPatch,
        answer=TenantOut,
        if_match=True,
    ),
    Route(
        method="POST",
        path=f"{ID}/suspend",
        handler=suspend,
        action="tenant.suspend",
        summary="Refuse a tenant's tokens, and let its messages wait",
        role="operator",
        answer=TenantOut,
        if_match=True,
    ),
    Route(
        method="POST",
        path=f"{ID}/resume",
        handler=resume,
        action="tenant.resume",
        summary="End a suspension: what waited goes out",
        role="operator",
        answer=TenantOut,
        if_match=True,
    ),
    Route(
        method="DELETE",
        path=ID,
        handler=delete,
        action="tenant.delete",
        summary="Delete a tenant (softly); its tokens end",
        role="operator",
        status=204,
        if_match=True,
    ),
)
