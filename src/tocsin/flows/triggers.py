"""When a flow is started by another run: what its triggers ask, and whether an end somewhere is what they wait for.

Everything here is decided from values: the run that changed its state, runs that ended before it, and the clock.
"""

import contextlib
import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from tocsin.flows.durations import seconds
from tocsin.flows.execution import Seen, moment
from tocsin.flows.expression import ExpressionError, Scope, evaluate
from tocsin.flows.expression.values import text, truth
from tocsin.flows.model import Flow, Trigger
from tocsin.model.errors import Invalid
from tocsin.model.run import Run
from tocsin.rules.cron import check_cron

STATES = {"running": "RUNNING", "paused": "PAUSED", "succeeded": "SUCCESS", "warning": "WARNING", "failed": "FAILED",
          "cancelled": "KILLED"}  # fmt: skip
"""A run's status as flows call it. CANCELLED is taken for KILLED: sources tell one word for both."""

TERMINATED = ("FAILED", "WARNING", "SUCCESS", "KILLED")
LINEAGE = "openlineage:"
DAY_S = 86_400.0
WEEKDAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
CHAIN = "system.chain"
"""A label of runs that a trigger started: how many came before them."""

MOST_CHAIN = 10


class Changed(Struct, frozen=True):
    """A run that has come into a state. `outputs` are a flow's own; `key` names (run, attempt, state) for good."""

    seen: Seen
    key: str
    source: str = ""
    pipeline: str = ""
    attempt: int = 1
    at_ms: int = 0
    outputs: dict[str, Any] = {}


NOBODY = Seen("", "", "", "")


class Unfit(Exception):
    """A trigger that cannot be understood: where in it, and why."""

    def __init__(self, place: tuple[str | int, ...], reason: str) -> None:
        super().__init__(reason)
        self.place = place
        self.reason = reason


def named(pipeline: str, source: str) -> tuple[str, str]:
    """Namespace and id of the flow that a pipeline is: `etl/orders` and `etl.orders` are `orders` in `etl`; what has no
    namespace in its name is in that of its source. OpenLineage has one for each job: its own."""
    if source.startswith(LINEAGE):
        return source.removeprefix(LINEAGE), pipeline
    for between in ("/", "."):
        before, found, last = pipeline.rpartition(between)
        if found and before and last:
            return before, last
    return source, pipeline


def seen_of(run: Run, source: str, state: str = "", url: str = "") -> Seen:
    """A run of any source as flows see an execution."""
    namespace, flow_id = named(run.pipeline, source)
    started = run.started_ms if run.started_ms is not None else run.about.from_ms or None
    stages = {"running": "RUNNING", "succeeded": "SUCCESS", "failed": "FAILED", "skipped": "SKIPPED"}
    return Seen(
        id=run.run_id,
        namespace=namespace,
        flow_id=flow_id,
        state=state or STATES.get(run.status, "CREATED"),
        started_ms=started,
        ended_ms=run.finished_ms,
        url=url or next((link for link in run.about.links.values()), ""),
        tasks=tuple((one.label, stages.get(one.status, "RUNNING")) for one in run.stages),
        labels=run.about.labels,
        attempts=tuple(one.attempt for one in run.stages),
    )


def at(seen: Seen, url: str) -> Seen:
    """The same, on a page of ours."""
    return replace(seen, url=url)


def source_of(run: Run) -> str:
    """The source that named it, as far as the run still says so."""
    namespace = run.about.labels.get("namespace", "")
    return LINEAGE + namespace if namespace else ""


def variables(changed: Changed) -> dict[str, Any]:
    """What the flow knows as `trigger`."""
    seen = changed.seen
    return {
        "executionId": seen.id,
        "namespace": seen.namespace,
        "flowId": seen.flow_id,
        "flowRevision": 1,
        "state": seen.state,
        "outputs": changed.outputs,
        "labels": seen.labels,
        "startDate": moment(seen.started_ms) if seen.started_ms is not None else "",
        "source": changed.source,
        "pipeline": changed.pipeline,
        "attempt": changed.attempt,
    }


