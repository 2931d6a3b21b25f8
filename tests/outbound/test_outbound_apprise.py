"""Messages through Apprise against real sockets on 127.0.0.1: where they go, how long they take, what is said."""

import asyncio
import io
import json
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import requests
import urllib3

from tests.outbound.receivers import LOCAL, OK, SECRET, Receiver, receiving, self_signed
from tocsin.model.wire import AppriseReply, AppriseRequest, NoReply
from tocsin.outbound.address_guard import Allowed, parse_allow_targets
from tocsin.outbound.apprise import BUSY, THREADS, WAITING, AppriseSender
from tocsin.outbound.apprise_call import Resolve
from tocsin.outbound.apprise_http import cleaned
from tocsin.provider_kit.apprise_service import INSTALL

pytestmark = pytest.mark.anyio

PATIENCE_S = 8.0
SHORT_S = 0.4
BLOCKED = NoReply("blocked", "the address guard refused the target")


def message(url: str, title: str = "❌ It broke", text: str = "because") -> AppriseRequest:
    return AppriseRequest(url, title, text.encode(), "failure")


def at(receiver: Receiver, path: str = f"/{SECRET}", scheme: str = "json") -> str:
    return receiver.url(path, scheme)


@asynccontextmanager
async def sending(
    allow: Allowed = LOCAL, resolve: Resolve | None = None, connect_to: dict[str, str] | None = None
) -> AsyncIterator[AppriseSender]:
    sender = AppriseSender(allow=allow, resolve=resolve, connect_to=connect_to)
    try:
        yield sender
    finally:
        await sender.close()


def answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def named(*addresses: str) -> Resolve:
    """A resolver that gives these addresses for any name."""
    return lambda host, port: addresses


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


def apprise_threads() -> int:
    return sum(thread.name.startswith("apprise_") and thread.is_alive() for thread in threading.enumerate())


# What is sent


async def test_the_message_arrives() -> None:
    async with receiving() as receiver, sending() as sender:
        reply = await sender.send(message(at(receiver)), PATIENCE_S)
    assert reply == AppriseReply(True)
    head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(f"POST /{SECRET} HTTP/1.1".encode())
    sent = json.loads(body)
    assert (sent["title"], sent["message"], sent["type"]) == ("❌ It broke", "because", "failure")
    assert b"user-agent: tocsin" in head.lower()


async def test_a_message_without_text_has_its_title_as_text() -> None:
    async with receiving() as receiver, sending() as sender:
        assert await sender.send(message(at(receiver), text=""), PATIENCE_S) == AppriseReply(True)
    assert json.loads(receiver.requests[0].partition(b"\r\n\r\n")[2])["message"] == "❌ It broke"


async def test_headers_that_steer_the_transport_are_not_taken_from_an_address() -> None:
    headers = "?+Host=inside.example&+Transfer-Encoding=chunked&+Connection=upgrade&+X-Team=data"
    async with receiving() as receiver, sending() as sender:
        assert await sender.send(message(at(receiver) + headers), PATIENCE_S) == AppriseReply(True)
    head = receiver.requests[0].partition(b"\r\n\r\n")[0].lower()
    assert f"host: 127.0.0.1:{receiver.port}".encode() in head
    assert b"x-team: data" in head
    assert b"inside.example" not in head
    assert b"transfer-encoding" not in head
    assert b"upgrade" not in head


async def test_it_is_led_where_the_operator_says() -> None:
    async with receiving() as receiver, sending(Allowed(), connect_to={"hooks.example": receiver.url("")}) as sender:
        assert await sender.send(message(f"jsons://hooks.example/{SECRET}?-a=b%26c"), PATIENCE_S) == AppriseReply(True)
        assert await sender.send(message(f"json://127.0.0.1:{receiver.port}/"), PATIENCE_S) != AppriseReply(True)
    assert len(receiver.requests) == 1
    head = receiver.requests[0].lower()
    assert head.startswith(f"post /{SECRET}?a=b%26c http/1.1".lower().encode())
    assert b"host: hooks.example\r\n" in head


async def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login operator password operators-own\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with receiving() as proxy, receiving() as receiver, sending() as sender:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        monkeypatch.delenv("no_proxy", raising=False)
        assert await sender.send(message(at(receiver)), PATIENCE_S) == AppriseReply(True)
    assert (proxy.connections, receiver.connections) == (0, 1)
    assert b"authorization" not in receiver.requests[0].lower()


