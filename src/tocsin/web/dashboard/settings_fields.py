"""A provider's settings, as `/v1/providers` describes them, to the fields of a form and back: pure functions.

A field of a form is called `settings.NAME`; what is left empty is not set, so that the provider's own value holds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from tocsin.model.errors import Invalid

PREFIX = "settings."
LONG_TEXT = 8192
"""Text that may be longer gets several lines."""

SHORT = {"id": "id", "url": "address", "smtp": "SMTP", "tls": "TLS", "api": "API", "ts": "timestamp", "ca": "CA"}


class Field(Struct, frozen=True, kw_only=True):
    """One setting. `kind`: text, area, secret, number, switch, choice, choices (several), lines (a list), json.
    `value` is a text, or for `choices` the list. `standard`: what holds where nothing is given. `kept`: the end of a
    secret that is set already, which stays where the field stays empty."""

    name: str
    label: str
    kind: str
    value: Any = ""
    options: tuple[str, ...] = ()
    hint: str = ""
    required: bool = False
    standard: str = ""
    kept: str = ""

    @property
    def field(self) -> str:
        return PREFIX + self.name


def label_of(name: str) -> str:
    """`smtp_host` → `SMTP host`."""
    words = " ".join(SHORT.get(word, word) for word in name.split("_"))
    return words[0].upper() + words[1:]


def kind_of(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        kinds = [kind_of(one) for one in schema["anyOf"] if one.get("type") != "null"]
        return "text" if len(kinds) > 1 else kinds[0]
    if "enum" in schema:
        return "choice"
    found = schema.get("type")
    if found == "boolean":
        return "switch"
    if found in ("integer", "number"):
        return "number"
    if found == "array":
        items = schema.get("items", {})
        return "choices" if "enum" in items else "lines" if items.get("type") == "string" else "json"
    if found == "object" or "$ref" in schema:
        return "json"
    if schema.get("maxLength", 0) >= LONG_TEXT:
        return "area"
    return "secret" if schema.get("writeOnly") else "text"


def written(kind: str, value: Any) -> Any:
    """A setting's value as its field shows it."""
    if value in (None, "", [], {}, ()) or (kind == "text" and value is False):
        return [] if kind == "choices" else ""
    if kind == "choices":
        return list(value)
    if kind == "switch":
        return "on" if value else ""
    if kind == "lines":
        return "\n".join(map(str, value))
    if kind == "json":
        return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
    if isinstance(value, bool):
        return "true" if value else ""
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return str(value)


def fields_of(
    schema: Mapping[str, Any],
    settings: Mapping[str, Any],
    form: Mapping[str, str] | None = None,
    many: Mapping[str, list[str]] | None = None,
) -> tuple[Field, ...]:
    """The fields, with these settings in them; with what a form sent, where it did."""
    found = []
    for name, one in schema["properties"].items():
        kind, hidden = kind_of(one), bool(one.get("writeOnly"))
        value = written(kind, settings.get(name, one.get("default")))
        standard = "" if kind in ("switch", "choice", "choices") else written(kind, one.get("default"))
        if hidden:
            value = ""
        elif form is not None:
            value = (many or {}).get(PREFIX + name, []) if kind == "choices" else form.get(PREFIX + name, "")
        elif name not in settings and kind in ("text", "number", "lines"):
            value = ""
        hint = one.get("description", "")
        found.append(
            Field(
                name=name,
                label=label_of(name),
                kind=kind,
                value=value,
                options=tuple(one.get("enum") or one.get("items", {}).get("enum") or ()),
                hint=hint[:1].upper() + hint[1:],
                required=name in schema.get("required", ()) and not (hidden and settings.get(name)),
                standard=standard,
                kept=str(settings.get(name, "")) if hidden else "",
            )
        )
    return tuple(found)


def settings_of(
    schema: Mapping[str, Any],
    form: Mapping[str, str],
    many: Mapping[str, list[str]],
    known: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What a form says. `known`: the settings so far, secrets as they are shown, which stay where their field is empty.
    Raises Invalid."""
    found: dict[str, Any] = {}
    for name, one in schema["properties"].items():
        kind, text = kind_of(one), form.get(PREFIX + name, "").strip()
        if kind == "switch":
            found[name] = bool(text)
        elif kind == "choices":
            if given := many.get(PREFIX + name, []):
                found[name] = given
        elif text:
            found[name] = meant(name, kind, one, text)
        elif one.get("writeOnly") and (known or {}).get(name):
            found[name] = (known or {})[name]
    return found


def meant(name: str, kind: str, schema: Mapping[str, Any], text: str) -> Any:
    if kind == "number":
        try:
            return int(text)
        except ValueError:
            raise Invalid(PREFIX + name, repr(text[:40]), "a whole number") from None
    if kind == "lines":
        return [line.strip() for line in text.replace(",", "\n").splitlines() if line.strip()]
    if kind == "json":
        try:
            return msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            raise Invalid(PREFIX + name, f"malformed JSON ({error})"[:120], "JSON") from None
    types = {one.get("type") for one in schema.get("anyOf", ())}
    if "boolean" in types and text.lower() in ("true", "yes", "false", "no"):
        return text.lower() in ("true", "yes")
    if "integer" in types and text.lstrip("-").isdecimal():
        return int(text)
    return text


def first_and_others(fields: Sequence[Field], first: Sequence[str]) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    """What everybody fills in, and the rest."""
    wanted = tuple(one for one in fields if one.required or one.kept or one.name in first)
    return wanted, tuple(one for one in fields if one not in wanted)
