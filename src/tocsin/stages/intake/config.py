"""A tenant's rules, endpoints, silences and preferences, compiled once for each version of them."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import msgspec

from tocsin.model.endpoint import Options
from tocsin.model.noise import Flood, Noise, Templates
from tocsin.model.preference import PROVIDER_OF, Preferences
from tocsin.model.rollout import ALERTS, EVERYTHING, Rollouts, off
from tocsin.model.rule import Rule
from tocsin.model.world import Silence
from tocsin.provider_kit.provider import Provider, Tuning
from tocsin.provider_kit.settings_form import seen_type
from tocsin.providers import PROVIDERS
from tocsin.rules import preferring
from tocsin.rules.index import RuleIndex, rule_of_endpoint
from tocsin.rules.pattern import Matcher, matcher
from tocsin.rules.plan import Channel
from tocsin.rules.preferring import Found, Reader
from tocsin.rules.silencing import SilenceIndex
from tocsin.rules.watching import of_runs, wants_history
from tocsin.store.intake import Config

Operator = Mapping[str, Mapping[str, Any]]
NOTHING: Operator = {}
NO_WISHES = Preferences()


class Outlet(msgspec.Struct, frozen=True):
    """How an endpoint's bodies are made. `only_headline`: they do without the facts."""

    provider: Provider
    settings: Any
    only_headline: bool
    templates: Templates | None = None


class TenantConfig(msgspec.Struct, frozen=True):
    """A tenant's rules, endpoints, silences and preferences, compiled. `closers` are the endpoints at which a recovery
    closes an alarm, `watches` the rules that look at the clock; `compared` says of a pipeline whether its runs are
    compared with those before. `is_noisy`: what was before counts for what is told. `off`: why nothing is
    planned for this tenant, or ""."""

    version: int
    index: RuleIndex
    channels: Mapping[str, Channel]
    outlets: Mapping[str, Outlet]
    closers: frozenset[str]
    silences: tuple[Silence, ...] = ()
    silence_index: SilenceIndex = SilenceIndex(())
    watches: RuleIndex = RuleIndex(())
    compared: Matcher | None = None
    is_noisy: bool = False
    off: str = ""


def compiled(
    version: int,
    tenant_id: str,
    config: Config,
    tuning: Mapping[str, Tuning],
    *,
    operator: Operator = NOTHING,
    flood: Flood | None = None,
    rollouts: Rollouts = EVERYTHING,
) -> TenantConfig:
    """`operator`: what the operator's settings give for all endpoints of a kind; `flood`: every endpoint's limit.
    `rollouts`: the environment's, which count before the store's."""
    in_force = {**config.rollouts, **rollouts}
    wants = dict(config.preferences)
    preferred, unreached = preferences_of(tenant_id, config, operator)
    channels: dict[str, Channel] = {}
    outlets: dict[str, Outlet] = {}
    short: list[Rule] = []
    for row in config.endpoints:
        id_, user_id, provider_type, name, enabled_events, settings, options = row[:7]
        is_active, disabled_reason, version_, made_by = row[7:]
        provider = PROVIDERS.get(provider_type)
        if provider is None:
            continue
        tuned = tuning[provider_type]
        switch = tuned.off or off(in_force, provider_type, tenant_id)
        unfit, live = "", False
        wanted = Options()
        types: tuple[str, ...] = ()
        try:
            wanted = msgspec.json.decode(options, type=Options)
            types = msgspec.json.decode(enabled_events, type=tuple[str, ...])
            fitting = msgspec.json.decode(settings, type=seen_type(provider.settings_type))
            short_ = provider.headline_does(fitting) and wanted.templates is None
            outlets[id_] = Outlet(provider, fitting, short_, wanted.templates)
            live = provider.live is not None and provider.live.is_on(fitting)
        except msgspec.DecodeError as error:  # written by something other than this program
            unfit = f"its settings do not fit: {error}"
        whose = "" if made_by == preferring.MADE else user_id  # one may read where others do, too
        owner = wants.get(preferred.owners.get(id_, whose), NO_WISHES)
        channels[id_] = Channel(
            id_,
            provider_type,
            version_,
            provider.max_age_s,
            suppressed=switch or unreached.get(id_) or unfit or ("" if is_active else "the webhook is switched off"),
            off=switch,
            waits=disabled_reason,
            paced=tuned.rate_per_s is not None,
            name=name,
            live=live,
            raw=provider.fix_body is not None,
            alarms=provider.resolve is not None,
            digest=wanted.digest or owner.digest,
            quiet=owner.quiet_hours,
            flood=flood,
        )
        if types:
            short.append(rule_of_endpoint(tenant_id, id_, name, types))
    closers = frozenset(id_ for id_, outlet in outlets.items() if outlet.provider.resolve is not None)
    rules = config.rules
    watches = RuleIndex(
        of_runs(rule) for rule in rules if rule.noise.watch is not None or rule.noise.schedule is not None
    )
    noisy = any(rule.noise != Noise() for rule in rules) or bool(config.silences)
    noisy |= any(channel.digest or channel.quiet or channel.flood for channel in channels.values())
    return TenantConfig(
        version,
        RuleIndex([*rules, *preferred.rules, *short]),
        channels,
        outlets,
        closers,
        config.silences,
        SilenceIndex(config.silences),
        watches,
        compared(watches),
        noisy,
        off(in_force, ALERTS, tenant_id),
    )


def preferences_of(tenant_id: str, config: Config, operator: Operator) -> tuple[Found, dict[str, str]]:
    """What follows from preferences; and by endpoint, why the operator's settings let nothing go there."""
    if not config.preferences:
        return Found((), {}), {}
    default_channel = str(operator.get(PROVIDER_OF["slack"], {}).get("channel", ""))
    readers = [Reader(user_id, wants) for user_id, wants in config.preferences]
    made = (preferring.MADE, preferring.ENVIRONMENT)
    rows = [(row[0], row[2], settings_of(row[5]), row[10]) for row in config.endpoints if row[10] in made]
    places = preferring.endpoints_at(rows, default_channel)
    unreached = {id_: preferring.not_set_up(place, operator) for place, (id_, _) in places.items()}
    return preferring.preferred(tenant_id, readers, places, default_channel), unreached


def settings_of(stored: str) -> dict[str, Any]:
    """Nothing where they cannot be read: the endpoint is left out for it elsewhere."""
    try:
        return msgspec.json.decode(stored, type=dict[str, Any])
    except msgspec.DecodeError:
        return {}


def compared(watches: RuleIndex) -> Matcher | None:
    """Fits the pipelines whose runs are compared with those before; None where none are."""
    found = [compiled.rule.pipelines for compiled in watches.by_id.values() if wants_history(compiled)]
    if not found:
        return None
    return matcher(tuple(chain(*found)) if all(found) else ())
