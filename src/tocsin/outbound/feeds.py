"""Other programs' live streams: WebSocket and server-sent events, followed as a client.

Whoever runs `tocsin bridge` names the address, so nothing guards where it leads. One connection is one generator;
coming back is the caller's.
"""

from collections.abc import AsyncGenerator, Mapping

import aiohttp
from msgspec import Struct

MOST_BYTES = 1024 * 1024
"""Of one message. A longer one ends the connection."""
PING_S = 30.0
CONNECT_S = 15.0
POST_S = 30.0
KEPT_CHARS = 2000


class FeedError(Exception):
    """The stream ended or could not be had. `final`: it will not be otherwise the next time."""

    def __init__(self, said: str, *, final: bool = False) -> None:
        super().__init__(said)
        self.final = final


class FeedMessage(Struct, frozen=True):
    """One message. `id` and `event` are there where server-sent events have them; `retry_ms` is set by a message that
    says nothing else."""

    text: str
    id: str = ""
    event: str = ""
    retry_ms: int = -1


class Answer(Struct, frozen=True):
    """What a server said to a POST; `status` is 0 where there was no answer, and `said` why."""

    status: int
    said: str
    retry_after_s: float = 0.0


def session() -> aiohttp.ClientSession:
    """Takes proxies from the environment, as command line tools do."""
    return aiohttp.ClientSession(trust_env=True)


async def follow(
    by: aiohttp.ClientSession, url: str, headers: Mapping[str, str], *, last_id: str, hello: str, silent_s: float
) -> AsyncGenerator[FeedMessage, None]:
    """The messages of one connection, until it ends. `last_id` is what the last one was known by; `hello` is said first
    (WebSocket); a connection that says nothing for `silent_s` is given up, 0 for never. Raises FeedError."""
    feed = (
        websocket(by, url, headers, hello, silent_s)
        if url.startswith("ws")
        else sse(by, url, headers, last_id, silent_s)
    )
    try:
        async for message in feed:
            yield message
    except TimeoutError:
        raise FeedError("nothing came for too long") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise FeedError(str(error) or type(error).__name__) from error


async def websocket(
    by: aiohttp.ClientSession, url: str, headers: Mapping[str, str], hello: str, silent_s: float
) -> AsyncGenerator[FeedMessage, None]:
    timeout = aiohttp.ClientWSTimeout(ws_receive=silent_s or None, ws_close=5.0)
    try:
        socket = await by.ws_connect(url, headers=headers, heartbeat=PING_S, max_msg_size=MOST_BYTES, timeout=timeout)
    except aiohttp.WSServerHandshakeError as error:
        raise refused(error.status) from None
    async with socket:
        if hello:
            await socket.send_str(hello)
        async for message in socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                yield FeedMessage(message.data)
            elif message.type is aiohttp.WSMsgType.BINARY:
                yield FeedMessage(message.data.decode("utf-8", "replace"))
        if (broken := socket.exception()) is not None:
            raise FeedError(str(broken))


async def sse(
    by: aiohttp.ClientSession, url: str, headers: Mapping[str, str], last_id: str, silent_s: float
) -> AsyncGenerator[FeedMessage, None]:
    sent = {"accept": "text/event-stream", "cache-control": "no-cache", **headers}
    if last_id:
        sent["last-event-id"] = last_id
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=silent_s or None)
    async with by.get(url, headers=sent, timeout=timeout) as answer:
        if answer.status == 204:
            raise FeedError("the stream is over (204)", final=True)
        if answer.status != 200:
            raise refused(answer.status)
        if answer.content_type != "text/event-stream":
            raise FeedError(f"this is {answer.content_type}, not text/event-stream", final=True)
        parser = SseParser(last_id)
        async for part in answer.content.iter_any():
            for message in parser.feed(part):
                yield message


def refused(status: int) -> FeedError:
    """A server that is away or busy comes back; one that refuses does not change its mind by itself."""
    return FeedError(
        f"the stream's server answered {status}", final=400 <= status < 500 and status not in (408, 425, 429)
    )


class SseParser:
    """Bytes to messages: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream"""

    def __init__(self, last_id: str = "") -> None:
        self.last_id = last_id
        self.rest = b""
        self.after_cr = False
        self.begun = False
        self.event, self.data, self.size = "", list[str](), 0

    def feed(self, part: bytes) -> list[FeedMessage]:
        """Raises ValueError for a message that is too long."""
        found: list[FeedMessage] = []
        if self.after_cr and part:
            part, self.after_cr = part.removeprefix(b"\n"), False
        self.after_cr = part.endswith(b"\r")
        if not self.begun and len(self.rest) + len(part) >= 3:
            self.rest, self.begun = (self.rest + part).removeprefix(b"\xef\xbb\xbf"), True
        else:
            self.rest += part
        *lines, self.rest = self.rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            found += self.line(line.decode("utf-8", "replace"))
        if len(self.rest) + self.size > MOST_BYTES:
            raise ValueError(f"a message of more than {MOST_BYTES} bytes")
        return found

    def line(self, line: str) -> list[FeedMessage]:
        if not line:
            message = FeedMessage("\n".join(self.data), self.last_id, self.event)
            found = [message] if self.data else []
            self.event, self.data, self.size = "", [], 0
            return found
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self.data.append(value)
            self.size += len(value)
        elif name == "event":
            self.event = value
        elif name == "id" and "\x00" not in value:
            self.last_id = value
        elif name == "retry" and value.isascii() and value.isdigit() and len(value) < 9:
            return [FeedMessage("", retry_ms=int(value))]
        return []


async def post(by: aiohttp.ClientSession, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """One try."""
    try:
        async with by.post(
            url, data=body, headers=headers, allow_redirects=False, timeout=aiohttp.ClientTimeout(POST_S)
        ) as answer:
            said = (await answer.text(errors="replace"))[:KEPT_CHARS]
            after = answer.headers.get("retry-after", "")
            return Answer(answer.status, said, float(after) if after.isdigit() and len(after) < 6 else 0.0)
    except TimeoutError:
        return Answer(0, "no answer in time")
    except (aiohttp.ClientError, OSError) as error:
        return Answer(0, str(error) or type(error).__name__)


Session = aiohttp.ClientSession
__all__ = ["Answer", "FeedError", "FeedMessage", "Session", "SseParser", "follow", "post", "session"]
