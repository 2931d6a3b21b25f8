"""What has to be done so that a server has what the files say, and what that changes for the last events."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from tocsin.cli import config_form as form
from tocsin.cli.client import Refused
from tocsin.cli.config_file import Entry, Files
from tocsin.cli.config_form import Json
from tocsin.model.errors import Invalid
from tocsin.model.yaml_text import Wrong
from tocsin.web.api.webhooks import WebhookIn
from tocsin.web.exported import rule_shown

Ask = Callable[[str, str, Any], Any]
"""Method, path, body; raises Refused."""

HIDDEN = "***"
FILLED_IN = ("signature_header", "user_id")
"""Settings that the server fills in where they are not given."""

IN_LIST = re.compile(r"\w+\[(\d+)\]\.?(.*)")


class Difference(Struct, frozen=True):
    """A field and its values; secret ones are hidden."""

    field: str
    before: Any
    after: Any


class Change(Struct, frozen=True):
    """One object: `action` is create, change or delete. `entry` is what the file says of it, None where it is to be
    deleted. `said`: what it changes for the last events."""

    section: str
    name: str
    action: str
    differences: tuple[Difference, ...] = ()
    id: str = ""
    body: Json = {}
    entry: Entry | None = None
    said: str = ""


class Plan(Struct):
    """`changes` in the order in which they have to be made. `ids`: of endpoints, by name; `new:` and the name for those
    to come. `said`: what all of it changes for the last events."""

    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ids: dict[str, str] = field(default_factory=dict)
    said: str = ""


def made(ask: Ask, files: Files, environment: Mapping[str, str], *, prune: bool, last: int) -> Plan:
    """`environment`: where `env:NAME` is looked up. Raises Wrong and Refused."""
    planning = _Planning(ask, files, environment)
    planning.endpoints()
    planning.rules()
    planning.silences()
    planning.pipelines()
    planning.preferences()
    if prune:
        planning.deletions()
    planning.preview(last)
    return planning.plan


class _Planning:
    def __init__(self, ask: Ask, files: Files, environment: Mapping[str, str]) -> None:
        self.ask = ask
        self.files = files
        self.environment = environment
        self.known: Json = ask("GET", "/v1/config", None)
        self.names = {one["id"]: one["name"] for one in self.known["endpoints"]}
        self.plan = Plan()
        self.wanted_endpoints: list[Json] = []

    def by(self, section: str, key: str) -> dict[str, Json]:
        """What is there, by name. Raises Wrong where a name of the files is there twice."""
        wanted = {entry.name: entry for entry in self.files.entries(section)}
        found: dict[str, Json] = {}
        for one in self.known[section]:
            name = one[key]
            if name in found and name in wanted:
                raise wanted[name].about(key, f"the server has two called “{name}”: rename one there")
            found[name] = one
        return found

    # Section by section.

    def endpoints(self) -> None:
        known = self.by("endpoints", "name")
        entries = self.files.entries("endpoints")
        self.plan.ids = {name: one["id"] for name, one in known.items()}
        self.plan.ids |= {entry.name: f"new:{entry.name}" for entry in entries if entry.name not in known}
        if not entries:
            return
        providers = {one["provider_type"]: one for one in self.ask("GET", "/v1/providers", None)["items"]}
        bodies = [self.endpoint(entry, known.get(entry.name)) for entry in entries]
        try:
            compared = self.ask("POST", "/v1/config/compare", {"endpoints": bodies})["items"]
        except Refused as refused:
            raise in_list(entries, refused) from None
        for entry, body, one in zip(entries, bodies, compared, strict=True):
            wanted = {name: value for name, value in body.items() if name != "id" and value is not None}
            if not body["id"]:
                kind = Difference("provider_type", None, body["provider_type"])
                change = Change("endpoints", entry.name, "create", (kind,), body=wanted, entry=entry)
            elif one["changed"]:
                secret = form.secret_settings(providers[body["provider_type"]])
                differences = tuple(endpoint_differences(one["changed"], known[entry.name], entry.value, body, secret))
                wanted = {name: body[name] for name in one["changed"]}
                change = Change("endpoints", entry.name, "change", differences, body["id"], wanted, entry)
            else:
                continue
            self.plan.changes.append(change)
            self.wanted_endpoints.append(body)

    def endpoint(self, entry: Entry, known: Json | None) -> Json:
        """All fields, with the environment's values. Null is left as it is, and so is what is not set there."""
        entry.as_(WebhookIn)
        value = entry.value
        missing: set[str] = set()
        given = {name: form.resolved(value[name], self.environment, missing) for name in value}
        for name in sorted(missing):
            place = place_of_reference(value, name)
            if known is None:
                raise entry.wrong(Invalid(place, "none", f"a variable {name} in the environment"))
            self.plan.notes.append(str(entry.about(place, f"{name} is not set: what is there stays")))
        if known is not None:
            shown = known["settings"]
            given["settings"] = {
                name: shown.get(name) if inner is None else inner for name, inner in given.get("settings", {}).items()
            }
        headers = given.get("headers", {})
        body = form.ENDPOINT_DEFAULTS | {"webhook_url": None, "secret": None} | given
        body["headers"] = None if None in headers.values() else headers
        return body | {"id": known["id"] if known else ""}

    def rules(self) -> None:
        known = self.by("rules", "name")
        for entry in self.files.entries("rules"):
            wanted = form.rule_form(entry)
            form.ids_of(entry, wanted["webhook_endpoint_ids"], self.plan.ids)
            there = known.get(entry.name)
            self.compared("rules", entry, wanted, there and rule_shown(there, self.names), there)

    def silences(self) -> None:
        known = self.by("silences", "reason")
        for entry in self.files.entries("silences"):
            wanted = form.silence_form(entry)
            there = known.get(entry.name)
            if there is not None:
                if wanted["starts_at"] not in (None, there["starts_at"]):
                    raise entry.wrong(Invalid("starts_at", wanted["starts_at"], f"{there['starts_at']}, which stays"))
                wanted = {name: wanted[name] for name in form.SILENCE_FIELDS}
            elif wanted["ends_at"] is not None and wanted["ends_at"] <= self.known["at"]:
                self.plan.notes.append(str(entry.about("ends_at", "it is over, and is not made anew")))
                continue
            self.compared("silences", entry, wanted, there, there)

    def compared(self, section: str, entry: Entry, wanted: Json, before: Json | None, there: Json | None) -> None:
        """A change for what is not as it should be; none where all of it is."""
        if before is None or there is None:
            self.plan.changes.append(Change(section, entry.name, "create", body=wanted, entry=entry))
            return
        differences = tuple(
            Difference(name, before[name], value) for name, value in wanted.items() if before[name] != value
        )
        if differences:
            body = {one.field: one.after for one in differences}
            self.plan.changes.append(Change(section, entry.name, "change", differences, there["id"], body, entry))

    def pipelines(self) -> None:
        for entry in self.files.entries("pipelines"):
            wanted = form.pipeline_form(entry)
            for number, one in enumerate(wanted):
                name = one["webhook_id"]
                if name not in self.plan.ids and not form.WEBHOOK_ID.fullmatch(name):
                    place = f"notifications[{number}].webhook_id"
                    raise entry.wrong(Invalid(place, repr(name), "the name of an endpoint"))
            before = form.pipeline_shown(self.known["pipelines"].get(entry.name, []), self.names)
            if form.in_any_order(before) != form.in_any_order(wanted):
                differences = (Difference("notifications", before, wanted),)
                action = "change" if before else "create"
                body = {"notifications": wanted}
                self.plan.changes.append(Change("pipelines", entry.name, action, differences, "", body, entry))

    def preferences(self) -> None:
        for entry in self.files.entries("preferences"):
            wanted = form.preferences_form(entry)
            if self.known["preferences"] is None:
                raise entry.about("", "only an admin's token may set everybody's preferences")
            before = self.known["preferences"].get(entry.name)
            differences = tuple(preference_differences(before or {}, wanted))
            if before is None or differences:
                action = "change" if before else "create"
                self.plan.changes.append(Change("preferences", entry.name, action, differences, "", wanted, entry))

    def deletions(self) -> None:
        """What is there and not in the files, of the sections that they have. What cannot be named stays."""
        for section, key in (("pipelines", ""), ("rules", "name"), ("silences", "reason"), ("endpoints", "name")):
            if section not in self.files.sections:
                continue
            named = {entry.name for entry in self.files.entries(section)}
            there = self.known[section]
            gone = [(one[key], one["id"]) for one in there] if key else [(name, "") for name in there]
            self.plan.changes += [
                Change(section, name, "delete", id=id_) for name, id_ in gone if name and name not in named
            ]

    # What it changes for the last events.

    def preview(self, last: int) -> None:
        """Has the server plan the last events anew, with the changes and without them."""
        changes = self.plan.changes
        if not any(change.section in ("endpoints", "rules", "pipelines") for change in changes):
            return
        pipelines = [(one.name, self.notifications(one)) for one in changes if one.section == "pipelines"]
        rules = [one for one in changes if one.section == "rules"]
        body = {
            "endpoints": self.wanted_endpoints,
            "rules": [
                form.rule_body(one.entry, self.plan.ids) | {"id": one.id} for one in rules if one.entry is not None
            ],
            "pipelines": [
                {"name": name, "notifications": notifications}
                for name, notifications in pipelines
                if not any(one["webhook_id"].startswith("new:") for one in notifications)
            ],
            "deleted": [one.id for one in changes if one.action == "delete" and one.id],
            "last": last,
        }
        found = self.ask("POST", "/v1/config/preview", body)
        off = [f"{feature} is switched off: {why}." for feature, why in found["switched_off"].items()]
        self.plan.said = " ".join([found["change"], *off])
        said = {
            (
                one["rule"],
                one["rule_id"],
            ): f"last {found['events']} events: {one['before']} → {one['after']} notifications"
            for one in found["rules"]
        }
        self.plan.changes = [
            replace(one, said=said.get((one.name, one.id), "")) if one.section == "rules" else one for one in changes
        ]

    def notifications(self, change: Change) -> list[Json]:
        given: Iterable[Json] = change.body.get("notifications", ())
        return [one | {"webhook_id": self.plan.ids.get(one["webhook_id"], one["webhook_id"])} for one in given]


