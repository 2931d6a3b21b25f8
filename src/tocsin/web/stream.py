"""What happens, while it happens: the hub behind `GET /v1/stream`.

Each tenant with readers has one feed in each process, which asks the store what is new: at most once a second where
several processes write, and when this process has written something. Readers take from bounded buffers; one that does
not keep up is cut, and nobody waits for it. Where nobody reads, nothing runs.
"""

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from starlette.types import Receive, Scope, Send

from tocsin.app import App
from tocsin.model.delivery import WAITING
from tocsin.model.errors import Busy, Limited, Refusal
from tocsin.model.limits import Reached
from tocsin.rules.pattern import matches
from tocsin.store import stream as store
from tocsin.store.database import StoreBroken, StoreUnavailable
from tocsin.web.auth import Principal
from tocsin.web.replies import sees_words

EVERY_S = {"sqlite": 0.2, "postgres": 1.0}
"""Seconds between two looks at the store. In one process it is woken; across several it has to look."""

IDLE_S = {"sqlite": 5.0, "postgres": 1.0}
HEARTBEAT_S = 15.0
SEND_S = 10.0
"""Seconds after which a reader that takes nothing is gone."""

MOST_WAITING = 1000
MOST_BYTES = 4 * 1024 * 1024
"""What waits for one reader at the most."""

MOST_NEWS = 2000
AT_A_TIME = 100
MOST_WATCHED = 2000
MOST_TOLD = 10_000
OVERLAP_MS = 2000
"""Other processes commit in another order than they draw ids: so far back is looked again."""

AWAY_MS = 600_000
"""Who was away for longer starts anew."""

CHANGED_MS = 3_600_000
"""Deliveries older than this that changed meanwhile are not looked for."""

TRANSPORT = "tocsin.transport"
"""Of a request's scope: its connection. ASGI has no way to drop one."""

log = structlog.get_logger()


class Message(Struct, frozen=True):
    """`owner`: whose endpoint it is about, None where it is nobody's. `frame` is as it goes over the wire; `wordless`
    the same for those who may not read what receivers answer."""

    name: str
    key: tuple[str, str, int]
    pipeline: str
    owner: str | None
    frame: bytes
    wordless: bytes


def frame(name: str, data: Any, position: int | None = None) -> bytes:
    at = b"" if position is None else b"id: %d\n" % position
    return b"%sevent: %s\ndata: %s\n\n" % (at, name.encode(), msgspec.json.encode(data))


class Shape(Struct, frozen=True):
    """How things are shown: an event, a run, a delivery as the API shows them; `wordless` a delivery as viewers see
    it."""

    event: Callable[[Any], Any]
    run: Callable[[Any], Any]
    delivery: Callable[[dict[str, Any]], Any]
    wordless: Callable[[Any], Any]


class Reader:
    """One open stream: what it wants, and what waits for it."""

    def __init__(self, by: Principal, names: frozenset[str], pipeline: str) -> None:
        self.by = by
        self.names = names
        self.pipeline = pipeline
        self.waiting: deque[bytes] = deque()
        self.size = 0
        self.resuming = False
        self.known: set[tuple[str, str, int]] = set()  # what it got while it was told what it missed
        self.ended = ""
        self.wake = asyncio.Event()

    def give(self, message: Message) -> None:
        if message.name not in self.names or message.key in self.known:
            return
        if self.pipeline and not matches(self.pipeline, message.pipeline):
            return
        if message.owner is not None and not self.by.sees_all() and message.owner not in ("", self.by.user_id):
            return
        if self.resuming:
            self.known.add(message.key)
        self.put(message.frame if sees_words(self.by) else message.wordless)

    def put(self, frame: bytes) -> None:
        if self.ended:
            return
        if len(self.waiting) >= MOST_WAITING or self.size + len(frame) > MOST_BYTES:
            self.end("you do not read as fast as things happen")
            return
        self.waiting.append(frame)
        self.size += len(frame)
        self.wake.set()

    def end(self, reason: str) -> None:
        """What waits is dropped: whoever comes back with Last-Event-ID gets it."""
        self.ended = reason
        self.waiting.clear()
        self.wake.set()

    def take(self) -> bytes:
        taken = b"".join(self.waiting)
        self.waiting.clear()
        self.size = 0
        self.wake.clear()
        return taken


