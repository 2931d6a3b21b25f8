"""The front door: one event, many, CloudEvents; the same one twice; and what is refused."""

import asyncio
import json
from typing import Any

import pytest

from tests.harness import Client, Running

pytestmark = pytest.mark.anyio

CLOUD = {
    "specversion": "1.0",
    "id": "c1",
    "source": "/build",
    "type": "com.acme.pipeline.run.failed",
    "data": {"rows": 1},
}


async def count(tocsin: Running) -> int:
    return len((await tocsin.client.get("/v1/events?limit=100")).ok()["items"])


async def test_an_event_is_there_once_it_is_accepted(tocsin: Running) -> None:
    given: dict[str, Any] = {
        "id": "e1",
        "type": "run.failed",
        "source": "airflow",
        "pipeline": "etl/orders",
        "run_id": "r1",
        "stage": "load",
        "time": "2026-11-21T02:14:32.5+01:00",
        "severity": "critical",
        "title": "Orders failed",
        "message": "disk full",
        "labels": {"env": "prod"},
        "data": {"rows": 12, "nested": {"a": [1, 2.5, None, True, "ü"]}},
        "links": {"run": "https://airflow.example/r1"},
        "actions": [{"label": "Open", "url": "https://airflow.example", "style": "primary"}],
    }
    answer = await tocsin.client.post("/v1/events", given)
    assert answer.ok(202) == {"id": "e1", "duplicate": False}
    found = (await tocsin.client.get("/v1/events/e1")).ok()
    assert found["uid"].startswith("evt_")
    assert found.pop("kind") == "run.failed"
    assert found.pop("uid")
    assert found.pop("received_at")
    assert found == given | {"time": "2026-11-21T01:14:32.500Z"}


async def test_an_id_is_made_if_absent(tocsin: Running) -> None:
    answers = [await tocsin.send(), await tocsin.send()]
    assert answers[0]["id"] != answers[1]["id"]
    assert all(answer["id"].startswith("evt_") and not answer["duplicate"] for answer in answers)


