"""Numbers for people who look: each says what the log of deliveries says, of what somebody may see."""

from typing import Any

import pytest

from tests.harness import Client, Hook, Reply, Running

pytestmark = pytest.mark.anyio

GONE = 410


async def of(tocsin: Running, path: str, client: Client | None = None) -> Any:
    return (await (client or tocsin.client).get(f"/v1/stats/{path}")).ok()


async def two_endpoints(tocsin: Running) -> tuple[dict[str, Any], dict[str, Any]]:
    """One that takes everything, and one that is gone: three events for both."""
    good, bad = tocsin.receiver.hook("/good"), tocsin.receiver.hook("/bad")
    bad.always(GONE)
    healthy = await tocsin.webhook(good, name="good", enabled_events=["run.failed"])
    gone = await tocsin.webhook(bad, name="bad")
    await tocsin.rule(gone, event_types=["run.failed"])
    for number in range(3):
        await tocsin.send(type="run.failed", pipeline="etl", run_id=f"r{number}")
        await tocsin.settle()
    good.expect(3)
    bad.all_new()
    return healthy, gone


async def test_what_needs_somebody(tocsin: Running) -> None:
    assert await of(tocsin, "attention") == {
        "retrying": 0, "dead": 0, "failing": 0, "silences": 0, "unread": 0, "next_retry_at": None,
    }  # fmt: skip
    await two_endpoints(tocsin)
    slow = tocsin.receiver.hook("/slow")
    slow.always(500)
    await tocsin.webhook(slow, name="slow", enabled_events=["run.started"])
    await tocsin.send(type="run.started", pipeline="etl", run_id="r9")
    await tocsin.settle()
    slow.all_new()
    silence = {"matchers": [{"field": "pipeline", "value": "quiet"}], "duration_s": 60}
    (await tocsin.client.post("/v1/silences", silence)).ok(201)
    found = await of(tocsin, "attention")
    (retrying,) = (await tocsin.client.get("/v1/deliveries?status=retrying")).ok()["items"]
    assert found["next_retry_at"] == retrying["next_attempt_at"]
    assert (found["retrying"], found["silences"]) == (1, 1)
    assert found["dead"] == len((await tocsin.client.get("/v1/deliveries?status=dead")).ok()["items"]) > 0
    assert found["failing"] == 1


async def test_the_buckets_add_up_to_the_log(tocsin: Running) -> None:
    healthy, _ = await two_endpoints(tocsin)
    found = await of(tocsin, "deliveries")
    assert len(found["buckets"]) == 48
    assert found["bucket_s"] == 1800
    log = (await tocsin.client.get("/v1/deliveries")).ok()["items"]
    assert found["totals"]["delivered"] == sum(one["status"] == "delivered" for one in log) == 3
    assert found["totals"]["failed"] == sum(one["status"] == "dead" for one in log)
    assert sum(found["totals"].values()) == len(log)
    for word, number in found["totals"].items():
        assert sum(bucket["ends"][word] for bucket in found["buckets"]) == number
    assert found["latency"]["of"] == 3
    assert found["latency"]["p50_ms"] <= found["latency"]["p95_ms"]
    of_one = await of(tocsin, f"deliveries?webhook_id={healthy['id']}&hours=1&buckets=6")
    assert (of_one["bucket_s"], len(of_one["buckets"])) == (600, 6)
    assert of_one["totals"] == dict.fromkeys(of_one["totals"], 0) | {"delivered": 3}
    rule = f"ep:{healthy['id']}"
    assert (await of(tocsin, f"deliveries?rule_id={rule}"))["totals"]["delivered"] == 3
    (await tocsin.client.get("/v1/stats/deliveries?hours=169")).problem(400, "hours")
    (await tocsin.client.get("/v1/stats/deliveries?buckets=0")).problem(400, "buckets")


async def one_dead_letter(tocsin: Running) -> tuple[Hook, dict[str, Any]]:
    hook = tocsin.receiver.hook("/a")
    hook.always(GONE)
    webhook = await tocsin.webhook(hook)
    await tocsin.rule(webhook, event_types=["run.failed"])
    await tocsin.send(type="run.failed", pipeline="etl", run_id="r1")
    await tocsin.settle()
    hook.all_new()
    return hook, webhook


