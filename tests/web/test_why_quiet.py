"""Why nobody was told although a rule asked for it: everything that keeps quiet on purpose; and the story of a run."""

from typing import Any

import pytest

from tests.harness import Client, Hook, Running
from tocsin.fakes.pagerduty import FakePagerDuty
from tocsin.fakes.slack import FakeSlack
from tocsin.rules.hours import utc

pytestmark = pytest.mark.anyio

HOUR_MS = 3_600_000


async def why(tocsin: Running, event_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await tocsin.client.get(f"/v1/events/{event_id}/why")).ok()
    return found


async def summary(tocsin: Running, event_id: str = "e1") -> str:
    return str((await why(tocsin, event_id))["summary"])


async def on_call(tocsin: Running, client: Client | None = None, **rule: Any) -> Hook:
    """A channel in Slack and a rule that leads there."""
    hook = tocsin.receiver.slack()
    webhook = await tocsin.webhook(hook, client, name="#ops")
    await tocsin.rule(webhook, name="on-call", client=client, **rule)
    return hook


async def failed(tocsin: Running, id_: str, run_id: str = "", **event: Any) -> None:
    await tocsin.send(**{"id": id_, "type": "run.failed", "pipeline": "etl/orders", "run_id": run_id or id_} | event)
    await tocsin.settle()


async def test_a_silence(tocsin: Running) -> None:
    await on_call(tocsin)
    ana = await tocsin.as_("developer", user="ana")
    given = {"matchers": [{"field": "pipeline", "value": "etl/*"}], "duration_s": 3600, "reason": "deploy"}
    silence = (await ana.post("/v1/silences", given)).ok(201)
    until = utc(tocsin.clock.now_ms + HOUR_MS)
    await failed(tocsin, "e1")
    assert await summary(tocsin) == (
        f"Nobody was told: rule on-call: silenced by ana until {until}: deploy ({silence['id']})."
    )


async def test_a_group(tocsin: Running) -> None:
    hook = await on_call(tocsin, group={"by": ["pipeline"], "wait_s": 600})
    at = utc(tocsin.clock.now_ms + 600_000)
    await failed(tocsin, "e1")
    await failed(tocsin, "e2")
    assert await summary(tocsin, "e1") == f"#ops is not told yet: it is told at {at} (pipeline=etl/orders)."
    waits = f"#ops is not told yet: it is told at {at} together with others (pipeline=etl/orders)."
    assert await summary(tocsin, "e2") == waits
    await tocsin.wait_out()
    hook.expect(1)
    told = utc(tocsin.clock.now_ms)
    for event_id in ("e1", "e2"):
        found = await why(tocsin, event_id)
        together = f"#ops was told at {told} together with others (pipeline=etl/orders), by rule on-call."
        assert found["summary"] == together
    (head,) = (await why(tocsin, "e1"))["deliveries"]
    (joined,) = (await why(tocsin, "e2"))["deliveries"]
    assert (joined["told_in"], joined["status"], head["told_in"]) == (head["id"], "suppressed", "")