async def test_the_same_id_and_source_is_the_same_event(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/once")
    await tocsin.webhook(hook, enabled_events=["*"])
    assert await tocsin.send(id="e1", source="a") == {"id": "e1", "duplicate": False}
    assert await tocsin.send(id="e1", source="a", type="run.succeeded") == {"id": "e1", "duplicate": True}
    assert await tocsin.send(id="e1", source="b") == {"id": "e1", "duplicate": False}
    await tocsin.settle()
    hook.expect(2)
    assert await count(tocsin) == 2


async def test_the_same_id_at_the_same_moment(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/once")
    await tocsin.webhook(hook, enabled_events=["*"])
    answers = await asyncio.gather(*(tocsin.send(id="e1") for _ in range(20)))
    assert sorted(answer["duplicate"] for answer in answers) == [False] + [True] * 19
    await tocsin.settle()
    hook.expect(1)


async def test_a_batch(tocsin: Running) -> None:
    await tocsin.send(id="known")
    events = [{"type": "run.failed", "id": id_} for id_ in ("a", "known", "b", "a")] + [{"type": "run.started"}]
    answer = (await tocsin.client.post("/v1/events", {"events": events})).ok(202)
    ids = answer.pop("ids")
    assert answer == {"accepted": 3, "duplicates": 2}
    assert ids[:4] == ["a", "known", "b", "a"]
    assert ids[4].startswith("evt_")
    assert await count(tocsin) == 4


@pytest.mark.parametrize("count_", [0, 1, 2])
@pytest.mark.parametrize(
    "form", ['{{"events": [{}]}}', '{{"id": null, "events": [{}]}}', '{{"\\u0065vents": [{}]}}', ' \n{{"events":[{}]}}']
)
async def test_batches_however_they_are_written(standing: Running, form: str, count_: int) -> None:
    body = form.format(", ".join(['{"type": "run.failed"}'] * count_)).encode()
    answer = (await standing.client.request("POST", "/v1/events", data=body)).ok(202)
    if "ids" in answer or count_ != 1:
        assert answer["accepted"] == count_
        assert len(answer["ids"]) == count_


async def test_one_bad_event_refuses_the_whole_batch(tocsin: Running) -> None:
    events = [{"type": "run.failed"}, {"type": "run.failed", "severity": "bad"}]
    (await tocsin.client.post("/v1/events", {"events": events})).problem(400, "events[1].severity")
    assert await count(tocsin) == 0


async def test_an_idempotency_key_has_one_answer(tocsin: Running) -> None:
    # S25
    hook = tocsin.receiver.hook("/once")
    await tocsin.webhook(hook, enabled_events=["*"])
    event = {"type": "run.failed"}
    first = (await tocsin.client.post("/v1/events", event, idempotency_key="k1")).ok(202)
    again = (await tocsin.client.post("/v1/events", event, idempotency_key="k1")).ok(202)
    assert again == first | {"duplicate": True}
    other = await tocsin.client.post("/v1/events", event | {"title": "other"}, idempotency_key="k1")
    other.problem(409)
    fresh = (await tocsin.client.post("/v1/events", event, idempotency_key="k2")).ok(202)
    assert fresh["id"] != first["id"]
    batch = {"events": [event, event]}
    first_batch = (await tocsin.client.post("/v1/events", batch, idempotency_key="k3")).ok(202)
    again_batch = (await tocsin.client.post("/v1/events", batch, idempotency_key="k3")).ok(202)
    assert again_batch == {"accepted": 0, "duplicates": 2, "ids": first_batch["ids"]}
    await tocsin.settle()
    hook.expect(4)


async def test_twenty_with_one_key_at_once_are_one_event(tocsin: Running) -> None:
    # S25
    answers = await asyncio.gather(
        *(tocsin.client.post("/v1/events", {"type": "run.failed"}, idempotency_key="race") for _ in range(20))
    )
    found = [answer.ok(202) for answer in answers]
    assert len({answer["id"] for answer in found}) == 1
    assert sorted(answer["duplicate"] for answer in found) == [False] + [True] * 19
    assert await count(tocsin) == 1


async def test_a_key_is_forgotten_after_a_day(tocsin: Running) -> None:
    event = {"type": "run.failed"}
    first = (await tocsin.client.post("/v1/events", event, idempotency_key="k")).ok(202)
    await tocsin.move(86_399)
    assert (await tocsin.client.post("/v1/events", event, idempotency_key="k")).ok(202)["id"] == first["id"]
    await tocsin.move(2)
    assert (await tocsin.client.post("/v1/events", event, idempotency_key="k")).ok(202)["duplicate"] is False


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 256, "ü"])
async def test_keys_that_are_none(standing: Running, key: str) -> None:
    answer = await standing.client.request(
        "POST", "/v1/events", {"type": "run.failed"}, headers={"Idempotency-Key": key}
    )
    if key.strip():
        answer.problem(400, "Idempotency-Key")
    else:
        answer.ok(202)


async def test_a_key_belongs_to_its_tenant(tocsin: Running) -> None:
    # S25 S4-10
    theirs = await tocsin.as_("developer", "other")
    first = (await tocsin.client.post("/v1/events", {"type": "run.failed"}, idempotency_key="k")).ok(202)
    second = (await theirs.post("/v1/events", {"type": "run.succeeded"}, idempotency_key="k")).ok(202)
    assert second["duplicate"] is False
    assert second["id"] != first["id"]


async def structured(client: Client, event: Any, content_type: str) -> Any:
    body = json.dumps(event).encode()
    return await client.request("POST", "/v1/events", data=body, headers={"content-type": content_type})


@pytest.mark.parametrize(
    "content_type",
    ["application/cloudevents+json", "application/cloudevents+json; charset=utf-8", "Application/CloudEvents+JSON"],
)
async def test_structured_cloudevents(tocsin: Running, content_type: str) -> None:
    assert (await structured(tocsin.client, CLOUD, content_type)).ok(202) == {"id": "c1", "duplicate": False}
    found = (await tocsin.client.get("/v1/events/c1?source=/build")).ok()
    assert (found["kind"], found["data"]) == ("run.failed", {"rows": 1})


async def test_batched_cloudevents(tocsin: Running) -> None:
    events = [CLOUD, CLOUD | {"id": "c2"}]
    answer = await structured(tocsin.client, events, "application/cloudevents-batch+json")
    assert answer.ok(202) == {"accepted": 2, "duplicates": 0, "ids": ["c1", "c2"]}
    answer = await structured(tocsin.client, [], "application/cloudevents-batch+json")
    assert answer.ok(202) == {"accepted": 0, "duplicates": 0, "ids": []}


