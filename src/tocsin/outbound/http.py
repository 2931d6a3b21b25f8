"""HTTP to the world: one pooled session, every address vetted as it is dialled, one try per call.

Whatever the network does comes back as a value. A refusal's detail is a fixed text: it never holds an address, a URL or
a header's value, and it does not tell what listens behind a blocked address.
"""

import asyncio
import base64
import errno
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from ipaddress import ip_address
from types import TracebackType
from typing import Any, cast

import aiohttp
from aiohttp import http_exceptions
from aiohttp.abc import AbstractResolver, AbstractStreamWriter, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.streams import EMPTY_PAYLOAD
from msgspec import Struct
from msgspec.structs import replace
from yarl import URL

from tocsin import __version__
from tocsin.model.errors import Invalid
from tocsin.model.wire import (
    Basic,
    Bearer,
    ClientCredentials,
    HttpReply,
    HttpRequest,
    NoReply,
    NoReplyReason,
    Reply,
)
from tocsin.outbound.address_guard import (
    PUBLIC,
    Allowed,
    ParsedUrl,
    check_sent,
    check_url,
    is_reachable,
    is_this_machine,
    localhost_addresses,
    vet,
)
from tocsin.outbound.proxy import Proxy, may_ask_for, said
from tocsin.outbound.tls import Contexts, http_trust, trouble
from tocsin.outbound.tokens import NoToken, Tokens

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) to every address the name has; raises OSError where it has none."""

MAX_BODY = 65_536
"""Bytes of a reply's body that are read: more than any provider answers, little enough to hold a thousand of them."""
MAX_HEAD = 32_768
"""Bytes of a reply before its body begins, informational replies (1xx) included; nginx and Node take 16 KiB at most."""
MAX_LINE = 8_190
"""Bytes of a status line or of one header field, which is aiohttp's own default."""
MAX_ADDRESSES = 8
"""Answers of one name that are dialled; all are vetted."""
CONNECT_S = 5.0
"""For TCP and TLS together. A timeout_s that is shorter wins."""
LOOKUP_S = 10.0
"""For one name: two rounds of glibc's 5 s."""
SLOW_LOOKUP_S = 2.0
"""A name that takes longer shares its threads with the names that hang."""
DNS_CACHE_S = 20
"""How long an answer is used, whatever its TTL; every new answer is vetted anew."""
KEEPALIVE_S = 30.0
"""How long an idle connection is kept. A receiver that closes earlier costs one attempt (see `send`)."""
CLOSING_ROUNDS = 5
"""Of the event loop, in which a connection that is closing learns why."""
ROUTES = 4_096
"""URLs that are kept parsed; about 1 KB each."""


BLOCKED = "the address guard refused the target"


def parse_connect_to(text: str) -> dict[str, str]:
    """TOCSIN_CONNECT_TO: `host=http[s]://host[:port]`, comma separated, to {host: base}."""
    return dict(_parse_diversion(item.strip()) for item in text.split(",") if item.strip())


def _parse_diversion(item: str) -> tuple[str, str]:
    host, _, base = item.partition("=")
    host, base = host.strip().lower(), base.strip().rstrip("/")
    try:
        url = URL(base)
        plain = url.scheme in ("http", "https") and bool(url.host) and str(url.origin()) == str(url).rstrip("/")
    except ValueError:
        plain = False
    if not plain or not host or any(mark in host for mark in " /:@"):
        raise Invalid(
            "TOCSIN_CONNECT_TO", repr(item[:80]), "host=http://host:port, such as hooks.slack.com=http://127.0.0.1:9000"
        )
    return host, base


class _Blocked(OSError):
    """The address guard refused an address; an OSError so that aiohttp hands it back like any failed connection."""


class Lookup:
    """getaddrinfo in a few threads of its own.

    Names that have answered before have threads to themselves: a name whose servers hang holds a thread for LOOKUP_S,
    and a dozen of them must not delay the rest.
    """

    def __init__(self) -> None:
        self._proven: dict[str, None] = {}
        self._proven_threads = ThreadPoolExecutor(4, "dns-proven")
        self._other_threads = ThreadPoolExecutor(8, "dns")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        threads = self._proven_threads if host in self._proven else self._other_threads
        self._proven.pop(host, None)
        try:
            async with asyncio.timeout(LOOKUP_S):
                addresses, took_s = await loop.run_in_executor(threads, _getaddrinfo, host, port)
        except TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, "no answer in time") from None
        if took_s < SLOW_LOOKUP_S:
            if len(self._proven) >= ROUTES:
                del self._proven[next(iter(self._proven))]
            self._proven[host] = None
        return addresses

    def close(self) -> None:
        """Lets go of the threads; one that still waits for an answer ends by itself."""
        self._proven_threads.shutdown(wait=False, cancel_futures=True)
        self._other_threads.shutdown(wait=False, cancel_futures=True)


