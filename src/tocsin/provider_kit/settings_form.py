"""An endpoint's settings, once: what is secret, what may be shown, and the form that they fill in."""

import inspect
import itertools
import re
from collections.abc import Mapping
from typing import Any, get_type_hints

import msgspec

from tocsin.model.reference import is_reference
from tocsin.provider_kit.text import masked

_SECRET: dict[type[Any], frozenset[str]] = {}


def secret_fields(settings_type: type[Any]) -> frozenset[str]:
    """The names of the fields that are `SecretText`, or may be."""
    if settings_type not in _SECRET:
        found: Any = msgspec.inspect.type_info(settings_type)
        _SECRET[settings_type] = frozenset(field.name for field in found.fields if is_secret(field.type))
    return _SECRET[settings_type]


def is_secret(found: Any) -> bool:
    if isinstance(found, msgspec.inspect.UnionType):
        return any(is_secret(one) for one in found.types)
    return isinstance(found, msgspec.inspect.Metadata) and bool((found.extra or {}).get("secret"))


def split(settings_type: type[Any], settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """What may be seen, and what is sealed."""
    secret = secret_fields(settings_type)
    seen = {name: value for name, value in settings.items() if name not in secret}
    return seen, {name: str(value) for name, value in settings.items() if name in secret and value}


def hinted(secrets: Mapping[str, str]) -> dict[str, str]:
    """Secret settings as they may be shown: the end of each, or the whole name of one that is kept elsewhere."""
    return {name: value if is_reference(value) else masked(value) for name, value in secrets.items()}


def form(settings_type: type[Any]) -> dict[str, Any]:
    """The settings as a JSON Schema (2020-12) of one object; secret ones are `writeOnly`, and `description` is what the
    docstring says of each."""
    (_,), components = msgspec.json.schema_components([settings_type])
    schema: dict[str, Any] = components[settings_type.__name__]
    said = said_of_fields(settings_type)
    schema["properties"] = {
        name: one | ({"description": said[name]} if name in said else {}) for name, one in schema["properties"].items()
    }
    others = {name: one for name, one in components.items() if name != settings_type.__name__}
    return schema | ({"$defs": others} if others else {})


def said_of_fields(settings_type: type[Any]) -> dict[str, str]:
    """A docstring's words by field: lines `name, name: words`, or sentences that begin with (or name) a `field`."""
    doc, names = inspect.getdoc(settings_type) or "", settings_type.__struct_fields__
    said: dict[str, str] = {}
    for found in re.finditer(r"^([a-z_]+(?:, [a-z_]+)*): (.+(?:\n +.+)*)", doc, re.MULTILINE):
        said |= dict.fromkeys(found[1].split(", "), " ".join(found[2].split()))
    sentences = re.split(r"(?<=\.) (?=[A-Z`])", " ".join(doc.split()))
    starts = [(re.match(r"`(\w+)`:? ?", one), one) for one in sentences]
    for name in names:
        if name in said:
            continue
        for number, (start, sentence) in enumerate(starts):
            if start is not None and start[1] == name:
                more = itertools.takewhile(lambda pair: "`" not in pair[1][:2], starts[number + 1 :])
                words = sentence[start.end() :] if start[0].rstrip().endswith(":") else sentence
                said[name] = " ".join([words, *(one for _, one in more)])
                break
        else:
            said[name] = next((one for one in sentences if f"`{name}`" in one), "")
    return {name: words for name, words in said.items() if words}


def adjusted(settings: Any, given: Mapping[str, Any]) -> Any:
    """The settings with these in the place of their own. Who gives them has checked them; where the others were changed
    since, so that they do not fit any more, they do not count."""
    if not given:
        return settings
    own = msgspec.to_builtins(msgspec.structs.asdict(settings))
    try:
        return msgspec.convert(own | dict(given), type(settings))
    except msgspec.ValidationError:
        return settings


def with_operator(
    groups: tuple[tuple[str, ...], ...], given: Mapping[str, Any], operator: Mapping[str, Any]
) -> tuple[dict[str, Any], bool]:
    """The settings with the operator's values where the endpoint sets nothing of a group, and whether it goes out
    through what is the operator's (the first group). Never half and half: an endpoint that names its own server must
    not be handed the operator's password for it."""
    settings = dict(given)
    trusted = False
    for number, names in enumerate(groups):
        if any(given.get(name) for name in names):
            continue
        found = {name: operator[name] for name in names if name in operator}
        settings |= found
        trusted |= number == 0 and bool(found)
    return settings, trusted


_SEEN: dict[type[Any], type[Any]] = {}


def seen_type(settings_type: type[Any]) -> type[Any]:
    """The settings as they are kept in sight: the same fields, but secret ones are any text or none."""
    secret = secret_fields(settings_type)
    if not secret:
        return settings_type
    if settings_type not in _SEEN:
        hints = get_type_hints(settings_type, include_extras=True)
        fields: list[Any] = []
        for field in msgspec.structs.fields(settings_type):
            if field.name in secret:
                fields.append((field.name, str, ""))
            elif field.default is not msgspec.NODEFAULT:
                fields.append((field.name, hints[field.name], field.default))
            elif field.default_factory is not msgspec.NODEFAULT:
                fields.append((field.name, hints[field.name], msgspec.field(default_factory=field.default_factory)))
            else:
                fields.append((field.name, hints[field.name]))
        checks = getattr(settings_type, "__post_init__", None)  # they check nothing that is secret
        own = {"__post_init__": checks} if checks else {}
        _SEEN[settings_type] = msgspec.defstruct(
            settings_type.__name__, fields, namespace=own, frozen=True, kw_only=True, forbid_unknown_fields=True
        )
    return _SEEN[settings_type]
