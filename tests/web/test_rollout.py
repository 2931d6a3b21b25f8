"""Features that are off, on for chosen tenants, or on for everybody: `/v1/rollout` and the environment."""

import json
from typing import Any

import pytest

from tests.harness import Answer, Client, Hook, Running, Start
from tocsin.model.ids import OPERATOR_TENANT
from tocsin.providers import PROVIDERS
from tocsin.settings import SettingsError, read_settings
from tocsin.store import audit

pytestmark = pytest.mark.anyio


async def roll_out(operator: Client, feature: str, state: str, *tenants: str) -> Answer:
    return await operator.request("PUT", "/v1/rollout", {"features": {feature: {"state": state, "tenants": tenants}}})


async def told(tocsin: Running, client: Client, hook: Hook) -> tuple[int, str]:
    """How many messages an event leads to, and what `why` says of it."""
    event = await tocsin.send(client, pipeline="etl", run_id="r1")
    await tocsin.settle()
    said: str = (await client.get(f"/v1/events/{event['id']}/why")).ok()["summary"]
    return len(hook.all_new()), said


async def test_off_then_chosen_tenants_then_everybody(tocsin: Running) -> None:
    # S4-19 S1-20
    operator = await tocsin.operator()
    clients = {name: await tocsin.as_("admin", name) for name in ("a", "b")}
    hooks = {name: tocsin.receiver.hook(f"/{name}") for name in clients}
    for name, client in clients.items():
        await tocsin.webhook(hooks[name], client, enabled_events=["*"])
    here = "the rollout of webhook"
    stages: list[tuple[tuple[str, ...], dict[str, int], dict[str, str]]] = [
        (("on",), {"a": 1, "b": 1}, {}),
        (("off",), {"a": 0, "b": 0}, {"a": f"{here} is off", "b": f"{here} is off"}),
        (("tenants", "a"), {"a": 1, "b": 0}, {"b": f"{here} has not come to this tenant"}),
        (("on",), {"a": 1, "b": 1}, {}),
    ]
    for stage, counts, reasons in stages:
        (await roll_out(operator, "webhook", *stage)).ok()
        for name, client in clients.items():
            count, said = await told(tocsin, client, hooks[name])
            assert count == counts[name], (stage, name)
            if name in reasons:
                assert reasons[name] in said, (stage, said)
                (found,) = (await client.get("/v1/deliveries?status=suppressed&limit=1")).ok()["items"]
                assert (found["reason"], found["attempts"]) == (reasons[name], 0)
            listed = {one["provider_type"]: one for one in (await client.get("/v1/providers")).ok()["items"]}
            assert listed["webhook"]["switched_off"] == reasons.get(name, "")
            assert listed["slack"]["switched_off"] == ""


async def test_without_the_alert_engine_events_are_kept_and_runs_built_and_nothing_is_planned(tocsin: Running) -> None:
    # S4-19 S1-20
    operator = await tocsin.operator()
    hook = tocsin.receiver.hook("/a")
    webhook = await tocsin.webhook(hook)
    rule = await tocsin.rule(webhook, event_types=["run.failed"], name="failures")
    (await roll_out(operator, "alerts", "off")).ok()
    event = await tocsin.send(pipeline="etl", run_id="r1")
    await tocsin.settle()
    assert await tocsin.deliveries() == []
    why = (await tocsin.client.get(f"/v1/events/{event['id']}/why")).ok()
    assert why["summary"] == "Nobody was told: no rule was asked, for the rollout of alerts is off."
    (considered,) = why["decisions"]
    assert (considered["rule_id"], considered["verdict"]) == (rule["id"], "not_matched")
    assert considered["reason"] == "no rule was asked, for the rollout of alerts is off"
    (run,) = (await tocsin.client.get("/v1/runs")).ok()["items"]
    assert run["status"] == "failed"
    said = (await tocsin.client.get(f"/v1/runs/{run['id']}/why")).ok()["summary"]
    assert "the rollout of alerts is off" in said
    shown = (await tocsin.client.post("/v1/config/preview", {})).ok()
    assert shown["switched_off"] == {"alerts": "the rollout of alerts is off"}
    metrics = (await tocsin.client.get("/metrics")).body.decode()
    assert "tocsin_events_unplanned_total 1.0" in metrics
    tested = (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/test")).ok()
    assert tested["status"] == "delivered"
    hook.expect(1)
    (await roll_out(operator, "alerts", "tenants", "default")).ok()
    assert (await told(tocsin, tocsin.client, hook))[0] == 1


async def test_clocks_go_on_while_the_alert_engine_is_off(tocsin: Running) -> None:
    """A run that began meanwhile is watched once the engine is back; what was found meanwhile is nobody's news."""
    operator = await tocsin.operator()
    hook = tocsin.receiver.hook("/a")
    await tocsin.rule(await tocsin.webhook(hook), event_types=["run.exceeded"], watch={"exceeded_s": 600})
    (await roll_out(operator, "alerts", "off")).ok()
    await tocsin.send(type="run.started", pipeline="etl", run_id="short")
    await tocsin.move(601)
    await tocsin.send(type="run.started", pipeline="etl", run_id="long")
    await tocsin.move(60)
    (await roll_out(operator, "alerts", "on")).ok()
    hook.expect(0)
    await tocsin.move(600)
    (message,) = hook.expect(1)
    assert message.json["run_id"] == "long"


async def test_what_waits_is_suppressed_when_its_provider_goes(tocsin: Running) -> None:
    # S4-19: emergencies
    operator = await tocsin.operator()
    hook = tocsin.receiver.hook("/a")
    await tocsin.webhook(hook, enabled_events=["*"])
    hook.answer(500)
    await tocsin.send()
    await tocsin.settle()
    hook.expect(1)
    (await roll_out(operator, "webhook", "off")).ok()
    await tocsin.move(5)
    (delivery,) = await tocsin.deliveries()
    assert (delivery["status"], delivery["reason"]) == ("suppressed", "the rollout of webhook is off")


async def test_a_test_message_goes_through_no_provider_that_is_off(tocsin: Running) -> None:
    webhook = await tocsin.webhook(tocsin.receiver.hook("/a"))
    (await roll_out(await tocsin.operator(), "webhook", "off")).ok()
    tested = (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/test")).ok()
    assert (tested["status"], tested["reason"]) == ("suppressed", "the rollout of webhook is off")


async def test_the_environment_counts_first(start: Start) -> None:
    # S4-19
    tocsin = await start(TOCSIN_ROLLOUT_ALERTS="tenants:a, b", TOCSIN_ROLLOUT_WEBHOOK="off")
    operator = await tocsin.operator()
    found = (await operator.get("/v1/rollout")).ok()["features"]
    assert list(found) == ["alerts", *PROVIDERS]
    assert found["alerts"] == {
        "state": "tenants", "tenants": ["a", "b"], "setting": "TOCSIN_ROLLOUT_ALERTS", "updated_at": None,
        "updated_by": "",
    }  # fmt: skip
    assert found["slack"]["state"] == "on"
    refused = (await roll_out(operator, "webhook", "on")).problem(409)
    assert "TOCSIN_ROLLOUT_WEBHOOK is set to off" in refused["detail"]
    hook = tocsin.receiver.hook("/a")
    ana = await tocsin.as_("admin", "a")
    for client in (ana, tocsin.client):
        await tocsin.webhook(hook, client, enabled_events=["*"])
    assert "TOCSIN_ROLLOUT_WEBHOOK is off" in (await told(tocsin, ana, hook))[1]
    assert "TOCSIN_ROLLOUT_ALERTS does not name this tenant" in (await told(tocsin, tocsin.client, hook))[1]


async def test_the_flags_stand_before_it(start: Start) -> None:
    # S1-05
    tocsin = await start(NOTIFICATIONS_WEBHOOK_ENABLED="false")
    (await roll_out(await tocsin.operator(), "webhook", "on")).ok()
    hook = tocsin.receiver.hook("/a")
    await tocsin.webhook(hook, enabled_events=["*"])
    assert "NOTIFICATIONS_WEBHOOK_ENABLED is off" in (await told(tocsin, tocsin.client, hook))[1]


@pytest.mark.parametrize(
    ("features", "field"),
    [
        ({"slak": {"state": "on"}}, "features.slak"),
        ({"slack": {"state": "maybe"}}, "features[...].state"),
        ({"slack": {"state": "tenants"}}, "features.slack.tenants"),
        ({"slack": {"state": "on", "tenants": ["default"]}}, "features.slack.tenants"),
        ({"slack": {"state": "tenants", "tenants": ["default", "nobody"]}}, "features.slack.tenants[1]"),
        ({"slack": {"state": "tenants", "tenants": ["_operator"]}}, "features.slack.tenants[0]"),
        ({"slack": {"state": "tenants", "tenants": ["a\x00"]}}, "features.slack.tenants[0]"),
        ({"slack": {"state": "on", "who": 1}}, "features[...].who"),
    ],
)
async def test_what_cannot_be(standing: Running, features: dict[str, Any], field: str) -> None:
    operator = await standing.operator()
    before = (await operator.get("/v1/rollout")).body
    (await operator.request("PUT", "/v1/rollout", {"features": features})).problem(400, field)
    assert (await operator.get("/v1/rollout")).body == before


async def test_a_change_is_written_down_and_made_once(tocsin: Running) -> None:
    # S4-09
    operator = await tocsin.operator()
    seen = await operator.get("/v1/rollout")
    (await roll_out(operator, "slack", "tenants", "default")).ok()
    stale = {"if-match": seen.headers["etag"]}
    body = {"features": {"slack": {"state": "off"}}}
    (await operator.request("PUT", "/v1/rollout", body, headers=stale)).problem(412)
    (entry,) = [one for one in await audit.after(tocsin.app.db, OPERATOR_TENANT, 0) if one.action == "rollout.update"]
    before, after = json.loads(entry.before), json.loads(entry.after)
    assert (entry.kind, entry.object_id, before["state"]) == ("rollout", "slack", "on")
    assert (after["state"], after["tenants"]) == ("tenants", ["default"])
    (await tocsin.client.get("/v1/rollout")).problem(403)


@pytest.mark.parametrize("text", ["maybe", "tenants", "tenants:", "tenants:a,,b", "on:a", "tenants:a b"])
def test_what_the_environment_may_say(text: str) -> None:
    with pytest.raises(SettingsError, match="TOCSIN_ROLLOUT_SLACK="):
        read_settings({"TOCSIN_ROLLOUT_SLACK": text})