async def test_binary_cloudevents(tocsin: Running) -> None:
    headers = {
        "ce-specversion": "1.0", "ce-id": "c%2D1", "ce-source": "/build", "ce-type": "run.failed",
        "ce-pipeline": "caf%C3%A9", "content-type": "application/json",
    }  # fmt: skip
    answer = await tocsin.client.request("POST", "/v1/events", data=b'{"rows": 1}', headers=headers)
    assert answer.ok(202) == {"id": "c-1", "duplicate": False}
    assert (await tocsin.client.get("/v1/events/c-1")).ok()["pipeline"] == "café"


@pytest.mark.parametrize(
    ("content_type", "status"),
    [("text/plain; x=cloudevents", 202), ("application/json; profile=cloudevents", 202), ("x/cloudevents", 415)],
)
async def test_a_content_type_that_only_mentions_cloudevents(standing: Running, content_type: str, status: int) -> None:
    answer = await standing.client.request(
        "POST", "/v1/events", {"type": "run.failed"}, headers={"content-type": content_type}
    )
    assert answer.status == status


@pytest.mark.parametrize("content_type", ["application/cloudevents+xml", "application/cloudevents"])
async def test_event_formats_that_are_not_spoken(tocsin: Running, content_type: str) -> None:
    (await structured(tocsin.client, CLOUD, content_type)).problem(415)


@pytest.mark.parametrize(
    ("event", "field"),
    [
        ({}, "type"),
        ({"type": ""}, "type"),
        ({"type": "run failed"}, "type"),
        ({"type": "x" * 129}, "type"),
        ({"type": "run.failed", "sevrity": "info"}, "sevrity"),
        ({"type": "run.failed", "tenant_id": "other"}, "tenant_id"),
        ({"events": [{"type": "run.failed", "sevrity": "info"}]}, "events[0].sevrity"),
        ({"type": "run.failed", "actions": [{"label": "a", "url": "https://a", "colour": "red"}]}, "actions[0].colour"),
        ({"type": "run.failed", "severity": "fatal"}, "severity"),
        ({"type": "run.failed", "time": "yesterday"}, "time"),
        ({"type": "run.failed", "time": "2026-11-21T02:00:00"}, "time"),
        ({"type": "run.failed", "time": "1969-12-31T23:59:59Z"}, "time"),
        ({"type": "run.failed", "id": ""}, "id"),
        ({"type": "run.failed", "id": "x" * 257}, "id"),
        ({"type": "run.failed", "id": "a\nb"}, "id"),
        ({"type": "run.failed", "pipeline": "x\x00"}, "pipeline"),
        ({"type": "run.failed", "labels": {"a": 1}}, "labels.a"),
        ({"type": "run.failed", "labels": {str(n): "x" for n in range(65)}}, "labels"),
        ({"type": "run.failed", "data": []}, "data"),
        ({"type": "run.failed", "data": {"a": "\x00"}}, "data.a"),
        ({"type": "run.failed", "title": "x" * 513}, "title"),
        ({"type": "run.failed", "links": {"x": "javascript:alert(1)"}}, "links.x"),
        ({"type": "run.failed", "actions": [{"label": "a"}]}, "actions[0].url"),
        ({"type": "run.failed", "actions": [{"label": "a", "url": "ftp://x"}]}, "actions[0].url"),
        ({"type": "run.failed", "events": []}, "events"),
        ({"events": {}}, "events"),
        ({"events": [{"type": "run.failed"}] * 1001}, "events"),
        ([], ""),
        ("text", ""),
        (None, ""),
    ],
)
async def test_what_is_wrong_is_named(standing: Running, event: Any, field: str) -> None:
    body = json.dumps(event).encode()
    before = standing.app.intake.counts["accepted"]
    problem = (await standing.client.request("POST", "/v1/events", data=body)).problem(400, field)
    assert problem["errors"][0]["expected"]
    assert standing.app.intake.counts["accepted"] == before


async def test_large_ones(start: Any) -> None:
    # F26 S18
    tocsin = await start(TOCSIN_MAX_BODY_BYTES="600000")
    fits = {"type": "run.failed", "data": {"x": "a" * 250_000}}
    (await tocsin.client.post("/v1/events", fits)).ok(202)
    (await tocsin.client.post("/v1/events", {"events": [fits, fits]})).ok(202)
    (await tocsin.client.post("/v1/events", {"type": "run.failed", "data": {"x": "a" * 262_144}})).problem(413)
    too_large = {"events": [{"type": "run.failed", "data": {"x": "a" * 200_000}}] * 4}
    (await tocsin.client.post("/v1/events", too_large)).problem(413)

    async def pieces() -> Any:
        yield b'{"type": "run.failed", "data": {"x": "'
        for _ in range(20):
            yield b"a" * 50_000

    headers = {"authorization": f"Bearer {tocsin.client.token}"}
    async with tocsin.client.session.post(
        tocsin.client.base + "/v1/events", data=pieces(), headers=headers
    ) as reply:  # without a length
        assert reply.status == 413
    (await tocsin.client.post("/v1/webhooks", {"name": "x" * 700_000})).problem(413)
    assert await count(tocsin) == 3


