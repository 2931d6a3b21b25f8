"""Tokens: whose they are, what they are good for, how long they hold."""

import re

import pytest

from tests.harness import Client, Running, Start
from tocsin.model.access import CHECK_CHARS, LETTERS, is_token, token_of

pytestmark = pytest.mark.anyio


async def made(client: Client, **fields: object) -> dict[str, object]:
    answer: dict[str, object] = (await client.post("/v1/tokens", {"name": "ci", "role": "viewer"} | fields)).ok(201)
    return answer


def using(client: Client, token: object) -> Client:
    return client.with_token(str(token))


# What one looks like.


def test_a_token_has_a_checksum() -> None:
    # S05
    for random in (0, 1, 2**256 - 1):
        token = token_of(random)
        assert re.match(r"^toc_[0-9A-Za-z]{49}$", token)
        assert is_token(token)
        assert not is_token(token[:-1])
        assert not is_token(token + "A")
        for place in range(4, len(token)):
            other = LETTERS[(LETTERS.index(token[place]) + 1) % len(LETTERS)]
            assert not is_token(token[:place] + other + token[place + 1 :])
    assert len({token_of(random)[:-CHECK_CHARS] for random in (0, 1, 2**256 - 1, 2**255)}) == 4


async def test_a_mistyped_token_is_known_without_a_look_up(tocsin: Running) -> None:
    # S05
    good = tocsin.client.token
    mistyped = good[:10] + ("a" if good[10] != "a" else "b") + good[11:]
    whole = token_of(7)
    assert "checksum" in (await using(tocsin.client, mistyped).get("/v1/me")).problem(401)["detail"]
    assert "not known" in (await using(tocsin.client, whole).get("/v1/me")).problem(401)["detail"]


# Whose they are.


async def test_me(tocsin: Running) -> None:
    ana = await tocsin.as_("developer", user="ana@example.com")
    assert (await ana.get("/v1/me")).ok() | {"token_id": ""} == {
        "tenant_id": "default", "user_id": "ana@example.com", "name": "", "email": "", "role": "developer",
        "scopes": ["ingest", "read", "write"], "is_operator": False, "token_id": "", "expires_at": None,
    }  # fmt: skip
    service = (await tocsin.client.get("/v1/me")).ok()
    assert (service["user_id"], service["role"]) == ("", "admin")
    assert service["scopes"] == ["admin", "ingest", "read", "write"]
    operator = (await (await tocsin.operator()).get("/v1/me")).ok()
    assert (operator["tenant_id"], operator["role"], operator["is_operator"]) == ("", "operator", True)


async def test_everybody_makes_their_own_up_to_their_role(tocsin: Running) -> None:
    ana, service = await tocsin.as_("developer", user="ana"), await tocsin.as_("developer")
    own = await made(ana, role="developer")
    assert own["user_id"] == "ana"
    assert (await using(ana, own["token"]).get("/v1/me")).ok()["user_id"] == "ana"
    (await ana.post("/v1/tokens", {"name": "x", "role": "admin"})).problem(403)
    (await ana.post("/v1/tokens", {"name": "x", "role": "viewer", "user_id": "ben"})).problem(403)
    (await ana.post("/v1/tokens", {"name": "x", "role": "viewer", "user_id": ""})).problem(403)
    (await service.post("/v1/tokens", {"name": "x", "role": "viewer"})).problem(403)
    (await service.post("/v1/tokens", {"name": "x", "role": "viewer", "user_id": "ana"})).problem(403)


async def test_a_token_makes_none_that_may_more(tocsin: Running) -> None:
    # S06
    ana = await tocsin.as_("developer", user="ana")
    weak = await made(ana, role="developer", scopes=["read", "write"], expires_in_s=3600)
    client = using(ana, weak["token"])
    whole = {"name": "x", "role": "developer", "expires_in_s": 60}
    assert "ingest" in (await client.post("/v1/tokens", whole)).problem(403)["detail"]
    fits = whole | {"scopes": ["read"]}
    (await client.post("/v1/tokens", fits)).ok(201)
    (await client.post("/v1/tokens", fits | {"expires_in_s": 7200})).problem(403)
    (await client.post("/v1/tokens", fits | {"expires_in_s": None})).problem(403)
    strong = await made(ana, role="developer")
    (await client.post(f"/v1/tokens/{strong['id']}/rotate", {})).problem(403)
    read_only = using(ana, (await made(ana, scopes=["read"]))["token"])
    assert "scope write" in (await read_only.post("/v1/tokens", fits)).problem(403)["detail"]


