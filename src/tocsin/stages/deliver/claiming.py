"""Claiming: which of the due deliveries this process takes on, so that each endpoint gets its share and no more."""

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from tocsin.compose.folded import shown
from tocsin.model.delivery import Claimed
from tocsin.model.event import Event
from tocsin.model.rollout import ALERTS, EVERYTHING, Rollouts, off
from tocsin.model.run import Run
from tocsin.provider_kit.provider import Tuning
from tocsin.rules.fair_queue import FairQueue
from tocsin.rules.pacing import allowed, next_us, spaced, taken
from tocsin.rules.run_state import attempt_named
from tocsin.store import queue, rollouts
from tocsin.store.database import Transaction

READY_AT_ONCE = 64
CLAIMED_AT_ONCE = 500
AHEAD = 512
"""Where others deliver too: so many may wait in one process. What it has taken nobody else can send."""

UNKNOWN_MS = 60_000
"""When to look again for a provider that this program does not know; a newer one beside it may."""

ROLLOUT_MS = 1000
"""How old the rollouts may be that claiming goes by."""

LOOK_AGAIN_MS = 20
"""Where there is no room for more at present."""


class Claimer:
    """`fair` is what waits in memory: it says how much more of an endpoint there is room for. `alone`: nobody else
    delivers from this store. `given`: the rollouts of the environment."""

    def __init__(
        self,
        fair: FairQueue[Claimed],
        tuning: Mapping[str, Tuning],
        given: Rollouts = EVERYTHING,
        *,
        lease_ms: int,
        alone: bool,
    ) -> None:
        self.fair = fair
        self.alone = alone
        self.ahead = fair.capacity if alone else AHEAD
        self.low = fair.capacity // 8 if alone else AHEAD // 2
        self.tuning = tuning
        self.given = given
        self.rollouts: Rollouts = EVERYTHING
        self.rollouts_ms = -ROLLOUT_MS
        self.lease_ms = lease_ms

    async def claim(self, tx: Transaction, lease: str, now_ms: int) -> list[Claimed]:
        """What this process takes on now; it is leased once the transaction is committed."""
        ready = await queue.ready(tx, now_ms, READY_AT_ONCE)
        wanted: dict[str, int] = {}
        left: dict[str, queue.Requeue] = {}
        each = max(1, (self.ahead - self.fair.size) // max(1, len(ready)))
        for endpoint in ready:
            if endpoint.provider_type not in self.tuning:
                left[endpoint.endpoint_id] = queue.Requeue(
                    endpoint.endpoint_id, endpoint.bucket_us, endpoint.is_open, now_ms + UNKNOWN_MS
                )
                continue
            if why := await self.off(tx, endpoint, now_ms):
                await queue.suppress(tx, endpoint.endpoint_id, why, now_ms)
            count, not_before_ms = self.share(endpoint, now_ms, each)
            if count:
                wanted[endpoint.endpoint_id] = count
            left[endpoint.endpoint_id] = queue.Requeue(
                endpoint.endpoint_id, endpoint.bucket_us, endpoint.is_open, not_before_ms
            )
        got = await queue.claim(tx, wanted, now_ms, lease, now_ms + self.lease_ms) if wanted else []
        counts = Counter(taken.delivery.endpoint_id for taken in got)
        for endpoint in ready:
            count = counts[endpoint.endpoint_id]
            if count and (rate_per_s := self.tuning[endpoint.provider_type].rate_per_s) is not None:
                rate = spaced(rate_per_s)
                bucket_us = taken(rate, endpoint.bucket_us, now_ms * 1000, count)
                again_ms = -(-next_us(rate, bucket_us, now_ms * 1000) // 1000)
                left[endpoint.endpoint_id] = queue.Requeue(endpoint.endpoint_id, bucket_us, True, again_ms)
        await queue.requeue(tx, left.values())
        return await self.with_events(tx, got, {e.endpoint_id: e.version for e in ready}, lease, now_ms)

    async def off(self, tx: Transaction, endpoint: queue.Ready, now_ms: int) -> str:
        """Why nothing is sent to this endpoint, or "": what was switched off since it was planned."""
        if (why := self.tuning[endpoint.provider_type].off) != "":
            return why
        if not self.rollouts_ms <= now_ms < self.rollouts_ms + ROLLOUT_MS:
            self.rollouts, self.rollouts_ms = await rollouts.in_force(tx, self.given), now_ms
        features = (ALERTS, endpoint.provider_type)
        return next(filter(None, (off(self.rollouts, feature, endpoint.tenant_id) for feature in features)), "")

    def share(self, endpoint: queue.Ready, now_ms: int, most: int) -> tuple[int, int]:
        """How many of an endpoint's due deliveries to take now, at the most `most`, and when to look again."""
        if not endpoint.is_open:
            return 0, now_ms
        if endpoint.paused_until_ms > now_ms:
            return 0, endpoint.paused_until_ms
        free = min(CLAIMED_AT_ONCE, self.fair.free(endpoint.endpoint_id, endpoint.tenant_id))
        waiting = self.fair.endpoint(endpoint.endpoint_id, endpoint.tenant_id)
        if free == 0 or (free < CLAIMED_AT_ONCE and free < waiting.size // 4):
            return 0, now_ms + LOOK_AGAIN_MS
        free = min(free, most)
        rate_per_s = self.tuning[endpoint.provider_type].rate_per_s
        if rate_per_s is None:
            return free, now_ms
        rate = spaced(rate_per_s)
        count = allowed(rate, endpoint.bucket_us, now_ms * 1000, free)
        return count, -(-next_us(rate, endpoint.bucket_us, now_ms * 1000) // 1000)

    async def with_events(
        self, tx: Transaction, got: Sequence[queue.Taken], versions: dict[str, int], lease: str, now_ms: int
    ) -> list[Claimed]:
        """Chat messages are composed when they are sent, from the newest state of the run. What others have joined is
        composed then in any case: its body, fixed when it was planned, tells of one event alone."""
        heads = [(t.delivery.id, t.delivery.tenant_id) for t in got if t.delivery.words.fold]
        companies = await queue.companies(tx, heads) if heads else {}
        got = [unfixed(t) if t.delivery.id in companies else t for t in got]
        composed = [(t.delivery.tenant_id, t.delivery.event_uid) for t in got if t.delivery.body is None]
        events = await queue.events(tx, composed) if composed else {}
        runs = {run_key(run): run for run in await queue.runs(tx, map(asked_run, events.values()))} if events else {}
        newest: dict[tuple[str, str, str], Run] = {}
        for key in sorted(runs):
            newest[key[:3]] = runs[key]
        for t in got:
            if (company := companies.get(t.delivery.id)) and (event := events.get(t.delivery.event_uid)):
                asked = [(t.delivery.tenant_id, id_) for id_ in shown(event, company, t.delivery.words)]
                companies[t.delivery.id] = replace(company, events=await queue.events_as_told(tx, asked))

        def newest_of(event: Event | None) -> Run | None:
            return newest.get((event.tenant_id, event.pipeline, event.run_id)) if event else None

        def run_of(event: Event | None) -> Run | None:
            return runs.get(asked_run(event), newest_of(event)) if event else None

        return [
            Claimed(
                delivery=t.delivery,
                lease=lease,
                lease_until_ms=now_ms + self.lease_ms,
                version=versions[t.delivery.endpoint_id],
                policy=t.policy,
                plain=t.plain,
                event=(event := events.get(t.delivery.event_uid)),
                run=run_of(event),
                newest=newest_of(event),
                company=companies.get(t.delivery.id),
            )
            for t in got
        ]


def run_key(run: Run) -> tuple[str, str, str, int]:
    return run.tenant_id, run.pipeline, run.run_id, run.attempt


def asked_run(event: Event) -> tuple[str, str, str, int]:
    """The run that it is about; attempt 0 is the newest, whichever that is."""
    return event.tenant_id, event.pipeline, event.run_id, attempt_named(event.kind, event.data)


def unfixed(t: queue.Taken) -> queue.Taken:
    """Without the body that tells of its own event alone."""
    delivery = t.delivery
    return replace(t, delivery=replace(delivery, body=None, words=replace(delivery.words, failed="")))
