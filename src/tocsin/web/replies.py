"""What receivers answer is for those who may set them up. A viewer sees the status, and not the words: they may be
those of a service inside, which somebody else had Tocsin ask."""

import re
from collections.abc import Sequence

from msgspec.structs import replace

from tocsin.model.access import RANKS
from tocsin.model.fate import Fate
from tocsin.web.auth import Principal

_WORDS = re.compile(r"\b(HTTP [0-9]{3}): .*", re.DOTALL)


def sees_words(by: Principal) -> bool:
    return RANKS[by.role] >= RANKS["developer"]


def status_alone(text: str) -> str:
    """`HTTP 500: no such table` is `HTTP 500`."""
    return _WORDS.sub(r"\1", text)


def fates_for(by: Principal, fates: Sequence[Fate]) -> list[Fate]:
    if sees_words(by):
        return list(fates)
    return [
        replace(
            fate,
            reason=status_alone(fate.reason),
            error=status_alone(fate.error),
            disabled=status_alone(fate.disabled),
            head=fate.head and replace(fate.head, reason=status_alone(fate.head.reason)),
        )
        for fate in fates
    ]
