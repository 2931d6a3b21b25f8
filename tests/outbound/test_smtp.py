"""Mail against real servers on 127.0.0.1: what they get, which of their answers mean what, and where mail may go."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from tests.outbound.receivers import DEADLINE_S, LOCAL, PATIENCE_S, answers, self_signed
from tocsin.model.wire import NoReply, Reply, SmtpReply, SmtpRequest
from tocsin.outbound.address_guard import parse_allow_targets
from tocsin.outbound.http import parse_connect_to
from tocsin.outbound.smtp import MAX_CONNECTIONS, MAX_MAILS, Mail, may_dial

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")]

PASSWORD = "pa55-word-5ecret"
BODY = b"From: a@a.example\r\nSubject: x\r\n\r\n.dot\r\n..\r\nbare\nlf\r\n.\r\nend\r\n"


class Post:
    """A handler that keeps what it is handed, and answers as it is told: by recipient, or to the mail as a whole."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.sessions: list[Any] = []
        self.at_rcpt: dict[str, str] = {}
        self.at_data = "250 queued as 42"
        self.at_mail = ""

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's names
        self, server: SMTP, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        if session not in self.sessions:
            self.sessions.append(session)
        session.host_name = hostname
        return responses

    async def handle_MAIL(self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        if self.at_mail:
            return self.at_mail
        envelope.mail_from = address
        envelope.mail_options += options
        return "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        if address in self.at_rcpt:
            return self.at_rcpt[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(envelope)
        return self.at_data


class Server(Controller):
    """An aiosmtpd on a port that the system chose."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@contextmanager
def serving(post: Post, *, tls: ssl.SSLContext | None = None, **options: Any) -> Iterator[int]:
    """A server in a thread with a loop of its own; its port. `tls` is from the first byte."""
    loop = asyncio.SelectorEventLoop()
    server = Server(post, hostname="127.0.0.1", port=0, loop=loop, ssl_context=tls, **options)
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Line:
    """How many connections a scripted server saw."""

    port = 0
    connections = 0


@asynccontextmanager
async def scripted(talk: Talk) -> AsyncIterator[Line]:
    """A server that does what no decent one does."""
    line = Line()
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line.connections += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await talk(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    line.port = server.sockets[0].getsockname()[1]
    try:
        yield line
    finally:
        server.close()
        for task in tasks:
            task.cancel()


def script(*answers: str, end: str = "wait", greeting: str = "220 hello") -> Talk:
    """Greets, answers each line with the next of these, then waits or closes; after 354 a whole mail is one line."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{greeting}\r\n".encode())
        for answer in answers:
            await reader.readuntil(b"\r\n")
            writer.write(answer.encode() + b"\r\n")
            if answer.startswith("354"):
                await reader.readuntil(b"\r\n.\r\n")
                if end == "close after data":
                    return
        if end == "wait":
            await reader.read(-1)

    return talk


EHLO = "250-here\r\n250 SIZE 1000"
UP_TO_DATA = (EHLO, "250 sender ok", "250 recipient ok")


def request(port: int, **fields: Any) -> SmtpRequest:
    given: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "tls": "none",
        "username": "",
        "password": "",
        "sender": "alerts@tocsin.example",
        "recipients": ("ana@example.com",),
        "body": BODY,
    }
    return SmtpRequest(**(given | fields))


def silent(reply: Reply) -> NoReply:
    assert isinstance(reply, NoReply), reply
    return reply


def said(reply: Reply) -> SmtpReply:
    assert isinstance(reply, SmtpReply), reply
    return reply


# What arrives


