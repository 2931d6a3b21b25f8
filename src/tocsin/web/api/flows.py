"""The flows of TOCSIN_FLOWS, and starting one. What comes of it is a run like any other: `/v1/runs`."""

from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.responses import Response

from tocsin.flows.inputs import checked_inputs
from tocsin.flows.library import Entry
from tocsin.flows.model import Flow, Task, opaque, tasks_of
from tocsin.model.errors import Conflict, NotFound
from tocsin.store.flows import Wanted
from tocsin.web.routes import Call, Route, decode, no_nul, read_body, reply

Labels = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=60)], Annotated[str, Meta(max_length=200)]], Meta(max_length=32)
]


class FlowOut(Struct, frozen=True, kw_only=True):
    """A file of the folder, and the flow in it; `namespace` and `id` are "" where nothing in it could be read. `error`
    is what is wrong with the file: the flow is then as it was before. `not_run`: its tasks that Tocsin does not run."""

    file: str
    namespace: str
    id: str
    error: str
    disabled: bool
    labels: dict[str, str]
    triggers: tuple[str, ...]
    tasks: int
    not_run: tuple[str, ...]


class TaskOut(Struct, frozen=True):
    """`runs`: whether Tocsin runs tasks of this type."""

    id: str
    type: str
    line: int
    runs: bool


class InputOut(Struct, frozen=True):
    """`default`: as the flow has it, expressions and all; null where there is none, and of a SECRET."""

    id: str
    type: str
    required: bool
    values: tuple[str, ...]
    default: Any


class FlowWhole(FlowOut, frozen=True, kw_only=True):
    """With its inputs and all of its tasks, those of errors, finally and afterExecution included."""

    inputs: tuple[InputOut, ...]
    all_tasks: tuple[TaskOut, ...]


class ExecutionIn(Struct, frozen=True, forbid_unknown_fields=True):
    """`inputs` by the ids that the flow gives them; `labels` join the flow's own."""

    inputs: dict[str, Any] = {}
    labels: Labels = {}


class ExecutionOut(Struct, frozen=True):
    """`run_id` is the run's, whose pipeline is `namespace.id`."""

    run_id: str
    pipeline: str


def fields(entry: Entry) -> dict[str, Any]:
    flow = entry.flow
    return {
        "file": entry.file,
        "namespace": flow.namespace if flow else "",
        "id": flow.id if flow else "",
        "error": entry.error,
        "disabled": flow.disabled if flow else False,
        "labels": flow.labels if flow else {},
        "triggers": tuple(trigger.type for trigger in flow.triggers) if flow else (),
        "tasks": len(tasks_of(flow)) if flow else 0,
        "not_run": tuple(task.id for task in opaque(flow)) if flow else (),
    }


def shown_task(task: Task) -> TaskOut:
    return TaskOut(task.id, task.type, task.line, bool(task.kind))


def find(call: Call) -> tuple[Entry, Flow]:
    for entry in call.app.library.shelf(call.tenant_id):
        flow = entry.flow
        if flow is not None and (flow.namespace, flow.id) == (call.path("namespace"), call.path("id")):
            return entry, flow
    raise NotFound("No such flow.")


async def list_(call: Call) -> Response:
    found = [FlowOut(**fields(entry)) for entry in call.app.library.shelf(call.tenant_id)]
    return reply({"items": found, "next": None})


async def get(call: Call) -> Response:
    entry, flow = find(call)
    inputs = tuple(
        InputOut(one.id, one.type, one.required, one.values, None if one.type == "SECRET" else one.default)
        for one in flow.inputs
    )
    return reply(FlowWhole(**fields(entry), inputs=inputs, all_tasks=tuple(map(shown_task, tasks_of(flow)))))


async def execute(call: Call) -> Response:
    app = call.app
    raw = call.raw if call.raw is not None else await read_body(call.request, app.settings.max_body_bytes)
    given = decode(raw, ExecutionIn) if raw else ExecutionIn()
    _, flow = find(call)
    if flow.disabled:
        raise Conflict(f"The flow {flow.name} is disabled in its file.")
    inputs = checked_inputs(flow, given.inputs)
    wanted = Wanted(
        tenant_id=call.tenant_id,
        id=app.new_id("exe"),
        namespace=flow.namespace,
        flow_id=flow.id,
        inputs=inputs,
        labels={no_nul("labels", name): no_nul("labels", value) for name, value in given.labels.items()},
        created_by=call.by.who,
    )
    async with app.db.transaction() as tx:
        await app.flows.queue(tx, wanted)
        after = {"run_id": wanted.id, "inputs": sorted(inputs)}
        await call.audit(tx, "flow.execute", "flow", flow.name, None, after)
        answer = await call.made(tx, ExecutionOut(wanted.id, flow.name), 202)
    app.flows.wake.set()
    return answer


ONE = "/v1/flows/{namespace}/{id}"
ROUTES = (
    Route(
        method="GET",
        path="/v1/flows",
        handler=list_,
        summary="Flows by their files, with what is wrong with a file",
        role="viewer",
        answer=FlowOut,
        listed=True,
    ),
    Route(method="GET", path=ONE, handler=get, summary="A flow: its inputs and tasks", role="viewer", answer=FlowWhole),
    Route(
        method="POST",
        path=f"{ONE}/executions",
        handler=execute,
        summary="Start a flow; its run is among the runs from when it begins",
        role="developer",
        body=ExecutionIn,
        body_optional=True,
        answer=ExecutionOut,
        status=202,
        action="flow.execute",
        idempotent=True,
        problems=(409, 429),
    ),
)
