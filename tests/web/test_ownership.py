"""Everybody sees and changes their own webhooks and what goes to them; what is the tenant's, admins change."""

import re
from typing import Any

import pytest

from tests.harness import Client, Running, Start
from tocsin.web.server import ROUTES

pytestmark = pytest.mark.anyio

LATELY = {"since": "2020-01-01T00:00:00Z", "status": ["delivered", "dead"]}
NO_DELIVERY = "dlv_00000000000070008000000000000000"


class Two:
    """Mia and Ben are developers of one tenant; each has a webhook that was told of the same event, by a rule of
    Ben's and by Mia's enabled events."""

    def __init__(self, tocsin: Running) -> None:
        self.tocsin = tocsin
        self.hooks = {name: tocsin.receiver.hook(f"/{name}") for name in ("mia", "ben")}

    async def set_up(self) -> None:
        tocsin = self.tocsin
        self.mia, self.ben = await tocsin.as_("developer", user="mia"), await tocsin.as_("developer", user="ben")
        self.of_mia = await tocsin.webhook(self.hooks["mia"], self.mia, name="mias-place", enabled_events=["run.*"])
        self.of_ben = await tocsin.webhook(self.hooks["ben"], self.ben, name="bens-place", enabled_events=["x"])
        self.rule = await tocsin.rule(self.of_ben, client=self.ben, name="bens rule")
        self.event = await tocsin.send(self.mia, id="e1", pipeline="p", run_id="r1")
        await tocsin.settle()
        for hook in self.hooks.values():
            hook.expect(1)

    async def delivery(self, client: Client) -> dict[str, Any]:
        (found,) = (await client.get("/v1/deliveries")).ok()["items"]
        whole: dict[str, Any] = found
        return whole


@pytest.fixture
async def two(tocsin: Running) -> Two:
    found = Two(tocsin)
    await found.set_up()
    return found


async def test_one_sees_only_the_deliveries_to_ones_own(two: Two) -> None:
    # S1-15
    of_mia, of_ben = await two.delivery(two.mia), await two.delivery(two.ben)
    assert (of_mia["webhook_id"], of_ben["webhook_id"]) == (two.of_mia["id"], two.of_ben["id"])
    assert len(await two.tocsin.deliveries()) == 2
    for path in (f"/v1/deliveries?webhook_id={two.of_ben['id']}", f"/v1/deliveries?rule_id={two.rule['id']}"):
        assert (await two.mia.get(path)).ok() == {"items": [], "next": None}
    assert len((await two.mia.get("/v1/deliveries?event_id=e1")).ok()["items"]) == 1


async def test_another_users_delivery_is_not_there(two: Two) -> None:
    # S1-15 S34
    of_ben = (await two.delivery(two.ben))["id"]
    for route in ROUTES:
        if route.path.startswith("/v1/deliveries/{id}"):
            theirs, absent = [
                await two.mia.request(route.method, route.path.replace("{id}", id_)) for id_ in (of_ben, NO_DELIVERY)
            ]
            assert (theirs.status, theirs.said) == (404, absent.said), (route.method, route.path)


async def test_replay_by_filter_sends_only_ones_own(two: Two) -> None:
    # S1-15
    for asked in (LATELY, LATELY | {"rule_id": two.rule["id"]}, LATELY | {"webhook_id": two.of_ben["id"]}):
        count = (await two.mia.post("/v1/deliveries/replay", asked | {"dry_run": True})).ok()["count"]
        assert count == (1 if asked == LATELY else 0)
    assert (await two.mia.post("/v1/deliveries/replay", LATELY)).ok(202)["replayed"] == 1
    await two.tocsin.settle()
    two.hooks["mia"].expect(1)
    two.hooks["ben"].expect(0)
    assert (await two.tocsin.client.post("/v1/deliveries/replay", LATELY)).ok(202)["replayed"] == 2
    await two.tocsin.settle()
    two.hooks["mia"].expect(1)
    two.hooks["ben"].expect(1)


async def test_why_tells_of_ones_own_and_how_many_others(two: Two) -> None:
    # S1-15
    (run,) = (await two.mia.get("/v1/runs")).ok()["items"]
    for path in ("/v1/events/e1/why", f"/v1/runs/{run['id']}/why"):
        of_mia, of_ben = (await two.mia.get(path)).ok(), (await two.ben.get(path)).ok()
        assert (of_mia["elsewhere"], of_ben["elsewhere"]) == (1, 1)
        assert "bens-place" not in str(of_mia)
        assert "mias-place" not in str(of_ben)
        assert "mias-place was told" in of_mia["summary"]
        assert "bens-place was told" in of_ben["summary"]
        everything = (await two.tocsin.client.get(path)).ok()
        assert everything["elsewhere"] == 0
        assert "bens-place" in str(everything)
        assert "mias-place" in str(everything)