# Where it may go


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "2130706433", "127.1"])
async def test_this_machine_is_refused(host: str) -> None:
    async with receiving() as receiver, sending(Allowed()) as sender:
        for scheme in ("json", "jsons"):
            reply = await sender.send(message(f"{scheme}://{host}:{receiver.port}/{SECRET}"), PATIENCE_S)
            assert isinstance(reply, NoReply)
            assert reply.reason in ("blocked", "invalid")
            assert not reply.maybe_received
            assert SECRET not in reply.detail
    assert receiver.connections == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"])
async def test_a_name_for_something_inside_is_refused(address: str) -> None:
    async with sending(Allowed(), named(address)) as sender:
        assert await sender.send(message(f"jsons://innocent.example/{SECRET}"), PATIENCE_S) == BLOCKED


async def test_one_bad_address_spoils_all() -> None:
    async with sending(Allowed(), named("93.184.216.34", "10.0.0.1")) as sender:
        assert await sender.send(message("jsons://innocent.example/"), PATIENCE_S) == BLOCKED


async def test_what_is_dialled_is_what_was_vetted(tmp_path: Any) -> None:
    rounds: list[Sequence[str]] = [["127.0.0.1"], ["10.0.0.1"]]
    server, _ = self_signed(tmp_path, "127.0.0.1")
    async with receiving(tls=server) as receiver, sending(LOCAL, lambda host, port: rounds.pop(0)) as sender:
        reply = await sender.send(message(f"jsons://rebound.example:{receiver.port}/"), PATIENCE_S)
    assert isinstance(reply, NoReply)
    assert (reply.reason, len(rounds)) == ("tls", 1)


async def test_metadata_stays_closed_whatever_is_allowed() -> None:
    async with sending(parse_allow_targets("0.0.0.0/0"), named("169.254.169.254")) as sender:
        assert await sender.send(message("jsons://innocent.example/"), PATIENCE_S) == BLOCKED


async def test_plain_http_goes_only_where_the_operator_allows_it() -> None:
    async with sending(Allowed(), named("93.184.216.34")) as sender:
        reply = await sender.send(message(f"json://public.example/{SECRET}"), PATIENCE_S)
    assert isinstance(reply, NoReply)
    assert (reply.reason, reply.maybe_received) == ("invalid", False)
    assert "https" in reply.detail
    assert "public.example" not in reply.detail


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    async with receiving() as inside:
        moved = answer(status, b"", f"Location: {inside.url()}")
        async with receiving(moved) as receiver, sending() as sender:
            reply = await sender.send(message(at(receiver, "/?redirect=yes")), PATIENCE_S)
    assert isinstance(reply, AppriseReply)
    assert reply.body.startswith(f"HTTP {status}: ".encode())
    assert (receiver.connections, inside.connections) == (1, 0)


async def test_a_certificate_that_nobody_signed_is_refused(tmp_path: Any) -> None:
    server, _ = self_signed(tmp_path, "127.0.0.1")
    async with receiving(tls=server) as receiver, sending() as sender:
        reply = await sender.send(message(at(receiver, scheme="jsons")), PATIENCE_S)
        unchecked = await sender.send(message(at(receiver, "/?verify=no", "jsons")), PATIENCE_S)
    assert isinstance(reply, NoReply)
    assert reply.reason == "tls"
    assert isinstance(unchecked, NoReply)
    assert unchecked.reason == "invalid"
    assert receiver.requests == []


async def test_services_that_are_not_let_in_are_not_tried() -> None:
    async with sending() as sender:
        for url in (
            f"mailto://ana:{SECRET}@127.0.0.1",
            "syslog://",
            f"mqtt://127.0.0.1/{SECRET}",
            f"nosuch://{SECRET}",
        ):
            reply = await sender.send(message(url), PATIENCE_S)
            assert isinstance(reply, NoReply)
            assert reply.reason == "invalid"
            assert SECRET not in reply.detail


async def test_a_service_dials_nothing_but_for_a_message_and_others_dial_as_ever() -> None:
    service: dict[str, Any] = {"__name__": "apprise.plugins.evil", "requests": requests, "urllib3": urllib3}
    exec(
        "def ask(url):\n    return requests.get(url, timeout=1)\n"
        "def ask_below(url):\n    return urllib3.PoolManager(retries=False).request('GET', url)\n",
        service,
    )
    async with receiving() as receiver, sending() as sender:
        assert await sender.send(message(at(receiver)), PATIENCE_S) == AppriseReply(True)
        with pytest.raises(requests.ConnectionError):
            await asyncio.to_thread(service["ask"], receiver.url())
        with pytest.raises(urllib3.exceptions.HTTPError):
            await asyncio.to_thread(service["ask_below"], receiver.url())
        assert receiver.connections == 1
        await asyncio.to_thread(requests.get, receiver.url(), timeout=5)
    assert receiver.connections == 2