async def test_one_sees_and_ends_ones_own(tocsin: Running) -> None:
    ana, ben = await tocsin.as_("developer", user="ana"), await tocsin.as_("developer", user="ben")
    of_ana, of_ben = await made(ana), await made(ben)
    seen = {item["id"] for item in (await ana.get("/v1/tokens")).ok()["items"]}
    assert of_ana["id"] in seen
    assert of_ben["id"] not in seen
    (await ana.delete(f"/v1/tokens/{of_ben['id']}")).problem(404)
    (await ana.post(f"/v1/tokens/{of_ben['id']}/rotate", {})).problem(404)
    (await ana.delete(f"/v1/tokens/{of_ana['id']}")).ok(204)
    everybody = {item["id"] for item in (await tocsin.client.get("/v1/tokens?limit=100")).ok()["items"]}
    assert {of_ana["id"], of_ben["id"]} <= everybody


async def test_a_service_sees_its_own_token_alone(tocsin: Running) -> None:
    service, other = await tocsin.as_("developer"), await tocsin.as_("developer")
    me = (await service.get("/v1/me")).ok()["token_id"]
    assert [item["id"] for item in (await service.get("/v1/tokens")).ok()["items"]] == [me]
    theirs = (await other.get("/v1/me")).ok()["token_id"]
    (await service.delete(f"/v1/tokens/{theirs}")).problem(404)


async def test_an_admins_token_without_the_scope_is_no_admins(tocsin: Running) -> None:
    await made(tocsin.client, user_id="ana")
    reader = using(tocsin.client, (await made(tocsin.client, role="admin", scopes=["read", "write"]))["token"])
    assert len((await reader.get("/v1/tokens")).ok()["items"]) == 1
    (await reader.post("/v1/tokens", {"name": "x", "role": "viewer", "scopes": ["read"]})).problem(403)
    (await reader.get("/v1/members")).problem(403)


async def test_tokens_come_page_by_page(tocsin: Running) -> None:
    for _ in range(3):
        await made(tocsin.client)
    first = (await tocsin.client.get("/v1/tokens?limit=2")).ok()
    second = (await tocsin.client.get(f"/v1/tokens?limit=2&cursor={first['next']}")).ok()
    ids = [item["id"] for page in (first, second) for item in page["items"]]
    assert len(set(ids)) == 4
    assert second["next"] is None


# What they are good for.


async def test_an_ingest_token_sends_events_and_nothing_else(tocsin: Running) -> None:
    token = (await made(tocsin.client, role="developer", scopes=["ingest"]))["token"]
    pipeline = using(tocsin.client, token)
    await tocsin.send(pipeline)
    assert "scope read" in (await pipeline.get("/v1/events")).problem(403)["detail"]
    assert "scope read" in (await pipeline.post("/v1/silences/preview", {})).problem(403)["detail"]
    assert "scope write" in (await pipeline.post("/v1/webhooks", {})).problem(403)["detail"]
    reader = using(tocsin.client, (await made(tocsin.client, role="developer", scopes=["read"]))["token"])
    assert "scope ingest" in (await reader.post("/v1/events", {"type": "run.failed"})).problem(403)["detail"]


@pytest.mark.parametrize(
    ("role", "scopes", "field"),
    [("viewer", ["ingest"], "scopes[0]"), ("developer", ["read", "admin"], "scopes[1]"),
     ("viewer", ["everything"], "scopes[0]"), ("viewer", "read", "scopes")],
)  # fmt: skip
async def test_scopes_that_cannot_be(standing: Running, role: str, scopes: object, field: str) -> None:
    (await standing.client.post("/v1/tokens", {"name": "x", "role": role, "scopes": scopes})).problem(400, field)


