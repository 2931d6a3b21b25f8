"""`GET /v1/webhooks/{id}/latency`: how long a receiver took, over time."""

import pytest

from tests.harness import Reply, Running

pytestmark = pytest.mark.anyio


async def test_it_is_counted_by_when_it_was_sent(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/orders")
    webhook = await tocsin.webhook(hook, enabled_events=["run.failed"])
    path = f"/v1/webhooks/{webhook['id']}/latency"
    empty = (await tocsin.client.get(path)).ok()
    assert (empty["of"], empty["p50_ms"], empty["p95_ms"], empty["bucket_s"]) == (0, None, None, 1800)
    assert len(empty["buckets"]) == 48
    for _ in range(3):
        await tocsin.send(pipeline="etl")
    await tocsin.settle()
    hook.expect(3)
    await tocsin.move(3600)
    hook.answer(Reply(delay_s=0.05), 500)  # what fails is none of it
    await tocsin.send(pipeline="etl")
    await tocsin.settle()
    await tocsin.send(pipeline="etl")
    await tocsin.settle()
    hook.expect(2)
    found = (await tocsin.client.get(path)).ok()
    assert [one["of"] for one in found["buckets"] if one["of"]] == [3, 1]
    assert found["of"] == 4
    last = found["buckets"][-1]
    assert (last["of"], found["until"] > last["at"]) == (1, True)
    assert last["p50_ms"] == last["p95_ms"] == found["p95_ms"] >= 50
    assert found["p50_ms"] <= found["p95_ms"]
    week = (await tocsin.client.get(f"{path}?hours=168&buckets=7")).ok()
    assert (week["of"], week["bucket_s"], len(week["buckets"])) == (4, 86_400, 7)


async def test_what_is_wrong_is_said(tocsin: Running) -> None:
    webhook = await tocsin.webhook(tocsin.receiver.hook("/orders"))
    (await tocsin.client.get(f"/v1/webhooks/{webhook['id']}/latency?hours=0")).problem(400, "hours")
    (await tocsin.client.get("/v1/webhooks/whk_0/latency")).problem(404)
    elsewhere = await tocsin.as_("admin", tenant="other")
    (await elsewhere.get(f"/v1/webhooks/{webhook['id']}/latency")).problem(404)
    somebody = await tocsin.as_("developer", user="ben")
    of_mia = await tocsin.webhook(tocsin.receiver.hook("/mia"), await tocsin.as_("developer", user="mia"))
    (await somebody.get(f"/v1/webhooks/{of_mia['id']}/latency")).problem(404)
