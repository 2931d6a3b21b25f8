"""Keys that another issuer publishes, and claims that it signed with one of them.

Signatures with public keys count, and nothing else: no `none`, and no HMAC, whose secret a published key would be.
Times are compared with Tocsin's own clock.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import structlog
from jwt import PyJWK, PyJWTError

from tocsin.app import App
from tocsin.model.errors import Busy, Unauthorised
from tocsin.model.wire import HttpReply, HttpRequest
from tocsin.settings import SettingsError

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
MOST_CHARS = 16_384
"""Of a token. Issuers that list hundreds of groups make some 8 KB."""

KEPT_MS = 3_600_000
ANEW_MS = 30_000
"""A key that is not known has the set fetched anew, but not more often than this: anybody can write a key's name."""

PAUSE_MS = 5_000
"""An issuer that did not answer is left alone for so long, however many people ask."""

LEEWAY_S = 60
TIMEOUT_S = 5.0
log = structlog.get_logger()


async def fetch_json(app: App, request: HttpRequest, what: str) -> dict[str, Any]:
    """Raises Busy where the issuer does not answer with JSON, and 200."""
    reply = await app.outbound.send(request, TIMEOUT_S)
    if isinstance(reply, HttpReply) and reply.status == 200 and not reply.truncated:
        try:
            found = json.loads(reply.body)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict):
            return found
    why = f"status {reply.status}" if isinstance(reply, HttpReply) else getattr(reply, "detail", "")
    log.warning("issuer.no_answer", what=what, why=why)
    raise Busy(f"The identity provider does not answer ({what}).", retry_after_s=5)


class Kept:
    """Something that an issuer publishes: fetched by one for all, kept for an hour, not asked for again at once where
    it did not come."""

    def __init__(self, app: App, fetch: Callable[[], Awaitable[Any]]) -> None:
        self.app = app
        self.fetch = fetch
        self.lock = asyncio.Lock()
        self.value: Any = None
        self.fetched_ms: int | None = None
        self.failed_ms: int | None = None

    async def get(self, newer_than_ms: int = KEPT_MS) -> Any:
        """Not older than so much. Raises what fetching raises, Busy among it."""
        if self.age_ms() < newer_than_ms:
            return self.value
        async with self.lock:
            if self.age_ms() >= newer_than_ms:
                await self._fetch()
        return self.value

    def age_ms(self) -> int:
        return KEPT_MS if self.fetched_ms is None else self.app.clock_ms() - self.fetched_ms

    async def _fetch(self) -> None:
        now_ms = self.app.clock_ms()
        if self.failed_ms is not None and now_ms - self.failed_ms < PAUSE_MS:
            raise Busy("The identity provider did not answer a moment ago.", retry_after_s=PAUSE_MS // 1000)
        self.failed_ms = now_ms
        self.value = await self.fetch()
        self.fetched_ms, self.failed_ms = self.app.clock_ms(), None


class KeySet:
    """A set of keys at an address, fetched when it is needed. `url` says where, once it is asked."""

    def __init__(self, app: App, url: Callable[[], Awaitable[str]]) -> None:
        self.app = app
        self.url = url
        self.kept = Kept(app, self._fetch)

    async def key(self, kid: str | None, algorithm: str) -> PyJWK:
        """The key of this name; without a name, the only one that fits. Raises Unauthorised, and Busy."""
        found = fitting(await self.kept.get(), kid, algorithm)
        if not found:
            found = fitting(await self.kept.get(ANEW_MS), kid, algorithm)
        if len(found) != 1:
            raise Unauthorised("The token is signed with a key that its issuer does not publish.")
        try:
            return PyJWK(found[0], algorithm)
        except (PyJWTError, ValueError, TypeError):
            raise Unauthorised("The token's algorithm does not fit its key.") from None

    async def _fetch(self) -> list[dict[str, Any]]:
        request = HttpRequest("GET", await self.url(), b"", (("accept", "application/json"),))
        found = (await fetch_json(self.app, request, "its keys")).get("keys")
        return [key for key in found if isinstance(key, dict)] if isinstance(found, list) else []


def fitting(keys: list[dict[str, Any]], kid: str | None, algorithm: str) -> list[dict[str, Any]]:
    return [
        key
        for key in keys
        if (kid is None or key.get("kid") == kid)
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and key.get("kty") != "oct"
    ]


def header_of(token: str) -> dict[str, Any]:
    """A token's own header: nothing of it is believed yet. Raises Unauthorised where it names none of ALGORITHMS."""
    if len(token) > MOST_CHARS:
        raise Unauthorised("The token is too long.")
    try:
        header = jwt.get_unverified_header(token)
    except (PyJWTError, ValueError, RecursionError):
        raise Unauthorised("This is no JSON Web Token.") from None
    if header.get("alg") not in ALGORITHMS:
        raise Unauthorised("The token is not signed with a public key's algorithm.")
    if header.get("crit") is not None:
        raise Unauthorised("The token asks for extensions that are not known here.")
    return header


def signed_claims(token: str, key: Any, algorithm: str) -> dict[str, Any]:
    """What the token says, once its signature was checked, and nothing else. Raises Unauthorised."""
    only_signature: Any = {
        "verify_signature": True,
        "enforce_minimum_key_length": True,
        **dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss", "verify_sub"), False),
        "verify_jti": False,
    }
    try:
        return jwt.decode(token, key, algorithms=[algorithm], options=only_signature)
    except (PyJWTError, ValueError, TypeError, RecursionError):
        raise Unauthorised("The token's signature does not hold.") from None


def check_claims(claims: dict[str, Any], *, issuer: str, audience: str, now_s: float) -> None:
    """Whose word it is, for whom, and until when. Raises Unauthorised."""
    if claims.get("iss") != issuer:
        raise Unauthorised("The token is of another issuer.")
    said = claims.get("aud")
    if audience not in (said if isinstance(said, list) else [said]):
        raise Unauthorised("The token is meant for somebody else (aud).")
    ends_s = number(claims.get("exp"))
    if ends_s is None or ends_s + LEEWAY_S <= now_s:
        raise Unauthorised("The token has expired, or does not say when it will.")
    for name in ("nbf", "iat"):
        if name in claims and ((begins_s := number(claims[name])) is None or begins_s - LEEWAY_S > now_s):
            raise Unauthorised(f"The token does not hold yet ({name}).")


def number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


# What claims say.


def claim(claims: dict[str, Any], path: str) -> tuple[str, ...]:
    """The words of a claim, whose name may have dots where it is inside another: `realm_access.roles`."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, str):
        return (found,)
    return tuple(word for word in found if isinstance(word, str)) if isinstance(found, list) else ()


def mapped(words: tuple[str, ...], mapping: dict[str, str]) -> tuple[str, ...]:
    return tuple(mapping[word] for word in words if word in mapping)


def parse_map(setting: str, text: str, known: tuple[str, ...] = ()) -> dict[str, str]:
    """`theirs=ours, …`. Raises SettingsError."""
    found = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        theirs, equals, ours = (piece.strip() for piece in part.rpartition("="))
        if not equals or not theirs or not ours or (known and ours not in known):
            raise SettingsError(f"{setting}={part!r}: expected theirs=ours{f', ours one of {known}' if known else ''}.")
        found[theirs] = ours
    return found