async def test_nobody_is_not_said_where_somebody_was_told(two: Two) -> None:
    (await two.mia.delete(f"/v1/webhooks/{two.of_mia['id']}")).ok(204)
    await two.tocsin.send(two.ben, id="e2", pipeline="q", run_id="r2")
    await two.tocsin.settle()
    two.hooks["ben"].expect(1)
    why = (await two.mia.get("/v1/events/e2/why")).ok()
    assert why["summary"].startswith("None of your webhooks was told")
    (run,) = (await two.mia.get("/v1/runs?pipeline=q")).ok()["items"]
    assert (await two.mia.get(f"/v1/runs/{run['id']}/why")).ok()["summary"].startswith("None of your webhooks was told")


async def test_rules_lead_to_what_one_sees(two: Two) -> None:
    # S1-15
    lost = two.of_ben["id"]
    (await two.mia.post("/v1/alert-rules", {"name": "x", "webhook_endpoint_ids": [lost]})).problem(
        400, "webhook_endpoint_ids[0]"
    )
    own = await two.tocsin.rule(two.of_mia, client=two.mia)
    path = f"/v1/alert-rules/{own['id']}"
    (await two.mia.patch(path, {"webhook_endpoint_id": lost})).problem(400, "webhook_endpoint_ids[0]")
    both = {"webhook_endpoint_ids": [two.of_mia["id"], lost]}
    (await two.tocsin.client.patch(path, both)).ok()
    assert (await two.mia.patch(path, {"name": "still mine"})).ok()["webhook_endpoint_ids"] == both[
        "webhook_endpoint_ids"
    ]


async def test_a_rule_is_changed_by_whoever_made_it_and_by_admins(two: Two) -> None:
    path = f"/v1/alert-rules/{two.rule['id']}"
    assert (await two.mia.get(path)).ok()["name"] == "bens rule"
    (await two.mia.patch(path, {"name": "mine"})).problem(403)
    (await two.mia.delete(path)).problem(403)
    (await two.ben.patch(path, {"name": "renamed"})).ok()
    (await two.tocsin.client.patch(path, {"name": "again"})).ok()
    (await two.ben.delete(path)).ok(204)


async def test_previews_name_only_ones_own_webhooks(two: Two) -> None:
    # S1-15
    preview = (await two.mia.post(f"/v1/alert-rules/{two.rule['id']}/preview", {})).ok()
    assert preview["notifications"] == 1
    assert preview["items"][0]["notifies"] == ["a webhook of somebody else"]
    assert "bens-place" not in str(preview)
    matchers = {"matchers": [{"field": "pipeline", "value": "p"}]}
    quiet = (await two.mia.post("/v1/silences/preview", matchers)).ok()
    assert list(quiet["webhooks"]) == [two.of_mia["id"]]
    assert quiet["messages"] == 1
    foreign = {"webhook_id": two.of_ben["id"], "sample": "failed"}
    (await two.mia.post("/v1/webhooks/preview", foreign)).problem(400, "webhook_id")


async def test_a_pipelines_notifications_are_ones_own(two: Two) -> None:
    # S1-15
    path = "/v1/pipelines/p/notifications"
    told = {"notifications": [{"webhook_id": two.of_ben["id"]}]}
    (await two.mia.request("PUT", path, told)).problem(400, "notifications[0].webhook_id")
    (await two.ben.request("PUT", path, told)).ok()
    assert (await two.mia.get(path)).ok()["notifications"] == []
    (await two.mia.delete(path)).problem(404)
    (await two.mia.request("PUT", path, {"notifications": [{"webhook_id": two.of_mia["id"]}]})).ok()
    both = {one["webhook_id"] for one in (await two.tocsin.client.get(path)).ok()["notifications"]}
    assert both == {two.of_mia["id"], two.of_ben["id"]}
    (await two.mia.delete(path)).ok(204)
    assert [one["webhook_id"] for one in (await two.ben.get(path)).ok()["notifications"]] == [two.of_ben["id"]]


async def test_the_configuration_is_what_one_sees(two: Two) -> None:
    # S1-15
    (await two.ben.request(
        "PUT", "/v1/pipelines/p/notifications", {"notifications": [{"webhook_id": two.of_ben["id"]}]}
    )).ok()  # fmt: skip
    config = (await two.mia.get("/v1/config")).ok()
    assert [one["id"] for one in config["endpoints"]] == [two.of_mia["id"]]
    assert config["pipelines"] == {}
    assert [one["name"] for one in config["rules"]] == ["bens rule"]


# What is the tenant's.


