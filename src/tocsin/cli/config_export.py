"""What a server has, as a file would say it."""

from collections.abc import Sequence
from typing import Any

from tocsin.cli import config_form as form
from tocsin.cli.config_form import Json
from tocsin.web.exported import rule_exported


def exported(known: Json, providers: Sequence[Json]) -> tuple[list[tuple[str, Any]], list[str]]:
    """The sections, and notes about what is not in them. Raises ValueError where two objects have one name."""
    notes: list[str] = []
    names = {one["id"]: one["name"] for one in known["endpoints"]}
    for section in ("endpoints", "rules"):
        once(section, [one["name"] for one in known[section]])
    by_kind = {one["provider_type"]: one for one in providers}
    taken: set[str] = set()
    silences: dict[str, Json] = {}
    for one in known["silences"]:
        if not one["reason"] or one["reason"] in silences:
            notes.append(f"silence {one['id']} has no reason of its own, by which it could be known: left out")
        else:
            silences[one["reason"]] = form.silence_exported(one)
    sections: list[tuple[str, Any]] = [
        (
            "endpoints",
            [form.endpoint_exported(one, by_kind[one["provider_type"]], taken) for one in known["endpoints"]],
        ),
        ("rules", [rule_exported(one, names) for one in known["rules"]]),
        ("silences", list(silences.values())),
        ("pipelines", {name: form.pipeline_exported(one, names) for name, one in known["pipelines"].items()}),
    ]
    if known["preferences"] is None:
        notes.append("preferences are left out: only an admin's token sees everybody's")
    else:
        everybodys = {user: form.preferences_exported(one) for user, one in known["preferences"].items()}
        sections.append(("preferences", everybodys))
    return [(name, value) for name, value in sections if value], notes


def once(section: str, names: Sequence[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"Two {section} are called “{twice}”: in a file they are known by their names. Rename one.")
