"""Outbound against receivers that fail, lie and stall, on real sockets (F23-F28)."""

import asyncio
import gzip
import resource
import socket
import ssl
import struct
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.outbound.receivers import (
    DEADLINE_S,
    LOCAL,
    OK,
    PATIENCE_S,
    SECRET,
    Behaviour,
    Receiver,
    answers,
    http_reply,
    no_reply,
    post,
    read_request,
    receiving,
    self_signed,
    send_to,
)
from tocsin.model.wire import HttpReply, HttpRequest, NoReply, Reply
from tocsin.outbound import http
from tocsin.outbound.http import MAX_BODY, Outbound

# A response that is not closed warns when it is collected, and nothing else would tell.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("error")]


# Connections that fail


async def test_a_closed_port() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with Outbound(allow=LOCAL) as outbound:
            reply = no_reply(await outbound.send(post(f"http://127.0.0.1:{unused.getsockname()[1]}/{SECRET}"), 1))
    assert (reply.reason, reply.maybe_received) == ("refused", False)
    assert SECRET not in repr(reply)
    assert "127" not in reply.detail


@pytest.mark.parametrize("timeout_s, connect_s", [(DEADLINE_S, 5.0), (4.99, DEADLINE_S)])
async def test_a_backlog_that_is_full(timeout_s: float, connect_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """No SYN-ACK: connecting takes until the deadline, or its own shorter one."""
    monkeypatch.setattr(http, "CONNECT_S", connect_s)
    http._timeout.cache_clear()
    with socket.socket() as server, socket.socket() as one, socket.socket() as two:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for client in (one, two):
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        async with Outbound(allow=LOCAL) as outbound:
            began = time.monotonic()
            reply = no_reply(await outbound.send(post(f"http://127.0.0.1:{server.getsockname()[1]}/"), timeout_s))
            assert time.monotonic() - began < DEADLINE_S + 1
    assert (reply.reason, reply.maybe_received) == ("timeout", False)


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


@pytest.mark.parametrize("end", [reset, close])
async def test_a_connection_that_ends_before_the_reply(end: Behaviour) -> None:  # F24
    reply = no_reply(await send_to(end))
    assert (reply.reason, reply.maybe_received) == ("reset", True)


@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
@pytest.mark.parametrize("end", [reset, close])
async def test_a_kept_connection_that_ends_is_not_tried_again(method: str, end: Behaviour) -> None:
    """aiohttp would send a PUT twice; one claim is one try, and the queue decides about another."""

    async def one_then_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        seen.append(await read_request(reader))
        await end(reader, writer)

    seen: list[bytes] = []
    async with receiving(one_then_end) as receiver, Outbound(allow=LOCAL) as outbound:
        request = HttpRequest(method, receiver.url(), b"x")  # type: ignore[arg-type]
        http_reply(await outbound.send(request, PATIENCE_S))
        reply = no_reply(await outbound.send(request, PATIENCE_S))
    assert (reply.reason, reply.maybe_received) == ("reset", True)
    assert (receiver.connections, len(seen)) == (1, 1)


async def test_a_reset_within_the_body() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        await asyncio.sleep(0.05)
        await reset(reader, writer)

    reply = no_reply(await send_to(behave))
    assert reply.reason in ("reset", "protocol")
    assert reply.maybe_received


# Evil receivers: F26, F27


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


def drip(first: bytes, endless: bytes, every_s: float = 0.05) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(endless)
            await writer.drain()
            await asyncio.sleep(every_s)

    return behave


@pytest.mark.parametrize(
    "behave",
    [
        hang,
        drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        drip(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
    ],
    ids=["silence", "slow headers", "slow body", "slow chunks", "slow until closed", "100 for ever", "103 for ever"],
)
async def test_the_deadline_covers_the_whole_reply(behave: Behaviour) -> None:
    began = time.monotonic()
    reply = no_reply(await send_to(behave, DEADLINE_S))
    assert (reply.reason, reply.maybe_received) == ("timeout", True)
    assert DEADLINE_S <= time.monotonic() - began < DEADLINE_S + 1


async def test_a_receiver_that_never_reads() -> None:
    async with receiving(hang, read_first=False) as receiver, Outbound(allow=LOCAL) as outbound:
        began = time.monotonic()
        reply = no_reply(await outbound.send(post(receiver.url(), body=b"x" * 1_000_000), DEADLINE_S))
    assert reply.reason == "timeout"
    assert time.monotonic() - began < DEADLINE_S + 1


async def test_a_flood_of_100_continue_leaves_the_loop_to_others() -> None:
    """At line rate, from a thread: with nothing but the deadline it held the loop for 1.7 s and took 180 MB."""

    def flood() -> None:
        with server.accept()[0] as connection, suppress(OSError):
            connection.recv(65_536)
            while True:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000)

    with socket.create_server(("127.0.0.1", 0)) as server:
        flooding = asyncio.get_running_loop().run_in_executor(None, flood)
        async with Outbound(allow=LOCAL) as outbound:
            began = time.monotonic()
            reply = no_reply(await outbound.send(post(f"http://127.0.0.1:{server.getsockname()[1]}/"), PATIENCE_S))
            took = time.monotonic() - began
        await flooding
    assert (reply.reason, reply.maybe_received) == ("protocol", True)
    assert took < 1


@pytest.mark.parametrize(
    "head, chunk",
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 65_536),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65_536 + b"\r\n"),
    ],
)
async def test_an_endless_body_is_cut(head: bytes, chunk: bytes) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reply = http_reply(await send_to(drip(head, chunk, 0)))
    assert (reply.status, reply.truncated) == (200, True)
    assert reply.body == b"x" * MAX_BODY
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32_000  # KiB


