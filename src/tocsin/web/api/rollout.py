"""Who has the alert engine, and each kind of endpoint: `/v1/rollout`, for whoever runs Tocsin."""

from typing import Annotated

from msgspec import Meta, Struct
from starlette.responses import Response

from tocsin.app import App
from tocsin.model.audit import Act, Actor, changes
from tocsin.model.errors import Conflict, Invalid, NotFound
from tocsin.model.ids import OPERATOR_TENANT
from tocsin.model.rollout import ALERTS, Rollout, State
from tocsin.providers import PROVIDERS
from tocsin.store import identity, rollouts
from tocsin.store.database import Reader, Transaction
from tocsin.web.routes import Call, Route, no_nul, rfc3339, tagged

MOST_TENANTS = 10_000
FEATURES = (ALERTS, *PROVIDERS)


class RolloutIn(Struct, frozen=True, forbid_unknown_fields=True):
    """`off`: nobody has it. `tenants`: these have it. `on`: everybody has it."""

    state: State
    tenants: Annotated[tuple[str, ...], Meta(max_length=MOST_TENANTS)] = ()


class RolloutsIn(Struct, frozen=True, forbid_unknown_fields=True):
    """By feature: `alerts`, or a provider_type. Those that are left out stay as they are."""

    features: dict[str, RolloutIn]


class RolloutOut(Struct, frozen=True):
    """`setting`: the variable of the environment that says so, which counts before what is set here, or ""."""

    state: State
    tenants: tuple[str, ...]
    setting: str
    updated_at: str | None = None
    updated_by: str = ""


class RolloutsOut(Struct, frozen=True):
    features: dict[str, RolloutOut]


async def shown(app: App, db: Reader) -> RolloutsOut:
    stored = await rollouts.list_(db)
    found = {}
    for feature in FEATURES:
        if (given := app.settings.rollouts.get(feature)) is not None:
            found[feature] = RolloutOut(given.state, given.tenants, given.setting)
        elif (known := stored.get(feature)) is not None:
            by, at = known.updated_by, rfc3339(known.updated_ms)
            found[feature] = RolloutOut(known.rollout.state, known.rollout.tenants, "", at, by)
        else:
            found[feature] = RolloutOut("on", (), "")
    return RolloutsOut(found)


async def get(call: Call) -> Response:
    return tagged(await shown(call.app, call.app.db))


async def put(call: Call) -> Response:
    """Events are planned accordingly at once, in every process; what waits to be sent follows within two seconds."""
    given = await call.body(RolloutsIn)
    wanted = [checked(call.app, feature, one) for feature, one in given.features.items()]
    async with call.app.db.transaction() as tx:
        await rollouts.hold(tx)
        call.check_unchanged(await shown(call.app, tx))
        for rollout in wanted:
            await roll_out(tx, call.app, rollout, call.actor)
    call.app.deliver.wake()
    return await get(call)


def checked(app: App, feature: str, given: RolloutIn) -> Rollout:
    """Raises Invalid; and Conflict where the environment has decided already."""
    if feature not in FEATURES:
        raise Invalid(f"features.{feature[:60]}", "an unknown feature", f"one of {', '.join(FEATURES)}")
    field = f"features.{feature}.tenants"
    if given.state == "tenants" and not given.tenants:
        raise Invalid(field, "none", "the ids of the tenants that have it")
    if given.state != "tenants" and given.tenants:
        raise Invalid(field, f"{len(given.tenants)} tenants", f"none with the state {given.state}")
    for number, tenant in enumerate(given.tenants):
        no_nul(f"{field}[{number}]", tenant)
    if (setting := app.settings.rollouts.get(feature)) is not None:
        raise Conflict(f"{setting.setting} is set to {setting.said()} in the environment, which counts first.")
    return Rollout(feature, given.state, tuple(sorted(set(given.tenants))))


async def roll_out(tx: Transaction, app: App, rollout: Rollout, by: Actor) -> None:
    """Raises Invalid for a tenant that does not exist."""
    for number, tenant in enumerate(rollout.tenants):
        try:
            await identity.get_tenant(tx, tenant)
        except NotFound:
            field = f"features.{rollout.feature}.tenants[{number}]"
            raise Invalid(field, repr(tenant[:70]), "the id of a tenant") from None
    before = (await shown(app, tx)).features[rollout.feature]
    await rollouts.put(tx, rollout, app.clock_ms(), by.name)
    after = (await shown(app, tx)).features[rollout.feature]
    old, new = changes(before, after)
    await app.trail.add(tx, Act(OPERATOR_TENANT, by, "rollout.update", "rollout", rollout.feature, old, new))


ROUTES = (
    Route(
        method="GET",
        path="/v1/rollout",
        handler=get,
        summary="Who has the alert engine and each kind of endpoint",
        role="operator",
        answer=RolloutsOut,
    ),
    Route(
        method="PUT",
        path="/v1/rollout",
        handler=put,
        action="rollout.update",
        summary="Switch the alert engine, or kinds of endpoints, off, on, or on for chosen tenants",
        role="operator",
        body=RolloutsIn,
        answer=RolloutsOut,
        if_match=True,
    ),
)