def _getaddrinfo(host: str, port: int) -> tuple[list[str], float]:
    """(addresses, seconds it took, waiting for a thread not counted)"""
    began = time.monotonic()
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [str(info[4][0]) for info in found], time.monotonic() - began


class _VettedResolver(AbstractResolver):
    """Names to addresses of which every one is vetted; aiohttp keeps what it answers for DNS_CACHE_S."""

    def __init__(self, resolve: Resolve, allow: Allowed) -> None:
        self._resolve = resolve
        self._allow = allow

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if is_this_machine(host):
            addresses: Sequence[str] = localhost_addresses(port, self._allow)
            if not addresses:
                raise _Blocked
        else:
            addresses = await self._resolve(host, port)
            # One bad answer spoils all: whoever mixes them in waits for us to take the wrong one.
            if not all(vet(address, port, self._allow) for address in addresses):
                raise _Blocked
        if addresses and not is_reachable(host, addresses, port, self._allow):
            raise _Blocked
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        return [_resolved(host, address, port) for address in addresses[:MAX_ADDRESSES]]

    async def close(self) -> None:
        """Nothing is held here."""


def _resolved(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=socket.IPPROTO_TCP, flags=socket.AI_NUMERICHOST
    )


class _Body(aiohttp.BytesPayload):
    """A request's body that remembers whether it went out, and on which connection."""

    sent = False
    connection: "_Protocol | None" = None

    async def cause(self, error: Exception) -> Exception:
        """In TLS 1.3 a client certificate is refused after the handshake, while the request is written: the error is
        that nothing more could be written, and why is known to the connection, or will be in a moment."""
        if self.connection is None or not isinstance(error.__cause__, aiohttp.ClientConnectionResetError):
            return error
        for _ in range(CLOSING_ROUNDS):
            if self.connection.tls_error is not None:
                return self.connection.tls_error
            await asyncio.sleep(0)
        return error

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self.sent = True
        protocol = getattr(writer, "protocol", None)
        self.connection = protocol if isinstance(protocol, _Protocol) else None
        await super().write_with_length(writer, content_length)


class _Protocol(ResponseHandler):
    """A connection that gives up on a reply of which MAX_HEAD bytes came and no body.

    Without it 100 Continue at line rate, parsed 256 KB at a time, holds the whole loop for seconds and fills memory.
    """

    _head_left = 0
    tls_error: ssl.SSLError | None = None

    def connection_lost(self, exc: BaseException | None) -> None:
        if isinstance(exc, ssl.SSLError):
            self.tls_error = exc
        super().connection_lost(exc)

    def set_response_params(self, **params: Any) -> None:
        self._head_left = MAX_HEAD
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        if self._head_left:
            head, data = data[: self._head_left], data[self._head_left :]
            self._head_left -= len(head)
            super().data_received(head)
            if self._head_left or self._payload not in (None, EMPTY_PAYLOAD):
                if data:
                    super().data_received(data)
            elif self.transport is not None:
                self.transport.abort()
                self.set_exception(http_exceptions.HttpProcessingError(message="endless head"))
            return
        super().data_received(data)


