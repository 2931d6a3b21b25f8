"""The way out through a proxy, and the lists that narrow where it leads."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.outbound.certificates import Authority
from tests.outbound.receivers import LOCAL, PATIENCE_S, SECRET, answers, http_reply, no_reply, post, receiving
from tocsin.model.errors import Invalid
from tocsin.model.wire import AppriseReply, AppriseRequest, NoReply, SmtpReply, SmtpRequest
from tocsin.outbound.address_guard import Allowed, parse_allow_targets
from tocsin.outbound.apprise import AppriseSender
from tocsin.outbound.http import Outbound
from tocsin.outbound.proxy import Proxy, parse_proxy
from tocsin.outbound.smtp import Mail

pytestmark = pytest.mark.anyio

PUBLIC_IP = "93.184.216.34"
LOGIN = "Basic dG9jc2luOnAvdw=="  # tocsin:p/w


@dataclass
class Way:
    """A forward proxy on 127.0.0.1 that leads everything to one port there. `asked` are its request lines."""

    port: int = 0
    to: int = 0
    asked: list[str] = field(default_factory=list)
    refuse: int = 0

    @property
    def proxy(self) -> Proxy:
        found = parse_proxy(f"http://tocsin:p%2Fw@127.0.0.1:{self.port}")
        assert found is not None
        return found


@asynccontextmanager
async def proxying(to: int, refuse: int = 0) -> AsyncIterator[Way]:
    way = Way(to=to, refuse=refuse)
    tasks: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.CancelledError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        way.asked.append(head.decode().partition("\r\n")[0])
        status = way.refuse or (200 if f"Proxy-Authorization: {LOGIN}\r\n".encode() in head else 407)
        if status != 200:
            writer.write(f"HTTP/1.1 {status} {SECRET}\r\nContent-Length: 0\r\n\r\n".encode())
            writer.close()
            return
        onward, back = await asyncio.open_connection("127.0.0.1", way.to)
        if head.startswith(b"CONNECT "):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            back.write(head)
        await asyncio.gather(copy(reader, back), copy(onward, writer))

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    way.port = server.sockets[0].getsockname()[1]
    try:
        yield way
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def nowhere(host: str, port: int) -> Awaitable[Sequence[str]]:
    raise OSError("no names are looked up here")


def named(*found: str) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    return answers(*[found] * 9)


async def test_https_goes_through_the_tunnel_and_the_proxy_sees_no_more_than_the_name(tmp_path: Path) -> None:
    authority = Authority()
    trust = ssl.create_default_context(cadata=authority.certificate)
    context = authority.issue("hooks.test").server(tmp_path)
    async with receiving(tls=context) as receiver, proxying(receiver.port) as way:
        for resolve in (named(PUBLIC_IP), nowhere):
            async with Outbound(resolve=resolve, tls=trust, proxy=way.proxy) as outbound:
                for _ in range(2):
                    reply = await outbound.send(post(f"https://hooks.test/{SECRET}"), PATIENCE_S)
                    assert http_reply(reply).status == 200
    assert way.asked == ["CONNECT hooks.test:443 HTTP/1.1"] * 2
    assert len(receiver.requests) == 4
    assert not any(b"proxy-authorization" in request.lower() for request in receiver.requests)


async def test_a_certificate_is_checked_through_the_tunnel_too(tmp_path: Path) -> None:
    authority = Authority()
    trust = ssl.create_default_context(cadata=authority.certificate)
    context = authority.issue("other.test").server(tmp_path)
    async with (
        receiving(tls=context) as receiver,
        proxying(receiver.port) as way,
        Outbound(resolve=named(PUBLIC_IP), tls=trust, proxy=way.proxy) as outbound,
    ):
        reply = no_reply(await outbound.send(post("https://hooks.test/"), PATIENCE_S))
    assert reply == NoReply("tls", "the certificate is for another host name")


async def test_plain_http_to_what_is_allowed_is_asked_of_the_proxy() -> None:
    async with (
        receiving() as receiver,
        proxying(receiver.port) as way,
        Outbound(allow=LOCAL, proxy=way.proxy) as outbound,
    ):
        assert http_reply(await outbound.send(post(receiver.url("/a")), PATIENCE_S)).status == 200
    assert way.asked == [f"POST {receiver.url('/a')} HTTP/1.1"]


@pytest.mark.parametrize(
    "url, found",
    [
        ("https://10.0.0.1/", []),
        ("https://[::ffff:169.254.169.254]/", []),
        ("https://rebind.test/", ["127.0.0.1"]),
        ("https://rebind.test/", [PUBLIC_IP, "10.0.0.1"]),
        ("https://localhost/", []),
    ],
)
async def test_the_proxy_is_not_asked_for_what_is_private(url: str, found: list[str]) -> None:  # S12
    async with (
        receiving() as receiver,
        proxying(receiver.port) as way,
        Outbound(resolve=named(*found), proxy=way.proxy) as outbound,
    ):
        assert no_reply(await outbound.send(post(url), PATIENCE_S)).reason in ("invalid", "blocked")
    assert way.asked == []


@pytest.mark.parametrize(
    "status, says",
    [(407, "refused the login"), (403, "did not connect: it answered 403"), (502, "did not connect: it answered 502")],
)
async def test_a_proxy_that_refuses_is_told_from_a_receiver_that_does(status: int, says: str) -> None:
    async with proxying(1, refuse=status) as way, Outbound(resolve=named(PUBLIC_IP), proxy=way.proxy) as outbound:
        reply = no_reply(await outbound.send(post("https://hooks.test/"), PATIENCE_S))
        async with Mail(resolve=named(PUBLIC_IP), proxy=way.proxy) as mail:
            mailed = await mail.send(letter("mail.test"), PATIENCE_S)
    assert (reply.reason, reply.maybe_received) == ("proxy", False)
    assert says in reply.detail
    assert mailed == reply


async def test_a_proxy_that_is_not_there() -> None:
    async with proxying(1) as way:
        pass
    async with Outbound(resolve=named(PUBLIC_IP), proxy=way.proxy) as outbound:
        reply = no_reply(await outbound.send(post("https://hooks.test/"), PATIENCE_S))
    assert reply == NoReply("proxy", "the egress proxy cannot be reached")


async def test_what_is_led_elsewhere_does_not_go_through_the_proxy() -> None:
    async with receiving() as receiver, proxying(receiver.port) as way:
        diverted = {"hooks.test": receiver.url("")}
        async with Outbound(connect_to=diverted, proxy=way.proxy) as outbound:
            assert http_reply(await outbound.send(post("https://hooks.test/"), PATIENCE_S)).status == 200
    assert way.asked == []


def letter(host: str, port: int = 587) -> SmtpRequest:
    return SmtpRequest(host, port, "none", "", "", "a@a.test", ("b@b.test",), b"Subject: x\r\n\r\nx\r\n", trusted=True)


async def test_mail_goes_through_the_tunnel() -> None:
    async def server(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test\r\n")
        for said in (b"250 mail.test", b"250 ok", b"250 ok", b"354 go"):
            await reader.readline()
            writer.write(said + b"\r\n")
        await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 queued\r\n")

    async with receiving(server, read_first=False) as receiver, proxying(receiver.port) as way:
        for resolve in (named(PUBLIC_IP), nowhere):
            async with Mail(resolve=resolve, proxy=way.proxy) as mail:
                assert await mail.send(letter("mail.test"), PATIENCE_S) == SmtpReply(250, b"queued")
    assert way.asked == ["CONNECT mail.test:587 HTTP/1.1"] * 2


def known(found: str) -> Callable[[str, int], Sequence[str]]:
    return lambda host, port: ["127.0.0.1" if host == "127.0.0.1" else found]


async def test_apprise_goes_through_the_tunnel(tmp_path: Path) -> None:
    authority = Authority()
    file = tmp_path / "ca.pem"
    file.write_text(authority.certificate)
    context = authority.issue("hooks.test").server(tmp_path)
    request = AppriseRequest("jsons://hooks.test/", "title", b"text", "info")
    async with receiving(tls=context) as receiver, proxying(receiver.port) as way:
        sender = AppriseSender(resolve=known(PUBLIC_IP), ca_file=str(file), proxy=way.proxy)
        assert await sender.send(request, PATIENCE_S) == AppriseReply(True)
        await sender.close()
        inside = AppriseSender(resolve=known("10.0.0.1"), proxy=way.proxy)
        blocked = await inside.send(request, PATIENCE_S)
        await inside.close()
    assert isinstance(blocked, NoReply)
    assert blocked.reason == "blocked"
    assert [line.rpartition(" ")[0] for line in way.asked] == ["CONNECT hooks.test:443"]


def test_a_proxy_is_parsed() -> None:
    assert parse_proxy("") is None
    assert parse_proxy("http://proxy.test:3128") == Proxy("proxy.test", 3128)
    found = parse_proxy("http://tocsin:p%2Fw@[fd00::1]:3128/")
    assert found == Proxy("fd00::1", 3128, LOGIN)
    assert found is not None
    assert (found.url, "p/w" in repr(found)) == ("http://[fd00::1]:3128", False)


@pytest.mark.parametrize(
    "text",
    ["proxy.test:3128", "https://proxy.test:3128", "http://proxy.test", "http://proxy.test:3128/x", "socks5://a:1"],
)
def test_a_bad_proxy_is_named_and_not_repeated(text: str) -> None:
    with pytest.raises(Invalid, match="TOCSIN_EGRESS_PROXY") as caught:
        parse_proxy(text)
    assert text not in caught.value.detail


# What the operator denies, and what alone may be reached.

ASKED = {
    "hooks.test": [PUBLIC_IP],
    "a.partner.test": [PUBLIC_IP],
    "other.test": ["198.18.0.1"],
    "mixed.test": [PUBLIC_IP, "151.101.1.1"],
}


async def resolve_asked(host: str, port: int) -> Sequence[str]:
    return ASKED[host]


@pytest.mark.parametrize(
    "deny, only, open_, closed",
    [
        ("hooks.test", "", ["a.partner.test"], ["hooks.test"]),
        ("*.partner.test", "", ["hooks.test"], ["a.partner.test"]),
        ("93.184.216.0/24", "", [], ["hooks.test", "mixed.test", PUBLIC_IP]),
        ("93.184.216.0/24:8443", "", ["hooks.test", PUBLIC_IP], []),
        ("", "hooks.test", ["hooks.test"], ["a.partner.test", PUBLIC_IP]),
        ("", "*.partner.test", ["a.partner.test"], ["hooks.test"]),
        ("", "93.184.216.0/24", ["hooks.test", "a.partner.test", PUBLIC_IP], ["mixed.test"]),
        ("", "93.184.216.0/24:8443", [], ["hooks.test", PUBLIC_IP]),
        ("", "other.test,198.18.0.0/15", [], ["other.test"]),  # private stays private
        ("hooks.test", "*.test", ["a.partner.test"], ["hooks.test"]),
    ],
)
@pytest.mark.parametrize("proxied", [False, True])
async def test_the_operators_lists(deny: str, only: str, open_: list[str], closed: list[str], proxied: bool) -> None:
    allow = parse_allow_targets("", deny=deny, only=only)
    dialled: list[str] = []
    # Whatever may be reached is dialled by the proxy or refused here: nothing leaves this machine.
    async with proxying(1, refuse=403) as way:
        outbound = Outbound(allow=allow, resolve=resolve_asked, proxy=way.proxy if proxied else None)
        if not proxied:
            outbound._open_socket = None  # type: ignore[assignment, method-assign]
            outbound._guarded.connector._socket_factory = refusing(dialled)  # type: ignore[union-attr]
        async with outbound:
            for host in closed:
                reply = no_reply(await outbound.send(post(f"https://{host}/"), PATIENCE_S))
                assert reply.reason in ("invalid", "blocked"), host
            assert way.asked == dialled == []
            for host in open_:
                reply = no_reply(await outbound.send(post(f"https://{host}/"), PATIENCE_S))
                assert reply.reason == ("proxy" if proxied else "refused"), host
    assert len(way.asked) == (len(open_) if proxied else 0)


def refusing(dialled: list[str]) -> Callable[..., object]:
    def factory(info: tuple[object, ...]) -> object:
        raise ConnectionRefusedError

    return factory


def test_the_lists_are_parsed() -> None:
    found = parse_allow_targets("10.0.0.0/8", deny="Example.COM, 192.0.2.0/24:443", only="*.a.test,[2001:db8::/32]:1")
    assert (found.denied_hosts, found.only_hosts) == (("example.com",), ("*.a.test",))
    assert [len(one) for one in (found.private, found.denied, found.only)] == [1, 1, 1]
    for text in ("*", "a b", "*.", "1.2.3", "a.*.b", "10.0.0.1/8", "http://a.test"):
        for setting in ("deny", "only"):
            with pytest.raises(Invalid, match="TOCSIN_DENY_TARGETS|TOCSIN_EGRESS_ONLY"):
                parse_allow_targets("", **{setting: text})
    assert Allowed() == parse_allow_targets("")


async def test_the_operators_own_mail_server_needs_no_mention() -> None:
    async with Mail(allow=parse_allow_targets("", only="hooks.test"), resolve=answers(["127.0.0.1"])) as mail:
        reply = await mail.send(letter("mail.test", 9), PATIENCE_S)
    assert isinstance(reply, NoReply)
    assert reply.reason == "refused"