async def test_the_mail_arrives_as_it_was_given() -> None:  # S1-16, S3-02
    post = Post()
    with serving(post) as port:
        async with Mail(allow=LOCAL) as mail:
            recipients = ("ana@example.com", "bob+x@example.org")
            reply = said(await mail.send(request(port, recipients=recipients), PATIENCE_S))
    assert reply == SmtpReply(250, b"queued as 42")
    (envelope,) = post.mails
    assert envelope.mail_from == "alerts@tocsin.example"
    assert envelope.rcpt_tos == list(recipients)
    assert envelope.content == BODY.replace(b"bare\nlf", b"bare\r\nlf")
    assert envelope.mail_options == [f"SIZE={len(envelope.content) + 3}"]  # each of three dots at a line's start twice
    assert post.sessions[0].host_name == "tocsin.example"


async def test_connections_are_kept_for_the_next_mail() -> None:
    post = Post()
    with serving(post) as port:
        async with Mail(allow=LOCAL) as mail:
            for _ in range(3):
                assert said(await mail.send(request(port), PATIENCE_S)).code == 250
            assert len(post.sessions) == 1
        assert len(post.mails) == 3


async def test_no_more_connections_than_a_server_likes() -> None:
    post = Post()
    with serving(post) as port:
        async with Mail(allow=LOCAL) as mail:
            many = [mail.send(request(port), PATIENCE_S) for _ in range(5 * MAX_CONNECTIONS)]
            assert {said(one).code for one in await asyncio.gather(*many)} == {250}
    assert 1 <= len(post.sessions) <= MAX_CONNECTIONS
    assert len(post.mails) == 5 * MAX_CONNECTIONS


async def test_a_connection_ends_after_so_many_mails_and_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    post = Post()
    monkeypatch.setattr("tocsin.outbound.smtp.MAX_MAILS", 2)
    with serving(post) as port:
        async with Mail(allow=LOCAL) as mail:
            for _ in range(4):
                said(await mail.send(request(port), PATIENCE_S))
            assert len(post.sessions) == 2
            monkeypatch.setattr("tocsin.outbound.smtp.MAX_AGE_S", 0.05)
            said(await mail.send(request(port), PATIENCE_S))
            assert mail._servers
            await asyncio.sleep(0.1)
            assert not mail._servers  # nothing is kept of a server that nobody writes to
    assert len(post.sessions) == 3
    assert MAX_MAILS == 100


async def test_connections_are_not_shared_between_users_nor_with_the_trusted() -> None:
    post = Post()
    with serving(post, **login()) as port:
        async with Mail(allow=LOCAL) as mail:
            good = request(port, username="ana", password=PASSWORD)
            assert said(await mail.send(good, PATIENCE_S)).code == 250
            for bad in ("wrong", "", PASSWORD + "x"):
                reply = said(await mail.send(request(port, username="ana", password=bad), PATIENCE_S))
                assert reply.code == 535
            assert said(await mail.send(good, PATIENCE_S)).code == 250
            assert len(post.mails) == 2
            opened = len(post.sessions)
            trusted = request(port, username="ana", password=PASSWORD, trusted=True)
            assert said(await mail.send(trusted, PATIENCE_S)).code == 250
            assert len(post.sessions) == opened + 1


