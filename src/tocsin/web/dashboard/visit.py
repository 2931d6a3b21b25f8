"""Somebody who is signed in, at a page: who they are, what they may, and how a page or a form answers them."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tocsin.model.access import ANYBODY, OPERATOR, RANKS
from tocsin.model.errors import Forbidden, Refusal
from tocsin.model.ids import OPERATOR_TENANT
from tocsin.store.database import StoreBroken, StoreUnavailable
from tocsin.web.dashboard.api import Api
from tocsin.web.dashboard.forms import pairs_of
from tocsin.web.dashboard.navigation import NAVIGATION
from tocsin.web.dashboard.rendering import packed_page, page, render
from tocsin.web.etags import digest
from tocsin.web.help import address_of
from tocsin.web.observed import ROUTE
from tocsin.web.once import checked_key
from tocsin.web.people import People
from tocsin.web.routes import rfc3339
from tocsin.web.sessions import Signed

OPERATORS_HOME = "/settings/tenants"
"""Where an operator is who is in no tenant."""

SAID = "tocsin_said"
SAID_S = 60
COUNTS_MS = 3000
MOST_KNOWN = 1000


class Undo(Struct, frozen=True):
    """A form that takes back what was just done."""

    action: str
    fields: dict[str, str] = {}
    label: str = "Undo"


class Said(Struct, frozen=True):
    """What the next page tells, once."""

    text: str
    tone: str = "ok"  # ok | bad
    undo: Undo | None = None


class Visit:
    """`api` asks in this person's name. `form` holds what a form sent, and `many` fields that may come several times,
    such as the `id` of selected rows; its CSRF token has been checked."""

    def __init__(self, people: People, request: Request, signed: Signed, form: Mapping[str, str]) -> None:
        self.people = people
        self.app = people.app
        self.request = request
        self.signed = signed
        self.form = form
        self.many: dict[str, list[str]] = {}
        self.api = Api(request.app, request, signed.csrf)

    @property
    def role(self) -> str:
        return self.signed.principal.role

    def may(self, role: str) -> bool:
        """Whether their role is enough; `operator` for who runs this Tocsin, `anybody` for all who are signed in."""
        if role == OPERATOR:
            return self.signed.principal.is_operator
        return role == ANYBODY or (self.role != OPERATOR and RANKS[self.role] >= RANKS[role])

    @property
    def home(self) -> str:
        """Where this Tocsin is for others, without a slash at the end."""
        return (self.app.settings.public_url or str(self.request.base_url)).rstrip("/")

    def query(self, name: str, otherwise: str = "") -> str:
        return self.request.query_params.get(name, otherwise)

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])

    def ago(self, hours: str) -> str:
        """The time so many hours ago, as the API takes it; what is no number of hours as it came, to be refused."""
        if not hours.isdecimal() or len(hours) > 5:
            return hours
        return str(rfc3339(self.app.clock_ms() - int(hours) * 3_600_000))

    def once(self, body: Any) -> str:
        """The Idempotency-Key of what a form makes: sent again as it was, by a double click or a reload, it is made
        once; with other words in it, it is another. "" for a form without `once`."""
        given = self.form.get("once", "")
        return f"{given}-{digest(msgspec.json.encode(body))}" if checked_key(given) else ""

    async def page(self, template: str, http_status: int = 200, **values: Any) -> Response:
        """A page in the frame that all pages have. Live refreshes of a part of it need no frame's numbers."""
        said = said_of(self.request, self.signed)
        frame = {
            "visit": self,
            "home": self.home,
            "now_ms": self.app.clock_ms(),
            "session": self.signed.session,
            "csrf": masked(self.signed.csrf),
            "may": self.may,
            "navigation": [one for one in NAVIGATION if self.may(one.role)],
            "counts": await self.counts(),
            "tenants": await self.tenants(),
            "once": secrets.token_urlsafe(16),
            "path": self.request.url.path,
            "asked": dict(self.request.query_params),
            "said": said,
        }
        response = packed_page(self.request, render(template, **frame, **values), http_status)
        if said is not None:
            response.delete_cookie(SAID, path="/", secure=self.people.sessions.site.is_secure, httponly=True)
        return response

    async def counts(self) -> dict[str, int]:
        """What needs a human, by the name of its page. Remembered for a moment, until this person changes something:
        many pages that follow each other cost one look."""
        if not self.may("viewer"):
            return {}
        key, now_ms = (self.signed.principal.tenant_id, self.signed.principal.who), self.app.clock_ms()
        known = self.people.counts.get(key)
        if known is not None and known[0] > now_ms:
            return known[1]
        await self.attention()
        return self.people.counts[key][1]

    async def attention(self) -> dict[str, Any]:
        """What needs a human, as it is now."""
        key, now_ms = (self.signed.principal.tenant_id, self.signed.principal.who), self.app.clock_ms()
        found: dict[str, Any] = await self.api.get("/v1/stats/attention")
        counts = {name: count for name, count in found.items() if isinstance(count, int)}
        if len(self.people.counts) >= MOST_KNOWN:
            self.people.counts.clear()
        self.people.counts[key] = (now_ms + COUNTS_MS, counts)
        return found

    async def tenants(self) -> list[dict[str, str]]:
        """Where they may go: the tenants that they belong to; for who runs this Tocsin, to no tenant as well."""
        if self.request.headers.get("hx-request"):
            return []
        found: list[dict[str, str]] = (await self.api.get("/auth/session"))["tenants"]
        if self.may(OPERATOR):
            found.append({"tenant_id": OPERATOR_TENANT, "tenant_name": "The operator", "role": OPERATOR})
        return found

    def see(self, path: str, said: str = "", *, undo: Undo | None = None, tone: str = "ok") -> Response:
        """Go there with GET; the page there says it, once."""
        response = RedirectResponse(path, 303)
        if said:
            cookie = seal(Said(said, tone, undo), self.signed)
            response.set_cookie(
                SAID,
                cookie,
                SAID_S,
                path="/",
                secure=self.people.sessions.site.is_secure,
                httponly=True,
                samesite="lax",
            )
        return response


