"""Values that never print themselves: not in a repr, and not where `rich` shows a value by its fields."""

from typing import Any

from msgspec import Struct


class Hidden(Struct, frozen=True):
    """The base of every value that holds a secret."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []
