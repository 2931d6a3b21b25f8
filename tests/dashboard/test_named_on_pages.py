"""Pages know things by their names, however many there are."""

import pytest

from tests.harness import Running
from tests.web.browser import PASSWORD, Browser, account_of, set_up
from tocsin.web.dashboard import named

pytestmark = pytest.mark.anyio


async def test_the_last_of_a_hundred_and_one_endpoints_has_its_name_on_every_page(
    tocsin: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    # S3-09: a list to choose from ends somewhere; what is shown is known by its name all the same
    monkeypatch.setattr(named, "MOST", 100)
    inbox = {"provider_type": "in_app", "settings": {"user_id": "ana"}}
    for number in range(100):
        (await tocsin.client.post("/v1/webhooks", inbox | {"name": f"Other {number}"})).ok(201)
    last = (await tocsin.client.post("/v1/webhooks", inbox | {"name": "The last one"})).ok(201)
    rule = await tocsin.rule(last, event_types=["run.failed"], name="Only there")
    notification = {"webhook_id": last["id"], "events": ["run.failed"]}
    path = "/v1/pipelines/etl/notifications"
    (await tocsin.client.request("PUT", path, {"notifications": [notification]})).ok()
    await tocsin.send(type="run.failed", pipeline="etl", run_id="1")
    await tocsin.settle()
    admin = await set_up(tocsin)
    for page in (
        "/deliveries",
        "/deliveries?q=endpoint:last",
        "/pipelines/etl",
        "/rules",
        f"/rules/new?webhook_id={last['id']}",
        f"/rules/{rule['id']}",
        f"/rules/{rule['id']}/yaml",
        "/silences/new?pipeline=etl",
    ):
        answer = await admin.get(page)
        assert answer.status == 200, page
        assert b"The last one" in answer.body, page
    assert b"Only there" in (await admin.get(f"/endpoints/{last['id']}/rules")).body
    by_a_part_of_the_rules_name = await admin.get("/deliveries?q=rule:only")
    assert by_a_part_of_the_rules_name.status == 200
    assert (await admin.get("/deliveries?q=rule:nothing-like-it")).status == 400


async def test_names_are_asked_for_by_ids_and_by_a_part_of_them(tocsin: Running) -> None:
    one, two, three = [await tocsin.webhook(tocsin.receiver.hook(f"/{name}"), name=f"The {name}") for name in "ABC"]
    rules = [await tocsin.rule(one, name="First"), await tocsin.rule(one, two, name="Second")]
    get = tocsin.client.get

    async def names(path: str) -> list[str]:
        return [found["name"] for found in (await get(path)).ok()["items"]]

    assert await names("/v1/webhooks/names") == ["The A", "The B", "The C"]
    assert await names(f"/v1/webhooks/names?ids={three['id']},{one['id']},whk_none") == ["The A", "The C"]
    assert await names("/v1/webhooks/names?q=the%20b") == ["The B"]
    first = (await get("/v1/webhooks/names?limit=2")).ok()
    assert await names(f"/v1/webhooks/names?limit=2&cursor={first['next']}") == ["The C"]
    assert await names("/v1/alert-rules/names?q=SEC") == ["Second"]
    found = (await get(f"/v1/alert-rules/names?ids={rules[1]['id']}")).ok()["items"]
    assert found[0]["webhook_endpoint_ids"] == [one["id"], two["id"]]
    assert await names(f"/v1/alert-rules?webhook_id={two['id']}") == ["Second"]
    (await get("/v1/webhooks/names?ids=" + ",".join(["whk_x"] * 201))).problem(400, "ids")
    (await get("/v1/audit/actors")).problem(400, "ids")


async def test_the_audit_trail_says_what_its_people_and_tokens_are_called(tocsin: Running) -> None:
    ana = await tocsin.as_("admin", user="ana")
    (await ana.patch("/v1/members/ana", {"name": "Ana"})).ok()
    await tocsin.webhook(tocsin.receiver.hook("/a"), name="A")
    entries = (await tocsin.client.get("/v1/audit")).ok()["items"]
    actors = ",".join({one["actor"] for one in entries if one["actor"]})
    found = {one["name"]: one["kind"] for one in (await ana.get(f"/v1/audit/actors?ids={actors}")).ok()["items"]}
    assert found == {"Ana": "member", "test": "token"}
    as_the_directory_has_it = "CN=Cy,OU=Data,DC=example"
    cy = await tocsin.as_("admin", user=as_the_directory_has_it)
    (await cy.patch(f"/v1/members/{as_the_directory_has_it}", {"name": "Cyril"})).ok()
    told = (await ana.get("/v1/audit/actors?ids=ana,CN=Cy%252COU=Data%252CDC=example")).ok()["items"]
    assert {one["name"] for one in told} == {"Ana", "Cyril"}
    await account_of(tocsin, "eve@example.com", "admin")
    eve = Browser(tocsin)
    (await eve.log_in("eve@example.com", PASSWORD)).ok()
    assert b"<b>Cyril</b> changed" in (await eve.get("/audit?kind=member&action=member.update")).body
    hers = (await tocsin.client.get("/v1/tokens?user_id=ana")).ok()["items"]
    assert [one["user_id"] for one in hers] == ["ana"]
    viewer = await tocsin.as_("viewer", user="bo")
    (await viewer.get(f"/v1/audit/actors?ids={actors}")).problem(403)
    assert (await viewer.get("/v1/tokens?user_id=ana")).ok()["items"] == []
