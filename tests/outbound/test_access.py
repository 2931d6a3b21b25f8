"""Ways into an endpoint: logins, tokens and certificates, against real sockets."""

import asyncio
import datetime
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.outbound.certificates import Authority
from tests.outbound.receivers import (
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
    receiving,
)
from tocsin.model.errors import Invalid
from tocsin.model.wire import Basic, Bearer, ClientCredentials, Credentials, HttpReply, HttpRequest, NoReply, Reply, Tls
from tocsin.outbound.http import Outbound
from tocsin.outbound.tls import CONTEXTS, Contexts, system_trust
from tocsin.outbound.tokens import Tokens

pytestmark = pytest.mark.anyio


def with_(url: str, credentials: Credentials | None = None, tls: Tls | None = None) -> HttpRequest:
    return replace(post(url), credentials=credentials, tls=tls)


def answer(status: int, body: str) -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def header(request: bytes, name: str) -> str:
    head = request.partition(b"\r\n\r\n")[0].decode()
    found = [line.partition(": ")[2] for line in head.split("\r\n")[1:] if line.lower().startswith(f"{name}:")]
    assert len(found) == 1, head
    return found[0]


# Logins


@pytest.mark.parametrize(
    "credentials, value",
    [
        (Basic("Aladdin", "open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),  # RFC 7617, 2
        (Basic("test", "123£"), "Basic dGVzdDoxMjPCow=="),  # RFC 7617, 2.1
        (Bearer("mF_9.B5f-4.1JqM"), "Bearer mF_9.B5f-4.1JqM"),  # RFC 6750, 2.1
    ],
)
async def test_a_login_becomes_a_header_and_is_not_echoed_to_anybody(credentials: Basic | Bearer, value: str) -> None:
    async with receiving(answer(400, f"not you: {value}")) as receiver, Outbound(allow=LOCAL) as outbound:
        reply = http_reply(await outbound.send(with_(receiver.url(), credentials), PATIENCE_S))
    assert header(receiver.requests[0], "authorization") == value
    assert reply.body == f"not you: {value.partition(' ')[0]} ***".encode()


async def test_two_logins_are_none() -> None:
    request = replace(post("https://a.test/", ("Authorization", "x")), credentials=Bearer("y"))
    async with Outbound(resolve=answers(["93.184.216.34"])) as outbound:
        assert no_reply(await outbound.send(request, PATIENCE_S)).reason == "invalid"


# Tokens by OAuth 2.0 client credentials


def client(token: Receiver, in_body: bool = False) -> ClientCredentials:
    return ClientCredentials(token.url("/token"), "me:too", f"{SECRET}/+", ("a", "b"), "https://api", in_body)


def tokens(*values: str, lifetime: str = "3600") -> tuple[Behaviour, list[str]]:
    """A token endpoint that gives these tokens, one after the other, and says how many are left."""
    left = list(values)

    async def give(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = f'{{"access_token": "{left.pop(0)}", "token_type": "Bearer", "expires_in": {lifetime}}}'
        writer.write(answer(200, body).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        await writer.drain()

    return give, left


async def test_a_token_is_asked_for_once_and_used_until_it_ends() -> None:
    give, left = tokens("first", "second")
    async with receiving(give) as issuer, receiving() as receiver, Outbound(allow=LOCAL) as outbound:
        request = with_(receiver.url(), client(issuer))
        replies = await asyncio.gather(*(outbound.send(request, PATIENCE_S) for _ in range(20)))
        replies.append(await outbound.send(request, PATIENCE_S))
    assert {http_reply(reply).status for reply in replies} == {200}
    assert {header(one, "authorization") for one in receiver.requests} == {"Bearer first"}
    assert (len(receiver.requests), left) == (21, ["second"])
    (asked,) = issuer.requests
    head, _, form = asked.decode().partition("\r\n\r\n")
    assert head.startswith("POST /token HTTP/1.1")
    # RFC 6749, 2.3.1: both are form-encoded first
    assert header(asked, "authorization") == "Basic bWUlM0F0b286VDBLRU4tNWVjcmV0JTJGJTJC"
    assert form == "grant_type=client_credentials&scope=a+b&audience=https%3A%2F%2Fapi"


async def test_the_secret_may_stand_in_the_body() -> None:
    give, _ = tokens("first")
    async with receiving(give) as issuer, receiving() as receiver, Outbound(allow=LOCAL) as outbound:
        http_reply(await outbound.send(with_(receiver.url(), client(issuer, in_body=True)), PATIENCE_S))
    assert b"client_id=me%3Atoo&client_secret=T0KEN-5ecret%2F%2B" in issuer.requests[0]
    assert b"authorization" not in issuer.requests[0].lower()


async def test_a_token_that_has_ended_is_not_used() -> None:
    give, _ = tokens("first", "second", lifetime='"0"')
    async with receiving(give) as issuer, receiving() as receiver, Outbound(allow=LOCAL) as outbound:
        for _ in range(2):
            http_reply(await outbound.send(with_(receiver.url(), client(issuer)), PATIENCE_S))
    assert [header(one, "authorization") for one in receiver.requests] == ["Bearer first", "Bearer second"]


def only(token: str) -> Behaviour:
    """A receiver that takes this token alone, and echoes what it got."""

    async def check(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = receiver_of[check].requests[-1]
        good = header(request, "authorization") == f"Bearer {token}"
        body = header(request, "authorization")
        writer.write(answer(200 if good else 401, body).replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        await writer.drain()

    return check


receiver_of: dict[Behaviour, Receiver] = {}


async def test_a_401_asks_for_another_token_once() -> None:
    give, left = tokens("first", "second", "third")
    check = only("second")
    async with receiving(give) as issuer, receiving(check) as receiver, Outbound(allow=LOCAL) as outbound:
        receiver_of[check] = receiver
        first = http_reply(await outbound.send(with_(receiver.url(), client(issuer)), PATIENCE_S))
        assert (first.status, first.body) == (401, b"Bearer ***")  # it was new: another would not help
        second = http_reply(await outbound.send(with_(receiver.url(), client(issuer)), PATIENCE_S))
        assert (second.status, second.body) == (200, b"Bearer ***")
    assert len(receiver.requests) == 3
    assert left == ["third"]


@pytest.mark.parametrize(
    "said, detail",
    [
        (answer(401, '{"error": "invalid_client"}'), "the token endpoint answered 401 (invalid_client)"),
        (answer(400, f'{{"error": "{SECRET}"}}'), "the token endpoint answered 400"),
        (answer(500, SECRET), "the token endpoint answered 500"),
        (answer(302, ""), "the token endpoint answered 302"),
        (answer(200, "{}"), "the token endpoint's answer holds no bearer token"),
        (answer(200, "[" * 100_000), "the token endpoint's answer holds no bearer token"),
        (answer(200, '{"access_token": "a b"}'), "the token endpoint's answer holds no bearer token"),
        (answer(200, '{"access_token": "a\\r\\nX: y"}'), "the token endpoint's answer holds no bearer token"),
        (
            answer(200, '{"access_token": "a", "token_type": "mac"}'),
            "the token endpoint's answer holds no bearer token",
        ),
        (b"nonsense\r\n\r\n", "the token endpoint: protocol: the answer was not valid HTTP"),
    ],
)
async def test_without_a_token_nothing_is_sent_and_the_reason_is_told(said: bytes, detail: str) -> None:
    async with receiving(said) as issuer, receiving() as receiver, Outbound(allow=LOCAL) as outbound:
        reply = no_reply(await outbound.send(with_(receiver.url(), client(issuer)), PATIENCE_S))
    assert reply == NoReply("credentials", detail)
    assert receiver.connections == 0


async def test_a_token_endpoint_that_hangs_counts_inside_the_deadline() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with receiving(hang) as issuer, receiving() as receiver, Outbound(allow=LOCAL) as outbound:
        reply = no_reply(await outbound.send(with_(receiver.url(), client(issuer)), 0.1))
    assert reply == NoReply("credentials", "the token endpoint gave no answer in time")
    assert receiver.connections == 0


async def test_the_token_endpoint_is_behind_the_same_guard() -> None:  # S12
    give, left = tokens("first")
    async with receiving(give) as issuer, Outbound(resolve=answers(["127.0.0.1"], ["127.0.0.1"])) as outbound:
        for url in (issuer.url(), issuer.url(scheme="https"), f"https://issuer.test:{issuer.port}/token"):
            request = with_("https://93.184.216.34/", ClientCredentials(url, "me", SECRET))
            reply = no_reply(await outbound.send(request, PATIENCE_S))
            assert reply.reason in ("invalid", "blocked")
            assert "token endpoint" in reply.detail
    assert (issuer.connections, left) == (0, ["first"])


# Certificates


@contextmanager
def serving_tls(context: ssl.SSLContext) -> Iterator[Receiver]:
    """A receiver that says why it does not go on: asyncio's servers close without a word where a handshake fails."""
    receiver = Receiver()
    listening = socket.create_server(("127.0.0.1", 0))
    receiver.port = listening.getsockname()[1]

    def serve() -> None:
        while True:
            try:
                accepted, _ = listening.accept()
            except OSError:
                return
            receiver.connections += 1
            accepted.settimeout(PATIENCE_S)
            with suppress(OSError), context.wrap_socket(accepted, server_side=True) as secured:
                receiver.requests.append(secured.recv(65_536))
                secured.sendall(OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(PATIENCE_S)


def trusting(authority: Authority, resolve: Sequence[str] = ("127.0.0.1",)) -> AbstractAsyncContextManager[Outbound]:
    trust = system_trust()
    trust.load_verify_locations(cadata=authority.certificate)
    return Outbound(allow=LOCAL, tls=trust, resolve=answers(*[resolve] * 9))


async def send_tls(outbound: Outbound, receiver: Receiver, tls: Tls | None = None, host: str = "127.0.0.1") -> Reply:
    return await outbound.send(with_(f"https://{host}:{receiver.port}/", tls=tls), PATIENCE_S)


async def test_mutual_tls_with_a_ca_of_its_own(tmp_path: Path) -> None:
    authority, clients, strangers = Authority(), Authority("clients"), Authority("strangers")
    context = authority.issue().server(tmp_path)
    context.load_verify_locations(cadata=clients.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    mine, other = clients.issue("me.test"), strangers.issue("me.test")
    ca = authority.certificate
    with serving_tls(context) as receiver:
        async with Outbound(allow=LOCAL) as outbound:
            good = await send_tls(outbound, receiver, Tls(mine.certificate, mine.key, ca))
            assert http_reply(good).status == 200
            refused = no_reply(await send_tls(outbound, receiver, Tls(other.certificate, other.key, ca)))
            without = no_reply(await send_tls(outbound, receiver, Tls(ca=ca)))
            untrusted = no_reply(await send_tls(outbound, receiver, Tls(mine.certificate, mine.key)))
    assert len(receiver.requests) == 1
    assert (refused.reason, refused.detail) == (
        "tls",
        "the receiver refused the client certificate: its CA is unknown there",
    )
    assert (without.reason, without.detail) == (
        "tls",
        "the receiver asks for a client certificate: set `client_certificate` and `client_key`",
    )
    assert "unknown CA" in untrusted.detail


async def test_a_connection_with_one_certificate_is_not_used_for_another(tmp_path: Path) -> None:
    authority, clients = Authority(), Authority("clients")
    context = authority.issue().server(tmp_path)
    context.load_verify_locations(cadata=clients.certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    one, two = clients.issue("one.test"), clients.issue("two.test")
    async with receiving(tls=context) as receiver, trusting(authority) as outbound:
        for tls in (Tls(one.certificate, one.key), Tls(two.certificate, two.key), None) * 2:
            ca = authority.certificate
            http_reply(await send_tls(outbound, receiver, tls and replace(tls, ca=ca)))
    assert (receiver.connections, len(receiver.requests)) == (3, 6)


async def test_an_endpoints_ca_takes_the_place_of_the_others(tmp_path: Path) -> None:
    authority, other = Authority(), Authority("other")
    async with receiving(tls=authority.issue().server(tmp_path)) as receiver, trusting(authority) as outbound:
        assert http_reply(await send_tls(outbound, receiver)).status == 200
        assert "unknown CA" in no_reply(await send_tls(outbound, receiver, Tls(ca=other.certificate))).detail


YEAR = datetime.timedelta(days=365)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize(
    "fault, detail",
    [
        ("expired", "the certificate has expired: the receiver has to renew it"),
        ("early", "the certificate is not valid yet"),
        ("host", "the certificate is for another host name"),
        ("address", "the certificate is for another address"),
        ("unknown", "the certificate is of an unknown CA"),
        ("old", "the receiver does not speak TLS 1.2 or newer"),
    ],
)
async def test_faults_of_tls_are_told_apart(fault: str, detail: str, tmp_path: Path) -> None:  # F28
    authority = Authority()
    now = datetime.datetime.now(datetime.UTC)
    host = "127.0.0.1" if fault == "address" else "hooks.test"
    made = {
        "expired": lambda: authority.issue(host, now - 2 * YEAR, now - YEAR),
        "early": lambda: authority.issue(host, now + YEAR, now + 2 * YEAR),
        "host": lambda: authority.issue("other.test"),
        "address": lambda: authority.issue("127.0.0.2"),
        "unknown": lambda: Authority("another").issue(host),
        "old": lambda: authority.issue(host),
    }[fault]()
    context = made.server(tmp_path)
    if fault == "old":
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
    with serving_tls(context) as receiver:
        async with trusting(authority) as outbound:
            reply = no_reply(await send_tls(outbound, receiver, host=host))
    assert (reply.reason, reply.maybe_received, receiver.requests) == ("tls", False, [])
    assert reply.detail.startswith(detail)


async def test_an_alert_about_the_name_is_told(tmp_path: Path) -> None:  # F28
    context = Authority().issue().server(tmp_path)
    context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
    with serving_tls(context) as receiver:
        async with trusting(Authority()) as outbound:
            reply = no_reply(await send_tls(outbound, receiver, host="hooks.test"))
    assert reply == NoReply("tls", "the receiver does not know this host name")


async def test_the_operators_cas_are_trusted_beside_the_systems(tmp_path: Path) -> None:
    authority = Authority()
    file = tmp_path / "ca.pem"
    file.write_text(authority.certificate)
    known = len(ssl.create_default_context().get_ca_certs())
    assert len(system_trust(str(file)).get_ca_certs()) == known + 1
    context = authority.issue().server(tmp_path)
    async with receiving(tls=context) as receiver, Outbound(allow=LOCAL, ca_file=str(file)) as outbound:
        assert http_reply(await send_tls(outbound, receiver)).status == 200


@pytest.mark.parametrize("content", [None, "", "nonsense"])
def test_a_ca_file_that_is_none_is_named(content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(Invalid, match="TOCSIN_CA_FILE"):
        system_trust(str(file))


async def test_what_is_no_certificate_is_not_sent_with() -> None:
    good = Authority().issue()
    async with receiving(OK) as receiver, Outbound(allow=LOCAL) as outbound:
        for tls in (Tls("nonsense", SECRET), Tls(good.certificate, Authority().issue().key), Tls(ca="nonsense")):
            reply = no_reply(await send_tls(outbound, receiver, tls))
            assert reply.reason == "invalid"
            assert SECRET not in repr((reply, tls))
    assert receiver.connections == 0


def test_contexts_are_bounded_and_made_once() -> None:
    contexts = Contexts(ssl.create_default_context())
    ca = Authority().certificate
    first = contexts.of(Tls(ca=ca))
    assert contexts.of(Tls(ca=ca)) is first
    for number in range(CONTEXTS + 5):
        contexts.of(Tls(ca=ca + "\n" * number))
    assert contexts.of.cache_info().currsize == CONTEXTS


async def test_tokens_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.outbound.tokens.MAX_TOKENS", 2)
    asked: list[bytes] = []

    async def send(request: HttpRequest, timeout_s: float) -> Reply:
        asked.append(request.body)
        return HttpReply(200, {}, b'{"access_token": "t"}')

    tokens_ = Tokens(send)
    clients = [ClientCredentials("https://a.test/", str(number), SECRET) for number in range(3)]
    for one in (*clients, clients[2], clients[0]):
        assert (await tokens_.get(one, PATIENCE_S))[0] == "t"
    assert len(asked) == 4  # the third was kept, the first had to go
    await tokens_.close()


async def test_whoever_gives_up_takes_the_token_from_nobody() -> None:
    go = asyncio.Event()

    async def send(request: HttpRequest, timeout_s: float) -> Reply:
        await go.wait()
        return HttpReply(200, {}, b'{"access_token": "t", "expires_in": null}')

    tokens_ = Tokens(send)
    one = ClientCredentials("https://a.test/", "me", SECRET)
    patient = asyncio.create_task(tokens_.get(one, PATIENCE_S))
    with pytest.raises(TimeoutError):
        await tokens_.get(one, 0.01)
    go.set()
    assert await patient == ("t", True)
    assert await tokens_.get(one, PATIENCE_S) == ("t", False)
    await tokens_.close()