# What comes of it


@pytest.mark.parametrize(
    ("status", "headers", "begins"),
    [
        (400, (), "HTTP 400: "),
        (401, (), "HTTP 401: "),
        (404, (), "HTTP 404: "),
        (429, ("Retry-After: 30",), "HTTP 429, retry after 30 s: "),
        (429, ("Retry-After: soon",), "HTTP 429: "),
        (503, (), "HTTP 503: "),
    ],
)
async def test_a_refusal_is_told_with_its_status(status: int, headers: tuple[str, ...], begins: str) -> None:
    async with receiving(answer(status, b"no", *headers)) as receiver, sending() as sender:
        reply = await sender.send(message(at(receiver)), PATIENCE_S)
    assert isinstance(reply, AppriseReply)
    assert not reply.ok
    assert reply.body.decode().startswith(begins + "Failed to send JSON")


async def test_a_receiver_that_is_not_there() -> None:
    async with receiving() as receiver:
        pass
    async with sending() as sender:
        reply = await sender.send(message(at(receiver)), PATIENCE_S)
    assert reply == NoReply("refused", "the connection was refused")


async def test_a_name_that_is_not_there() -> None:
    def nowhere(host: str, port: int) -> Sequence[str]:
        raise OSError(f"no {SECRET}")

    async with sending(LOCAL, nowhere) as sender:
        reply = await sender.send(message("jsons://nowhere.example/"), PATIENCE_S)
    assert reply == NoReply("dns", "the host name has no address")


@pytest.mark.parametrize(
    "garbage", [b"", b"\x00" * 100, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", b"SSH-2.0\r\n"]
)
async def test_half_an_answer_is_none(garbage: bytes) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(garbage)
        await writer.drain()

    async with receiving(behave) as receiver, sending() as sender:
        reply = await sender.send(message(at(receiver)), PATIENCE_S)
    assert isinstance(reply, NoReply)
    assert reply.reason in ("reset", "protocol")
    assert reply.maybe_received


async def test_an_endless_answer_is_cut() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    async with receiving(flood) as receiver, sending() as sender:
        assert await sender.send(message(at(receiver)), PATIENCE_S) == AppriseReply(True)


async def test_without_apprise_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tocsin.outbound.apprise_http")
    monkeypatch.delattr("tocsin.outbound.apprise_http")
    monkeypatch.setitem(sys.modules, "apprise", None)
    async with sending() as sender:
        reply = await sender.send(message("json://127.0.0.1:9999"), PATIENCE_S)
    assert reply == NoReply("invalid", "install tocsin[apprise]")
    assert "tocsin[apprise]" in INSTALL


async def test_no_secret_is_said_logged_or_printed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:  # S4-12
    ours = io.StringIO()
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.StreamHandler(ours)])
    url = "{scheme}://ana:{secret}@127.0.0.1:{port}/{secret}/{secret}%2Fx?+X-Key={secret}&-q={secret}"
    async with receiving(answer(403, SECRET.encode())) as receiver, sending() as sender:
        for scheme in ("json", "form", "xml", "gotify", "nosuch", "ntfy"):
            reply = await sender.send(message(url.format(scheme=scheme, secret=SECRET, port=receiver.port)), PATIENCE_S)
            said = reply.body.decode() if isinstance(reply, AppriseReply) else reply.detail
            assert said
            assert SECRET.lower() not in said.lower()
            assert str(receiver.port) not in said
    assert SECRET not in ours.getvalue() + "".join(capfd.readouterr())
    assert receiver.connections > 3


@pytest.mark.parametrize(
    ("words", "url", "shown"),
    [
        ("to hooks.example failed", "json://hooks.example/abc", "to *** failed"),
        ("HOOKS.EXAMPLE said p@ss", "json://u:p%40ss@hooks.example", "*** said ***"),
        ("an abc in abcd", "json://h/abc", "an *** in abcd"),
        ("JSON failed", "json://h", "JSON failed"),
    ],
)
async def test_words_are_cleaned_of_the_address(words: str, url: str, shown: str) -> None:
    assert cleaned(words, url) == shown