class _Connector(aiohttp.TCPConnector):
    """Makes connections of our kind."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = cast("partial[ResponseHandler]", partial(_Protocol, loop=self._loop))


class _Route(Struct, frozen=True):
    """How a URL is reached: the session, the URL as aiohttp takes it, and headers of this way, such as the Host where
    that is another. `asked_for` is the host and port that a proxy dials."""

    session: aiohttp.ClientSession
    url: URL
    headers: tuple[tuple[str, str], ...]
    asked_for: tuple[str, int] | None = None


class Outbound:
    """Sends requests; made and closed inside the running loop, one for the process.

    `allow` says where the operator lets it go. `connect_to` sends what is meant for a host to a base address of the
    operator's instead (`parse_connect_to`), unvetted. `tls` is whom everybody trusts, in place of the system's trust;
    `ca_file` is added to it for those who have a client certificate. `proxy` is the way out for all the rest.
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
        self._connect_to = dict(connect_to or {})
        self._lookup = Lookup()
        self._resolve = resolve or self._lookup
        self._contexts = Contexts(tls or http_trust(ca_file), ca_file)
        self._tokens = Tokens(self._exchange)
        self._proxy = proxy
        trust = self._contexts.standard
        self._guarded = _session(
            _connector(trust, _VettedResolver(self._resolve, allow), self._open_socket),
        )
        # Pools apart, so that an address that is only the operator's diversion, or proxy, is in nobody else's reach.
        self._diverted = _session(_connector(trust)) if self._connect_to else self._guarded
        self._proxied = _session(_connector(trust)) if proxy else self._guarded
        self._route = lru_cache(maxsize=ROUTES)(self._find_route)

    async def __aenter__(self) -> "Outbound":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes every connection; requests under way end as NoReply."""
        await self._tokens.close()
        await self._guarded.close()
        await self._diverted.close()
        await self._proxied.close()
        self._lookup.close()

    async def send(self, request: HttpRequest, timeout_s: float) -> Reply:
        """One request, tried once. `timeout_s` covers name, connection, TLS, writing and the whole reply; and the
        request for a token, where one is needed.

        A kept connection that turns out closed is `reset` with `maybe_received`, although nothing may have arrived:
        nobody can tell, and one claim is one try.
        """
        if request.credentials is None:
            return await self._exchange(request, timeout_s)
        if not isinstance(request.credentials, ClientCredentials):
            return await self._authorised(request, authorization(request.credentials), timeout_s)
        return await self._with_token(request, request.credentials, timeout_s)

    async def _with_token(self, request: HttpRequest, credentials: ClientCredentials, timeout_s: float) -> Reply:
        """A 401 to a token that was kept is not the answer: the receiver did nothing, and gets a new one, once."""
        clock = asyncio.get_running_loop().time
        ends_s = clock() + timeout_s
        try:
            token, is_new = await self._tokens.get(credentials, timeout_s)
            reply = await self._authorised(request, f"Bearer {token}", ends_s - clock())
            if is_new or not isinstance(reply, HttpReply) or reply.status != 401:
                return reply
            self._tokens.refused(credentials, token)
            token, _ = await self._tokens.get(credentials, ends_s - clock())
        except NoToken as none:
            return none.reply
        except TimeoutError:
            return NoReply("credentials", "the token endpoint gave no answer in time")
        return await self._authorised(request, f"Bearer {token}", ends_s - clock())

    async def _authorised(self, request: HttpRequest, value: str, timeout_s: float) -> Reply:
        """The reply without what we authorised ourselves with: some receivers echo what they got."""
        if any(name.lower() == "authorization" for name, _ in request.headers):
            return NoReply("invalid", "headers.authorization: expected nothing beside credentials, found a value")
        reply = await self._exchange(replace(request, headers=(*request.headers, ("authorization", value))), timeout_s)
        if not isinstance(reply, HttpReply):
            return reply
        secret = value.partition(" ")[2].encode()
        return replace(reply, body=reply.body.replace(secret, b"***")) if secret in reply.body else reply

    async def _exchange(self, request: HttpRequest, timeout_s: float) -> Reply:
        route = self._route(request.url)
        if isinstance(route, NoReply):
            return route
        options: dict[str, Any] = {}
        try:
            check_sent(request.headers)
            if request.tls is not None:
                options["ssl"] = self._contexts.of(request.tls)
        except Invalid as invalid:
            return NoReply("invalid", invalid.detail)
        body = _Body(request.body)
        reply: aiohttp.ClientResponse | None = None
        try:
            if route.asked_for is not None:
                clock = asyncio.get_running_loop().time
                ends_s = clock() + timeout_s
                async with asyncio.timeout_at(ends_s):
                    options |= await self._through_proxy(*route.asked_for)
                timeout_s = ends_s - clock()
            reply = await route.session.request(
                request.method,
                route.url,
                data=body,
                headers=request.headers + route.headers,
                allow_redirects=False,
                timeout=_timeout(timeout_s),
                **options,
            )
            return await _read(reply)
        except Exception as error:  # whatever a receiver can provoke is an answer, not a fault of ours
            reason, detail = _reason(await body.cause(error))
            return NoReply(reason, detail, maybe_received=body.sent)
        finally:
            if reply is not None and not reply.closed:
                reply.close()

    async def _through_proxy(self, host: str, port: int) -> dict[str, Any]:
        """How aiohttp is told of the proxy. Raises _Blocked for a target that is refused as far as it is known here."""
        assert self._proxy is not None, "only a route through the proxy asks for this"
        try:
            ip_address(host)
            found: Sequence[str] = (host,)
        except ValueError:
            try:
                found = () if is_this_machine(host) else await self._resolve(host, port)
            except OSError:
                found = ()  # a name that only the proxy can look up
        if not may_ask_for(host, port, found, self._allow):
            raise _Blocked
        return {"proxy": self._proxy.url, "proxy_headers": dict(self._proxy.headers) or None}

    def _find_route(self, url: str) -> _Route | NoReply:
        try:
            parsed = check_url(url, self._allow)
        except Invalid as invalid:
            return NoReply("invalid", invalid.detail)
        own = _base(parsed)
        base = self._connect_to.get(parsed.host)
        if base is not None:
            return _Route(self._diverted, URL(base + parsed.target, encoded=True), (("Host", own.partition("://")[2]),))
        target = URL(own + parsed.target, encoded=True)
        if self._proxy is not None:
            # CONNECT gets the login from aiohttp; in plain http the request itself is the proxy's.
            login = self._proxy.headers if parsed.scheme == "http" else ()
            return _Route(self._proxied, target, login, (parsed.host, parsed.port))
        return _Route(self._guarded, target, ())

    def _open_socket(self, info: "aiohttp.AddrInfoType") -> socket.socket:
        """The last gate: what connect() gets, IP literals included, which never pass the resolver."""
        family, kind, protocol, _, address = info
        if not vet(str(address[0]), int(address[1]), self._allow):
            raise _Blocked
        return socket.socket(family, kind, protocol)


def _base(url: ParsedUrl) -> str:
    host = f"[{url.host}]" if ":" in url.host else url.host
    default = url.port == (443 if url.scheme == "https" else 80)
    return f"{url.scheme}://{host}" + ("" if default else f":{url.port}")


def authorization(credentials: Basic | Bearer) -> str:
    """The header's value."""
    if isinstance(credentials, Bearer):
        return f"Bearer {credentials.token}"
    login = f"{credentials.username}:{credentials.password}".encode()
    return "Basic " + base64.b64encode(login).decode()


