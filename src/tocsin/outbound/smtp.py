"""Mail to mail servers: a few kept connections to each, every address vetted as it is dialled, one try per call.

Protocol:  https://www.rfc-editor.org/rfc/rfc5321, STARTTLS https://www.rfc-editor.org/rfc/rfc3207
Login:     https://www.rfc-editor.org/rfc/rfc4954

Whatever the network does comes back as a value, and its detail is a fixed text: no address, no name, no password.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from types import TracebackType

import aiosmtplib
from aiosmtplib import SMTPAuthenticationError, SMTPResponse, SMTPResponseException
from msgspec import Struct
from msgspec.structs import replace
from yarl import URL

from tocsin.model.errors import Invalid
from tocsin.model.hidden import Hidden
from tocsin.model.wire import NoReply, NoReplyReason, SmtpReply, SmtpRequest
from tocsin.outbound.address_guard import PUBLIC, Allowed, is_reachable, is_this_machine, refusal
from tocsin.outbound.http import CONNECT_S, MAX_ADDRESSES, Lookup, Resolve
from tocsin.outbound.proxy import Proxy, Refused, tunnel
from tocsin.outbound.tls import mail_trust, trouble

MAX_CONNECTIONS = 4
"""To one server as one user: enough for a burst, and few enough that no server takes it for an attack."""
MAX_AGE_S = 60.0
"""How long a connection is kept, used or not. Postfix drops idle ones after 300 s, or after 10 when it is pressed:
https://www.postfix.org/postconf.5.html#smtpd_timeout"""
MAX_MAILS = 100
"""Over one connection, then a fresh one: servers count them."""
MAX_WORDS = 2000
"""Bytes of an answer's words that are kept."""
MAIL_PORTS = frozenset({25, 465, 587})
"""Below 1024, where the address guard lets nothing else through."""

_HOST = re.compile(r"[A-Za-z0-9_:](?:[A-Za-z0-9_.:-]{0,252})")
_MAILBOX = re.compile(r"[!#-;=?A-~]{1,64}@[A-Za-z0-9.-]{1,253}")  # nothing that could end `<…>` or the line
_UNTYPED = re.compile(r"[\x00-\x1f\x7f]")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_NO_SUCH_METHOD = frozenset({500, 501, 502, 503, 504, 534})


class _Blocked(Exception):
    """The address guard refused an address."""


class _Plain(Exception):
    """Without TLS, a server that is neither the operator's nor allowed by name."""


class _NoStartTls(Exception):
    """The server does not offer STARTTLS; going on without it would be what an attacker in between wants."""


class _Nonsense(Exception):
    """An answer that does not belong to what was asked, such as "250" where 354 has to come."""


class _NoLogin(Exception):
    """There is a login, and the server offers no way to log in that we know."""


class _Key(Hidden, frozen=True):
    """Who may share a connection: the same server, by the same way, as the same user, reached with the same trust."""

    host: str
    port: int
    tls: str
    username: str
    password: str
    trusted: bool


class _Way(Struct, frozen=True):
    """Where to dial, what to speak there, and the name that its certificate must have. `by_proxy`: the proxy dials."""

    addresses: Sequence[str]
    port: int
    tls: str
    name: str
    by_proxy: bool = False


class _Kept:
    """A connection that was greeted and logged in to."""

    def __init__(self, client: aiosmtplib.SMTP, opened_s: float) -> None:
        self.client = client
        self.opened_s = opened_s
        self.mails = 0

    def is_fit(self, now_s: float) -> bool:
        return self.client.is_connected and self.mails < MAX_MAILS and now_s - self.opened_s < MAX_AGE_S

    def part(self) -> None:
        """Says goodbye where it can, and does not wait for an answer."""
        if self.client.is_connected and self.client.protocol is not None:
            with suppress(Exception):
                self.client.protocol.write(b"QUIT\r\n")
        self.client.close()


class _Server:
    """The connections of one key: those that wait, and how many there may be."""

    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(MAX_CONNECTIONS)
        self.idle: list[_Kept] = []
        self.users = 0


class _Try:
    """`handed_over`: the mail went out, and the server may have it whatever is heard of it."""

    handed_over = False


