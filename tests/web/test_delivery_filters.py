"""Choosing deliveries: the log, replay and discarding take the same filters."""

from typing import Any

import pytest

from tests.harness import Reply, Running

pytestmark = pytest.mark.anyio


async def found(tocsin: Running, query: str) -> list[str]:
    items = (await tocsin.client.get(f"/v1/deliveries?{query}")).ok()["items"]
    return sorted(one["event_id"] for one in items)


async def some_of_each(tocsin: Running) -> dict[str, Any]:
    """`good` is delivered; `dead` was refused with 410, `busy` waits after a 503."""
    webhooks = {}
    for name, status in (("good", 200), ("dead", 410), ("busy", 503)):
        hook = tocsin.receiver.hook(f"/{name}")
        hook.always(Reply(status, f"said {name}"))
        webhooks[name] = await tocsin.webhook(hook, name=name, enabled_events=[f"{name}.*"])
        title, run_id = f"Orders: {name}", f"run-{name}"
        await tocsin.send(id=name, type=f"{name}.x", pipeline=f"etl/{name}", run_id=run_id, title=title)
        await tocsin.settle()
        hook.expect(1)
    return webhooks


async def test_what_a_delivery_is_about(tocsin: Running) -> None:
    await some_of_each(tocsin)
    (one,) = (await tocsin.client.get("/v1/deliveries?event_id=good")).ok()["items"]
    assert (one["title"], one["pipeline"], one["run_id"]) == ("Orders: good", "etl/good", "run-good")
    whole = (await tocsin.client.get(f"/v1/deliveries/{one['id']}")).ok()
    assert whole["duration_ms"] == one["duration_ms"] == whole["log"][0]["duration_ms"]
    assert whole["title"] == one["title"]


async def test_the_log_by_state_code_pipeline_and_words(tocsin: Running) -> None:
    await some_of_each(tocsin)
    for query, expected in {
        "status=failed": ["dead"],
        "status=waiting": ["busy"],
        "status=retrying": ["busy"],
        "code=410": ["dead"],
        "code=4xx": ["dead"],
        "code=5xx": ["busy"],
        "code=none": [],
        "pipeline=etl/good": ["good"],
        "pipeline=etl/*": ["busy", "dead", "good"],
        "pipeline=etl": [],
        "text=ORDERS": ["busy", "dead", "good"],
        "text=run-dead": ["dead"],
        "text=%25": [],
        "text=good&status=failed": [],
        "since=2020-01-01T00:00:00Z&status=failed": ["dead"],
    }.items():
        assert await found(tocsin, query) == expected, query
    (dead,) = (await tocsin.client.get("/v1/deliveries?status=dead")).ok()["items"]
    assert dead["reason"].startswith("HTTP 410")
    assert await found(tocsin, "reason=HTTP 410*".replace(" ", "%20")) == ["dead"]
    assert await found(tocsin, "reason=HTTP%20410*&code=5xx") == []
    for field, value in (("status", "lost"), ("code", "600"), ("code", "4x"), ("text", "x" * 201)):
        (await tocsin.client.get(f"/v1/deliveries?{field}={value}")).problem(400, field)
    viewer = await tocsin.as_("viewer")
    (await viewer.get("/v1/deliveries?reason=HTTP*")).problem(403)


async def test_replay_takes_the_same_filters(tocsin: Running) -> None:
    # S4-07
    await some_of_each(tocsin)
    (dead,) = (await tocsin.client.get("/v1/deliveries?status=dead")).ok()["items"]
    for asked, count in (
        ({"code": "4xx"}, 1),
        ({"code": "5xx"}, 0),
        ({"pipeline": "etl/d*"}, 1),
        ({"text": "orders"}, 1),
        ({"reason": dead["reason"]}, 1),
        ({"reason": "HTTP 410*"}, 1),
        ({"ids": [dead["id"]]}, 1),
        ({"ids": ["dlv_none"]}, 0),
    ):
        dry = (await tocsin.client.post("/v1/deliveries/replay", asked | {"dry_run": True})).ok()
        assert dry["count"] == count, asked
    (await tocsin.client.post("/v1/deliveries/replay", {"code": "9xx"})).problem(400, "code")


async def test_discarding_says_how_many_and_does_no_more(tocsin: Running) -> None:
    # S4-07
    webhooks = await some_of_each(tocsin)
    asked = {"webhook_id": webhooks["dead"]["id"]}
    dry = (await tocsin.client.post("/v1/deliveries/discard", asked | {"dry_run": True})).ok()
    assert dry == {"count": 1, "discarded": 0, "dry_run": True}
    (await tocsin.client.post("/v1/deliveries/discard", asked | {"expected": 2})).problem(409)
    assert await found(tocsin, "status=dead") == ["dead"]
    done = (await tocsin.client.post("/v1/deliveries/discard", asked | {"expected": 1})).ok()
    assert done == {"count": 1, "discarded": 1, "dry_run": False}
    assert await found(tocsin, "status=dead") == []
    assert await found(tocsin, "status=cancelled") == ["dead"]
    (await tocsin.client.post("/v1/deliveries/discard", {})).problem(400, "")
    (await (await tocsin.as_("viewer")).post("/v1/deliveries/discard", asked)).problem(403)
    mia = await tocsin.as_("developer", user="mia")
    assert (await mia.post("/v1/deliveries/discard", {"pipeline": "*"})).ok()["count"] == 0
