"""Patterns of types, pipelines and labels: `*` for any run of characters, `?` for one, case-sensitive.

    run.*       run.failed, run.a.b      not runs.failed
    etl/*_eu    etl/orders_eu
    *           everything

There is no regex behind it, so no pattern can take long: matching is linear in pattern × text, both of them bounded.
"""

import re
from collections.abc import Callable
from functools import lru_cache

from tocsin.model.errors import Invalid

MAX_CHARS = 256
"""As long as the longest name that it could match: `Draft` bounds names to 256 characters."""
MAX_STARS = 8
REMEMBERED = 4096

Matcher = Callable[[str], bool]


def is_exact(pattern: str) -> bool:
    """Whether the pattern matches itself and nothing else."""
    return "*" not in pattern and "?" not in pattern


def literal_start(pattern: str) -> str:
    """What every text that fits begins with: `etl/` of `etl/*_eu`."""
    return re.split(r"[*?]", pattern, maxsplit=1)[0]


def check_pattern(field: str, text: str) -> None:
    """Raises Invalid, with `field` as the field, for a pattern that is empty, too long, has too many stars
    or a NUL character, which PostgreSQL has no text for."""
    if not text:
        raise Invalid(field, "an empty pattern", "a name, or a pattern with * and ?")
    if len(text) > MAX_CHARS:
        raise Invalid(field, f"{len(text)} characters", f"at most {MAX_CHARS}")
    if "\x00" in text:
        raise Invalid(field, "a NUL character", "text without NUL characters")
    if text.count("*") > MAX_STARS:
        raise Invalid(field, f"{text.count('*')} times *", f"at most {MAX_STARS}")


def matches(pattern: str, text: str) -> bool:
    """Whether the whole of `text` fits the pattern.

    >>> matches("run.*", "run.failed"), matches("run.?", "run.failed"), matches("RUN.*", "run.failed")
    (True, False, False)
    """
    if pattern == "*" or pattern == text:
        return True
    if is_exact(pattern):
        return False
    return _fits(pattern, text)


def _fits(pattern: str, text: str) -> bool:
    """The greedy walk with one way back: on a mismatch the last star takes one character more, earlier ones never."""
    at, star, taken, position = 0, -1, 0, 0
    while position < len(text):
        if at < len(pattern) and pattern[at] == "*":
            star, taken = at, position
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", text[position]):
            at += 1
            position += 1
        elif star >= 0:
            taken += 1
            at, position = star + 1, taken
        else:
            return False
    return not pattern[at:].strip("*")


def matcher(patterns: tuple[str, ...]) -> Matcher:
    """Whether a text fits any of the patterns; no patterns mean any text.

    Raises Invalid (field "pattern") for one that `check_pattern` refuses.
    """
    for pattern in patterns:
        check_pattern("pattern", pattern)
    return _matcher(tuple(patterns))


@lru_cache(maxsize=REMEMBERED)
def _matcher(patterns: tuple[str, ...]) -> Matcher:
    if not patterns or "*" in patterns:
        return _anything
    exact = frozenset(pattern for pattern in patterns if is_exact(pattern))
    globs = tuple(pattern for pattern in patterns if not is_exact(pattern))
    if not globs:
        return exact.__contains__
    # `run.*` is what nearly every glob looks like.
    starts = tuple(pattern[:-1] for pattern in globs if is_exact(pattern[:-1]) and pattern[-1] == "*")
    others = tuple(pattern for pattern in globs if not (pattern[-1] == "*" and pattern[:-1] in starts))

    def fits(text: str) -> bool:
        return text in exact or text.startswith(starts) or any(_fits(pattern, text) for pattern in others)

    return fits


def _anything(_: str) -> bool:
    return True
