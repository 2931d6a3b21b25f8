"""Apprise at work, with `requests` and `urllib3` under guard. Imported when the first message goes out, in a thread.

Nothing else in the process uses these libraries, so they are changed once and for good: whatever they dial, they dial
for a call that allows it (`apprise_call`), and without such a call they dial nothing.
"""

import logging
import re
import sys
from typing import Any
from urllib.parse import unquote

import requests.adapters
import requests.exceptions
import requests.sessions
import urllib3.util.connection
from apprise import OverflowMode

from tocsin.model.errors import Invalid
from tocsin.model.wire import AppriseReply, AppriseRequest, NoReply
from tocsin.outbound.apprise_call import Aborted, Blocked, Call, current
from tocsin.provider_kit.apprise_service import fitted, service
from tocsin.provider_kit.classify import retry_after_s
from tocsin.provider_kit.text import cut, line

MAX_BODY = 1024 * 1024
"""Bytes of an answer that are read, uncompressed: four at a time are held."""
MAX_SAID = 500
OURS = ("Host", "Transfer-Encoding", "Connection", "Upgrade", "TE", "Trailer", "Expect", "Proxy-Authorization")
"""Headers that an address may not give: they change where a request goes, or where it ends."""
MIN_PART = 4
"""Shorter parts of an address are blotted out where they stand alone, longer ones anywhere."""


class _Adapter(requests.adapters.HTTPAdapter):
    """Every request of every session: vetted before it is sent, bounded in time and size, never redirected.

    Certificates are always checked, proxies of the environment are not used.
    """

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        call = current.get()
        if call is None:
            if of_a_service():
                raise requests.exceptions.ConnectionError("not for a message")
            return super().send(request, stream, timeout, verify, cert, proxies)
        call.began()
        request = request.copy()
        try:
            request.url, host = call.route(request.url or "")
        except Blocked as blocked:
            raise requests.exceptions.ConnectionError("refused") from blocked
        except Invalid as invalid:
            call.failed("invalid", f"the request was not sent: expected {invalid.expected}, found {invalid.found}")
            raise requests.exceptions.InvalidURL("refused") from None
        for name in OURS:
            request.headers.pop(name, None)
        if host:
            request.headers["Host"] = host
        try:
            trusted = call.bundle or (verify if isinstance(verify, str) else True)
            reply = super().send(request, True, _bounded(timeout, call), trusted, None, _proxies(call))
            _read(reply)
        except requests.exceptions.RequestException as error:
            _note(call, error)
            raise
        call.answered(reply.status_code, reply.headers.get("retry-after", ""))
        reply.headers.pop("location", None)  # so that nobody follows it
        return reply


def _proxies(call: Call) -> dict[str, str] | None:
    if not call.by_proxy or call.proxy is None:
        return None
    return dict.fromkeys(("http", "https"), call.proxy.url_with_login)


def _bounded(timeout: Any, call: Call) -> tuple[float, float]:
    """(seconds to connect, seconds between two reads): the plugin's, within what is left."""
    left = call.left_s()
    connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    return min(connect or left, left), min(read or left, left)


def _read(reply: requests.Response) -> None:
    """Reads the body into the reply, as far as MAX_BODY."""
    content = bytearray()
    for chunk in reply.iter_content(65_536):
        content += chunk
        if len(content) > MAX_BODY:
            break
    reply.close()
    reply._content, reply._content_consumed = bytes(content[:MAX_BODY]), True


def _note(call: Call, error: requests.exceptions.RequestException) -> None:
    """Why a request came to nothing, where connecting has not said so already."""
    if call.failure is not None:
        return
    if isinstance(error, requests.exceptions.Timeout):
        call.failed("timeout", "no answer in time")
    elif isinstance(error, requests.exceptions.ProxyError):
        call.failed("proxy", "the egress proxy did not connect")
    elif isinstance(error, requests.exceptions.SSLError):
        call.failed("tls", "the certificate was not accepted, or TLS failed")
    elif isinstance(error, requests.exceptions.ConnectionError):
        call.failed("reset", "the connection was closed")
    else:
        call.failed("protocol", "the answer could not be read")


