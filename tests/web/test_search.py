"""Search: an id of any kind leads to one thing; a part of a name to all that have it."""

from urllib.parse import quote

import pytest

from tests.harness import Client, Running

pytestmark = pytest.mark.anyio


async def search(client: Client, text: str) -> dict[str, object]:
    found: dict[str, object] = (await client.get(f"/v1/search?q={quote(text, safe='')}")).ok()
    return found


async def exact(tocsin: Running, text: str) -> tuple[str, str] | None:
    found = (await search(tocsin.client, text))["exact"]
    return (found["kind"], found["id"]) if isinstance(found, dict) else None


async def test_an_id_of_any_kind(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    webhook = await tocsin.webhook(hook, name="on-call")
    rule = await tocsin.rule(webhook, name="failed runs")
    silence = (
        await tocsin.client.post("/v1/silences", {"matchers": [{"field": "stage", "value": "x"}], "duration_s": 60})
    ).ok(201)
    await tocsin.send(id="e-77", pipeline="etl/orders", run_id="r 1")
    await tocsin.settle()
    hook.expect(1)
    (event,) = (await tocsin.client.get("/v1/events")).ok()["items"]
    (run,) = (await tocsin.client.get("/v1/runs")).ok()["items"]
    delivery = await tocsin.delivery()
    assert await exact(tocsin, "e-77") == ("event", "e-77")
    assert await exact(tocsin, event["uid"]) == ("event", "e-77")
    assert await exact(tocsin, "r 1") == ("run", run["id"])
    assert await exact(tocsin, run["id"]) == ("run", run["id"])
    assert await exact(tocsin, "etl/orders") == ("pipeline", "etl/orders")
    assert await exact(tocsin, delivery["id"]) == ("delivery", delivery["id"])
    assert await exact(tocsin, webhook["id"]) == ("webhook", webhook["id"])
    assert await exact(tocsin, rule["id"]) == ("rule", rule["id"])
    assert await exact(tocsin, silence["id"]) == ("silence", silence["id"])
    for kind in ("evt", "run", "dlv", "whk", "rul", "sil"):
        assert await exact(tocsin, f"{kind}_{'0' * 32}") is None


async def test_a_part_of_a_name(tocsin: Running) -> None:
    webhook = await tocsin.webhook("https://example.com/a", name="Orders on-call")
    await tocsin.rule(webhook, name="ORDERS fail", event_types=["x"])
    await tocsin.send(pipeline="etl/orders", run_id="1")
    await tocsin.send(pipeline="etl/100%", run_id="1", id="last")
    found = await search(tocsin.client, "rder")
    assert [(hit["kind"], hit["name"]) for hit in found["hits"]] == [  # type: ignore[attr-defined]
        ("pipeline", "etl/orders"),
        ("webhook", "Orders on-call"),
        ("rule", "ORDERS fail"),
    ]
    assert [hit["name"] for hit in (await search(tocsin.client, "%"))["hits"]] == ["etl/100%"]  # type: ignore[attr-defined]
    nothing = await search(tocsin.client, "no such thing")
    assert (nothing["exact"], nothing["hits"]) == (None, [])
    assert nothing["last_event"]["id"] == "last"  # type: ignore[index]


async def test_nothing_came_in_yet(tocsin: Running) -> None:
    assert (await search(tocsin.client, "r1"))["last_event"] is None
    (await tocsin.client.get("/v1/search?q=")).problem(400, "q")
    (await tocsin.client.get(f"/v1/search?q={'x' * 201}")).problem(400, "q")


async def test_what_is_others_is_not_found(tocsin: Running) -> None:
    ana, ben = await tocsin.as_("developer", user="ana"), await tocsin.as_("developer", user="ben")
    mine = await tocsin.webhook("https://example.com/a", ana, name="private")
    assert (await search(ana, mine["id"]))["exact"] is not None
    assert (await search(ben, mine["id"]))["exact"] is None
    assert (await search(ana, "priv"))["hits"]
    assert not (await search(ben, "priv"))["hits"]
    other = await tocsin.as_("admin", "other")
    assert not (await search(other, "priv"))["hits"]
    assert (await search(other, mine["id"]))["exact"] is None
