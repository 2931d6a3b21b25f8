"""The bridge: each message of a stream is posted to Tocsin, in their order, and tried until it is taken or refused.

What was read and not yet taken waits in memory; what was taken last is noted in a file, where one is given. So after a
fault a message comes again rather than not at all, under the id that it had: Tocsin counts it once.
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from tocsin.outbound import feeds
from tocsin.outbound.feeds import FeedError, FeedMessage, Session

MOST_WAITING = 1000
AGAIN_S = (1.0, 60.0)
"""The first wait, and the longest."""
BUSY = frozenset({0, 408, 425, 429, 500, 502, 503, 504})


class Ended(Exception):
    """The bridge cannot go on. `code` is the exit code."""

    def __init__(self, said: str, code: int) -> None:
        super().__init__(said)
        self.code = code


class Plan(Struct, frozen=True, kw_only=True):
    """From where, to where, and how. `headers` are the stream's, `state` a file for the last message's id."""

    url: str
    to: str
    token: str = ""
    headers: Mapping[str, str] = {}
    hello: str = ""
    silent_s: float = 0.0
    state: Path | None = None


class Bridge:
    """`pause` waits so many seconds; `draw` is between -1 and 1; `new_id` makes an id; `say` tells people."""

    def __init__(
        self,
        plan: Plan,
        *,
        pause: Callable[[float], Awaitable[None]],
        draw: Callable[[], float],
        new_id: Callable[[], str],
        say: Callable[[str], None],
    ) -> None:
        self.plan = plan
        self.pause = pause
        self.draw = draw
        self.new_id = new_id
        self.say = say
        self.waiting: asyncio.Queue[FeedMessage] = asyncio.Queue(MOST_WAITING)
        self.read_id = ""
        self.first_wait_s = AGAIN_S[0]
        self.taken = self.refused = 0

    async def run(self) -> None:
        """Until cancelled. Raises Ended."""
        if self.plan.state is not None and self.plan.state.exists():
            self.read_id = self.plan.state.read_text("utf-8").strip()
        async with feeds.session() as by:
            tasks = [asyncio.create_task(self.read(by)), asyncio.create_task(self.forward(by))]
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                if tasks[0] in done and tasks[1] not in done:
                    await self.waiting.join()  # what was read is brought over before the end
                await done.pop()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def read(self, by: Session) -> None:
        """Follows the stream, and comes back where it breaks off."""
        tries = 0
        while True:
            try:
                plan = self.plan
                async with contextlib.aclosing(
                    feeds.follow(
                        by, plan.url, plan.headers, last_id=self.read_id, hello=plan.hello, silent_s=plan.silent_s
                    )
                ) as feed:
                    async for message in feed:
                        tries = 0
                        if message.retry_ms >= 0:
                            self.first_wait_s = min(message.retry_ms / 1000, AGAIN_S[1])
                            continue
                        await self.waiting.put(message)
                        self.read_id = message.id
                said = "the stream ended"
            except FeedError as error:
                if error.final:
                    raise Ended(str(error), 4) from None
                said = str(error)
            wait_s = self.wait_s(tries)
            tries += 1
            self.say(f"{said}; again in {wait_s:.0f} s")
            await self.pause(wait_s)

    async def forward(self, by: Session) -> None:
        """One after the other, so that order is kept."""
        while True:
            message = await self.waiting.get()
            await self.bring(by, message)
            if message.id and self.plan.state is not None:
                note(self.plan.state, message.id)
            self.waiting.task_done()

    async def bring(self, by: Session, message: FeedMessage) -> None:
        """Raises Ended where Tocsin does not know the sender."""
        headers = self.headers_of(message)
        body = body_of(message.text)
        tries = 0
        while True:
            answer = await feeds.post(by, self.plan.to, headers, body)
            if 200 <= answer.status < 300:
                self.taken += 1
                return
            if answer.status in (401, 403, 404):
                raise Ended(f"Tocsin: {detail_of(answer.said)}", 3)
            if answer.status not in BUSY:
                self.refused += 1
                self.say(f"a message was refused ({answer.status}): {detail_of(answer.said)}: {message.text[:200]}")
                return
            wait_s = max(answer.retry_after_s, self.wait_s(tries))
            tries += 1
            self.say(f"Tocsin: {answer.status or answer.said}; again in {wait_s:.0f} s")
            await self.pause(wait_s)

    def headers_of(self, message: FeedMessage) -> dict[str, str]:
        """The message's id is made of the stream's own where it has one, so that it is the same after a restart."""
        known = hashlib.sha256(f"{self.plan.url}\n{message.id}".encode()).hexdigest()[:32] if message.id else ""
        id_ = known or self.new_id()
        headers = {"content-type": "application/json", "x-tocsin-message-id": id_, "idempotency-key": id_}
        if message.event and message.event.isascii() and message.event.isprintable():
            headers["x-tocsin-event"] = message.event[:200]
        return headers | ({"authorization": f"Bearer {self.plan.token}"} if self.plan.token else {})

    def wait_s(self, tries: int) -> float:
        wait: float = min(self.first_wait_s * 2 ** min(tries, 10), AGAIN_S[1])
        return max(0.0, wait * (1 + 0.2 * self.draw()))


def body_of(text: str) -> bytes:
    """JSON objects and lists as they are; anything else as `{"value": …}`."""
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        found = text
    return text.encode() if isinstance(found, dict | list) else msgspec.json.encode({"value": found})


def detail_of(said: str) -> str:
    try:
        return str(json.loads(said)["detail"])
    except (ValueError, KeyError, TypeError):
        return said[:200]


def note(file: Path, id_: str) -> None:
    """Whole or not at all."""
    part = file.with_name(f"{file.name}.part")
    part.write_text(id_, "utf-8")
    part.replace(file)
