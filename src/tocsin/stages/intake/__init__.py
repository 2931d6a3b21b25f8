"""Intake: events become durable together with everything they lead to.

Requests that arrive together share one transaction and one fsync. What a 202 says is true when it is said: event, run,
trace and deliveries are committed.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import count

import structlog

from tocsin.model import tracing
from tocsin.model.errors import Busy, Refusal
from tocsin.model.ids import NewId
from tocsin.model.noise import Flood
from tocsin.model.rollout import EVERYTHING, Rollouts
from tocsin.model.rule import Rule
from tocsin.provider_kit.provider import Tuning
from tocsin.sources.draft import Draft
from tocsin.stages.intake.batch import Batch, Trace, as_event
from tocsin.stages.intake.config import NOTHING, Operator, TenantConfig, compiled
from tocsin.stages.intake.measured import Measured
from tocsin.stages.intake.submission import HandOver, Nowhere, Receipt, Submission, fail
from tocsin.store import intake as store
from tocsin.store.database import Database, StoreBroken, StoreUnavailable, Transaction

GROUP_EVENTS = 512
"""Events that share a transaction at the most: enough to make the fsync cheap, few enough to answer soon."""

WRITERS = 3
MOST_WAITING = 20_000
MOST_WAITING_BYTES = 64 * 1024 * 1024
BEGUN_WITHIN_S, BEGUN_WITHIN_S_FAILING = 2.4, 0.8
"""What has not been begun after so long is not stored: the store does not keep up, or does not take anything."""

ANSWER_S = 8.0
"""What has been begun is waited for: to say "not known" has the sender send it again."""

LOOK_OVER_S = 0.2
FAILED_LATELY_S = 5.0
log = structlog.get_logger()


class Intake:
    """`clock_ms` and `new_id` are app.py's; `alone` says that no other process writes to this store; `operator` is what
    the operator's settings give for all endpoints of a kind, `flood` the limit of every endpoint,
    `rollouts` what the environment has come to whom; `name` is this
    process's among those that write to the store."""

    def __init__(
        self,
        db: Database,
        clock_ms: Callable[[], int],
        new_id: NewId,
        tuning: Mapping[str, Tuning],
        *,
        hand_over: HandOver,
        lease_ms: int,
        name: str = "",
        operator: Operator = NOTHING,
        flood: Flood | None = None,
        rollouts: Rollouts = EVERYTHING,
        spans: tracing.Spans | None = None,
    ) -> None:
        self.db = db
        self.clock_ms = clock_ms
        self.new_id = new_id
        self.tuning = tuning
        self.hand_over = hand_over
        self.lease_ms = lease_ms
        self.name = name
        self.operator = operator
        self.flood = flood
        self.rollouts = rollouts
        self.spans = spans
        self.alone = db.dialect == "sqlite"
        self.fired: dict[tuple[str, str], int] = {}  # by tenant and rule, when it was last noted
        self.configs: dict[str, TenantConfig] = {}
        self.waiting: deque[Submission] = deque()
        self.waiting_events = 0
        self.waiting_bytes = 0
        self.wake = asyncio.Event()
        self.counts = {"accepted": 0, "duplicate": 0, "refused": 0}
        self.measured = Measured()
        self.on_stored: Callable[[], None] = lambda: None  # for those who watch live
        self.under_way: list[list[Submission]] = []
        self.slots: set[int] = set()
        self.failed_s: float | None = None

    async def accept(
        self,
        tenant_id: str,
        drafts: Sequence[Draft],
        *,
        size: int = 0,
        key: str = "",
        body: bytes = b"",
        only_endpoint: str = "",
        only_rule: Rule | None = None,
        given: bytes | None = None,
    ) -> list[Receipt]:
        """Returns once the events are durable. Raises Busy where too much waits, Conflict for a reused key.

        `only_endpoint` sends to that endpoint alone, switched on or not, past all rules: a test message. `only_rule`
        asks this rule, and none of those that people have made. `given`, with `only_endpoint`: a message that is sent
        there with this body, like any other and past all rules.
        """
        if self.waiting_events + len(drafts) > MOST_WAITING or self.waiting_bytes + size > MOST_WAITING_BYTES:
            self.counts["refused"] += len(drafts)
            raise Busy("Tocsin takes in more than it can write just now.", retry_after_s=1)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[Receipt]] = loop.create_future()
        body_hash = hashlib.sha256(body).digest() if key else b""
        now_s, trace = loop.time(), tracing.current.get()
        self.waiting.append(
            Submission(tenant_id, drafts, size, done, now_s, key, body_hash, only_endpoint, only_rule, given, trace)
        )
        self.waiting_events += len(drafts)
        self.waiting_bytes += size
        self.wake.set()
        return await done

    async def run(self) -> None:
        """Writes what waits, group by group, until cancelled.

        SQLite has one writer. Across a wire another group is on its way while the first waits for its answers.
        """
        await asyncio.gather(*(self._write_groups() for _ in range(1 if self.alone else WRITERS)))

    async def _write_groups(self) -> None:
        while True:
            await self.wake.wait()
            self.wake.clear()
            while self.waiting:
                await asyncio.sleep(0)  # what has arrived at the sockets already comes along: it costs nobody any time
                await asyncio.sleep(0)
                if group := self._group():
                    await self.write(group)

    async def answer_in_time(self) -> None:
        """Who waits for too long is told to come back: what has not been begun is not stored; what has been may be."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(LOOK_OVER_S)
            within_s = BEGUN_WITHIN_S_FAILING if self.is_failing() else BEGUN_WITHIN_S
            while self.waiting and self.waiting[0].since_s < loop.time() - within_s:
                late = self._next()
                self.counts["refused"] += len(late.drafts)
                fail(late, Busy("Tocsin takes in more than it can write just now.", retry_after_s=2))
            for group in self.under_way:
                for submission in group:
                    if submission.since_s < loop.time() - ANSWER_S:
                        fail(submission, Busy("The store takes long; whether it has this is not known.", 2))

    def is_failing(self) -> bool:
        """Whether the store did not take what came last, and that was lately."""
        return self.failed_s is not None and asyncio.get_running_loop().time() - self.failed_s < FAILED_LATELY_S

    def _next(self) -> Submission:
        submission = self.waiting.popleft()
        self.waiting_events -= len(submission.drafts)
        self.waiting_bytes -= submission.size
        return submission

    def _group(self) -> list[Submission]:
        group: list[Submission] = []
        keys: set[tuple[str, str]] = set()
        count = 0
        while self.waiting and (not group or count + len(self.waiting[0].drafts) <= GROUP_EVENTS):
            key = (self.waiting[0].tenant_id, self.waiting[0].key)
            if key[1] and key in keys:
                break  # the second of two with one idempotency key must see what the first was answered
            keys.add(key)
            submission = self._next()
            count += len(submission.drafts)
            if not submission.done.done():
                group.append(submission)
        return group

    async def write(self, group: list[Submission]) -> None:
        """One transaction for all; where it fails for a reason of its own, each alone, so that one cannot spoil it."""
        self.under_way.append(group)
        try:
            await self._write_once_uncontended(group)
            self.failed_s = None
        except (StoreUnavailable, StoreBroken) as error:
            self.failed_s = asyncio.get_running_loop().time()
            log.warning("intake.unavailable", reason=str(error), events=sum(len(s.drafts) for s in group))
            for submission in group:
                fail(submission, Busy(f"The store does not take anything at present: {error}", retry_after_s=2))
            if isinstance(error, StoreBroken):
                raise
        except Exception as error:
            if len(group) == 1:
                if not isinstance(error, Refusal):
                    log.exception("intake.failed")
                fail(group[0], error)
            else:
                for submission in group:
                    await self.write([submission])
        finally:
            self.under_way.remove(group)

    async def _write_once_uncontended(self, group: list[Submission]) -> None:
        for _ in range(5):
            try:
                await self._write(group)
            except store.Contended:
                continue
            return
        raise StoreUnavailable("other processes keep writing the same events")

    async def _write(self, group: list[Submission]) -> None:
        slot = next(number for number in count() if number not in self.slots)
        self.slots.add(slot)
        batch = Batch(self, self.clock_ms(), f"{self.name}.{slot}")
        spans = [(s, self.spans.begin("plan", "internal", s.trace)) for s in group] if self.spans is not None else ()
        try:
            async with self.db.transaction() as tx:
                answers = await batch.store(tx, group)
        except BaseException as error:
            for claimed in batch.handed:
                self.hand_over.cancel(claimed.delivery.endpoint_id, claimed.delivery.tenant_id)
            if batch.handed and isinstance(error, StoreUnavailable):
                self.hand_over.doubt(batch.lease)
            raise
        finally:
            self.slots.discard(slot)
        self.measured.groups.add(sum(len(submission.drafts) for submission in group))
        self.measured.suppress(batch.suppressed)
        self.measured.unplanned += batch.unplanned
        self.fired.update(dict.fromkeys(batch.fired, batch.now_ms))
        if batch.handed:
            self.hand_over.give(batch.handed)
        if batch.due:
            self.hand_over.wake()
        for submission, span in spans:
            span.end({"tocsin.events": len(submission.drafts), "tocsin.group": len(group)})
        for submission, answer in zip(group, answers, strict=True):
            if isinstance(answer, Refusal):
                fail(submission, answer)
                continue
            duplicates = sum(receipt.duplicate for receipt in answer)
            self.counts["duplicate"] += duplicates
            self.counts["accepted"] += len(answer) - duplicates
            if not submission.done.done():
                submission.done.set_result(answer)
        self.on_stored()

    async def config(self, tx: Transaction, tenant_id: str) -> TenantConfig:
        """Compiled anew when somebody changed it: what is committed before an event counts for that event."""
        version = await store.config_version(tx, tenant_id)
        known = self.configs.get(tenant_id)
        if known is None or known.version != version:
            config = await store.config(tx, tenant_id)
            known = self.configs[tenant_id] = compiled(
                version,
                tenant_id,
                config,
                self.tuning,
                operator=self.operator,
                flood=self.flood,
                rollouts=self.rollouts,
            )
        return known


__all__ = ["HandOver", "Intake", "Nowhere", "Receipt", "Trace", "as_event"]
