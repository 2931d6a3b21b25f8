"""What comes over the wire: framing that a proxy would read differently, bodies that are something else, and no end."""

import asyncio
import gzip
from collections.abc import Callable

import pytest

from tests.harness import PATIENCE_S, Answer, Running
from tocsin.web import protocol
from tocsin.web.protocol import cut_slow_ones

pytestmark = pytest.mark.anyio

EVENT = '{"type":"run.failed"}'
CHUNKS = f"{len(EVENT):x}\r\n{EVENT}\r\n0\r\n\r\n"
SMUGGLED = "GET /v1/me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer TOKEN\r\n\r\n"
LENGTH = f"Content-Length: {len(EVENT)}\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"

FRAMING = {
    "CL.TE": f"{LENGTH}{CHUNKED}\r\n0\r\n\r\n{SMUGGLED}",
    "TE.CL": f"{CHUNKED}Content-Length: 4\r\n\r\n{CHUNKS}",
    "two lengths": f"{LENGTH}Content-Length: 0\r\n\r\n{EVENT}",
    "the same length twice": f"{LENGTH}{LENGTH}\r\n{EVENT}",
    "a list of lengths": f"Content-Length: {len(EVENT)}, {len(EVENT)}\r\n\r\n{EVENT}",
    "a length with a sign": f"Content-Length: +{len(EVENT)}\r\n\r\n{EVENT}",
    "a hexadecimal length": f"Content-Length: 0x15\r\n\r\n{EVENT}",
    "a negative length": f"Content-Length: -1\r\n\r\n{EVENT}",
    "an unknown coding": f"Transfer-Encoding: xchunked\r\n{LENGTH}\r\n{EVENT}",
    "the identity coding": f"Transfer-Encoding: identity\r\n{LENGTH}\r\n{EVENT}",
    "chunks that are not last": f"Transfer-Encoding: chunked, identity\r\n\r\n{CHUNKS}",
    "packed chunks": f"Transfer-Encoding: gzip, chunked\r\n\r\n{CHUNKS}",
    "a space before the colon": f"Transfer-Encoding : chunked\r\n\r\n{CHUNKS}",
    "a folded header": f"X-A: b\r\n c\r\n{LENGTH}\r\n{EVENT}",
    "a NUL in a header": f"X-A: a\x00b\r\n{LENGTH}\r\n{EVENT}",
    "a carriage return in a header": f"X-A: a\rb\r\n{LENGTH}\r\n{EVENT}",
    "a negative chunk": f"{CHUNKED}\r\n-15\r\n{EVENT}\r\n0\r\n\r\n",
    "a chunk with a prefix": f"{CHUNKED}\r\n0x15\r\n{EVENT}\r\n0\r\n\r\n",
    "a chunk without end": f"{CHUNKED}\r\nfffffffffffffffff\r\n{EVENT}\r\n0\r\n\r\n",
}


