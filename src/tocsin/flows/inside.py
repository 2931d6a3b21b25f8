"""What a server is to an execution that runs in it."""

from collections.abc import Mapping
from typing import Any

from tocsin.flows.execution import Execution, Outgoing, Seen, TaskRun
from tocsin.flows.sending import Notifier
from tocsin.store import log
from tocsin.store.database import Database


class Inside:
    """For one execution. `home` is where people reach the server, "" where nobody said."""

    def __init__(self, db: Database, tenant_id: str, notifier: Notifier, home: str) -> None:
        self.db = db
        self.tenant_id = tenant_id
        self.notifier = notifier
        self.home = home
        self.page = ""

    async def notify(self, outgoing: Outgoing, run: TaskRun, execution: Execution) -> str:
        return await self.notifier.notify(outgoing, run, execution)

    async def seen(self, id_: str, trigger: Mapping[str, Any]) -> Seen | None:
        return None

    def url(self, execution: Execution) -> str:
        return self.page

    async def find_page(self, pipeline: str, run_id: str) -> None:
        """Once its run has begun: where people see it."""
        filters = {"pipeline": pipeline, "run_id": run_id}
        found = await log.list_runs(self.db, self.tenant_id, before=log.LAST, limit=1, filters=filters)
        if found and self.home:
            self.page = f"{self.home}/runs/{found[0].id}"
