"""Who is asking: bearer tokens, their tenant, their role and what they are good for."""

import base64
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog
from msgspec import Struct

from tocsin.model.access import ANYBODY, OPERATOR, RANKS, is_token, lower, scopes_within
from tocsin.model.errors import Forbidden, Unauthorised
from tocsin.store import identity
from tocsin.store.database import Database, StoreBroken, StoreUnavailable

KNOWN_MS = 1000
"""A token is looked up anew after this: a revoked one, or one whose owner was lowered, works no longer than that."""

USE_MS = 60_000
"""The last use of a token is noted to the minute."""

MOST_KNOWN = 10_000
log = structlog.get_logger()


class Principal(Struct, frozen=True):
    """Whose request it is. `user_id` is "" for a service's token. `role` is the lower one of the token's and the
    member's; `operator` for an operator's token, which has no role in any tenant. Somebody who signed in may be both,
    `is_operator` and in a role of the tenant. `expires_ms`: the token's end."""

    tenant_id: str
    token_id: str
    user_id: str
    role: str
    scopes: frozenset[str]
    is_operator: bool = False
    expires_ms: int | None = None

    @property
    def who(self) -> str:
        return self.user_id or self.token_id

    def sees_all(self) -> bool:
        """An admin sees every endpoint of the tenant, the others their own."""
        return self.role == "admin"

    def require(self, role: str, scope: str = "") -> None:
        """Raises Forbidden where the role is too low, or the token is not made for this."""
        if role == OPERATOR:
            if not self.is_operator:
                raise Forbidden("This is the operator's: it needs a token of `tocsin token create --operator`.")
        elif role != ANYBODY and self.role == OPERATOR:
            raise Forbidden(f"This needs the role {role} in a tenant; an operator's token has none.")
        elif RANKS[self.role] < RANKS[role]:
            raise Forbidden(f"This needs the role {role}; the token has the role {self.role}.")
        if scope:
            self.require_scope(scope)

    def require_scope(self, scope: str) -> None:
        if scope not in self.scopes:
            has = ", ".join(sorted(self.scopes)) or "none"
            raise Forbidden(f"This needs a token with the scope {scope}; this one has {has}.")


class Tokens:
    """Tokens by their hash, remembered for a second. `beside` does work that nobody waits for."""

    def __init__(
        self,
        db: Database,
        clock_ms: Callable[[], int],
        beside: Callable[[Coroutine[Any, Any, None]], None],
        foreign: Callable[[str], Awaitable[Principal]] | None = None,
    ) -> None:
        self.db = db
        self.clock_ms = clock_ms
        self.beside = beside
        self.foreign = foreign  # tokens of another issuer (jwt_bearer.py), where there is one
        self.known: dict[bytes, tuple[int, Principal]] = {}

    async def principal(self, authorization: bytes) -> Principal:
        """Raises Unauthorised for anything but `Bearer` and a token that holds, and Forbidden where its tenant is
        suspended."""
        now_ms = self.clock_ms()
        known = self.known.get(authorization)
        if known is not None and known[0] > now_ms:
            return known[1]
        principal = await self._look_up(authorization, now_ms)
        if len(self.known) >= MOST_KNOWN:
            self.known.clear()
        self.known[authorization] = (now_ms + KNOWN_MS, principal)
        return principal

    async def _look_up(self, authorization: bytes, now_ms: int) -> Principal:
        scheme, _, token = authorization.partition(b" ")
        text = token.strip().decode("latin-1")
        if scheme.lower() != b"bearer" or not text:
            raise Unauthorised("Send a token: Authorization: Bearer toc_… (made by `tocsin token create`).")
        if self.foreign is not None and text.count(".") == 2:  # ours have no dots
            return await self.foreign(text)
        if not is_token(text):
            raise Unauthorised("This is not a whole token: its checksum does not fit. Was it mistyped or cut off?")
        found = await identity.find_token(self.db, text)
        if found is None:
            raise Unauthorised("This token is not known.")
        principal = principal_of(found, now_ms)
        if found.last_used_ms is None or found.last_used_ms <= now_ms - USE_MS:
            self.beside(self._note_use(found, now_ms))
        return principal

    async def _note_use(self, found: identity.Found, now_ms: int) -> None:
        """Beside the request, which does not wait for it."""
        try:
            async with self.db.transaction() as tx:
                await tx.fetch("note_token_use", {"tenant_id": found.tenant_id, "id": found.id, "now": now_ms})
        except (StoreUnavailable, StoreBroken) as error:
            log.warning("web.use_not_noted", token=found.id, reason=str(error))


def bearer_of(authorization: bytes) -> bytes:
    """`Basic` with a token as its password, as `Bearer` with that token; everything else as it is."""
    scheme, _, given = authorization.partition(b" ")
    if scheme.lower() != b"basic":
        return authorization
    try:
        password: bytes = base64.b64decode(given.strip(), validate=True).rpartition(b":")[2]
    except ValueError:
        return authorization
    return b"Bearer " + password


def principal_of(found: identity.Found, now_ms: int) -> Principal:
    """Raises Unauthorised for a token that holds no more, and Forbidden where its tenant is suspended."""
    if found.revoked_ms is not None:
        raise Unauthorised("This token was revoked.")
    if found.expires_ms is not None and found.expires_ms <= now_ms:
        raise Unauthorised("This token has expired.")
    if found.old_until_ms is not None and found.old_until_ms <= now_ms:
        raise Unauthorised("This token was rotated: there is a new one in its place.")
    if found.user_id and found.member_role is None:
        raise Unauthorised("Whose token this is, is no member of the tenant any more.")
    if found.tenant_deleted:
        raise Unauthorised("The tenant of this token was deleted.")
    if found.tenant_suspended:
        raise Forbidden("The tenant is suspended. Who runs this Tocsin can say why.")
    role = found.role if found.member_role is None else lower(found.role, found.member_role)
    scopes = scopes_within(found.scopes, role)
    is_operator = role == OPERATOR
    return Principal(found.tenant_id, found.id, found.user_id, role, scopes, is_operator, found.expires_ms)
