"""`tocsin bridge`: another program's stream becomes events, whatever breaks."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.harness import PATIENCE_S, Running
from tocsin.cli.bridging import Bridge, Ended, Plan
from tocsin.outbound.feeds import FeedMessage, SseParser

pytestmark = pytest.mark.anyio

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LAB = {"type": {"path": "event", "map": {"training.failed": "run.failed", "training.tick": ""}, "default": "lab.other"},
       "pipeline": "payload.model", "run_id": "payload.run"}  # fmt: skip
"""How events of a WebSocket become Tocsin's."""


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    """`host:port` of a program that answers every GET with it."""
    application = web.Application()
    application.router.add_get("/feed", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield "{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


async def source(tocsin: Running, settings: dict[str, Any] | None = None) -> str:
    given = {"kind": "mapping", "name": "lab", "settings": settings or LAB}
    return str((await tocsin.client.post("/v1/sources", given)).ok(201)["url"])


async def at_once(_: float) -> None:
    await asyncio.sleep(0)


def bridge(plan: Plan, said: list[str] | None = None) -> Bridge:
    numbers = iter(range(10**6))
    say = (said if said is not None else []).append
    return Bridge(plan, pause=at_once, draw=lambda: 0.0, new_id=lambda: f"id-{next(numbers)}", say=say)


async def until(made: Bridge, condition: Callable[[], bool]) -> None:
    """Lets the bridge run until then."""
    task = asyncio.ensure_future(made.run())
    async with asyncio.timeout(PATIENCE_S):
        while not condition() and not task.done():
            await asyncio.sleep(0.002)
    if task.done():
        await task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def events(tocsin: Running) -> list[dict[str, Any]]:
    """The oldest first."""
    return list(reversed((await tocsin.client.get("/v1/events")).ok()["items"]))


def told(n: int, kind: str = "training.failed") -> str:
    return json.dumps({"event": kind, "payload": {"model": "lstm", "run": f"r{n}"}})


async def test_a_websocket_that_breaks_off_is_followed_again(tocsin: Running) -> None:
    # S0-09
    asked: list[str] = []

    async def feed(request: web.Request) -> web.StreamResponse:
        assert request.headers["authorization"] == "Bearer lab"
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        asked.append(await socket.receive_str())
        if len(asked) == 2:
            assert request.transport is not None
            request.transport.abort()
            return socket
        await socket.send_str(told(len(asked)))
        await socket.send_str(told(0, "training.tick"))
        if len(asked) == 3:
            await socket.receive()
        return socket

    hook = tocsin.receiver.hook("/lab")
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    async with served(feed) as host:
        plan = Plan(
            url=f"ws://{host}/feed", to=await source(tocsin), hello='{"subscribe": "*"}',
            headers={"authorization": "Bearer lab"},
        )  # fmt: skip
        made = bridge(plan)
        await until(made, lambda: made.taken == 4)
    assert asked == ['{"subscribe": "*"}'] * 3
    assert [event["run_id"] for event in await events(tocsin)] == ["r1", "r3"]
    await tocsin.settle()
    assert {message.json["pipeline"] for message in hook.expect(2)} == {"lstm"}


def sse(*, broken_after: int, asked: list[str]) -> Handler:
    """Six messages with ids; each connection breaks off after so many, and goes on after the id that it is told."""

    async def feed(request: web.Request) -> web.StreamResponse:
        last = request.headers.get("last-event-id", "0")
        asked.append(last)
        answer = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        await answer.prepare(request)
        await answer.write(b"\xef\xbb\xbfretry: 5\n: hello\n\n")
        for n in range(int(last) + 1, min(6, int(last) + broken_after) + 1):
            lines = told(n).replace(", ", ",\n").splitlines()
            text = f"id: {n}\r\nevent: tick\r\n" + "".join(f"data: {line}\r\n" for line in lines) + "\r\n"
            for start in range(0, len(text), 7):
                await answer.write(text[start : start + 7].encode())
        if int(last) + broken_after >= 6:
            await asyncio.sleep(PATIENCE_S)
        return answer

    return feed


async def test_server_sent_events_go_on_after_the_last_one(tocsin: Running, tmp_path: Path) -> None:
    # S0-09
    asked: list[str] = []
    state = tmp_path / "last"
    async with served(sse(broken_after=2, asked=asked)) as host:
        plan = Plan(url=f"http://{host}/feed", to=await source(tocsin), state=state)
        made = bridge(plan)
        await until(made, lambda: made.taken == 6)
        assert made.first_wait_s == 0.005
        assert [event["run_id"] for event in await events(tocsin)] == [f"r{n}" for n in range(1, 7)]
        assert asked == ["0", "2", "4"]
        assert state.read_text() == "6"
        state.write_text("3")  # as if it had stopped before it could note the rest
        again = bridge(plan)
        await until(again, lambda: again.taken == 3)
    assert asked[3] == "3"
    assert len(await events(tocsin)) == 6  # what came twice counts once


async def test_a_tocsin_that_is_away_gets_everything_later(tocsin: Running) -> None:
    # S0-09
    seen: list[str] = []
    real = await source(tocsin)

    async def busy(request: web.Request) -> web.StreamResponse:
        """503 first, then an answer that is lost on its way back."""
        body = await request.read()
        seen.append(request.headers["x-tocsin-message-id"])
        if len(seen) % 3 == 1:
            return web.Response(status=503, headers={"retry-after": "1"})
        headers = {name: request.headers[name] for name in ("x-tocsin-message-id", "content-type")}
        answer = await tocsin.client.with_token("").request(
            "POST", real.removeprefix(tocsin.client.base), data=body, headers=headers
        )
        if len(seen) % 3 == 2:
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=answer.status, body=answer.body)

    application = web.Application()
    application.router.add_post("/to", busy)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with served(sse(broken_after=6, asked=[])) as host:
            to = "http://{}:{}/to".format(*runner.addresses[0][:2])
            made = bridge(Plan(url=f"http://{host}/feed", to=to))
            await until(made, lambda: made.taken == 6)
    finally:
        await runner.cleanup()
    assert len(seen) == 18
    assert len(set(seen)) == 6
    assert [event["run_id"] for event in await events(tocsin)] == [f"r{n}" for n in range(1, 7)]


