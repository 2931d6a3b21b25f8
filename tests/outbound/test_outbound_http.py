"""Outbound against real sockets on 127.0.0.1: what is sent, and where it may go."""

import asyncio
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import pytest

from tests.outbound.receivers import (
    DEADLINE_S,
    LOCAL,
    PATIENCE_S,
    SECRET,
    answers,
    http_reply,
    no_reply,
    post,
    receiving,
    self_signed,
    send_to,
)
from tocsin import __version__
from tocsin.model.errors import Invalid
from tocsin.model.wire import NoReply
from tocsin.outbound.address_guard import parse_allow_targets
from tocsin.outbound.http import Lookup, Outbound, parse_connect_to

pytestmark = pytest.mark.anyio


# What is sent


async def test_the_request_arrives_as_it_was_given() -> None:
    target = "/hook/a%2Fb%2e//c;d?sig=a%2Bb_-~&x=%zz&y=[{|}]&z"
    async with receiving() as receiver, Outbound(allow=LOCAL) as outbound:
        request = post(receiver.url(target), ("Content-Type", "application/json"), ("webhook-id", "m1"))
        reply = http_reply(await outbound.send(request, PATIENCE_S))
    assert (reply.status, reply.body, reply.truncated) == (200, b"ok", False)
    assert reply.headers == {"content-length": "2"}
    head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert first == f"POST {target} HTTP/1.1"
    assert sorted(line.lower() for line in lines) == sorted(
        [
            f"host: 127.0.0.1:{receiver.port}",
            f"user-agent: tocsin/{__version__}",
            "accept: */*",
            "accept-encoding: identity",
            "content-type: application/json",
            "webhook-id: m1",
            "content-length: 7",
        ]
    )
    assert body == b'{"a":1}'


async def test_connections_are_kept_and_cookies_are_not() -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    async with receiving(answer) as receiver, Outbound(allow=LOCAL) as outbound:
        for _ in range(3):
            http_reply(await outbound.send(post(receiver.url()), PATIENCE_S))
    assert receiver.connections == 1
    assert len(receiver.requests) == 3
    assert b"cookie" not in b"".join(receiver.requests).lower()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    async with receiving() as inside:
        answer = f"HTTP/1.1 {status} Moved\r\nLocation: {inside.url()}\r\nContent-Length: 0\r\n\r\n".encode()
        reply = http_reply(await send_to(answer))
    assert (reply.status, inside.connections) == (status, 0)


async def test_the_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy, receiving() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        monkeypatch.setenv("no_proxy", "")
        async with Outbound(allow=LOCAL) as outbound:
            http_reply(await outbound.send(post(receiver.url()), PATIENCE_S))
    assert (proxy.connections, receiver.connections) == (0, 1)