class Mail:
    """Hands mails to mail servers; made and closed inside the running loop, one for the process. `ca_file` and `proxy`
    are those of `Outbound`.

    `allow` names private networks that may be reached. `connect_to` sends what is meant for a host to an address of the
    operator's (`parse_connect_to`), unvetted: `http://` is plain SMTP, `https://` the TLS that was asked for. `tls`
    replaces the system's trust, for a private CA.
    """

    def __init__(
        self,
        *,
        allow: Allowed = PUBLIC,
        connect_to: Mapping[str, str] | None = None,
        resolve: Resolve | None = None,
        tls: ssl.SSLContext | None = None,
        ca_file: str = "",
        proxy: Proxy | None = None,
    ) -> None:
        self._allow = allow
        self._proxy = proxy
        self._connect_to = dict(connect_to or {})
        self._lookup = Lookup()
        self._resolve = resolve or self._lookup
        self._trust = tls or mail_trust(ca_file)
        self._servers: dict[_Key, _Server] = {}
        self._busy: set[_Kept] = set()
        self._closed = False

    async def __aenter__(self) -> "Mail":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes every connection; mails under way end as NoReply."""
        self._closed = True
        for server in self._servers.values():
            while server.idle:
                server.idle.pop().part()
        for kept in tuple(self._busy):
            kept.client.close()
        self._lookup.close()
        await asyncio.sleep(0)  # lets the transports close

    async def send(self, request: SmtpRequest, timeout_s: float) -> SmtpReply | NoReply:
        """One mail, tried once. `timeout_s` covers waiting for a connection, making one, and the whole exchange.

        Where recipients were refused, the answer's words end in a line that begins with `refused` and counts them; the
        mail goes to the others. If nobody takes it, the answer is what was said of the first, or of the first that may
        be tried again.
        """
        if wrong := _wrong(request):
            return NoReply("invalid", wrong)
        if self._closed:
            return NoReply("refused", "Tocsin is ending")
        tried = _Try()
        try:
            async with asyncio.timeout(timeout_s):
                return await self._send(request, tried)
        except SMTPResponseException as answer:  # to the greeting, EHLO, STARTTLS or AUTH: never a success
            if not 400 <= answer.code <= 599:
                return NoReply("protocol", "the answer was not valid SMTP", tried.handed_over)
            return _reply(answer.code, str(answer.message))
        except Exception as error:  # whatever a server can provoke is an answer, not a fault of ours
            reason, detail = _reason(error)
            return NoReply(reason, detail, tried.handed_over)

    async def _send(self, request: SmtpRequest, tried: _Try) -> SmtpReply:
        key = _Key(request.host.lower(), request.port, request.tls, request.username, request.password, request.trusted)
        server = self._servers.setdefault(key, _Server())
        server.users += 1
        try:
            async with server.slots:
                kept = await self._kept(server) or await self._open(request)
                self._busy.add(kept)
                try:
                    reply = await _hand_over(kept, request, tried)
                except BaseException:
                    kept.client.close()
                    raise
                finally:
                    self._busy.discard(kept)
                self._keep(key, server, kept)
                return reply
        finally:
            server.users -= 1
            self._forget(key, server)

    # Connections that wait.

    async def _kept(self, server: _Server) -> _Kept | None:
        """One that still answers: servers close what is idle, or say 421 to the next word. No mail has been said yet,
        so another connection is tried at once."""
        now_s = asyncio.get_running_loop().time()
        while server.idle:
            kept = server.idle.pop()
            if kept.is_fit(now_s):
                self._busy.add(kept)
                try:
                    if (await kept.client.execute_command(b"RSET")).code == 250:
                        return kept
                except (OSError, aiosmtplib.SMTPException):
                    pass
                except BaseException:
                    kept.client.close()
                    raise
                finally:
                    self._busy.discard(kept)
            kept.part()
        return None

    def _keep(self, key: _Key, server: _Server, kept: _Kept) -> None:
        loop = asyncio.get_running_loop()
        if self._closed or not kept.is_fit(loop.time()):
            kept.part()
            return
        server.idle.append(kept)
        loop.call_at(kept.opened_s + MAX_AGE_S, self._expire, key, server, kept)

    def _expire(self, key: _Key, server: _Server, kept: _Kept) -> None:
        if kept in server.idle:
            server.idle.remove(kept)
            kept.part()
            self._forget(key, server)

    def _forget(self, key: _Key, server: _Server) -> None:
        if not server.users and not server.idle and self._servers.get(key) is server:
            del self._servers[key]

    # Making one.

    async def _open(self, request: SmtpRequest) -> _Kept:
        way = await self._way(request)
        if way.by_proxy and self._proxy is not None:
            sock = await tunnel(self._proxy, way.name, way.port)
        else:
            sock = await _dial(way.addresses, way.port)
        try:
            if self._closed:
                raise ConnectionResetError
            client = aiosmtplib.SMTP(
                hostname=way.name,
                sock=sock,
                use_tls=way.tls == "tls",
                start_tls=False,
                tls_context=self._trust,
                local_hostname=request.sender.rpartition("@")[2],
                timeout=None,
            )
        except BaseException:
            sock.close()
            raise
        kept = _Kept(client, asyncio.get_running_loop().time())
        self._busy.add(kept)
        try:
            await client.connect()
            await client.ehlo()
            if way.tls == "starttls":
                if not client.supports_extension("starttls"):
                    raise _NoStartTls
                await client.starttls()
                await client.ehlo()
            if request.username:
                await _log_in(client, request.username, request.password, encrypted=way.tls != "none")
        except BaseException:
            client.close()
            raise
        finally:
            self._busy.discard(kept)
        return kept

    async def _way(self, request: SmtpRequest) -> _Way:
        host = request.host.lower()
        if (base := self._connect_to.get(host)) is not None:
            url = URL(base)
            name, port = url.host or "", url.explicit_port or request.port
            return _Way(await self._lookup(name, port), port, "none" if url.scheme == "http" else request.tls, name)
        addresses = await self._addresses(host, request.port, request.trusted)
        if not addresses and self._proxy is None:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        named = bool(addresses) and all(_named(address, request.port, self._allow) for address in addresses)
        if request.tls == "none" and not (request.trusted or named):
            raise _Plain
        # One bad answer spoils all: whoever mixes them in waits for us to take the wrong one.
        if not all(may_dial(address, request.port, self._allow, trusted=request.trusted) for address in addresses):
            raise _Blocked
        if not (request.trusted or is_reachable(host, addresses, request.port, self._allow)):
            raise _Blocked
        by_proxy = self._proxy is not None
        return _Way(addresses[:MAX_ADDRESSES], request.port, request.tls, host, by_proxy)

    async def _addresses(self, host: str, port: int, trusted: bool) -> Sequence[str]:
        if is_this_machine(host):  # RFC 6761: nobody is asked
            both = ("127.0.0.1", "::1")
            return tuple(one for one in both if may_dial(one, port, self._allow, trusted=trusted)) or both
        try:
            return (str(ip_address(host)),)
        except ValueError:
            pass
        try:
            return await self._resolve(host, port)
        except OSError:
            if self._proxy is None:
                raise
            return ()  # a name that only the proxy can look up


def check_server(host: str, port: int, allow: Allowed) -> None:
    """Raises Invalid for a user's mail server that would not be dialled, as far as that is known without a look-up."""
    try:
        addresses: Sequence[str] = (str(ip_address(host)),)
    except ValueError:
        addresses = ("127.0.0.1",) if is_this_machine(host.lower()) else ()
    may = all(may_dial(address, port, allow, trusted=False) for address in addresses)
    if not may or (addresses and not is_reachable(host.lower(), addresses, port, allow)):
        expected = "a public mail server, or one that TOCSIN_ALLOW_TARGETS names"
        raise Invalid("settings.smtp_host", "an address that is not public", expected)


