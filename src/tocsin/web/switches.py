"""What is switched off for the caller's tenant: by the operator's flags, or since it has not come to them yet."""

from msgspec.structs import replace

from tocsin.model.rollout import ALERTS, Rollout, off
from tocsin.provider_kit.provider import Tuning
from tocsin.store import rollouts
from tocsin.web.routes import Call


async def rollouts_of(call: Call) -> dict[str, Rollout]:
    """By feature, those that are in force."""
    return await rollouts.in_force(call.app.db, call.app.settings.rollouts)


async def tuning_of(call: Call) -> dict[str, Tuning]:
    """How each kind of endpoint is tuned for the caller's tenant."""
    found = await rollouts_of(call)
    return {
        kind: tuned if tuned.off else replace(tuned, off=off(found, kind, call.tenant_id))
        for kind, tuned in call.app.tuning.items()
    }


async def switched_off(call: Call) -> dict[str, str]:
    """Why, by feature; the alert engine first."""
    found = {kind: tuned.off for kind, tuned in (await tuning_of(call)).items() if tuned.off}
    engine = off(await rollouts_of(call), ALERTS, call.tenant_id)
    return ({ALERTS: engine} if engine else {}) | found
