"""Recording: results are written in groups, with what they mean for their endpoints."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Literal

import msgspec
import structlog

from tocsin.model.audit import ITSELF, Act
from tocsin.model.delivery import Attempt, Claimed
from tocsin.model.rule import TEST_RULE
from tocsin.rules.next_step import DISABLE_AFTER, WARN_AFTER, Step
from tocsin.stages.deliver.measured import Measured
from tocsin.store import queue
from tocsin.store.audit import Trail
from tocsin.store.database import Database, StoreBroken, StoreUnavailable, Transaction

LINGER_S = 0.012
"""Results wait this long for company: a commit for each would cost more than the sends."""

NOTED_MS = 1000
"""That an endpoint works is written down once in this time, unless it failed in between."""

MOST_UNRECORDED = 1024
"""Results that may wait to be written while more is sent: so many messages a crash can have sent twice."""

log = structlog.get_logger()


class Finished(msgspec.Struct, frozen=True, gc=False):
    """A step that waits to be recorded."""

    claimed: Claimed
    step: Step
    attempt: Attempt
    paused_until_ms: int = 0
    was_tried: bool = True
    why: str = ""


class Recorder:
    """What waits to be written. `cannot_record` while the store is away: what is sent then could not be noted."""

    def __init__(self, db: Database, clock_ms: Callable[[], int], trail: Trail) -> None:
        self.db = db
        self.clock_ms = clock_ms
        self.trail = trail
        self.finished: list[Finished] = []
        self.released: list[tuple[str, str, str, int]] = []
        self.now = asyncio.Event()
        self.recording = asyncio.Lock()
        self.cannot_record = False
        self.unrecorded = 0
        self.noted: dict[str, int] = {}
        self.measured = Measured()
        self.on_room: Callable[[], None] = lambda: None
        self.on_due: Callable[[], None] = lambda: None
        self.on_recorded: Callable[[], None] = lambda: None  # for those who watch live
        self.on_notice: Callable[[], None] = lambda: None

    @property
    def has_room(self) -> bool:
        """Not while what was sent cannot be noted, or not soon: a process that is killed then leaves it all to be sent
        again."""
        return not self.cannot_record and self.unrecorded < MOST_UNRECORDED

    def finish(self, finished: Finished) -> None:
        self.finished.append(finished)
        self.unrecorded += 1
        self.now.set()

    def release(self, item: Claimed, due_ms: int) -> None:
        """Hands back what was claimed and not tried."""
        self.released.append((item.delivery.tenant_id, item.delivery.id, item.lease, due_ms))
        self.now.set()

    async def run(self) -> None:
        """Writes results, group by group, until cancelled."""
        while True:
            await self.now.wait()
            await asyncio.sleep(LINGER_S)
            self.now.clear()
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
                except StoreBroken:
                    raise
                except Exception:
                    log.exception("deliver.record_failed", results=len(finished))
                    await self._record_each(finished, released)
                self._recorded(len(finished))
                break

    async def _record_each(self, finished: list[Finished], released: list[tuple[str, str, str, int]]) -> None:
        """One by one, so that one result that cannot be written does not have the others sent again."""
        for one in finished:
            try:
                await self._record([one], [])
            except Exception:
                log.exception("deliver.result_lost", delivery=one.attempt.delivery_id)
        await self._record([], released)

    def _recorded(self, count: int) -> None:
        self.unrecorded -= count
        self.cannot_record = False
        self.on_room()

    async def _record(self, finished: list[Finished], released: list[tuple[str, str, str, int]]) -> None:
        now_ms = self.clock_ms()
        results = [as_result(f) for f in finished]
        disabled = False
        async with self.db.transaction() as tx:
            if threats := threats_of(finished):
                await queue.hold_tenants(tx, threats, DISABLE_AFTER)
            if results:
                kept = await queue.finish(tx, results, now_ms)
                lost = len(results) - len(kept)
                if lost:
                    self.measured.lease_lost += lost
                    log.warning("deliver.lease_lost", count=lost)
                counted = [f for f in finished if f.attempt.delivery_id in kept]
                disabled = await self._effects(tx, counted, now_ms)
            if released:
                await queue.release(tx, released)
        if results:
            for f in counted:
                status, created_ms = f.step.status, f.claimed.delivery.created_ms
                why = "" if status == "delivered" else f.why
                self.measured.record(f.claimed.delivery.provider_type, status, why, f.step.due_ms - created_ms)
        if released or any(f.step.status == "retrying" for f in finished):
            self.on_due()
        if disabled:
            self.on_notice()
        self.on_recorded()

    async def _effects(self, tx: Transaction, finished: list[Finished], now_ms: int) -> bool:
        """What the results mean for their endpoints. Returns whether there is a notice to send."""
        succeeded: set[str] = set()
        failures: dict[str, tuple[int, str]] = {}
        gone: dict[str, tuple[str, int]] = {}
        pauses: dict[str, int] = {}
        due: dict[str, int] = {}
        for f in finished:
            endpoint_id, step = f.attempt.endpoint_id, f.step
            if step.effect == "success":
                succeeded.add(endpoint_id)
                failures.pop(endpoint_id, None)
            elif f.claimed.delivery.rule_id == TEST_RULE:
                pass  # whoever asked for it is told
            elif step.effect == "failure":
                failures[endpoint_id] = (failures.get(endpoint_id, (0, ""))[0] + 1, step.reason)
            elif step.effect == "gone":
                gone[endpoint_id] = (step.reason, f.claimed.version)
                failures[endpoint_id] = (failures.get(endpoint_id, (0, ""))[0] + 1, step.reason)
            if step.pause_s is not None:
                pauses[endpoint_id] = max(pauses.get(endpoint_id, 0), f.paused_until_ms)
            if step.status == "retrying":
                due[endpoint_id] = min(due.get(endpoint_id, step.due_ms), step.due_ms)
        for endpoint_id in failures:
            self.noted.pop(endpoint_id, None)
        unnoted = [endpoint_id for endpoint_id in succeeded if self.noted.get(endpoint_id, 0) <= now_ms - NOTED_MS]
        if unnoted:
            await queue.succeeded(tx, unnoted, now_ms)
            self.noted.update(dict.fromkeys(unnoted, now_ms))
        notices = False
        switched_off: list[Act] = []
        for tenant_id, endpoint_id, count in await queue.failed(tx, failures) if failures else ():
            added = failures[endpoint_id][0]
            if endpoint_id in gone or count >= DISABLE_AFTER:
                reason, version = gone.get(endpoint_id, (f"{count} failures in a row", 0))
                if await queue.disable(tx, tenant_id, endpoint_id, reason, now_ms, version=version):
                    notices = True
                    switched_off.append(off(tenant_id, endpoint_id, reason))
            elif count >= WARN_AFTER > count - added:
                await queue.notice(tx, endpoint_id, "failing")
                notices = True
        if pauses:
            await queue.pause(tx, pauses)
        if due:
            await queue.wake(tx, due)
        for act in switched_off:
            await self.trail.add(tx, act)
        return notices


def threats_of(finished: list[Finished]) -> dict[str, int]:
    """By endpoint: its failures among these; as many as switch it off where it is gone."""
    found: Counter[str] = Counter()
    for f in finished:
        if f.step.effect in ("failure", "gone") and f.claimed.delivery.rule_id != TEST_RULE:
            found[f.attempt.endpoint_id] += DISABLE_AFTER if f.step.effect == "gone" else 1
    return found


def off(tenant_id: str, endpoint_id: str, reason: str) -> Act:
    before, after = {"is_active": True, "disabled_reason": ""}, {"is_active": False, "disabled_reason": reason}
    return Act(tenant_id, ITSELF, "webhook.disable", "webhook", endpoint_id, before, after)


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
        finished.was_tried,
    )


def unsent(item: Claimed, status: Literal["delivered", "cancelled"], reason: str, now_ms: int) -> Finished:
    """Nothing had to be sent, and the reason says why: an end without an attempt."""
    delivery = item.delivery
    step = Step(status, reason, now_ms, delivery.failures, "sent")
    attempt = Attempt(
        tenant_id=delivery.tenant_id,
        delivery_id=delivery.id,
        number=delivery.attempts,
        endpoint_id=delivery.endpoint_id,
        started_ms=now_ms,
        duration_ms=0,
        outcome="sent",
    )
    return Finished(item, step, attempt, was_tried=False)
