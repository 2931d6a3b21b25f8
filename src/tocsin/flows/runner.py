"""Runs executions that wait in the store, a bounded number at a time, each by one process.

An execution is a row before anybody is told of it. Who runs it holds a lease; where a process is gone, whoever comes
next ends what it ran as failed, with the flow's `errors` and `afterExecution`: what a task had done until then nobody
knows, so nothing is done twice.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from msgspec import Struct
from msgspec.structs import replace

from tocsin.flows.engine import execute, fail
from tocsin.flows.execution import Execution, Handler
from tocsin.flows.inside import Inside
from tocsin.flows.library import Library
from tocsin.flows.model import Flow
from tocsin.flows.reach import Lent, opened
from tocsin.model.errors import Busy
from tocsin.model.ids import DEFAULT_TENANT
from tocsin.store import flows as store
from tocsin.store import log as runs
from tocsin.store.database import Database, StoreUnavailable, Transaction
from tocsin.store.flows import Begun, Wanted
from tocsin.store.sealing import Keyring

POLL_S = 1.0
LOOK_S = 0.2
IDLE_S = 60.0
"""Where there are no flows, and what there is may be left of others."""
LEASE_MS = 30_000
MOST_QUEUED = 1000
MOST_CLAIMS = 3
"""What ended a process three times is told as failed, and nothing of it runs any more."""
KILLED_S = 5.0
"""For what a killed execution still has to do: to tell it, and its afterExecution."""
RESTARTED = "Tocsin was restarted while it ran"
STOPPED = "Tocsin was stopped while it ran"
log = structlog.get_logger()


class Lost(asyncio.CancelledError):
    """Another process has taken the execution over: nothing of it is ours any more."""


class Going(Struct):
    """An execution under way."""

    wanted: Wanted
    task: "asyncio.Task[None] | None" = None
    execution: Execution | None = None
    is_lost: bool = False
    waits: int = 0
    """For how many executions that it called: as long as it is for any, it takes nobody's turn."""


