"""Members, their roles, and what these mean for tokens."""

import asyncio
from urllib.parse import quote

import pytest

from tests.harness import Client, Running

pytestmark = pytest.mark.anyio


async def role_of(client: Client) -> str:
    role: str = (await client.get("/v1/me")).ok()["role"]
    return role


async def test_a_members_life(tocsin: Running) -> None:
    given = {"user_id": "ana", "role": "developer", "email": "ana@example.com", "name": "Ana"}
    made = (await tocsin.client.post("/v1/members", given)).ok(201)
    assert {name: made[name] for name in given} == given
    (await tocsin.client.post("/v1/members", given)).problem(409)
    assert (await tocsin.client.get("/v1/members/ana")).ok() == made
    changed = (await tocsin.client.patch("/v1/members/ana", {"name": "Ana B", "email": None})).ok()
    assert (changed["name"], changed["email"], changed["role"]) == ("Ana B", None, "developer")
    assert [one["user_id"] for one in (await tocsin.client.get("/v1/members")).ok()["items"]] == ["ana"]
    (await tocsin.client.delete("/v1/members/ana")).ok(204)
    (await tocsin.client.get("/v1/members/ana")).problem(404)
    (await tocsin.client.delete("/v1/members/ana")).problem(404)
    assert (await tocsin.client.get("/v1/members")).ok()["items"] == []


@pytest.mark.parametrize("user_id", ["https://id.example/people/7", "auth0|5f7c", "ä ö@example.com", "a/../b", "%2F"])
async def test_ids_as_providers_give_them(standing: Running, user_id: str) -> None:
    (await standing.client.post("/v1/members", {"user_id": user_id, "role": "viewer"})).ok(201)
    path = f"/v1/members/{quote(user_id, safe='')}"
    assert (await standing.client.get(path)).ok()["user_id"] == user_id
    (await standing.client.delete(path)).ok(204)


@pytest.mark.parametrize(
    ("body", "field"),
    [({"user_id": "", "role": "viewer"}, "user_id"), ({"user_id": " a", "role": "viewer"}, "user_id"),
     ({"user_id": "a\x00", "role": "viewer"}, "user_id"), ({"user_id": "a" * 201, "role": "viewer"}, "user_id"),
     ({"user_id": "a", "role": "operator"}, "role"), ({"user_id": "a", "role": "viewer", "email": "x"}, "email"),
     ({"user_id": "a", "role": "viewer", "tenant_id": "b"}, "tenant_id"), ({"user_id": "a"}, "role")],
)  # fmt: skip
async def test_members_that_cannot_be(standing: Running, body: dict[str, object], field: str) -> None:
    # S04
    (await standing.client.post("/v1/members", body)).problem(400, field)


async def test_members_come_page_by_page(tocsin: Running) -> None:
    for name in ("ana", "ben", "ćiro"):
        (await tocsin.client.post("/v1/members", {"user_id": name, "role": "viewer"})).ok(201)
    first = (await tocsin.client.get("/v1/members?limit=2")).ok()
    second = (await tocsin.client.get(f"/v1/members?limit=2&cursor={first['next']}")).ok()
    assert [one["user_id"] for page in (first, second) for one in page["items"]] == ["ana", "ben", "ćiro"]


async def test_a_lower_role_lowers_the_tokens_within_a_second(tocsin: Running) -> None:
    # S06
    ana = await tocsin.as_("admin", user="ana")
    assert await role_of(ana) == "admin"
    await tocsin.token("admin", user="ben")
    (await tocsin.client.patch("/v1/members/ana", {"role": "viewer"})).ok()
    tocsin.clock.move(1)
    assert await role_of(ana) == "viewer"
    assert "role developer" in (await ana.post("/v1/alert-rules", {"name": "x"})).problem(403)["detail"]
    assert "role developer" in (await ana.post("/v1/events", {"type": "run.failed"})).problem(403)["detail"]
    (await tocsin.client.patch("/v1/members/ana", {"role": "developer"})).ok()
    tocsin.clock.move(1)
    assert await role_of(ana) == "developer"


async def test_a_higher_role_raises_no_token(tocsin: Running) -> None:
    ana = await tocsin.as_("viewer", user="ana")
    (await tocsin.client.patch("/v1/members/ana", {"role": "admin"})).ok()
    tocsin.clock.move(1)
    assert await role_of(ana) == "viewer"


async def test_who_is_removed_has_no_tokens_and_does_not_get_them_back(tocsin: Running) -> None:
    # S06
    ana = await tocsin.as_("developer", user="ana")
    (await ana.get("/v1/me")).ok()
    (await tocsin.client.delete("/v1/members/ana")).ok(204)
    tocsin.clock.move(1)
    (await ana.get("/v1/me")).problem(401)
    (await tocsin.client.post("/v1/members", {"user_id": "ana", "role": "developer"})).ok(201)
    (await ana.get("/v1/me")).problem(401)


async def test_a_token_makes_its_member(tocsin: Running) -> None:
    (await tocsin.client.post("/v1/tokens", {"name": "x", "role": "developer", "user_id": "ana"})).ok(201)
    assert (await tocsin.client.get("/v1/members/ana")).ok()["role"] == "developer"
    higher = {"name": "x", "role": "admin", "user_id": "ana"}
    assert "at most developer" in (await tocsin.client.post("/v1/tokens", higher)).problem(400, "role")["detail"]


async def test_the_last_admin_stays_one(tocsin: Running) -> None:
    ana = await tocsin.as_("admin", user="ana")
    (await ana.patch("/v1/members/ana", {"role": "developer"})).problem(409)
    (await ana.delete("/v1/members/ana")).problem(409)
    (await ana.patch("/v1/members/ana", {"name": "Ana"})).ok()
    await tocsin.token("admin", user="ben")
    (await ana.patch("/v1/members/ana", {"role": "developer"})).ok()
    (await tocsin.client.delete("/v1/members/ben")).problem(409)


async def test_two_admins_who_remove_each_other_at_once_leave_one(tocsin: Running) -> None:
    for number in range(5):
        pair = [f"a{number}", f"b{number}"]
        for name in pair:
            await tocsin.token("admin", f"t{number}", name)
        client = await tocsin.as_("admin", f"t{number}")
        answers = await asyncio.gather(*(client.delete(f"/v1/members/{name}") for name in pair))
        assert sorted(answer.status for answer in answers) == [204, 409]


async def test_members_of_another_tenant_are_not_there(tocsin: Running) -> None:
    # S03
    await tocsin.token("admin", "theirs", "zoe")
    for answer, absent in (
        (await tocsin.client.get("/v1/members/zoe"), await tocsin.client.get("/v1/members/nobody")),
        (await tocsin.client.delete("/v1/members/zoe"), await tocsin.client.delete("/v1/members/nobody")),
        (
            await tocsin.client.patch("/v1/members/zoe", {"role": "viewer"}),
            await tocsin.client.patch("/v1/members/nobody", {"role": "viewer"}),
        ),
    ):
        assert (answer.status, answer.said) == (404, absent.said)
    (await tocsin.client.post("/v1/members", {"user_id": "zoe", "role": "viewer"})).ok(201)
    theirs = await tocsin.as_("admin", "theirs")
    assert (await theirs.get("/v1/members/zoe")).ok()["role"] == "admin"
