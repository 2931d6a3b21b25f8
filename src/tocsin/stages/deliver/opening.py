"""Opening an endpoint for sending, and keeping its secrets out of whatever comes back."""

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from msgspec.structs import replace

from tocsin.model.delivery import Delivery
from tocsin.model.endpoint import Options, Target
from tocsin.model.errors import Invalid, NotFound
from tocsin.model.hidden import Hidden
from tocsin.model.wire import HttpReply, HttpRequest, NoReply, Rejected, Reply, Request, Retry, SmtpRequest
from tocsin.provider_kit.provider import Provider, Tuning
from tocsin.provider_kit.settings_form import secret_fields, with_operator
from tocsin.providers import PROVIDERS
from tocsin.store import config
from tocsin.store.database import Database
from tocsin.store.sealing import Keyring, UnknownKey, WrongKey
from tocsin.store.secrets import Vault

RESPONSE_CHARS = 2000
REQUEST_BYTES = 65_536
MASK = b"***"
TOKEN_CHARS = 12
"""A part of an address or a header that is shorter is taken to be a word."""


class Open(Hidden, frozen=True):
    """An endpoint opened for sending, as of `version`. `until_ms`: when an old signing secret ends, if one does.
    `hidden` may be in no reply that is kept, `inside` in no request's body: parts of the address may be words there."""

    version: int
    provider: Provider
    target: Target
    until_ms: float
    hidden: tuple[bytes, ...]
    inside: tuple[bytes, ...]
    options: Options = Options()


class Opener:
    """Endpoints' secrets, unsealed and kept in memory until their records change."""

    def __init__(
        self,
        db: Database,
        keyring: Keyring,
        tuning: Mapping[str, Tuning],
        operator: Mapping[str, Mapping[str, Any]],
        vault: Vault,
    ) -> None:
        self.db = db
        self.vault = vault
        self.operator = operator
        self.keyring = keyring
        self.tuning = tuning
        self.opened: dict[str, Open] = {}

    async def open(self, delivery: Delivery, version: int, now_ms: int) -> Open | Rejected | Retry:
        """As of `version` of the endpoint's record, or why nothing can be sent there. Raises UnknownKey."""
        known = self.opened.get(delivery.endpoint_id)
        if known is not None and known.version == version and known.until_ms > now_ms:
            return known
        try:
            sealed = await config.open_endpoint(self.db, self.keyring, delivery.tenant_id, delivery.endpoint_id)
            provider = PROVIDERS[sealed.provider_type]
            if names := sealed.names():
                values = await self.vault.values(delivery.tenant_id, names)
                if missing := sorted(names - values.keys()):
                    return Retry(f"there is no secret {missing[0][:64]}, which the webhook refers to")
                sealed = sealed.filled(values)
                if provider.check_address is not None:  # what was saved was a name
                    sealed = replace(sealed, address=provider.check_address(sealed.address))
        except NotFound:
            return Rejected("the webhook was deleted")
        except UnknownKey:
            raise
        except WrongKey as error:
            return Rejected(str(error), scope="credential")
        except Invalid as error:
            return Retry(f"a secret of the webhook will not do: {error.detail}")
        given, trusted = with_operator(provider.operator, sealed.settings, self.operator.get(provider.kind, {}))
        try:
            settings: Any = msgspec.convert(given, provider.settings_type)
            if provider.check_settings is not None:
                provider.check_settings(settings)
        except (msgspec.ValidationError, Invalid) as error:
            return Rejected(f"its settings do not fit: {error}")
        if not self.tuning[provider.kind].mentions and hasattr(settings, "mention_on_failure"):
            settings = replace(settings, mention_on_failure=False)
        ends = [s.expires_ms for s in sealed.secrets if s.expires_ms is not None and s.expires_ms > now_ms]
        target = replace(sealed.target(settings, now_ms), trusted=trusted)
        secret = [str(given.get(name, "")) for name in secret_fields(provider.settings_type)]
        if given.get("username") and given.get("password"):  # as HTTP says it
            secret.append(b64encode(f"{given['username']}:{given['password']}".encode()).decode())
        opened = self.opened[delivery.endpoint_id] = Open(
            sealed.version,
            provider,
            target,
            min(ends, default=float("inf")),
            hidden_of(target, secret),
            inside_of(target, secret),
            sealed.options,
        )
        return opened


def answered(reply: Reply) -> bool:
    """Whether the host is up: it gave an answer that is not a server's own failure."""
    return reply.status < 500 if isinstance(reply, HttpReply) else not isinstance(reply, NoReply)


def host_of(request: Request) -> str:
    """What an outage is counted by: the host and its port; "" where there is none."""
    if isinstance(request, HttpRequest):
        return urlsplit(request.url).netloc
    return f"{request.host}:{request.port}" if isinstance(request, SmtpRequest) else ""


def kept(body: bytes, inside: tuple[bytes, ...]) -> bytes:
    """What is kept of a request's body, without secrets: some providers want theirs in it. It ends with a whole
    character, or PostgreSQL's view could not show it."""
    body = cleaned(body, inside)
    return body if len(body) <= REQUEST_BYTES else body[:REQUEST_BYTES].decode("utf-8", "ignore").encode()


def shown(reply: Reply | None) -> str:
    """The start of a reply, fit to be stored and shown."""
    if reply is None or isinstance(reply, NoReply):
        return ""
    return reply.body[: RESPONSE_CHARS * 4].decode("utf-8", "replace").replace("\x00", "�")[:RESPONSE_CHARS]


def hidden_of(target: Target, settings: list[str]) -> tuple[bytes, ...]:
    """What of an endpoint may not be shown, the longest first: the address, its path, each part of it that may be a
    token, the secrets, the secret settings, and the headers' values."""
    path = "/" + target.address.partition("://")[2].partition("/")[2]
    parts = [part for part in re.split(r"[/?&=;,]", path) if len(part) >= TOKEN_CHARS]
    values = [value for _, value in target.headers] + settings
    words = [word for value in values for word in value.split() if len(word) >= TOKEN_CHARS]
    whole = (target.address, *target.secrets, path, *values)
    return longest_first({*parts, *words, *(text for text in whole if len(text) >= 4)})


def inside_of(target: Target, settings: list[str]) -> tuple[bytes, ...]:
    """The same for a request's body."""
    return longest_first({text for text in (target.address, *target.secrets, *settings) if len(text) >= 4})


def longest_first(texts: set[str]) -> tuple[bytes, ...]:
    """With the forms that they have in JSON and in a URL."""
    forms = {form for text in texts for form in (text, msgspec.json.encode(text).decode()[1:-1], quote(text, safe=""))}
    return tuple(sorted((text.encode() for text in forms), key=len, reverse=True))


def masked(reply: Reply, hidden: tuple[bytes, ...]) -> Reply:
    """The reply without secrets: receivers echo what they got, and their words end up in reasons, notices and logs."""
    if isinstance(reply, NoReply) or len(reply.body) < 4:
        return reply
    body = cleaned(reply.body, hidden)
    return reply if body is reply.body else replace(reply, body=body)


def cleaned(body: bytes, hidden: tuple[bytes, ...]) -> bytes:
    """The same where there is nothing to hide."""
    for secret in hidden:
        if secret in body:
            body = body.replace(secret, MASK)
    return body
