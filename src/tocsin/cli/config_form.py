"""What is written in a file, as the API takes it; and the other way round."""

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tocsin.cli.config_file import Entry
from tocsin.model.errors import Invalid
from tocsin.model.reference import is_reference
from tocsin.web.api.alert_rules import RuleIn, checked_rule, rule_of
from tocsin.web.api.alert_rules import shown as shown_rule
from tocsin.web.api.pipelines import NotificationsIn
from tocsin.web.api.preferences import PreferencesIn
from tocsin.web.api.silences import SilenceIn
from tocsin.web.api.webhooks import WebhookIn
from tocsin.web.exported import but_standard, plain, without_stamps

Json = dict[str, Any]

REFERENCE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)")
WEBHOOK_ID = re.compile(r"(?:whk_|new:).+")


# References to the environment.


def resolved(value: Any, environment: Mapping[str, str], missing: set[str]) -> Any:
    """With the values of the environment in the place of `env:NAME`; what is not set is None, and its name is noted."""
    if isinstance(value, dict):
        return {name: resolved(inner, environment, missing) for name, inner in value.items()}
    found = REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    if found[1] not in environment:
        missing.add(found[1])
    return environment.get(found[1])


def variable(name: str, field: str, taken: set[str]) -> str:
    """A name for the environment: `on-call`, `webhook_url` → `ON_CALL_WEBHOOK_URL`. It is added to `taken`."""
    word = re.sub(r"[^A-Z0-9]+", "_", f"{name}_{field}".upper()).strip("_")
    word = f"W_{word}" if word[:1].isdigit() or not word else word
    found, number = word, 2
    while found in taken:
        found, number = f"{word}_{number}", number + 1
    taken.add(found)
    return found


# Endpoints.

ENDPOINT_DEFAULTS: Json = plain(WebhookIn(provider_type="", name="-"))
SECRET_FIELDS = ("webhook_url", "secret", "headers")


def endpoint_exported(shown: Json, provider: Json, taken: set[str]) -> Json:
    """As a file has it: secrets are references to the environment."""
    name = shown["name"]
    found: Json = {"name": name, "provider_type": shown["provider_type"]}
    if provider["takes_address"]:
        url = shown["webhook_url"]
        found["webhook_url"] = url if is_reference(url) else f"env:{variable(name, 'webhook_url', taken)}"
    if shown["headers"]:
        found["headers"] = {header: f"env:{variable(name, header, taken)}" for header in shown["headers"]}
    secret = secret_settings(provider)
    settings = {
        setting: f"env:{variable(name, setting, taken)}" if setting in secret and not is_reference(value) else value
        for setting, value in shown["settings"].items()
    }
    is_active = shown["is_active"] or bool(shown["disabled_reason"])  # Tocsin's own switch is not a person's wish
    rest = shown | {"settings": settings, "is_active": is_active}
    for field in ("description", "enabled_events", "settings", "is_active", "digest", "templates"):
        if rest[field] != ENDPOINT_DEFAULTS[field]:
            found[field] = rest[field]
    return found


def secret_settings(provider: Json) -> set[str]:
    properties: dict[str, Json] = provider["settings"].get("properties", {})
    return {name for name, one in properties.items() if is_secret(one)}


def is_secret(schema: Json) -> bool:
    return bool(schema.get("writeOnly")) or any(is_secret(one) for one in schema.get("anyOf", ()))


# Rules.


def rule_form(entry: Entry) -> Json:
    """All fields of a rule, checked as far as it goes without a server; its endpoints are names."""
    given = entry.as_(RuleIn)
    try:
        rule = rule_of(given, "", "", "", 0)
        checked_rule(rule)
    except Invalid as error:
        raise entry.wrong(error) from None
    return without_stamps(plain(shown_rule(rule)))


def rule_body(entry: Entry, webhooks: Mapping[str, str]) -> Json:
    """`webhooks`: ids by name; an id stands for itself. Raises Wrong."""
    form = rule_form(entry)
    return form | {"webhook_endpoint_ids": ids_of(entry, form["webhook_endpoint_ids"], webhooks)}


def ids_of(entry: Entry, names: Iterable[str], webhooks: Mapping[str, str]) -> list[str]:
    found = []
    for number, name in enumerate(names):
        if name not in webhooks and not WEBHOOK_ID.fullmatch(name):
            expected = f"the name of an endpoint: {', '.join(sorted(webhooks)) or 'there is none'}"
            raise entry.wrong(Invalid(f"webhook_endpoint_ids[{number}]", repr(name), expected))
        found.append(webhooks.get(name, name))
    return found


# Silences.

SILENCE_FIELDS = ("matchers", "hours", "ends_at", "comment")
"""What can be changed of one that is known by its reason."""


def silence_form(entry: Entry) -> Json:
    given = entry.as_(SilenceIn)
    if given.duration_s is not None:
        expected = "ends_at: a duration would begin anew whenever the file is applied"
        raise entry.wrong(Invalid("duration_s", "a duration", expected))
    form = plain(given)
    return {**form, **{name: at(form[name]) for name in ("starts_at", "ends_at")}}


def silence_exported(shown: Json) -> Json:
    form = {"reason": shown["reason"], "matchers": shown["matchers"]}
    for name in ("hours", "starts_at", "ends_at", "comment"):
        if shown[name]:
            form[name] = shown[name]
    return form


def at(text: str | None) -> str | None:
    """A time as the API writes it."""
    if text is None:
        return None
    found = dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# Pipelines and preferences.


def pipeline_form(entry: Entry) -> list[Json]:
    """Its notifications, with every field; endpoints are names."""
    given = plain(entry.as_(NotificationsIn))
    return [one | {"condition": one["condition"] or ""} for one in given["notifications"]]


def pipeline_shown(shown: list[Json], names: Mapping[str, str]) -> list[Json]:
    return [without_stamps(one) | {"webhook_id": names.get(one["webhook_id"], one["webhook_id"])} for one in shown]


def pipeline_exported(shown: list[Json], names: Mapping[str, str]) -> Json:
    standard = plain(msgspec.convert({"notifications": [{"webhook_id": "-"}]}, NotificationsIn))["notifications"][0]
    standard |= {"condition": ""}
    return {"notifications": [but_standard(one, standard) for one in pipeline_shown(shown, names)]}


def in_any_order(notifications: list[Json]) -> list[str]:
    """For comparing: which comes first is for the server to say."""
    return sorted(json.dumps(one, sort_keys=True) for one in notifications)


def preferences_form(entry: Entry) -> Json:
    form: Json = plain(entry.as_(PreferencesIn))
    return form


def preferences_exported(shown: Json) -> Json:
    cells = {name: {"slack": one["slack"], "email": one["email"]} for name, one in shown["categories"].items()}
    cells.pop("critical", None)
    rest = {name: value for name, value in shown.items() if name not in ("user_id", "categories") and value is not None}
    return {name: value for name, value in rest.items() if value != []} | {"categories": cells}