@pytest.mark.parametrize(
    "size, truncated", [(MAX_BODY - 1, False), (MAX_BODY, False), (MAX_BODY + 1, True), (10 * MAX_BODY, True)]
)
async def test_the_cap_is_exact(size: int, truncated: bool) -> None:
    async with (
        receiving(f"HTTP/1.1 500 No\r\nContent-Length: {size}\r\n\r\n".encode() + b"x" * size) as receiver,
        Outbound(allow=LOCAL) as outbound,
    ):
        reply = http_reply(await outbound.send(post(receiver.url()), PATIENCE_S))
        http_reply(await outbound.send(post(receiver.url()), PATIENCE_S))
    assert (len(reply.body), reply.truncated) == (min(size, MAX_BODY), truncated)
    assert receiver.connections == (2 if size > 2 * MAX_BODY else 1)  # the rest is never read as the next reply


@pytest.mark.parametrize(
    "first, endless",
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-More: y\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"y" * 10_000),
        (b"HTTP/1.1 200 ", b"y" * 10_000),
        (b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 8_000 + b"\r\n"),
        (b"", b"y" * 10_000),
    ],
)
async def test_endless_headers_are_refused_before_the_deadline(first: bytes, endless: bytes) -> None:
    reply = no_reply(await send_to(drip(first, endless, 0)))
    assert (reply.reason, reply.maybe_received) == ("protocol", True)


