"""What a provider is: pure functions and a settings type. No client, no clock, no database, no await."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from tocsin.model.errors import Invalid
from tocsin.model.message import Message
from tocsin.model.wire import Outcome, Reply, Request, Sending


class Provider(Struct, frozen=True, kw_only=True):
    """How one kind of endpoint is spoken to.

    kind: the `provider_type` of the API, such as "slack".
    settings_type: a frozen msgspec Struct; its fields are the endpoint's `settings`, unknown ones are refused.
    check_settings: where given, raises `Invalid` for settings that fit their types and yet will not do.
    check_address: raises `Invalid` for an address this provider cannot use; returns the address to keep, byte-exact.
    render: a sending to the request to make; the same input gives the same bytes.
    classify: a reply to what it means; total, every reply has a meaning.
    headline_does: whether a body for these settings does without facts, detail, actions and footer. Composing those
        costs as much as all the rest, and custom webhooks mostly leave them out.
    fix_body: where given, the body is made once, when planned, so that every retry carries the same bytes.
    max_age_s: a message older than this expires instead of being sent.
    rate_per_s: None is unlimited. timeout_s bounds one attempt. max_attempts None is the whole schedule.
    """

    kind: str
    label: str
    settings_type: type[Any]
    check_address: Callable[[str], str]
    render: Callable[[Sending], Request]
    classify: Callable[[Reply], Outcome]
    check_settings: Callable[[Any], None] | None = None
    fix_body: Callable[[Message, Any], bytes] | None = None
    headline_does: Callable[[Any], bool] = lambda settings: False
    signs: bool = False
    rate_per_s: float | None = None
    timeout_s: float = 10.0
    max_attempts: int | None = None
    max_age_s: int = 6 * 3600
    max_body_bytes: int = 256_000


class Tuning(Struct, frozen=True):
    """A provider's limits as the operator set them; see Provider for the meaning. `off` says why it is switched off."""

    rate_per_s: float | None
    timeout_s: float
    max_attempts: int | None
    off: str = ""
    rich: bool = True
    mentions: bool = True


def refuse_address(found: str, expected: str) -> Invalid:
    """The one way to say that an address will not do. `found` must already be masked."""
    return Invalid("webhook_url", found, expected)
