"""Whatever sends JSON of a shape of its own: paths to fields, written down once as the settings of a source.

A path is names and places, one in the other: `job.name`, `steps[0].state`, `steps[-1]`, `meta["a name.with dots"]`;
`$` is the whole. With `items` the body holds several events, paths begin at each of them, and those that begin with
`$.` at the body. Nothing is computed, nothing loops: what is not there is left out.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from tocsin.model.errors import Invalid
from tocsin.sources.draft import MAX_EVENTS, Draft
from tocsin.sources.fitting import at, draft, plain, text
from tocsin.sources.incoming import Incoming, Source, Taken, json_value

MESSAGE_ID = "x-tocsin-message-id"
"""Where `tocsin bridge` names what it forwards, so that what it sends again is known. `id` says it better."""
MOST_STEPS = 20
STEP = re.compile(r'\.([\w@-]+)|\[(-?\d{1,6})\]|\["([^"\\]{1,200})"\]')
IN_TEXT = re.compile(r"\{([^{}]*)\}")
SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
EXPECTED = 'a path such as job.name, steps[0].state or meta["a name"]'

Path = Annotated[str, Meta(max_length=300)]
Words = Annotated[str, Meta(max_length=2000)]


class From(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a field comes from: the first of `paths` (or the one `path`) that leads to something, a request's `header`,
    a constant `value`, or `text` with paths in braces. `map` turns what was found into something else, `default` stands
    in for nothing, and for what the map does not name."""

    path: Path = ""
    paths: Annotated[list[Path], Meta(max_length=10)] = []
    header: Annotated[str, Meta(max_length=100)] = ""
    value: Words = ""
    text: Words = ""
    map: Annotated[dict[str, Words], Meta(max_length=200)] = {}
    default: Words = ""


One = Path | From
Many = Annotated[dict[Annotated[str, Meta(min_length=1, max_length=128)], One], Meta(max_length=64)]