View = Callable[[Visit], Awaitable[Response]]


class Page(Struct, frozen=True):
    """`GET` shows, `POST` does and then leads to a page. `role`: the least one that may come here at all."""

    method: str
    path: str
    view: View
    role: str = "viewer"


def served(people: People, one: Page) -> Callable[[Request], Awaitable[Response]]:
    """What goes wrong is a page as well; who is not signed in is asked to, and comes back."""

    async def handle(request: Request) -> Response:
        request.scope[ROUTE] = f"{one.method} {one.path}"
        try:
            signed = await people.sessions.of(request.headers)
            if signed is None:
                return to_sign_in(request)
        except Refusal as refusal:
            return page("people/problem.html", refusal.status, title=refusal.title, detail=refusal.detail)
        except (StoreUnavailable, StoreBroken):
            return page("people/problem.html", 503, title="Try again later", detail="The store does not answer.")
        visit = Visit(people, request, signed, {})
        try:
            if request.method == "POST":
                for name, value in await pairs_of(request):
                    visit.many.setdefault(name, []).append(value)
                form = {name: values[-1] for name, values in visit.many.items()}
                people.sessions.check_request(signed, request.headers, unmasked(form.pop("csrf", "")))
                visit.form = form
                people.counts.pop((signed.principal.tenant_id, signed.principal.who), None)
            if not visit.may(one.role):
                if visit.role == OPERATOR:
                    if one.path == "/":
                        return RedirectResponse(OPERATORS_HOME, 303)
                    raise Forbidden("This page is a tenant's. You are here as the operator, and in none: choose one.")
                raise Forbidden(f"This page is for the role {one.role}; yours is {visit.role}.")
            return await one.view(visit)
        except Refusal as refusal:
            return await problem_page(visit, refusal)
        except (StoreUnavailable, StoreBroken):
            return page("people/problem.html", 503, title="Try again later", detail="The store does not answer.")

    return handle


async def problem_page(visit: Visit, refusal: Refusal) -> Response:
    try:
        return await visit.page(
            "pages/problem.html",
            refusal.status,
            title=refusal.title,
            detail=refusal.detail,
            more=address_of(refusal.code),
        )
    except Refusal:
        return page("people/problem.html", refusal.status, title=refusal.title, detail=refusal.detail)


def to_sign_in(request: Request) -> Response:
    if request.headers.get("hx-request"):  # a part of a page: the whole of it has to go there
        return Response(status_code=401, headers={"hx-redirect": "/sign-in"})
    query = request.url.query
    path = request.scope["raw_path"].decode("ascii", "replace")  # as it was written: a name may have a slash in it
    where = path + (f"?{query}" if query else "") if request.method == "GET" else "/"
    return RedirectResponse(f"/sign-in?next={quote(where, safe='')}", 303)


# The token of forms is masked anew in each page: pages are packed, and what is packed together with text that somebody
# else chose can be guessed by its length (https://breachattack.com).


def masked(csrf: str) -> str:
    plain = csrf.encode()
    mask = secrets.token_bytes(len(plain))
    return base64.urlsafe_b64encode(mask + bytes(a ^ b for a, b in zip(mask, plain, strict=True))).decode()


def unmasked(text: str) -> str:
    """ "" for what is none of ours."""
    try:
        both = base64.b64decode(text, b"-_", validate=True)
        half = len(both) // 2
        return bytes(a ^ b for a, b in zip(both[:half], both[half:], strict=True)).decode()
    except ValueError:
        return ""


# What the next page says is kept by the browser, and signed, so that nobody else puts words into our mouth.


def signature(content: bytes, signed: Signed) -> bytes:
    return hmac.digest(signed.csrf.encode(), b"said " + content, hashlib.sha256)[:16]


def seal(said: Said, signed: Signed) -> str:
    content = msgspec.json.encode(said)
    return base64.urlsafe_b64encode(signature(content, signed) + content).decode()


def said_of(request: Request, signed: Signed) -> Said | None:
    try:
        both = base64.b64decode(request.cookies.get(SAID, ""), b"-_", validate=True)
        if len(both) > 16 and hmac.compare_digest(both[:16], signature(both[16:], signed)):
            return msgspec.json.decode(both[16:], type=Said)
    except (ValueError, msgspec.DecodeError):
        pass
    return None