def fires(
    trigger: Trigger, flow: Flow, changed: Changed, before: Callable[[int], Iterable[Seen]], fired_ms: int = 0
) -> bool:
    """Whether this is what the trigger waits for. `before(since_ms)` are runs that ended since then; `fired_ms` is when
    it fired last. A flow's own executions never start it. Raises Unfit, ExpressionError."""
    seen = changed.seen
    if changed.pipeline == flow.name or chain_of(seen.labels) >= MOST_CHAIN:
        return False
    given = trigger.given
    states = [text(one).upper() for one in listed(given.get("states"))] or list(TERMINATED)
    if not given.get("preconditions") and not given.get("dependsOn") and not is_state(seen.state, states):
        return False
    scope = Scope(scope_of(flow, changed))
    if "when" in given and not truth(value_of(given["when"], scope)):
        return False
    conditions = [*objects(given.get("conditions"), ("conditions",))]
    if not all(holds(one, changed, scope, ("conditions", n)) for n, one in enumerate(conditions)):
        return False
    return met(given, changed, before, fired_ms)


def chain_of(labels: Mapping[str, str]) -> int:
    found = labels.get(CHAIN, "")
    return int(found) if found.isascii() and found.isdigit() and len(found) < 4 else 0


def scope_of(flow: Flow, changed: Changed) -> dict[str, Any]:
    """Names in a trigger's expressions are about the run that changed; `trigger` says the same."""
    seen = changed.seen
    return {
        "execution": {
            "id": seen.id,
            "namespace": seen.namespace,
            "flowId": seen.flow_id,
            "state": seen.state,
            "labels": seen.labels,
            "startDate": moment(seen.started_ms) if seen.started_ms is not None else "",
        },
        "flow": {"id": seen.flow_id, "namespace": seen.namespace},
        "labels": seen.labels,
        "outputs": changed.outputs,
        "trigger": variables(changed),
        "vars": flow.variables,
    }


# Conditions.


def condition_name(type_: Any) -> str:
    """`ExecutionStatusCondition` of any generation: `executionstatus`."""
    return text(type_).rpartition(".")[2].lower().removesuffix("condition")


def holds(given: Mapping[str, Any], changed: Changed, scope: Scope, place: tuple[str | int, ...] = ()) -> bool:
    seen = changed.seen
    match condition_name(given.get("type")):
        case "executionstatus":
            inside, outside = listed(given.get("in")), listed(given.get("notIn"))
            return (not inside or is_state(seen.state, inside)) and not (outside and is_state(seen.state, outside))
        case "executionnamespace":
            return in_namespace(given, seen.namespace)
        case "executionflow" | "flow":
            flow_id, namespace = given.get("flowId"), given.get("namespace")
            return (flow_id is None or flow_id == seen.flow_id) and (namespace is None or namespace == seen.namespace)
        case "flownamespace":
            return in_namespace(given, seen.namespace)
        case "executionlabels":
            return all(seen.labels.get(name) == value for name, value in pairs(given.get("labels")).items())
        case "expression" | "variable" | "executionoutputs":
            return truth(value_of(given.get("expression", ""), scope))
        case "hasretryattempt":
            inside, outside = listed(given.get("in")), listed(given.get("notIn"))
            again = [state for (_, state), tries in zip(seen.tasks, seen.attempts, strict=False) if tries > 1]
            fitting = [s for s in again if (not inside or is_state(s, inside)) and not is_state(s, outside)]
            return bool(fitting) or changed.attempt > 1
        case "not":
            return not any(holds(one, changed, scope, place) for one in objects(given.get("conditions"), place))
        case "or":
            return any(holds(one, changed, scope, place) for one in objects(given.get("conditions"), place))
        case "and":
            return all(holds(one, changed, scope, place) for one in objects(given.get("conditions"), place))
        case _:
            return in_time(given, place, changed.at_ms)


def in_time(given: Mapping[str, Any], place: tuple[str | int, ...], now_ms: int) -> bool:
    """The conditions that look at the clock. They count the run's change, or the `date` that they name."""
    at = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
    match condition_name(given.get("type")):
        case "dayweek":
            return WEEKDAYS[at.weekday()] == text(given.get("dayOfWeek")).upper()
        case "weekend":
            return at.weekday() >= 5
        case "dayweekinmonth":
            which = {"FIRST": 0, "SECOND": 1, "THIRD": 2, "FOURTH": 3}.get(text(given.get("dayInMonth")).upper())
            fits = WEEKDAYS[at.weekday()] == text(given.get("dayOfWeek")).upper()
            return fits and (
                (at + dt.timedelta(days=7)).month != at.month if which is None else (at.day - 1) // 7 == which
            )
        case "timebetween" | "time":
            now = at.timetz()
            return between(now, *(time_of(given.get(name)) for name in ("after", "before")))
        case "datetimebetween" | "datebetween":
            return between(at, *(date_of(given.get(name)) for name in ("after", "before")))
    raise Unfit((*place, "type"), f"there is no condition {text(given.get('type'))[:80]!r} here")


