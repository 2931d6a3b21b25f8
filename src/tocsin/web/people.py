"""What signing in needs, made once for the application: sessions, passwords, the other issuer, and trusted proxies."""

from starlette.requests import Request
from starlette.responses import Response

from tocsin.app import App, new_key
from tocsin.model.account import Account, How
from tocsin.model.audit import Act, Actor
from tocsin.model.errors import Conflict, Unauthorised
from tocsin.model.ids import DEFAULT_TENANT, OPERATOR_TENANT
from tocsin.settings import Settings
from tocsin.store import accounts, identity
from tocsin.store.accounts import Browser, Link
from tocsin.store.database import Transaction
from tocsin.web import request_id
from tocsin.web.client_address import parse_proxies
from tocsin.web.jwt_bearer import public_key, roles_of
from tocsin.web.oidc import Oidc, maps_of
from tocsin.web.passwords import Passwords, check_password
from tocsin.web.sessions import Sessions, Signed, act_of
from tocsin.web.sign_in import DEVICE, DEVICE_S, SignIn, normal_email

LINK_OVER = "This link was used already, or it is too old. Ask for another."


def check_sign_in(settings: Settings) -> None:
    """Raises SettingsError for what is set about signing in and cannot be."""
    parse_proxies(settings.trusted_proxies)
    if settings.oidc_issuer:
        maps_of(settings)
    if settings.jwt_issuer:
        roles_of(settings)
        public_key(settings)


