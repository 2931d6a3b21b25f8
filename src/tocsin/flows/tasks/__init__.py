"""What kinds of tasks do, by the names of `types.py`."""

from tocsin.flows.execution import Execution, Handler, TaskFailed, TaskRun
from tocsin.flows.model import Task
from tocsin.flows.tasks import core, http, messages, scripts, subflows

HANDLERS: dict[str, Handler] = {
    **core.HANDLERS,
    **http.HANDLERS,
    **messages.HANDLERS,
    **scripts.HANDLERS,
    **subflows.HANDLERS,
}
"""The tasks that need nothing but the execution itself."""


def handlers(*, with_scripts: bool) -> dict[str, Handler]:
    """All of them; scripts fail where the operator does not want any."""
    return HANDLERS | ({} if with_scripts else dict.fromkeys(SCRIPTS, refused))


SCRIPTS = tuple(scripts.HANDLERS)


async def refused(task: Task, run: TaskRun, execution: Execution) -> dict[str, object]:
    raise TaskFailed("scripts are switched off here: TOCSIN_FLOWS_SCRIPTS")
