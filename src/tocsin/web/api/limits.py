"""What a tenant may do at the most, and what it does: `/v1/limits`; and the operator's side of it, by tenant."""

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.responses import Response

from tocsin.app import App
from tocsin.model.audit import Act, Actor, changes
from tocsin.model.ids import OPERATOR_TENANT
from tocsin.model.limits import NAMES, BodyBytes, Limit, with_own
from tocsin.store import identity, limits
from tocsin.store.database import Reader, Transaction
from tocsin.web.routes import Call, Route, no_nul, reply, tagged
from tocsin.web.stream import Hub


class LimitsIn(Struct, frozen=True, forbid_unknown_fields=True):
    """The limits that are a tenant's own; for those that are left out, the settings' count. 0 is no limit.
    `requests_per_s` and `events_per_s` are of each process, with `token_` of each token."""

    requests_per_s: Limit | UnsetType = UNSET
    events_per_s: Limit | UnsetType = UNSET
    token_requests_per_s: Limit | UnsetType = UNSET
    token_events_per_s: Limit | UnsetType = UNSET
    events_per_day: Limit | UnsetType = UNSET
    stored_events: Limit | UnsetType = UNSET
    endpoints: Limit | UnsetType = UNSET
    rules: Limit | UnsetType = UNSET
    silences: Limit | UnsetType = UNSET
    tokens: Limit | UnsetType = UNSET
    members: Limit | UnsetType = UNSET
    secrets: Limit | UnsetType = UNSET
    streams: Limit | UnsetType = UNSET
    body_bytes: BodyBytes | UnsetType = UNSET


class LimitOut(Struct, frozen=True):
    """`value` 0 is no limit. `standard`: whether the settings say so, for all tenants. `used`: how much of it; of rates
    what this process saw in the last second; null where that is not counted."""

    value: int
    standard: bool
    used: int | None


class LimitsOut(Struct, frozen=True):
    """By name: see PUT /v1/tenants/{tenant}/limits."""

    limits: dict[str, LimitOut]


class TenantLimits(Struct, frozen=True):
    """`own`: those that are this tenant's, by name. `limits`: all that count."""

    own: dict[str, int]
    limits: dict[str, int]


async def used(app: App, tenant_id: str, hub: Hub | None, db: Reader | None = None) -> LimitsOut:
    """`hub` knows the streams that are open in this process. Raises NotFound."""
    db, now_ms = db or app.db, app.clock_ms()
    own = await limits.own(db, tenant_id)
    whole = with_own(app.meter.standard, own)
    gate = app.meter.gates.get(tenant_id)
    counts: dict[str, int | None] = {name: await limits.count(db, tenant_id, name, now_ms) for name in limits.COUNTED}
    counts["events_per_day"] = await limits.events_of_day(db, tenant_id, now_ms)
    counts["stored_events"] = await limits.stored_events(db, tenant_id)
    if gate is not None:
        counts["requests_per_s"] = gate.asked.used(now_ms * 1_000_000)
        counts["events_per_s"] = gate.sent.used(now_ms * 1_000_000)
    if hub is not None:
        counts["streams"] = hub.readers_of(tenant_id)
    return LimitsOut({name: LimitOut(getattr(whole, name), name not in own, counts.get(name)) for name in NAMES})


async def shown(app: App, tenant_id: str, db: Reader) -> TenantLimits:
    own = await limits.own(db, tenant_id)
    return TenantLimits(own, msgspec.structs.asdict(with_own(app.meter.standard, own)))


async def mine(call: Call) -> Response:
    return reply(await used(call.app, call.tenant_id, call.request.app.state.hub))


def tenant_of(call: Call) -> str:
    return no_nul("tenant", call.path("tenant"))


async def get(call: Call) -> Response:
    await identity.get_tenant(call.app.db, tenant_of(call))
    return tagged(await shown(call.app, tenant_of(call), call.app.db))


async def put(call: Call) -> Response:
    """Takes the place of all that were the tenant's own; every process follows within two seconds."""
    given = await call.body(LimitsIn)
    async with call.app.db.transaction() as tx:
        await identity.get_tenant(tx, tenant_of(call))
        await identity.hold_tenant(tx, tenant_of(call))
        call.check_unchanged(await shown(call.app, tenant_of(call), tx))
        await changed_limits(tx, call.app, tenant_of(call), given, call.actor)
    return await get(call)


async def changed_limits(tx: Transaction, app: App, tenant_id: str, given: LimitsIn, by: Actor) -> None:
    """In the operator's trail, and in the tenant's own. Raises NotFound."""
    before = await shown(app, tenant_id, tx)
    own: dict[str, Any] = {name: value for name, value in msgspec.structs.asdict(given).items() if value is not UNSET}
    await limits.put(tx, tenant_id, own)
    old, new = changes(before, await shown(app, tenant_id, tx))
    for trail in sorted((OPERATOR_TENANT, tenant_id)):
        await app.trail.add(tx, Act(trail, by, "tenant.limit", "tenant", tenant_id, old, new))
    if (gate := app.meter.gates.get(tenant_id)) is not None:
        gate.until_ms = 0


ID = "/v1/tenants/{tenant}/limits"
ROUTES = (
    Route(
        method="GET",
        path="/v1/limits",
        handler=mine,
        summary="What your tenant may do at the most, and what it does",
        role="viewer",
        answer=LimitsOut,
    ),
    Route(method="GET", path=ID, handler=get, summary="A tenant's limits", role="operator", answer=TenantLimits),
    Route(
        method="PUT",
        path=ID,
        handler=put,
        action="tenant.limit",
        summary="Set what a tenant may do at the most",
        role="operator",
        body=LimitsIn,
        answer=TenantLimits,
        if_match=True,
    ),
)