def may_dial(address: str, port: int, allow: Allowed, *, trusted: bool) -> bool:
    """As the address guard has it, but that mail's own ports are ordinary ones, and that the operator's server may be
    anywhere but where a machine's credentials are handed out."""
    why = refusal(address, port, allow)
    if why == "port" and port in MAIL_PORTS:
        why = refusal(address, 443, replace(allow, private=tuple(one for one in allow.private if one.port is None)))
    return why not in ("metadata", "not an address") if trusted else not why


def _named(address: str, port: int, allow: Allowed) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return any(ip in one.network and one.port in (None, port) for one in allow.private)


def _wrong(request: SmtpRequest) -> str:
    """Why this must not be sent at all; "" where it may. What is wrong is not repeated."""
    if not _HOST.fullmatch(request.host) or not 0 < request.port < 65536:
        return "the mail server's name or port is malformed"
    if not request.recipients or not all(map(_MAILBOX.fullmatch, (request.sender, *request.recipients))):
        return "an address is malformed"
    if _UNTYPED.search(request.username) or "\x00" in request.password:
        return "the login holds a control character"
    return ""


async def _dial(addresses: Sequence[str], port: int) -> socket.socket:
    """A socket that is connected to one of them, in their order."""
    failed: OSError | None = None
    loop = asyncio.get_running_loop()
    for address in addresses:
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            async with asyncio.timeout(CONNECT_S):
                await loop.sock_connect(sock, (address, port))
        except OSError as error:  # TimeoutError is one
            sock.close()
            failed = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failed or socket.gaierror(socket.EAI_NONAME, "no address")