class Runner:
    """`lend` gives an execution of a tenant what it may reach, `inside` the server around it; `secrets` are those of
    the environment; `at_once` is how many run at a time here, 0 for a process that only takes orders."""

    def __init__(
        self,
        db: Database,
        keyring: Keyring,
        library: Library,
        handlers: Mapping[str, Handler],
        lend: Callable[[str], Lent],
        inside: Callable[[str], Inside],
        clock_ms: Callable[[], int],
        *,
        lease: str,
        at_once: int,
        secrets: Mapping[str, str],
    ) -> None:
        self.db = db
        self.keyring = keyring
        self.library = library
        self.handlers = handlers
        self.lend = lend
        self.inside = inside
        self.clock_ms = clock_ms
        self.lease = lease
        self.at_once = at_once
        self.secrets = secrets
        self.going: dict[tuple[str, str], Going] = {}
        self.wake = asyncio.Event()
        self.stopping = False
        self.kept_ms = 0

    async def queue(self, tx: Transaction, wanted: Wanted) -> bool:
        """Durable with the transaction; `wake.set()` after it begins it sooner. False where the id is known already.
        Raises Busy where too many wait."""
        if await store.queued(tx, wanted.tenant_id) >= MOST_QUEUED:
            raise Busy(f"{MOST_QUEUED} executions wait already.", retry_after_s=30, status=429)
        return await store.add(tx, self.keyring, wanted, self.clock_ms())

    async def enqueue(self, wanted: Wanted) -> None:
        """Durable when it returns; while the store is away, it waits. Raises Busy."""
        while True:
            try:
                async with self.db.transaction() as tx:
                    await self.queue(tx, wanted)
            except StoreUnavailable as error:
                log.warning("flows.queue_again", execution=wanted.id, reason=str(error))
                await asyncio.sleep(POLL_S)
            else:
                self.wake.set()
                return

    async def run(self) -> None:
        """Begins what waits, until cancelled."""
        while True:
            busy = sum(not going.waits for going in self.going.values())
            if self.at_once > busy and not self.stopping:
                await self.begin(self.at_once - busy)
            await self.keep()
            try:
                async with asyncio.timeout(POLL_S if self.library.folder or self.going else IDLE_S):
                    await self.wake.wait()
            except TimeoutError:
                pass
            self.wake.clear()

    async def begin(self, most: int) -> None:
        now_ms = self.clock_ms()
        for begun in await store.claim(self.db, self.keyring, self.lease, now_ms, now_ms + LEASE_MS, most):
            going = self.going[begun.wanted.tenant_id, begun.wanted.id] = Going(begun.wanted)
            going.task = asyncio.create_task(self.through(begun, going))

    async def keep(self) -> None:
        """Holds on to what runs here. What another process has taken over ends without a word."""
        now_ms = self.clock_ms()
        if not self.going:
            self.kept_ms = now_ms
        if now_ms < self.kept_ms + LEASE_MS // 3:
            return
        before = dict(self.going)
        ours = await store.keep(self.db, self.lease, now_ms + LEASE_MS)
        self.kept_ms = now_ms
        for key, going in before.items():
            if key not in ours and self.going.get(key) is going and going.task is not None:
                log.warning("flows.lost", execution=key[1])
                going.is_lost = True
                going.task.cancel()

    async def ended(self, tenant_id: str, id_: str, caller: str) -> str:
        """The state in which an execution ended that another called, which waits here. Cancelled meanwhile, so is what
        it waits for, where nobody has begun it or it runs here."""
        waiting = self.going.get((tenant_id, caller))
        if waiting is not None:
            waiting.waits += 1
            self.wake.set()
        try:
            while (found := await self.state(tenant_id, id_)) in ("QUEUED", "RUNNING"):  # noqa: ASYNC110 - maybe elsewhere
                await asyncio.sleep(LOOK_S)
        except asyncio.CancelledError:
            await asyncio.shield(self.give_up(tenant_id, id_))
            raise
        finally:
            if waiting is not None:
                waiting.waits -= 1
        return found

    async def state(self, tenant_id: str, id_: str) -> str:
        try:
            return await store.state(self.db, tenant_id, id_) or "KILLED"
        except StoreUnavailable:
            return "RUNNING"  # as far as anybody knows

    async def give_up(self, tenant_id: str, id_: str) -> None:
        await store.cancel(self.db, tenant_id, id_, self.clock_ms())
        going = self.going.get((tenant_id, id_))
        if going is not None and going.task is not None:
            going.task.cancel()

    async def drain(self, grace_s: float) -> None:
        """Nothing new is begun. What runs has so many seconds; then it is killed, and told so."""
        self.stopping = True
        tasks = [going.task for going in self.going.values() if going.task is not None]
        if not tasks:
            return
        log.info("flows.stopping", running=len(tasks))
        _, late = await asyncio.wait(tasks, timeout=grace_s)
        for going in self.going.values():
            if going.task in late and going.execution is not None:
                going.execution.log(STOPPED, level="ERROR")
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=KILLED_S)

    async def through(self, begun: Begun, going: Going) -> None:
        """One execution to its end, whatever happens in it."""
        wanted = begun.wanted
        try:
            state = await self.executed(begun, going)
        except asyncio.CancelledError:
            state = "KILLED"
        except Exception:
            state = "FAILED"
            log.exception("flows.failed", execution=wanted.id, flow=f"{wanted.namespace}.{wanted.flow_id}")
        if not going.is_lost:
            await self.end(wanted, state)
        del self.going[wanted.tenant_id, wanted.id]
        self.wake.set()

    async def end(self, wanted: Wanted, state: str) -> None:
        while True:
            try:
                await store.end(self.db, wanted, self.lease, state, self.clock_ms())
            except StoreUnavailable as error:
                log.warning("flows.end_again", execution=wanted.id, reason=str(error))
                await asyncio.sleep(POLL_S)
            else:
                return

    async def executed(self, begun: Begun, going: Going) -> str:
        wanted = begun.wanted
        flow = self.library.get(wanted.tenant_id, wanted.namespace, wanted.flow_id)
        reach = self.lend(wanted.tenant_id)
        told = reach.teller

        async def tell(event: dict[str, Any]) -> None:
            if going.is_lost:
                raise Lost
            await told(event)

        reach.teller = tell
        going.execution = execution = Execution(
            flow or Flow(wanted.flow_id, wanted.namespace, ()),
            reach,
            id_=wanted.id,
            inputs=wanted.inputs,
            trigger=wanted.cause,
            secrets=await opened(flow, reach, self.given(wanted.tenant_id)) if flow is not None else {},
            server=self.inside(wanted.tenant_id),
        )
        execution.labels |= wanted.labels
        if flow is None:
            return await fail(execution, {}, "there is no such flow any more", [])
        if begun.unreadable:
            return await fail(execution, {}, begun.unreadable, [])
        if begun.claims == 1:
            return await execute(execution, self.handlers)
        execution.started_ms = begun.started_ms
        if begun.claims > MOST_CLAIMS:
            execution.flow = replace(execution.flow, errors=(), finally_=(), after_execution=())
        return await fail(execution, self.handlers, RESTARTED, await self.open_stages(execution, wanted))

    def given(self, tenant_id: str) -> Mapping[str, str]:
        return self.secrets if tenant_id == DEFAULT_TENANT else {}

    async def open_stages(self, execution: Execution, wanted: Wanted) -> list[tuple[str, int | None, int]]:
        """The tasks that ran when the process ended: name, place in a loop, try."""
        filters = {"run_id": wanted.id, "pipeline": execution.flow.name}
        found = await runs.list_runs(self.db, wanted.tenant_id, before=runs.LAST, limit=1, filters=filters)
        stages = found[0].stages if found else ()
        return [(stage.name, stage.map_index, stage.attempt) for stage in stages if stage.status == "running"]