def _connector(
    trust: ssl.SSLContext,
    resolver: AbstractResolver | None = None,
    socket_factory: "aiohttp.SocketFactoryType | None" = None,
) -> aiohttp.TCPConnector:
    return _Connector(
        ssl=trust,
        resolver=resolver,
        socket_factory=socket_factory,
        ttl_dns_cache=DNS_CACHE_S,
        keepalive_timeout=KEEPALIVE_S,
        limit=0,  # who may send how much at once is decided where deliveries are claimed
        limit_per_host=0,
    )


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": f"Tocsin/{__version__}", "Accept-Encoding": "identity"},
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        max_line_size=MAX_LINE,
        max_field_size=MAX_LINE,
    )
    # aiohttp sends an idempotent request again when a pooled connection turns out closed; one claim is one try.
    session._retry_connection = False
    return session


@lru_cache(maxsize=256)
def _timeout(timeout_s: float) -> aiohttp.ClientTimeout:
    total = max(timeout_s, 0.001)  # 0 would mean none
    return aiohttp.ClientTimeout(total=total, sock_connect=min(CONNECT_S, total))


async def _read(reply: aiohttp.ClientResponse) -> Reply:
    if not 200 <= reply.status <= 599:
        return NoReply("protocol", "a status outside 200 to 599", maybe_received=True)
    content = reply.content
    body = await content.read(MAX_BODY + 1)
    if not content.at_eof():
        grown = bytearray(body)
        while len(grown) <= MAX_BODY and not content.at_eof():
            grown += await content.read(MAX_BODY + 1 - len(grown))
        body = bytes(grown)
    headers = {name.lower(): _clean(value) for name, value in reply.headers.items()}
    return HttpReply(reply.status, headers, body[:MAX_BODY], len(body) > MAX_BODY)


def _clean(value: str) -> str:
    """aiohttp keeps bytes that are no UTF-8 as lone surrogates, which no database and no JSON would take."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def _reason(error: Exception) -> tuple[NoReplyReason, str]:
    if isinstance(error, _Blocked):
        return "blocked", BLOCKED
    cause: Any = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error.__cause__
    if isinstance(cause, _Blocked):
        return "blocked", BLOCKED
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return "proxy", said(error.status)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return "proxy", "the egress proxy cannot be reached"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "dns", "the host name has no address"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        cause = error.certificate_error
    for one in (cause, error):
        if isinstance(one, ssl.SSLError):
            return "tls", trouble(one)
    if isinstance(error, aiohttp.ClientSSLError):
        return "tls", "the TLS handshake failed"
    if isinstance(error, TimeoutError) or getattr(cause, "errno", None) == errno.ETIMEDOUT:
        return "timeout", "no whole answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(cause, ConnectionResetError | ConnectionAbortedError):
            return "reset", "the connection was closed while it was opened"
        return "refused", "the connection was refused or the host cannot be reached"
    if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionError | aiohttp.ClientOSError):
        return "reset", "the connection was closed before the answer"
    if isinstance(error, aiohttp.ClientPayloadError) and isinstance(cause, ConnectionError):
        return "reset", "the connection was closed within the answer"
    if isinstance(error, aiohttp.ClientError | http_exceptions.HttpProcessingError):
        return "protocol", "the answer was not valid HTTP"
    return "protocol", f"the exchange failed ({type(error).__name__})"