async def _log_in(client: aiosmtplib.SMTP, username: str, password: str, *, encrypted: bool) -> None:
    """By the first way that the server offers, once: a wrong password tried three ways locks the account sooner."""
    ways = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}
    order = ("plain", "login", "cram-md5") if encrypted else ("cram-md5", "plain", "login")
    refused: SMTPAuthenticationError | None = None
    for name in order:
        if name in client.server_auth_methods:
            try:
                await ways[name](username, password)
            except SMTPAuthenticationError as error:
                if error.code not in _NO_SUCH_METHOD:
                    raise
                refused = error
            else:
                return
    raise refused or _NoLogin


async def _hand_over(kept: _Kept, request: SmtpRequest, tried: _Try) -> SmtpReply:
    """The envelope and the mail. Ends with a reply to either; the connection can be used again after RSET."""
    client, protocol = kept.client, kept.client.protocol
    if protocol is None:
        raise aiosmtplib.SMTPServerDisconnected("closed")
    kept.mails += 1
    body = _on_the_wire(request.body)
    size = [f"SIZE={len(body)}".encode()] if client.supports_extension("size") else []
    answer = await client.execute_command(b"MAIL", f"FROM:<{request.sender}>".encode("ascii"), *size)
    if not 200 <= answer.code < 300:
        return _refused(answer)
    refused: list[SmtpReply] = []
    for recipient in request.recipients:
        answer = await client.execute_command(b"RCPT", f"TO:<{recipient}>".encode("ascii"))
        if not 200 <= answer.code < 300:
            refused.append(_refused(answer))
    count = f"\nrefused {len(refused)} of {len(request.recipients)}".encode()
    if len(refused) == len(request.recipients):
        first = next((one for one in refused if one.code < 500), refused[0])
        return SmtpReply(first.code, first.body + count)
    answer = await client.execute_command(b"DATA")
    if answer.code != 354:
        return _refused(answer)
    tried.handed_over = True
    protocol.write(body + b".\r\n")
    answer = await protocol.read_response()
    if not 200 <= answer.code < 300:
        return _refused(answer)
    reply = _reply(answer.code, answer.message)
    if not refused:
        return reply
    return SmtpReply(reply.code, reply.body + count + f": {refused[0].code} ".encode() + refused[0].body)


def _on_the_wire(body: bytes) -> bytes:
    """Lines end in CRLF and in nothing else, and none is a lone dot: RFC 5321, 4.5.2; no mail ends another early."""
    body = _LINE_END.sub(b"\r\n", body)
    if not body.endswith(b"\r\n"):
        body += b"\r\n"
    return (b"." if body.startswith(b".") else b"") + body.replace(b"\r\n.", b"\r\n..")


def _refused(answer: SMTPResponse) -> SmtpReply:
    """Anything below 400 here is no refusal either, and must not be taken for a success."""
    if not 400 <= answer.code < 600:
        raise _Nonsense
    return _reply(answer.code, answer.message)


def _reply(code: int, words: str) -> SmtpReply:
    return SmtpReply(code, words.encode("utf-8", "replace")[:MAX_WORDS])


def _reason(error: Exception) -> tuple[NoReplyReason, str]:
    chain = [error, *((error.__cause__,) if isinstance(error.__cause__, Exception) else ())]
    if isinstance(error, _Blocked):
        return "blocked", "the address guard refused the target"
    if isinstance(error, Refused):
        return "proxy", str(error)
    if isinstance(error, _Plain):
        return "blocked", "without TLS mail goes only where TOCSIN_ALLOW_TARGETS names the server"
    if isinstance(error, _NoStartTls):
        return "tls", "the server does not offer STARTTLS"
    if isinstance(error, _Nonsense):
        return "protocol", "the answer was not valid SMTP"
    if isinstance(error, _NoLogin):
        return "protocol", "the server offers no way to log in that Tocsin knows"
    if isinstance(error, socket.gaierror):
        return "dns", "the host name has no address"
    if wrong := next((one for one in chain if isinstance(one, ssl.SSLError)), None):
        return "tls", trouble(wrong)
    if isinstance(error, TimeoutError):
        return "timeout", "no whole answer in time"
    if isinstance(error, aiosmtplib.SMTPConnectError | ConnectionResetError | aiosmtplib.SMTPServerDisconnected):
        return "reset", "the connection was closed before the answer"
    if isinstance(error, OSError):
        return "refused", "the connection was refused or the host cannot be reached"
    return "protocol", f"the exchange failed ({type(error).__name__})"