async def raw(tocsin: Running, request: str | bytes, *, whole: bool = True) -> bytes:
    """What comes back until the server closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(tocsin.client.base.rpartition(":")[2]))
    writer.write(request.encode("latin-1") if isinstance(request, str) else request)
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read() if whole else await reader.readline()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_what_a_proxy_would_read_differently(tocsin: Running) -> None:
    # S18: request smuggling
    head = f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tocsin.client.token}\r\n"
    for name, rest in FRAMING.items():
        said = await raw(tocsin, head + rest.replace("TOKEN", tocsin.client.token))
        assert said.startswith(b"HTTP/1.1 400 "), name
        assert said.count(b"HTTP/1.1 ") == 1, name
    bare = (head + f"{LENGTH}\r\n{EVENT}").replace("\r\n", "\n")
    assert (await raw(tocsin, bare)).startswith(b"HTTP/1.1 400 ")
    assert (await tocsin.client.get("/v1/events")).ok()["items"] == []


async def test_headers_without_end(tocsin: Running) -> None:
    # S18 F39
    before = "GET /healthz HTTP/1.1\r\nHost: x\r\n"
    many = "".join(f"X-{number}: {'a' * 100}\r\n" for number in range(700))
    for endless in ("X: " + "a" * 70_000, many):
        assert (await raw(tocsin, before + endless)).startswith(b"HTTP/1.1 431 ")
    assert (await raw(tocsin, "GET /" + "a" * 70_000)).startswith(b"HTTP/1.1 4")


async def test_who_is_too_slow_is_cut(tocsin: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    # S18 F39
    monkeypatch.setattr(protocol, "WHOLE_S", -1.0)
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tocsin.client.token}\r\nContent-Length: 21\r\n"
    )
    for begun in ("", "GET /heal", head, head + "\r\n", head + '\r\n{"type":'):
        said = asyncio.create_task(raw(tocsin, begun))
        async with asyncio.timeout(PATIENCE_S):
            while not said.done():
                cut_slow_ones(tocsin.server.server_state.connections, asyncio.get_running_loop())
                await asyncio.sleep(0.01)
        assert (await said).startswith(b"HTTP/1.1 408 "), begun
    assert (await tocsin.client.get("/v1/events")).ok()["items"] == []


PACKED = gzip.compress(EVENT.encode())
PARTS = f'--b\r\nContent-Disposition: form-data; name="event"\r\n\r\n{EVENT}\r\n--b--\r\n'.encode()
WRONG: list[tuple[str, dict[str, str], bytes, int]] = [
    ("multipart", {"content-type": "multipart/form-data; boundary=b"}, PARTS, 415),
    ("another type", {"content-type": "text/html"}, EVENT.encode(), 415),
    ("XML", {"content-type": "application/xml"}, b"<event/>", 415),
    ("no type at all", {"content-type": "json"}, EVENT.encode(), 415),
    ("packed by another", {"content-type": "application/json", "content-encoding": "br"}, PACKED, 415),
    ("packed", {"content-type": "application/json"}, PACKED, 400),
    ("UTF-16 and said so", {"content-type": "application/json; charset=utf-16"}, EVENT.encode("utf-16"), 415),
    ("UTF-16", {"content-type": "application/json"}, EVENT.encode("utf-16"), 400),
    ("a byte order mark", {"content-type": "application/json"}, b"\xef\xbb\xbf" + EVENT.encode(), 400),
    ("a form", {"content-type": "application/x-www-form-urlencoded"}, b"type=run.failed", 400),
]


@pytest.mark.parametrize("path", ["/v1/events", "/v1/webhooks", "/v1/tokens", "/v1/alert-rules/preview"])
async def test_bodies_that_are_something_else(standing: Running, path: str) -> None:
    # S18: content-type confusion
    for name, headers, body, status in WRONG:
        for key in ({}, {"idempotency-key": name.replace(" ", "-")}):
            answer = await standing.client.request("POST", path, data=body, headers=headers | key)
            assert answer.status == status, name
            answer.problem(status)


async def test_a_packed_body_is_for_events_alone(tocsin: Running) -> None:
    packed = {"content-type": "application/json", "content-encoding": "gzip"}

    async def sent(path: str, body: bytes, **more: str) -> Answer:
        return await tocsin.client.request("POST", path, data=body, headers=packed | more)

    for path in ("/v1/webhooks", "/v1/tokens", "/v1/alert-rules/preview"):
        (await sent(path, PACKED)).problem(415)
    (await sent("/v1/events", PACKED)).ok(202)
    batch = b'{"events":[' + b",".join([EVENT.encode()] * 90) + b"]}"
    assert len((await sent("/v1/events", gzip.compress(batch))).ok(202)["ids"]) == 90
    of_clouds = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/a", "ce-type": "run.failed"}
    (await sent("/v1/events", gzip.compress(b"{}"), **of_clouds)).ok(202)
    (await sent("/v1/events", EVENT.encode())).problem(400)
    (await sent("/v1/events", PACKED[:-9])).problem(400)
    (await sent("/v1/events", PACKED + b"more")).problem(400)
    (await sent("/v1/events", gzip.compress(b"0" * 50_000_000))).problem(413)
    assert len((await tocsin.client.get("/v1/events?limit=100")).ok()["items"]) == 92


async def test_json_by_its_other_names(tocsin: Running) -> None:
    for media in ("application/json; charset=UTF-8", 'application/json; charset="utf-8"', "Application/JSON",
                  "application/vnd.pipeline+json", "application/x-www-form-urlencoded", "text/plain;charset=UTF-8",
                  "application/octet-stream"):  # fmt: skip
        answer = await tocsin.client.request("POST", "/v1/events", data=EVENT.encode(), headers={"content-type": media})
        assert answer.status == 202, media


def deep(count: int) -> str:
    return '{"type":"run.failed","data":' + '{"a":' * count + "1" + "}" * count + "}"


HUGE: dict[str, Callable[[], str]] = {
    "deep": lambda: deep(100_000),
    "many keys": lambda: '{"type":"run.failed","data":{' + ",".join(f'"{n}":1' for n in range(200_000)) + "}}",
    "a long number": lambda: '{"type":"run.failed","data":{"n":' + "1" * 1_000_000 + "}}",
    "a long exponent": lambda: '{"type":"run.failed","data":{"n":1e' + "9" * 100_000 + "}}",
    "a long name": lambda: '{"type":"' + "a" * 1_000_000 + '"}',
}


@pytest.mark.parametrize("name", HUGE)
async def test_bodies_that_are_too_much(standing: Running, name: str) -> None:
    # S18 F39
    answer = await standing.client.request("POST", "/v1/events", data=HUGE[name]().encode())
    assert answer.status in (400, 413), name
    answer.problem(answer.status)


async def test_the_last_of_two_keys_counts_everywhere(tocsin: Running) -> None:
    body = b'{"type":"run.started","type":"run.failed","data":{"a":1,"a":2}}'
    (await tocsin.client.request("POST", "/v1/events", data=body)).ok(202)
    (event,) = (await tocsin.client.get("/v1/events")).ok()["items"]
    assert (event["type"], event["data"]) == ("run.failed", {"a": 2})


async def test_half_a_body(tocsin: Running) -> None:
    for path in ("/v1/events", "/v1/webhooks"):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(tocsin.client.base.rpartition(":")[2]))
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tocsin.client.token}\r\n"
        writer.write(f'{head}Content-Length: 1000\r\n\r\n{{"type":'.encode())
        await writer.drain()
        writer.write_eof()
        await reader.read()
        writer.close()
    assert (await tocsin.client.get("/v1/events")).ok()["items"] == []
    assert (await tocsin.client.get("/v1/webhooks")).ok()["items"] == []