def in_list(entries: Sequence[Entry], refused: Refused) -> Wrong | Refused:
    """What the server says of one of a list, as an error about its entry."""
    found = IN_LIST.fullmatch(refused.field)
    return entries[int(found[1])].about(found[2], refused.said) if found else refused


def place_of_reference(value: Any, name: str, place: str = "") -> str:
    """Where a file refers to this variable."""
    if value == f"env:{name}":
        return place
    for key, inner in value.items() if isinstance(value, dict) else ():
        if found := place_of_reference(inner, name, f"{place}.{key}".lstrip(".")):
            return found
    return ""


def endpoint_differences(
    changed: Sequence[str], before: Json, raw: Json, body: Json, secret: set[str]
) -> Iterator[Difference]:
    """`raw` is what the file says, where secrets are references; `secret` are the settings that nobody may see."""
    for name in changed:
        if name in form.SECRET_FIELDS:
            reference = raw.get(name)
            is_reference = isinstance(reference, str) and form.REFERENCE.fullmatch(reference)
            shown = before.get(name) if name == "webhook_url" else HIDDEN
            yield Difference(name, shown, reference if is_reference else HIDDEN)
        elif name == "settings":
            yield from settings_differences(before["settings"], body["settings"], secret)
        else:
            yield Difference(name, before[name], body[name])


def settings_differences(before: Json, after: Json, secret: set[str]) -> Iterator[Difference]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new and not (name in FILLED_IN and name not in after):
            hidden = name in secret and new is not None
            yield Difference(f"settings.{name}", old, HIDDEN if hidden else new)


def preference_differences(before: Json, wanted: Json) -> Iterator[Difference]:
    for name, value in wanted.items():
        if name == "user_id":
            continue
        if name != "categories":
            if before.get(name) != value:
                yield Difference(name, before.get(name), value)
            continue
        for category, cell in value.items():
            known = before.get("categories", {}).get(category, {})
            for channel, is_on in cell.items():
                if known.get(channel) != is_on:
                    yield Difference(f"categories.{category}.{channel}", known.get(channel), is_on)
