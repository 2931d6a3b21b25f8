"""Signing in with OpenID Connect: the authorization code flow with PKCE, state and nonce, at one issuer.

https://openid.net/specs/openid-connect-core-1_0.html, 3.1; RFC 7636 (PKCE); RFC 9207 (iss in the answer). Nothing is
kept while somebody is at the issuer: a sealed cookie holds one secret, and state, nonce and verifier are made of it.
What comes back is used once.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import structlog
from msgspec import Struct

from tocsin.app import App, new_key
from tocsin.model.access import RANKS, ROLES
from tocsin.model.account import Account
from tocsin.model.errors import Conflict, Forbidden, NotFound, Unauthorised
from tocsin.model.ids import DEFAULT_TENANT
from tocsin.model.wire import HttpRequest
from tocsin.settings import Settings, SettingsError
from tocsin.store import accounts, identity
from tocsin.store.sealing import Place, WrongKey
from tocsin.web.jwks import (
    Kept,
    KeySet,
    check_claims,
    claim,
    fetch_json,
    header_of,
    mapped,
    parse_map,
    signed_claims,
)
from tocsin.web.sign_in import normal_email

COOKIE = "tocsin-oidc"
AWAY_S = 600
"""How long somebody may be at the issuer's."""

PLACE = Place("", "account", "", "oidc")
JSON = ("accept", "application/json")
log = structlog.get_logger()


