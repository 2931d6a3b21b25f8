"""Subflow: an execution of another flow, waited for or not."""

from typing import Any

from tocsin.flows.execution import Called, Execution, Handler, TaskFailed, TaskRun
from tocsin.flows.expression.values import text, truth
from tocsin.flows.model import Task
from tocsin.flows.tasks.core import as_labels

OLD_TYPES = "io.kestra.core."
"""Where neither `wait` nor `transmitFailed` was meant unless it was written."""


async def subflow(task: Task, run: TaskRun, execution: Execution) -> dict[str, Any]:
    if execution.server is None:
        raise TaskFailed("subflows run in a server: `tocsin serve --flows`")

    def given(name: str, standard: Any) -> Any:
        return execution.rendered(task.given.get(name, standard), run)

    standard = not task.type.startswith(OLD_TYPES)
    inputs = given("inputs", None) or {}
    if not isinstance(inputs, dict):
        raise TaskFailed("inputs: expected names with values")
    inherited = execution.labels if truth(given("inheritLabels", False)) else {}
    called = Called(
        text(given("namespace", execution.flow.namespace)),
        text(given("flowId", "")),
        inputs,
        {**inherited, **as_labels(given("labels", None) or {})},
    )
    id_ = await execution.server.call(called, execution)
    execution.log(f"{called.name} is the execution {id_}", run)
    if not truth(given("wait", standard)):
        return {"executionId": id_}
    ended = await execution.server.ended(id_, called, execution)
    found = {"executionId": id_, "state": ended.state, "outputs": ended.outputs}
    if truth(given("transmitFailed", standard)):
        if ended.state == "WARNING":
            run.warned = True
        elif ended.state != "SUCCESS":
            execution.put(run, found)
            raise TaskFailed(f"{called.name} ended as {ended.state}", ended.error and f"{called.name}: {ended.error}")
    return found


HANDLERS: dict[str, Handler] = {"subflow": subflow}
