"""An execution while it goes on: what its tasks made, what expressions may name, what is told about it."""

import datetime as dt
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from tocsin.flows.expression import ExpressionError, Scope, Value, render
from tocsin.flows.model import Flow, Task
from tocsin.model.hidden import Hidden
from tocsin.model.wire import Reply, Request

LOG_BYTES = 16 * 1024
"""Of a run's log that are kept, from its end."""

SHORTEST_SECRET = 4
"""Characters from which on a secret is hidden wherever it stands: less would make a riddle of the log."""

MOST_LABELS = 64

TERMINATED = frozenset({"SUCCESS", "WARNING", "FAILED", "KILLED", "CANCELLED", "SKIPPED"})


class TaskFailed(Exception):
    """Why a task failed: one line that says it, and the whole error where there is more."""

    def __init__(self, reason: str, error: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.error = error or reason


class Reach(Protocol):
    """What an execution is lent of the world."""

    def now_ms(self) -> int: ...
    def new_id(self) -> str: ...
    def env(self, name: str) -> str | None:
        """A variable that flows may see, by its name without the prefix."""
        ...

    async def secret(self, name: str) -> str | None: ...
    async def sleep(self, seconds: float) -> None: ...
    async def tell(self, event: dict[str, Any]) -> None:
        """A native event about the run. Returns when it is durable."""
        ...

    async def send(self, request: Request, timeout_s: float) -> Reply:
        """One request to the world, tried once."""
        ...


class Outgoing(Hidden, frozen=True):
    """A message as a task has made it: for one of Tocsin's providers, at this address or with these settings. `body` is
    JSON (for mail: `subject`, `text`, `html`)."""

    provider: str
    body: bytes
    address: str = ""
    settings: dict[str, Any] = {}
    headers: dict[str, str] = {}


class Seen(Struct, frozen=True):
    """An execution as messages tell of it: a flow's, or a run that another source told of. Times are Unix milliseconds.
    `tasks`: their ids and states in order, as far as they are over."""

    id: str
    namespace: str
    flow_id: str
    state: str
    started_ms: int | None = None
    ended_ms: int | None = None
    url: str = ""
    tasks: tuple[tuple[str, str], ...] = ()
    labels: dict[str, str] = {}
    attempts: tuple[int, ...] = ()
    """How often each task was tried."""


class Called(Struct, frozen=True):
    """Which flow a task calls, and with what. `inputs` may have secrets in them: never tell or log them."""

    namespace: str
    flow_id: str
    inputs: dict[str, Any] = {}
    labels: dict[str, str] = {}

    @property
    def name(self) -> str:
        return f"{self.namespace}.{self.flow_id}"


class Ended(Struct, frozen=True):
    """How an execution ended. `outputs` are its flow's own; `error` is "" where it did not fail."""

    state: str
    outputs: dict[str, Any] = {}
    error: str = ""


class Server(Protocol):
    """What a server is to an execution that runs in it."""

    async def call(self, called: Called, execution: "Execution") -> str:
        """Begins an execution of another flow; durable when it returns its id. Raises TaskFailed."""
        ...

    async def ended(self, id_: str, called: Called, execution: "Execution") -> Ended:
        """Waits until that execution is over. Cancelled meanwhile, it is ended, too."""
        ...

    async def notify(self, outgoing: Outgoing, run: "TaskRun", execution: "Execution") -> str:
        """Sends it as a delivery. Returns "" once it is delivered, else why it waits still. Raises TaskFailed."""
        ...

    async def seen(self, id_: str, trigger: Mapping[str, Any]) -> Seen | None:
        """The execution, or another source's run, with this id; `trigger` says which, where several have it."""
        ...

    async def url(self, execution: "Execution") -> str:
        """Where people see it; "" where they cannot."""
        ...


class TaskRun(Struct):
    """One task's part in an execution. `value` is the item that it ran for, inside of a loop."""

    id: str
    task: Task
    state: str = "RUNNING"
    attempt: int = 1
    value: Value = None
    in_loop: bool = False
    index: int | None = None
    started_ms: int = 0
    ended_ms: int | None = None
    reason: str = ""
    error: str = ""
    outputs: dict[str, Any] = {}
    warned: bool = False


class Execution:
    """`trigger` are the variables of what started it; `secrets` what expressions may open, by name in capitals; `said`
    gets each line of the log as it is written."""

    def __init__(
        self,
        flow: Flow,
        reach: Reach,
        *,
        id_: str,
        inputs: Mapping[str, Any],
        trigger: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        said: Callable[[str], None] | None = None,
        server: Server | None = None,
    ) -> None:
        self.flow = flow
        self.reach = reach
        self.id = id_
        self.inputs = dict(inputs)
        self.trigger = dict(trigger or {})
        self.secrets = dict(secrets or {})
        self.said = said
        self.hidden = {value for value in self.secrets.values() if len(value) >= SHORTEST_SECRET}
        self.server = server
        self.labels = dict(flow.labels)
        self.state = "RUNNING"
        self.started_ms = reach.now_ms()
        self.ended_ms: int | None = None
        self.outputs: dict[str, Any] = {}
        self.flow_outputs: dict[str, Any] = {}
        self.runs: list[TaskRun] = []
        self.log_tail = ""
        self.errors: list[str] = []

    @property
    def parent_id(self) -> str:
        """The execution that called this one; "" where none did."""
        return str(self.trigger["executionId"]) if self.callers else ""

    @property
    def callers(self) -> list[str]:
        """The flows that called each other until this one, from the first on."""
        found = self.trigger.get("callers")
        return [str(one) for one in found] if isinstance(found, list) else []

    # What expressions name.

    def variables(self, run: TaskRun | None = None) -> dict[str, Value]:
        flow = self.flow
        found: dict[str, Value] = {
            "flow": {"id": flow.id, "namespace": flow.namespace, "revision": 1, "tenantId": "main"},
            "execution": {
                "id": self.id,
                "startDate": moment(self.started_ms),
                "originalId": self.id,
                "state": self.state,
                "labels": self.labels,
            },
            "inputs": self.inputs,
            "outputs": self.outputs,
            "labels": self.labels,
            "vars": flow.variables,
            "trigger": self.trigger,
            "envs": Env(self.reach.env),
        }
        if run is not None:
            found["task"] = {"id": run.task.id, "type": run.task.type}
            found["taskrun"] = {
                "id": run.id,
                "startDate": moment(run.started_ms),
                "attemptsCount": run.attempt - 1,
                "value": run.value,
                "iteration": run.index,
            }
        return found

    def scope(self, run: TaskRun | None = None) -> Scope:
        variables = self.variables(run)

        def again(text: Value, recursive: Value = True) -> Value:
            del recursive
            return render(str(text), Scope(variables, functions)) if isinstance(text, str) else text

        def current(of: Value) -> Value:
            value = as_key(run.value) if run is not None else ""
            return of.get(value) if isinstance(of, Mapping) else None

        functions: dict[str, Callable[..., Value]] = {
            "secret": self.secret,
            "now": lambda timeZone="", format="": self.now(timeZone, format),  # noqa: A006, N803
            "render": again,
            "errorLogs": lambda: [{"message": said} for said in self.errors],
            "currentEachOutput": current,
        }
        return Scope(variables, functions)

    def secret(self, name: Value) -> str:
        found = self.secrets.get(str(name).upper())
        if found is None:
            raise ExpressionError(f"there is no secret `{str(name)[:60]}`")
        return found

    def now(self, zone: Value, pattern: Value) -> Value:
        from tocsin.flows.expression.dates import written

        at = dt.datetime.fromtimestamp(self.reach.now_ms() / 1000, dt.UTC)
        return written(at, str(pattern), str(zone)) if zone or pattern else at

    def rendered(self, value: Any, run: TaskRun | None = None) -> Any:
        """The value with every expression in it replaced; other values as they are. Raises TaskFailed."""
        scope = self.scope(run)

        def through(one: Any) -> Any:
            if isinstance(one, str):
                return render(one, scope)
            if isinstance(one, dict):
                return {render(name, scope): through(inner) for name, inner in one.items()}
            return [through(inner) for inner in one] if isinstance(one, list) else one

        try:
            return through(value)
        except ExpressionError as error:
            raise TaskFailed(f"an expression failed: {error}") from None

    def put(self, run: TaskRun, outputs: dict[str, Any]) -> None:
        """Under the task's id; inside of a loop under its item, too."""
        run.outputs = outputs
        if run.in_loop:
            self.outputs.setdefault(run.task.id, {})[as_key(run.value)] = outputs
        else:
            self.outputs[run.task.id] = outputs

    # What is told.

    def log(self, text: str, run: TaskRun | None = None, level: str = "INFO") -> None:
        """One line or more of the execution's log. Values of secrets never stand in it."""
        text = self.without_secrets(text)
        place = f"{run.task.id}: " if run is not None else ""
        lines = [f"{level} {place}{line}" for line in text.rstrip("\n").split("\n")]
        self.log_tail = (self.log_tail + "".join(f"{line}\n" for line in lines))[-LOG_BYTES:]
        if self.said is not None:
            for line in lines:
                self.said(line)
        if level == "ERROR":
            self.errors = [*self.errors[-24:], text[:4000]]

    def tellable(self, text: str) -> str:
        """No secret, and nothing that a store could not hold."""
        return self.without_secrets(text).replace("\x00", "").encode("utf-8", "replace").decode()

    def told(self, value: Any) -> Any:
        """The same of a whole value."""
        if isinstance(value, dict):
            return {self.tellable(str(name)): self.told(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.told(one) for one in value]
        return self.tellable(value) if isinstance(value, str) else value

    def without_secrets(self, text: str) -> str:
        for value in self.hidden:
            text = text.replace(value, "******")
        return text

    async def tell(self, type_: str, run: TaskRun | None = None, **data: Any) -> None:
        event: dict[str, Any] = {
            "id": f"{self.id}:{run.id if run else 'run'}:{type_}:{run.attempt if run else 1}",
            "type": type_,
            "source": "flow",
            "pipeline": self.flow.name,
            "run_id": self.id,
            "time": moment(self.reach.now_ms()),
            "labels": dict(
                [(name[:60], self.tellable(value)[:200]) for name, value in self.labels.items() if name][:MOST_LABELS]
            ),
            "data": {name: self.told(value) for name, value in data.items() if value not in (None, "", {})},
        }
        if run is not None:
            event["stage"] = run.task.id
            event["data"] |= {"stage_attempt": run.attempt}
            if run.index is not None:
                event["data"]["map_index"] = run.index
        await self.reach.tell(event)


class Env(Mapping[str, Value]):
    """The variables of the environment that flows may see, looked up when they are named."""

    def __init__(self, look_up: Callable[[str], str | None]) -> None:
        self.look_up = look_up

    def __getitem__(self, name: str) -> Value:
        found = self.look_up(name)
        if found is None:
            raise KeyError(name)
        return found

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.look_up(name) is not None

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0


def as_key(value: Value) -> str:
    """The item of a loop as the key of what was made for it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def moment(ms: int) -> str:
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Handler = Callable[[Task, TaskRun, Execution], Awaitable[dict[str, Any]]]
"""Does what a kind of task does and returns its outputs. Raises TaskFailed. `run.warned` makes its state WARNING."""
