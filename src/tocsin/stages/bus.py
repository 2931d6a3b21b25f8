"""The event bus: messages become durable events, and are acknowledged only then.

A message that is no event is set aside with the reason, so that it does not hold up those behind it. What comes a
second time is known by its id: the sender's, or one made of its position in the stream.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from tocsin.model.bus import BusAddress, BusMessage
from tocsin.model.errors import Busy, Invalid, Limited, Refusal
from tocsin.model.ids import NewId
from tocsin.outbound.bus import Bus
from tocsin.rules.own import OWN
from tocsin.sources.cloudevents import BATCH, STRUCTURED, decode_cloudevents, is_cloudevents
from tocsin.sources.draft import Draft
from tocsin.sources.native import decode_native
from tocsin.store import bus as store
from tocsin.store.database import Database, StoreBroken, StoreUnavailable
from tocsin.store.limits import Meter

MOST = 500
"""Messages of a batch, and events of a submission: what fits into one transaction of intake."""

MOST_BYTES = 8 * 1024 * 1024
"""Of a submission: an eighth of what may wait at intake, which would be busy for ever for more than all of that."""

WAIT_S = 0.5
LOOK_S = 5.0
"""So often it is asked how much waits, and whether the tenant may still be served."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 30.0
CONNECT_S, CLOSE_S = 15.0, 5.0
MAX_ID_CHARS = 256
log = structlog.get_logger()


class Told(Protocol):
    """Intake's receipt, as far as it is needed."""

    @property
    def duplicate(self) -> bool: ...


class Accept(Protocol):
    """Intake's, as far as it is needed."""

    async def __call__(self, tenant_id: str, drafts: Sequence[Draft], *, size: int = 0) -> Sequence[Told]: ...


class Stopped(Exception):
    """Told to stop while intake was busy. What was not acknowledged comes again."""


class Held(Exception):
    """Nothing is taken in at present; says why."""


class Read(Struct):
    """A message that was understood."""

    message: BusMessage
    drafts: list[Draft]


