"""What holds for all of a tenant, and is its own to say: `/v1/settings`."""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.rules.noise_check import check_zone
from tocsin.store import identity
from tocsin.store.identity import Tenant
from tocsin.web.routes import Call, Route, no_nul, tagged


class SettingsOut(Struct, frozen=True):
    """`time_zone` is the clock that the tenant goes by: the dashboard shows times in it to those who choose so. `name`
    is the operator's to change."""

    name: str
    time_zone: str


class SettingsPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """`time_zone` is a name of IANA's, such as Europe/Berlin."""

    time_zone: Annotated[str, Meta(min_length=1, max_length=64)]


def shown(tenant: Tenant) -> SettingsOut:
    return SettingsOut(tenant.name, tenant.time_zone)


async def get(call: Call) -> Response:
    return tagged(shown(await identity.get_tenant(call.app.db, call.tenant_id)))


async def change(call: Call) -> Response:
    given = await call.body(SettingsPatch)
    check_zone("time_zone", no_nul("time_zone", given.time_zone))
    async with call.changing() as tx:
        known = await identity.get_tenant(tx, call.tenant_id)
        call.check_unchanged(shown(known))
        changed = replace(known, time_zone=given.time_zone)
        await identity.set_time_zone(tx, known.id, changed.time_zone)
        await call.audit(tx, "tenant.settings", "tenant", known.id, shown(known), shown(changed))
    return tagged(shown(changed))


ROUTES = (
    Route(
        method="GET",
        path="/v1/settings",
        handler=get,
        summary="What holds for all of your tenant",
        role="viewer",
        answer=SettingsOut,
    ),
    Route(
        method="PATCH",
        path="/v1/settings",
        handler=change,
        action="tenant.settings",
        summary="Set the tenant's time zone",
        role="admin",
        body=SettingsPatch,
        answer=SettingsOut,
        if_match=True,
    ),
)
