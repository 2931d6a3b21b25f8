"""What a server is to an execution that runs in it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tocsin.flows import triggers
from tocsin.flows.engine import ENDS
from tocsin.flows.execution import Called, Ended, Execution, Outgoing, Seen, TaskFailed, TaskRun
from tocsin.flows.expression.values import text
from tocsin.flows.inputs import checked_inputs
from tocsin.flows.library import Library
from tocsin.flows.model import Flow
from tocsin.flows.sending import Notifier
from tocsin.model.errors import Busy, Invalid
from tocsin.model.run import Run
from tocsin.store import log
from tocsin.store.database import Database
from tocsin.store.flows import Wanted

MOST_DEEP = 10
"""Flows that wait for each other; as many as may start each other by triggers."""


def inputs_for(flow: Flow, called: Called) -> dict[str, Any]:
    """Raises TaskFailed."""
    try:
        return checked_inputs(flow, called.inputs)
    except Invalid as invalid:
        raise TaskFailed(f"{called.name}: {invalid.detail}") from None


class Inside:
    """For the executions of a tenant. `home` is where people reach the server, "" where nobody said. `begin` queues an
    execution; `over` waits for one that another called (tenant, its id, the caller's) and says its state."""

    def __init__(
        self,
        db: Database,
        tenant_id: str,
        notifier: Notifier,
        home: str,
        library: Library,
        begin: Callable[[Wanted], Awaitable[None]],
        over: Callable[[str, str, str], Awaitable[str]],
    ) -> None:
        self.db = db
        self.tenant_id = tenant_id
        self.notifier = notifier
        self.home = home
        self.library = library
        self.begin = begin
        self.over = over

    async def call(self, called: Called, execution: Execution) -> str:
        callers = [*execution.callers, execution.flow.name]
        if called.name in callers:
            raise TaskFailed(f"a flow may not call itself: {' → '.join([*callers, called.name])}")
        if len(callers) > MOST_DEEP:
            raise TaskFailed(f"flows may call each other {MOST_DEEP} deep: {' → '.join(callers)}")
        flow = self.library.get(self.tenant_id, called.namespace, called.flow_id)
        if flow is None or flow.disabled:
            raise TaskFailed(f"the flow {called.name} is disabled" if flow else f"there is no flow {called.name}")
        chain = execution.labels.get(triggers.CHAIN)
        wanted = Wanted(
            tenant_id=self.tenant_id,
            id=f"exe_{execution.reach.new_id().partition('_')[2]}",
            namespace=flow.namespace,
            flow_id=flow.id,
            inputs=inputs_for(flow, called),
            cause={
                "executionId": execution.id,
                "namespace": execution.flow.namespace,
                "flowId": execution.flow.id,
                "flowRevision": 1,
                "pipeline": execution.flow.name,
                "source": "flow",
                "callers": callers,
            },
            labels=called.labels | ({triggers.CHAIN: chain} if chain else {}),
            created_by=f"flow:{execution.flow.name}",
        )
        try:
            await self.begin(wanted)
        except Busy as busy:
            raise TaskFailed(busy.detail) from None
        return wanted.id

    async def ended(self, id_: str, called: Called, execution: Execution) -> Ended:
        state = await self.over(self.tenant_id, id_, execution.id)
        event = await log.find_event(self.db, self.tenant_id, f"{id_}:run:{ENDS[state]}:1", "flow")
        data = event[0].data if event is not None else {}
        outputs = data.get("outputs")
        return Ended(state, outputs if isinstance(outputs, dict) else {}, text(data.get("error")))

    async def notify(self, outgoing: Outgoing, run: TaskRun, execution: Execution) -> str:
        return await self.notifier.notify(outgoing, run, execution)

    async def seen(self, id_: str, trigger: Mapping[str, Any]) -> Seen | None:
        """The newest try of the run, as it stands by now; in the words of the trigger, where that was about it."""
        is_its = trigger.get("executionId") == id_
        run = await self.run(id_, text(trigger.get("pipeline")) if is_its else "")
        if run is None:
            return None
        seen = triggers.seen_of(run, text(trigger.get("source")) if is_its else triggers.source_of(run))
        return seen if not self.home else triggers.at(seen, self.page(run))

    async def url(self, execution: Execution) -> str:
        run = await self.run(execution.id, execution.flow.name) if self.home else None
        return self.page(run) if run is not None else ""

    def page(self, run: Run) -> str:
        return f"{self.home}/runs/{run.id}"

    async def run(self, run_id: str, pipeline: str) -> Run | None:
        filters = {"run_id": run_id} | ({"pipeline": pipeline} if pipeline else {})
        found = await log.list_runs(self.db, self.tenant_id, before=log.LAST, limit=1, filters=filters)
        return found[0] if found else None
