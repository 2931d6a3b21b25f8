"""Who is signed in: a cookie to a session to a principal, as tokens.py does it for tokens; and what guards cookies."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

import structlog
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.app import App, new_key
from tocsin.model.access import OPERATOR, SCOPES_OF
from tocsin.model.account import Account, How, Membership, Session
from tocsin.model.audit import Act, Actor
from tocsin.model.errors import Forbidden, Unauthorised
from tocsin.model.hidden import Hidden
from tocsin.model.ids import DEFAULT_TENANT, OPERATOR_TENANT
from tocsin.store import accounts
from tocsin.store.accounts import Browser, key_hash
from tocsin.store.database import StoreBroken, StoreUnavailable
from tocsin.web import request_id
from tocsin.web.auth import KNOWN_MS, MOST_KNOWN, Principal
from tocsin.web.origin import SAFE, Site

COOKIE = "tocsin"
CSRF_HEADER = "x-csrf-token"
SEEN_MS = 60_000
"""The last use of a session is noted to the minute."""

log = structlog.get_logger()


class Signed(Hidden, frozen=True):
    """Somebody's session as it was found, with the cookie that led to it."""

    session: Session
    principal: Principal
    cookie: str

    @property
    def csrf(self) -> str:
        return csrf_of(self.cookie)


class Sessions:
    """Sessions by their cookie, remembered for a second."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.site = Site.of(app.settings)
        self.idle_ms = app.settings.session_idle_minutes * 60_000
        self.longest_ms = app.settings.session_hours * 3_600_000
        self.known: dict[str, tuple[int, Signed]] = {}

    # From a request.

    async def principal(self, method: str, headers: Mapping[str, str]) -> Principal:
        """Whose request it is by its cookie. Raises Unauthorised; and Forbidden for a request that changes something
        and does not come from our own pages, or comes without their token."""
        signed = await self.of(headers)
        if signed is None:
            raise Unauthorised(
                "Send a token: Authorization: Bearer toc_… (made by `tocsin token create`); or sign in, at /sign-in."
            )
        if method not in SAFE:
            self.check_request(signed, headers, headers.get(CSRF_HEADER, ""))
        return signed.principal

    async def of(self, headers: Mapping[str, str]) -> Signed | None:
        """Raises Forbidden where the tenant is suspended."""
        cookie = self.cookie_in(headers, COOKIE)
        return await self.find(cookie) if cookie else None

    def cookie_in(self, headers: Mapping[str, str], name: str) -> str:
        """ "" where there is none."""
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self.site.cookie(name))
        except CookieError:
            return ""
        return found.value if found else ""

    def check_request(self, signed: Signed, headers: Mapping[str, str], token: str) -> None:
        """Raises Forbidden unless the request comes from a page of ours, and shows the session's token."""
        self.site.check_same_origin(headers)
        if not hmac.compare_digest(token.encode(), signed.csrf.encode()):
            raise Forbidden(f"The header {CSRF_HEADER} is missing or wrong: GET /auth/session says what it has to be.")

    # What is kept.

    async def find(self, cookie: str) -> Signed | None:
        """None where there is no such session, or none any more: it was not used for too long, it lasted too long, or
        its owner has another role than when it began."""
        now_ms = self.app.clock_ms()
        known = self.known.get(cookie)
        if known is not None and known[0] > now_ms:
            return known[1]
        signed = await self._look_up(cookie, now_ms)
        if len(self.known) >= MOST_KNOWN:
            self.known.clear()
        if signed is None:
            self.known.pop(cookie, None)
        else:
            self.known[cookie] = (now_ms + KNOWN_MS, signed)
        return signed

    async def _look_up(self, cookie: str, now_ms: int) -> Signed | None:
        found = await accounts.find_session(self.app.db, key_hash(cookie))
        if found is None or not self.holds(found, now_ms):
            return None
        if found.tenant_suspended:
            raise Forbidden("The tenant is suspended. Who runs this Tocsin can say why.")
        session = found.session
        if session.seen_ms <= now_ms - SEEN_MS:
            self.app.beside(self._note_use(cookie, now_ms))
        return Signed(session, principal_of(session), cookie)

    async def _note_use(self, cookie: str, now_ms: int) -> None:
        """Beside the request, which does not wait for it."""
        try:
            await accounts.touch_session(self.app.db, key_hash(cookie), now_ms)
        except (StoreUnavailable, StoreBroken) as error:
            log.warning("web.use_not_noted", reason=str(error))

    def holds(self, found: accounts.Found, now_ms: int) -> bool:
        session = found.session
        role = found.member_role
        if session.tenant_id == OPERATOR_TENANT:
            role = OPERATOR if session.is_operator else None
        over = session.ends_ms <= now_ms or session.seen_ms + self.idle_ms <= now_ms
        return not over and not found.tenant_deleted and role == session.role

    async def begin(
        self, account: Account, how: How, browser: Browser, tenant_id: str = "", instead: str = ""
    ) -> Signed:
        """A new session, in this tenant, or the one that they have been in longest; `instead` is the cookie of one that
        ends with it. Raises Forbidden for somebody who belongs nowhere, or not there."""
        membership = chosen(await accounts.memberships(self.app.db, account.user_id), tenant_id, account)
        now_ms = self.app.clock_ms()
        session = Session(
            id=self.app.new_id("ses"),
            user_id=account.user_id,
            tenant_id=membership.tenant_id,
            role=membership.role,
            how=how,
            seen_ms=now_ms,
            ends_ms=now_ms + self.longest_ms,
            email=account.email,
            name=account.name,
            is_operator=account.is_operator,
        )
        return await self._write(session, browser, instead)

    async def renew(self, signed: Signed, browser: Browser, tenant_id: str) -> Signed:
        """The same session under another id and cookie, in this tenant. Raises Forbidden where they are no member."""
        session = signed.session
        account = Account(session.user_id, session.email, session.name, is_operator=session.is_operator)
        membership = chosen(await accounts.memberships(self.app.db, session.user_id), tenant_id, account)
        renewed = replace(
            session,
            id=self.app.new_id("ses"),
            tenant_id=membership.tenant_id,
            role=membership.role,
            seen_ms=self.app.clock_ms(),
        )
        return await self._write(renewed, browser, signed.cookie)

    async def _write(self, session: Session, browser: Browser, instead: str) -> Signed:
        cookie = new_key()
        async with self.app.db.transaction() as tx:
            if instead:
                await accounts.end_session(tx, key_hash(instead))
            await accounts.add_session(tx, key_hash(cookie), session, browser)
            await self.app.trail.add(tx, act_of(session, browser, "session.begin"))
        self.known.pop(instead, None)
        return Signed(session, principal_of(session), cookie)

    async def end(self, signed: Signed, browser: Browser) -> None:
        async with self.app.db.transaction() as tx:
            await accounts.end_session(tx, key_hash(signed.cookie))
            await self.app.trail.add(tx, act_of(signed.session, browser, "session.end"))
        self.known.pop(signed.cookie, None)

    def forget(self, user_id: str) -> None:
        """Sessions of theirs were ended in the store: this process knows it at once, the others within a second."""
        for cookie, (_, signed) in list(self.known.items()):
            if signed.session.user_id == user_id:
                del self.known[cookie]

    # To a response.

    def set_cookie(self, response: Response, name: str, value: str, max_age_s: int) -> None:
        """For this host alone, out of scripts' reach, and not along with what other sites post."""
        response.set_cookie(
            self.site.cookie(name),
            value,
            max_age=max_age_s,
            path="/",
            secure=self.site.is_secure,
            httponly=True,
            samesite="lax",
        )

    def hand_out(self, response: Response, signed: Signed) -> None:
        left_s = (signed.session.ends_ms - self.app.clock_ms()) // 1000
        self.set_cookie(response, COOKIE, signed.cookie, max(1, left_s))


