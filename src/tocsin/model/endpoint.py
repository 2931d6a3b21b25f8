"""An endpoint: where messages go."""

from typing import Any

from msgspec import Struct, field

from tocsin.model.hidden import Hidden
from tocsin.model.noise import Digest, Templates


class Secret(Hidden, frozen=True):
    """A signing secret (`whsec_…`). `expires_ms` is None for the current one; an old one signs along until then."""

    value: str
    expires_ms: int | None = None


class Options(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What any endpoint may say, whatever its provider: a `digest` instead of single messages, and words of its own."""

    digest: Digest | None = None
    templates: Templates | None = None


class Endpoint(Struct, frozen=True, kw_only=True):
    """The record as people see it. The address and the headers are not here: they stay sealed, `address_hint` shows.

    `is_active` is what a person wants; `disabled_reason` is set where Tocsin itself switched the endpoint off.
    """

    id: str
    tenant_id: str
    user_id: str
    provider_type: str
    name: str
    description: str = ""
    address_hint: str = ""
    enabled_events: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    options: Options = Options()
    header_names: tuple[str, ...] = ()
    is_active: bool = True
    disabled_reason: str = ""
    consecutive_failures: int = 0
    last_used_ms: int | None = None
    last_error: str = ""
    created_by: str = ""
    created_ms: int = 0
    updated_ms: int = 0


class Target(Hidden, frozen=True):
    """An endpoint opened for sending. Everything in it may be secret, so it never prints itself.

    `address` is "" where the provider has none. `trusted`: what it is reached through (a token, a mail server) is the
    operator's own, from the environment, not a user's.
    """

    address: str
    settings: Any
    secrets: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    trusted: bool = False
