"""Watches what happens to all runs, and starts the flows whose triggers wait for it; and those whose hour has come.

Where it has got to is a row. An execution's id is made of the trigger and of what fired it, so that looking at the same
thing twice, after a crash or in two processes, starts nothing twice.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import msgspec
import structlog

from tocsin.flows import triggers
from tocsin.flows.execution import Seen, moment
from tocsin.flows.expression import ExpressionError, Scope, render
from tocsin.flows.library import Library
from tocsin.flows.model import Flow, Trigger
from tocsin.flows.triggers import CHAIN, Changed, Unfit
from tocsin.model.errors import Busy
from tocsin.model.event import Event
from tocsin.model.run import ENDED, RUN_STATUS, Run
from tocsin.rules.cron import previous_ms
from tocsin.rules.own import OWN
from tocsin.rules.run_state import attempt_named
from tocsin.store import flow_triggers as store
from tocsin.store import log as runs
from tocsin.store.database import Database, StoreUnavailable, Transaction
from tocsin.store.flows import Wanted

EVERY_S = 0.5
PAGE = 200
OVERLAP_MS = {"sqlite": 0, "postgres": 5000}
"""Processes commit in another order than they draw ids: so far back is looked again."""

MOST_BEHIND_MS = 24 * 3600 * 1000
"""After a longer absence what happened before is old news."""

NOTED_MS = 10_000
"""So often it is noted where we are, where nothing was started."""

AT_ONCE = 50
"""Executions that one transaction starts."""

MOST_DONE = 20_000
MOST_BEFORE = 500
"""Runs, the newest, that a trigger with several conditions looks back at."""

log = structlog.get_logger()

Queue = Callable[[Transaction, Wanted], Awaitable[bool]]


class Watcher:
    """For one tenant. `queue` makes an execution durable within a transaction, and says whether it is new."""

    def __init__(
        self,
        db: Database,
        library: Library,
        queue: Queue,
        wake: Callable[[], None],
        clock_ms: Callable[[], int],
        tenant_id: str,
    ) -> None:
        self.db = db
        self.library = library
        self.queue = queue
        self.wake = wake
        self.clock_ms = clock_ms
        self.tenant_id = tenant_id
        self.after = ""
        self.looked = ""
        self.checked_ms = 0
        self.noted_ms = 0
        self.done: OrderedDict[str, None] = OrderedDict()

    async def run(self) -> None:
        """Looks again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except (StoreUnavailable, Busy) as error:
                log.warning("flows.watch_again", reason=str(error))
            await asyncio.sleep(EVERY_S)

    def watched(self, kind: str) -> list[tuple[Flow, Trigger]]:
        flows = self.library.flows(self.tenant_id)
        return [
            (flow, trigger)
            for flow in flows
            if not flow.disabled
            for trigger in flow.triggers
            if trigger.kind == kind and not trigger.disabled
        ]

    async def look(self) -> None:
        """One look at what is new, and at the clock."""
        now_ms = self.clock_ms()
        if not self.after:
            await self.begin(now_ms)
        wanted = self.scheduled(now_ms)
        newest = await store.newest(self.db, self.tenant_id)
        news = newest != self.looked
        if news and (watched := self.watched("flow")):
            events = await store.news(self.db, self.tenant_id, self.since(now_ms), PAGE)
            wanted += await self.wanted(watched, events)
            if len(events) == PAGE:
                newest = events[-1].uid
        if wanted or now_ms >= self.noted_ms + NOTED_MS:
            await self.start(wanted, newest or self.after, now_ms)
        self.looked = newest
        self.after = newest or self.after
        self.checked_ms = now_ms

    async def begin(self, now_ms: int) -> None:
        known = await store.position(self.db, self.tenant_id)
        if known is None:
            self.looked = await store.newest(self.db, self.tenant_id)
            self.after, self.checked_ms = self.looked or uid_at(0), now_ms
            await self.start([], self.after, now_ms)
            return
        self.after = max(known[0], uid_at(now_ms - MOST_BEHIND_MS))
        self.checked_ms = max(known[1], now_ms - MOST_BEHIND_MS)

    def since(self, now_ms: int) -> str:
        """Where to look from: a little back where several processes write, or where the clock was set back."""
        overlap_ms = OVERLAP_MS[self.db.dialect]
        if not overlap_ms:
            return self.after
        return uid_at(min(int(self.after[4:16], 16), now_ms) - overlap_ms)

    async def wanted(self, watched: list[tuple[Flow, Trigger]], events: list[Event]) -> list[Wanted]:
        events = [event for event in events if event.source != OWN and event.data.get("will_retry") is not True]
        keys = {(event.pipeline, event.run_id) for event in events}
        found: dict[tuple[str, str], list[Run]] = {}
        if keys:
            asked = {"keys": runs_as_list(keys)}
            last = runs.LAST
            for run in await runs.list_runs(self.db, self.tenant_id, before=last, limit=10 * PAGE, filters=asked):
                found.setdefault((run.pipeline, run.run_id), []).append(run)
        wanted: dict[str, Wanted] = {}
        for event in events:
            changed = changed_by(event, found.get((event.pipeline, event.run_id), []))
            if changed is None:
                continue
            for flow, trigger in watched:
                one = await self.fired(flow, trigger, changed)
                if one is not None and one.id not in self.done:
                    wanted[one.id] = one
        return list(wanted.values())

    async def fired(self, flow: Flow, trigger: Trigger, changed: Changed) -> Wanted | None:
        given = trigger.given
        fired_ms, before = 0, list[Seen]()
        by = f"trigger:{trigger.id}"
        try:
            if len(triggers.asked(given)) > 1:
                fired_ms = await store.fired_ms(self.db, self.tenant_id, flow.namespace, flow.id, by)
                before = await self.before(changed)
            is_fired = triggers.fires(trigger, flow, changed, ended_since(before), fired_ms)
        except (Unfit, ExpressionError) as error:
            log.warning("flows.trigger_failed", flow=flow.name, trigger=trigger.id, reason=str(error))
            return None
        except StoreUnavailable:
            raise
        except Exception:  # whatever one trigger asks, the others go on
            log.exception("flows.trigger_failed", flow=flow.name, trigger=trigger.id)
            return None
        if not is_fired:
            return None
        variables = triggers.variables(changed)
        return self.one(flow, trigger, changed.key, variables, triggers.chain_of(changed.seen.labels) + 1)

    async def before(self, changed: Changed) -> list[Seen]:
        found = await runs.list_runs(self.db, self.tenant_id, before=runs.LAST, limit=MOST_BEFORE, filters={})
        names = {changed.pipeline: changed.source}
        return [triggers.seen_of(run, names.get(run.pipeline, triggers.source_of(run))) for run in found if run.is_over]

    def one(self, flow: Flow, trigger: Trigger, key: str, variables: dict[str, Any], chain: int) -> Wanted:
        inputs: dict[str, Any] = {}
        scope = Scope({"trigger": variables, "flow": {"id": flow.id, "namespace": flow.namespace}})
        for name, value in (trigger.given.get("inputs") or {}).items():
            try:
                inputs[name] = render(value, scope) if isinstance(value, str) else value
            except ExpressionError as error:  # the execution fails then, and says which input it misses
                log.warning("flows.trigger_input", flow=flow.name, trigger=trigger.id, input=name, reason=str(error))
        named = f"{self.tenant_id}\n{flow.name}\n{trigger.id}\n{key}"
        return Wanted(
            tenant_id=self.tenant_id,
            id="exe_" + hashlib.sha256(named.encode()).hexdigest()[:32],
            namespace=flow.namespace,
            flow_id=flow.id,
            inputs=inputs,
            cause=variables,
            labels={CHAIN: str(chain)} if chain else {},
            created_by=f"trigger:{trigger.id}",
        )

    def scheduled(self, now_ms: int) -> list[Wanted]:
        """Those whose hour has come since the last look; of several that were missed, the last."""
        found = []
        for flow, trigger in self.watched("schedule"):
            cron, zone = triggers.cron_of(trigger)
            due_ms = previous_ms(cron, zone, now_ms + 1)
            if due_ms <= self.checked_ms:
                continue
            variables = {"date": moment(due_ms), "next": "", "previous": ""}
            found.append(self.one(flow, trigger, str(due_ms), variables, 0))
        return found

    async def start(self, wanted: Sequence[Wanted], position: str, now_ms: int) -> None:
        """All of them, then how far we are. Raises Busy where too many wait: what is left comes with the next look."""
        for first in range(0, len(wanted), AT_ONCE):
            some = wanted[first : first + AT_ONCE]
            async with self.db.transaction() as tx:
                begun = [one for one in some if await self.queue(tx, one)]
            for one in begun:
                log.info("flows.triggered", flow=f"{one.namespace}.{one.flow_id}", execution=one.id, by=one.created_by)
            self.done.update(dict.fromkeys(one.id for one in some))
            if begun:
                self.wake()
        while len(self.done) > MOST_DONE:
            self.done.popitem(last=False)
        async with self.db.transaction() as tx:
            await store.put_position(tx, self.tenant_id, position, now_ms)
        self.noted_ms = now_ms