# How long they hold.


async def test_rotation_has_an_overlap(tocsin: Running) -> None:
    # S06
    old = await made(tocsin.client, role="developer")
    webhook = await tocsin.webhook(tocsin.receiver.hook("/a"), using(tocsin.client, old["token"]))
    new = (await tocsin.client.post(f"/v1/tokens/{old['id']}/rotate", {"overlap_s": 60})).ok()
    assert (new["id"], new["role"]) == (old["id"], "developer")
    assert new["token"] != old["token"]
    for token in (old["token"], new["token"]):
        (await using(tocsin.client, token).get(f"/v1/webhooks/{webhook['id']}")).ok()
    tocsin.clock.move(61)
    assert "rotated" in (await using(tocsin.client, old["token"]).get("/v1/me")).problem(401)["detail"]
    (await using(tocsin.client, new["token"]).get("/v1/me")).ok()


async def test_rotation_without_an_overlap_ends_the_old_one_within_a_second(tocsin: Running) -> None:
    old = await made(tocsin.client, expires_in_s=60)
    (await using(tocsin.client, old["token"]).get("/v1/me")).ok()
    rotated = {"overlap_s": 0, "expires_in_s": 7200}
    new = (await tocsin.client.post(f"/v1/tokens/{old['id']}/rotate", rotated)).ok()
    tocsin.clock.move(1)
    (await using(tocsin.client, old["token"]).get("/v1/me")).problem(401)
    tocsin.clock.move(3600)
    (await using(tocsin.client, new["token"]).get("/v1/me")).ok()


async def test_what_is_rotated_twice_leaves_only_the_last_two(tocsin: Running) -> None:
    first = await made(tocsin.client)
    path = f"/v1/tokens/{first['id']}/rotate"
    second, third = (await tocsin.client.post(path, {})).ok(), (await tocsin.client.post(path, {})).ok()
    tocsin.clock.move(1)
    (await using(tocsin.client, first["token"]).get("/v1/me")).problem(401)
    (await using(tocsin.client, second["token"]).get("/v1/me")).ok()
    (await using(tocsin.client, third["token"]).get("/v1/me")).ok()
    (await tocsin.client.delete(f"/v1/tokens/{first['id']}")).ok(204)
    tocsin.clock.move(1)
    for token in (second["token"], third["token"]):
        (await using(tocsin.client, token).get("/v1/me")).problem(401)
    (await tocsin.client.post(path, {})).problem(404)


async def test_the_last_use_is_noted_to_the_minute(tocsin: Running) -> None:
    # S06
    token = await made(tocsin.client)
    client = using(tocsin.client, token["token"])

    async def last_use() -> str | None:
        while tocsin.app.under_way:
            await next(iter(tocsin.app.under_way))
        (found,) = [one for one in (await tocsin.client.get("/v1/tokens")).ok()["items"] if one["id"] == token["id"]]
        used: str | None = found["last_used_at"]
        return used

    assert await last_use() is None
    (await client.get("/v1/me")).ok()
    first = await last_use()
    assert first is not None
    tocsin.clock.move(59)
    (await client.get("/v1/me")).ok()
    assert await last_use() == first
    tocsin.clock.move(1)
    (await client.get("/v1/me")).ok()
    assert str(await last_use()) > first


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
async def test_tokens_that_cannot_be(standing: Running, body: dict[str, object], field: str) -> None:
    # S04
    (await standing.client.post("/v1/tokens", body)).problem(400, field)


async def test_a_revoked_token_ends_in_other_processes_too(start: Start) -> None:
    # S06: within a second, over all processes on one store
    one, other = await start(), await start(works=False)
    made = (await one.client.post("/v1/tokens", {"name": "ci", "role": "viewer"})).ok(201)
    clients = [running.client.with_token(made["token"]) for running in (one, other)]
    for client in clients:
        (await client.get("/v1/me")).ok()
    (await one.client.delete(f"/v1/tokens/{made['id']}")).ok(204)
    one.clock.move(1)
    for client in clients:
        (await client.get("/v1/me")).problem(401)