async def test_a_group_whose_message_did_not_get_through(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/ops")
    webhook = await tocsin.webhook(hook, name="ops")
    await tocsin.rule(webhook, name="on-call", group={"by": [], "wait_s": 60}, retry={"max_attempts": 1})
    hook.always(500)
    await failed(tocsin, "e1")
    await failed(tocsin, "e2")
    await tocsin.wait_out()
    hook.expect(1)
    (head,) = (await why(tocsin, "e1"))["deliveries"]
    said = f"the message that tells of it, too ({head['id']}), did not get through: HTTP 500"
    assert (await summary(tocsin, "e2")).startswith(f"Nobody was told: rule on-call: {said}")


async def test_a_digest(tocsin: Running) -> None:
    hook = tocsin.receiver.slack()
    await tocsin.webhook(hook, name="#ops", enabled_events=["*"], digest={"every": "day", "at": "09:00"})
    await failed(tocsin, "e1")
    said = await summary(tocsin)
    assert said.startswith("#ops is not told yet: it is told at ")
    assert said.endswith("09:00 UTC (the daily digest).")
    await tocsin.wait_out()
    hook.expect(1)


async def test_quiet_hours_of_the_one_who_reads_there(tocsin: Running) -> None:
    ana = await tocsin.as_("admin", user="ana")
    quiet = [{"start": "00:00", "end": "12:00"}, {"start": "12:00", "end": "00:00"}]
    (await ana.request("PUT", "/v1/preferences", {"quiet_hours": quiet})).ok()
    hook = await on_call(tocsin, ana)
    await failed(tocsin, "e1")
    assert (await summary(tocsin)).endswith("(quiet hours).")
    await failed(tocsin, "e2", severity="critical")
    hook.expect(1)
    assert (await summary(tocsin, "e2")).startswith("#ops was told at ")
    await tocsin.wait_out()
    hook.expect(1)


async def test_a_preference(tocsin: Running) -> None:
    ana = await tocsin.as_("viewer", user="ana@example.com")
    off = {"categories": {"experiment_lifecycle": {"slack": False, "email": False}}}
    (await ana.request("PUT", "/v1/preferences", off)).ok()
    await tocsin.send(id="e1", type="experiment.completed")
    found = await why(tocsin, "e1")
    assert found["summary"].startswith("Nobody was told: rule experiments by ")
    assert "off in the preferences of ana@example.com" in " ".join(d["reason"] for d in found["decisions"])


async def test_a_flood(tocsin: Running) -> None:
    hook = await on_call(tocsin, flood={"count": 1, "per_s": 600})
    for number in (1, 2, 3):
        await failed(tocsin, f"e{number}")
    hook.expect(1)
    assert "(more than 1 in 600 s)" in await summary(tocsin, "e2")
    assert "together with others (more than 1 in 600 s)" in await summary(tocsin, "e3")
    await tocsin.wait_out()
    hook.expect(1)


async def test_changes_of_state(tocsin: Running) -> None:
    hook = await on_call(tocsin, changes={})
    await failed(tocsin, "e1")
    hook.expect(1)
    began = utc(tocsin.clock.now_ms)
    assert await summary(tocsin) == f"#ops was told at {began}, by rule on-call: the first failure."
    await tocsin.move(300)
    await failed(tocsin, "e2")
    assert await summary(tocsin, "e2") == (
        f"Nobody was told: rule on-call: still failing since {began}; told at {began}."
    )
    await failed(tocsin, "e3", type="run.succeeded")
    hook.expect(1)
    assert (await summary(tocsin, "e3")).endswith("by rule on-call: recovered after 5m 00s, 2 failures.")


async def test_a_window(tocsin: Running) -> None:
    hook = await on_call(tocsin, window={"kind": "failures", "count": 2})
    await failed(tocsin, "e1")
    assert await summary(tocsin, "e1") == "Nobody was told: rule on-call: 1 of 2 failures in a row."
    await failed(tocsin, "e2")
    hook.expect(1)
    assert (await summary(tocsin, "e2")).endswith("by rule on-call: 2 failures in a row.")


async def test_failures_that_are_provisional(tocsin: Running) -> None:
    hook = await on_call(tocsin)
    await tocsin.send(id="s", type="run.started", pipeline="etl/orders", run_id="r1")
    await failed(tocsin, "e1", "r1", type="stage.failed", stage="load")
    await failed(tocsin, "e2", "r1", type="stage.failed", stage="load", data={"will_retry": True})
    await failed(tocsin, "e3", "r1")
    await tocsin.wait_out()
    await failed(tocsin, "e4", "r1")
    hook.expect(2)
    assert await summary(tocsin, "e1") == "Nobody was told: rule on-call: the run goes on: its end will tell."
    assert await summary(tocsin, "e2") == "Nobody was told: rule on-call: the stage is tried again."
    assert (await summary(tocsin, "e3")).startswith("#ops was told at ")
    assert await summary(tocsin, "e4") == "Nobody was told: rule on-call: this failure of the run was told already."


async def test_hours_in_which_a_rule_is_mute(tocsin: Running) -> None:
    await on_call(tocsin, mute=[{"start": "00:00", "end": "12:00"}, {"start": "12:00", "end": "00:00"}])
    await failed(tocsin, "e1")
    assert (await summary(tocsin)).startswith("Nobody was told: rule on-call: the rule is muted at this hour, until ")


async def test_alarms(tocsin: Running) -> None:
    pager = FakePagerDuty()
    tocsin.receiver.play(pager)
    webhook = {
        "provider_type": "pagerduty", "name": "pager", "enabled_events": ["*"],
        "settings": {"routing_key": "0123456789abcdef0123456789abcdef"},
    }  # fmt: skip
    (await tocsin.client.post("/v1/webhooks", webhook)).ok(201)
    await failed(tocsin, "e1", type="run.succeeded")
    await failed(tocsin, "e2", type="run.started")
    await failed(tocsin, "e3")
    rule = "Nobody was told: rule events of pager:"
    assert await summary(tocsin, "e1") == f"{rule} there is no alarm to close."
    assert await summary(tocsin, "e2") == f"{rule} alarms are opened and closed here, no more."
    assert (await summary(tocsin, "e3")).startswith("pager was told at ")


async def test_a_message_that_is_kept_up_to_date(tocsin: Running) -> None:
    slack = FakeSlack(limits=True)
    tocsin.receiver.play(slack)
    settings = {"bot_token": "xoxb-1234567890-tocsin-fake-workspace", "channel": "#alerts"}
    bot = {"provider_type": "slack_bot", "name": "#alerts", "enabled_events": ["*"], "settings": settings}
    (await tocsin.client.post("/v1/webhooks", bot)).ok(201)
    await failed(tocsin, "e1", "r1", type="run.started")
    await failed(tocsin, "e2", "r1", type="run.progress")
    await tocsin.wait_out()
    assert (await summary(tocsin, "e2")).startswith("#alerts was told at ")


async def test_a_watch(tocsin: Running) -> None:
    """What the clock brought about is an event, and asks why like any other."""
    hook = await on_call(tocsin, event_types=["run.exceeded"], watch={"exceeded_s": 600})
    await failed(tocsin, "s", "r1", type="run.started")
    await tocsin.move(700)
    await tocsin.settle()
    hook.expect(1)
    (event,) = (await tocsin.client.get("/v1/events?type=run.exceeded")).ok()["items"]
    assert (await summary(tocsin, event["id"])).startswith("#ops was told at ")


# The story of a run.


async def story(tocsin: Running, run_id: str) -> dict[str, Any]:
    (run,) = (await tocsin.client.get(f"/v1/runs?run_id={run_id}")).ok()["items"]
    found: dict[str, Any] = (await tocsin.client.get(f"/v1/runs/{run['id']}/why")).ok()
    assert (found["id"], found["run_id"]) == (run["id"], run_id)
    return found


async def test_the_story_of_a_run(tocsin: Running) -> None:
    hook = await on_call(tocsin, event_types=["run.failed", "stage.failed"])
    for number, (type_, stage) in enumerate(
        [("run.started", ""), ("stage.started", "load"), ("stage.failed", "load"), ("run.failed", "")]
    ):
        await tocsin.send(id=f"e{number}", type=type_, stage=stage, pipeline="etl/orders", run_id="r1")
        await tocsin.move(60)
    hook.expect(1)
    found = await story(tocsin, "r1")
    assert found["summary"] == (
        "#ops was told of etl/orders r1, which failed after 3m 00s: 1 message about 1 of its 4 events."
    )
    assert [(one["event_id"], one["event_type"], one["stage"]) for one in found["events"]] == [
        ("e0", "run.started", ""), ("e1", "stage.started", "load"), ("e2", "stage.failed", "load"),
        ("e3", "run.failed", ""),
    ]  # fmt: skip
    assert [one["summary"] for one in found["events"]][:3] == [
        "Nobody was told: none of the 1 rules asks for this event.",
        "Nobody was told: none of the 1 rules asks for this event.",
        "Nobody was told: rule on-call: the run goes on: its end will tell.",
    ]
    for one in found["events"]:
        alone = await why(tocsin, one["event_id"])
        assert alone["deliveries"] == one["deliveries"]
        assert alone["decisions"][: len(one["decisions"])] == one["decisions"]


async def test_the_story_of_a_run_of_which_nobody_was_told(tocsin: Running) -> None:
    await on_call(tocsin, window={"kind": "failures", "count": 3})
    await failed(tocsin, "e1", "r1", data={"error": "disk full"})
    assert (await story(tocsin, "r1"))["summary"] == (
        "Nobody was told of etl/orders r1, which failed (disk full): rule on-call: 1 of 3 failures in a row."
    )


async def test_each_attempt_has_a_story_of_its_own(tocsin: Running) -> None:
    for attempt in (1, 2):
        await failed(tocsin, f"e{attempt}", "r1", data={"attempt": attempt})
    runs = (await tocsin.client.get("/v1/runs?run_id=r1")).ok()["items"]
    for run in runs:
        found = (await tocsin.client.get(f"/v1/runs/{run['id']}/why")).ok()
        assert (found["attempt"], [one["event_id"] for one in found["events"]]) == (
            run["attempt"],
            [f"e{run['attempt']}"],
        )


async def test_another_tenants_run_is_not_there(tocsin: Running) -> None:
    await failed(tocsin, "e1", "r1")
    (run,) = (await tocsin.client.get("/v1/runs")).ok()["items"]
    other = await tocsin.as_("admin", tenant="other")
    (await other.get(f"/v1/runs/{run['id']}/why")).problem(404)
    (await tocsin.client.get("/v1/runs/run_x/why")).problem(404)
