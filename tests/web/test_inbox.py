"""`/v1/inbox`: what waits for a user in Tocsin itself, from the event to the last message read."""

from typing import Any

import pytest

from tests.harness import Client, Running

pytestmark = pytest.mark.anyio


async def inbox_of(tocsin: Running, user: str, tenant: str = "default", **fields: Any) -> Client:
    """A user with an endpoint that puts every failure into their inbox."""
    client = await tocsin.as_("developer", tenant, user)
    body = {"provider_type": "in_app", "name": f"inbox of {user}", "enabled_events": ["run.failed"]} | fields
    (await client.post("/v1/webhooks", body)).ok(201)
    return client


async def fail(tocsin: Running, client: Client | None = None, **event: Any) -> None:
    await tocsin.send(client, **{"type": "run.failed", "pipeline": "etl", "data": {"error": "disk full"}} | event)
    await tocsin.settle()


async def seen(client: Client, query: str = "") -> list[str]:
    return [item["title"] for item in (await client.get(f"/v1/inbox{query}")).ok()["items"]]


async def test_an_event_reaches_the_inbox_of_its_user(tocsin: Running) -> None:
    # S1-16
    mia = await inbox_of(tocsin, "mia")
    assert (await mia.get("/v1/inbox")).ok() == {"items": [], "next": None, "unread": 0}
    await fail(tocsin, links={"run": "https://airflow.example/1"})
    found = (await mia.get("/v1/inbox")).ok()
    (item,) = found["items"]
    assert (item["title"], item["text"], item["tone"]) == ("❌ etl failed", "disk full", "bad")
    assert item["url"] == "https://airflow.example/1"
    assert (item["read_at"], found["unread"], found["next"]) == (None, 1, None)
    assert item["created_at"].endswith("Z")
    (delivery,) = await tocsin.deliveries()
    assert (item["id"], delivery["status"], delivery["attempts"]) == (delivery["id"], "delivered", 1)


async def test_reading_one_and_all(tocsin: Running) -> None:
    mia = await inbox_of(tocsin, "mia")
    for number in range(5):
        await fail(tocsin, pipeline=f"p{number}")
        tocsin.clock.move(1)
    ids = [item["id"] for item in (await mia.get("/v1/inbox")).ok()["items"]]
    assert await seen(mia) == [f"❌ p{number} failed" for number in (4, 3, 2, 1, 0)]
    assert (await mia.post(f"/v1/inbox/{ids[1]}/read")).ok() == {"read": 1, "unread": 4}
    assert (await mia.post(f"/v1/inbox/{ids[1]}/read")).ok() == {"read": 0, "unread": 4}
    assert (await mia.get("/v1/inbox")).ok()["items"][1]["read_at"] is not None
    assert "❌ p3 failed" not in await seen(mia, "?unread=true")
    assert len(await seen(mia, "?unread=false")) == 5
    assert (await mia.post("/v1/inbox/read")).ok() == {"read": 4, "unread": 0}
    assert (await mia.post("/v1/inbox/read")).ok() == {"read": 0, "unread": 0}
    assert await seen(mia, "?unread=true") == []


async def test_page_by_page(tocsin: Running) -> None:
    mia = await inbox_of(tocsin, "mia")
    for number in range(5):
        await fail(tocsin, pipeline=f"p{number}")
    for query in ("limit=2", "limit=2&unread=true"):
        titles: list[str] = []
        cursor = ""
        while cursor is not None:
            page = (await mia.get(f"/v1/inbox?{query}&cursor={cursor}")).ok()
            assert len(page["items"]) <= 2
            assert page["unread"] == 5
            titles += [item["title"] for item in page["items"]]
            cursor = page["next"]
        assert titles == [f"❌ p{number} failed" for number in (4, 3, 2, 1, 0)]


async def test_everybody_sees_their_own(tocsin: Running) -> None:
    # S1-15, S4-10: users apart, tenants apart, an admin too
    mia, ben = await inbox_of(tocsin, "mia"), await inbox_of(tocsin, "ben")
    other = await inbox_of(tocsin, "mia", "theirs")
    admin, service = await tocsin.as_("admin", user="root"), await tocsin.as_("admin")
    await fail(tocsin)
    ids = {}
    for name, client in (("mia", mia), ("ben", ben)):
        (item,) = (await client.get("/v1/inbox")).ok()["items"]
        ids[name] = item["id"]
    for client in (other, admin, service):
        assert (await client.get("/v1/inbox")).ok() == {"items": [], "next": None, "unread": 0}
        assert (await client.post("/v1/inbox/read")).ok() == {"read": 0, "unread": 0}
    absent = (await ben.post("/v1/inbox/dlv_00000000000070008000000000000000/read")).problem(404)
    for client in (ben, other, admin, service):
        refused = (await client.post(f"/v1/inbox/{ids['mia']}/read")).problem(404)
        assert refused | {"request_id": ""} == absent | {"request_id": ""}
    assert (await mia.get("/v1/inbox")).ok()["unread"] == 1
    (await ben.post("/v1/inbox/read")).ok()
    assert (await mia.get("/v1/inbox")).ok()["unread"] == 1


async def test_a_viewer_reads_their_inbox(tocsin: Running) -> None:
    # S3-09
    viewer = await tocsin.as_("viewer", user="vic")
    body = {"provider_type": "in_app", "name": "for vic", "enabled_events": ["*"], "settings": {"user_id": "vic"}}
    (await tocsin.client.post("/v1/webhooks", body)).ok(201)
    await fail(tocsin)
    (item,) = (await viewer.get("/v1/inbox")).ok()["items"]
    assert (await viewer.post(f"/v1/inbox/{item['id']}/read")).ok() == {"read": 1, "unread": 0}
    (await tocsin.client.with_token("").get("/v1/inbox")).problem(401)


async def test_nobody_writes_into_an_inbox_of_others(tocsin: Running) -> None:
    # S1-15
    ben = await tocsin.as_("developer", user="ben")
    body = {"provider_type": "in_app", "name": "x", "settings": {"user_id": "mia"}}
    (await ben.post("/v1/webhooks", body)).problem(400, "settings.user_id")


async def test_sending_again_does_not_double_it(tocsin: Running) -> None:
    # S4-07
    mia = await inbox_of(tocsin, "mia")
    await fail(tocsin)
    (item,) = (await mia.get("/v1/inbox")).ok()["items"]
    (await mia.post(f"/v1/inbox/{item['id']}/read")).ok()
    (await tocsin.client.post(f"/v1/deliveries/{item['id']}/replay")).ok(202)
    await tocsin.settle()
    assert (await tocsin.delivery())["attempts"] == 2
    found = (await mia.get("/v1/inbox")).ok()
    assert [one["id"] for one in found["items"]] == [item["id"]]
    assert found["unread"] == 0


@pytest.mark.parametrize(
    ("query", "field"),
    [("unread=yes", "unread"), ("unread=1", "unread"), ("limit=0", "limit"), ("user_id=mia", "user_id"),
     ("cursor=%00", "cursor")],
)  # fmt: skip
async def test_what_cannot_be_asked(standing: Running, query: str, field: str) -> None:
    (await standing.client.get(f"/v1/inbox?{query}")).problem(400, field)


async def test_an_id_that_cannot_be(tocsin: Running) -> None:
    (await tocsin.client.post("/v1/inbox/%00/read")).problem(400, "id")