class Feed:
    """What is new in one tenant, for all who read it in this process."""

    def __init__(self, app: App, tenant_id: str, shape: Shape) -> None:
        self.app = app
        self.tenant_id = tenant_id
        self.shape = shape
        self.readers: set[Reader] = set()
        self.wake = asyncio.Event()
        self.ready = asyncio.Event()
        self.position = app.clock_ms()
        self.event = self.delivery = ""
        self.told: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self.watched: OrderedDict[str, None] = OrderedDict()
        self.owners: dict[str, str] = {}

    async def run(self) -> None:
        every_s, idle_s = EVERY_S[self.app.db.dialect], IDLE_S[self.app.db.dialect]
        while True:
            try:
                if not self.ready.is_set():
                    await self.begin()
                await self.look()
            except (StoreUnavailable, StoreBroken) as error:
                log.warning("stream.store_unavailable", reason=str(error))
            except Exception:
                log.exception("stream.failed")
                self.reset("something went wrong inside Tocsin; its log says what")
            await asyncio.sleep(every_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(idle_s - every_s):
                    await self.wake.wait()
            self.wake.clear()

    async def begin(self) -> None:
        db, tenant_id = self.app.db, self.tenant_id
        self.position = self.app.clock_ms()
        self.event, self.delivery = await store.ends(db, tenant_id)
        await self.watch_waiting()
        known = await self.ask()
        for uid in known.events:
            self.note(uid, "", 0)
        for one in known.deliveries:
            self.is_news(one)
        self.ready.set()

    async def ask(self) -> store.News:
        after = self.back(self.event), self.back(self.delivery)
        return await store.news(self.app.db, self.tenant_id, *after, list(self.watched), MOST_NEWS)

    async def watch_waiting(self) -> None:
        for id_ in await store.waiting(self.app.db, self.tenant_id, MOST_WATCHED):
            self.watched[id_] = None

    async def look(self) -> None:
        """One query where nothing is new."""
        now_ms = self.app.clock_ms()
        found = await self.ask()
        events = [uid for uid in found.events if uid not in self.told]
        changed = [one for one in found.deliveries if self.is_news(one)]
        if len(found.events) >= MOST_NEWS:
            self.event, self.delivery = await store.ends(self.app.db, self.tenant_id)
            await self.watch_waiting()
            self.reset(f"more than {MOST_NEWS} events at once")
        else:
            await self.tell(events, changed, None)
            self.event = max([self.event, *found.events])
            self.delivery = max([self.delivery, *(one[0] for one in found.deliveries)])
        self.position = now_ms
        self.mark()

    def back(self, id_: str) -> str:
        """A little before this id, where other processes write too."""
        prefix, _, rest = id_.partition("_")
        if not rest or self.app.db.dialect == "sqlite":
            return id_
        return f"{prefix}_{max(0, int(rest[:12], 16) - OVERLAP_MS):012x}"

    def is_news(self, one: store.State) -> bool:
        """Whether a delivery is not as it was told last; that it is being sent at this moment is no news."""
        id_, status, attempts = one
        if status in WAITING:
            self.watched[id_] = None
            status = "waiting"
        else:
            self.watched.pop(id_, None)
        if self.told.get(id_) == (status, attempts):
            return False
        self.note(id_, status, attempts)
        while len(self.watched) > MOST_WATCHED:
            self.watched.popitem(last=False)
        return True

    def note(self, id_: str, status: str, attempts: int) -> None:
        self.told[id_] = (status, attempts)
        self.told.move_to_end(id_)
        while len(self.told) > MOST_TOLD:
            self.told.popitem(last=False)

    async def tell(self, uids: list[str], changed: list[store.State], only: Reader | None) -> int:
        """Events, their runs as they are now, and deliveries, to all readers or to one. Returns how many."""
        db, tenant_id, count = self.app.db, self.tenant_id, 0
        pipelines: dict[str, str] = {}
        for some in chunks(uids):
            events = await store.events(db, tenant_id, some)
            runs = {(event.pipeline, event.run_id) for event in events if event.run_id}
            for event in events:
                pipelines[event.uid] = event.pipeline
                if only is None:
                    self.note(event.uid, "", 0)
                self.give("event", (event.uid, "", 0), event.pipeline, None, self.shape.event(event), only)
            for run in await store.runs(db, tenant_id, runs) if runs else ():
                self.give("run", (run.id, run.status, run.updated_ms), run.pipeline, None, self.shape.run(run), only)
            count += len(events)
        for part in chunks(changed):
            found = await store.deliveries(db, tenant_id, [id_ for id_, _, _ in part])
            pipelines |= await store.pipelines(
                db, tenant_id, {one["event_uid"] for one in found if one["event_uid"] not in pipelines}
            )
            if any(one["webhook_id"] not in self.owners for one in found):
                self.owners = await store.owners(db, tenant_id)
            for one in found:
                key = (one["id"], one["status"], one["attempts"])
                owner = self.owners.get(one["webhook_id"], "\x00")  # one that is gone: admins see it
                self.give("delivery", key, pipelines.get(one["event_uid"], ""), owner, self.shape.delivery(one), only)
            count += len(found)
        return count

    def give(
        self, name: str, key: tuple[str, str, int], pipeline: str, owner: str | None, shown: Any, only: Reader | None
    ) -> None:
        whole = wordless = frame(name, shown, self.position)
        if name == "delivery":
            wordless = frame(name, self.shape.wordless(shown), self.position)
        message = Message(name, key, pipeline, owner, whole, wordless)
        for reader in [only] if only else list(self.readers):
            reader.give(message)

    async def catch_up(self, reader: Reader, since_ms: int) -> None:
        """What a reader missed since that position, from the store; or a reset where that is too much."""
        now_ms = self.app.clock_ms()
        if not now_ms - AWAY_MS <= since_ms <= now_ms + AWAY_MS:
            reader.put(frame("reset", {"reason": "you were away for too long"}))
            return
        start = f"{since_ms - OVERLAP_MS:012x}"
        db, tenant_id = self.app.db, self.tenant_id
        found = await store.news(db, tenant_id, f"evt_{start}", "dlv_z", [], MOST_WAITING)
        first = f"dlv_{since_ms - CHANGED_MS:012x}"
        changed = await store.missed(db, tenant_id, first, since_ms - OVERLAP_MS, 20 * MOST_WAITING, MOST_WAITING)
        if len(found.events) + len(changed) >= MOST_WAITING // 2:
            reader.put(frame("reset", {"reason": "too much happened while you were away"}))
            return
        await self.tell(found.events, changed, reader)
        reader.resuming = False

    def reset(self, reason: str) -> None:
        for reader in self.readers:
            reader.put(frame("reset", {"reason": reason}))

    def mark(self) -> None:
        """So far a reader has everything."""
        for reader in self.readers:
            if reader.waiting:
                reader.put(b"id: %d\n\n" % self.position)


def chunks(items: list[Any]) -> Iterable[list[Any]]:
    return (items[start : start + AT_A_TIME] for start in range(0, len(items), AT_A_TIME))


class Hub:
    """All open streams of one process."""

    def __init__(self, app: App, shape: Shape) -> None:
        self.app = app
        self.shape = shape
        self.feeds: dict[str, Feed] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.stopped = ""

    def open(self, by: Principal, names: frozenset[str], pipeline: str, *, resuming: bool) -> tuple[Feed, Reader]:
        """Raises Busy where the tenant has enough of them, and while Tocsin stops."""
        if self.stopped:
            raise Busy(self.stopped, retry_after_s=2)
        feed = self.feeds.get(by.tenant_id)
        if feed is None:
            feed = self.feeds[by.tenant_id] = Feed(self.app, by.tenant_id, self.shape)
            self.tasks[by.tenant_id] = asyncio.create_task(feed.run())
            self.listen(self.wake)
        gate = self.app.meter.gates.get(by.tenant_id)
        most = (gate.limits if gate is not None else self.app.meter.standard).streams
        if most and len(feed.readers) >= most:
            self.app.meter.refused["streams"] += 1
            raise Limited(Reached("streams", most), retry_after_s=30)
        reader = Reader(by, names, pipeline)
        reader.resuming = resuming
        feed.readers.add(reader)
        return feed, reader

    def readers_of(self, tenant_id: str) -> int:
        feed = self.feeds.get(tenant_id)
        return 0 if feed is None else len(feed.readers)

    def close(self, feed: Feed, reader: Reader) -> None:
        feed.readers.discard(reader)
        if not feed.readers and self.feeds.get(feed.tenant_id) is feed:
            del self.feeds[feed.tenant_id]
            self.tasks.pop(feed.tenant_id).cancel()
        if not self.feeds:
            self.listen(nothing)

    def listen(self, told: Callable[[], None]) -> None:
        """Who writes in this process says so; where nobody reads, to nobody."""
        self.app.intake.on_stored = self.app.deliver.recorder.on_recorded = told

    def wake(self) -> None:
        for feed in self.feeds.values():
            feed.wake.set()

    def stop(self) -> None:
        """Ends all streams, with a word; no more are opened."""
        self.stopped = "Tocsin stops"
        for feed in self.feeds.values():
            for reader in feed.readers:
                reader.end(self.stopped)


def nothing() -> None:
    pass


class EventStream:
    """The answer: server-sent events, https://html.spec.whatwg.org/multipage/server-sent-events.html

    `allowed` says who reads, and raises a Refusal once they may not any more; it is asked at every heartbeat.
    """

    status_code = 200
    background = None

    def __init__(
        self, hub: Hub, feed: Feed, reader: Reader, since_ms: int | None, allowed: Callable[[], Awaitable[Principal]]
    ) -> None:
        self.hub = hub
        self.feed = feed
        self.reader = reader
        self.since_ms = since_ms
        self.allowed = allowed
        self.headers: dict[str, str] = {
            "content-type": "text/event-stream",
            "cache-control": "no-store",
            "x-accel-buffering": "no",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(disconnected(receive))
        writing = asyncio.create_task(self.write(send))
        try:
            await asyncio.wait({gone, writing}, return_when=asyncio.FIRST_COMPLETED)
            if writing.done() and writing.exception() is not None:
                abort(scope)
        finally:
            for task in (gone, writing):
                task.cancel()
            await asyncio.gather(gone, writing, return_exceptions=True)
            self.hub.close(self.feed, self.reader)

    async def write(self, send: Send) -> None:
        """Raises TimeoutError where the other side takes nothing."""
        headers = [(name.encode(), value.encode()) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await self.send(send, b"retry: 2000\n\n")
        await self.feed.ready.wait()
        if self.since_ms is not None:
            await self.feed.catch_up(self.reader, self.since_ms)
        await self.send(send, b"id: %d\n\n" % self.feed.position if self.since_ms is None else b"")
        while not self.reader.ended:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self.reader.wake.wait()
            except TimeoutError:
                self.reader.put(b": still here\nid: %d\n\n" % self.feed.position)
                await self.look_again()
            await self.send(send, self.reader.take())
        await self.send(send, frame("end", {"reason": self.reader.ended}))
        await send({"type": "http.response.body", "body": b""})

    async def look_again(self) -> None:
        """Who may read may have changed meanwhile, and what they may see."""
        try:
            by = await self.allowed()
        except Refusal as refusal:
            self.reader.end(refusal.detail)
            return
        if by.tenant_id != self.reader.by.tenant_id:
            self.reader.end("you are in another tenant now")
        self.reader.by = by

    async def send(self, send: Send, part: bytes) -> None:
        if part:
            async with asyncio.timeout(SEND_S):
                await send({"type": "http.response.body", "body": part, "more_body": True})


async def disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def abort(scope: Scope) -> None:
    """Closes the connection at once; what was buffered for it would stay for as long as the other side likes."""
    transport = scope.get(TRANSPORT)
    if transport is not None:
        transport.abort()
