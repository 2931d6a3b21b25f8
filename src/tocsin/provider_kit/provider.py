"""What a provider is: pure functions and a settings type. No client, no clock, no database, no await."""

from collections.abc import Callable
from typing import Annotated, Any

from msgspec import Meta, Struct

from tocsin.model.errors import Invalid
from tocsin.model.message import Message
from tocsin.model.wire import Outcome, Reply, Request, Sending

SecretText = Annotated[str, Meta(max_length=4096, extra_json_schema={"writeOnly": True}, extra={"secret": True})]
"""A setting that is sealed at rest and shown as its last ten characters: a token, a password."""


class Limit(Struct, frozen=True):
    """A limit that several endpoints may share: `count` at once, then one each `per_s / count` seconds, over all
    processes. `key` names what is limited and holds no secret: see `shared_key` in text.py."""

    key: str
    count: int
    per_s: float


class Live(Struct, frozen=True, kw_only=True):
    """How one message per run is kept up to date. `Provider.render` posts it, and its receipt is `thread.refs` later.

    edit: the same message, rewritten: to the request that replaces the one in `sending.thread.refs`.
    reply: a message beneath it, in its thread where there are threads, else a message of its own.
    mark: a reaction on it that says how the run ended; None for no reaction. Failing to set it harms nothing.
    is_on: whether an endpoint with these settings wants it. tells_stages: whether it wants a reply for stages that end.
    edit_every_s: at most one edit in this time; the newest state wins.
    """

    edit: Callable[[Sending], Request]
    reply: Callable[[Sending], Request]
    mark: Callable[[Sending], Request | None] | None = None
    is_on: Callable[[Any], bool] = lambda settings: True
    tells_stages: Callable[[Any], bool] = lambda settings: bool(getattr(settings, "stage_details", True))
    edit_every_s: float = 3.0


class Provider(Struct, frozen=True, kw_only=True):
    """How one kind of endpoint is spoken to.

    kind: the `provider_type` of the API, such as "slack". label and about: its name and a sentence for forms.
    settings_type: a frozen msgspec Struct; its fields are the endpoint's `settings`, unknown ones are refused. Fields
        of the type `SecretText` are sealed. Docs and forms are made of the docstring, types and defaults.
    check_address: raises `Invalid` for an address this provider cannot use; returns the address to keep, byte-exact.
        None: it has no `webhook_url`, everything is in the settings.
    check_settings: where given, raises `Invalid` for settings that fit their types and yet will not do. It sees them
        with the operator's standard values filled in.
    dialled: the settings that are addresses as well: URLs that requests go to. mails: they may name a mail server, as
        `smtp_host` and `smtp_port`.
    hint: where there is no address, what people know the endpoint by, such as its channel. No secret.
    operator: the settings that the operator may give for all endpoints in the environment (see settings.py), as groups:
        an endpoint that sets any of a group uses none of the operator's values of that group.
    render: a sending to the request to make; the same input gives the same bytes.
    classify: a reply to what it means; total, every reply has a meaning.
    live: where given, one message per run is posted, edited and replied to.
    resolve: where given, an alarm is opened by `render` and closed by this; messages that neither open nor close one
        are not sent.
    limits: limits shared by several endpoints that this request counts against.
    headline_does: whether a body for these settings does without facts, detail, actions and footer. Composing those
        costs as much as all the rest, and custom webhooks mostly leave them out.
    fix_body: where given, the body is made once, when planned, so that every retry carries the same bytes.
    given: a request with a body that somebody else has made, as a flow's payload is: `sending.body` is JSON, and what
        is sealed in the settings is put to it. None: it takes none.
    max_age_s: a message older than this expires instead of being sent.
    rate_per_s: each endpoint's own limit; None is unlimited. timeout_s bounds one attempt. max_attempts None is the
        whole schedule.
    """

    kind: str
    label: str
    settings_type: type[Any]
    check_address: Callable[[str], str] | None
    render: Callable[[Sending], Request]
    classify: Callable[[Reply], Outcome]
    about: str = ""
    check_settings: Callable[[Any], None] | None = None
    dialled: tuple[str, ...] = ()
    mails: bool = False
    hint: Callable[[Any], str] = lambda settings: ""
    operator: tuple[tuple[str, ...], ...] = ()
    live: Live | None = None
    resolve: Callable[[Sending], Request] | None = None
    limits: Callable[[Sending, Request], tuple[Limit, ...]] | None = None
    fix_body: Callable[[Message, Any], bytes] | None = None
    given: Callable[[Sending], Request] | None = None
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
