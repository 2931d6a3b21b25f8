"""Log, Return, Fail, Pause, Sleep, Assert, Labels, OutputValues."""

from typing import Any

from tocsin.flows.durations import seconds
from tocsin.flows.execution import Execution, Handler, TaskFailed, TaskRun
from tocsin.flows.expression import ExpressionError, evaluate
from tocsin.flows.expression.values import text, truth
from tocsin.flows.model import Task

LONGEST_S = 86_400.0


async def log(task: Task, run: TaskRun, execution: Execution) -> dict[str, Any]:
    message = execution.rendered(task.given.get("message", ""), run)
    level = str(task.given.get("level", "INFO")).upper()
    for one in message if isinstance(message, list) else [message]:
        execution.log(text(one), run, level)
    return {}


async def return_(task: Task, run: TaskRun, execution: Execution) -> dict[str, Any]:
    value = execution.rendered(task.given.get("format", ""), run)
    execution.log(text(value), run, "DEBUG")
    return {"value": value}


async def fail(task: Task, run: TaskRun, execution: Execution) -> dict[str, Any]:
    if "condition" in task.given and not holds(task.given["condition"], run, execution):
        return {}
    raise TaskFailed(text(execution.rendered(task.given.get("errorMessage", "Task failure"), run)))


async def assert_(task: Task, run: TaskRun, execution: Execution) -> dict[str, Any]:
    for condition in task.given.get("conditions") or []:
        if not holds(condition, run, execution):
            said = execution.rendered(task.given.get("errorMessage", ""), run)
            raise TaskFailed(f"{said or 'an assertion does not hold'}: {condition}")
    return {}


async def pause(task: Task, run: TaskRun, execution: Execution) -> dict[str, Any]:
    given = task.given.get("delay") or task.given.get("pauseDuration") or task.given.get("duration")
    if given is None:
        raise TaskFailed("nobody can resume it here; give it a pauseDuration")
    wait_s = seconds(text(execution.rendered(given, run)))
    if wait_s is None or not 0 <= wait_s <= LONGEST_S:
        raise TaskFailed(f"expected a duration of at most a day, such as PT5M, found {given!r}")
    await execution.reach.sleep(wait_s)
    return {}


async def labels(task: Task, run: TaskRun, execution: Execution) -> dict[str, Any]:
    execution.labels |= as_labels(execution.rendered(task.given.get("labels") or {}, run))
    return {}


def as_labels(given: Any) -> dict[str, str]:
    """A map, or a list of `{key, value}`. Raises TaskFailed."""
    if isinstance(given, list):
        given = {text(one.get("key")): one.get("value") for one in given if isinstance(one, dict)}
    if not isinstance(given, dict):
        raise TaskFailed("labels: expected names with values")
    return {name: text(value) for name, value in given.items()}


async def output_values(task: Task, run: TaskRun, execution: Execution) -> dict[str, Any]:
    return {"values": execution.rendered(task.given.get("values") or {}, run)}


def holds(condition: Any, run: TaskRun, execution: Execution) -> bool:
    try:
        value = (
            evaluate(condition, execution.scope(run)) if isinstance(condition, str) and "{" in condition else condition
        )
    except ExpressionError as error:
        raise TaskFailed(f"an expression failed: {error}") from None
    return truth(value)


HANDLERS: dict[str, Handler] = {
    "log": log,
    "return": return_,
    "fail": fail,
    "assert": assert_,
    "pause": pause,
    "sleep": pause,
    "labels": labels,
    "output_values": output_values,
}