async def test_a_bucket_follows_what_happens_in_it(tocsin: Running) -> None:
    hook, webhook = await one_dead_letter(tocsin)
    assert (await of(tocsin, "deliveries"))["totals"]["failed"] == 1
    hook.always(200)
    (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/enable")).ok()
    (dead,) = (await tocsin.client.get("/v1/deliveries")).ok()["items"]
    (await tocsin.client.post(f"/v1/deliveries/{dead['id']}/replay")).ok(202)
    await tocsin.settle()
    hook.expect(1)
    totals = (await of(tocsin, "deliveries"))["totals"]
    assert (totals["failed"], totals["delivered"]) == (0, 1)


async def test_endpoints_in_trouble_come_first_and_say_since_when(tocsin: Running) -> None:
    healthy, gone = await two_endpoints(tocsin)
    bad, good = (await of(tocsin, "endpoints"))["items"]
    assert (bad["id"], bad["is_failing"], bad["is_active"]) == (gone["id"], True, False)
    log = (await tocsin.client.get(f"/v1/deliveries?webhook_id={gone['id']}")).ok()["items"]
    assert bad["failing_since"] == min(one["created_at"] for one in log)
    assert (good["id"], good["is_failing"], good["failing_since"]) == (healthy["id"], False, None)
    assert good["totals"]["delivered"] == 3
    assert [cell["delivered"] for cell in good["cells"] if cell["delivered"]] in ([3], [1, 2], [2, 1])
    assert len(good["cells"]) == 48
    assert good["p95_ms"] >= 0


async def test_the_noisiest_rule_comes_first(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    webhook = await tocsin.webhook(hook)
    await tocsin.rule(webhook, name="quiet", event_types=["run.started"])
    await tocsin.rule(webhook, name="noisy", event_types=["run.failed"])
    for number in range(3):
        await tocsin.send(type="run.failed", pipeline="etl", run_id=f"r{number}")
    await tocsin.send(type="run.started", pipeline="etl", run_id="r9")
    silence = {"matchers": [{"field": "pipeline", "value": "quiet"}], "duration_s": 60}
    (await tocsin.client.post("/v1/silences", silence)).ok(201)
    await tocsin.send(type="run.failed", pipeline="quiet", run_id="r10")
    await tocsin.settle()
    hook.expect(4)
    found = await of(tocsin, "rules")
    assert [(one["name"], one["messages"], one["totals"]["suppressed"]) for one in found["items"]] == [
        ("noisy", 3, 1),
        ("quiet", 1, 0),
    ]
    assert len((await of(tocsin, "rules?limit=1"))["items"]) == 1


async def test_the_last_runs_of_the_pipelines_that_ran_last(tocsin: Running) -> None:
    for number, kind in enumerate(("run.succeeded", "run.failed", "run.started")):
        await tocsin.send(type=kind, pipeline="etl", run_id=f"r{number}")
        tocsin.clock.move(60)
    await tocsin.send(type="run.succeeded", pipeline="train", run_id="t1")
    found = (await of(tocsin, "pipelines"))["items"]
    assert [one["pipeline"] for one in found] == ["train", "etl"]
    assert [run["status"] for run in found[1]["runs"]] == ["running", "failed", "succeeded"]
    runs = (await tocsin.client.get("/v1/runs?pipeline=etl")).ok()["items"]
    assert {run["id"] for run in found[1]["runs"]} == {run["id"] for run in runs}
    assert [one["pipeline"] for one in (await of(tocsin, "pipelines?limit=1"))["items"]] == ["train"]
    assert len((await of(tocsin, "pipelines?runs=2"))["items"][1]["runs"]) == 2


async def test_dead_letters_by_endpoint_and_reason(tocsin: Running) -> None:
    # S4-07
    _, gone = await two_endpoints(tocsin)
    found = await of(tocsin, "dead-letters")
    dead = (await tocsin.client.get("/v1/deliveries?status=dead")).ok()["items"]
    (group,) = found["items"]
    assert (group["webhook_id"], group["webhook_name"]) == (gone["id"], "bad")
    assert group["count"] == found["count"] == len(dead)
    assert group["reason"] == dead[0]["reason"]
    assert (group["oldest_at"], group["newest_at"]) == (dead[-1]["created_at"], dead[0]["created_at"])
    assert (group["is_there"], group["is_well"]) == (False, False)


async def test_a_group_says_that_its_endpoint_is_well_again(tocsin: Running) -> None:
    hook, webhook = await one_dead_letter(tocsin)
    hook.always(200)
    (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/enable")).ok()
    tocsin.clock.move(5)
    await tocsin.send(type="run.failed", pipeline="etl", run_id="r2")
    await tocsin.settle()
    hook.expect(1)
    (group,) = (await of(tocsin, "dead-letters"))["items"]
    assert (group["count"], group["is_there"], group["is_well"]) == (1, True, True)


async def test_everybody_sees_the_numbers_of_their_own(tocsin: Running) -> None:
    # S1-15
    mia, ben = await tocsin.as_("developer", user="mia"), await tocsin.as_("developer", user="ben")
    hook = tocsin.receiver.hook("/mia")
    hook.always(GONE)
    of_mia = await tocsin.webhook(hook, mia, name="mias", enabled_events=["run.failed"])
    await tocsin.send(type="run.failed", pipeline="etl", run_id="r1")
    await tocsin.settle()
    hook.all_new()
    stranger = await tocsin.as_("admin", "elsewhere")
    for other in (ben, stranger):
        assert (await of(tocsin, "attention", other))["dead"] == 0
        assert (await of(tocsin, "attention", other))["failing"] == 0
        assert not any((await of(tocsin, "deliveries", other))["totals"].values())
        assert (await of(tocsin, "deliveries", other))["latency"]["of"] == 0
        for what in ("endpoints", "rules", "dead-letters"):
            assert (await of(tocsin, what, other))["items"] == []
    assert (await of(tocsin, "pipelines", stranger))["items"] == []
    for mine in (mia, tocsin.client):
        assert (await of(tocsin, "attention", mine))["dead"] == 1
        assert (await of(tocsin, "deliveries", mine))["totals"]["failed"] == 1
        assert [one["id"] for one in (await of(tocsin, "endpoints", mine))["items"]] == [of_mia["id"]]
        assert (await of(tocsin, "dead-letters", mine))["count"] == 1


async def test_viewers_read_no_words_of_receivers(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    hook.always(Reply(400, "the secret of the house"))
    webhook = await tocsin.webhook(hook)
    await tocsin.rule(webhook, event_types=["run.failed"], retry={"max_attempts": 1})
    await tocsin.send(type="run.failed", pipeline="etl", run_id="r1")
    await tocsin.settle()
    hook.expect(1)
    viewer = await tocsin.as_("viewer")
    for what in ("endpoints", "dead-letters"):
        answer = await viewer.get(f"/v1/stats/{what}")
        assert answer.ok()["items"]
        assert b"secret of the house" not in answer.body


async def test_what_was_counted_before_anybody_looked_is_not_counted_again(
    tocsin: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    # S3-09: and days and weeks are sums of half hours
    await two_endpoints(tocsin)
    await tocsin.move(5 * 3600)
    await two_endpoints_more(tocsin)
    await tocsin.app.tallies.warm()
    read, counted = tocsin.app.db.read, []

    async def noted(name: str, values: Any = None, filters: tuple[str, ...] = ()) -> Any:
        counted.append(name) if name == "tally_slices" else None
        return await read(name, values or {}, filters)

    monkeypatch.setattr(tocsin.app.db, "read", noted)
    log = (await tocsin.client.get("/v1/deliveries?limit=100")).ok()["items"]
    for path in ("deliveries", "deliveries?hours=168&buckets=84", "deliveries?hours=168&buckets=7"):
        counted.clear()
        found = await of(tocsin, path)
        assert found["totals"]["delivered"] == sum(one["status"] == "delivered" for one in log) == 6, path
        assert len(counted) <= 1, path
    counted.clear()
    assert sum(one["totals"]["delivered"] for one in (await of(tocsin, "rules"))["items"]) == 6
    assert len(counted) <= 1


async def two_endpoints_more(tocsin: Running) -> None:
    """Three events more, for whoever is still there."""
    for number in range(3):
        await tocsin.send(type="run.failed", pipeline="etl", run_id=f"later{number}")
    await tocsin.settle()
    for hook in tocsin.receiver.hooks.values():
        hook.all_new()
