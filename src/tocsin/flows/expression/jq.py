"""The part of jq that flows use: paths, iteration and pipes, such as `.rows[] | .name`. The answer is a list."""

import re
from collections.abc import Iterator, Mapping

from tocsin.flows.expression.values import ExpressionError, Value, kind

STEP = re.compile(r'\.?"([^"]*)"|\.([A-Za-z_][A-Za-z0-9_]*)|\.?\[\s*(-?\d+)\s*\]|\.?\[\s*"([^"]*)"\s*\]|\.?\[\s*\]')
WORDS = {"length", "keys", "first", "last", "add"}
MOST = 10_000


def jq(value: Value, program: str) -> list[Value]:
    """Raises ExpressionError for what is beyond this part of jq."""
    found = [value]
    for stage in program.split("|"):
        found = [result for one in found for result in _stage(one, stage.strip())]
        if len(found) > MOST:
            raise ExpressionError(f"jq: more than {MOST} results")
    return found


def _stage(value: Value, stage: str) -> list[Value]:
    if stage in WORDS:
        return [_word(value, stage)]
    found, at = [value], 0
    if stage != ".":
        while at < len(stage):
            step = STEP.match(stage, at)
            if step is None:
                raise ExpressionError(f"jq: `{stage[at:][:40]}` is not supported; paths, [] and | are")
            found = [result for one in found for result in _taken(one, step)]
            at = step.end()
            if at < len(stage) and stage[at] == "?":
                at += 1
    return found


def _taken(value: Value, step: re.Match[str]) -> Iterator[Value]:
    name = next((group for group in (step[1], step[2], step[4]) if group is not None), None)
    if name is not None:
        if value is not None and not isinstance(value, Mapping):
            raise ExpressionError(f"jq: {kind(value)} has no `{name[:60]}`")
        return iter([value.get(name) if value is not None else None])
    if step[3] is not None:
        if value is not None and not isinstance(value, list | tuple):
            raise ExpressionError(f"jq: {kind(value)} has no items")
        index = int(step[3])
        return iter([value[index] if value is not None and -len(value) <= index < len(value) else None])
    if isinstance(value, Mapping):
        return iter(value.values())
    if isinstance(value, list | tuple):
        return iter(value)
    raise ExpressionError(f"jq: {kind(value)} has no items")


def _word(value: Value, word: str) -> Value:
    if word == "length":
        return 0 if value is None else len(value) if isinstance(value, str | list | tuple | Mapping) else abs(value)
    if word == "keys":
        if isinstance(value, Mapping):
            return sorted(value)
        return list(range(len(value))) if isinstance(value, list | tuple) else _refuse(value)
    if not isinstance(value, list | tuple):
        return _refuse(value)
    if word == "add":
        if not all(isinstance(one, int | float) for one in value):
            raise ExpressionError("jq: `add` needs numbers")
        return sum(value)
    return (value[0] if word == "first" else value[-1]) if value else None


def _refuse(value: Value) -> Value:
    raise ExpressionError(f"jq: expected a list, found {kind(value)}")