@pytest.mark.parametrize(
    "name, value",
    [
        ("Host", "evil.test"),
        ("Content-Length", "0"),
        ("Transfer-Encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("X-A\r\nHost", "evil.test"),
        ("X-A", f"{SECRET}\r\nX-Smuggled: 1"),
        ("X-A", f"{SECRET}\n"),
        ("X-A", f"{SECRET}\x00"),
        ("X-A", f"{SECRET}\u2028"),
        ("Expect", "100-continue"),
        ("Connection", "close"),
        ("Proxy-Authorization", "x"),
        ("Cookie", "a=b"),
    ],
)
async def test_smuggled_headers_never_leave(name: str, value: str) -> None:  # S14
    async with receiving() as receiver, Outbound(allow=LOCAL) as outbound:
        reply = no_reply(await outbound.send(post(receiver.url(), (name, value)), PATIENCE_S))
    assert (reply.reason, reply.maybe_received, receiver.connections) == ("invalid", False, 0)
    assert SECRET not in repr(reply)


# Where it may go: S1-14, S12


async def test_a_private_address_is_not_dialled() -> None:
    async with receiving() as receiver, Outbound() as outbound:
        for scheme in ("http", "https"):
            reply = no_reply(await outbound.send(post(receiver.url(f"/{SECRET}", scheme)), PATIENCE_S))
            assert (reply.reason, reply.maybe_received) == ("invalid", False)
            assert SECRET not in repr(reply)
    assert receiver.connections == 0


BAD_ANSWERS: list[list[str]] = [
    ["127.0.0.1"],
    ["8.8.8.8", "127.0.0.1"],
    ["127.0.0.1", "8.8.8.8"],
    ["8.8.8.8", "::1"],
    ["2606:4700::1111", "::ffff:127.0.0.1"],
    ["169.254.169.254"],
    ["8.8.8.8"] * 1000 + ["10.0.0.1"],
    ["not an address"],
]


@pytest.mark.parametrize("found", BAD_ANSWERS, ids=range(len(BAD_ANSWERS)))
async def test_every_answer_of_a_name_has_to_be_public(found: list[str]) -> None:
    async with receiving() as receiver, Outbound(resolve=answers(found)) as outbound:
        reply = no_reply(await outbound.send(post(f"https://spoofed.evil.test:{receiver.port}/"), PATIENCE_S))
    assert (reply.reason, reply.maybe_received, receiver.connections) == ("blocked", False, 0)


@pytest.mark.parametrize("host", ["127.0.0.1.nip.io", "ip6-localhost", "aaaa.evil.test"])
async def test_evil_names_of_the_table_are_refused_at_connect(host: str) -> None:
    async with Outbound(resolve=answers(["8.8.8.8", "::1"])) as outbound:
        assert no_reply(await outbound.send(post(f"https://{host}/"), PATIENCE_S)).reason == "blocked"


async def test_open_and_closed_ports_look_the_same_behind_the_guard() -> None:
    async with receiving() as receiver:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            closed = unused.getsockname()[1]
            async with Outbound(resolve=answers(["127.0.0.1"], ["127.0.0.1"])) as outbound:
                replies = [
                    await outbound.send(post(f"https://evil.test:{port}/"), PATIENCE_S)
                    for port in (receiver.port, closed)
                ]
    assert replies[0] == replies[1] == NoReply("blocked", "the address guard refused the target")


async def test_a_name_that_rebinds_is_refused_the_second_time(tmp_path: Path) -> None:
    server, client = self_signed(tmp_path, "rebind.evil.test")
    async with receiving(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", tls=server) as receiver:
        allow = parse_allow_targets(f"127.0.0.1:{receiver.port}")
        resolve = answers(["127.0.0.1"], ["127.0.0.2"])
        async with Outbound(allow=allow, resolve=resolve, tls=client) as outbound:
            request = post(f"https://rebind.evil.test:{receiver.port}/")
            assert http_reply(await outbound.send(request, PATIENCE_S)).status == 200
            # Asked once while the answer is fresh: a name with a TTL of 0 is not looked up for every delivery.
            assert http_reply(await outbound.send(request, PATIENCE_S)).status == 200
            connector = outbound._guarded.connector
            assert isinstance(connector, aiohttp.TCPConnector)
            connector.clear_dns_cache()
            assert no_reply(await outbound.send(request, PATIENCE_S)).reason == "blocked"
    assert receiver.connections == 2


async def test_the_socket_itself_is_vetted_as_well() -> None:
    """Past check_url and the resolver, as an IP literal that got into the session some other way would be."""
    async with receiving() as receiver, Outbound(allow=parse_allow_targets("10.0.0.0/8")) as outbound:
        with pytest.raises(OSError):
            await outbound._guarded.post(receiver.url())
    assert receiver.connections == 0


async def test_localhost_means_what_is_allowed() -> None:
    """And nobody is asked: a resolver may answer ::1 as well, or anything."""
    allow = parse_allow_targets("127.0.0.1/32")
    async with receiving() as receiver, Outbound(allow=allow, resolve=answers()) as outbound:
        assert http_reply(await outbound.send(post(f"http://localhost:{receiver.port}/"), PATIENCE_S)).status == 200


async def test_a_name_without_addresses() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(socket.EAI_NONAME, f"no {SECRET}")

    for resolve in (unknown, answers([])):
        async with Outbound(resolve=resolve) as outbound:
            reply = no_reply(await outbound.send(post("https://nowhere.test/"), PATIENCE_S))
        assert reply == NoReply("dns", "the host name has no address")


async def test_a_name_server_that_hangs_counts_inside_the_deadline() -> None:
    async def hang(host: str, port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return []

    async with Outbound(resolve=hang) as outbound:
        began = time.monotonic()
        reply = no_reply(await outbound.send(post("https://slow.test/"), DEADLINE_S))
    assert (reply.reason, reply.maybe_received) == ("timeout", False)
    assert time.monotonic() - began < DEADLINE_S + 1


async def test_names_that_hang_do_not_delay_a_name_that_has_answered(monkeypatch: pytest.MonkeyPatch) -> None:  # F23
    hung = 0

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        nonlocal hung
        if host != "good.test":
            hung += 1
            time.sleep(0.5)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    lookup = Lookup()
    assert await lookup("good.test", 443) == ["8.8.8.8"]
    dead = [asyncio.ensure_future(lookup(f"dead{n}.test", 443)) for n in range(50)]
    await asyncio.sleep(0.05)
    began = time.monotonic()
    assert await lookup("good.test", 443) == ["8.8.8.8"]
    assert time.monotonic() - began < 0.3
    for task in dead:
        task.cancel()
    await asyncio.gather(*dead, return_exceptions=True)
    lookup.close()
    assert hung <= 8  # threads, and what nobody waits for any more is not looked up


# TOCSIN_CONNECT_TO


async def test_connect_to_sends_elsewhere_what_is_meant_for_a_host() -> None:
    async with receiving() as receiver:
        connect_to = parse_connect_to(f"hooks.slack.com=http://127.0.0.1:{receiver.port}")
        async with Outbound(connect_to=connect_to, resolve=answers(["127.0.0.1"])) as outbound:
            reply = await outbound.send(post("https://Hooks.Slack.com/services/T/B/x?a=%2F"), PATIENCE_S)
            assert http_reply(reply).status == 200
            # The diversion opens nothing for anybody else.
            direct = no_reply(await outbound.send(post(receiver.url()), PATIENCE_S))
            other = no_reply(await outbound.send(post(f"https://evil.test:{receiver.port}/"), PATIENCE_S))
    assert (direct.reason, other.reason, receiver.connections) == ("invalid", "blocked", 1)
    head = receiver.requests[0]
    assert head.startswith(b"POST /services/T/B/x?a=%2F HTTP/1.1\r\n")
    assert head.lower().count(b"\r\nhost: ") == 1
    assert b"\r\nHost: hooks.slack.com\r\n" in head


def test_connect_to_is_parsed() -> None:
    assert parse_connect_to("") == {}
    assert parse_connect_to(" A.example=http://localhost:1/ ,b.example=https://[::1]:2") == {
        "a.example": "http://localhost:1",
        "b.example": "https://[::1]:2",
    }


@pytest.mark.parametrize(
    "item", ["a", "a=", "=http://b", "a=b:80", "a=ftp://b", "a=http://", "a=http://b/path", "a=http://b?x", "a=http://b:x",
             "a:80=http://b", "https://a=http://b", "a=http://u:p@b"],
)  # fmt: skip
def test_a_bad_connect_to_is_named(item: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_connect_to(f"x.example=http://127.0.0.1:1,{item}")
    assert (caught.value.field, caught.value.found) == ("TOCSIN_CONNECT_TO", repr(item))