def act_of(session: Session, browser: Browser, action: str, object_id: str = "", **after: Any) -> Act:
    """What somebody who is signed in does, for the audit trail of their tenant."""
    actor = Actor(session.user_id, session.id, session.role, browser.address, request_id.current.get(), browser.agent)
    kind = action.partition(".")[0]
    return Act(session.tenant_id, actor, action, kind, object_id or session.id, after={"how": session.how} | after)


def principal_of(session: Session) -> Principal:
    """Signed in, somebody may do all that their role may."""
    return Principal(
        tenant_id=session.tenant_id,
        token_id=session.id,
        user_id=session.user_id,
        role=session.role,
        scopes=frozenset(SCOPES_OF[session.role]),
        is_operator=session.is_operator,
        expires_ms=session.ends_ms,
    )


def chosen(memberships: tuple[Membership, ...], tenant_id: str, account: Account) -> Membership:
    """The one of this tenant; without one, that of the default tenant, or the oldest; for an operator who belongs
    nowhere, the operator's own. Raises Forbidden."""
    if account.is_operator:
        memberships += (Membership(OPERATOR_TENANT, "The operator", OPERATOR),)
    for wanted in (tenant_id,) if tenant_id else (DEFAULT_TENANT, *(one.tenant_id for one in memberships)):
        for membership in memberships:
            if membership.tenant_id == wanted:
                return membership
    raise Forbidden("You are no member of this tenant." if tenant_id else "You are a member of no tenant yet.")


def csrf_of(cookie: str) -> str:
    """What only our own pages can know of a session: they are told, and cannot read the cookie."""
    digest = hashlib.sha256(b"tocsin csrf " + cookie.encode("utf-8", "replace")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
