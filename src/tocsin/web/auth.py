"""Who is asking: bearer tokens, their tenant and their role."""

from collections.abc import Callable

from msgspec import Struct

from tocsin.model.errors import Forbidden, Unauthorised
from tocsin.store.config import token_hash
from tocsin.store.database import Database

ROLES = {"viewer": 1, "developer": 2, "admin": 3}
KNOWN_MS = 1000
"""A token is looked up anew after this: a revoked one works no longer than that."""

MOST_KNOWN = 10_000


class Principal(Struct, frozen=True):
    """Whose request it is. `user_id` is "" for a service's token."""

    tenant_id: str
    token_id: str
    user_id: str
    role: str

    @property
    def who(self) -> str:
        return self.user_id or self.token_id

    def sees_all(self) -> bool:
        """An admin sees every endpoint of the tenant, the others their own."""
        return self.role == "admin"

    def require(self, role: str) -> None:
        if ROLES[self.role] < ROLES[role]:
            raise Forbidden(f"This needs the role {role}; the token has the role {self.role}.")


class Tokens:
    """Tokens by their hash, remembered for a second."""

    def __init__(self, db: Database, clock_ms: Callable[[], int]) -> None:
        self.db = db
        self.clock_ms = clock_ms
        self.known: dict[bytes, tuple[int, Principal]] = {}

    async def principal(self, authorization: bytes) -> Principal:
        """Raises Unauthorised for anything but `Bearer` and a token that holds."""
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
        token = token.strip()
        if scheme.lower() != b"bearer" or not token:
            raise Unauthorised("Send a token: Authorization: Bearer toc_… (made by `tocsin token create`).")
        try:
            hashed = token_hash(token.decode("ascii"))
        except UnicodeDecodeError:
            raise Unauthorised("This token is not known.") from None
        found = await self.db.read("find_token", {"hash": hashed})
        if not found:
            raise Unauthorised("This token is not known.")
        tenant_id, token_id, _name, user_id, role, expires_ms, revoked_ms = found[0]
        if revoked_ms is not None:
            raise Unauthorised("This token was revoked.")
        if expires_ms is not None and expires_ms <= now_ms:
            raise Unauthorised("This token has expired.")
        return Principal(tenant_id, token_id, user_id, role)
