"""What errors mean and what to do about them: a page each, served under `/help/errors/` and written to `docs/errors/`.

Pages stand in the TOML files beside this one, one for each group. A reason that people see leads to its page by `said`.
"""

import re
import tomllib
from functools import cache, lru_cache
from importlib.resources import files
from types import MappingProxyType

import msgspec
from msgspec import Struct

PATH = "/help/errors"
GROUPS = ("requests", "failures", "held", "ends", "checks", "alerts")
BY_STATUS = {"suppressed": ("held",), "cancelled": ("ends",), "delivered": ("ends",)}
"""Where the reason of a delivery in this state is explained. In every other state it failed, or waits for something."""

MOST_CHARS = 400
"""Of a reason: what it begins with says which it is."""


class Help(Struct, frozen=True, forbid_unknown_fields=True):
    """A page. `tocsin`: what it does by itself. `do`: what a person can do, the most likely first. `look`: where to see
    it. `said`: regular expressions of the reasons that it explains; `says`: what follows the receiver's name in a
    sentence. `then`: what follows for the delivery, as names of the group's texts; `status`: of the HTTP answer.
    Text between backticks is code."""

    title: str
    means: str
    do: tuple[str, ...]
    tocsin: str = ""
    look: tuple[str, ...] = ()
    said: tuple[str, ...] = ()
    says: str = ""
    then: tuple[str, ...] = ()
    status: str = ""
    related: tuple[str, ...] = ()


class Group(Struct, frozen=True, forbid_unknown_fields=True):
    """Pages by their codes, which are unique over all groups. `look` and `then` are what its pages share."""

    title: str
    about: str
    pages: dict[str, Help]
    look: tuple[str, ...] = ()
    then: dict[str, str] = {}


@cache
def groups() -> MappingProxyType[str, Group]:
    folder = files("tocsin.web.help")
    return MappingProxyType(
        {
            name: msgspec.convert(tomllib.loads(folder.joinpath(f"{name}.toml").read_text("utf-8")), Group)
            for name in GROUPS
        }
    )


@cache
def pages() -> MappingProxyType[str, tuple[Group, Help]]:
    """Every page by its code, with its group."""
    return MappingProxyType({code: (group, one) for group in groups().values() for code, one in group.pages.items()})


def follows(group: Group, one: Help) -> tuple[str, ...]:
    """What Tocsin does by itself."""
    return ((one.tocsin,) if one.tocsin else ()) + tuple(group.then[name] for name in one.then)


@cache
def _patterns(name: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    found = groups()[name].pages
    return tuple((re.compile(said, re.IGNORECASE), code) for code, one in found.items() for said in one.said)


@lru_cache(maxsize=1024)
def code_of(status: str, reason: str) -> str:
    """The page that explains this reason of a delivery in this state, or of a rule's decision ("suppressed"); "" where
    there is none."""
    text = reason[:MOST_CHARS]
    for name in BY_STATUS.get(status, ("ends", "failures")) if text else ():
        for pattern, code in _patterns(name):
            if pattern.search(text):
                return code
    return ""


def address_of(code: str) -> str:
    return f"{PATH}/{code}" if code else ""


def address_for(status: str, reason: str) -> str:
    """Where this reason of a delivery in this state is explained, or ""."""
    return address_of(code_of(status, reason))
