"""A flow as it is written: tasks, what follows when they fail, what starts it. What they do is elsewhere."""

from typing import Any

from msgspec import Struct


class Retry(Struct, frozen=True):
    """How often a task is tried. `kind`: constant, exponential, or random (between `interval_s` and `most_s`)."""

    kind: str = "constant"
    interval_s: float = 0.0
    most_s: float | None = None
    factor: float = 2.0
    attempts: int | None = None
    span_s: float | None = None
    warns: bool = False


class Task(Struct, frozen=True):
    """`kind` is what Tocsin does for its type (`types.py`); "" where it does not know the type: then the task is
    declared and never run. `given` are its other fields as they are written, expressions and all."""

    id: str
    type: str
    kind: str
    line: int
    given: dict[str, Any] = {}
    tasks: tuple["Task", ...] = ()
    otherwise: tuple["Task", ...] = ()
    cases: tuple[tuple[str, tuple["Task", ...]], ...] = ()
    errors: tuple["Task", ...] = ()
    finally_: tuple["Task", ...] = ()
    retry: Retry | None = None
    timeout: str = ""
    allow_failure: bool = False
    allow_warning: bool = False
    run_if: str = ""
    disabled: bool = False


class Input(Struct, frozen=True):
    """What a run is given. `type` in capitals, as written; `default` None: there is none. `validator`: the regular
    expression that a STRING fits; `item_type`: of the items of an ARRAY."""

    id: str
    type: str = "STRING"
    required: bool = True
    default: Any = None
    values: tuple[str, ...] = ()
    validator: str = ""
    item_type: str = ""


class Trigger(Struct, frozen=True):
    """`kind`: flow, schedule, or "" for one that Tocsin does not know."""

    id: str
    type: str
    kind: str
    line: int
    given: dict[str, Any] = {}
    disabled: bool = False


class Sla(Struct, frozen=True):
    """MAX_DURATION alone is watched. `behavior`: FAIL, CANCEL or NONE; `labels` are put on a run that misses it."""

    id: str
    duration_s: float
    behavior: str
    labels: dict[str, str] = {}


class Output(Struct, frozen=True):
    """What a flow hands to whoever called it: an expression, and the type of its value."""

    id: str
    type: str
    value: Any


class Flow(Struct, frozen=True):
    id: str
    namespace: str
    tasks: tuple[Task, ...]
    errors: tuple[Task, ...] = ()
    finally_: tuple[Task, ...] = ()
    after_execution: tuple[Task, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    variables: dict[str, Any] = {}
    labels: dict[str, str] = {}
    sla: tuple[Sla, ...] = ()
    plugin_defaults: tuple[tuple[str, dict[str, Any]], ...] = ()
    disabled: bool = False
    file: str = ""

    @property
    def name(self) -> str:
        """`namespace.id`: the pipeline's name."""
        return f"{self.namespace}.{self.id}"


def all_tasks(tasks: tuple[Task, ...]) -> list[Task]:
    """These and all inside of them, in the order in which they stand."""
    found: list[Task] = []
    for task in tasks:
        inner = (task.tasks, *(body for _, body in task.cases), task.otherwise, task.errors, task.finally_)
        found += [task, *(one for body in inner for one in all_tasks(body))]
    return found


def tasks_of(flow: Flow) -> list[Task]:
    """All of a flow's tasks."""
    return [one for body in (flow.tasks, flow.errors, flow.finally_, flow.after_execution) for one in all_tasks(body)]


def opaque(flow: Flow) -> list[Task]:
    """The tasks that Tocsin declares and never runs."""
    return [task for task in tasks_of(flow) if not task.kind]
