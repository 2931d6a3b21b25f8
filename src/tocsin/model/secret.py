"""A secret with a name, which endpoints refer to as `secret:NAME`."""

from typing import Literal

from msgspec import Struct

from tocsin.model.hidden import Hidden

UsableBy = Literal["developer", "admin"]
"""The least role that may put it into an endpoint: whoever chooses where an endpoint sends can read what it sends."""


class SecretRecord(Struct, frozen=True, kw_only=True):
    """What may be seen of a secret: never its value. `from_environment`: it is SECRET_<name> there, and read-only."""

    name: str
    id: str = ""
    description: str = ""
    usable_by: UsableBy = "admin"
    created_by: str = ""
    created_ms: int | None = None
    updated_by: str = ""
    updated_ms: int | None = None
    from_environment: bool = False


class SecretValue(Hidden, frozen=True):
    """A secret, opened."""

    value: str
    usable_by: UsableBy
