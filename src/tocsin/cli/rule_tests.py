"""Tests of rules: events and what should come of them, run offline by the functions that decide in production."""

import datetime as dt
import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from tocsin.cli.config_file import Entry, Files
from tocsin.model.endpoint import Options
from tocsin.model.errors import Invalid
from tocsin.model.noise import Noise
from tocsin.model.rule import Rule
from tocsin.model.world import Silence
from tocsin.model.yaml_text import Wrong
from tocsin.provider_kit.provider import Tuning
from tocsin.provider_kit.text import duration
from tocsin.providers import PROVIDERS
from tocsin.rules.simulate import Setup, Simulation, Step
from tocsin.sources.native import decode_native
from tocsin.stages.intake import as_event
from tocsin.stages.intake.config import compiled
from tocsin.store.database import Row
from tocsin.store.intake import Config
from tocsin.web.api.alert_rules import NOISE, RuleIn, checked_rule, rule_of
from tocsin.web.api.pipelines import Notification, NotificationsIn
from tocsin.web.api.rule_preview import as_setup
from tocsin.web.api.silences import SilenceIn, check_all_hours, check_end, check_matchers, span, start_of
from tocsin.web.api.webhooks import WebhookIn, provider_of

TENANT = "test"
NOON = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
"""A Monday: when a test begins that does not say."""

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
SPAN = re.compile(r"([0-9]{1,7}(?:\.[0-9]{1,3})?) ?(ms|[smhd])")


class StepIn(Struct, frozen=True, forbid_unknown_fields=True):
    """Time passes (`after`: 90s, 10m, 2h, 1d), then an event comes in, if one is given. Expectations: `notified`, the
    endpoints that got a message since the step before, one by one; `suppressed`, a part of the reason why somebody was
    not told."""

    after: str = "0s"
    event: dict[str, Any] | None = None
    notified: tuple[str, ...] | None = None
    suppressed: str | None = None


class ScenarioIn(Struct, frozen=True, forbid_unknown_fields=True):
    """`at`: when it begins. Nothing has happened before."""

    name: str
    steps: Annotated[tuple[StepIn, ...], Meta(min_length=1, max_length=1000)]
    at: Annotated[dt.datetime, Meta(tz=True)] = NOON


class Checked(Struct, frozen=True):
    """A step and what came of it. `result`: ok, FAILED, or "" where nothing was expected."""

    test: str
    step: int
    at: str
    event: str
    expected: str
    found: str
    result: str


def run(files: Files) -> list[Checked]:
    """Raises Wrong for what cannot be read."""
    return [row for entry in files.entries("tests") for row in run_one(files, entry)]


def run_one(files: Files, entry: Entry) -> list[Checked]:
    test = entry.as_(ScenarioIn)
    start_ms = now_ms = int(test.at.timestamp() * 1000)
    setup = setup_of(files, now_ms)
    known = {channel.name for channel in setup.channels.values()}
    simulation = Simulation(setup, start_ms)
    rows = []
    for number, step in enumerate(test.steps):
        place = f"steps[{number}]"
        for name in step.notified or ():
            if name not in known:
                expected = f"an endpoint that a rule leads to: {', '.join(sorted(known))}"
                raise entry.wrong(Invalid(f"{place}.notified", repr(name), expected))
        now_ms += span_ms(entry, f"{place}.after", step.after)
        steps = simulation.wait(now_ms)
        if step.event is not None:
            steps.append(taken(entry, f"{place}.event", step.event, simulation, now_ms))
        notified = [send.channel.name for send in simulation.sent(now_ms)]
        reasons = reasons_of(simulation, steps)
        rows.append(
            Checked(
                test=test.name,
                step=number + 1,
                at=f"+{duration(now_ms - start_ms)}" if now_ms > start_ms else "",
                event=str((step.event or {}).get("type", "")),
                expected=expected_of(step),
                found=found_of(notified, reasons),
                result=result_of(step, notified, reasons),
            )
        )
    return rows


def taken(entry: Entry, field: str, event: dict[str, Any], simulation: Simulation, now_ms: int) -> Step:
    """The event, read as `POST /v1/events` reads it."""
    try:
        (draft,) = decode_native(msgspec.json.encode(event))
    except Invalid as error:
        raise entry.wrong(Invalid(f"{field}.{error.field}", error.found, error.expected)) from None
    return simulation.take(as_event(draft, f"evt_{now_ms}", TENANT, now_ms), now_ms)


def reasons_of(simulation: Simulation, steps: Sequence[Step]) -> list[str]:
    """Why somebody was not told in these steps, each reason once."""
    found = []
    for step in steps:
        found += [simulation.reason(send) for send in step.plan.sends if send.suppressed]
        found += [said.reason for said in step.plan.decisions if said.verdict == "suppressed"]
    return list(dict.fromkeys(reason for reason in found if reason))


def expected_of(step: StepIn) -> str:
    parts = []
    if step.notified is not None:
        parts.append(f"notified: {', '.join(step.notified) or 'nobody'}")
    if step.suppressed is not None:
        parts.append(f"suppressed: {step.suppressed}")
    return "; ".join(parts)


def found_of(notified: Sequence[str], reasons: Sequence[str]) -> str:
    told = f"notified: {', '.join(notified) or 'nobody'}"
    return f"{told}; suppressed: {' | '.join(reasons)}" if reasons else told


def result_of(step: StepIn, notified: Sequence[str], reasons: Sequence[str]) -> str:
    if step.notified is None and step.suppressed is None:
        return ""
    told = step.notified is None or Counter(step.notified) == Counter(notified)
    why = step.suppressed is None or any(step.suppressed in reason for reason in reasons)
    return "ok" if told and why else "FAILED"


def span_ms(entry: Entry, field: str, text: str) -> int:
    found = SPAN.fullmatch(text)
    if found is None:
        raise entry.wrong(Invalid(field, repr(text[:40]), "a time span such as 90s, 10m, 2h or 1d"))
    number, unit = float(found[1]), found[2]
    return round(number * (1 if unit == "ms" else UNITS[unit] * 1000))


# What decides, made of the files alone.


def setup_of(files: Files, now_ms: int) -> Setup:
    """Endpoints are known by their names here. Where none is described, each that a rule names is one of people's.
    Preferences do not count: what they lead to is the operator's to set up."""
    rows = {entry.name: endpoint_row(entry) for entry in files.entries("endpoints")}
    rules: list[Rule] = []
    for entry in files.entries("rules"):
        rule = rule_from(entry, len(rules))
        for place, name in enumerate(rule.endpoint_ids):
            checked_name(entry, f"webhook_endpoint_ids[{place}]", name, rows)
        rules.append(rule)
    for entry in files.entries("pipelines"):
        for place, given in enumerate(entry.as_(NotificationsIn).notifications):
            rules.append(rule_for_pipeline(entry, place, given, len(rules)))
            checked_name(entry, f"notifications[{place}].webhook_id", given.webhook_id, rows)
    if not rows:
        names = {name for rule in rules for name in rule.endpoint_ids}
        rows = {name: row_of(name, WebhookIn(provider_type="slack", name=name)) for name in sorted(names)}
    silences = tuple(silence_from(entry, now_ms) for entry in files.entries("silences"))
    config = Config(list(rows.values()), [rule for rule in rules if rule.is_active], silences)
    tuning = {kind: Tuning(None, provider.timeout_s, None) for kind, provider in PROVIDERS.items()}
    return as_setup(TENANT, compiled(0, TENANT, config, tuning))


def checked_name(entry: Entry, field: str, name: str, rows: dict[str, Row]) -> None:
    if rows and name not in rows:
        raise entry.wrong(Invalid(field, repr(name), f"the name of an endpoint: {', '.join(rows)}"))


def rule_for_pipeline(entry: Entry, place: int, given: Notification, number: int) -> Rule:
    """What is said of a pipeline, as the rule that it becomes."""
    rule = Rule(
        id=f"rul_{number:06}",
        tenant_id=TENANT,
        name=f"{entry.name}: {given.webhook_id}",
        event_types=given.events,
        pipelines=(entry.name,),
        labels=given.labels,
        condition=given.condition or "",
        endpoint_ids=(given.webhook_id,),
        noise=Noise(**{field: getattr(given, field) for field in NOISE}),
        is_active=given.is_active,
    )
    try:
        checked_rule(rule)
    except Invalid as error:
        raise entry.wrong(Invalid(f"notifications[{place}].{error.field}", error.found, error.expected)) from None
    return rule


def rule_from(entry: Entry, number: int) -> Rule:
    """Rules count in the order in which they stand."""
    given = entry.as_(RuleIn)
    try:
        rule = rule_of(given, f"rul_{number:06}", TENANT, "", 0)
        checked_rule(rule)
    except Invalid as error:
        raise entry.wrong(error) from None
    return rule


def endpoint_row(entry: Entry) -> Row:
    given = entry.as_(WebhookIn)
    try:
        provider_of(given.provider_type)
    except Invalid as error:
        raise entry.wrong(error) from None
    return row_of(entry.name, given)


def row_of(name: str, given: WebhookIn) -> Row:
    """As `config_endpoints` names its columns."""
    types, settings = msgspec.json.encode(given.enabled_events), msgspec.json.encode(given.settings)
    options = msgspec.json.encode(Options(given.digest, given.templates))
    return name, "", given.provider_type, name, types, settings, options, int(given.is_active), "", 1, ""


def silence_from(entry: Entry, now_ms: int) -> Silence:
    given = entry.as_(SilenceIn)
    try:
        check_matchers(given.matchers)
        check_all_hours(given.hours)
        starts_ms = start_of(given, now_ms)
        ends_ms = span(now_ms, starts_ms, given.ends_at, given.duration_s, from_ms=starts_ms)
        check_end(ends_ms, given.hours)
    except Invalid as error:
        raise entry.wrong(error) from None
    return Silence(
        id="silence",
        matchers=given.matchers,
        starts_ms=starts_ms,
        ends_ms=ends_ms,
        hours=given.hours,
        reason=given.reason,
    )


__all__ = ["Checked", "Wrong", "run"]
