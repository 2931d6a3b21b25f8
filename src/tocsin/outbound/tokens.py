"""Access tokens by OAuth 2.0 client credentials: https://www.rfc-editor.org/rfc/rfc6749#section-4.4

A token is kept until it ends, and asked for once however many wait for it. The request for it goes the way of every
other: by the address guard, and through the proxy.
"""

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from tocsin.model.wire import ClientCredentials, HttpReply, HttpRequest, NoReply, Reply

TOKEN_S = 10.0
"""The longest that a token endpoint may take; whoever waits for it gives up when its own time is up."""
MAX_TOKENS = 1024
STANDARD_S = 300.0
"""How long a token is used whose answer does not say when it ends."""
MARGIN_S = 30.0
"""A token is not used in its last seconds, or last tenth: it has to be good when it arrives."""

_TOKEN = re.compile(r"[\x21-\x7e]{1,8000}")
_ERRORS = frozenset(
    {"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
     "invalid_scope", "invalid_target", "access_denied", "server_error", "temporarily_unavailable"}
)  # fmt: skip
"""RFC 6749, 5.2 and 4.1.2.1, RFC 8707: repeated as they are. Anything else that a token endpoint says is not shown."""


class _Answer(Struct, frozen=True):
    access_token: str = ""
    token_type: str = "bearer"  # noqa: S105 - the kind of token
    expires_in: float | str | None = None
    error: str = ""


class _Token(Struct, frozen=True):
    value: str
    until_s: float


class NoToken(Exception):
    """There is no token, and this is why."""

    def __init__(self, reply: NoReply) -> None:
        super().__init__(reply.detail)
        self.reply = reply


class Tokens:
    """`send` makes one request within so many seconds."""

    def __init__(self, send: Callable[[HttpRequest, float], Awaitable[Reply]]) -> None:
        self._send = send
        self._known: dict[ClientCredentials, _Token] = {}
        self._asked: dict[ClientCredentials, asyncio.Task[_Token]] = {}

    async def get(self, credentials: ClientCredentials, timeout_s: float) -> tuple[str, bool]:
        """(a token, whether it was asked for just now). Raises NoToken, and TimeoutError."""
        now_s = asyncio.get_running_loop().time()
        known = self._known.get(credentials)
        if known is not None and known.until_s > now_s:
            return known.value, False
        asked = self._asked.get(credentials)
        if asked is None:
            asked = self._asked[credentials] = asyncio.create_task(self._ask(credentials))
            asked.add_done_callback(lambda task: self._answered(credentials, task))
        async with asyncio.timeout(timeout_s):
            token = await asyncio.shield(asked)
        return token.value, True

    def refused(self, credentials: ClientCredentials, token: str) -> None:
        """The receiver would not have this token: another is asked for, once."""
        known = self._known.get(credentials)
        if known is not None and known.value == token:
            del self._known[credentials]

    async def close(self) -> None:
        asked = list(self._asked.values())
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

    def _answered(self, credentials: ClientCredentials, task: "asyncio.Task[_Token]") -> None:
        self._asked.pop(credentials, None)
        if task.cancelled() or task.exception() is not None:
            return
        self._known.pop(credentials, None)
        self._known[credentials] = task.result()
        while len(self._known) > MAX_TOKENS:
            del self._known[next(iter(self._known))]

    async def _ask(self, credentials: ClientCredentials) -> _Token:
        reply = await self._send(request_of(credentials), TOKEN_S)
        return token_of(reply, asyncio.get_running_loop().time())


def request_of(credentials: ClientCredentials) -> HttpRequest:
    """RFC 6749, 4.4.2; the client's name and secret stand in a header (2.3.1), or in the body where that is wished."""
    form = {"grant_type": "client_credentials"}
    if credentials.scopes:
        form["scope"] = " ".join(credentials.scopes)
    if credentials.audience:
        form["audience"] = credentials.audience
    headers = [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")]
    if credentials.in_body:
        form |= {"client_id": credentials.client_id, "client_secret": credentials.client_secret}
    else:
        login = f"{quote(credentials.client_id, safe='')}:{quote(credentials.client_secret, safe='')}"
        headers.append(("authorization", "Basic " + base64.b64encode(login.encode()).decode()))
    return HttpRequest("POST", credentials.token_url, urlencode(form).encode(), tuple(headers))


def token_of(reply: Reply, now_s: float) -> _Token:
    """The token in an answer. Raises NoToken, which repeats nothing of it but an error code that everybody knows."""
    if isinstance(reply, NoReply):
        reason = reply.reason if reply.reason in ("blocked", "invalid") else "credentials"
        raise NoToken(NoReply(reason, f"the token endpoint: {reply.reason}: {reply.detail}"))
    assert isinstance(reply, HttpReply), reply
    try:
        answer = msgspec.json.decode(reply.body, type=_Answer)
    except msgspec.MsgspecError:
        answer = _Answer()
    if reply.status != 200:
        code = f" ({answer.error})" if answer.error in _ERRORS else ""
        raise NoToken(NoReply("credentials", f"the token endpoint answered {reply.status}{code}"))
    if not _TOKEN.fullmatch(answer.access_token) or answer.token_type.lower() != "bearer":
        raise NoToken(NoReply("credentials", "the token endpoint's answer holds no bearer token"))
    return _Token(answer.access_token, now_s + _lifetime_s(answer.expires_in))


def _lifetime_s(expires_in: float | str | None) -> float:
    try:
        seconds = float(expires_in) if expires_in is not None else STANDARD_S
    except ValueError:
        seconds = STANDARD_S
    if not 0 <= seconds <= 10 * 365 * 86_400:  # nor NaN
        seconds = STANDARD_S
    return seconds - min(MARGIN_S, seconds / 10)