class BusIntake:
    """Reads one bus until told to stop. `away` says why it does not read at present, "" while it does; `lag` is how
    many messages waited when it last looked."""

    def __init__(
        self,
        address: BusAddress,
        bus: Bus,
        meter: Meter,
        db: Database,
        accept: Accept,
        clock_ms: Callable[[], int],
        new_id: NewId,
        draw: Callable[[], float],
    ) -> None:
        self.address = address
        self.bus = bus
        self.meter = meter
        self.db = db
        self.accept = accept
        self.clock_ms = clock_ms
        self.new_id = new_id
        self.draw = draw
        self.name = address.name
        self.counts: Counter[str] = Counter(accepted=0, duplicate=0, refused=0)
        self.away = "not connected yet"
        self.lag: int | None = None
        self.looked_s = 0.0
        self.stopping = asyncio.Event()
        self.ended = asyncio.Event()
        self.ended.set()

    async def run(self) -> None:
        self.ended.clear()
        try:
            await self._run()
        finally:
            self.ended.set()

    async def _run(self) -> None:
        failures = 0
        while not self.stopping.is_set():
            began = self.counts.total()
            try:
                await self._check_tenant()
                async with asyncio.timeout(CONNECT_S):
                    await self.bus.connect()
                await self._pump()
            except Stopped:
                pass
            except StoreBroken:
                raise
            except Exception as error:  # a client raises what it likes
                failures = 1 if self.counts.total() > began else failures + 1
                self._is_away(error)
            finally:
                await self._close()
            await self._pause(failures)

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.bus.close()
        except Exception as error:
            log.debug("bus.close_failed", bus=self.name, reason=self._words(error))

    def _is_away(self, error: Exception) -> None:
        words = self._words(error)
        if words != self.away:
            log.warning("bus.away", bus=self.name, reason=words)
        self.away, self.lag = words, None

    def _words(self, error: Exception) -> str:
        said = f"{type(error).__name__}: {error}" if not isinstance(error, Held) else str(error)
        return (said.replace(self.address.password, "***") if self.address.password else said)[:300]

    async def _pause(self, failures: int) -> None:
        """Longer after each failure, and not at the same moment as the other processes. Ends when told to stop."""
        if failures:
            await self._wait(min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(failures - 1, 10)) * (1 + 0.3 * self.draw()))

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            pass

    async def _check_tenant(self) -> None:
        if reason := await store.why_not(self.db, self.address.tenant):
            raise Held(reason)

    async def _pump(self) -> None:
        loop = asyncio.get_running_loop()
        self.looked_s = -LOOK_S
        while not self.stopping.is_set():
            if not await self._may_read():
                continue
            if loop.time() >= self.looked_s + LOOK_S:
                await self._check_tenant()
                self.lag = await self.bus.lag()
                self.looked_s = loop.time()
                if self.away:
                    log.info("bus.reading", bus=self.name, tenant=self.address.tenant, waiting=self.lag)
                    self.away = ""
            if messages := await self.bus.fetch(MOST, WAIT_S):
                await self._take(messages)

    async def _may_read(self) -> bool:
        """Waits where the tenant has sent as much as it may: what is over stays at the bus."""
        now_ms = self.clock_ms()
        gate = await self.meter.gate(self.address.tenant, now_ms)
        try:
            gate.check_events(self.name, now_ms)
        except Limited as error:
            self.away = error.detail
            await self._wait(min(error.retry_after_s, LOOK_S))
            return False
        return True

    async def _take(self, messages: list[BusMessage]) -> None:
        """Durable first, then acknowledged. Raises Stopped."""
        group: list[Read] = []
        refused: list[tuple[BusMessage, str]] = []
        count = size = 0
        most = (await self.meter.gate(self.address.tenant, self.clock_ms())).limits.body_bytes
        for message in messages:
            try:
                if len(message.body) > most:
                    raise Invalid("", f"{len(message.body)} bytes", f"at most {most}")
                read = Read(message, drafts_of(message, self.address.kind))
            except Invalid as error:
                refused.append((message, error.detail))
                continue
            count, size = count + len(read.drafts), size + len(message.body)
            if group and (count > MOST or size > MOST_BYTES):
                await self._store(group, refused)
                group, count, size = [], len(read.drafts), len(message.body)
            group.append(read)
        if group:
            await self._store(group, refused)
        if refused:
            await self._set_aside(refused)
        await self.bus.acknowledge(messages)

    async def _store(self, group: list[Read], refused: list[tuple[BusMessage, str]]) -> None:
        """All together; where something of it does not hold, each message alone, so that one cannot spoil it."""
        drafts = [draft for one in group for draft in one.drafts]
        if not drafts:
            return
        size = sum(len(one.message.body) for one in group)
        try:
            receipts = await self._accepted(drafts, size)
        except (Stopped, StoreBroken):
            raise
        except Exception as error:
            if len(group) > 1:
                for one in group:
                    await self._store([one], refused)
                return
            reason = error.detail if isinstance(error, Refusal) else "Tocsin could not store it; its log says why"
            refused.append((group[0].message, reason))
            return
        now_ms = self.clock_ms()
        (await self.meter.gate(self.address.tenant, now_ms)).events(self.name, now_ms, len(drafts))
        duplicates = sum(receipt.duplicate for receipt in receipts)
        self.counts["duplicate"] += duplicates
        self.counts["accepted"] += len(receipts) - duplicates

    async def _accepted(self, drafts: list[Draft], size: int) -> Sequence[Told]:
        """Waits while intake has enough to do: meanwhile nothing is fetched. Raises Stopped."""
        busy = 0
        while True:
            try:
                return await self.accept(self.address.tenant, drafts, size=size)
            except (Busy, StoreUnavailable) as error:
                busy += 1
                self.away = f"intake is busy: {self._words(error)}"
                await self._pause(busy)
                if self.stopping.is_set():
                    raise Stopped from error

    async def _set_aside(self, refused: list[tuple[BusMessage, str]]) -> None:
        now_ms = self.clock_ms()
        async with self.db.transaction() as tx:
            for message, reason in refused:
                id_ = self.new_id("bus")
                position = message.position or hashlib.sha256(message.body).hexdigest()
                await store.set_aside(
                    tx, self.address.tenant, id_, self.name, position, reason, message.body, now_ms=now_ms
                )
        self.counts["refused"] += len(refused)
        log.warning("bus.refused", bus=self.name, messages=len(refused), first=refused[0][1][:200])

    async def stop(self, within_s: float) -> None:
        """What was fetched is written down and acknowledged; nothing more is fetched."""
        self.stopping.set()
        try:
            async with asyncio.timeout(within_s):
                await self.ended.wait()
        except TimeoutError:
            log.warning("bus.stopped_late", bus=self.name)


def drafts_of(message: BusMessage, kind: str) -> list[Draft]:
    """The events of a message, each with an id that is the same when it comes again. Raises Invalid."""
    headers, body = message.headers, message.body
    content_type = headers.get("content-type", "")
    if is_cloudevents(headers, content_type):
        drafts = decode_cloudevents(headers, content_type, body)
    elif mode := cloudevents_of(body):
        drafts = decode_cloudevents({}, mode, body)
    else:
        drafts = decode_native(body)
    found = []
    for number, draft in enumerate(drafts):
        if draft.source == OWN:
            raise Invalid("source", repr(OWN), "another name: what Tocsin itself finds out has this one")
        if draft.id is None and message.position:
            draft = replace(draft, id=id_of(kind, message.position, number))
        found.append(draft)
    return found


def cloudevents_of(body: bytes) -> str:
    """The mode of a CloudEvent in JSON that came without a content type; "" for what is none."""
    if b'"specversion"' not in body:
        return ""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    if isinstance(found, dict):
        return STRUCTURED if "specversion" in found else ""
    return BATCH if isinstance(found, list) else ""


def id_of(kind: str, position: str, number: int) -> str:
    id_ = f"{kind}:{position}:{number}"
    if len(id_) <= MAX_ID_CHARS and id_.isprintable():
        return id_
    return f"{kind}:{hashlib.sha256(position.encode('utf-8', 'replace')).hexdigest()}:{number}"