def login() -> dict[str, Any]:
    """Options for a server that wants ana's password."""

    def check(server: SMTP, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        ok = given.login == b"ana" and given.password == PASSWORD.encode()
        return AuthResult(success=ok, handled=ok)

    return {"authenticator": check, "auth_required": True, "auth_require_tls": False}


# TLS


@pytest.mark.parametrize("way", ["tls", "starttls"])
async def test_tls_is_verified(way: str, tmp_path: Path) -> None:
    server, client = self_signed(tmp_path, "mail.example")
    _, stranger = self_signed(tmp_path, "other.example")
    options: dict[str, Any] = {"tls": server} if way == "tls" else {"tls_context": server, "require_starttls": True}
    post = Post()
    with serving(post, **options) as port:
        asked = request(port, host="mail.example", tls=way)
        resolve = answers(*[["127.0.0.1"]] * 3)
        async with Mail(allow=LOCAL, resolve=resolve, tls=client) as mail:
            assert said(await mail.send(asked, PATIENCE_S)).code == 250
            elsewhere = silent(await mail.send(request(port, host="evil.example", tls=way), PATIENCE_S))
        for wrong in (stranger, None):
            async with Mail(allow=LOCAL, resolve=answers(["127.0.0.1"]), tls=wrong) as mail:
                refused = silent(await mail.send(asked, PATIENCE_S))
                assert (refused.reason, refused.detail[:30]) == ("tls", "the certificate is self-signed")
    assert elsewhere == NoReply("tls", "the certificate is for another host name")
    assert len(post.mails) == 1


async def test_a_login_goes_over_starttls(tmp_path: Path) -> None:
    server, client = self_signed(tmp_path, "127.0.0.1")
    post = Post()
    options = login() | {"auth_require_tls": True, "tls_context": server, "require_starttls": True}
    with serving(post, **options) as port:
        async with Mail(allow=LOCAL, tls=client) as mail:
            asked = request(port, tls="starttls", username="ana", password=PASSWORD)
            assert said(await mail.send(asked, PATIENCE_S)).code == 250
            without = said(await mail.send(request(port, tls="starttls"), PATIENCE_S))
            assert without.code == 530


async def test_without_starttls_nothing_is_said() -> None:
    post = Post()
    with serving(post, **login()) as port:
        async with Mail(allow=LOCAL) as mail:
            asked = request(port, tls="starttls", username="ana", password=PASSWORD)
            assert silent(await mail.send(asked, PATIENCE_S)) == NoReply("tls", "the server does not offer STARTTLS")
    assert post.mails == []


async def test_a_server_that_speaks_no_tls() -> None:
    async with scripted(script()) as line, Mail(allow=LOCAL) as mail:
        reply = silent(await mail.send(request(line.port, tls="tls"), PATIENCE_S))
    assert (reply.reason, reply.maybe_received) == ("tls", False)


async def test_starttls_that_is_refused_ends_it() -> None:
    talk = script("250-here\r\n250 STARTTLS", "454 TLS not available")
    async with scripted(talk) as line, Mail(allow=LOCAL) as mail:
        assert said(await mail.send(request(line.port, tls="starttls"), PATIENCE_S)).code == 454


# Refusals


async def test_some_are_refused_and_the_others_get_it() -> None:
    post = Post()
    post.at_rcpt["gone@example.com"] = "550 5.1.1 no such user"
    post.at_rcpt["later@example.com"] = "450 4.2.0 try later"
    with serving(post) as port:
        async with Mail(allow=LOCAL) as mail:
            everybody = ("gone@example.com", "ana@example.com", "later@example.com")
            some = said(await mail.send(request(port, recipients=everybody), PATIENCE_S))
            none = said(await mail.send(request(port, recipients=everybody[:1]), PATIENCE_S))
            later = said(await mail.send(request(port, recipients=everybody[::2]), PATIENCE_S))
            after = said(await mail.send(request(port), PATIENCE_S))
    assert some == SmtpReply(250, b"queued as 42\nrefused 2 of 3: 550 5.1.1 no such user")
    assert none == SmtpReply(550, b"5.1.1 no such user\nrefused 1 of 1")
    assert later == SmtpReply(450, b"4.2.0 try later\nrefused 2 of 2")
    assert after.code == 250
    assert [one.rcpt_tos for one in post.mails] == [["ana@example.com"]] * 2
    assert len(post.sessions) == 1


async def test_a_mail_that_is_too_large_or_unwelcome() -> None:
    post = Post()
    with serving(post, data_size_limit=50) as port:
        async with Mail(allow=LOCAL) as mail:
            assert said(await mail.send(request(port), PATIENCE_S)).code == 552
    assert post.mails == []
    post = Post()
    post.at_data = "554 5.7.1 looks like spam"
    with serving(post) as port:
        async with Mail(allow=LOCAL) as mail:
            assert said(await mail.send(request(port), PATIENCE_S)) == SmtpReply(554, b"5.7.1 looks like spam")
            post.at_mail = "451 4.3.0 later"
            assert said(await mail.send(request(port), PATIENCE_S)).code == 451


@pytest.mark.parametrize("greeting, code", [("421 too many", 421), ("554 go away", 554)])
async def test_a_server_that_does_not_greet(greeting: str, code: int) -> None:
    async with scripted(script(greeting=greeting)) as line, Mail(allow=LOCAL) as mail:
        assert said(await mail.send(request(line.port), PATIENCE_S)).code == code


NONSENSE = [
    script(greeting="250 not a greeting"),
    script(greeting="hello"),
    script(greeting="220 " + "x" * 100_000),
    script(EHLO, "354 not yet"),
    script(EHLO, "250 ok", "354 not yet"),
    script(EHLO, "250 ok", "250 ok", "250 no 354 first"),
    script(EHLO, "999 ok"),
]


@pytest.mark.parametrize("talk", NONSENSE, ids=range(len(NONSENSE)))
async def test_nonsense_is_never_a_success(talk: Talk) -> None:
    async with scripted(talk) as line, Mail(allow=LOCAL) as mail:
        reply = silent(await mail.send(request(line.port), PATIENCE_S))
    assert reply == NoReply("protocol", "the answer was not valid SMTP")


async def test_nonsense_after_the_mail_leaves_it_open() -> None:
    async with scripted(talk_after_data("334 what")) as line, Mail(allow=LOCAL) as mail:
        reply = silent(await mail.send(request(line.port), PATIENCE_S))
    assert reply == NoReply("protocol", "the answer was not valid SMTP", maybe_received=True)


def talk_after_data(answer: str) -> Talk:
    """Takes a mail and answers it so."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await script(*UP_TO_DATA, "354 go", end="go on")(reader, writer)
        writer.write(answer.encode() + b"\r\n")
        await reader.read(-1)

    return talk


# Connections that break


async def test_a_server_that_dies_after_the_mail_may_have_it() -> None:
    async with scripted(script(*UP_TO_DATA, "354 go", end="close after data")) as line, Mail(allow=LOCAL) as mail:
        reply = silent(await mail.send(request(line.port), PATIENCE_S))
    assert reply == NoReply("reset", "the connection was closed before the answer", maybe_received=True)


@pytest.mark.parametrize("answers", [UP_TO_DATA[:1], UP_TO_DATA[:2], UP_TO_DATA], ids=["mail", "rcpt", "data"])
async def test_a_server_that_dies_before_the_mail_does_not(answers: tuple[str, ...]) -> None:
    async with scripted(script(*answers, end="close")) as line, Mail(allow=LOCAL) as mail:
        reply = silent(await mail.send(request(line.port), PATIENCE_S))
    assert reply == NoReply("reset", "the connection was closed before the answer")


@pytest.mark.parametrize("answers, received", [((), False), (UP_TO_DATA, False), ((*UP_TO_DATA, "354 go"), True)])
async def test_a_server_that_says_nothing_more(answers: tuple[str, ...], received: bool) -> None:
    async with scripted(script(*answers)) as line, Mail(allow=LOCAL) as mail:
        began = time.monotonic()
        reply = silent(await mail.send(request(line.port), DEADLINE_S))
        assert time.monotonic() - began < DEADLINE_S + 1
        assert not mail._busy
    assert reply == NoReply("timeout", "no whole answer in time", maybe_received=received)


def once_then(last: Callable[[asyncio.StreamWriter], None]) -> Talk:
    """Takes one mail; then the connection goes bad."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await script(*UP_TO_DATA, "354 go", end="go on")(reader, writer)
        writer.write(b"250 queued\r\n")
        await writer.drain()
        last(writer)
        with suppress(ConnectionError):
            await reader.read(-1)

    return talk


def say_421_and_close(writer: asyncio.StreamWriter) -> None:
    writer.write(b"421 idle\r\n")
    writer.close()


async def answer_421(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await script(*UP_TO_DATA, "354 go", end="go on")(reader, writer)
    writer.write(b"250 queued\r\n")
    await reader.readuntil(b"RSET\r\n")
    writer.write(b"421 4.4.2 idle for too long\r\n")


BROKEN_WHILE_IDLE: dict[str, Talk] = {
    "closed": once_then(lambda writer: writer.close()),
    "reset": once_then(lambda writer: writer.transport.abort()),
    "421 and closed": once_then(say_421_and_close),
    "421 to the next word": answer_421,
}


@pytest.mark.parametrize("talk", BROKEN_WHILE_IDLE.values(), ids=BROKEN_WHILE_IDLE)
async def test_a_kept_connection_that_went_bad_costs_no_mail(talk: Talk) -> None:
    async with scripted(talk) as line, Mail(allow=LOCAL) as mail:
        for number in (1, 2):
            assert said(await mail.send(request(line.port), PATIENCE_S)) == SmtpReply(250, b"queued")
            assert line.connections == number
            await asyncio.sleep(0.02)


async def test_what_waits_for_a_connection_keeps_its_deadline() -> None:
    async with scripted(script()) as line, Mail(allow=LOCAL) as mail:
        holding = [asyncio.ensure_future(mail.send(request(line.port), 2 * DEADLINE_S)) for _ in range(MAX_CONNECTIONS)]
        await asyncio.sleep(DEADLINE_S / 3)
        waiting = [mail.send(request(line.port), DEADLINE_S) for _ in range(2 * MAX_CONNECTIONS)]
        replies = await asyncio.gather(*waiting)
        assert line.connections == MAX_CONNECTIONS
        replies += await asyncio.gather(*holding)
        assert {silent(one) for one in replies} == {NoReply("timeout", "no whole answer in time")}
        assert not mail._servers


async def test_closing_ends_what_is_under_way_and_lets_go_of_the_rest() -> None:
    post = Post()
    with serving(post) as port:
        async with scripted(script(*UP_TO_DATA, "354 go")) as line:
            mail = Mail(allow=LOCAL)
            said(await mail.send(request(port), PATIENCE_S))
            under_way = asyncio.ensure_future(mail.send(request(line.port), PATIENCE_S))
            await asyncio.sleep(0.1)
            await mail.close()
            reply = silent(await under_way)
            assert (reply.reason, reply.maybe_received) == ("reset", True)
            assert silent(await mail.send(request(port), PATIENCE_S)).reason == "refused"


async def test_nobody_listens() -> None:
    async with scripted(script()) as line:
        closed = line.port
    async with Mail(allow=LOCAL) as mail:
        reply = silent(await mail.send(request(closed), PATIENCE_S))
    assert reply == NoReply("refused", "the connection was refused or the host cannot be reached")


# Logging in


@pytest.mark.parametrize("methods", [["PLAIN"], ["LOGIN"], ["CRAM-MD5"], ["PLAIN", "LOGIN", "CRAM-MD5"]], ids="/".join)
async def test_a_wrong_password_is_tried_once(methods: list[str]) -> None:
    tried: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await reader.readuntil(b"\r\n")
        writer.write(f"250-here\r\n250 AUTH {' '.join(methods)}\r\n".encode())
        while line := await reader.readuntil(b"\r\n"):
            if line.startswith(b"AUTH"):
                tried.append(line.split()[1])
            first = line.startswith((b"AUTH LOGIN", b"AUTH CRAM"))
            writer.write(b"334 PDEyMz4=\r\n" if first else b"535 5.7.8 wrong\r\n")

    async with scripted(talk) as line, Mail(allow=LOCAL) as mail:
        reply = said(await mail.send(request(line.port, username="ana", password=PASSWORD), PATIENCE_S))
    assert reply == SmtpReply(535, b"5.7.8 wrong")
    assert tried == [methods[-1].encode()]  # unencrypted, the one that does not show the password comes first


async def test_a_way_that_the_server_only_claims_is_passed_over() -> None:
    talk = script("250-here\r\n250 AUTH CRAM-MD5 PLAIN", "504 no such way", "535 wrong")
    async with scripted(talk) as line, Mail(allow=LOCAL) as mail:
        assert said(await mail.send(request(line.port, username="ana", password=PASSWORD), PATIENCE_S)).code == 535


async def test_a_server_without_logins() -> None:
    async with scripted(script("250 here")) as line, Mail(allow=LOCAL) as mail:
        reply = silent(await mail.send(request(line.port, username="ana", password=PASSWORD), PATIENCE_S))
    assert reply == NoReply("protocol", "the server offers no way to log in that Tocsin knows")


# Where mail may go


async def test_a_private_server_is_only_for_the_operator() -> None:  # S1-14
    post = Post()
    with serving(post) as port:
        async with Mail() as mail:
            blocked = silent(await mail.send(request(port, tls="starttls"), PATIENCE_S))
            plain = silent(await mail.send(request(port), PATIENCE_S))
            local = silent(await mail.send(request(port, host="localhost", tls="starttls"), PATIENCE_S))
            assert post.sessions == []
            assert said(await mail.send(request(port, trusted=True), PATIENCE_S)).code == 250
            assert said(await mail.send(request(port, host="localhost", trusted=True), PATIENCE_S)).code == 250
    assert blocked == local == NoReply("blocked", "the address guard refused the target")
    assert plain.reason == "blocked"
    assert "TLS" in plain.detail


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:127.0.0.1"], ["169.254.169.254"], ["not an address"]]
)
async def test_every_answer_of_a_name_has_to_be_public(found: list[str]) -> None:
    async with Mail(resolve=answers(found)) as mail:
        reply = silent(await mail.send(request(587, host="spoofed.test", tls="starttls"), PATIENCE_S))
    assert reply == NoReply("blocked", "the address guard refused the target")


async def test_not_even_the_operator_reaches_the_metadata() -> None:
    async with Mail(resolve=answers(["169.254.169.254"])) as mail:
        for host in ("metadata.test", "169.254.169.254", "::ffff:169.254.169.254"):
            reply = silent(await mail.send(request(587, host=host, trusted=True), PATIENCE_S))
            assert reply.reason == "blocked"


@pytest.mark.parametrize(
    "address, port, allow, trusted, may",
    [
        ("8.8.8.8", 25, "", False, True),
        ("8.8.8.8", 465, "", False, True),
        ("8.8.8.8", 587, "", False, True),
        ("8.8.8.8", 2525, "", False, True),
        ("2606:4700::1111", 587, "", False, True),
        ("8.8.8.8", 22, "", False, False),
        ("8.8.8.8", 6379, "", False, False),
        ("8.8.8.8", 22, "", True, True),
        ("10.0.0.5", 587, "", False, False),
        ("10.0.0.5", 587, "10.0.0.0/8", False, True),
        ("10.0.0.5", 587, "10.0.0.5/32:587", False, True),
        ("10.0.0.5", 587, "10.0.0.5/32:443", False, False),
        ("10.0.0.5", 587, "", True, True),
        ("127.0.0.1", 25, "", True, True),
        ("169.254.169.254", 587, "169.254.0.0/16", True, False),
        ("fd00:ec2::254", 587, "", True, False),
    ],
)
def test_which_addresses_may_be_dialled(address: str, port: int, allow: str, trusted: bool, may: bool) -> None:
    assert may_dial(address, port, parse_allow_targets(allow), trusted=trusted) is may


async def test_without_tls_mail_goes_only_where_it_is_allowed() -> None:
    async with Mail(resolve=answers(["8.8.8.8"])) as mail:
        reply = silent(await mail.send(request(25, host="mail.test"), PATIENCE_S))
    assert reply == NoReply("blocked", "without TLS mail goes only where TOCSIN_ALLOW_TARGETS names the server")


async def test_connect_to_leads_a_host_elsewhere(tmp_path: Path) -> None:
    post = Post()
    with serving(post) as port:
        connect_to = parse_connect_to(f"mail.example=http://127.0.0.1:{port}")
        async with Mail(connect_to=connect_to, resolve=answers(["127.0.0.1"])) as mail:
            asked = request(587, host="Mail.Example", tls="starttls")
            assert said(await mail.send(asked, PATIENCE_S)).code == 250
            # The diversion opens nothing for anybody else.
            direct = silent(await mail.send(request(port, tls="starttls"), PATIENCE_S))
            other = silent(await mail.send(request(port, host="evil.test", tls="starttls"), PATIENCE_S))
    assert (direct.reason, other.reason) == ("blocked", "blocked")
    server, client = self_signed(tmp_path, "127.0.0.1")
    with serving(post, tls_context=server, require_starttls=True) as port:
        connect_to = parse_connect_to(f"mail.example=https://127.0.0.1:{port}")
        async with Mail(connect_to=connect_to, tls=client) as mail:
            assert said(await mail.send(request(587, host="mail.example", tls="starttls"), PATIENCE_S)).code == 250
    assert len(post.mails) == 2


async def test_a_name_without_addresses() -> None:
    async with Mail(resolve=answers([])) as mail:
        reply = silent(await mail.send(request(587, host="nowhere.test", tls="starttls"), PATIENCE_S))
    assert reply == NoReply("dns", "the host name has no address")


# Nothing can be smuggled in


@pytest.mark.parametrize(
    "fields",
    [
        {"recipients": ("ana@example.com>\r\nRCPT TO:<eve@evil.example",)},
        {"recipients": ("ana@example.com> SIZE=1",)},
        {"recipients": ("ana@example.com", "a b@example.com")},
        {"recipients": ("<ana@example.com>",)},
        {"recipients": ("ana@example.com\x00",)},
        {"recipients": ("änä@example.com",)},
        {"recipients": ()},
        {"sender": "a@b\r\nDATA"},
        {"sender": ""},
        {"host": "127.0.0.1\r\n"},
        {"host": "a b"},
        {"host": ""},
        {"port": 0},
        {"username": "ana\r\nX", "password": PASSWORD},
        {"username": "ana", "password": f"{PASSWORD}\x00x"},
    ],
    ids=str,
)
async def test_smuggled_words_never_leave(fields: dict[str, Any]) -> None:
    async with scripted(script()) as line, Mail(allow=LOCAL) as mail:
        reply = silent(await mail.send(request(fields.pop("port", line.port), **fields), PATIENCE_S))
        assert line.connections == 0
    assert (reply.reason, reply.maybe_received) == ("invalid", False)
    assert "example" not in reply.detail
    assert PASSWORD not in reply.detail


@pytest.mark.parametrize("ending", [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r\n"])
async def test_no_mail_ends_another_early(ending: bytes) -> None:
    """https://sec-consult.com/blog/detail/smtp-smuggling-spoofing-e-mails-worldwide/"""
    post = Post()
    smuggled = (
        b"Subject: one\r\n\r\nfirst" + ending + b"MAIL FROM:<eve@evil.example>\r\nRCPT TO:<x@y.example>\r\nDATA\r\n"
    )
    with serving(post) as port:
        async with Mail(allow=LOCAL) as mail:
            assert said(await mail.send(request(port, body=smuggled), PATIENCE_S)).code == 250
    assert len(post.mails) == 1
    assert b"eve@evil.example" in post.mails[0].content


async def test_nothing_that_is_said_of_it_holds_a_secret() -> None:
    asked = request(1, username="ana", password=PASSWORD)
    async with Mail(allow=LOCAL) as mail:
        reply = silent(await mail.send(asked, PATIENCE_S))
        assert PASSWORD not in repr((asked, reply, list(mail._servers), mail))