def of_a_service() -> bool:
    """Whether Apprise asks, though for no message of ours: a thread that one of its services has begun. Others in this
    process, such as an exporter of traces, dial as they always do."""
    frame = sys._getframe(1)
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] == "apprise":
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


_dial: Any = urllib3.util.connection.create_connection


def _create_connection(
    address: tuple[str, int], timeout: Any = None, source_address: object = None, socket_options: Any = None
) -> Any:
    """In place of urllib3's own, which would dial any address."""
    call = current.get()
    if call is None:
        if of_a_service():
            raise OSError("not for a message")
        return _dial(address, timeout, source_address, socket_options)
    seconds = float(timeout) if isinstance(timeout, int | float) else None
    return call.connect(address[0].strip("[]"), address[1], seconds, socket_options or ())


class _Log(logging.Handler):
    """What Apprise logs goes to the call that it is about, and nowhere else: it holds addresses."""

    def emit(self, record: logging.LogRecord) -> None:
        call = current.get()
        if call is not None:
            call.note(record.getMessage())


def _install() -> None:
    sessions: Any = requests.sessions
    sessions.HTTPAdapter = _Adapter
    sessions.get_netrc_auth = lambda *args, **kwargs: None  # ~/.netrc is the operator's, not the user's
    urllib3.util.connection.create_connection = _create_connection
    for name in ("apprise", "requests", "urllib3"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.setLevel(logging.WARNING)
        logger.handlers = [_Log() if name == "apprise" else logging.NullHandler()]


_install()


def notify(call: Call, request: AppriseRequest) -> AppriseReply | NoReply:
    """Sends one message; blocks until it is through, or until the call is aborted. Whatever happens is a value."""
    token = current.set(call)
    try:
        ok = _notify(call, request)
    except Invalid as invalid:
        return NoReply("invalid", f"expected {invalid.expected}, found {invalid.found}")
    except Aborted:
        if call.status != 429:
            return NoReply("timeout", "no answer in time", maybe_received=call.connected)
        ok = False  # the service asked for a longer pause than there is time for
    except Exception as error:  # a plugin's fault; its words may hold the address
        call.note(f"{type(error).__name__} in Apprise")
        ok = False
    finally:
        current.reset(token)
        call.close()
    if ok:
        return AppriseReply(True)
    return call.failure or AppriseReply(False, said(call, request.url).encode())


def _notify(call: Call, request: AppriseRequest) -> bool:
    """The plugin lives no longer than this: some say goodbye to their service when they go."""
    plugin = service(request.url)
    plugin.throttle = call.throttle
    title, text = fitted(plugin, request.title, request.body.decode("utf-8", "replace"))
    return bool(
        plugin.notify(
            body=text, title=title, notify_type=request.tone, body_format="text", overflow=OverflowMode.TRUNCATE
        )
    )


def said(call: Call, url: str) -> str:
    """`HTTP 429, retry after 30 s: Failed to send …`: the status that was met, and Apprise's words without secrets."""
    words = cleaned(line(" ".join(call.log)), url) or "Apprise says no more than that it failed"
    if 200 <= call.status < 300 or not call.status:
        return cut(words, MAX_SAID)
    asked = retry_after_s({"retry-after": call.retry_after})
    wait = f", retry after {asked:.0f} s" if asked else ""
    return cut(f"HTTP {call.status}{wait}: {words}", MAX_SAID)


def cleaned(words: str, url: str) -> str:
    """The words without the address, and without any part of it but the scheme."""
    rest = url.partition("://")[2]
    parts = {part for text in (rest, unquote(rest)) for part in re.split(r"[^\w.~-]+", text)}
    parts |= {rest, unquote(rest), *re.split(r"[/?&@]", rest), *(unquote(one) for one in re.split(r"[/?&@:=]", rest))}
    for part in sorted(filter(None, parts), key=len, reverse=True):
        found = re.escape(part)
        alone = found if len(part) >= MIN_PART else rf"(?<!\w){found}(?!\w)"
        words = re.sub(alone, "***", words, flags=re.IGNORECASE)
    return words
