"""The application: routes, authentication, one error shape; and the server that carries it in our own event loop."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import msgspec
import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute
from starlette.types import Receive, Scope, Send

from tocsin.app import App
from tocsin.model.errors import Busy, Forbidden, NotFound, Refusal
from tocsin.store.database import StoreBroken, StoreUnavailable
from tocsin.store.sealing import WrongKey
from tocsin.web import once, request_id
from tocsin.web.api import (
    alert_rules,
    audit,
    bulk,
    bus,
    config,
    deliveries,
    doctor,
    event_preview,
    events,
    export,
    flows,
    handshake,
    inbox,
    ingest,
    latency,
    limits,
    members,
    names,
    notifications,
    ping,
    pipelines,
    preferences,
    preview,
    providers,
    rollout,
    rule_preview,
    runs,
    search,
    secrets,
    sign_in,
    silences,
    slack_door,
    sources,
    stats,
    stats_attention,
    stats_counts,
    stream,
    system,
    tenant_settings,
    tenants,
    tokens,
    webhooks,
)
from tocsin.web.auth import Principal, Tokens, bearer_of
from tocsin.web.client_address import client_address
from tocsin.web.dashboard.pages import dashboard_routes
from tocsin.web.dashboard.rendering import page
from tocsin.web.dashboard.views.help import help_routes
from tocsin.web.dashboard.views.people import page_routes
from tocsin.web.denials import Denials
from tocsin.web.etags import conditional
from tocsin.web.headers import Guard
from tocsin.web.help import address_of
from tocsin.web.jwt_bearer import JwtBearer
from tocsin.web.observed import OTHER, ROUTE, Observed
from tocsin.web.openapi import document
from tocsin.web.people import People
from tocsin.web.problems import PROBLEM_TYPE, Problem, answer_of, encoded
from tocsin.web.protocol import Protocol, cut_slow_ones
from tocsin.web.routes import ALLOWED, Call, Route, check_query
from tocsin.web.stream import TRANSPORT, Hub

ROUTES: tuple[Route, ...] = (
    *events.ROUTES,
    *providers.ROUTES,
    *webhooks.ROUTES,
    *latency.ROUTES,
    *preview.ROUTES,
    *alert_rules.ROUTES,
    *names.ROUTES,
    *rule_preview.ROUTES,
    *event_preview.ROUTES,
    *config.ROUTES,
    *deliveries.ROUTES,
    *bulk.ROUTES,
    *export.ROUTES,
    *runs.ROUTES,
    *search.ROUTES,
    *flows.ROUTES,
    *stream.ROUTES,
    *inbox.ROUTES,
    *silences.ROUTES,
    *secrets.ROUTES,
    *preferences.ROUTES,
    *notifications.ROUTES,
    *pipelines.ROUTES,
    *slack_door.ROUTES,
    *audit.ROUTES,
    *stats.ROUTES,
    *stats_attention.ROUTES,
    *stats_counts.ROUTES,
    *ingest.ROUTES,
    *handshake.ROUTES,
    *sources.ROUTES,
    *ping.ROUTES,
    *bus.ROUTES,
    *system.ROUTES,
    *tokens.ROUTES,
    *members.ROUTES,
    *tenants.ROUTES,
    *tenant_settings.ROUTES,
    *limits.ROUTES,
    *rollout.ROUTES,
    *doctor.ROUTES,
    *sign_in.ROUTES,
)
PROBES = tuple(route for route in system.ROUTES if route.path in ("/healthz", "/readyz", "/metrics"))
"""What TOCSIN_METRICS_PORT answers."""

Handle = Callable[[Request], Awaitable[Response]]
log = structlog.get_logger()


class Tocsin:
    """The ASGI application. `POST /v1/events` goes straight to its door; the rest through Starlette."""

    def __init__(
        self, app: App, extra: tuple[StarletteRoute, ...] = (), *, routes: tuple[Route, ...] | None = None
    ) -> None:
        self.app = app
        foreign = JwtBearer(app).principal if app.settings.jwt_issuer else None
        self.tokens = Tokens(app.db, app.clock_ms, app.beside, foreign)
        self.denials = Denials(app)
        self.people = People(app)
        self.guard = Guard(self.people.sessions.site)
        self.events = events.EventsDoor(app, self.tokens, self.people.sessions, self.guard.data, self.denials)
        pages = []
        if routes is None:
            pages = [*page_routes(self.people), *help_routes(self.people), *dashboard_routes(self.people)]
        self.rest = Starlette(
            routes=[*extra, *self.by_path(ROUTES if routes is None else routes), *pages],
            exception_handlers={HTTPException: not_a_route, Exception: our_fault},
        )
        self.rest.state.document = openapi
        self.rest.state.people = self.people
        self.rest.state.pings = ping.Pace()
        self.takes_events = routes is None
        self.observed = Observed(app, self.answer)
        self.rest.state.hub = self.hub = Hub(app, stream.SHAPE)
        self.rest.state.authenticate = self.authenticate

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.people.proxies and "client" in scope:
            scope["client"] = (client_address(scope, self.people.proxies), 0)
        if scope["type"] == "http":
            if scope["path"] == "/v1/stream":
                scope[TRANSPORT] = getattr(getattr(send, "__self__", None), "transport", None)
            await self.observed(scope, receive, send)
        else:
            await self.rest(scope, receive, send)

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/v1/events" and scope["method"] == "POST" and self.takes_events:
            scope[ROUTE] = "POST /v1/events"
            try:
                await self.events(scope, receive, send)
            except (StoreUnavailable, StoreBroken) as error:
                response = unavailable(error)
                await response(scope, receive, self.guard.around(send))
            except Exception:
                log.exception("web.failed", route="POST /v1/events")
                response = our_answer()
                await response(scope, receive, self.guard.around(send))
            return
        await self.rest(scope, receive, self.guard.around(send))

    async def authenticate(self, request: Request, *, basic: bool = False) -> Principal:
        """By the token, with `basic` as a password, too; by the session's cookie where there is no Authorization at
        all. Raises Unauthorised, and Forbidden for a cookie that another site sends along."""
        authorization = request.headers.get("authorization")
        if authorization is None:
            return await self.people.sessions.principal(request.method, request.headers)
        given = authorization.encode("latin-1")
        return await self.tokens.principal(bearer_of(given) if basic else given)

    def by_path(self, routes: Iterable[Route]) -> list[StarletteRoute]:
        """Paths without parameters first: `/v1/webhooks/bulk` is no webhook's; then the longer ones: a user's id may
        have slashes in it."""
        paths: dict[str, dict[str, Handle]] = {}
        for route in routes:
            paths.setdefault(route.path, {})[route.method] = self.handler(route)
        in_order = sorted(paths.items(), key=lambda path: (path[0].count("{"), -path[0].count("/")))
        return [StarletteRoute(pattern_of(path), AtPath(handlers)) for path, handlers in in_order]

    def handler(self, route: Route) -> Handle:
        name = f"{route.method} {route.path}"

        async def handle(request: Request) -> Response:
            request.scope[ROUTE] = name
            principal = None
            try:
                if route.role:
                    principal = await self.authenticate(request, basic=route.basic)
                    now_ms = self.app.clock_ms()
                    (await self.app.meter.gate(principal.tenant_id, now_ms)).request(principal.token_id, now_ms)
                    principal.require(route.role, route.needs)
                check_query(route, request)
                call = Call(self.app, request, principal)
                response = await (once.answered(call, route.handler) if route.makes else route.handler(call))
                whole = route.method == "GET" and route.role and response.status_code == 200
                return conditional(request, response) if whole and hasattr(response, "body") else response
            except Refusal as refusal:
                if isinstance(refusal, Forbidden) and principal is not None and route.method != "GET":
                    await self.denials.write(request, route, principal, refusal)
                return refused(refusal)
            except (StoreUnavailable, StoreBroken) as error:
                return unavailable(error)
            except WrongKey as error:  # keys are being rotated, and this process does not know the new one yet
                log.error("web.wrong_key", reason=str(error))
                return refused(Busy("This process lacks the key of a secret; its log says more.", retry_after_s=30))

        return handle


@cache
def openapi() -> bytes:
    """The document, made when somebody asks for it: that takes a tenth of a second, which no start should."""
    return msgspec.json.encode(document(ROUTES))


class AtPath:
    """What answers at a path, by method; with 405 and the methods that there are where there is none for it."""

    def __init__(self, handlers: Mapping[str, Handle]) -> None:
        self.handlers = handlers
        self.allowed = ", ".join(sorted({*handlers, *(["HEAD"] if "GET" in handlers else [])}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if method not in self.handlers:
            raise HTTPException(405, headers={"Allow": self.allowed})
        scope[ALLOWED] = self.allowed
        response = await self.handlers[method](Request(scope, receive, send))
        await response(scope, receive, send)


def pattern_of(path: str) -> str:
    """A pipeline's name may have slashes in it, and so may a user's id."""
    if path.startswith("/v1/pipelines/"):
        path = path.replace("{name}", "{name:path}")
    if path.startswith("/v1/events/"):
        path = path.replace("{id}", "{id:path}")
    return path.replace("{user}", "{user:path}")


def refused(refusal: Refusal) -> Response:
    status, body, headers = answer_of(refusal)
    return Response(body, status, {name.decode(): value.decode() for name, value in headers})


def unavailable(error: Exception) -> Response:
    log.warning("web.store_unavailable", reason=str(error))
    return refused(Busy("The store does not answer at present.", retry_after_s=2))


async def not_a_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        if "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(("/v1/", "/api/")):
            detail = f"There is nothing at {request.url.path}."
            return page("people/problem.html", 404, title="No such page", detail=detail)
        return refused(NotFound("There is nothing at this path. GET /openapi.json lists what there is."))
    problem = Problem(
        error.detail,
        error.status_code,
        f"{request.method} is not possible here.",
        address_of("method-not-allowed"),
        request_id=request_id.current.get(),
    )
    return Response(encoded(problem), error.status_code, dict(error.headers or {}), PROBLEM_TYPE)


async def our_fault(request: Request, error: Exception) -> Response:
    """What went wrong is in the log; the answer tells nothing about our inside."""
    log.error("web.failed", route=request.scope.get(ROUTE, OTHER), exc_info=error)
    return our_answer()


def our_answer() -> Response:
    problem = Problem(
        "Internal error",
        500,
        "Something went wrong inside Tocsin; its log says what.",
        address_of("internal-error"),
        request_id=request_id.current.get(),
    )
    return Response(encoded(problem), 500, media_type=PROBLEM_TYPE)


class Server(uvicorn.Server):
    """uvicorn in our own loop, without its signal handlers: the process decides when to stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.serving = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.serving.set()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second."""
        if counter % 100 == 0:
            cut_slow_ones(self.server_state.connections, asyncio.get_running_loop())
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams end with a word, so that nobody waits for them."""
        if isinstance(self.config.app, Tocsin):
            self.config.app.hub.stop()
        await super().shutdown(sockets)


def server_of(asgi: Any) -> Server:
    config = uvicorn.Config(
        asgi,
        loop="none",
        http=Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        date_header=True,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=10,
        backlog=2048,
        h11_max_incomplete_event_size=65_536,
    )
    return Server(config)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError where the port is taken or the host is not ours."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(2048)
    listening.setblocking(False)
    return listening
