"""`/v1/silences`: kept, changed, ended; what is refused; what one would have hidden."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.harness import Running, Start

pytestmark = pytest.mark.anyio

ETL = {"field": "pipeline", "value": "etl/*"}


def at(tocsin: Running, seconds: float) -> str:
    return datetime.fromtimestamp(tocsin.clock.now_s + seconds, UTC).isoformat()


async def made(tocsin: Running, **fields: Any) -> dict[str, Any]:
    given = {"matchers": [ETL], "duration_s": 3600} | fields
    silence: dict[str, Any] = (await tocsin.client.post("/v1/silences", given)).ok(201)
    return silence


async def test_what_is_made_can_be_read_and_keeps_who_and_why(tocsin: Running) -> None:
    ana = await tocsin.as_("developer", user="ana")
    given = {"matchers": [ETL, {"field": "labels.env", "value": "prod", "negate": True}], "duration_s": 7200}
    answer = await ana.post("/v1/silences", given | {"reason": "new cluster", "comment": "see the wiki"})
    silence = answer.ok(201)
    assert silence["matchers"][1] == {"field": "labels.env", "value": "prod", "negate": True}
    assert (silence["created_by"], silence["reason"], silence["comment"]) == ("ana", "new cluster", "see the wiki")
    assert (silence["status"], silence["hidden"]) == ("active", 0)
    assert (await tocsin.client.get(f"/v1/silences/{silence['id']}")).ok() == silence
    assert (await tocsin.client.get("/v1/silences")).ok() == {"items": [silence], "next": None}


async def test_the_list_is_newest_first_paged_and_filtered(tocsin: Running) -> None:
    ids = [(await made(tocsin))["id"] for _ in range(3)]
    (await tocsin.client.delete(f"/v1/silences/{ids[1]}")).ok(204)
    first = (await tocsin.client.get("/v1/silences?limit=2")).ok()
    second = (await tocsin.client.get(f"/v1/silences?limit=2&cursor={first['next']}")).ok()
    assert [one["id"] for one in first["items"] + second["items"]] == ids[::-1]
    still = (await tocsin.client.get("/v1/silences?status=open")).ok()["items"]
    assert [one["id"] for one in still] == [ids[2], ids[0]]
    over = (await tocsin.client.get("/v1/silences?status=ended")).ok()["items"]
    assert [(one["id"], one["status"]) for one in over] == [(ids[1], "ended")]
    (await tocsin.client.get("/v1/silences?status=active")).problem(400, "status")


async def test_one_to_come_hides_nothing_yet(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    silence = await made(tocsin, starts_at=at(tocsin, 600), duration_s=600)
    assert silence["status"] == "pending"
    assert silence["ends_at"] == at(tocsin, 1200).replace("+00:00", ".000Z")
    await tocsin.send(pipeline="etl/orders", run_id="1")
    await tocsin.move(600)
    hook.expect(1)
    await tocsin.send(pipeline="etl/orders", run_id="2")
    await tocsin.settle()
    hook.expect(0)
    (await tocsin.client.delete(f"/v1/silences/{silence['id']}")).ok(204)
    await tocsin.move(2)
    hook.expect(1)


async def test_a_change_counts_at_once(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    silence = await made(tocsin)
    path = f"/v1/silences/{silence['id']}"
    given = {
        "matchers": [{"field": "pipeline", "value": "ml/*"}],
        "reason": "moved",
        "comment": "x",
        "duration_s": 7200,
    }
    changed = (await tocsin.client.patch(path, given)).ok()
    assert (changed["reason"], changed["comment"]) == ("moved", "x")
    assert changed["ends_at"] == at(tocsin, 7200).replace("+00:00", ".000Z")
    await tocsin.send(pipeline="etl/orders")
    await tocsin.settle()
    hook.expect(1)
    changed = (await tocsin.client.patch(path, {"hours": [{"start": "01:00", "end": "02:00"}], "ends_at": None})).ok()
    assert changed["ends_at"] is None
    (await tocsin.client.patch(path, {"hours": []})).problem(400, "ends_at")


async def test_what_is_over_stays_as_it_was(tocsin: Running) -> None:
    silence = await made(tocsin)
    path = f"/v1/silences/{silence['id']}"
    (await tocsin.client.delete(path)).ok(204)
    ended = (await tocsin.client.get(path)).ok()
    await tocsin.move(10)
    (await tocsin.client.delete(path)).ok(204)
    assert (await tocsin.client.get(path)).ok() == ended
    (await tocsin.client.patch(path, {"duration_s": 60})).problem(409)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "matchers"),
        ({"matchers": [], "duration_s": 60}, "matchers"),
        ({"matchers": [ETL] * 21, "duration_s": 60}, "matchers"),
        ({"matchers": [ETL]}, "ends_at"),
        ({"matchers": [ETL], "duration_s": 0}, "duration_s"),
        ({"matchers": [ETL], "duration_s": 367 * 86_400}, "duration_s"),
        ({"matchers": [ETL], "duration_s": 60, "ends_at": "2100-01-01T00:00:00Z"}, "duration_s"),
        ({"matchers": [ETL], "ends_at": "2100-01-01T00:00:00Z"}, "ends_at"),
        ({"matchers": [ETL], "ends_at": "2020-01-01T00:00:00Z"}, "ends_at"),
        ({"matchers": [ETL], "ends_at": "tomorrow"}, "ends_at"),
        ({"matchers": [ETL], "starts_at": "2020-01-01T00:00:00Z", "duration_s": 60}, "starts_at"),
        ({"matchers": [{"field": "labels.", "value": "x"}], "duration_s": 60}, "matchers[0].field"),
        ({"matchers": [ETL, {"field": "colour", "value": "x"}], "duration_s": 60}, "matchers[1].field"),
        ({"matchers": [{"field": "labels.\x00", "value": "x"}], "duration_s": 60}, "matchers[0].field"),
        ({"matchers": [{"field": "type", "value": ""}], "duration_s": 60}, "matchers[0].value"),
        ({"matchers": [{"field": "type", "value": "*" * 9}], "duration_s": 60}, "matchers[0].value"),
        ({"matchers": [ETL], "hours": [{"start": "25:00", "end": "01:00"}]}, "hours[0].start"),
        ({"matchers": [ETL], "hours": [{"start": "01:00", "end": "01:00"}]}, "hours[0].end"),
        ({"matchers": [ETL], "hours": [{"start": "01:00", "end": "02:00", "time_zone": "Mars"}]}, "hours[0].time_zone"),
        ({"matchers": [ETL], "duration_s": 60, "reason": "x" * 501}, "reason"),
        ({"matchers": [ETL], "duration_s": 60, "reason": "\x00"}, "reason"),
        ({"matchers": [ETL], "duration_s": 60, "until": "x"}, "until"),
    ],
    ids=str,
)
async def test_what_is_refused_is_named(standing: Running, given: dict[str, Any], field: str) -> None:
    (await standing.client.post("/v1/silences", given)).problem(400, field)


async def test_one_that_began_lately_may_be_made_but_not_one_that_is_over(tocsin: Running) -> None:
    silence = await made(tocsin, starts_at=at(tocsin, -60), duration_s=120)
    assert silence["status"] == "active"
    given = {"matchers": [ETL], "starts_at": at(tocsin, -60), "duration_s": 30}
    (await tocsin.client.post("/v1/silences", given)).problem(400, "duration_s")


async def test_there_is_a_bound(start: Start) -> None:
    tocsin = await start(TOCSIN_LIMIT_SILENCES="2")
    first = await made(tocsin)
    await made(tocsin)
    (await tocsin.client.post("/v1/silences", {"matchers": [ETL], "duration_s": 60})).problem(409)
    (await tocsin.client.delete(f"/v1/silences/{first['id']}")).ok(204)
    await tocsin.move(2)
    await made(tocsin)


async def test_the_preview_counts_what_it_would_have_hidden(tocsin: Running) -> None:
    hook, other = tocsin.receiver.hook("/a"), tocsin.receiver.hook("/b")
    webhook = await tocsin.webhook(hook, name="team", enabled_events=["run.*"])
    second = await tocsin.webhook(other, name="failures")
    await tocsin.rule(second, name="all failures", event_types=["run.failed"], labels={})
    await tocsin.send(pipeline="etl/orders", severity="critical")
    await tocsin.send(pipeline="etl/orders", type="run.succeeded")
    await tocsin.send(pipeline="ml/ranker")
    await tocsin.settle()
    hook.expect(3)
    other.expect(2)

    async def preview(*matchers: dict[str, Any], **fields: Any) -> Any:
        return (await tocsin.client.post("/v1/silences/preview", {"matchers": matchers} | fields)).ok()

    found = await preview(ETL)
    assert (found["messages"], found["hidden"]) == (5, 3)
    assert found["webhooks"] == {webhook["id"]: 2, second["id"]: 1}
    assert {item["pipeline"] for item in found["items"]} == {"etl/orders"}
    assert (await preview({"field": "rule", "value": "all failures"}))["hidden"] == 2
    assert (await preview({"field": "rule", "value": "events of team"}))["hidden"] == 3
    assert (await preview({"field": "endpoint", "value": "team"}, {"field": "kind", "value": "run.failed"}))[
        "hidden"
    ] == 2
    assert (await preview(ETL, {"field": "severity", "value": "critical", "negate": True}))["hidden"] == 1
    now = datetime.fromtimestamp(tocsin.clock.now_s, UTC)
    past = [{"start": f"{(now.hour - 3) % 24:02}:00", "end": f"{(now.hour - 2) % 24:02}:00"}]
    assert (await preview(ETL, hours=past))["hidden"] == 0
    (await tocsin.client.post("/v1/silences/preview", {"matchers": []})).problem(400, "matchers")
    assert (await tocsin.client.get("/v1/silences")).ok()["items"] == []


async def test_who_may(tocsin: Running) -> None:
    # S3-09
    viewer, developer = await tocsin.as_("viewer"), await tocsin.as_("developer", user="ana")
    given = {"matchers": [ETL], "duration_s": 60}
    (await viewer.post("/v1/silences", given)).problem(403)
    silence = (await developer.post("/v1/silences", given)).ok(201)
    (await viewer.get(f"/v1/silences/{silence['id']}")).ok()
    (await viewer.delete(f"/v1/silences/{silence['id']}")).problem(403)


async def test_another_tenants_silences_are_as_ones_that_do_not_exist(tocsin: Running) -> None:
    # case 39
    silence = await made(tocsin)
    other = await tocsin.as_("admin", tenant="other")
    path = f"/v1/silences/{silence['id']}"
    for method, body in (("GET", None), ("PATCH", {"duration_s": 60}), ("DELETE", None)):
        (await other.request(method, path, body)).problem(404)
    assert (await other.get("/v1/silences")).ok()["items"] == []
    assert (await other.post("/v1/silences/preview", {"matchers": [ETL]})).ok()["messages"] == 0
    assert (await tocsin.client.get(path)).ok() == silence
