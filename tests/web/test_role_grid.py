"""Who may do what: every route, with every kind of credential, against role_grid.txt."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.harness import Client, Running
from tocsin.model.access import token_of
from tocsin.web.api.tokens import make_token
from tocsin.web.dashboard.pages import PAGES as DASHBOARD
from tocsin.web.dashboard.views.people import PAGES
from tocsin.web.server import ROUTES

pytestmark = pytest.mark.anyio


class Line(NamedTuple):
    method: str
    path: str
    role: str
    scope: str


TABLE = [
    Line(*line.split())
    for line in (Path(__file__).parent / "role_grid.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
RANKS = {"viewer": 1, "developer": 2, "admin": 3}

PUBLIC = {
    "/healthz", "/readyz", "/metrics", "/openapi.json", "/auth/login", "/slack/interactivity",
    "/v1/ingest/{source}/{key}", "/ping/{key}", "/ping/{key}/{first}", "/ping/{key}/{first}/{second}",
}  # fmt: skip
"""Nothing else of the API may be asked without a credential: probes, the way in, what a signature opens, and addresses
that are a key."""

PAGES_FOR_ALL = {
    "/setup",
    "/sign-in",
    "/set-password",
    "/static/{name:path}",
    "/auth/oidc/start",
    "/auth/oidc/callback",
}
"""Of the dashboard; its other pages are for people who are signed in."""

ASKED = {"/v1/stream": "/v1/stream?types=none"}
"""What is asked in the place of a path, so that there is an end to the answer."""


def test_the_table_is_the_programs() -> None:
    # S02: a route that is not in the table fails here
    assert len(TABLE) == len({(line.method, line.path) for line in TABLE})
    assert {(r.method, r.path, r.role or "-", r.needs or "-") for r in ROUTES} == set(map(tuple, TABLE))


def test_what_is_public() -> None:
    # S01: frozen lists
    assert {line.path for line in TABLE if line.role == "-"} == PUBLIC
    assert {line.scope for line in TABLE if line.role == "-"} == {"-"}
    assert {path for _, path, _ in PAGES if not path.startswith("/account")} == PAGES_FOR_ALL


async def test_the_other_pages_are_for_people_who_are_signed_in(tocsin: Running) -> None:
    # S01: a token is no session
    for method, path in [*((m, p) for m, p, _ in PAGES), *((one.method, one.path) for one in DASHBOARD)]:
        if path not in PAGES_FOR_ALL:
            for client in (tocsin.client, tocsin.client.with_token("")):
                answer = await client.request(method, path)
                assert answer.status in (303, 401, 403), (method, path, answer.status)
                assert answer.status != 303 or answer.headers["location"].startswith("/sign-in"), (method, path)


def test_reading_needs_a_viewer_and_changing_what_is_not_ones_own_a_developer() -> None:
    # S02
    own = re.compile(r"/v1/(inbox|preferences|tokens)\b|/api/v1/notifications/preferences$")
    only_asks = re.compile(r"/v1/alert-rules/{id}/(preview|test)$")
    for line in TABLE:
        if line.role in RANKS and line.method != "GET" and not own.match(line.path) and not only_asks.match(line.path):
            assert RANKS[line.role] >= 2, line
        if line.scope == "admin":
            assert line.role == "admin", line
        assert (
            line.scope != "read"
            or line.method == "GET"
            or "preview" in line.path
            or line.path.endswith(("/test", "/compare"))
        ), line


def path_of(line: Line) -> str:
    return re.sub(r"{\w+}", "nothing", ASKED.get(line.path, line.path))


async def ask(client: Client, line: Line, headers: dict[str, str] | None = None) -> Any:
    return await client.request(line.method, path_of(line), {}, headers=headers or {})


class Holder(NamedTuple):
    """Somebody with a token: the role in the tenant ("" for an operator's), and the scopes."""

    client: Client
    role: str
    scopes: set[str]


def may(holder: Holder, line: Line) -> bool:
    """What the table says."""
    if line.role == "anybody":
        return True
    if line.role == "operator":
        fits = holder.role == "operator"
    else:
        fits = holder.role in RANKS and RANKS[holder.role] >= RANKS[line.role]
    return fits and line.scope in holder.scopes


ALL = {"ingest", "read", "write", "admin"}


async def holders(tocsin: Running) -> dict[str, Holder]:
    async def with_scopes(role: str, *scopes: str) -> Client:
        return tocsin.client.with_token((await make_token(tocsin.app, "default", "x", role, "", None, scopes)).token)

    lowered = await tocsin.as_("admin", user="ana")
    (await tocsin.client.post("/v1/members", {"user_id": "boss", "role": "admin"})).ok(201)
    (await tocsin.client.patch("/v1/members/ana", {"role": "viewer"})).ok()
    return {
        "viewer": Holder(await tocsin.as_("viewer"), "viewer", {"read", "write"}),
        "developer": Holder(await tocsin.as_("developer", user="dev"), "developer", {"ingest", "read", "write"}),
        "admin": Holder(await tocsin.as_("admin", user="boss"), "admin", ALL),
        "admin of another tenant": Holder(await tocsin.as_("admin", "other", "zoe"), "admin", ALL),
        "operator": Holder(await tocsin.operator(), "operator", {"read", "write"}),
        **{f"{scope} alone": Holder(await with_scopes("admin", scope), "admin", {scope}) for scope in sorted(ALL)},
        "a pipeline": Holder(await with_scopes("developer", "ingest"), "developer", {"ingest"}),
        "a lowered admin": Holder(lowered, "viewer", {"read", "write"}),
    }


async def test_every_route_with_every_role_and_scope(tocsin: Running) -> None:
    # S3-09 S02
    for name, holder in (await holders(tocsin)).items():
        for line in TABLE:
            if line.role == "-":
                continue
            answer = await ask(holder.client, line)
            what = (name, line, answer.status, answer.body[:300])
            if may(holder, line):
                assert answer.status in (200, 202, 204, 400, 404, 409), what
            else:
                detail = answer.problem(403)["detail"]
                assert f"role {line.role}" in detail or "operator" in detail or f"scope {line.scope}" in detail, what


async def test_every_route_without_a_credential_that_holds(tocsin: Running) -> None:
    # S01: none, junk, expired, revoked, rotated, of one who is gone, of a tenant that is gone or suspended
    app, clock = tocsin.app, tocsin.clock
    operator = await tocsin.operator()
    revoked = await make_token(app, "default", "x", "admin", "", None)
    (await tocsin.client.delete(f"/v1/tokens/{revoked.id}")).ok(204)
    rotated = await make_token(app, "default", "x", "admin", "", None)
    (await tocsin.client.post(f"/v1/tokens/{rotated.id}/rotate", {"overlap_s": 0})).ok()
    expired = await make_token(app, "default", "x", "admin", "", clock.now_ms + 1000)
    removed = await tocsin.token("developer", user="gone")
    (await tocsin.client.delete("/v1/members/gone")).ok(204)
    orphan, waiting = await tocsin.token("admin", "deleted"), await tocsin.token("admin", "suspended")
    (await operator.delete("/v1/tenants/deleted")).ok(204)
    (await operator.post("/v1/tenants/suspended/suspend")).ok()
    clock.move(2)
    good = tocsin.client.token
    strangers: dict[str, dict[str, str]] = {
        "nothing": {},
        "empty": {"authorization": ""},
        "junk": {"authorization": "Bearer toc_" + "x" * 49},
        "a token that nobody has": {"authorization": f"Bearer {token_of(7)}"},
        "another kind of secret": {"authorization": "Bearer whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
        "not ASCII": {"authorization": "Bearer tök"},
        "another scheme": {"authorization": f"Basic {good}"},
        "the token alone": {"authorization": good},
        "in a cookie": {"cookie": f"token={good}; tocsin={good}; __Host-tocsin={good}"},
        "expired": {"authorization": f"Bearer {expired.token}"},
        "revoked": {"authorization": f"Bearer {revoked.token}"},
        "rotated": {"authorization": f"Bearer {rotated.token}"},
        "of one who was removed": {"authorization": f"Bearer {removed}"},
        "of a deleted tenant": {"authorization": f"Bearer {orphan}"},
        "of a suspended tenant": {"authorization": f"Bearer {waiting}"},
    }
    nobody = tocsin.client.with_token("")
    for name, headers in strangers.items():
        for line in TABLE:
            answer = await ask(nobody, line, headers)
            what = (name, line, answer.status, answer.body[:300])
            if line.role == "-":
                assert answer.status in (200, 400, 404), what
            elif name == "of a suspended tenant":
                assert "suspended" in answer.problem(403)["detail"], what
            else:
                assert answer.status == 401, what
                assert answer.headers["www-authenticate"].startswith("Bearer"), what
                answer.problem(401)


async def test_a_token_in_the_address_counts_for_nothing(tocsin: Running) -> None:
    # S01
    nobody = tocsin.client.with_token("")
    (await nobody.get(f"/v1/events?token={tocsin.client.token}")).problem(401)


NOT_THE_CALLERS = {
    "tenant_id": "other", "id": "whk_0", "role": "admin", "created_by": "boss", "user_id": "boss", "updated_at": "now",
}  # fmt: skip
MAKES: dict[str, dict[str, Any]] = {
    "/v1/webhooks": {"provider_type": "webhook", "name": "x", "webhook_url": "http://127.0.0.1:9000"},
    "/v1/alert-rules": {"name": "x"},
    "/v1/silences": {"matchers": [{"field": "pipeline", "value": "p"}], "duration_s": 60},
    "/v1/tokens": {"name": "x", "role": "viewer"},
    "/v1/members": {"user_id": "new", "role": "viewer"},
    "/v1/secrets": {"name": "x", "value": "x"},
    "/v1/sources": {"kind": "github", "name": "x"},
}


async def test_fields_that_are_not_the_callers_to_set(tocsin: Running) -> None:
    # S04: refused by name, when something is made and when it is changed
    asked = 0
    for path, body in MAKES.items():
        item = (await tocsin.client.post(path, body)).ok(201)
        name = item.get("id") or item.get("user_id") or item["name"]
        ways = [("POST", path, body)]
        if any(line.method == "PATCH" and line.path.startswith(f"{path}/{{") for line in TABLE):
            ways.append(("PATCH", f"{path}/{name}", {}))
        for method, where, sent in ways:
            for field, value in NOT_THE_CALLERS.items():
                known = sent if method == "POST" else MAKES[path]
                if field in known or (path in ("/v1/tokens", "/v1/members") and field in ("role", "user_id")):
                    continue
                answer = await tocsin.client.request(method, where, sent | {field: value})
                assert "an unknown field" in answer.problem(400, field)["detail"], (method, where, field)
                asked += 1
    assert asked > 40
