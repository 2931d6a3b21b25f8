"""How an execution goes: body after body, task after task, every try told as an event of the run.

run.started → tasks → (a task failed: errors) → finally → run.succeeded / failed / warning / cancelled → afterExecution
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from tocsin.flows.durations import seconds
from tocsin.flows.execution import Execution, Handler, TaskFailed, TaskRun
from tocsin.flows.expression import ExpressionError, Value, evaluate
from tocsin.flows.expression.values import truth
from tocsin.flows.inputs import READERS, complete, typed
from tocsin.flows.model import Input, Retry, Task
from tocsin.model.errors import Invalid

MOST_AT_ONCE = 16
MOST_ITEMS = 1000
MOST_TRIES = 100
MOST_OUTPUT_CHARS = 64 * 1024
ENDS = {"SUCCESS": "run.succeeded", "WARNING": "run.warning", "FAILED": "run.failed", "KILLED": "run.cancelled",
        "CANCELLED": "run.cancelled"}  # fmt: skip
FLOWABLE = frozenset(
    {"if", "switch", "sequential", "allow_failure", "parallel", "for_each", "each_sequential", "each_parallel"}
)
log = structlog.get_logger()
WORSE = ("SUCCESS", "SKIPPED", "WARNING", "FAILED")


class Loop:
    """The item that tasks run for, and its place."""

    def __init__(self, value: Value = None, index: int | None = None) -> None:
        self.value = value
        self.index = index


NO_LOOP = Loop()


async def execute(execution: Execution, handlers: Mapping[str, Handler]) -> str:
    """Runs it to its end. Returns its state; cancelled from outside, it is KILLED and the cancellation goes on."""
    return await _Engine(execution, handlers).run()


async def fail(
    execution: Execution,
    handlers: Mapping[str, Handler],
    reason: str,
    running: Sequence[tuple[str, int | None, int]],
) -> str:
    """Ends as failed what cannot go on, with its errors, finally and afterExecution. `running` are the tasks that were
    under way: id, place in a loop, try."""
    return await _Engine(execution, handlers).fail(reason, running)


class _Engine:
    def __init__(self, execution: Execution, handlers: Mapping[str, Handler]) -> None:
        self.execution = execution
        self.handlers = handlers
        self.failed: TaskRun | None = None
        self.error = ""

    async def run(self) -> str:
        execution = self.execution
        flow = execution.flow
        killed = False
        work = asyncio.ensure_future(self.main())
        watch = [asyncio.ensure_future(self.watch(sla.duration_s, sla.behavior, sla.labels, work)) for sla in flow.sla]
        try:
            state = await work
        except asyncio.CancelledError:
            state = execution.state if execution.state in ("FAILED", "CANCELLED") else "KILLED"
            killed = state == "KILLED"
        finally:
            work.cancel()
            for one in watch:
                one.cancel()
        execution.ended_ms = execution.reach.now_ms()
        execution.state = state
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(self.end())
        if killed:
            raise asyncio.CancelledError
        return state

    async def main(self) -> str:
        execution, flow = self.execution, self.execution.flow
        await execution.tell("run.started", attempt=1, parent_run_id=execution.parent_id)
        try:
            complete(execution)
            state = await self.body(flow.tasks, NO_LOOP)
        except TaskFailed as failure:  # of its inputs
            execution.log(failure.error, level="ERROR")
            state = "FAILED"
        if state == "FAILED":
            execution.state = "FAILED"
            self.error = self.last_error()
            await self.besides(flow.errors)
        if await self.besides(flow.finally_) == "FAILED":
            state = "FAILED"
        if state != "FAILED":
            try:
                execution.flow_outputs = self.flow_outputs()
            except TaskFailed as failure:
                execution.log(failure.error, level="ERROR")
                state, self.error = "FAILED", failure.error
        return "SUCCESS" if state == "SKIPPED" else state

    def flow_outputs(self) -> dict[str, Any]:
        """What the flow hands to its caller, as its types want it. Raises TaskFailed."""
        found = {}
        for one in self.execution.flow.outputs:
            value = self.value(one.value, None)
            try:
                found[one.id] = typed(Input(one.id, one.type), value) if one.type in READERS else value
            except Invalid as invalid:
                raise TaskFailed(f"outputs.{one.id}: expected {invalid.expected}, found {invalid.found}") from None
        if len(json.dumps(found, default=str)) > MOST_OUTPUT_CHARS:
            raise TaskFailed(f"outputs: more than {MOST_OUTPUT_CHARS} characters")
        return found

    async def besides(self, tasks: Sequence[Task]) -> str:
        """A body that runs whatever happened: where something failed before it, that stays why the run failed."""
        before = self.failed
        state = await self.body(tasks, NO_LOOP)
        self.failed = before or self.failed if self.execution.state != "FAILED" else before
        return state

    def last_error(self) -> str:
        errors = self.execution.errors
        return self.failed.error if self.failed is not None else errors[-1] if errors else ""

    async def watch(
        self, limit_s: float, behavior: str, labels: Mapping[str, str], work: "asyncio.Future[str]"
    ) -> None:
        """The service level MAX_DURATION: told while the run goes on, and acted upon as the flow says."""
        execution = self.execution
        await execution.reach.sleep(limit_s)
        execution.labels |= labels
        execution.log(f"it runs for more than {limit_s:g} s", level="WARN")
        await execution.tell("run.exceeded", expected_s=limit_s)
        if behavior != "NONE":
            execution.state = "FAILED" if behavior == "FAIL" else "CANCELLED"
            execution.errors.append(f"the run took longer than {limit_s:g} s")
            work.cancel()

    async def end(self) -> None:
        """Tells how it ended; then what is to be done after that, which changes nothing of it."""
        execution = self.execution
        failed = self.failed
        for run in execution.runs:
            if run.state == "RUNNING":
                run.state, run.ended_ms, run.reason = "KILLED", execution.ended_ms, "it ran when the run was ended"
                await execution.tell("stage.failed", run, error=run.reason)
        error = self.error or self.last_error()
        bad = execution.state in ("FAILED", "KILLED", "CANCELLED")
        await execution.tell(
            ENDS[execution.state],
            attempt=1,
            error=error if bad else None,
            failed_step=failed.task.id if failed and bad else None,
            outputs={} if bad else execution.flow_outputs,
            log_tail=execution.log_tail,
        )
        state = execution.state
        await self.body(execution.flow.after_execution, NO_LOOP)
        execution.state = state

    async def fail(self, reason: str, running: Sequence[tuple[str, int | None, int]]) -> str:
        execution, flow = self.execution, self.execution.flow
        execution.state, self.error = "FAILED", reason
        execution.log(reason, level="ERROR")
        try:
            for id_, index, attempt in running:
                task = Task(id=id_, type="", kind="", line=0)
                run = TaskRun(id=execution.reach.new_id(), task=task, attempt=attempt, index=index)
                await execution.tell("stage.failed", run, error=reason)
            with contextlib.suppress(TaskFailed):
                complete(execution)
            await self.besides(flow.errors)
            await self.besides(flow.finally_)
        finally:
            execution.ended_ms = execution.reach.now_ms()
            await asyncio.shield(self.end())
        return "FAILED"

    # Bodies and tasks.

    async def body(self, tasks: Sequence[Task], loop: Loop) -> str:
        """One after the other, until one fails. The worst of their states."""
        worst = "SUCCESS"
        for task in tasks:
            state = await self.task(task, loop)
            worst = max(worst, state, key=WORSE.index)
            if state == "FAILED":
                break
        return worst

    async def task(self, task: Task, loop: Loop) -> str:
        execution = self.execution
        run = TaskRun(
            id=execution.reach.new_id(),
            task=task,
            value=loop.value,
            in_loop=loop.index is not None,
            index=loop.index,
            started_ms=execution.reach.now_ms(),
        )
        if task.disabled:
            return "SUCCESS"
        execution.runs.append(run)
        try:
            if task.run_if and not self.true(task.run_if, run):
                return await self.skipped(run, "its runIf is false")
            if not task.kind:
                return await self.skipped(run, f"{task.type} is not run here; it is only declared")
        except TaskFailed as failure:
            return await self.over(run, "FAILED", failure)
        await self.tries(run)
        if run.state == "FAILED" and task.errors:
            await self.body(task.errors, loop)
        if task.finally_ and await self.body(task.finally_, loop) == "FAILED" and run.state != "FAILED":
            run.state = "FAILED"
        if run.state == "FAILED" and task.allow_failure:
            run.state = "WARNING"
        if run.state == "WARNING" and task.allow_warning:
            run.state = "SUCCESS"
        return run.state

    async def tries(self, run: TaskRun) -> None:
        """The task's tries, as many as its retry allows."""
        task, execution = run.task, self.execution
        while True:
            await execution.tell("stage.started", run)
            try:
                state = await self.within(task, run)
                await self.over(run, "WARNING" if run.warned and state == "SUCCESS" else state, None)
                return
            except TaskFailed as failure:
                wait_s = self.wait_s(task.retry, run)
                if wait_s is None:
                    await self.over(run, "FAILED", failure)
                    return
                execution.log(f"try {run.attempt}: {failure.error}", run, "WARN")
                run.warned = run.warned or (task.retry is not None and task.retry.warns)
                await execution.tell("stage.failed", run, error=failure.error, will_retry=True)
                run.attempt += 1
                await execution.reach.sleep(wait_s)

    async def within(self, task: Task, run: TaskRun) -> str:
        """One try, in its time."""
        limit = seconds(self.execution.rendered(task.timeout, run)) if task.timeout else None
        if task.timeout and (limit is None or limit <= 0):
            raise TaskFailed(f"its timeout {task.timeout!r} is no duration such as PT5M")
        try:
            async with asyncio.timeout(limit):
                return await self.once(task, run)
        except TimeoutError:
            raise TaskFailed(f"it took longer than {limit:g} s") from None

    async def once(self, task: Task, run: TaskRun) -> str:
        handler = self.handlers.get(task.kind)
        if handler is None and task.kind not in FLOWABLE:
            raise TaskFailed(f"{task.type} cannot be run here")
        try:
            if handler is None:
                return await self.flowable(task, run)
            self.execution.put(run, await handler(task, run, self.execution))
        except TaskFailed:
            raise
        except ExpressionError as error:
            raise TaskFailed(f"an expression failed: {error}") from None
        except Exception as error:  # whatever a task does, its run has an end
            if not isinstance(error, OSError):
                log.exception("flows.task_failed", task=task.id, type=task.type)
            raise TaskFailed(f"{type(error).__name__}: {error}") from error
        return "SUCCESS"

    async def over(self, run: TaskRun, state: str, failure: TaskFailed | None) -> str:
        execution = self.execution
        run.state, run.ended_ms = state, execution.reach.now_ms()
        if failure is not None:
            run.reason, run.error = failure.reason, failure.error
            execution.log(failure.error, run, "ERROR")
            if not run.task.allow_failure:
                self.failed = run
        took = (run.ended_ms - run.started_ms) / 1000
        if state == "FAILED":
            await execution.tell("stage.failed", run, error=run.error, duration_s=took)
        else:
            await execution.tell("stage.succeeded", run, duration_s=took)
        return state

    async def skipped(self, run: TaskRun, reason: str) -> str:
        run.state, run.ended_ms, run.reason = "SKIPPED", self.execution.reach.now_ms(), reason
        self.execution.log(f"skipped: {reason}", run)
        await self.execution.tell("stage.skipped", run, reason=reason)
        return "SKIPPED"

    def wait_s(self, retry: Retry | None, run: TaskRun) -> float | None:
        """Until the next try; None where there is none."""
        if retry is None or run.attempt >= min(retry.attempts or MOST_TRIES, MOST_TRIES):
            return None
        wait = retry.interval_s * (retry.factor ** (run.attempt - 1) if retry.kind == "exponential" else 1)
        wait = min(wait, retry.most_s) if retry.most_s is not None and retry.kind != "constant" else wait
        spent = (self.execution.reach.now_ms() - run.started_ms) / 1000
        return None if retry.span_s is not None and spent + wait > retry.span_s else wait

    def true(self, expression: str, run: TaskRun) -> bool:
        return truth(self.value(expression, run))

    def value(self, given: Any, run: TaskRun | None) -> Value:
        """An expression's value; other values, and text without one, as they are."""
        if not isinstance(given, str) or "{" not in given:
            return given
        try:
            return evaluate(given, self.execution.scope(run))
        except ExpressionError as error:
            raise TaskFailed(f"an expression failed: {error}") from None

    # Tasks of tasks.

    async def flowable(self, task: Task, run: TaskRun) -> str:
        loop = Loop(run.value, run.index)
        match task.kind:
            case "if":
                holds = truth(self.value(task.given.get("condition", ""), run))
                self.execution.put(run, {"evaluationResult": holds})
                return await self.inside(task.tasks if holds else task.otherwise, loop, task)
            case "switch":
                value = str(self.execution.rendered(str(task.given.get("value", "")), run))
                chosen = next((body for case, body in task.cases if case == value), task.otherwise)
                self.execution.put(run, {"value": value})
                return await self.inside(chosen, loop, task)
            case "parallel":
                return await self.at_once(task, run, [partial(self.task, one, loop) for one in task.tasks])
            case "for_each" | "each_sequential" | "each_parallel":
                items = self.items(task, run)
                one_by_one = task.kind == "each_sequential" or (task.kind == "for_each" and self.width(task, 1) == 1)
                loops = [Loop(item, index) for index, item in enumerate(items)]
                if not one_by_one:
                    return await self.at_once(task, run, [partial(self.inside, task.tasks, at, task) for at in loops])
                worst = "SUCCESS"
                for at in loops:
                    worst = max(worst, await self.inside(task.tasks, at, task), key=WORSE.index)
                return worst
        return await self.inside(task.tasks, loop, task)

    async def inside(self, body: Sequence[Task], loop: Loop, of: Task) -> str:
        """A body inside of a task: its failure is the task's, told once."""
        state = await self.body(body, loop)
        if state == "FAILED":
            failed = next((one for one in reversed(self.execution.runs) if one.state == "FAILED"), None)
            raise TaskFailed(
                f"{failed.task.id}: {failed.reason}" if failed else f"a task of {of.id} failed",
                failed.error if failed else "",
            )
        return state

    async def at_once(self, task: Task, run: TaskRun, work: Sequence[Callable[[], Any]]) -> str:
        """All of it, so many at a time; where some failed, the first failure."""
        turns = asyncio.Semaphore(self.width(task, MOST_AT_ONCE))

        async def one(start: Callable[[], Any]) -> str:
            async with turns:
                return str(await start())

        states = await asyncio.gather(*(one(start) for start in work), return_exceptions=True)
        for state in states:
            if isinstance(state, BaseException):
                raise state
        if "FAILED" in states:
            failed = next((one for one in self.execution.runs if one.state == "FAILED"), None)
            raise TaskFailed(failed.reason if failed else "a task failed", failed.error if failed else "")
        return max((str(state) for state in states), key=WORSE.index, default="SUCCESS")

    def width(self, task: Task, standard: int) -> int:
        given = task.given.get("concurrent", task.given.get("concurrencyLimit", standard))
        return min(int(given), MOST_AT_ONCE) if isinstance(given, int) and given > 0 else MOST_AT_ONCE

    def items(self, task: Task, run: TaskRun) -> list[Value]:
        found = self.value(task.given.get("values", task.given.get("value", [])), run)
        if isinstance(found, str):
            from tocsin.flows.expression.filters import from_json

            try:
                found = from_json(found)
            except ExpressionError as error:
                raise TaskFailed(f"values: expected a list; {error.reason}") from None
        if isinstance(found, Mapping):
            found = [{"key": key, "value": value} for key, value in found.items()]
        if not isinstance(found, list | tuple) or len(found) > MOST_ITEMS:
            raise TaskFailed(f"values: expected a list of at most {MOST_ITEMS}")
        return [self.value(item, run) for item in found]