def in_namespace(given: Mapping[str, Any], namespace: str) -> bool:
    wanted, how = text(given.get("namespace")), text(given.get("comparison")).upper()
    if how == "PREFIX" or (not how and given.get("prefix") is True):
        return namespace.startswith(wanted)
    return namespace.endswith(wanted) if how == "SUFFIX" else namespace == wanted


def is_state(state: str, wanted: Iterable[Any]) -> bool:
    names = {text(one).upper() for one in wanted}
    return state in names or (state == "KILLED" and "CANCELLED" in names)


# Several runs in a window of time.


def met(given: Mapping[str, Any], changed: Changed, before: Callable[[int], Iterable[Seen]], fired_ms: int) -> bool:
    """Whether every execution that the trigger asks for has been, this being the last of them."""
    asks = asked(given)
    if not asks:
        return True
    if not any(ask(changed.seen) for ask in asks):
        return False
    conditions = a_map(given, "preconditions")
    since_ms = began_ms(a_map(given, "window") or a_map(conditions, "timeWindow"), changed.at_ms)
    if since_ms is None:
        return False
    mode = text(given.get("mode", "ALL")).upper()
    if mode == "ANY":
        return True
    resets = conditions.get("resetOnSuccess") is not False
    others = [changed.seen, *before(max(since_ms, fired_ms + 1 if resets else 0))]
    found = sum(any(ask(one) for one in others) for ask in asks)
    least = given.get("atLeast")
    return found >= (least if mode == "AT_LEAST" and isinstance(least, int) else len(asks))


Ask = Callable[[Seen], bool]


def asked(given: Mapping[str, Any]) -> list[Ask]:
    """An ask for each execution that there has to be."""
    conditions = a_map(given, "preconditions")
    wanted = [*objects(conditions.get("flows"), ("preconditions", "flows")), *objects(given.get("dependsOn"), ())]
    asks: list[Ask] = [partial(is_upstream, one) for one in wanted]
    asks += [partial(all_filters, one) for one in objects(conditions.get("where"), ("preconditions", "where"))]
    return asks


def is_upstream(given: Mapping[str, Any], seen: Seen) -> bool:
    states = listed(given.get("states")) or ["SUCCESS", "WARNING"]
    return (
        given.get("namespace", seen.namespace) == seen.namespace
        and given.get("flowId", seen.flow_id) == seen.flow_id
        and is_state(seen.state, states)
        and all(seen.labels.get(name) == value for name, value in pairs(given.get("labels")).items())
    )


def all_filters(given: Mapping[str, Any], seen: Seen) -> bool:
    found = [filtered(one, seen) for one in objects(given.get("filters"), ("preconditions", "where", "filters"))]
    return any(found) if text(given.get("operand")).upper() == "OR" else all(found)


def filtered(given: Mapping[str, Any], seen: Seen) -> bool:
    field = text(given.get("field")).upper()
    if field == "EXPRESSION":
        value: Any = evaluate(text(given.get("value")), Scope({"labels": seen.labels, "outputs": {}}))
    else:
        value = {"FLOW_ID": seen.flow_id, "NAMESPACE": seen.namespace, "STATE": seen.state}.get(field)
    wanted, many = text(given.get("value")), [text(one) for one in listed(given.get("values"))]
    said = text(value)
    match text(given.get("type")).upper():
        case "EQUAL_TO":
            return said == wanted
        case "NOT_EQUAL_TO":
            return said != wanted
        case "IN":
            return said in many
        case "NOT_IN":
            return said not in many
        case "STARTS_WITH":
            return said.startswith(wanted)
        case "ENDS_WITH":
            return said.endswith(wanted)
        case "CONTAINS":
            return wanted in said
        case "IS_TRUE":
            return truth(value)
        case "IS_FALSE":
            return not truth(value)
        case "IS_NULL":
            return value is None
        case "IS_NOT_NULL":
            return value is not None
    raise Unfit(("preconditions", "where"), f"there is no filter {text(given.get('type'))[:40]!r} here")


