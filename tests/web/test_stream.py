"""`GET /v1/stream`: what happens, while it happens."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.harness import PATIENCE_S, Client, Reply, Running, Start
from tocsin.web import stream
from tocsin.web.openapi import document
from tocsin.web.server import ROUTES

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "EVERY_S", {"sqlite": 0.01, "postgres": 0.02})
    monkeypatch.setattr(stream, "IDLE_S", {"sqlite": 60.0, "postgres": 0.02})


class Stream:
    """An open stream, as a browser reads it."""

    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self.reply = reply
        self.id = ""

    async def next(self) -> tuple[str, dict[str, Any]]:
        """The next message: its name and data."""
        name, data = "", ""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                line = (await self.reply.content.readline()).decode()
                assert line, "the stream ended"
                field, _, value = line.rstrip("\n").partition(": ")
                if field == "id":
                    assert int(value) >= int(self.id or 0)
                    self.id = value
                elif field == "event":
                    name = value
                elif field == "data":
                    data = value
                elif not field and name:
                    return name, json.loads(data)

    async def until(self, name: str, **fields: Any) -> dict[str, Any]:
        while True:
            kind, data = await self.next()
            if kind == name and {key: data[key] for key in fields} == fields:
                return data

    async def opened(self) -> None:
        """The position from which on everything is told."""
        async with asyncio.timeout(PATIENCE_S):
            while not (line := await self.reply.content.readline()).startswith(b"id:"):
                assert line
        self.id = line.decode().partition(": ")[2].strip()


@asynccontextmanager
async def listening(client: Client, query: str = "", last: str = "") -> AsyncIterator[Stream]:
    headers = {"authorization": f"Bearer {client.token}"} | ({"last-event-id": last} if last else {})
    async with client.session.get(f"{client.base}/v1/stream{query}", headers=headers) as reply:
        assert reply.status == 200, await reply.text()
        assert reply.headers["content-type"] == "text/event-stream"
        found = Stream(reply)
        if not last:
            await found.opened()
        yield found


async def test_events_runs_and_deliveries_as_they_happen(tocsin: Running) -> None:
    # S0-09
    hook = tocsin.receiver.hook("/hook")
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    await tocsin.send(id="before")
    await tocsin.settle()
    hook.answer(500)
    async with listening(tocsin.client) as live:
        await tocsin.send(id="now", pipeline="etl", run_id="1")
        event = await live.until("event")
        assert (event["id"], event["pipeline"]) == ("now", "etl")
        assert event == (await tocsin.client.get("/v1/events/now")).ok()
        run = await live.until("run")
        assert (run["pipeline"], run["status"]) == ("etl", "failed")
        assert (await live.until("delivery", status="retrying"))["http_status_code"] == 500
        await tocsin.wait_out()
        done = await live.until("delivery", status="delivered")
        assert (done["event_id"], done["attempts"]) == ("now", 2)
    hook.expect(3)


async def test_a_viewer_hears_the_status_and_not_the_words(tocsin: Running) -> None:
    # S12 of the security matrix, as in test_replies.py
    hook = tocsin.receiver.hook("/hook")
    hook.always(Reply(500, "no such table: customers"))
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    viewer = await tocsin.as_("viewer", user="vic")
    for client, error in ((viewer, "HTTP 500"), (tocsin.client, "HTTP 500: no such table: customers")):
        async with listening(client) as live:
            await tocsin.send()
            assert (await live.until("delivery", status="retrying"))["error_message"] == error
    await tocsin.settle()
    hook.all_new()


async def test_only_what_was_asked_for(tocsin: Running) -> None:
    async with listening(tocsin.client, "?types=event,run&pipeline=etl/*") as live:
        await tocsin.send(id="1", pipeline="other", run_id="r")
        await tocsin.send(id="2", pipeline="etl/orders", run_id="r")
        assert (await live.next())[1]["id"] == "2"
        assert (await live.next())[0] == "run"


@pytest.mark.parametrize(
    ("query", "field"),
    [("types=nonsense", "types"), ("types=event,", "types"), ("pipeline=%00", "pipeline"), ("colour=red", "colour")],
)
async def test_what_cannot_be_asked(standing: Running, query: str, field: str) -> None:
    (await standing.client.get(f"/v1/stream?{query}")).problem(400, field)
    for last in ("x", "1.5", "-1", "9" * 16):
        answer = await standing.client.request("GET", "/v1/stream", headers={"last-event-id": last})
        answer.problem(400, "Last-Event-ID")


async def test_what_was_missed_is_told(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    await tocsin.webhook(hook, enabled_events=["*"])
    async with listening(tocsin.client) as live:
        await tocsin.send(id="1")
        await live.until("event", id="1")
    for id_ in ("2", "3"):
        await tocsin.send(id=id_)
    await tocsin.settle()
    async with listening(tocsin.client, last=live.id) as live:
        await live.until("event", id="2")
        await live.until("event", id="3")
        await live.until("delivery", event_id="2", status="delivered")
        await live.until("delivery", event_id="3", status="delivered")
        await tocsin.send(id="4")
        await live.until("event", id="4")
    await tocsin.settle()
    hook.expect(4)


async def test_who_was_away_for_too_long_starts_anew(tocsin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    await tocsin.send(id="1")
    async with listening(tocsin.client, last="1000") as live:
        assert (await live.next())[0] == "reset"
        await tocsin.send(id="2")
        await live.until("event", id="2")
    last = live.id
    monkeypatch.setattr(stream, "MOST_WAITING", 4)
    async with listening(tocsin.client, last=last) as live:
        assert await live.next() == ("reset", {"reason": "too much happened while you were away"})


async def test_too_much_at_once_is_a_reset(tocsin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_NEWS", 5)
    monkeypatch.setattr(stream, "OVERLAP_MS", 0)
    async with listening(tocsin.client) as live:
        (await tocsin.client.post("/v1/events", {"events": [{"type": "x"}] * 10})).ok(202)
        await live.until("reset")
        await asyncio.sleep(0.01)  # another millisecond, which ids begin with
        await tocsin.send(id="after", type="x")
        await live.until("event", id="after")


async def test_nobody_sees_what_is_not_theirs(tocsin: Running) -> None:
    # S4-10 S1-15
    mine, theirs = tocsin.receiver.hook("/mine"), tocsin.receiver.hook("/theirs")
    mia, joe = await tocsin.as_("developer", user="mia"), await tocsin.as_("developer", user="joe")
    other = await tocsin.as_("admin", tenant="other")
    own = await tocsin.webhook(mine, client=mia, enabled_events=["*"])
    await tocsin.webhook(theirs, client=joe, enabled_events=["*"])
    async with listening(mia) as live, listening(other) as elsewhere:
        await tocsin.send(id="1")
        await tocsin.send(id="2", client=other)
        got = [await live.next(), await live.next()]
        if got[1][1]["status"] != "delivered":
            got.append(await live.next())
        assert [name for name, _ in got][:2] == ["event", "delivery"]
        assert {data["webhook_id"] for name, data in got if name == "delivery"} == {own["id"]}
        assert (await elsewhere.next())[1]["id"] == "2"
        await tocsin.settle()
        await tocsin.send(id="3", type="never.told")
        await tocsin.settle()
        await live.until("event", id="3")
        hidden = await live.next()
        assert hidden[1]["webhook_id"] == own["id"]
    mine.expect(2)
    theirs.expect(2)


async def test_a_slow_reader_is_cut_and_slows_nobody(tocsin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "MOST_BYTES", 200_000)
    monkeypatch.setattr(stream, "SEND_S", 0.2)
    hub = hub_of(tocsin)
    _, writer = await asyncio.open_connection("127.0.0.1", int(tocsin.client.base.rpartition(":")[2]), limit=1024)
    writer.write(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tocsin.client.token}\r\n\r\n".encode())
    async with listening(tocsin.client) as live:
        for number in range(60):  # more than the buffers of both ends of a connection take
            await tocsin.send(id=str(number), data={"text": "x" * 100_000})
            await live.until("event", id=str(number))
        async with asyncio.timeout(PATIENCE_S):
            while len(hub.feeds["default"].readers) > 1:
                await asyncio.sleep(0.01)
        await tocsin.send(id="after")
        await live.until("event", id="after")
    writer.close()


def hub_of(tocsin: Running) -> stream.Hub:
    return tocsin.hub


async def test_so_many_and_no_more(start: Start) -> None:
    tocsin = await start(TOCSIN_LIMIT_STREAMS="1")
    async with listening(tocsin.client):
        answer = await tocsin.client.get("/v1/stream")
        assert answer.problem(429)["limit"] == {"name": "streams", "value": 1, "window_s": None}
        assert int(answer.headers["retry-after"]) > 0
        async with listening(await tocsin.as_("viewer", tenant="other")):
            pass


async def test_nothing_runs_where_nobody_listens(tocsin: Running) -> None:
    hub = hub_of(tocsin)
    async with listening(tocsin.client):
        assert len(hub.tasks) == 1
    async with asyncio.timeout(PATIENCE_S):
        while hub.tasks:
            await asyncio.sleep(0.01)
    assert tocsin.app.intake.on_stored is stream.nothing


async def test_heartbeats_and_the_end_of_a_token(tocsin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    # S06
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.05)
    made = (await tocsin.client.post("/v1/tokens", {"name": "ci", "role": "viewer"})).ok(201)
    async with listening(tocsin.client.with_token(made["token"])) as live:
        async with asyncio.timeout(PATIENCE_S):
            while not (await live.reply.content.readline()).startswith(b":"):
                pass
        (await tocsin.client.delete(f"/v1/tokens/{made['id']}")).ok(204)
        tocsin.clock.move(2)
        name, data = await live.next()
        assert name == "end"
        assert "revoked" in data["reason"]


async def test_it_ends_when_tocsin_stops(tocsin: Running) -> None:
    async with listening(tocsin.client) as live:
        hub_of(tocsin).stop()
        assert await live.next() == ("end", {"reason": "Tocsin stops"})
    (await tocsin.client.get("/v1/stream")).problem(503)


async def test_another_process_sees_it_too(start: Any) -> None:
    one = await start()
    other = await start() if one.dialect == "postgres" else one  # SQLite's file belongs to one process
    async with listening(other.client) as live:
        await one.send(id="1")
        await live.until("event", id="1")


def test_it_is_documented() -> None:
    found = document(ROUTES)["paths"]["/v1/stream"]["get"]
    assert {one["name"] for one in found["parameters"]} == {"types", "pipeline", "Last-Event-ID"}
    assert list(found["responses"]["200"]["content"]) == ["text/event-stream"]
