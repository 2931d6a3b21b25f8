"""Preferences: what a user wants to hear of, and where. The rules follow from them; see rules/preferring.py."""

from collections.abc import Callable, Sequence
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.model.errors import Invalid
from tocsin.model.noise import Digest, Hours
from tocsin.model.preference import CATEGORIES, CHANNELS, CRITICAL, EMAIL, PROVIDER_OF, Preferences
from tocsin.provider_kit.mail import EmailAddress
from tocsin.providers.slack_bot import CHANNEL
from tocsin.rules.noise_check import check_hours, check_zone
from tocsin.rules.preferring import MADE, Reader, settings_of
from tocsin.store import preferences as store
from tocsin.store.database import Transaction
from tocsin.web.routes import Call, Route, tagged

SlackChannel = Annotated[str, Meta(pattern=rf"^(?:{CHANNEL})\Z", description="An id (C…) or a name (#alerts)")]
ON_AS_A_WHOLE = {
    "notify_on_safety_rollback": "safety_rollback",
    "notify_on_experiment_lifecycle": "experiment_lifecycle",
    "notify_on_rollout_advance": "rollout_advance",
}
"""The switches of the short form, by the category that each is about."""


class Cell(Struct, frozen=True):
    """Which channels a category is told on. `locked`: nobody can switch it off."""

    slack: bool
    email: bool
    locked: bool = False


class CellIn(Struct, frozen=True, forbid_unknown_fields=True):
    slack: bool | UnsetType = UNSET
    email: bool | UnsetType = UNSET
    locked: bool | UnsetType = UNSET


class PreferencesOut(Struct, frozen=True):
    """`categories`: what is told, by channel; what is `critical` in any of them is always told. `quiet_hours` and
    `digest` hold for every webhook of the user's own, and for their own address and channel; not for a shared channel.
    """

    user_id: str
    slack_enabled: bool
    email_enabled: bool
    categories: dict[str, Cell]
    quiet_hours: tuple[Hours, ...]
    digest: Digest | None
    slack_channel: str | None
    email_address: str | None