def began_ms(window: Mapping[str, Any], now_ms: int) -> int | None:
    """Since when executions count; None where they do not count now."""
    kind = text(window.get("type", "DURATION_WINDOW")).upper()
    at = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
    midnight_ms = int(at.replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)
    if kind == "DAILY_TIME_DEADLINE":
        deadline = time_of(window.get("deadline"))
        return midnight_ms if deadline is None or at.timetz() <= deadline else None
    if kind == "DAILY_TIME_WINDOW":
        start, end = time_of(window.get("startTime")), time_of(window.get("endTime"))
        if not between(at.timetz(), start, end):
            return None
        return (
            midnight_ms
            if start is None
            else midnight_ms + (start.hour * 3600 + start.minute * 60 + start.second) * 1000
        )
    length = seconds(text(window.get("window", "P1D")))
    return now_ms - int((DAY_S if length is None else length) * 1000)


# Schedules.


def cron_of(trigger: Trigger) -> tuple[str, str]:
    """The expression and the time zone of a schedule. Raises Unfit."""
    cron = text(trigger.given.get("cron")).strip()
    zone = text(trigger.given.get("timezone")) or "UTC"
    try:
        ZoneInfo(zone)
    except (ValueError, OSError, KeyError):
        raise Unfit(("timezone",), f"there is no time zone {zone[:60]!r}") from None
    try:
        check_cron(cron)
    except Invalid as error:
        raise Unfit(("cron",), error.detail) from None
    return cron, zone


# What can be said when a flow is read.


def check(trigger: Trigger) -> None:
    """Raises Unfit where it can never be understood."""
    given = trigger.given
    if not trigger.kind:
        return
    a_map(given, "inputs")
    if trigger.kind == "schedule":
        cron_of(trigger)
        return
    a_map(given, "window")
    a_map(a_map(given, "preconditions"), "timeWindow")
    for number, one in enumerate(objects(given.get("conditions"), ("conditions",))):
        known(one, ("conditions", number))
    with contextlib.suppress(ExpressionError):
        for ask in asked(given):
            ask(NOBODY)


def known(given: Mapping[str, Any], place: tuple[str | int, ...]) -> None:
    name = condition_name(given.get("type"))
    if name in ("not", "or", "and"):
        for number, one in enumerate(objects(given.get("conditions"), place)):
            known(one, (*place, "conditions", number))
    elif name not in CONDITIONS:
        raise Unfit((*place, "type"), f"there is no condition {text(given.get('type'))[:80]!r} here; "
                    f"there are {', '.join(sorted(CONDITIONS))}")  # fmt: skip


CONDITIONS = frozenset(
    {
        "executionstatus", "executionnamespace", "executionflow", "executionlabels", "executionoutputs", "expression",
        "variable", "hasretryattempt", "flow", "flownamespace", "dayweek", "weekend", "dayweekinmonth", "timebetween",
        "time", "datetimebetween", "datebetween", "not", "or", "and",
    }
)  # fmt: skip


# Pieces.


def value_of(given: Any, scope: Scope) -> Any:
    return evaluate(given, scope) if isinstance(given, str) and "{" in given else given


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def objects(value: Any, place: tuple[str | int, ...]) -> Sequence[Mapping[str, Any]]:
    """A list of objects, or a map of them by name."""
    found = list(value.values()) if isinstance(value, Mapping) else value if value is not None else []
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise Unfit(place, "expected a list of fields with values")
    return found


def a_map(given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = given.get(name)
    if found is not None and not isinstance(found, Mapping):
        raise Unfit((name,), "expected fields with values")
    return found or {}


def pairs(value: Any) -> dict[str, str]:
    if isinstance(value, list):
        value = {text(one.get("key")): one.get("value") for one in value if isinstance(one, Mapping)}
    return {text(name): text(one) for name, one in value.items()} if isinstance(value, Mapping) else {}


def time_of(value: Any) -> dt.time | None:
    """`08:00`, `8:00:00`, `08:00:00+01:00`; UTC where it does not say."""
    said = text(value)
    try:
        found = dt.time.fromisoformat("0" + said if said[1:2] == ":" else said)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def date_of(value: Any) -> dt.datetime | None:
    try:
        found = dt.datetime.fromisoformat(text(value).replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def between(at: Any, after: Any, before: Any) -> bool:
    return (after is None or at >= after) and (before is None or at <= before)
