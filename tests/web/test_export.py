"""Deliveries and events as files."""

import csv
import io
import json
from typing import Any

import pytest

from tests.harness import Answer, Reply, Running
from tests.web.test_delivery_filters import some_of_each
from tocsin.web.api import export

pytestmark = pytest.mark.anyio


def table(answer: Answer) -> list[dict[str, str]]:
    assert (answer.status, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8"), answer.body
    return list(csv.DictReader(io.StringIO(answer.body.decode("utf-8"), newline="")))


def objects(answer: Answer) -> list[dict[str, Any]]:
    assert (answer.status, answer.headers["content-type"]) == (200, "application/jsonl"), answer.body
    return [json.loads(line) for line in answer.body.splitlines()]


async def test_the_log_as_a_file(tocsin: Running) -> None:
    await some_of_each(tocsin)
    listed = (await tocsin.client.get("/v1/deliveries")).ok()["items"]
    answer = await tocsin.client.get("/v1/deliveries/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="deliveries.csv"'
    assert [one["id"] for one in table(answer)] == [one["id"] for one in listed]
    assert objects(await tocsin.client.get("/v1/deliveries/export?format=jsonl")) == listed
    (dead,) = table(await tocsin.client.get("/v1/deliveries/export?status=failed&pipeline=etl/*"))
    assert (dead["pipeline"], dead["http_status_code"], dead["delivered_at"]) == ("etl/dead", "410", "")
    assert table(await tocsin.client.get("/v1/deliveries/export?event_type=none.x")) == []


async def test_events_as_a_file(tocsin: Running) -> None:
    for number in range(3):
        await tocsin.send(id=f"e{number}", type="run.failed", labels={"env": "prod"}, data={"rows": number})
        await tocsin.move(3600)
    since = (await tocsin.client.get("/v1/events/e1")).ok()["received_at"]
    listed = (await tocsin.client.get("/v1/events?limit=100")).ok()["items"]
    found = objects(await tocsin.client.get("/v1/events/export?format=jsonl"))
    assert [one | {"outcome": None} for one in found] == listed
    first, last = table(await tocsin.client.get(f"/v1/events/export?since={since}"))
    assert [one["id"] for one in (first, last)] == ["e2", "e1"]
    assert (first["labels"], first["data"]) == ('{"env":"prod"}', '{"rows":2}')
    (before,) = table(await tocsin.client.get(f"/v1/events/export?until={since}&type=run.failed"))
    assert before["id"] == "e0"
    assert [one["id"] for one in (await tocsin.client.get(f"/v1/events?since={since}")).ok()["items"]] == ["e2", "e1"]


async def test_many_rows_come_in_parts_and_once(tocsin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "AT_ONCE", 7)
    batch = [{"type": "run.started" if n % 10 else "run.failed", "id": f"e{n}"} for n in range(60)]
    (await tocsin.client.post("/v1/events", {"events": batch})).ok(202)
    every = table(await tocsin.client.get("/v1/events/export"))
    assert [one["id"] for one in every] == [f"e{n}" for n in reversed(range(60))]
    rare = table(await tocsin.client.get("/v1/events/export?type=run.failed"))
    assert [one["id"] for one in rare] == ["e50", "e40", "e30", "e20", "e10", "e0"]
    some = table(await tocsin.client.get("/v1/events/export?limit=25"))
    rest = table(await tocsin.client.get(f"/v1/events/export?cursor={some[-1]['uid']}"))
    assert some + rest == every


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝", " ="])
async def test_no_text_becomes_a_formula(standing: Running, start: str) -> None:
    # S20
    hostile = f'{start}HYPERLINK("https://evil.example","x")'
    (await standing.client.post("/v1/events", {"type": "run.failed", "title": hostile, "message": hostile})).ok(202)
    newest = table(await standing.client.get("/v1/events/export?limit=1"))[0]
    kept = (await standing.client.get("/v1/events?limit=1")).ok()["items"][0]
    for name in ("title", "message"):
        assert newest[name] == f"'{kept[name]}"
        assert kept[name].lstrip().startswith(start.strip() or "HYPERLINK")


async def test_files_say_no_more_than_lists(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/secretive")
    hook.always(Reply(410, "the receiver's own words"))
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    await tocsin.send(type="run.failed")
    await tocsin.settle()
    hook.expect(1)
    viewer, stranger = await tocsin.as_("viewer"), await tocsin.as_("viewer", tenant="other")
    for form in ("csv", "jsonl"):
        path = f"/v1/deliveries/export?format={form}"
        assert b"receiver's own words" in (await tocsin.client.get(path)).body
        assert b"receiver's own words" not in (await viewer.get(path)).body
        assert b"dlv_" not in (await stranger.get(path)).body
    (await viewer.get("/v1/deliveries/export?reason=HTTP*")).problem(403)
    for query, field in (("format=xls", "format"), ("limit=100001", "limit"), ("cursor=x", "cursor"), ("a=b", "a")):
        (await tocsin.client.get(f"/v1/events/export?{query}")).problem(400, field)
