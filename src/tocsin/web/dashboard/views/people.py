"""Pages for people: setting up, signing in, one's account. Plain forms; they need no script, and before somebody is
signed in none is loaded."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route as StarletteRoute

from tocsin.model.errors import Forbidden, Invalid, NotFound, Refusal
from tocsin.store import accounts
from tocsin.store.database import StoreBroken, StoreUnavailable
from tocsin.web.dashboard.forms import form_of, local
from tocsin.web.dashboard.rendering import page, static_response
from tocsin.web.dashboard.visit import Visit, to_sign_in, unmasked
from tocsin.web.observed import ROUTE
from tocsin.web.oidc import AWAY_S
from tocsin.web.oidc import COOKIE as AWAY
from tocsin.web.passwords import LEAST
from tocsin.web.people import People
from tocsin.web.routes import rfc3339
from tocsin.web.sessions import COOKIE, Signed
from tocsin.web.sign_in import normal_email

View = Callable[[People, Request], Awaitable[Response]]
HOME = "/"
SAID = {"password": "Your password is set.", "out": "You are signed out."}
ACCOUNT = "/account"


def see(path: str) -> Response:
    """Go there with GET, whatever this was."""
    return RedirectResponse(path, 303)


def words(refusal: Refusal) -> str:
    """For people: what was expected, where it is about a field of a form."""
    if isinstance(refusal, Invalid):
        field = refusal.field.replace("_", " ").capitalize()
        return f"{field}: expected {refusal.expected}, found {refusal.found}."
    return refusal.detail


# Setting up.


async def show_setup(people: People, request: Request) -> Response:
    """Looking changes nothing: programs that look into links do not use it up."""
    token = request.query_params.get("token", "")
    await people.link("setup", token)
    return page("people/setup.html", token=token, email="", name="", problem="", least=LEAST)


async def set_up(people: People, request: Request) -> Response:
    people.sessions.site.check_same_origin(request.headers)
    form = await form_of(request)
    token, email, name = form.get("token", ""), form.get("email", "").strip(), form.get("name", "").strip()
    try:
        check_email(email)
        check_same(form)
        account = await people.set_up(
            people.browser(request), token, email, name[:200] or email, form.get("password", "")
        )
    except Invalid as refusal:
        return page("people/setup.html", 400, token=token, email=email, name=name, problem=words(refusal), least=LEAST)
    signed = await people.begin(request, account, "password")
    return people.hand_out(see(HOME), signed)


def check_email(email: str) -> None:
    name, at, host = email.rpartition("@")
    if not at or not name or not host or len(email) > 254 or any(mark.isspace() for mark in email):
        raise Invalid("email", repr(email[:80]), "an email address")


def check_same(form: dict[str, str]) -> None:
    if form.get("password", "") != form.get("again", ""):
        raise Invalid("password", "two that differ", "the same password twice")


# Signing in.


async def show_sign_in(people: People, request: Request) -> Response:
    next_ = local(request.query_params.get("next", ""), HOME)
    if await people.sessions.of(request.headers) is not None:
        return see(next_)
    people.sessions.site.own_origin(request.headers)
    return await sign_in_page(people, next_, said=request.query_params.get("said", ""))


async def sign_in_page(
    people: People, next_: str, *, problem: str = "", email: str = "", said: str = "", status: int = 200
) -> Response:
    return page(
        "people/sign_in.html",
        status,
        next=next_,
        problem=problem,
        email=email,
        said=SAID.get(said, ""),
        oidc=people.app.settings.oidc_name if people.oidc else "",
        is_set_up=await accounts.any_account(people.app.db) or people.oidc is not None,
    )


async def sign_in(people: People, request: Request) -> Response:
    form = await form_of(request)
    next_, email = local(form.get("next", ""), HOME), form.get("email", "")
    try:
        signed = await people.with_password(request, normal_email(email), form.get("password", ""))
    except Refusal as refusal:
        response = await sign_in_page(people, next_, problem=words(refusal), email=email[:254], status=refusal.status)
        if (after_s := getattr(refusal, "retry_after_s", None)) is not None:
            response.headers["retry-after"] = str(after_s)
        return response
    return people.hand_out(see(next_), signed)


async def go_to_issuer(people: People, request: Request) -> Response:
    if people.oidc is None:
        raise NotFound("Single sign-on is not set up: see TOCSIN_OIDC_ISSUER.")
    people.sessions.site.own_origin(request.headers)
    where, cookie = await people.oidc.send_away(local(request.query_params.get("next", ""), HOME))
    response = RedirectResponse(where, 303)
    people.sessions.set_cookie(response, AWAY, cookie, AWAY_S)
    return response


async def back_from_issuer(people: People, request: Request) -> Response:
    if people.oidc is None:
        raise NotFound("Single sign-on is not set up: see TOCSIN_OIDC_ISSUER.")
    people.sessions.site.own_origin(request.headers)
    away = people.sessions.cookie_in(request.headers, AWAY)
    account, next_ = await people.oidc.come_back(away, dict(request.query_params))
    response = people.hand_out(see(next_), await people.begin(request, account, "oidc"))
    people.sessions.set_cookie(response, AWAY, "", 0)
    return response


# A password by a link.


async def show_set_password(people: People, request: Request) -> Response:
    token = request.query_params.get("token", "")
    link = await people.link("password", token)
    return page("people/set_password.html", token=token, email=link.email, problem="", least=LEAST)


async def set_password(people: People, request: Request) -> Response:
    people.sessions.site.check_same_origin(request.headers)
    form = await form_of(request)
    token = form.get("token", "")
    link = await people.link("password", token)
    try:
        check_same(form)
        await people.set_password_by_link(people.browser(request), token, form.get("password", ""))
    except Invalid as refusal:
        return page("people/set_password.html", 400, token=token, email=link.email, problem=words(refusal), least=LEAST)
    return see("/sign-in?said=password")


# One's account.


async def account(people: People, request: Request) -> Response:
    signed = await people.sessions.of(request.headers)
    if signed is None:
        return to_sign_in(request)
    return await account_page(people, request, signed)


async def account_page(
    people: People, request: Request, signed: Signed, problem: str = "", status: int = 200
) -> Response:
    db, session, now_ms = people.app.db, signed.session, people.app.clock_ms()
    known = await accounts.by_id(db, session.user_id)
    return await Visit(people, request, signed, {}).page(
        "people/account.html",
        status,
        sessions=[
            {**one, "seen": rfc3339(one["seen_ms"]), "browser": browser_of(one["agent"])}
            for one in await accounts.list_sessions(db, session.user_id, now_ms - people.sessions.idle_ms, now_ms)
        ],
        has_password=bool(known and known.password),
        problem=problem,
        least=LEAST,
    )


BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
SYSTEMS = (("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"), ("Mac OS", "macOS"),
           ("Linux", "Linux"))  # fmt: skip


def browser_of(agent: str) -> str:
    """What people call it; as it calls itself, where that is nothing known."""
    browser = next((name for mark, name in BROWSERS if mark in agent), "")
    system = next((name for mark, name in SYSTEMS if mark in agent), "")
    return " on ".join(filter(None, (browser, system))) or agent or "unknown browser"


async def change_password(people: People, request: Request) -> Response:
    signed, form = await own_form(people, request)
    try:
        check_same(form)
        renewed = await people.change_password(request, signed, form.get("current", ""), form.get("password", ""))
    except Refusal as refusal:
        return await account_page(people, request, signed, words(refusal), refusal.status)
    return people.hand_out(see(ACCOUNT), renewed)


async def choose_tenant(people: People, request: Request) -> Response:
    signed, form = await own_form(people, request)
    renewed = await people.sessions.renew(signed, people.browser(request), form.get("tenant_id", "") or "-")
    return people.hand_out(see(HOME), renewed)


async def end_session(people: People, request: Request) -> Response:
    signed, form = await own_form(people, request)
    await people.end_sessions(request, signed, form.get("id", "") or "-")
    return see(ACCOUNT)


async def sign_out(people: People, request: Request) -> Response:
    signed, _ = await own_form(people, request)
    await people.sessions.end(signed, people.browser(request))
    response = see("/sign-in?said=out")
    people.sessions.set_cookie(response, COOKIE, "", 0)
    return response


async def own_form(people: People, request: Request) -> tuple[Signed, dict[str, str]]:
    """A form of somebody who is signed in. Raises Forbidden where it was not one of ours."""
    signed = await people.sessions.of(request.headers)
    if signed is None:
        raise Forbidden("You are not signed in any more.")
    form = await form_of(request)
    given = form.get("csrf", "")
    people.sessions.check_request(signed, request.headers, unmasked(given) or given)
    return signed, form


async def static_file(people: People, request: Request) -> Response:
    try:
        return await static_response(request, request.path_params["name"])
    except KeyError:
        raise NotFound("No such file.") from None


PAGES: tuple[tuple[str, str, View], ...] = (
    ("GET", "/static/{name:path}", static_file),
    ("GET", "/setup", show_setup),
    ("POST", "/setup", set_up),
    ("GET", "/sign-in", show_sign_in),
    ("POST", "/sign-in", sign_in),
    ("GET", "/auth/oidc/start", go_to_issuer),
    ("GET", "/auth/oidc/callback", back_from_issuer),
    ("GET", "/set-password", show_set_password),
    ("POST", "/set-password", set_password),
    ("GET", "/account", account),
    ("POST", "/account/password", change_password),
    ("POST", "/account/tenant", choose_tenant),
    ("POST", "/account/end-session", end_session),
    ("POST", "/account/sign-out", sign_out),
)


def page_routes(people: People) -> list[StarletteRoute]:
    return [
        StarletteRoute(path, with_problems(people, f"{method} {path}", view), methods=[method])
        for method, path, view in PAGES
    ]


def with_problems(people: People, name: str, view: View) -> Callable[[Request], Awaitable[Response]]:
    """What goes wrong is a page as well."""

    async def handle(request: Request) -> Response:
        request.scope[ROUTE] = name
        try:
            return await view(people, request)
        except Refusal as refusal:
            return page("people/problem.html", refusal.status, title=refusal.title, detail=words(refusal))
        except (StoreUnavailable, StoreBroken):
            return page(
                "people/problem.html", 503, title="Try again later", detail="The store does not answer at present."
            )

    return handle
