"""YAML, with the line of everything in them, so that what is wrong can be named by its place.

What a plain word means is JSON's idea of it: null, true and false, numbers; all else is text. `22:00`, `no` and `on`
are text, and a key that comes twice is refused.
"""

import re
from collections.abc import Sequence
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Place = tuple[str | int, ...]
"""Where something is: `("rules", 0, "condition")`."""

MOST_NODES = 200_000
"""Aliases can make a small file large."""

WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
INTEGER = re.compile(r"[-+]?[0-9]{1,30}\Z")
NUMBER = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?\Z")
STANDARD = "tag:yaml.org,2002:"


class Wrong(Exception):
    """What is wrong in a file, and where: `tocsin.yaml:4: rules[0].condition: …`."""

    def __init__(self, file: str, line: int, field: str, said: str) -> None:
        place = f"{file}:{line}" if line else file
        super().__init__(f"{place}: {field}: {said}" if field else f"{place}: {said}")


class File:
    """A file's content as plain values, and where each of them stands."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.lines: dict[Place, int] = {}
        self.nodes = 0
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 0
            raise Wrong(name, line, "", f"no YAML: {error.problem or error.context}") from None
        except (yaml.YAMLError, RecursionError) as error:
            raise Wrong(name, 0, "", f"no YAML: {error}") from None
        self.value: Any = None if node is None else self._value(node, ())

    def wrong(self, place: Place, said: str) -> Wrong:
        return Wrong(self.name, self.line(place), field_of(place), said)

    def line(self, place: Place) -> int:
        """Where it stands; where what it belongs to stands, if it is not there itself."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def _value(self, node: Node, place: Place) -> Any:
        self.nodes += 1
        self.lines.setdefault(place, node.start_mark.line + 1)
        if self.nodes > MOST_NODES or len(place) > 50:
            raise self.wrong(place[:2], "too much of it, or an alias that holds itself")
        if not node.tag.startswith(STANDARD):
            raise self.wrong(place, f"the tag {node.tag} means nothing here")
        if isinstance(node, MappingNode):
            found: dict[str, Any] = {}
            for key_node, value_node in node.value:
                if not isinstance(key_node, ScalarNode):
                    raise self.wrong(place, "a key must be text")
                key = key_node.value
                inner = (*place, key)
                self.lines[inner] = key_node.start_mark.line + 1
                if key in found:
                    raise self.wrong(inner, "it stands there twice")
                found[key] = self._value(value_node, inner)
            return found
        if isinstance(node, SequenceNode):
            return [self._value(one, (*place, number)) for number, one in enumerate(node.value)]
        assert isinstance(node, ScalarNode)
        return scalar(node.value, is_plain=node.style is None)


def scalar(text: str, *, is_plain: bool) -> Any:
    if not is_plain:
        return text
    if text in WORDS:
        return WORDS[text]
    if INTEGER.match(text):
        return int(text)
    return float(text) if NUMBER.match(text) else text


def field_of(place: Place) -> str:
    """`rules[0].condition`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def place_of(field: str) -> Place:
    """The other way round: of a field as the API names it."""
    return tuple(int(part) if part.isdigit() else part for part in re.split(r"[.\[\]]+", field) if part)


def written(sections: Sequence[tuple[str, Any]]) -> str:
    """YAML, section by section, that reads back as the same values."""
    parts = []
    for name, value in sections:
        text = yaml.dump({name: value}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
        parts.append(text)
    return "\n".join(parts)


class _Dumper(yaml.SafeDumper):
    """Text that YAML of any version could take for something else stands in quotes; lists are indented."""

    def text(self, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else None if isinstance(scalar(text, is_plain=True), str) else "'"
        return self.represent_scalar(f"{STANDARD}str", text, style=style)

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(str, _Dumper.text)