class People:
    """Raises SettingsError."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.sessions = Sessions(app)
        self.passwords = Passwords()
        self.sign_in = SignIn(app, self.passwords)
        self.proxies = parse_proxies(app.settings.trusted_proxies)
        self.oidc = Oidc(app) if app.settings.oidc_issuer else None
        self.counts: dict[tuple[str, str], tuple[int, dict[str, int]]] = {}
        """The numbers in the navigation, by tenant and person, each until a moment: see visit.py."""

    def browser(self, request: Request) -> Browser:
        agent = "".join(mark for mark in request.headers.get("user-agent", "") if mark.isprintable())
        return Browser(request.client.host if request.client else "", agent[:200])

    async def with_password(self, request: Request, email: str, password: str, tenant_id: str = "") -> Signed:
        """Signs in: another session instead of the one that the browser may have. Raises Unauthorised, Forbidden,
        Busy."""
        self.sessions.site.check_same_origin(request.headers)
        device = self.sessions.cookie_in(request.headers, DEVICE)
        account = await self.sign_in.check(email, password, self.browser(request), device)
        return await self.begin(request, account, "password", tenant_id)

    async def begin(self, request: Request, account: Account, how: How, tenant_id: str = "") -> Signed:
        instead = self.sessions.cookie_in(request.headers, "tocsin")
        return await self.sessions.begin(account, how, self.browser(request), tenant_id, instead)

    def hand_out(self, response: Response, signed: Signed) -> Response:
        """With the cookies of a new session."""
        self.sessions.hand_out(response, signed)
        if signed.session.how == "password":
            self.sessions.set_cookie(response, DEVICE, self.sign_in.device_of(signed.session.email), DEVICE_S)
        return response

    async def change_password(self, request: Request, signed: Signed, current: str, wanted: str) -> Signed:
        """Ends their other sessions, and renews this one. Raises Unauthorised where `current` is not theirs, Invalid,
        Busy, and Conflict where they have no password."""
        session = signed.session
        account = await accounts.by_id(self.app.db, session.user_id)
        if account is None or not account.password:
            raise Conflict("This account has no password: you sign in elsewhere.")
        check_password(wanted, account.email, account.name, field="new_password")
        device = self.sessions.cookie_in(request.headers, DEVICE)
        await self.sign_in.check(account.email, current, self.browser(request), device)
        hashed = await self.passwords.hash(wanted)
        async with self.app.db.transaction() as tx:
            await accounts.set_password(tx, account.user_id, hashed, self.app.clock_ms())
            await accounts.end_others(tx, account.user_id)
            act = act_of(session, self.browser(request), "account.password", account.user_id)
            await self.app.trail.add(tx, act)
        self.sessions.forget(account.user_id)
        return await self.begin(request, account, "password", session.tenant_id)

    async def end_sessions(self, request: Request, signed: Signed, id_: str) -> int:
        """One of their sessions by its id, or all others where it is "". Returns how many there were."""
        session = signed.session
        async with self.app.db.transaction() as tx:
            if id_:
                ended = int(await accounts.end_one(tx, session.user_id, id_))
            else:
                ended = await accounts.end_others(tx, session.user_id, session.id)
            if ended:
                act = act_of(session, self.browser(request), "session.end", id_ or "others", ended=ended)
                await self.app.trail.add(tx, act)
        self.sessions.forget(session.user_id)
        return ended

    # Links that work once.

    async def link(self, kind: str, key: str) -> Link:
        """Raises Unauthorised."""
        found = await accounts.find_link(self.app.db, kind, key, self.app.clock_ms())
        if found is None:
            raise Unauthorised(LINK_OVER)
        return found

    async def set_up(self, browser: Browser, key: str, email: str, name: str, password: str) -> Account:
        """The first account: the operator's, and an admin's of the default tenant. Raises Unauthorised, Invalid, and
        Conflict where somebody was quicker."""
        await self.link("setup", key)
        email = normal_email(email)
        check_password(password, email, name)
        hashed = await self.passwords.hash(password)
        app, now_ms = self.app, self.app.clock_ms()
        account = Account(app.new_id("usr"), email, name, hashed, is_operator=True)
        async with app.db.transaction() as tx:
            if not await accounts.first_of_all(tx):  # first of all, so that those who are late wait for it here
                raise Conflict("Tocsin is set up already.")
            if await accounts.take_link(tx, "setup", key, now_ms) is None:
                raise Unauthorised(LINK_OVER)
            await accounts.add_account(tx, account, now_ms)
            admin = identity.Member(account.user_id, "admin", email, name, now_ms, now_ms)
            await identity.add_member(tx, DEFAULT_TENANT, admin, now_ms)
            actor = actor_of(account.user_id, browser)
            act = Act(DEFAULT_TENANT, actor, "account.set_up", "account", account.user_id, after={"email": email})
            await app.trail.add(tx, act)
        return account

    async def set_password_by_link(self, browser: Browser, key: str, password: str) -> None:
        """For somebody who forgot theirs, or never had one: their account is made then. Raises Unauthorised, Invalid,
        and Conflict where the address has another account meanwhile."""
        link = await self.link("password", key)
        check_password(password, link.email, link.name)
        hashed = await self.passwords.hash(password)
        now_ms = self.app.clock_ms()
        async with self.app.db.transaction() as tx:
            if await accounts.take_link(tx, "password", key, now_ms) is None:
                raise Unauthorised(LINK_OVER)
            if await accounts.set_password(tx, link.user_id, hashed, now_ms):
                await accounts.end_others(tx, link.user_id)
                if not link.tenant_id:
                    await accounts.vouch(tx, link.user_id)
            elif not await accounts.add_account(
                tx, Account(link.user_id, link.email, link.name, hashed, link.tenant_id), now_ms
            ):
                raise Conflict("This email address belongs to another account.")
            actor = actor_of(link.user_id, browser)
            tenant_id = link.tenant_id or OPERATOR_TENANT
            act = Act(tenant_id, actor, "account.password", "account", link.user_id, after={"how": "link"})
            await self.app.trail.add(tx, act)
        self.sessions.forget(link.user_id)


def actor_of(user_id: str, browser: Browser) -> Actor:
    """Somebody who came by a link."""
    return Actor(user_id, address=browser.address, request_id=request_id.current.get(), user_agent=browser.agent)


async def setup_link(app: App, base: str = "") -> str:
    """Makes a link that works once, for a day, to the page that makes the first account; at this address, where it is
    not that of the settings."""
    return await one_time_link(app, "setup", Link(), base)


async def one_time_link(app: App, kind: str, link: Link, base: str = "") -> str:
    async with app.db.transaction() as tx:
        return await link_in(tx, app, kind, link, base)


async def link_in(tx: Transaction, app: App, kind: str, link: Link, base: str = "") -> str:
    key = new_key()
    await accounts.add_link(tx, kind, key, link, app.clock_ms())
    page = "setup" if kind == "setup" else "set-password"
    return f"{base or app.settings.url}/{page}?token={key}"