async def test_what_the_environment_sets_up_is_seen_by_all_and_changed_by_admins(start: Start) -> None:
    # S1-15
    secret = "https://hooks.slack.com/services/T0000000A/B0000000A/" + "A" * 24
    tocsin = await start(SLACK_WEBHOOK_URL=secret)
    hook = tocsin.receiver.slack()
    hook.always(500)
    mia, viewer = await tocsin.as_("developer", user="mia"), await tocsin.as_("viewer", user="vic")
    (webhook,) = (await mia.get("/v1/webhooks")).ok()["items"]
    assert (webhook["user_id"], webhook["created_by"]) == ("", "environment")
    assert (await viewer.get("/v1/webhooks")).ok()["items"] == [webhook]
    await tocsin.send(mia)
    await tocsin.settle()
    (delivery,) = (await mia.get("/v1/deliveries")).ok()["items"]
    (await mia.get(f"/v1/deliveries/{delivery['id']}")).ok()
    bodies = {"recover": LATELY | {"status": ["dead"]}, "rotate-secret": {}}
    for route in ROUTES:
        if route.path.endswith("/restore"):  # of what was deleted
            continue
        if route.method != "GET" and re.match(r"/v1/(webhooks|deliveries)/\{id\}", route.path):
            id_ = webhook["id"] if "webhooks" in route.path else delivery["id"]
            body = bodies.get(route.path.rpartition("/")[2], {"name": "mine"} if route.method == "PATCH" else None)
            answer = await mia.request(route.method, route.path.replace("{id}", id_), body)
            assert "only an admin" in answer.problem(403)["detail"], (route.method, route.path)
    assert (await mia.post("/v1/deliveries/replay", LATELY)).ok(202)["count"] == 0
    rule = await tocsin.rule(webhook, client=mia)
    assert rule["webhook_endpoint_ids"] == [webhook["id"]]
    (await tocsin.client.post(f"/v1/deliveries/{delivery['id']}/cancel")).ok()
    (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/disable")).ok()
    assert len(hook.all_new()) == 1


async def test_a_service_changes_what_it_made(tocsin: Running) -> None:
    service, other = await tocsin.as_("developer"), await tocsin.as_("developer")
    webhook = await tocsin.webhook(tocsin.receiver.hook("/a"), service)
    path = f"/v1/webhooks/{webhook['id']}"
    assert (await other.get(path)).ok() == (await service.get(path)).ok()
    (await other.patch(path, {"name": "mine"})).problem(403)
    (await service.patch(path, {"name": "mine"})).ok()


async def test_what_preferences_lead_to_is_ones_own(start: Start) -> None:
    # S1-15: nobody sees what was sent to somebody else's address
    tocsin = await start(SMTP_HOST="127.0.0.1", SMTP_PORT="9", SMTP_TLS="none", EMAIL_FROM_ADDRESS="t@example.org")
    ana, ben = [await tocsin.as_("developer", user=f"{name}@example.com") for name in ("ana", "ben")]
    (await ana.get("/v1/preferences")).ok()
    await tocsin.send(type="safety.rollback", severity="critical")
    await tocsin.settle()
    mail = [one for one in (await ana.get("/v1/deliveries")).ok()["items"] if one["provider_type"] == "email"]
    assert len(mail) == 1
    assert [one for one in (await ben.get("/v1/deliveries")).ok()["items"] if one["provider_type"] == "email"] == []
    (event,) = (await ben.get("/v1/events?type=safety.rollback")).ok()["items"]
    of_ana, of_ben = [str((await one.get(f"/v1/events/{event['id']}/why")).ok()) for one in (ana, ben)]
    assert "by email, as ana@example.com prefers" in of_ana
    assert "by email" not in of_ben


async def test_many_at_once_are_ones_own(two: Two) -> None:
    # S1-15
    every = {"dry_run": True, "name": "*"}
    found = (await two.mia.post("/v1/webhooks/bulk", every | {"action": "delete"})).ok()
    assert found["ids"] == [two.of_mia["id"]]
    assert (await two.mia.post("/v1/alert-rules/bulk", every | {"action": "delete"})).ok()["count"] == 0
    assert (await two.ben.post("/v1/alert-rules/bulk", every | {"action": "delete"})).ok()["ids"] == [two.rule["id"]]
    two.hooks["ben"].always(500)
    await two.tocsin.send(two.ben, type="x")
    await two.tocsin.settle()
    two.hooks["ben"].all_new()
    waits = {"dry_run": True, "since": "2020-01-01T00:00:00Z"}
    assert (await two.mia.post("/v1/deliveries/cancel", waits)).ok()["count"] == 0
    assert (await two.ben.post("/v1/deliveries/cancel", waits)).ok()["count"] == 1
    (await two.ben.post("/v1/deliveries/cancel", {"event_type": "x", "expected": 1})).ok()


async def test_what_was_deleted_comes_back_for_its_own(two: Two) -> None:
    # S1-15
    (await two.ben.delete(f"/v1/alert-rules/{two.rule['id']}")).ok(204)
    (await two.ben.delete(f"/v1/webhooks/{two.of_ben['id']}")).ok(204)
    (await two.mia.post(f"/v1/alert-rules/{two.rule['id']}/restore")).problem(403)
    (await two.mia.post(f"/v1/webhooks/{two.of_ben['id']}/restore")).problem(404)
    (await two.ben.post(f"/v1/webhooks/{two.of_ben['id']}/restore")).ok()
    (await two.ben.post(f"/v1/alert-rules/{two.rule['id']}/restore")).ok()