def changed_by(event: Event, known: list[Run]) -> Changed | None:
    """What an event made of its run; None where that was told already, or is not the last word on it."""
    named = attempt_named(event.kind, event.data)
    newest = max((run.attempt for run in known), default=1)
    run = next((run for run in known if run.attempt == (named or newest)), None)
    status = RUN_STATUS.get(event.kind)
    if run is None or status is None or (status in ENDED and run.status != status):
        return None
    state = triggers.STATES[status]
    seen = triggers.seen_of(run, event.source, state, next(iter(event.links.values()), ""))
    key = f"{run.pipeline}\n{run.run_id}\n{run.attempt}\n{state}"
    outputs = event.data.get("outputs") if event.source == "flow" else None
    return Changed(
        seen,
        key,
        event.source,
        event.pipeline,
        run.attempt,
        event.received_ms,
        outputs if isinstance(outputs, dict) else {},
    )


def ended_since(before: list[Seen]) -> Callable[[int], list[Seen]]:
    return lambda since_ms: [seen for seen in before if seen.ended_ms is not None and seen.ended_ms >= since_ms]


def uid_at(ms: int) -> str:
    """Before every event of this time: ids begin with their milliseconds."""
    return f"evt_{max(0, ms):012x}"


def runs_as_list(keys: Iterable[tuple[str, str]]) -> str:
    return msgspec.json.encode(sorted(keys)).decode()
