"""Files of configuration: what they may hold, and where each thing stands in them.

endpoints:      a list; each is known by its name
rules:          a list; each is known by its name, and leads to endpoints by theirs
silences:       a list; each is known by its reason
pipelines:      by name
preferences:    by user
tests:          a list, for `tocsin rules test`
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from tocsin.model.errors import Invalid
from tocsin.model.yaml_text import File, Place, Wrong, place_of
from tocsin.web.routes import invalid_field

KNOWN_BY = {"endpoints": "name", "rules": "name", "silences": "reason", "tests": "name"}
"""The sections that are lists, and the field that an entry is known by."""

BY_NAME = ("pipelines", "preferences")
"""Those whose keys are the names."""

SECTIONS = (*KNOWN_BY, *BY_NAME)
NAME_CHARS = 500

Shape = TypeVar("Shape")


class Entry(Struct, frozen=True):
    """One object of a file, as it is written there. `name` is what it is known by."""

    file: File
    place: Place
    name: str
    value: dict[str, Any]

    def as_(self, shape: type[Shape]) -> Shape:
        """In this shape. Raises Wrong, with the line."""
        try:
            return msgspec.convert(self.value, shape)
        except msgspec.ValidationError as error:
            raise self.wrong(invalid_field(str(error))) from None

    def wrong(self, error: Invalid) -> Wrong:
        """An error about one of its fields, with the line."""
        return self.about(error.field, f"expected {error.expected}, found {error.found}")

    def about(self, field: str, said: str) -> Wrong:
        """Words about one of its fields, with the line."""
        return self.file.wrong((*self.place, *place_of(field)), said)


class Files(Struct, frozen=True):
    """`sections` has those that are there, though they may be empty: what is not there is left alone."""

    sections: dict[str, list[Entry]]

    def entries(self, section: str) -> list[Entry]:
        return self.sections.get(section, [])


def load(paths: Sequence[str]) -> Files:
    """What the files hold together. Raises Wrong."""
    sections: dict[str, list[Entry]] = {}
    for path in paths:
        file = read(path)
        if not isinstance(file.value, dict):
            raise file.wrong((), f"expected one or more of {', '.join(SECTIONS)}")
        for section, value in file.value.items():
            if section not in SECTIONS:
                raise file.wrong((section,), f"unknown: expected one of {', '.join(SECTIONS)}")
            sections.setdefault(section, []).extend(entries_of(file, section, value))
    for entries in sections.values():
        once(entries)
    return Files(sections)


def entries_of(file: File, section: str, value: Any) -> list[Entry]:
    if value is None:
        return []
    if section in BY_NAME:
        if not isinstance(value, dict):
            raise file.wrong((section,), "expected names, each with its settings")
        return [entry_of(file, (section, name), name, inner) for name, inner in value.items()]
    if not isinstance(value, list):
        raise file.wrong((section,), "expected a list")
    found = []
    for number, inner in enumerate(value):
        place = (section, number)
        by = KNOWN_BY[section]
        name = inner.get(by) if isinstance(inner, dict) else None
        if isinstance(inner, dict) and not (isinstance(name, str) and name):
            raise file.wrong((*place, by), f"expected text: {section} are known by it")
        found.append(entry_of(file, place, str(name), inner))
    return found


def entry_of(file: File, place: Place, name: str, value: Any) -> Entry:
    if not isinstance(value, dict):
        raise file.wrong(place, "expected fields with values")
    if len(name) > NAME_CHARS:
        raise file.wrong(place, f"expected a name of at most {NAME_CHARS} characters")
    return Entry(file, place, name, value)


def once(entries: Sequence[Entry]) -> None:
    known: dict[str, Entry] = {}
    for entry in entries:
        if entry.name in known:
            first = known[entry.name]
            where = f"{first.file.name}:{first.file.line(first.place)}"
            raise entry.file.wrong(entry.place, f"“{entry.name}” is there already, at {where}")
        known[entry.name] = entry


def read(path: str) -> File:
    """Raises Wrong, for a file that is not there, too."""
    try:
        return File(path, Path(path).read_text("utf-8"))
    except OSError as error:
        raise Wrong(path, 0, "", f"{error.strerror}") from None
    except UnicodeDecodeError:
        raise Wrong(path, 0, "", "it is not UTF-8") from None
