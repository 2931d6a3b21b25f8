"""`secret:NAME`: where a secret may stand, its name may stand instead, as a word of its own (`Bearer secret:NAME`)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

PREFIX = "secret:"
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_WORD = re.compile(r"(?<!\S)secret:(\S*)")


def names_in(value: Any) -> Iterator[str]:
    """The names in a text, or in all texts of a JSON value. What is no name is there too, for somebody to refuse."""
    if isinstance(value, str):
        if PREFIX in value:
            yield from _WORD.findall(value)
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from names_in(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from names_in(one)


def filled(value: Any, secrets: Mapping[str, str]) -> Any:
    """The value with secrets in the place of their names. Raises KeyError for a name that is not among them."""
    if isinstance(value, str):
        return _WORD.sub(lambda found: secrets[found[1]], value) if PREFIX in value else value
    if isinstance(value, Mapping):
        return {name: filled(one, secrets) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [filled(one, secrets) for one in value]
    return value


def is_reference(text: str) -> bool:
    """Whether it is a name and nothing else, which anybody may see."""
    return text.startswith(PREFIX) and NAME.fullmatch(text, len(PREFIX)) is not None
