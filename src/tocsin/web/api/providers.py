"""What kinds of endpoints there are: `/v1/providers`."""

from typing import Any

from msgspec import Struct
from starlette.responses import Response

from tocsin.provider_kit.provider import Provider, Tuning
from tocsin.provider_kit.settings_form import form
from tocsin.providers import PROVIDERS
from tocsin.web.routes import Call, Route, reply
from tocsin.web.switches import tuning_of


class Limits(Struct, frozen=True):
    """What one endpoint is sent at most. `rate_per_s` null is unlimited; `timeout_s` bounds one attempt."""

    rate_per_s: float | None
    max_body_bytes: int
    timeout_s: float


class ProviderOut(Struct, frozen=True):
    """A kind of endpoint. `takes_address`: it has a `webhook_url`; else everything is in the settings. `settings` is
    the JSON Schema (2020-12) of its settings, the secret ones `writeOnly`. `switched_off` is "" or the reason."""

    provider_type: str
    label: str
    about: str
    takes_address: bool
    settings: dict[str, Any]
    limits: Limits
    switched_off: str


def shown(provider: Provider, tuning: Tuning) -> ProviderOut:
    return ProviderOut(
        provider_type=provider.kind,
        label=provider.label,
        about=provider.about,
        takes_address=provider.check_address is not None,
        settings=form(provider.settings_type),
        limits=Limits(tuning.rate_per_s, provider.max_body_bytes, tuning.timeout_s),
        switched_off=tuning.off,
    )


async def list_(call: Call) -> Response:
    """All of them, in the order in which they are offered."""
    tuning = await tuning_of(call)
    items = [shown(provider, tuning[kind]) for kind, provider in PROVIDERS.items()]
    return reply({"items": items, "next": None})


ROUTES = (
    Route(
        method="GET",
        path="/v1/providers",
        handler=list_,
        summary="Kinds of endpoints: their settings as a form, their limits, whether they are switched on",
        role="viewer",
        answer=ProviderOut,
        listed=True,
    ),
)
