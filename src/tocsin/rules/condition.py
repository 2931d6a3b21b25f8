"""Conditions: CEL over an event and its run, compiled once, refused at save where they could not end quickly.

    data.accuracy < 0.9 && event.pipeline.startsWith("etl/")
    run.duration_s > 3600 && labels.env == "prod"
    data.checks.exists(c, c.status == "failed")

What does not hold at run time (a key that is not there, a string where a number is compared) is no match, with the
reason. Events are data: nothing of them is ever compiled.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from cel_expr_python import cel
from msgspec import Struct

from tocsin.model.errors import Invalid
from tocsin.model.event import Event
from tocsin.model.run import Run, Stage
from tocsin.rules.cel_cost import WORST, Load, Term, checked_tree, estimate_ns, patterns_of, terms_of
from tocsin.rules.cel_tree import Node, tree_of

MAX_BYTES = 2048
"""Of a condition's source, in UTF-8."""
BUDGET_NS = 80_000_000
"""What one evaluation may cost at worst. Its estimate is an upper bound; 100 ms is what a condition may take."""
REMEMBERED = 20_000
"""Compiled programs; about 9 KB each. Rules with the same condition share one."""

EVENT_FIELDS = ("id", "type", "kind", "source", "pipeline", "run_id", "stage", "severity", "time", "title", "message")
RUN_FIELDS = ("pipeline", "run_id", "attempt", "status", "duration_s", "started", "finished", "error", "stages")

_MAP = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
# A time inside a map is refused by the library, one that is a variable is not: so each of them is a variable whose
# name has a dot in it, which CEL prefers to the field of a map.
_ENV = cel.NewEnv(
    variables={
        "event": _MAP,
        "data": _MAP,
        "labels": _MAP,
        "run": _MAP,
        "event.time": cel.Type.TIMESTAMP,
        "run.started": cel.Type.TIMESTAMP,
        "run.finished": cel.Type.TIMESTAMP,
    }
)
_MATCHES = cel.NewEnv(variables={"pattern": cel.Type.STRING}).compile('"".matches(pattern)')
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Verdict(Struct, frozen=True):
    """Whether a condition holds, and why not where it does not."""

    matched: bool
    reason: str = ""


MATCHED = Verdict(True)
NOT_MATCHED = Verdict(False, "the condition is false")


class Facts:
    """What conditions are asked about, for one event. Nothing is built before the first condition asks."""

    __slots__ = ("_activation", "_load", "event", "run")

    def __init__(self, event: Event, run: Run | None) -> None:
        self.event = event
        self.run = run
        self._activation: Any = None
        self._load: Load | None = None

    @property
    def activation(self) -> Any:
        """The values in the library's form. It converts what is used, when it is used."""
        if self._activation is None:
            self._activation = _ENV.Activation(variables(self.event, self.run))
        return self._activation

    @property
    def load(self) -> Load:
        if self._load is None:
            event, run = self.event, self.run
            parts = [event.data, event.labels, event.title, event.message]
            stages = [] if run is None else [run.error, *([stage.name, stage.error] for stage in run.stages)]
            self._load = load_of([parts, stages])
        return self._load


class Condition(Struct, frozen=True):
    """A compiled condition. `terms` is empty where no event can make it slow."""

    source: str
    program: Any
    terms: tuple[Term, ...]
    paths: dict[str, str]

    def evaluate(self, facts: Facts) -> Verdict:
        """Whether the event and its run fulfil it. Never raises, and ends within 100 ms."""
        if self.terms and estimate_ns(self.terms, facts.load) > BUDGET_NS:
            return Verdict(False, "the event is too large for this condition")
        try:
            value = self.program.eval(facts.activation)
            result = value.value()
        except (RuntimeError, ValueError, TypeError) as error:
            return Verdict(False, self._reason(str(error)))
        if result is True:
            return MATCHED
        return NOT_MATCHED if result is False else Verdict(False, self._reason(str(result)))

    def _reason(self, error: str) -> str:
        """An evaluation's error in a few words."""
        missing = _MISSING_KEY.search(error)
        if missing:
            return f"{self.paths.get(missing[1], missing[1])} is missing"
        unknown = _NO_VALUE.search(error)
        if unknown:
            return f"{unknown[1]} is missing"
        types = _NO_OVERLOAD.search(error)
        if types:
            return f"the types do not fit: {types[1].strip('_@')}({types[2]})"
        if "Iteration budget exceeded" in error:
            return "the event is too large for this condition"
        return _CODE.sub("", error)[:200]


_MISSING_KEY = re.compile(r'Key not found in map : "(.*)"', re.DOTALL)
_NO_VALUE = re.compile(r'No value with name "(.*?)" found')
_NO_OVERLOAD = re.compile(r"No matching overloads found : (\S+?)\((.*?)\)")
_CODE = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
_WHERE = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*?)(?:\n|$)")


def compile_condition(source: str) -> Condition:
    """The condition of that source; the same object for the same source.

    Raises:
        Invalid: (field "condition") what is wrong and where, or why it could take too long.
    """
    if not source.strip():
        raise Invalid("condition", "nothing", "an expression such as data.accuracy < 0.9")
    if "\x00" in source:
        raise Invalid("condition", "a U+0000", "text without it")  # PostgreSQL could not keep it
    size = len(source.encode(errors="replace"))
    if size > MAX_BYTES:
        raise Invalid("condition", f"{size} bytes", f"at most {MAX_BYTES}")
    return _compiled(source)


