"""What became of each event of a list, in a few words; and lists that stay quick whatever is asked of them."""

from typing import Any

import pytest

from tests.harness import Client, Reply, Running
from tocsin.web.api import deliveries, events

pytestmark = pytest.mark.anyio


async def outcomes(client: Client) -> dict[str, dict[str, Any]]:
    found = (await client.get("/v1/events?with=outcome")).ok()["items"]
    return {event["id"]: event["outcome"] for event in found}


async def test_what_became_of_each(tocsin: Running) -> None:
    good, bad = tocsin.receiver.hook("/good"), tocsin.receiver.hook("/bad", "127.0.0.2")
    bad.always(400)
    await tocsin.send(id="no rule")
    first = await tocsin.webhook(good, name="good")
    await tocsin.rule(first, name="all", pipelines=["etl", "quiet"], condition="data.rows > 1")
    second = await tocsin.webhook(bad, name="bad")
    await tocsin.rule(second, name="some", pipelines=["etl"], retry={"max_attempts": 1})
    await tocsin.send(id="other", pipeline="ml")
    await tocsin.send(id="false", pipeline="quiet", data={"rows": 1})
    await tocsin.send(id="sent", pipeline="etl", data={"rows": 2})
    await tocsin.settle()
    good.expect(1)
    bad.expect(1)
    silence = {"matchers": [{"field": "pipeline", "value": "quiet"}], "duration_s": 3600, "reason": "deploy"}
    (await tocsin.client.post("/v1/silences", silence)).ok(201)
    await tocsin.send(id="silenced", pipeline="quiet", data={"rows": 2})
    found = await outcomes(tocsin.client)
    assert {name: one["summary"] for name, one in found.items()} == {
        "no rule": "no rule",
        "other": "no rule matched",
        "false": "no rule matched",
        "sent": "1 sent, 1 dead letter",
        "silenced": "silenced",
    }
    assert found["sent"]["counts"] == {"delivered": 1, "dead": 1}
    assert found["silenced"]["counts"] == {"silenced": 1}
    assert "deploy" in found["silenced"]["reason"]
    assert "condition is false" in found["false"]["reason"]
    plain = (await tocsin.client.get("/v1/events")).ok()["items"]
    assert [event["outcome"] for event in plain] == [None] * 5


async def test_what_went_to_others_is_not_told(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/private")
    ana, ben = await tocsin.as_("developer", user="ana"), await tocsin.as_("developer", user="ben")
    await tocsin.webhook(hook, ana, name="private", enabled_events=["*"])
    await tocsin.send(id="e1")
    await tocsin.settle()
    hook.expect(1)
    assert (await outcomes(ana))["e1"]["summary"] == "1 sent"
    assert (await outcomes(ben))["e1"] == {"summary": "sent to others", "counts": {}, "reason": "", "elsewhere": 1}


async def test_rare_things_are_found_page_by_page(tocsin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_LOOKED_AT", 3)
    for number in range(9):
        await tocsin.send(id=f"e{number}", pipeline="rare" if number in (0, 7) else "etl", run_id="r1")
    seen, pages, cursor = [], 0, ""
    while True:
        page = (await tocsin.client.get(f"/v1/events?pipeline=rare&cursor={cursor}")).ok()
        seen += [event["id"] for event in page["items"]]
        pages += 1
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == ["e7", "e0"]
    assert pages > 1
    assert len((await tocsin.client.get("/v1/events?run_id=r1")).ok()["items"]) == 9


async def test_rare_deliveries_are_found_page_by_page(tocsin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "MOST_LOOKED_AT", 3)
    hook, gone = tocsin.receiver.hook("/good"), tocsin.receiver.hook("/gone")
    gone.always(Reply(410))
    await tocsin.webhook(hook, enabled_events=["run.succeeded"])
    await tocsin.webhook(gone, enabled_events=["run.failed"])
    for number in range(9):
        await tocsin.send(id=f"e{number}", type="run.succeeded", pipeline="rare" if number in (0, 7) else "etl")
        await tocsin.settle()
    hook.expect(9)

    async def all_of(query: str) -> tuple[list[str], int]:
        seen, pages, cursor = [], 0, ""
        while cursor is not None:
            page = (await tocsin.client.get(f"/v1/deliveries?{query}&cursor={cursor}")).ok()
            seen += [one["event_id"] for one in page["items"]]
            pages, cursor = pages + 1, page["next"]
        return seen, pages

    assert await all_of("pipeline=rare") == (["e7", "e0"], 3)
    assert await all_of("status=delivered&code=404") == ([], 3)
    assert await all_of("pipeline=no-such&since=2026-01-01T00:00:00Z") == ([], 3)
    assert await all_of("pipeline=no-such&since=2100-01-01T00:00:00Z") == ([], 1), (
        "nothing is older than that and newer"
    )
    assert await all_of("pipeline=rare&until=2026-01-01T00:00:00Z") == ([], 1)
    await tocsin.send(id="bad", type="run.failed", pipeline="rare")
    await tocsin.settle()
    gone.expect(1)
    for number in range(5):
        await tocsin.send(id=f"l{number}", type="run.succeeded", pipeline="etl")
    await tocsin.settle()
    hook.expect(5)
    assert await all_of("status=failed") == (["bad"], 1), "an index leads to what failed"
    assert await all_of("status=dead&pipeline=rare") == (["bad"], 1)
    assert await all_of("status=failed&pipeline=etl") == ([], 1)


async def test_a_run_that_cannot_be_read_whole(tocsin: Running) -> None:
    await tocsin.send(type="run.failed", pipeline="etl", run_id="r1", data={"error": "boom"})
    (run,) = (await tocsin.client.get("/v1/runs")).ok()["items"]
    await tocsin.app.db.script("UPDATE run SET stages = 'none of ours', about = '['")
    (listed,) = (await tocsin.client.get("/v1/runs")).ok()["items"]
    whole = (await tocsin.client.get(f"/v1/runs/{run['id']}")).ok()
    assert listed["status"] == whole["status"] == "failed"
    assert (whole["error"], whole["stages"]) == ("boom", [])
    assert (await tocsin.client.get(f"/v1/runs/{run['id']}/why")).ok()["events"]


async def test_how_long_a_run_usually_takes(tocsin: Running) -> None:
    for number, minutes in enumerate((1, 2, 9, 4)):
        times = ("2026-11-21T02:00:00Z", f"2026-11-21T02:0{minutes}:00Z")
        for type_, time in zip(("run.started", "run.succeeded"), times, strict=True):
            await tocsin.send(
                type=type_, pipeline="etl", run_id=f"r{number}", time=time, links={"run": "https://x.example"}
            )
        listed = (await tocsin.client.get("/v1/runs?with=usual")).ok()["items"]
        assert {run["usual_s"] for run in listed} == {{0: None, 1: None, 2: 120.0, 3: 180.0}[number]}
    run = (await tocsin.client.get(f"/v1/runs/{listed[0]['id']}")).ok()
    assert run["usual_s"] == 180
    assert sorted(run["history_s"]) == [60, 120, 240, 540]
    assert run["links"] == {"run": "https://x.example"}