async def test_a_gzip_bomb_is_not_decoded() -> None:
    bomb = gzip.compress(b"\0" * 20_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
    reply = http_reply(await send_to(head.encode() + bomb))
    assert (reply.body, reply.headers["content-encoding"]) == (bomb, "gzip")


@pytest.mark.parametrize(
    "answer",
    [
        b"hello",
        b"<html>hello</html>\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 99 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 1000 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk",
        b"HTTP/1.1 200 OK\r\nBad\0Name: 1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad: a\0b\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nxxxx\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nx",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
async def test_what_is_not_http_is_a_failure_and_no_crash(answer: bytes) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    reply = no_reply(await send_to(behave))
    assert (reply.reason, reply.maybe_received) == ("protocol", True)


async def test_a_204_with_a_body_does_not_spoil_the_next_reply() -> None:
    async with (
        receiving(b"HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nbody") as receiver,
        Outbound(allow=LOCAL) as outbound,
    ):
        replies = [await outbound.send(post(receiver.url()), PATIENCE_S) for _ in range(3)]
    # Whether the body comes with the head decides which; what it must never be is a reply of its own.
    assert [
        reply for reply in replies if isinstance(reply, HttpReply) and (reply.status, reply.body) != (204, b"")
    ] == []
    assert {reply.reason for reply in replies if isinstance(reply, NoReply)} <= {"protocol"}


async def test_a_second_reply_that_nobody_asked_for_is_not_taken_for_the_next() -> None:
    forged = OK + b"HTTP/1.1 201 Forged\r\nContent-Length: 0\r\n\r\n"
    async with receiving(forged) as receiver, Outbound(allow=LOCAL) as outbound:
        replies = [await outbound.send(post(receiver.url()), PATIENCE_S) for _ in range(3)]
    assert [reply.status if isinstance(reply, HttpReply) else reply for reply in replies] == [200] * 3


async def test_header_bytes_that_are_no_text_can_be_stored() -> None:
    reply = http_reply(await send_to(b"HTTP/1.1 200 OK\r\nX-Odd: caf\xe9\r\nContent-Length: 0\r\n\r\n"))
    assert reply.headers["x-odd"].encode() == b"caf?"


async def test_an_answer_before_the_body_was_taken() -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await asyncio.sleep(1)

    async with receiving(early, read_first=False) as receiver, Outbound(allow=LOCAL) as outbound:
        reply = http_reply(await outbound.send(post(receiver.url(), body=b"x" * 900_000), PATIENCE_S))
    assert reply.status == 413


async def test_cancelling_is_not_swallowed_and_leaves_no_connection() -> None:
    async with receiving(hang) as receiver, Outbound(allow=LOCAL) as outbound:
        task = asyncio.ensure_future(outbound.send(post(receiver.url()), PATIENCE_S))
        while not receiver.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        connector = outbound._guarded.connector
        assert connector is not None
        assert not connector._acquired
        assert not connector._conns


# TLS: F28


async def tls_send(tmp_path: Path, name: str, *, trusted: bool) -> tuple[Reply, Receiver]:
    server, client = self_signed(tmp_path, name)
    async with (
        receiving(tls=server) as receiver,
        Outbound(allow=LOCAL, resolve=answers(["127.0.0.1"]), tls=client if trusted else None) as outbound,
    ):
        return await outbound.send(post(f"https://hooks.test:{receiver.port}/{SECRET}"), PATIENCE_S), receiver


async def test_tls_to_a_vetted_address_is_checked_against_the_name(tmp_path: Path) -> None:
    reply, receiver = await tls_send(tmp_path, "hooks.test", trusted=True)
    assert http_reply(reply).status == 200
    assert f"Host: hooks.test:{receiver.port}".encode() in receiver.requests[0]


@pytest.mark.parametrize(
    "name, trusted, says",
    [
        ("hooks.test", False, "self-signed"),
        ("other.test", True, "for another host name"),
        ("127.0.0.1", True, "for another host name"),
    ],
)
async def test_a_certificate_of_nobody_or_somebody_else_is_refused(
    tmp_path: Path, name: str, trusted: bool, says: str
) -> None:
    # F28
    reply, receiver = await tls_send(tmp_path, name, trusted=trusted)
    refused = no_reply(reply)
    assert (refused.reason, refused.maybe_received) == ("tls", False)
    assert says in refused.detail
    assert receiver.requests == []


async def test_tls_to_a_plain_receiver() -> None:
    async with receiving(b"HTTP/1.1 400 No\r\n\r\n", read_first=False) as receiver, Outbound(allow=LOCAL) as outbound:
        reply = no_reply(await outbound.send(post(receiver.url(scheme="https")), PATIENCE_S))
    assert (reply.reason, reply.maybe_received) == ("tls", False)


async def test_tls_that_hangs_in_the_handshake() -> None:
    async with receiving(hang, read_first=False) as receiver, Outbound(allow=LOCAL) as outbound:
        reply = no_reply(await outbound.send(post(receiver.url(scheme="https")), DEADLINE_S))
    assert (reply.reason, reply.maybe_received) == ("timeout", False)


async def test_a_connection_reset_in_the_handshake() -> None:
    async with receiving(reset, read_first=False) as receiver, Outbound(allow=LOCAL) as outbound:
        reply = no_reply(await outbound.send(post(receiver.url(scheme="https")), PATIENCE_S))
    assert reply.reason in ("reset", "tls")
    assert not reply.maybe_received


async def test_a_client_certificate_that_we_do_not_have(tmp_path: Path) -> None:
    server, client = self_signed(tmp_path, "127.0.0.1")
    server.verify_mode = ssl.CERT_REQUIRED
    async with receiving(tls=server) as receiver, Outbound(allow=LOCAL, tls=client) as outbound:
        reply = no_reply(await outbound.send(post(receiver.url(scheme="https")), PATIENCE_S))
    assert reply.reason in ("tls", "reset")  # in TLS 1.3 the refusal comes after the handshake
    assert receiver.requests == []


# S4-12


async def test_no_secret_is_ever_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Every kind of failure, with a secret in the path, the query and a header."""
    path = f"/{SECRET}?sig={SECRET}"
    shown: list[str] = []
    for behave in (reset, close, b"nonsense " + SECRET.encode() + b"\r\n\r\n", hang):
        async with receiving(behave) as receiver, Outbound(allow=LOCAL) as outbound:
            request = post(receiver.url(path), ("Authorization", SECRET))
            shown += [repr(no_reply(await outbound.send(request, DEADLINE_S))), repr(request), repr(outbound)]
    async with Outbound(resolve=answers(["127.0.0.1"])) as outbound:
        for url in (f"https://a.test{path}", f"http://a.test{path}", f"https://{SECRET}@a.test/", f"{SECRET}://a.test"):
            reply = no_reply(await outbound.send(post(url, ("Authorization", SECRET)), DEADLINE_S))
            shown.append(repr(reply))
    assert len(shown) == 16
    assert SECRET not in "\n".join([*shown, caplog.text])