class PreferencesIn(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is left out stays. A null address or channel is the standard one."""

    user_id: str | UnsetType = UNSET
    slack_enabled: bool | UnsetType = UNSET
    email_enabled: bool | UnsetType = UNSET
    categories: dict[str, CellIn] | UnsetType = UNSET
    quiet_hours: Annotated[tuple[Hours, ...], Meta(max_length=20)] | UnsetType = UNSET
    digest: Digest | UnsetType | None = UNSET
    slack_channel: SlackChannel | UnsetType | None = UNSET
    email_address: EmailAddress | UnsetType | None = UNSET


class SwitchesOut(Struct, frozen=True):
    """The short form of preferences."""

    user_id: str
    slack_enabled: bool
    email_enabled: bool
    notify_on_safety_rollback: bool
    notify_on_experiment_lifecycle: bool
    notify_on_rollout_advance: bool
    slack_channel: str | None
    email_address: str | None


class SwitchesIn(Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is left out stays. Null is SLACK_DEFAULT_CHANNEL, and the user's own address."""

    user_id: str | UnsetType = UNSET
    slack_enabled: bool | UnsetType = UNSET
    email_enabled: bool | UnsetType = UNSET
    notify_on_safety_rollback: bool | UnsetType = UNSET
    notify_on_experiment_lifecycle: bool | UnsetType = UNSET
    notify_on_rollout_advance: bool | UnsetType = UNSET
    slack_channel: SlackChannel | UnsetType | None = UNSET
    email_address: EmailAddress | UnsetType | None = UNSET


def shown(user_id: str, wants: Preferences) -> PreferencesOut:
    cells = {name: Cell(*(wants.is_on(name, channel) for channel in CHANNELS)) for name in CATEGORIES}
    return PreferencesOut(
        user_id=user_id,
        slack_enabled=wants.slack_enabled,
        email_enabled=wants.email_enabled,
        categories=cells | {CRITICAL: Cell(slack=True, email=True, locked=True)},
        quiet_hours=wants.quiet_hours,
        digest=wants.digest,
        slack_channel=wants.slack_channel,
        email_address=wants.email_address,
    )


def switches(user_id: str, wants: Preferences) -> SwitchesOut:
    on = {
        switch: any(wants.is_on(category, channel) for channel in CHANNELS)
        for switch, category in ON_AS_A_WHOLE.items()
    }
    return SwitchesOut(
        user_id=user_id,
        slack_enabled=wants.slack_enabled,
        email_enabled=wants.email_enabled,
        **on,
        slack_channel=wants.slack_channel,
        email_address=wants.email_address,
    )


def with_cells(wants: Preferences, cells: dict[tuple[str, str], bool]) -> Preferences:
    """Only what differs from the standard is kept, so that the standard may change."""
    now = {(name, channel): wants.is_on(name, channel) for name in CATEGORIES for channel in CHANNELS} | cells
    standard = {(name, channel) for name, category in CATEGORIES.items() for channel in category.default}
    on = tuple(sorted(cell for cell, is_on in now.items() if is_on and cell not in standard))
    off = tuple(sorted(cell for cell, is_on in now.items() if not is_on and cell in standard))
    return replace(wants, on=on, off=off)


def common(call: Call, given: PreferencesIn | SwitchesIn, wants: Preferences) -> Preferences:
    """What both forms can change."""
    if given.user_id is not UNSET and given.user_id != call.by.who:
        raise Invalid("user_id", repr(given.user_id[:60]), f"your own, {call.by.who}")
    names = ("slack_enabled", "email_enabled", "slack_channel", "email_address")
    said = {name: getattr(given, name) for name in names}
    return replace(wants, **{name: value for name, value in said.items() if value is not UNSET})


def changed(call: Call, given: PreferencesIn, wants: Preferences) -> Preferences:
    wants = common(call, given, wants)
    if given.quiet_hours is not UNSET:
        for number, hours in enumerate(given.quiet_hours):
            check_hours(f"quiet_hours[{number}]", hours)
        wants = replace(wants, quiet_hours=given.quiet_hours)
    if given.digest is not UNSET:
        if given.digest is not None:
            check_zone("digest.time_zone", given.digest.time_zone)
        wants = replace(wants, digest=given.digest)
    cells: dict[tuple[str, str], bool] = {}
    for name, cell in ({} if given.categories is UNSET else given.categories).items():
        for channel in (*CHANNELS, "locked"):
            value = getattr(cell, channel)
            if value is UNSET:
                continue
            if name != CRITICAL and name not in CATEGORIES:
                raise Invalid("categories", repr(name[:60]), f"one of {', '.join(CATEGORIES)}")
            if name == CRITICAL and not value:
                raise Invalid(f"categories.{name}.{channel}", "false", "true: what is critical is always told")
            if channel == "locked" and value != (name == CRITICAL):
                raise Invalid(f"categories.{name}.locked", "true", "false: it is for Tocsin to say")
            if name != CRITICAL and channel != "locked":
                cells[name, channel] = value
    return with_cells(wants, cells)


def switched(call: Call, given: SwitchesIn, wants: Preferences) -> Preferences:
    """A switch that is on goes on as its category does by itself; one that is on already leaves the channels alone."""
    wants = common(call, given, wants)
    cells: dict[tuple[str, str], bool] = {}
    for switch, name in ON_AS_A_WHOLE.items():
        value = getattr(given, switch)
        if value is UNSET or value == any(wants.is_on(name, channel) for channel in CHANNELS):
            continue
        cells |= {(name, channel): value and channel in CATEGORIES[name].when_on for channel in CHANNELS}
    return with_cells(wants, cells)


async def own(call: Call) -> Preferences:
    """The caller's, made where there are none yet."""
    known = await store.get(call.app.db, call.tenant_id, call.by.who)
    if known is not None:
        return known
    async with call.app.db.transaction() as tx:
        wants = await store.get_to_change(tx, call.tenant_id, call.by.who) or Preferences()
        await save(call, tx, wants)
    return wants


async def save(call: Call, tx: Transaction, wants: Preferences) -> None:
    """With the endpoints that all preferences of the tenant need."""
    app, now_ms = call.app, call.app.clock_ms()
    await store.put(tx, call.tenant_id, call.by.who, wants, now_ms)
    wanted = endpoints_for(await store.everybody(tx, call.tenant_id), call.by.who)
    await store.keep_endpoints(tx, app.keyring, call.tenant_id, wanted, MADE, app.new_id, now_ms)


def endpoints_for(everybody: Sequence[store.Stored], me: str) -> list[store.Wanted]:
    found = []
    for user_id, wants in everybody:
        for channel in CHANNELS:
            settings = settings_of(Reader(user_id, wants), channel)
            if settings is not None:
                hint = str(settings["to"][0] if "to" in settings else settings.get("channel", "the common channel"))
                whose = user_id if channel == EMAIL else ""
                found.append(store.Wanted(PROVIDER_OF[channel], settings, hint, user_id == me, whose))
    return found


async def keep(
    call: Call,
    change: Callable[[Preferences], Preferences],
    show: Callable[[str, Preferences], Struct],
    by: Call | None = None,
) -> Response:
    """The caller's own preferences, changed, as `show` shows them. What waited for a place that was switched off goes
    out now. `by` is who really calls, where somebody else's are changed."""
    async with call.app.db.transaction() as tx:
        known = await store.get_to_change(tx, call.tenant_id, call.by.who) or Preferences()
        call.check_unchanged(show(call.by.who, known))
        wants = change(known)
        await save(call, tx, wants)
        user = call.by.who
        await (by or call).audit(tx, "preferences.update", "preferences", user, shown(user, known), shown(user, wants))
    call.app.deliver.wake()
    return tagged(show(call.by.who, wants))


async def get(call: Call) -> Response:
    return tagged(shown(call.by.who, await own(call)))


async def put(call: Call) -> Response:
    given = await call.body(PreferencesIn)
    return await keep(call, lambda known: changed(call, given, known), shown)


async def get_switches(call: Call) -> Response:
    return tagged(switches(call.by.who, await own(call)))


async def put_switches(call: Call) -> Response:
    given = await call.body(SwitchesIn)
    return await keep(call, lambda known: switched(call, given, known), switches)


ROUTES = (
    Route(
        method="GET",
        path="/v1/preferences",
        handler=get,
        summary="What you want to hear of, and where; made where there is nothing yet",
        role="viewer",
        answer=PreferencesOut,
    ),
    Route(
        method="PUT",
        path="/v1/preferences",
        handler=put,
        action="preferences.update",
        summary="Change what you want to hear of",
        role="viewer",
        body=PreferencesIn,
        if_match=True,
        answer=PreferencesOut,
    ),
    Route(
        method="GET",
        path="/api/v1/notifications/preferences",
        handler=get_switches,
        summary="The same in short",
        role="viewer",
        answer=SwitchesOut,
    ),
    Route(
        method="PUT",
        path="/api/v1/notifications/preferences",
        handler=put_switches,
        action="preferences.update",
        summary="Change it in short",
        role="viewer",
        body=SwitchesIn,
        if_match=True,
        answer=SwitchesOut,
    ),
)