async def test_what_is_refused_does_not_stop_the_others(tocsin: Running) -> None:
    async def feed(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for text in ('{"type": "no such type!"}', "not json", '{"type": "run.failed", "pipeline": "etl"}'):
            await socket.send_str(text)
        await socket.receive()
        return socket

    said: list[str] = []
    async with served(feed) as host:
        to = f"{tocsin.client.base}/v1/events"
        made = bridge(Plan(url=f"ws://{host}/feed", to=to, token=tocsin.client.token), said)
        await until(made, lambda: made.taken == 1)
    assert (made.refused, len(said)) == (2, 2)
    assert "type: expected a name such as run.failed" in said[0]
    assert [event["pipeline"] for event in await events(tocsin)] == ["etl"]


@pytest.mark.parametrize(
    "status, type_, code",
    [(401, "", 4), (404, "", 4), (200, "text/html", 4), (204, "text/event-stream", 4)],
)
async def test_a_stream_that_is_none_ends_the_bridge(status: int, type_: str, code: int) -> None:
    async def feed(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={"content-type": type_ or "text/plain"})

    async with served(feed) as host:
        for scheme in ("http", "ws") if status >= 400 else ("http",):
            with pytest.raises(Ended) as ended:
                await until(bridge(Plan(url=f"{scheme}://{host}/feed", to="http://127.0.0.1:9/")), lambda: False)
            assert ended.value.code == code


async def test_a_sender_that_tocsin_does_not_know_ends_the_bridge(tocsin: Running) -> None:
    async with served(sse(broken_after=6, asked=[])) as host:
        plan = Plan(url=f"http://{host}/feed", to=f"{tocsin.client.base}/v1/ingest/mapping/none")
        with pytest.raises(Ended, match="No source has this address") as ended:
            await until(bridge(plan), lambda: False)
    assert ended.value.code == 3


async def test_the_command(tocsin: Running) -> None:
    # S0-09
    async def feed(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str('{"type": "training.failed", "pipeline": "lstm"}')
        await socket.receive()
        return socket

    async with served(feed) as host:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tocsin.cli.main", "bridge", f"ws://{host}/feed"),
            env=os.environ | {"TOCSIN_URL": tocsin.client.base, "TOCSIN_TOKEN": tocsin.client.token},
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE_S):
            while not await events(tocsin):
                await asyncio.sleep(0.02)
        process.terminate()
        _, said = await process.communicate()
    assert (process.returncode, said.decode().splitlines()[-1]) == (0, "tocsin: 1 taken, 0 refused")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_a_stream_cut_anywhere_says_the_same(size: int) -> None:
    # The examples of https://html.spec.whatwg.org/multipage/server-sent-events.html
    stream = b"".join(
        [
            b"\xef\xbb\xbf: test\r\rdata: first event\rid: 1\r\rdata:second event\r\nid\r\n\r\n",
            b"data:  third\n\ndata\n\ndata\ndata\n\n",
            b"data:gr\xc3\xb6\xc3\x9fe\nevent: add\nid: a\x00b\nretry: 12\nretry: x\n\ndata: lost",
        ]
    )
    parser = SseParser()
    found = [one for start in range(0, len(stream), size) for one in parser.feed(stream[start : start + size])]
    assert found == [
        FeedMessage("first event", "1"), FeedMessage("second event"), FeedMessage(" third"), FeedMessage(""),
        FeedMessage("\n"), FeedMessage("", retry_ms=12), FeedMessage("größe", event="add"),
    ]  # fmt: skip


def test_a_message_without_end_is_given_up() -> None:
    parser = SseParser()
    with pytest.raises(ValueError, match="more than"):
        for _ in range(100):
            parser.feed(b"data: " + b"x" * 20_000 + b"\n")