class Settings(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A mapping. `type` is all it needs; an event whose type comes out empty is ignored. `data` may be one path: the
    object there is taken whole. `id` makes one event of what is sent twice."""

    type: One
    id: One = ""
    source: One = ""
    pipeline: One = ""
    run_id: One = ""
    stage: One = ""
    time: One = ""
    severity: One = ""
    title: One = ""
    message: One = ""
    labels: Many = {}
    data: Many | Path = {}
    links: Many = {}
    items: Path = ""


SCALARS = ("type", "id", "source", "pipeline", "run_id", "stage", "time", "severity", "title", "message")


class Input(Struct, frozen=True):
    item: Any
    body: Any
    headers: Mapping[str, str]


@lru_cache(maxsize=4096)
def steps(path: str) -> tuple[str | int, ...]:
    """What a path leads through. Raises ValueError for what is none."""
    rest = path[1:] if path.startswith("$") else path if path.startswith("[") else f".{path}"
    found: list[str | int] = []
    place = 0
    while place < len(rest):
        step = STEP.match(rest, place)
        if step is None:
            raise ValueError(path)
        found.append(step[1] or step[3] or int(step[2]))
        place = step.end()
    if len(found) > MOST_STEPS:
        raise ValueError(path)
    return tuple(found)


def check_settings(settings: Settings) -> None:
    """Raises Invalid for a path that is none, naming the field."""
    for field, one in every_field(settings):
        check_field(field, one)
    if settings.items:
        check_path("items", settings.items)
    if isinstance(settings.data, str) and settings.data:
        check_path("data", settings.data)
    if not settings.type or settings.type == From():
        raise Invalid("settings.type", "nothing", f"{EXPECTED}, or an object with path, value or text")


def every_field(settings: Settings) -> Iterator[tuple[str, One]]:
    for name in SCALARS:
        yield name, getattr(settings, name)
    for group in ("labels", "data", "links"):
        many = getattr(settings, group)
        for name, one in (many if isinstance(many, dict) else {}).items():
            yield f"{group}.{name}", one


def check_field(field: str, one: One) -> None:
    if isinstance(one, str):
        if one:
            check_path(field, one)
        return
    given = [name for name in ("path", "paths", "header", "value", "text") if getattr(one, name)]
    if len(given) > 1:
        raise Invalid(f"settings.{field}", " and ".join(given), "one of path, paths, header, value and text")
    if one.header.lower() in SECRET_HEADERS:
        raise Invalid(f"settings.{field}.header", repr(one.header), "another header: what is secret is not for events")
    for path in (one.path, *one.paths):
        if path:
            check_path(field, path)
    for path in IN_TEXT.findall(one.text):
        check_path(f"{field}.text", path)


def check_path(field: str, path: str) -> None:
    try:
        if not path:
            raise ValueError
        steps(path)
    except ValueError:
        raise Invalid(f"settings.{field}", repr(path[:60]), EXPECTED) from None


def read(incoming: Incoming) -> Taken:
    if not incoming.settings:
        raise Invalid("settings", "none", "a mapping: send to the address of a source of this kind")
    settings = msgspec.convert(incoming.settings, Settings)
    body = json_value(incoming.body)
    if not isinstance(body, dict | list):
        raise Invalid("", "a plain value", "a JSON object")
    items = at_path(body, settings.items) if settings.items else [body]
    if not isinstance(items, list):
        raise Invalid(settings.items, "nothing" if items is None else "something else", "a list of events")
    if len(items) > MAX_EVENTS:
        raise Invalid(settings.items, f"{len(items)} events", f"at most {MAX_EVENTS}")
    drafts = [of_item(settings, Input(item, body, incoming.headers), number) for number, item in enumerate(items)]
    found = tuple(one for one in drafts if one is not None)
    return Taken(found) if found else Taken(ignored=nothing_in(settings, items, body, incoming.headers))


def nothing_in(settings: Settings, items: list[Any], body: Any, headers: Mapping[str, str]) -> str:
    """Why the mapping made no event."""
    if not items:
        return f"{settings.items} is an empty list"
    one = settings.type
    found = raw(one, Input(items[0], body, headers))
    if found is None:
        wanted = one if isinstance(one, str) else one.path or ", ".join(one.paths) or one.header or "what type names"
        return f"there is nothing at {wanted}, so the event has no type"
    return f"the mapping names no type for {text(found)[:60]!r}"


def of_item(settings: Settings, given: Input, number: int) -> Draft | None:
    type_ = words(settings.type, given)
    if not type_:
        return None
    if isinstance(settings.data, str):
        whole = at_path_of(settings.data, given) if settings.data else {}
        data = whole if isinstance(whole, dict) else {"value": whole}
    else:
        data = {name: value_of(one, given) for name, one in settings.data.items()}
    return draft(
        source=words(settings.source, given) or "mapping",
        type=type_,
        id=words(settings.id, given) or (f"{sent}/{number}" if (sent := given.headers.get(MESSAGE_ID)) else None),
        pipeline=words(settings.pipeline, given),
        run_id=words(settings.run_id, given),
        stage=words(settings.stage, given),
        time=value_of(settings.time, given),
        severity=words(settings.severity, given).lower(),
        title=words(settings.title, given),
        message=words(settings.message, given),
        labels={name: words(one, given) for name, one in settings.labels.items()},
        data=data,
        links={name: words(one, given) for name, one in settings.links.items()},
    )


def words(one: One, given: Input) -> str:
    found = value_of(one, given)
    return msgspec.json.encode(plain(found)).decode() if isinstance(found, dict | list) else text(found)


def value_of(one: One, given: Input) -> Any:
    """What a field becomes; None where there is nothing."""
    found = raw(one, given)
    if isinstance(one, str):
        return found
    if one.map and found is not None:
        found = mapped(one.map, text(found))
        return one.default or None if found is None else found
    return one.default or None if found in (None, "") else found


def mapped(names: Mapping[str, str], said: str) -> str | None:
    """As it is written, else whatever its case; None where it is not named."""
    known = names.get(said)
    return known if known is not None else next((names[name] for name in names if name.lower() == said.lower()), None)


def raw(one: One, given: Input) -> Any:
    """What there is, before map and default."""
    if isinstance(one, str):
        return at_path_of(one, given) if one else None
    if one.value:
        return one.value
    if one.header:
        return given.headers.get(one.header.lower())
    if one.text:
        return IN_TEXT.sub(lambda found: text(at_path_of(found[1], given)), one.text)
    found = (at_path_of(path, given) for path in (one.path, *one.paths) if path)
    return next((value for value in found if value not in (None, "")), None)


def at_path_of(path: str, given: Input) -> Any:
    return at_path(given.body if path.startswith("$.") else given.item, path)


def at_path(value: Any, path: str) -> Any:
    return at(value, *steps(path))


SOURCE = Source(kind="mapping", label="Mapping", read=read, settings_type=Settings, check_settings=check_settings)