class Away(Struct, frozen=True):
    """Somebody who was sent to the issuer. `next` is where they wanted to go."""

    secret: str
    since_ms: int
    next: str

    def derived(self, what: str) -> str:
        digest = hmac.digest(self.secret.encode(), what.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class Provider(Struct, frozen=True):
    """What the issuer says of itself."""

    authorize: str
    token: str
    keys: str
    by_post: bool


class Grant(Struct, frozen=True):
    """What the issuer's claims give somebody: a role in tenants; "" where claims say nothing of roles."""

    role: str
    tenants: tuple[str, ...]


def maps_of(settings: Settings) -> tuple[dict[str, str], dict[str, str]]:
    """Their roles and tenants to ours. Raises SettingsError for settings that cannot be."""
    if not settings.oidc_client_id:
        raise SettingsError('TOCSIN_OIDC_CLIENT_ID="": the issuer knows Tocsin by it.')
    if bool(settings.oidc_role_claim) != bool(settings.oidc_role_map):
        raise SettingsError("TOCSIN_OIDC_ROLE_CLAIM and TOCSIN_OIDC_ROLE_MAP go together.")
    roles = parse_map("TOCSIN_OIDC_ROLE_MAP", settings.oidc_role_map, tuple(ROLES))
    return roles, parse_map("TOCSIN_OIDC_TENANT_MAP", settings.oidc_tenant_map)


class Oidc:
    """Made where TOCSIN_OIDC_ISSUER is set. Raises SettingsError."""

    def __init__(self, app: App) -> None:
        settings = app.settings
        self.app = app
        self.settings = settings
        self.issuer = settings.oidc_issuer
        self.roles, self.tenants = maps_of(settings)
        self.keys = KeySet(app, self._keys_url)
        self.kept = Kept(app, self._discover)

    @property
    def redirect_uri(self) -> str:
        return f"{self.settings.url}/auth/oidc/callback"

    async def provider(self) -> Provider:
        """Raises Busy, and Unauthorised where the document is another issuer's."""
        found: Provider = await self.kept.get()
        return found

    async def _discover(self) -> Provider:
        url = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
        said = await fetch_json(self.app, HttpRequest("GET", url, b"", (JSON,)), "its configuration")
        if said.get("issuer") != self.issuer:
            raise Unauthorised("The identity provider's configuration names another issuer than TOCSIN_OIDC_ISSUER.")
        names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        if not all(isinstance(said.get(name), str) and is_web(said[name]) for name in names):
            raise Unauthorised("The identity provider's configuration is not whole.")
        ways = said.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        by_post = "client_secret_basic" not in ways and "client_secret_post" in ways
        authorize, token, keys = (said[name] for name in names)
        return Provider(authorize, token, keys, by_post)

    async def _keys_url(self) -> str:
        return (await self.provider()).keys

    # There and back.

    async def send_away(self, next_: str) -> tuple[str, str]:
        """Where the browser goes, and the cookie that it keeps meanwhile."""
        away = Away(new_key(), self.app.clock_ms(), next_)
        challenge = hashlib.sha256(away.derived("verifier").encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self.settings.oidc_client_id,
            "redirect_uri": self.redirect_uri,
            "scope": self.settings.oidc_scopes,
            "state": away.derived("state"),
            "nonce": away.derived("nonce"),
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        where = (await self.provider()).authorize
        cookie = self.app.keyring.seal({"secret": away.secret, "since_ms": away.since_ms, "next": next_}, PLACE)
        return where + ("&" if "?" in where else "?") + urlencode(asked), base64.urlsafe_b64encode(cookie).decode()

    def away_of(self, cookie: str) -> Away:
        try:
            away = Away(**self.app.keyring.open(base64.urlsafe_b64decode(cookie.encode()), PLACE))
        except (WrongKey, binascii.Error, ValueError, TypeError):
            raise Unauthorised("This sign-in did not begin in this browser. Begin anew.") from None
        if away.since_ms + AWAY_S * 1000 <= self.app.clock_ms():
            raise Unauthorised("This sign-in took too long. Begin anew.")
        return away

    async def come_back(self, cookie: str, answer: dict[str, str]) -> tuple[Account, str]:
        """The account of who signed in, made where it may be, and where they wanted to go. Raises Unauthorised for what
        does not hold, Forbidden for somebody who has no business here, Busy where the issuer does not answer."""
        away = self.away_of(cookie)
        if not hmac.compare_digest(answer.get("state", "").encode(), away.derived("state").encode()):
            raise Unauthorised("What came back belongs to another sign-in (state).")
        if "iss" in answer and answer["iss"] != self.issuer:
            raise Unauthorised("The answer is of another issuer.")
        async with self.app.db.transaction() as tx:
            if not await accounts.use_state(tx, away.secret, away.since_ms + AWAY_S * 1000):
                raise Unauthorised("This sign-in was finished already. Begin anew.")
        if "error" in answer or not answer.get("code"):
            log.info("oidc.refused", error=answer.get("error", "")[:100])
            raise Unauthorised("The identity provider did not let you in.")
        claims = await self.claims(answer["code"], away)
        return await self.account_of(claims), away.next

    async def claims(self, code: str, away: Away) -> dict[str, Any]:
        token = await self.id_token(code, away)
        header = header_of(token)
        key = await self.keys.key(header.get("kid"), header["alg"])
        claims = signed_claims(token, key, header["alg"])
        now_s = self.app.clock_ms() / 1000
        client_id = self.settings.oidc_client_id
        check_claims(claims, issuer=self.issuer, audience=client_id, now_s=now_s)
        if "azp" in claims and claims["azp"] != client_id:
            raise Unauthorised("The token was made out to somebody else (azp).")
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), away.derived("nonce").encode()):
            raise Unauthorised("The token belongs to another sign-in (nonce).")
        return claims

    async def id_token(self, code: str, away: Away) -> str:
        provider, settings = await self.provider(), self.settings
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": away.derived("verifier"),
        }
        headers: tuple[tuple[str, str], ...] = (("content-type", "application/x-www-form-urlencoded"), JSON)
        if not settings.oidc_client_secret or provider.by_post:
            form["client_id"] = settings.oidc_client_id
            if settings.oidc_client_secret:
                form["client_secret"] = settings.oidc_client_secret
        else:  # RFC 6749, 2.3.1: each is form-encoded first
            pair = f"{quote_plus(settings.oidc_client_id)}:{quote_plus(settings.oidc_client_secret)}"
            headers += (("authorization", "Basic " + base64.b64encode(pair.encode()).decode()),)
        request = HttpRequest("POST", provider.token, urlencode(form).encode(), headers)
        token = (await fetch_json(self.app, request, "the token")).get("id_token")
        if not isinstance(token, str):
            raise Unauthorised("The identity provider gave no ID token: is `openid` among TOCSIN_OIDC_SCOPES?")
        return token

    # Who that is here.

    async def account_of(self, claims: dict[str, Any]) -> Account:
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject or len(subject) > 255 or "\x00" in subject:
            raise Unauthorised("The token does not say whose it is (sub).")
        grant = await self.grant(claims)
        known = await accounts.by_subject(self.app.db, self.issuer, subject)
        if known is None:
            known = await self._account_for(subject, claims, grant)
        for tenant_id in grant.tenants:
            await self._give(tenant_id, known, grant)
        return known

    async def grant(self, claims: dict[str, Any]) -> Grant:
        """Raises Forbidden for somebody whose claims give them nothing, where claims decide."""
        settings = self.settings
        role = ""
        if settings.oidc_role_claim:
            roles = mapped(claim(claims, settings.oidc_role_claim), self.roles)
            if not roles:
                raise Forbidden("None of your roles at the identity provider is one here.")
            role = max(roles, key=lambda role: RANKS[role])
        if not settings.oidc_tenant_claim:
            return Grant(role, (DEFAULT_TENANT,))
        said = claim(claims, settings.oidc_tenant_claim)
        wanted = mapped(said, self.tenants) if self.tenants else said
        there = [tenant for tenant in dict.fromkeys(wanted) if await self._is_tenant(tenant)]
        if not there:
            raise Forbidden("The identity provider names no tenant of yours that is here.")
        return Grant(role, tuple(there))

    async def _is_tenant(self, id_: str) -> bool:
        try:
            await identity.get_tenant(self.app.db, id_.replace("\x00", ""))
        except NotFound:
            return False
        return True

    async def _account_for(self, subject: str, claims: dict[str, Any], grant: Grant) -> Account:
        """An account that waited for them, or a new one. An address counts where the issuer says it is verified."""
        email = claims.get("email")
        if not isinstance(email, str) or "@" not in email or len(email) > 254 or "\x00" in email:
            raise Forbidden("The identity provider does not tell your email address.")
        email = normal_email(email)
        verified = claims.get("email_verified") is True
        name = claims.get("name")
        name = name.replace("\x00", "")[:200] if isinstance(name, str) else email
        db, now_ms = self.app.db, self.app.clock_ms()
        same = await accounts.by_email(db, email)
        if same is not None:
            if same.subject or not verified or (same.password and not self.settings.oidc_link_by_email):
                raise Forbidden("There is an account with your email address already, which signs in otherwise.")
            async with db.transaction() as tx:
                await accounts.set_subject(tx, same.user_id, self.issuer, subject)
            return same
        waiting = await accounts.members_by_email(db, email) if verified else ()
        if len(waiting) > 1:
            raise Forbidden("Several members have your email address: who runs this Tocsin has to say which you are.")
        if not waiting and not (grant.role or self.settings.oidc_default_role):
            raise Forbidden("You are a member of no tenant yet: ask an admin to add your email address.")
        user_id = waiting[0] if waiting else self.app.new_id("usr")
        account = Account(user_id, email, name, issuer=self.issuer, subject=subject)
        async with db.transaction() as tx:
            if not await accounts.add_account(tx, account, now_ms):
                raise Forbidden("There is an account with your email address already, which signs in otherwise.")
        return account

    async def _give(self, tenant_id: str, account: Account, grant: Grant) -> None:
        """What claims say, they say at each sign-in; the role for newcomers is given once, to who belongs nowhere."""
        app, now_ms = self.app, self.app.clock_ms()
        found = await accounts.member_role(app.db, tenant_id, account.user_id)
        if found is not None and (found.removed or not grant.role):
            return  # who was removed comes back by an admin, not by signing in
        role = grant.role
        if not role and not await accounts.memberships(app.db, account.user_id):
            role = self.settings.oidc_default_role
        if not role:
            return
        member = identity.Member(account.user_id, role, account.email, account.name, now_ms, now_ms)
        try:
            async with app.db.transaction() as tx:
                if found is None:
                    await identity.add_member(tx, tenant_id, member, now_ms)
                else:
                    await identity.change_member(tx, tenant_id, member, now_ms)
        except Conflict as conflict:  # the last admin stays one
            log.warning("oidc.role_kept", tenant=tenant_id, reason=conflict.detail)


def is_web(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("https", "http") and bool(parts.netloc)
