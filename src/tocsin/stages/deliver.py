"""Deliver: what is due is claimed, composed, sent, understood and recorded.

One try per claim. No transaction is open while sending. A claim is a lease with a fencing token: a result is written
only while the lease still holds, and losing it is a normal path. Results are written in groups.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
import structlog
from msgspec.structs import replace

from tocsin.compose.message import compose
from tocsin.model.delivery import Attempt, Claimed
from tocsin.model.endpoint import Target
from tocsin.model.errors import NotFound
from tocsin.model.event import Event
from tocsin.model.hidden import Hidden
from tocsin.model.run import Run
from tocsin.model.wire import HttpReply, HttpRequest, NoReply, Outcome, Rejected, Reply, Sending
from tocsin.outbound.http import Outbound
from tocsin.provider_kit.provider import Provider, Tuning
from tocsin.providers import PROVIDERS
from tocsin.rules.fair_queue import FairQueue, Lane
from tocsin.rules.next_step import DISABLE_AFTER, WARN_AFTER, Step, Tried, next_step
from tocsin.rules.outage import Hosts
from tocsin.rules.pacing import allowed, next_us, spaced, taken
from tocsin.store import config, queue
from tocsin.store.database import Database, StoreBroken, StoreUnavailable, Transaction
from tocsin.store.sealing import Keyring, WrongKey

READY_AT_ONCE = 64
CLAIMED_AT_ONCE = 500
LINGER_S = 0.012
"""Results wait this long for company: a commit for each would cost more than the sends."""

NOTED_MS = 1000
"""That an endpoint works is written down once in this time, unless it failed in between."""

MOST_UNRECORDED = 1024
"""Results that may wait to be written while more is sent: so many messages a crash can have sent twice."""

RESPONSE_CHARS = 2000
REQUEST_BYTES = 65_536
LEASE_MARGIN_MS = 10_000
EXPIRES_SOON_MS = 5000
"""What is too old is left to the sweep, which says so; until then it is not claimed again."""

MASK = b"***"
TOKEN_CHARS = 12
"""A part of an address or a header that is shorter is taken to be a word."""

log = structlog.get_logger()


class Open(Hidden, frozen=True):
    """An endpoint opened for sending, as of `version`. `until_ms`: when an old signing secret ends, if one does."""

    version: int
    provider: Provider
    target: Target
    host: str
    until_ms: float
    hidden: tuple[bytes, ...]


class Finished(msgspec.Struct, frozen=True, gc=False):
    """A step that waits to be recorded."""

    claimed: Claimed
    step: Step
    attempt: Attempt


class Deliver:
    """`lease` is this process's fencing token. `draw` gives a number in [-1, 1]; app.py owns clock and randomness."""

    def __init__(
        self,
        db: Database,
        keyring: Keyring,
        outbound: Outbound,
        clock_ms: Callable[[], int],
        draw: Callable[[], float],
        tuning: dict[str, Tuning],
        *,
        lease: str,
        lease_ms: int,
        poll_s: float,
    ) -> None:
        self.db = db
        self.keyring = keyring
        self.outbound = outbound
        self.clock_ms = clock_ms
        self.draw = draw
        self.tuning = tuning
        self.lease = lease
        self.lease_ms = lease_ms
        self.poll_s = poll_s
        self.queue: FairQueue[Claimed] = FairQueue()
        self.hosts = Hosts()
        self.opened: dict[str, Open] = {}
        self.paused: dict[str, int] = {}
        self.noted: dict[str, int] = {}
        self.finished: list[Finished] = []
        self.released: list[tuple[str, str, str, int]] = []
        self.claim_now = asyncio.Event()
        self.record_now = asyncio.Event()
        self.senders: set[asyncio.Task[None]] = set()
        self.stopping = False
        self.cannot_record = False
        self.unrecorded = 0
        self.held = False
        self.more_waits = False
        self.counts: Counter[str] = Counter()
        self.on_disabled: Callable[[], None] = lambda: None
        self.claiming = asyncio.Lock()
        self.recording = asyncio.Lock()

    # What intake hands over, leased to this process already.

    def reserve(self, endpoint_id: str, tenant_id: str) -> bool:
        if self.stopping or self.cannot_record or self._paused_until(endpoint_id, self.clock_ms()):
            return False
        return self.queue.reserve(endpoint_id, tenant_id)

    def _paused_until(self, endpoint_id: str, now_ms: int) -> int:
        """0 where nothing holds this endpoint."""
        if not self.paused or (until_ms := self.paused.get(endpoint_id)) is None:
            return 0
        if until_ms <= now_ms:
            del self.paused[endpoint_id]
            return 0
        return until_ms

    def cancel(self, endpoint_id: str, tenant_id: str) -> None:
        self.queue.cancel(endpoint_id, tenant_id)

    def give(self, claimed: Sequence[Claimed]) -> None:
        for item in claimed:
            self.queue.add(item, item.delivery.endpoint_id, item.delivery.tenant_id, is_retry=False, reserved=True)
        self.pump()

    def wake(self) -> None:
        """Something became due. While there is enough in memory, what waits is looked at when that runs low."""
        if not self.more_waits or self.is_low:
            self.claim_now.set()

    @property
    def is_low(self) -> bool:
        return self.queue.size < self.queue.capacity // 8

    # Claiming.

    async def run_claims(self) -> None:
        """Looks for due deliveries whenever something may have become due, until cancelled."""
        while True:
            wait_s = 1.0
            try:
                wait_s = await self.claim_or_wait_s()
            except StoreUnavailable as error:
                log.warning("deliver.claim_unavailable", reason=str(error))
            if wait_s > 0:
                try:
                    async with asyncio.timeout(wait_s):
                        await self.claim_now.wait()
                except TimeoutError:
                    pass
            self.claim_now.clear()

    async def claim_or_wait_s(self) -> float:
        """Claims what is due. Returns how long nothing more is due, in seconds, at most `poll_s`; 0 for "go on"."""
        if self.stopping or self.cannot_record or (self.more_waits and not self.is_low):
            return self.poll_s
        soonest = (await self.db.read("soonest_due"))[0][0]
        now_ms = self.clock_ms()
        if soonest is None or soonest > now_ms:
            self.more_waits = False
            return self.poll_s if soonest is None else min(self.poll_s, (soonest - now_ms) / 1000)
        async with self.claiming:
            if self.stopping:
                return self.poll_s
            async with self.db.transaction() as tx:
                claimed = await self.claim(tx, now_ms)
            self.more_waits = True
            for item in claimed:
                self.queue.add(
                    item, item.delivery.endpoint_id, item.delivery.tenant_id, is_retry=item.delivery.attempts > 0
                )
        self.pump()
        return self.poll_s if claimed and not self.is_low else 0.02

    async def claim(self, tx: Transaction, now_ms: int) -> list[Claimed]:
        ready = await queue.ready(tx, now_ms, READY_AT_ONCE)
        wanted: dict[str, int] = {}
        left: dict[str, queue.Requeue] = {}
        for endpoint in ready:
            if off := self.tuning[endpoint.provider_type].off:
                await queue.suppress(tx, endpoint.endpoint_id, off, now_ms)
            count, not_before_ms = self._share(endpoint, now_ms)
            if count:
                wanted[endpoint.endpoint_id] = count
            left[endpoint.endpoint_id] = queue.Requeue(
                endpoint.endpoint_id, endpoint.bucket_us, endpoint.is_open, not_before_ms
            )
        got = await queue.claim(tx, wanted, now_ms, self.lease, now_ms + self.lease_ms) if wanted else []
        counts = Counter(taken.delivery.endpoint_id for taken in got)
        for endpoint in ready:
            rate_per_s = self.tuning[endpoint.provider_type].rate_per_s
            count = counts[endpoint.endpoint_id]
            if count and rate_per_s is not None:
                rate = spaced(rate_per_s)
                bucket_us = taken(rate, endpoint.bucket_us, now_ms * 1000, count)
                again_ms = -(-next_us(rate, bucket_us, now_ms * 1000) // 1000)
                left[endpoint.endpoint_id] = queue.Requeue(endpoint.endpoint_id, bucket_us, True, again_ms)
        await queue.requeue(tx, left.values())
        return await self._with_events(tx, got, {e.endpoint_id: e.version for e in ready}, now_ms)

    def _share(self, endpoint: queue.Ready, now_ms: int) -> tuple[int, int]:
        """How many of an endpoint's due deliveries to take now, and when to look again."""
        if not endpoint.is_open:
            return 0, now_ms
        if endpoint.paused_until_ms > now_ms:
            return 0, endpoint.paused_until_ms
        free = min(CLAIMED_AT_ONCE, self.queue.free(endpoint.endpoint_id, endpoint.tenant_id))
        waiting = self.queue.endpoint(endpoint.endpoint_id, endpoint.tenant_id)
        if free == 0 or (free < CLAIMED_AT_ONCE and free < waiting.size // 4):
            return 0, now_ms + 20
        rate_per_s = self.tuning[endpoint.provider_type].rate_per_s
        if rate_per_s is None:
            return free, now_ms
        rate = spaced(rate_per_s)
        count = allowed(rate, endpoint.bucket_us, now_ms * 1000, free)
        return count, -(-next_us(rate, endpoint.bucket_us, now_ms * 1000) // 1000)

    async def _with_events(
        self, tx: Transaction, got: Sequence[queue.Taken], versions: dict[str, int], now_ms: int
    ) -> list[Claimed]:
        """Chat messages are composed when they are sent, from the newest state of the run."""
        unfixed = [(t.delivery.tenant_id, t.delivery.event_uid) for t in got if t.delivery.body is None]
        events = await queue.events(tx, unfixed) if unfixed else {}
        runs = await queue.runs(tx, events.values()) if events else {}

        def run_of(event: Event | None) -> Run | None:
            return runs.get((event.tenant_id, event.pipeline, event.run_id)) if event else None

        return [
            Claimed(
                delivery=t.delivery,
                lease=self.lease,
                lease_until_ms=now_ms + self.lease_ms,
                version=versions[t.delivery.endpoint_id],
                policy=t.policy,
                plain=t.plain,
                event=(event := events.get(t.delivery.event_uid)),
                run=run_of(event),
            )
            for t in got
        ]

    # Sending.

    def may_send(self) -> bool:
        """Not while what was sent cannot be noted, or not soon: a process that is killed then leaves it all to be sent
        again."""
        self.held = self.cannot_record or self.unrecorded >= MOST_UNRECORDED
        return not self.held

    def pump(self) -> None:
        """Starts senders for what may go now; each goes on with the next when it is done."""
        while self.may_send() and (next_ := self.queue.take()) is not None:
            task = asyncio.create_task(self._work(*next_))
            self.senders.add(task)
            task.add_done_callback(self.senders.discard)

    async def _work(self, item: Claimed, endpoint_id: str, lane: Lane) -> None:
        while True:
            tried: tuple[bool, float] | None = None
            try:
                tried = await self._send(item)
            except (StoreUnavailable, StoreBroken) as error:  # the message goes back untried, once that can be written
                log.warning("deliver.store_unavailable", reason=str(error))
                self.cannot_record = True
                self._release(item, self.clock_ms())
            except Exception:  # whatever one message does, it must not stop the others
                log.exception("deliver.failed", delivery=item.delivery.id)
                self._crashed(item)
            self.queue.done(endpoint_id, lane, tried)
            if tried is not None and tried[0]:
                now_ms = self.clock_ms()
                for shed in self.queue.shed(endpoint_id):
                    self._release(shed, now_ms + 1000)
            if self.more_waits and self.is_low:
                self.claim_now.set()
            following = self.queue.take() if self.may_send() else None
            if following is None:
                return
            item, endpoint_id, lane = following

    async def _send(self, item: Claimed) -> tuple[bool, float] | None:
        """One attempt, or a hand-back where it must not be made now. Returns whether it failed and
        the milliseconds it took; None where there was no attempt."""
        delivery = item.delivery
        now_ms = self.clock_ms()
        if delivery.expires_ms <= now_ms:
            self._release(item, now_ms + EXPIRES_SOON_MS)
            return None
        paused_ms = self._paused_until(delivery.endpoint_id, now_ms)
        if paused_ms:
            self._release(item, paused_ms)
            return None
        opened = self.opened.get(delivery.endpoint_id)
        if opened is None or opened.version != item.version or opened.until_ms <= now_ms:
            found = await self._open(item)
            if isinstance(found, Rejected):
                self._finish(item, now_ms, 0.0, found, NoReply("invalid"), None, host_is_down=False)
                return True, 0.0
            opened = found
        tuning = self.tuning[delivery.provider_type]
        if item.lease_until_ms - now_ms < tuning.timeout_s * 1000 + LEASE_MARGIN_MS / 2:
            self._release(item, now_ms)
            return None
        request = opened.provider.render(self._sending(item, opened, tuning, now_ms))
        hold_s = self.hosts.wait_s(opened.host, now_ms)
        if hold_s > 0:
            self._release(item, now_ms + int(hold_s * 1000 * (1.2 + 0.2 * self.draw())))
            return None
        clock = asyncio.get_running_loop().time
        start_s = clock()
        reply = await self.outbound.send(request, tuning.timeout_s)
        took_ms = (clock() - start_s) * 1000
        self.hosts.ended(opened.host, delivery.endpoint_id, ok=answered(reply), now_ms=now_ms)
        reply = masked(reply, opened.hidden)
        outcome = opened.provider.classify(reply)
        failed = self._finish(
            item, now_ms, took_ms, outcome, reply, request, host_is_down=self.hosts.is_down(opened.host)
        )
        return failed, took_ms

    def _sending(self, item: Claimed, opened: Open, tuning: Tuning, now_ms: int) -> Sending:
        delivery = item.delivery
        message = None
        if delivery.body is None:
            if item.event is None:
                raise LookupError(f"the event of delivery {delivery.id} is gone")
            message = compose(item.event, item.run)
        return Sending(
            id=delivery.id,
            at_s=now_ms // 1000,
            target=opened.target,
            message=message,
            body=delivery.body,
            attempt=delivery.attempts + 1,
            plain=item.plain or not tuning.rich,
        )

    async def _open(self, item: Claimed) -> Open | Rejected:
        """The endpoint's secrets, unsealed and kept in memory until its record changes."""
        delivery = item.delivery
        now_ms = self.clock_ms()
        try:
            sealed = await config.open_endpoint(self.db, self.keyring, delivery.tenant_id, delivery.endpoint_id)
        except NotFound:
            return Rejected("the webhook was deleted")
        except WrongKey as error:
            return Rejected(str(error), scope="credential")
        provider = PROVIDERS[sealed.provider_type]
        settings: Any = msgspec.convert(sealed.settings, provider.settings_type)
        if not self.tuning[provider.kind].mentions and hasattr(settings, "mention_on_failure"):
            settings = replace(settings, mention_on_failure=False)
        ends = [s.expires_ms for s in sealed.secrets if s.expires_ms is not None and s.expires_ms > now_ms]
        target = sealed.target(settings, now_ms)
        opened = self.opened[delivery.endpoint_id] = Open(
            sealed.version,
            provider,
            target,
            urlsplit(sealed.address).netloc,
            min(ends, default=float("inf")),
            hidden_of(target),
        )
        return opened

    # Recording.

    def _release(self, item: Claimed, due_ms: int) -> None:
        self.released.append((item.delivery.tenant_id, item.delivery.id, item.lease, due_ms))
        self.record_now.set()

    def _crashed(self, item: Claimed) -> None:
        """Our own fault, not the receiver's: recorded as an attempt, so that it cannot go round for ever."""
        outcome = Rejected("Tocsin could not make this message; see its log")
        self._finish(item, self.clock_ms(), 0.0, outcome, NoReply("invalid"), None, host_is_down=False)

    def _finish(
        self,
        item: Claimed,
        started_ms: int,
        took_ms: float,
        outcome: Outcome,
        reply: Reply,
        request: HttpRequest | None,
        *,
        host_is_down: bool,
    ) -> bool:
        delivery = item.delivery
        tried = Tried(
            delivery.failures,
            item.policy,
            self.tuning[delivery.provider_type].max_attempts,
            delivery.expires_ms,
            item.plain,
            can_go_plain=delivery.body is None and isinstance(reply, HttpReply),
            host_is_down=host_is_down,
        )
        now_ms = started_ms + int(took_ms)
        step = next_step(outcome, tried, now_ms, self.draw())
        if step.pause_s is not None:
            self.paused[delivery.endpoint_id] = now_ms + int(step.pause_s * 1000)
        response = shown(reply)
        attempt = Attempt(
            tenant_id=delivery.tenant_id,
            delivery_id=delivery.id,
            number=delivery.attempts + 1,
            endpoint_id=delivery.endpoint_id,
            started_ms=started_ms,
            duration_ms=int(took_ms),
            outcome=step.attempt_outcome,
            http_status=reply.status if isinstance(reply, HttpReply) else None,
            error="" if step.status == "delivered" else step.reason,
            response_body=response,
            request_body=kept(request.body) if request is not None and delivery.body is None else None,
        )
        self.finished.append(Finished(item, step, attempt))
        self.unrecorded += 1
        self.record_now.set()
        self.counts[step.attempt_outcome] += 1
        return step.status != "delivered"

    async def run_records(self) -> None:
        """Writes results, group by group, until cancelled."""
        while True:
            await self.record_now.wait()
            await asyncio.sleep(LINGER_S)
            self.record_now.clear()
            await self.record()

    async def record(self) -> None:
        """Writes what is finished. While the store is away nothing more is sent: it could not be noted."""
        async with self.recording:
            finished, self.finished = self.finished, []
            released, self.released = self.released, []
            while finished or released:
                try:
                    await self._record(finished, released)
                except StoreUnavailable as error:
                    log.warning("deliver.record_unavailable", reason=str(error), results=len(finished))
                    self.cannot_record = True
                    await asyncio.sleep(0.5)
                    continue
                except Exception:
                    self._recorded(len(finished))
                    raise
                self._recorded(len(finished))
                break

    def _recorded(self, count: int) -> None:
        self.unrecorded -= count
        self.cannot_record = False
        if self.held:
            self.pump()

    async def _record(self, finished: list[Finished], released: list[tuple[str, str, str, int]]) -> None:
        now_ms = self.clock_ms()
        results = [as_result(f) for f in finished]
        disabled = False
        async with self.db.transaction() as tx:
            if results:
                kept = await queue.finish(tx, results, now_ms)
                lost = len(results) - len(kept)
                if lost:
                    self.counts["lease_lost"] += lost
                    log.warning("deliver.lease_lost", count=lost)
                counted = [f for f in finished if f.attempt.delivery_id in kept]
                disabled = await self._effects(tx, counted, now_ms)
            if released:
                await queue.release(tx, released)
        if results:
            for f in counted:
                self.counts[f"recorded_{f.step.status}"] += 1
        if released or any(f.step.status == "retrying" for f in finished):
            self.claim_now.set()
        if disabled:
            self.on_disabled()

    async def _effects(self, tx: Transaction, finished: list[Finished], now_ms: int) -> bool:
        """What the results mean for their endpoints. Returns whether there is a notice to send."""
        succeeded: set[str] = set()
        failures: dict[str, tuple[int, str]] = {}
        gone: dict[str, tuple[str, str]] = {}
        pauses: dict[str, int] = {}
        due: dict[str, int] = {}
        for f in finished:
            endpoint_id, step = f.attempt.endpoint_id, f.step
            if step.effect == "success":
                succeeded.add(endpoint_id)
                failures.pop(endpoint_id, None)
            elif step.effect == "failure":
                failures[endpoint_id] = (failures.get(endpoint_id, (0, ""))[0] + 1, step.reason)
            elif step.effect == "gone":
                gone[endpoint_id] = (f.attempt.tenant_id, step.reason)
                failures[endpoint_id] = (failures.get(endpoint_id, (0, ""))[0] + 1, step.reason)
            if step.pause_s is not None:
                pauses[endpoint_id] = max(pauses.get(endpoint_id, 0), self.paused.get(endpoint_id, 0))
            if step.status == "retrying":
                due[endpoint_id] = min(due.get(endpoint_id, step.due_ms), step.due_ms)
        for endpoint_id in failures:
            self.noted.pop(endpoint_id, None)
        unnoted = [endpoint_id for endpoint_id in succeeded if self.noted.get(endpoint_id, 0) <= now_ms - NOTED_MS]
        if unnoted:
            await queue.succeeded(tx, unnoted, now_ms)
            self.noted.update(dict.fromkeys(unnoted, now_ms))
        notices = False
        for tenant_id, endpoint_id, count in await queue.failed(tx, failures) if failures else ():
            added = failures[endpoint_id][0]
            if endpoint_id in gone or count >= DISABLE_AFTER:
                reason = gone[endpoint_id][1] if endpoint_id in gone else f"{count} failures in a row"
                notices |= await queue.disable(tx, tenant_id, endpoint_id, reason, now_ms)
            elif count >= WARN_AFTER > count - added:
                await queue.notice(tx, endpoint_id, "failing")
                notices = True
        if pauses:
            await queue.pause(tx, pauses)
        if due:
            await queue.wake(tx, due)
        return notices

    async def drain(self, grace_s: float) -> None:
        """Stops taking on; lets what is on its way end; hands the rest back. Called once, before the process ends."""
        self.stopping = True
        try:
            async with asyncio.timeout(grace_s):
                async with self.claiming:  # a claim under way ends first: what it takes is ours to hand back
                    now_ms = self.clock_ms()
                    for item in self.queue.empty():
                        self._release(item, now_ms)
                if self.senders:
                    await asyncio.wait(self.senders)
                await self.record()
        except StoreBroken as error:
            log.critical("deliver.not_drained", reason=str(error))
        except TimeoutError:
            waiting = len(self.senders) + len(self.finished) + len(self.released)
            log.warning("deliver.not_drained", within_s=grace_s, waiting=waiting)


def answered(reply: Reply) -> bool:
    """Whether the host is up: it gave an answer that is not a server's own failure."""
    return isinstance(reply, HttpReply) and reply.status < 500


def kept(body: bytes) -> bytes:
    """What is kept of a request's body: it ends with a whole character, or PostgreSQL's view could not show it."""
    return body if len(body) <= REQUEST_BYTES else body[:REQUEST_BYTES].decode("utf-8", "ignore").encode()


def shown(reply: Reply) -> str:
    """The start of a reply, fit to be stored and shown."""
    if isinstance(reply, NoReply):
        return ""
    return reply.body[: RESPONSE_CHARS * 4].decode("utf-8", "replace").replace("\x00", "�")[:RESPONSE_CHARS]


def hidden_of(target: Target) -> tuple[bytes, ...]:
    """What of an endpoint may not be shown, the longest first: the address, its path, each part of it that may be a
    token, the secrets, and the headers' values."""
    path = "/" + target.address.partition("://")[2].partition("/")[2]
    parts = [part for part in re.split(r"[/?&=;,]", path) if len(part) >= TOKEN_CHARS]
    values = [value for _, value in target.headers]
    words = [word for value in values for word in value.split() if len(word) >= TOKEN_CHARS]
    found = {target.address, *target.secrets, *parts, *words, *(v for v in (path, *values) if len(v) >= 4)}
    return tuple(sorted((text.encode() for text in found), key=len, reverse=True))


def masked(reply: Reply, hidden: tuple[bytes, ...]) -> Reply:
    """The reply without secrets: receivers echo what they got, and their words end up in reasons, notices and logs."""
    if isinstance(reply, NoReply) or len(reply.body) < 4:
        return reply
    body = reply.body
    for secret in hidden:
        if secret in body:
            body = body.replace(secret, MASK)
    return reply if body is reply.body else replace(reply, body=body)


def as_result(finished: Finished) -> queue.Result:
    step = finished.step
    return queue.Result(
        finished.attempt,
        finished.claimed.lease,
        step.status,
        step.reason,
        step.failures,
        step.plain,
        step.due_ms,
        step.due_ms if step.status == "delivered" else None,
    )