async def test_lists_have_pages_and_filters(tocsin: Running) -> None:
    for number in range(7):
        await tocsin.send(id=f"e{number}", pipeline="even" if number % 2 == 0 else "odd")
    seen, cursor = [], ""
    while cursor is not None:
        page = (await tocsin.client.get(f"/v1/events?limit=3&cursor={cursor}")).ok()
        seen += [event["id"] for event in page["items"]]
        cursor = page["next"]
    assert seen == [f"e{number}" for number in reversed(range(7))]
    even = (await tocsin.client.get("/v1/events?pipeline=even&type=run.failed&severity=error")).ok()["items"]
    assert [event["id"] for event in even] == ["e6", "e4", "e2", "e0"]
    assert (await tocsin.client.get("/v1/events?kind=run.started")).ok() == {"items": [], "next": None}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("limit=%D9%A3", "limit"),
        ("colour=red", "colour"),
        ("cursor=" + "x" * 101, "cursor"),
        ("cursor=%00", "cursor"),
        ("pipeline=%00", "pipeline"),
    ],
)
async def test_queries_that_are_none(standing: Running, query: str, field: str) -> None:
    (await standing.client.get(f"/v1/events?{query}")).problem(400, field)


async def test_runs_are_built_from_events(tocsin: Running) -> None:
    run: dict[str, Any] = {"pipeline": "etl", "run_id": "r1"}
    events: list[dict[str, Any]] = [
        {"type": "run.failed", "time": "2026-11-21T02:10:00Z", "data": {"error": "Traceback\nValueError: bad row"}},
        {"type": "stage.started", "stage": "load", "time": "2026-11-21T02:01:00Z"},
        {"type": "run.started", "time": "2026-11-21T02:00:00Z"},
        {"type": "stage.failed", "stage": "load", "time": "2026-11-21T02:09:00Z", "message": "bad row"},
    ]
    for event in events:
        await tocsin.send(**run, **event)
    (found,) = (await tocsin.client.get("/v1/runs?pipeline=etl&status=failed")).ok()["items"]
    whole = (await tocsin.client.get(f"/v1/runs/{found['id']}")).ok()
    alone = {"log_tail", "children", "title", "message", "labels", "links", "due_at", "history_s"}
    assert found == {name: value for name, value in whole.items() if name not in alone}
    assert found["status"] == "failed"
    assert found["duration_s"] == 600
    assert found["stages"] == [
        {
            "name": "load", "map_index": None, "attempt": 1, "status": "failed", "will_retry": False,
            "started_at": "2026-11-21T02:01:00.000Z", "finished_at": "2026-11-21T02:09:00.000Z",
            "duration_s": 480, "error": "bad row",
        }
    ]  # fmt: skip


async def test_runs_in_one_batch_are_one_run(tocsin: Running) -> None:
    events = [
        {"type": type_, "pipeline": "etl", "run_id": "r1", "time": f"2026-11-21T02:0{minute}:00Z"}
        for minute, type_ in enumerate(("run.started", "stage.started", "stage.succeeded", "run.succeeded"))
    ]
    await asyncio.gather(*(tocsin.client.post("/v1/events", {"events": events[part:]}) for part in range(3)))
    (found,) = (await tocsin.client.get("/v1/runs")).ok()["items"]
    assert (found["status"], found["duration_s"]) == ("succeeded", 180)


@pytest.mark.parametrize("is_batch", [False, True])
async def test_nobody_speaks_for_tocsin_itself(tocsin: Running, is_batch: bool) -> None:
    """What rules had Tocsin find out reaches those rules past their types."""
    event = {"type": "run.exceeded", "source": "tocsin", "data": {"watch": "rul_1"}}
    answer = await tocsin.client.post("/v1/events", {"events": [event]} if is_batch else event)
    answer.problem(400, "events[0].source" if is_batch else "source")
