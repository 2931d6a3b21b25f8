"""A tenant's rules, endpoints, silences and preferences, compiled once for each version of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from tocsin.model.endpoint import Options
from tocsin.model.noise import Flood, Noise, Templates
from tocsin.model.rule import Rule
from tocsin.model.world import Silence
from tocsin.provider_kit.provider import Provider, Tuning
from tocsin.provider_kit.settings_form import seen_type
from tocsin.providers import PROVIDERS
from tocsin.rules.index import RuleIndex, rule_of_endpoint
from tocsin.rules.plan import Channel
from tocsin.store.database import Row


class Outlet(msgspec.Struct, frozen=True):
    """How an endpoint's bodies are made. `only_headline`: they do without the facts."""

    provider: Provider
    settings: Any
    only_headline: bool
    templates: Templates | None = None


class TenantConfig(msgspec.Struct, frozen=True):
    """A tenant's rules and endpoints, compiled. `closers` are the endpoints at which a recovery closes an alarm,
    `watches` the rules that look at the clock. `is_noisy`: what was before counts for what is told."""

    version: int
    index: RuleIndex
    channels: Mapping[str, Channel]
    outlets: Mapping[str, Outlet]
    closers: frozenset[str]
    silences: tuple[Silence, ...] = ()
    watches: RuleIndex = RuleIndex(())
    is_noisy: bool = False


def compiled(
    version: int,
    tenant_id: str,
    endpoints: Sequence[Row],
    rules: Sequence[Rule],
    tuning: Mapping[str, Tuning],
    silences: tuple[Silence, ...] = (),
    flood: Flood | None = None,
) -> TenantConfig:
    channels: dict[str, Channel] = {}
    outlets: dict[str, Outlet] = {}
    short: list[Rule] = []
    for row in endpoints:
        id_, _user_id, provider_type, name, enabled_events, settings, options = row[:7]
        is_active, disabled_reason, version_ = row[7:]
        provider = PROVIDERS.get(provider_type)
        if provider is None:
            continue
        tuned = tuning[provider_type]
        unfit, live = "", False
        wanted = msgspec.json.decode(options, type=Options)
        try:
            fitting = msgspec.json.decode(settings, type=seen_type(provider.settings_type))
            short_ = provider.headline_does(fitting) and wanted.templates is None
            outlets[id_] = Outlet(provider, fitting, short_, wanted.templates)
            live = provider.live is not None and provider.live.is_on(fitting)
        except msgspec.ValidationError as error:  # written by something other than this program
            unfit = f"its settings do not fit: {error}"
        channels[id_] = Channel(
            id_,
            provider_type,
            version_,
            provider.max_age_s,
            suppressed=tuned.off or unfit or ("" if is_active else "the webhook is switched off"),
            waits=disabled_reason,
            paced=tuned.rate_per_s is not None,
            name=name,
            live=live,
            raw=provider.fix_body is not None,
            alarms=provider.resolve is not None,
            digest=wanted.digest,
            flood=flood,
        )
        types = msgspec.json.decode(enabled_events, type=tuple[str, ...])
        if types:
            short.append(rule_of_endpoint(tenant_id, id_, name, types))
    closers = frozenset(id_ for id_, outlet in outlets.items() if outlet.provider.resolve is not None)
    watches = [anything(rule) for rule in rules if rule.noise.watch is not None or rule.noise.schedule is not None]
    noisy = any(rule.noise != Noise() or rule.off for rule in rules) or bool(silences)
    noisy |= any(channel.digest or channel.quiet or channel.flood for channel in channels.values())
    index = RuleIndex([*rules, *short])
    return TenantConfig(version, index, channels, outlets, closers, silences, RuleIndex(watches), noisy)


def anything(rule: Rule) -> Rule:
    """The rule for every type of event: what it watches is whole runs."""
    return replace(rule, event_types=(), condition="")
