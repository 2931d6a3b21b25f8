"""From a flow's YAML to its values, with the line of whatever is wrong."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from tocsin.flows import triggers
from tocsin.flows.durations import seconds
from tocsin.flows.expression import ExpressionError
from tocsin.flows.expression.parser import parse
from tocsin.flows.model import Flow, Input, Output, Retry, Sla, Task, Trigger, tasks_of
from tocsin.flows.types import task_kind, trigger_kind
from tocsin.model.yaml_text import File, Place, Wrong

ID = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}\Z")
NAMESPACE = re.compile(r"^[a-z0-9][a-z0-9._-]{0,149}\Z", re.IGNORECASE)
MOST_TASKS = 500
MOST_DEPTH = 20
KNOWN = {
    "id", "namespace", "tasks", "errors", "finally", "afterExecution", "triggers", "inputs", "variables", "labels",
    "sla", "pluginDefaults", "taskDefaults", "disabled", "description", "revision", "outputs", "concurrency", "retry",
    "listeners", "checks", "workerGroup", "tenantId", "deleted", "source", "updated", "timeout",
}  # fmt: skip
TASK_FIELDS = {
    "id", "type", "tasks", "then", "else", "cases", "defaults", "errors", "finally", "retry", "timeout", "allowFailure",
    "allowWarning", "runIf", "disabled", "description",
}  # fmt: skip
One = TypeVar("One")


def read_flow(name: str, text: str) -> Flow:
    """Raises Wrong, naming the line and the field."""
    file = File(name, text)
    return _Reader(file).flow()


class _Reader:
    def __init__(self, file: File) -> None:
        self.file = file
        self.tasks = 0

    def flow(self) -> Flow:
        whole = self.map_((), self.file.value)
        for key in whole:
            if key not in KNOWN:
                raise self.file.wrong((key,), f"there is no such field; there are {', '.join(sorted(KNOWN))}")
        defaults = self.defaults(whole)
        flow = Flow(
            id=self.fitting(("id",), whole.get("id"), ID, "an id of letters, digits, - and _"),
            namespace=self.fitting(
                ("namespace",), whole.get("namespace"), NAMESPACE, "a namespace such as company.team"
            ),
            tasks=self.bodies(whole, "tasks", defaults),
            errors=self.bodies(whole, "errors", defaults),
            finally_=self.bodies(whole, "finally", defaults),
            after_execution=self.bodies(whole, "afterExecution", defaults),
            triggers=self.each(("triggers",), whole.get("triggers"), self.trigger),
            inputs=self.each(("inputs",), whole.get("inputs"), self.input),
            outputs=self.each(("outputs",), whole.get("outputs"), self.output),
            variables=self.map_(("variables",), whole.get("variables") or {}),
            labels=self.labels(("labels",), whole.get("labels")),
            sla=tuple(one for one in self.each(("sla",), whole.get("sla"), self.sla) if one is not None),
            plugin_defaults=defaults,
            disabled=whole.get("disabled") is True,
            file=self.file.name,
        )
        if not flow.tasks:
            raise self.file.wrong(("tasks",), "a flow needs at least one task")
        seen: set[str] = set()
        for task in tasks_of(flow):
            if task.id in seen:
                raise Wrong(self.file.name, task.line, "id", f"{task.id!r} is the id of two tasks")
            seen.add(task.id)
        return flow

    # Parts.

    def bodies(self, of: dict[str, Any], field: str, defaults: Any, place: Place = ()) -> tuple[Task, ...]:
        where = (*place, field)
        return self.each(where, of.get(field), lambda at, value: self.task(at, value, defaults))

    def task(self, place: Place, value: Any, defaults: tuple[tuple[str, dict[str, Any]], ...]) -> Task:
        self.tasks += 1
        if self.tasks > MOST_TASKS or len(place) > 2 * MOST_DEPTH:
            raise self.file.wrong(place, f"at most {MOST_TASKS} tasks, and at most {MOST_DEPTH} levels deep")
        written = self.map_(place, value)
        if "task" in written and "id" not in written:  # `- task: {…}`, as some lists of tasks are written
            return self.task((*place, "task"), written["task"], defaults)
        type_ = self.text((*place, "type"), written.get("type"))
        whole = {**self.preset(type_, defaults), **written}
        given = {key: one for key, one in whole.items() if key not in TASK_FIELDS}
        kind = task_kind(type_)
        task = Task(
            id=self.fitting((*place, "id"), whole.get("id"), ID, "an id of letters, digits, - and _"),
            type=type_,
            kind=kind,
            line=self.file.line((*place, "id")),
            given=given,
            tasks=self.bodies(whole, "then" if kind == "if" else "tasks", defaults, place),
            otherwise=self.bodies(whole, "else" if kind == "if" else "defaults", defaults, place),
            cases=self.cases(place, whole.get("cases"), defaults) if kind == "switch" else (),
            errors=self.bodies(whole, "errors", defaults, place),
            finally_=self.bodies(whole, "finally", defaults, place),
            retry=self.retry((*place, "retry"), whole.get("retry")),
            timeout=self.text((*place, "timeout"), whole.get("timeout") or "PT0S") if whole.get("timeout") else "",
            allow_failure=whole.get("allowFailure") is True or kind == "allow_failure",
            allow_warning=whole.get("allowWarning") is True,
            run_if=str(whole["runIf"]) if "runIf" in whole else "",
            disabled=whole.get("disabled") is True,
        )
        self.check(place, given if kind else {}, task.run_if)
        if kind == "subflow":
            self.subflow(place, given)
        return task

    def subflow(self, place: Place, given: dict[str, Any]) -> None:
        """That it names a flow, and another one than this."""
        namespace = self.text((*place, "namespace"), given.get("namespace"))
        flow_id = self.text((*place, "flowId"), given.get("flowId"))
        if (namespace, flow_id) == (self.file.value.get("namespace"), self.file.value.get("id")):
            raise self.file.wrong((*place, "flowId"), "a flow may not call itself")

    def check(self, place: Place, given: Any, run_if: str) -> None:
        """That every expression in it can be read."""
        for where, text in texts(place, {**given, "runIf": run_if} if isinstance(given, dict) else given):
            if where[-1] in ("script", "commands", "inputFiles") and "{{" not in text and "{%" not in text:
                continue
            try:
                parse(text)
            except ExpressionError as error:
                raise self.file.wrong(where, str(error)) from None

    def cases(self, place: Place, value: Any, defaults: Any) -> tuple[tuple[str, tuple[Task, ...]], ...]:
        found = self.map_((*place, "cases"), value or {})
        return tuple((case, self.bodies(found, case, defaults, (*place, "cases"))) for case in found)

    def trigger(self, place: Place, value: Any) -> Trigger:
        whole = self.map_(place, value)
        type_ = self.text((*place, "type"), whole.get("type"))
        trigger = Trigger(
            id=self.fitting((*place, "id"), whole.get("id"), ID, "an id of letters, digits, - and _"),
            type=type_,
            kind=trigger_kind(type_),
            line=self.file.line(place),
            given={key: one for key, one in whole.items() if key not in ("id", "type", "disabled")},
            disabled=whole.get("disabled") is True,
        )
        self.check(place, trigger.given if trigger.kind else {}, "")
        try:
            triggers.check(trigger)
        except triggers.Unfit as unfit:
            raise self.file.wrong((*place, *unfit.place), unfit.reason) from None
        return trigger

    def input(self, place: Place, value: Any) -> Input:
        whole = self.map_(place, value)
        name = whole.get("id", whole.get("name"))
        default = whole.get("defaults", whole.get("prefill"))
        return Input(
            id=self.fitting((*place, "id"), name, ID, "an id of letters, digits, - and _"),
            type=self.text((*place, "type"), whole.get("type", "STRING")).upper(),
            required=whole.get("required", True) is not False and default is None,
            default=default,
            values=tuple(as_text(one) for one in self.list_((*place, "values"), whole.get("values"))),
            validator=self.regex((*place, "validator"), whole.get("validator")),
            item_type=str(whole.get("itemType") or "").upper(),
        )

    def output(self, place: Place, value: Any) -> Output:
        whole = self.map_(place, value)
        self.check(place, {"value": whole.get("value")}, "")
        return Output(
            id=self.fitting((*place, "id"), whole.get("id"), ID, "an id of letters, digits, - and _"),
            type=self.text((*place, "type"), whole.get("type", "STRING")).upper(),
            value=whole.get("value"),
        )

    def regex(self, place: Place, value: Any) -> str:
        if value is None:
            return ""
        try:
            re.compile(self.text(place, value))
        except re.error as error:
            raise self.file.wrong(place, f"no regular expression: {error}") from None
        return str(value)

    def sla(self, place: Place, value: Any) -> Sla | None:
        whole = self.map_(place, value)
        if whole.get("type") != "MAX_DURATION":
            return None
        behavior = str(whole.get("behavior", "FAIL"))
        if behavior not in ("FAIL", "CANCEL", "NONE"):
            raise self.file.wrong((*place, "behavior"), "expected FAIL, CANCEL or NONE")
        return Sla(
            id=self.text((*place, "id"), whole.get("id")),
            duration_s=self.duration((*place, "duration"), whole.get("duration")),
            behavior=behavior,
            labels=self.labels((*place, "labels"), whole.get("labels")),
        )

    def retry(self, place: Place, value: Any) -> Retry | None:
        if value is None:
            return None
        whole = self.map_(place, value)
        kind = str(whole.get("type", "constant")).lower()
        if kind not in ("constant", "exponential", "random"):
            raise self.file.wrong((*place, "type"), "expected constant, exponential or random")
        at_least = "minInterval" if kind == "random" else "interval"
        most = whole.get("maxInterval")
        span = whole.get("maxDuration")
        attempts = whole.get("maxAttempts", whole.get("maxAttempt"))
        if attempts is not None and (type(attempts) is not int or not 1 <= attempts <= 1000):
            raise self.file.wrong((*place, "maxAttempts"), "expected a whole number from 1 to 1000")
        return Retry(
            kind=kind,
            interval_s=self.duration((*place, at_least), whole.get(at_least)),
            most_s=None if most is None else self.duration((*place, "maxInterval"), most),
            factor=float(whole.get("delayFactor", 2.0)),
            attempts=attempts,
            span_s=None if span is None else self.duration((*place, "maxDuration"), span),
            warns=whole.get("warningOnRetry") is True,
        )

    def defaults(self, whole: dict[str, Any]) -> tuple[tuple[str, dict[str, Any]], ...]:
        field = "pluginDefaults" if "pluginDefaults" in whole else "taskDefaults"
        found = []
        for number, value in enumerate(self.list_((field,), whole.get(field))):
            one = self.map_((field, number), value)
            values = self.map_((field, number, "values"), one.get("values") or {})
            found.append((self.text((field, number, "type"), one.get("type")), values))
        return tuple(found)

    def preset(self, type_: str, defaults: tuple[tuple[str, dict[str, Any]], ...]) -> dict[str, Any]:
        """What the flow gives to every task of this type, or of a family of types."""
        found: dict[str, Any] = {}
        for of, values in defaults:
            same_kind = task_kind(of) and task_kind(of) == task_kind(type_)
            if type_ == of or type_.startswith(of + ".") or same_kind:
                found |= values
        return found

    # Pieces.

    def labels(self, place: Place, value: Any) -> dict[str, str]:
        """A map, or a list of `{key, value}`."""
        if isinstance(value, list):
            pairs = [self.map_((*place, number), one) for number, one in enumerate(value)]
            value = {str(pair.get("key", "")): pair.get("value") for pair in pairs}
        return {name: as_text(one) for name, one in self.map_(place, value or {}).items()}

    def each(self, place: Place, value: Any, read: Callable[[Place, Any], One]) -> tuple[One, ...]:
        return tuple(read((*place, number), one) for number, one in enumerate(self.list_(place, value)))

    def list_(self, place: Place, value: Any) -> list[Any]:
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.file.wrong(place, "expected a list")
        return value

    def map_(self, place: Place, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.file.wrong(place, "expected fields with values")
        return value

    def text(self, place: Place, value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise self.file.wrong(place, "expected text" if value is not None else "it is missing")
        return value

    def fitting(self, place: Place, value: Any, pattern: re.Pattern[str], expected: str) -> str:
        text = value if isinstance(value, str) else "" if value is None else as_text(value)
        if not pattern.match(text):
            raise self.file.wrong(place, f"expected {expected}, found {text[:60]!r}" if text else "it is missing")
        return text

    def duration(self, place: Place, value: Any) -> float:
        found = seconds(value) if isinstance(value, str) else None
        if found is None or found < 0:
            raise self.file.wrong(place, "expected a duration such as PT5M or P1D")
        return found


def as_text(value: Any) -> str:
    return "true" if value is True else "false" if value is False else str(value)


def texts(place: Place, value: Any) -> list[tuple[Place, str]]:
    """All text in a value, and where it stands."""
    if isinstance(value, str):
        return [(place, value)]
    if isinstance(value, dict):
        return [found for key, one in value.items() for found in texts((*place, key), one)]
    if isinstance(value, list):
        return [found for number, one in enumerate(value) for found in texts((*place, number), one)]
    return []
