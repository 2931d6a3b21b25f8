"""What a server is to an execution that runs in it."""

from collections.abc import Mapping
from typing import Any

from tocsin.flows import triggers
from tocsin.flows.execution import Execution, Outgoing, Seen, TaskRun
from tocsin.flows.expression.values import text
from tocsin.flows.sending import Notifier
from tocsin.model.run import Run
from tocsin.store import log
from tocsin.store.database import Database


class Inside:
    """For the executions of a tenant. `home` is where people reach the server, "" where nobody said."""

    def __init__(self, db: Database, tenant_id: str, notifier: Notifier, home: str) -> None:
        self.db = db
        self.tenant_id = tenant_id
        self.notifier = notifier
        self.home = home

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
