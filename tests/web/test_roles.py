"""Who may do what: the table of routes against every kind of token."""

import re

import pytest

from tests.harness import Running
from tocsin.model.access import RANKS, ROLES
from tocsin.web.api.tokens import make_token
from tocsin.web.server import ROUTES

pytestmark = pytest.mark.anyio

SIGNED = {"/slack/interactivity"}
"""A signature counts here, not a token. There is nothing at these paths until the secret for it is set."""
PUBLIC = {"/healthz", "/readyz", "/metrics", "/openapi.json", "/auth/login", *SIGNED}
"""Nothing else may be asked without a token."""

OWN = {
    "/v1/inbox/{id}/read", "/v1/inbox/read", "/v1/preferences", "/api/v1/notifications/preferences", "/v1/tokens",
    "/v1/tokens/{id}", "/v1/tokens/{id}/rotate", "/auth/logout", "/auth/session", "/auth/sessions",
    "/auth/sessions/{id}", "/auth/password",
}  # fmt: skip
"""What everybody may change, because it is theirs alone."""

GRID = [(route.method, route.path, route.role) for route in ROUTES]


def path_of(path: str) -> str:
    """A stream that cannot be: one that can would go on for ever."""
    return re.sub(r"{\w+}", "nothing", path) + ("?types=none" if path == "/v1/stream" else "")


def test_what_is_public() -> None:
    # S01: a frozen list
    assert {path for _, path, role in GRID if not role} == PUBLIC
    assert {role for _, _, role in GRID} == {"", "anybody", "viewer", "developer", "admin", "operator"}


def test_reading_needs_a_viewer_and_changing_a_developer() -> None:
    # S02: the table itself
    for method, path, role in GRID:
        if path in PUBLIC or role == "operator":
            continue
        if method != "GET" and not path.endswith(("/{id}/preview", "/{id}/test")) and path not in OWN:
            assert RANKS[role] >= RANKS["developer"], (method, path)


async def test_the_grid(tocsin: Running) -> None:
    # S3-09 S01 S02
    app = tocsin.app
    revoked = await make_token(app, "default", "revoked", "admin", "", None)
    (await tocsin.client.delete(f"/v1/tokens/{revoked.id}")).ok(204)
    expired = await make_token(app, "default", "expired", "admin", "", tocsin.clock.now_ms + 1000)
    await tocsin.move(2)
    good = tocsin.client.token
    strangers = {
        "nothing": {},
        "empty": {"authorization": ""},
        "junk": {"authorization": "Bearer toc_" + "x" * 43},
        "not ASCII": {"authorization": "Bearer tök"},
        "another scheme": {"authorization": f"Basic {good}"},
        "the token alone": {"authorization": good},
        "in a cookie": {"cookie": f"token={good}"},
        "expired": {"authorization": f"Bearer {expired.token}"},
        "revoked": {"authorization": f"Bearer {revoked.token}"},
    }
    roles = {role: await tocsin.token(role) for role in ROLES}
    nobody = tocsin.client.with_token("")
    for method, path, needed in GRID:
        for name, headers in strangers.items():
            answer = await nobody.request(method, path_of(path), {}, headers=headers)
            if not needed:
                expected = 404 if path in SIGNED else 400 if path == "/auth/login" else 200  # it wants a body
                assert answer.status == expected, (method, path, name)
                continue
            assert answer.status == 401, (method, path, name)
            assert answer.headers["www-authenticate"].startswith("Bearer")
            answer.problem(401)
        for role, token in roles.items():
            answer = await tocsin.client.with_token(token).request(method, path_of(path), {})
            if needed == "operator" or (needed and RANKS[role] < RANKS[needed]):
                problem = answer.problem(403)
                assert needed in problem["detail"]
            else:
                assert answer.status in (200, 202, 400, 404), (method, path, role, answer.body)


async def test_a_token_in_the_address_counts_for_nothing(tocsin: Running) -> None:
    nobody = tocsin.client.with_token("")
    (await nobody.get(f"/v1/events?token={tocsin.client.token}")).problem(401)


async def test_a_revoked_token_works_no_longer_than_a_second(tocsin: Running) -> None:
    # S06
    made = (await tocsin.client.post("/v1/tokens", {"name": "ci", "role": "viewer"})).ok(201)
    client = tocsin.client.with_token(made["token"])
    (await client.get("/v1/events")).ok()
    (await tocsin.client.delete(f"/v1/tokens/{made['id']}")).ok(204)
    tocsin.clock.move(1)
    (await client.get("/v1/events")).problem(401)
    (await tocsin.client.delete(f"/v1/tokens/{made['id']}")).problem(404)


async def test_a_token_expires(tocsin: Running) -> None:
    # S06
    made = (await tocsin.client.post("/v1/tokens", {"name": "ci", "role": "viewer", "expires_in_s": 60})).ok(201)
    client = tocsin.client.with_token(made["token"])
    tocsin.clock.move(58)
    (await client.get("/v1/events")).ok()
    tocsin.clock.move(2)
    assert "expired" in (await client.get("/v1/events")).problem(401)["detail"]


async def test_tokens_are_shown_once(tocsin: Running) -> None:
    # S05
    made = (await tocsin.client.post("/v1/tokens", {"name": "ci", "role": "developer", "user_id": "mia"})).ok(201)
    assert made["token"].startswith("toc_")
    assert len(made["token"]) >= 43
    answer = await tocsin.client.get("/v1/tokens")
    assert made["token"].encode() not in answer.body
    (listed,) = [item for item in answer.ok()["items"] if item["id"] == made["id"]]
    assert (listed["role"], listed["user_id"], listed["hint"]) == ("developer", "mia", "…" + made["token"][-4:])


@pytest.mark.parametrize(
    ("body", "field"),
    [({"name": "x", "role": "owner"}, "role"), ({"role": "viewer"}, "name"), ({"name": "", "role": "viewer"}, "name"),
     ({"name": "x", "role": "viewer", "tenant_id": "other"}, "tenant_id"),
     ({"name": "x", "role": "viewer", "expires_in_s": 1}, "expires_in_s"),
     ({"name": "\x00", "role": "viewer"}, "name"), ({"name": "x", "role": "viewer", "user_id": "\x00"}, "user_id")],
)  # fmt: skip
async def test_tokens_that_cannot_be(tocsin: Running, body: dict[str, object], field: str) -> None:
    # S04
    (await tocsin.client.post("/v1/tokens", body)).problem(400, field)
