"""Preferences become rules: one for each place and category: users who share a place cause one message there."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from tocsin.model.preference import CATEGORIES, CHANNELS, EMAIL, PROVIDER_OF, SLACK, Category, Preferences
from tocsin.model.rule import Rule
from tocsin.provider_kit.mail import ADDRESS, ADDRESS_CHARS

OF_PREFERENCES = "pref"
"""What the id of a rule begins with that follows from preferences."""

MADE = "preferences"
"""Endpoints that are there because somebody's preferences lead to them: `created_by`. Nobody else sees them listed."""

ENVIRONMENT = "environment"
"""Endpoints that the operator's settings ask for. Who falls back on SLACK_DEFAULT_CHANNEL falls back on that one."""

NAMED = 3
_ADDRESS = re.compile(ADDRESS)

Place = tuple[str, str]
"""slack or email, and the channel or the address there; "" where there is none."""


class Reader(Struct, frozen=True):
    """A user and what they want."""

    user_id: str
    wants: Preferences


class Found(Struct, frozen=True):
    """What follows from all preferences of a tenant. `owners`: by endpoint, the one user whose place it is, if it is
    nobody else's and not the common channel."""

    rules: tuple[Rule, ...]
    owners: Mapping[str, str]


def channel_key(name: str) -> str:
    """`#alerts` and `alerts` are one channel."""
    return name.removeprefix("#")


def place_of(reader: Reader, channel: str, default_channel: str) -> Place:
    """Where this user is told by Slack or by email."""
    if channel == SLACK:
        return SLACK, channel_key(reader.wants.slack_channel or default_channel)
    address = reader.wants.email_address or reader.user_id
    fits = len(address) <= ADDRESS_CHARS and _ADDRESS.match(address)
    return EMAIL, address.lower() if fits else ""


def settings_of(reader: Reader, channel: str) -> dict[str, Any] | None:
    """The settings of the endpoint that this user needs; None where there is no address. The common channel is left to
    the operator's settings, so that it follows them."""
    if channel == SLACK:
        return {"channel": reader.wants.slack_channel} if reader.wants.slack_channel else {}
    _, address = place_of(reader, EMAIL, "")
    return {"to": [address]} if address else None


def endpoints_at(
    rows: Iterable[tuple[str, str, Mapping[str, Any], str]], default_channel: str
) -> dict[Place, tuple[str, str]]:
    """By place, the endpoint that serves it and who made it. `rows`: id, provider type, settings, created_by. Of
    several the environment's counts, else the one that follows the operator's settings, else the oldest."""
    found: dict[Place, tuple[tuple[bool, bool, str], str]] = {}
    for id_, provider_type, settings, made_by in rows:
        if provider_type == PROVIDER_OF[SLACK] and made_by in (MADE, ENVIRONMENT):
            place = SLACK, channel_key(str(settings.get("channel") or default_channel))
        elif provider_type == PROVIDER_OF[EMAIL] and made_by == MADE:
            place = EMAIL, str(settings["to"][0]).lower()
        else:
            continue
        rank = (made_by != ENVIRONMENT, bool(settings.get("channel")), id_)
        if place not in found or rank < found[place][0]:
            found[place] = rank, made_by
    return {place: (rank[2], made_by) for place, (rank, made_by) in found.items()}


def preferred(
    tenant_id: str, readers: Sequence[Reader], places: Mapping[Place, tuple[str, str]], default_channel: str
) -> Found:
    """The rules that say what the readers of each place want to hear there."""
    at: dict[tuple[Place, str], list[Reader]] = {}
    for reader in readers:
        for channel in CHANNELS:
            place = place_of(reader, channel, default_channel)
            alone = "" if place in places else reader.user_id  # nobody shares a place that is not there
            at.setdefault((place, alone), []).append(reader)
    rules: list[Rule] = []
    owners: dict[str, str] = {}
    for (place, _), here in at.items():
        endpoint_id, made_by = places.get(place, ("", ""))
        if endpoint_id and len(here) == 1 and is_own(here[0], place[0]) and made_by == MADE:
            owners[endpoint_id] = here[0].user_id
        rules += [rule(tenant_id, place, endpoint_id, here, name, category) for name, category in CATEGORIES.items()]
    return Found(tuple(rules), owners)


def is_own(reader: Reader, channel: str) -> bool:
    return channel == EMAIL or reader.wants.slack_channel is not None


def rule(tenant_id: str, place: Place, endpoint_id: str, here: Sequence[Reader], name: str, category: Category) -> Rule:
    """One category at one place: it tells where one of those who read there wants it."""
    channel = "Slack" if place[0] == SLACK else "email"
    whose = people([reader.user_id for reader in here])
    off = ""
    if not endpoint_id:
        off = f"no {channel} address is known of {whose}: it can be set in the preferences"
    elif not any(reader.wants.wants(name, place[0]) for reader in here):
        off = f"{category.label} by {channel}: that is off in the preferences of {whose}"
    return Rule(
        id=f"{OF_PREFERENCES}:{endpoint_id or here[0].user_id}:{name}",
        tenant_id=tenant_id,
        name=f"{category.label} by {channel}, as {whose} prefer{'s' * (len(here) == 1)}",
        event_types=category.event_types,
        condition=category.condition,
        endpoint_ids=(endpoint_id,) if endpoint_id else (),
        off=off,
    )


def people(names: Sequence[str]) -> str:
    """`ana`, `ana and bob`, `ana, bob, cem and 4 more`."""
    if len(names) > NAMED:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def not_set_up(place: Place, operator: Mapping[str, Mapping[str, Any]]) -> str:
    """Why the operator's settings let nothing go to this place, or ""."""
    given = operator.get(PROVIDER_OF[place[0]], {})
    if place[0] == SLACK:
        if not given.get("bot_token"):
            return "Slack is not set up: SLACK_BOT_TOKEN is not set"
        return "" if place[1] else "no channel is known: SLACK_DEFAULT_CHANNEL is not set"
    if not (given.get("sendgrid_api_key") or given.get("smtp_host")):
        return "email is not set up: neither SENDGRID_API_KEY nor SMTP_HOST is set"
    return "" if given.get("from_address") else "email is not set up: EMAIL_FROM_ADDRESS is not set"