@lru_cache(maxsize=REMEMBERED)
def _compiled(source: str) -> Condition:
    try:
        program = _ENV.compile(source)
    except (RuntimeError, ValueError, TypeError) as error:
        raise Invalid("condition", _compile_error(str(error)), "a CEL expression") from None
    if program.return_type() != cel.Type.BOOL:
        found = f"an expression of type {program.return_type().name()}"
        raise Invalid("condition", found, "one that is true or false, such as data.flag == true")
    tree = tree_of(program.serialize())
    _checked_fields(tree)
    checked_tree(tree)
    for pattern in patterns_of(tree):
        _checked_pattern(pattern)
    terms = terms_of(tree)
    always_quick = estimate_ns(terms, WORST) <= BUDGET_NS
    return Condition(source, program, () if always_quick else terms, _paths(tree))


def _compile_error(error: str) -> str:
    """The first of the compiler's errors, on one line."""
    where = _WHERE.search(error)
    if where is None:
        return _CODE.sub("", error.partition("\n")[0])[:300]
    line, column, what = where.groups()
    place = f" at line {line}, column {column}" if int(line) > 0 else ""
    return f"{what.removesuffix(' [INVALID_ARGUMENT]')}{place}"[:300]


def _checked_pattern(pattern: str) -> None:
    """A regex that does not compile is found at save; the library would say so at each evaluation."""
    result = _MATCHES.eval(data={"pattern": pattern})
    if result.type() == cel.Type.ERROR:
        found = _CODE.sub("", str(result.value()))
        raise Invalid("condition", found[:200], "a regular expression of RE2")


def _checked_fields(tree: Node) -> None:
    """`event` and `run` have fixed fields, so a misspelt one is found at save."""
    fields = {"event": EVENT_FIELDS, "run": RUN_FIELDS}
    for node in tree.walk():
        if not node.children or node.children[0].kind != "name" or node.children[0].name not in fields:
            continue
        known = fields[node.children[0].name]
        name = node.name
        if node.name == "_[_]" and node.children[1].kind == "constant":
            name = node.children[1].value.decode(errors="replace")
        elif node.kind != "field":
            continue
        if name not in known:
            raise Invalid("condition", f"{node.children[0].name}.{name}", f"one of {', '.join(known)}")
        if node.name == "_[_]" and name in ("time", "started", "finished"):
            raise Invalid("condition", f'{node.children[0].name}["{name}"]', f"{node.children[0].name}.{name}")


def _paths(tree: Node) -> dict[str, str]:
    """Field → how the condition writes it, so that a reason can say `data.rows` and not `rows`."""
    paths: dict[str, str] = {}
    for node in tree.walk():
        names, inner = [node.name], node
        while inner.kind == "field" and inner.children:
            inner = inner.children[0]
            names.append(inner.name)
        if node.kind == "field" and inner.kind == "name":
            paths.setdefault(node.name, ".".join(reversed(names)))
    return paths


def activation(event: Event, run: Run | None) -> Facts:
    """What conditions are asked about, for one event. Make it once and ask all conditions with it."""
    return Facts(event, run)


def variables(event: Event, run: Run | None) -> dict[str, Any]:
    """The values by name. A run that is not known is an empty map: `run.status` is missing then."""
    values: dict[str, Any] = {
        "event": {
            "id": event.id,
            "type": event.type,
            "kind": event.kind,
            "source": event.source,
            "pipeline": event.pipeline,
            "run_id": event.run_id,
            "stage": event.stage,
            "severity": event.severity,
            "title": event.title,
            "message": event.message,
        },
        "event.time": _time(event.time_ms),
        "data": event.data,
        "labels": event.labels,
        "run": {},
    }
    if run is not None:
        values["run"] = _run(run, event.time_ms)
        if run.started_ms is not None:
            values["run.started"] = _time(run.started_ms)
        if run.finished_ms is not None:
            values["run.finished"] = _time(run.finished_ms)
    return values


def _run(run: Run, now_ms: int) -> dict[str, Any]:
    """`duration_s` is in seconds: start to end, or to this event while the run goes on."""
    fields: dict[str, Any] = {
        "pipeline": run.pipeline,
        "run_id": run.run_id,
        "attempt": run.attempt,
        "status": run.status,
        "error": run.error,
        "stages": [_stage(stage) for stage in run.stages],
    }
    if run.started_ms is not None:
        end_ms = now_ms if run.finished_ms is None else run.finished_ms
        fields["duration_s"] = max(0, end_ms - run.started_ms) / 1000
    return fields


def _stage(stage: Stage) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": stage.name, "status": stage.status, "error": stage.error}
    if stage.started_ms is not None and stage.finished_ms is not None:
        fields["duration_s"] = max(0, stage.finished_ms - stage.started_ms) / 1000
    return fields


def _time(time_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=time_ms)


def load_of(value: Any) -> Load:
    """How much there is in a value. Strings count at four bytes a character, which is what UTF-8 may need."""
    values = longest = size = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        values += 1
        if isinstance(item, str):
            size += len(item) if item.isascii() else 4 * len(item)
        elif isinstance(item, dict):
            longest = max(longest, len(item))
            size += sum(map(len, item))
            waiting.extend(item.values())
        elif isinstance(item, list):
            longest = max(longest, len(item))
            waiting.extend(item)
    return Load(values, longest, size)