# How long it may take


@pytest.mark.parametrize("behave", [hang, drip], ids=["hang", "drip"])
@pytest.mark.parametrize("scheme", ["json", "jsons"])
async def test_a_receiver_that_hangs_holds_neither_the_loop_nor_the_thread(
    behave: Any, scheme: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _ = self_signed(tmp_path, "127.0.0.1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "receiver.pem"))
    tls = server if scheme == "jsons" else None
    async with receiving(OK) as healthy, receiving(behave, tls=tls) as receiver, sending() as sender:
        assert await sender.send(message(at(healthy)), PATIENCE_S) == AppriseReply(True)  # imported by now
        began = time.monotonic()
        tasks = [
            asyncio.create_task(sender.send(message(at(receiver, scheme=scheme)), SHORT_S)) for _ in range(THREADS)
        ]
        worst = 0.0
        while not all(task.done() for task in tasks):
            before = time.monotonic()
            await asyncio.sleep(0.01)
            worst = max(worst, time.monotonic() - before)
        assert time.monotonic() - began < SHORT_S + 5.0
        assert worst < 1.0
        for task in tasks:
            assert task.result() == NoReply("timeout", "no answer in time", maybe_received=True)
        assert await sender.send(message(at(healthy)), 2.0) == AppriseReply(True)  # the threads are free again
        assert len(receiver.requests) == THREADS


async def test_a_hundred_at_once_take_four_threads() -> None:
    seen: list[int] = []

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(apprise_threads())
        await asyncio.sleep(0.02)
        writer.write(OK)
        await writer.drain()

    already = apprise_threads()
    async with receiving(slowly) as receiver, sending() as sender:
        replies = await asyncio.gather(*(sender.send(message(at(receiver)), 30.0) for _ in range(100)))
    assert replies == [AppriseReply(True)] * 100
    assert max(seen) - already <= THREADS
    assert len(seen) == 100


async def test_what_waits_too_long_is_told_so_and_never_sent() -> None:
    async with receiving(hang) as receiver, sending() as sender:
        holding = [asyncio.create_task(sender.send(message(at(receiver)), PATIENCE_S)) for _ in range(THREADS)]
        while len(receiver.requests) < THREADS:
            await asyncio.sleep(0.01)
        replies = await asyncio.gather(*(sender.send(message(at(receiver)), SHORT_S) for _ in range(THREADS * 3)))
        await sender.close()
        await asyncio.gather(*holding)
    assert replies == [NoReply("timeout", BUSY)] * (THREADS * 3)
    assert len(receiver.requests) == THREADS


async def test_what_is_over_the_queue_is_told_at_once() -> None:
    async with receiving(hang) as receiver, sending() as sender:
        tasks = [asyncio.create_task(sender.send(message(at(receiver)), PATIENCE_S)) for _ in range(THREADS + WAITING)]
        await asyncio.sleep(0.2)
        assert await sender.send(message(at(receiver)), PATIENCE_S) == NoReply("timeout", BUSY)
        await sender.close()
        replies = await asyncio.gather(*tasks)
    assert all(isinstance(reply, NoReply) and reply.reason in ("timeout", "reset") for reply in replies)


async def test_a_task_that_is_cancelled_lets_go_of_its_thread() -> None:
    async with receiving(OK) as healthy, receiving(hang) as receiver, sending() as sender:
        tasks = [asyncio.create_task(sender.send(message(at(receiver)), PATIENCE_S)) for _ in range(THREADS)]
        while len(receiver.requests) < THREADS:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in ended)
        assert await sender.send(message(at(healthy)), 2.0) == AppriseReply(True)


async def test_a_pause_that_the_service_asks_for_is_left_to_the_core() -> None:
    limited = answer(429, b"{}", "Retry-After: 60", "X-RateLimit-Reset-After: 60", "X-RateLimit-Remaining: 0")
    async with (
        receiving(limited) as receiver,
        sending(Allowed(), connect_to={"discord.com": receiver.url("")}) as sender,
    ):
        began = time.monotonic()
        reply = await sender.send(message(f"discord://123456789/{SECRET}{SECRET}"), PATIENCE_S)
        took = time.monotonic() - began
    assert isinstance(reply, AppriseReply)
    assert reply.body.startswith(b"HTTP 429, retry after 60 s: ")
    assert took < 5.0
