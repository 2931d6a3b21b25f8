"""What a rule asks of an event, as rows of a form: field, comparison, value. All rows have to hold.

Types, pipelines and labels that must fit are the rule's own lists; every other row is a part of its condition. What of
a condition no row can say stays an expression.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from tocsin.model.errors import Invalid

OPS = {
    "is": "==",
    "is not": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
    "contains": "contains",
    "starts with": "startsWith",
}
SIGNS = {sign: op for op, sign in OPS.items()}
OF_EVENT = ("type", "pipeline", "severity", "kind", "source", "stage", "run_id", "title", "message")
OF_RUN = ("run.duration_s", "run.attempt", "run.status", "run.error")
EXPECTED = f"{', '.join(OF_EVENT)}, labels.NAME, data.NAME or {', '.join(OF_RUN)}"
NAME = r"[A-Za-z_][A-Za-z0-9_]*"
PATH = rf'(?:{NAME})(?:\.{NAME}|\["(?:[^"\\]|\\.)*"\])+'
TEXT = r'"(?:[^"\\]|\\.)*"'
NUMBER = r"-?[0-9]+(?:\.[0-9]+)?"
COMPARED = re.compile(rf"({PATH}) (==|!=|<=|>=|<|>) ({TEXT}|{NUMBER}|true|false)")
CALLED = re.compile(rf"({PATH})\.(contains|startsWith)\(({TEXT})\)")


class Row(Struct, frozen=True):
    field: str
    op: str
    value: str


class Asked(Struct, frozen=True):
    """What rows come to. `expression` is what no row says."""

    event_types: tuple[str, ...]
    pipelines: tuple[str, ...]
    labels: dict[str, str]
    condition: str


# Rows of a rule.


def rows_of(rule: Mapping[str, Any]) -> tuple[list[Row], str]:
    """The rows that say what this rule asks, and the expression for the rest."""
    rows = []
    if rule["event_types"]:
        rows.append(Row("type", "is", listed(rule["event_types"])))
    if rule["pipelines"]:
        rows.append(Row("pipeline", "is", listed(rule["pipelines"])))
    rows += [Row(f"labels.{name}", "is", value) for name, value in rule["labels"].items()]
    more, expression = parsed(rule["condition"] or "")
    return rows + more, expression


def parsed(condition: str) -> tuple[list[Row], str]:
    """Rows for the parts of a condition that rows can say, and the rest of it. Put together they are the condition as
    it was; where they would not be, it is an expression as a whole."""
    parts = conjuncts(condition.strip())
    rows = [row for row in map(row_of, parts) if row is not None]
    rest = " && ".join(part for part in parts if row_of(part) is None)
    if not rows or joined(map(cel_of, rows), rest) != condition.strip():
        return [], condition.strip()
    return rows, rest


def row_of(part: str) -> Row | None:
    found = COMPARED.fullmatch(part) or CALLED.fullmatch(part)
    if found is None:
        return None
    field, value = field_of(found[1]), found[3]
    op = SIGNS[found[2]]
    # Without a comparison of its own, "is" of these is a pattern in the rule's lists, and no part of the condition.
    if field is None or (op == "is" and (field in ("type", "pipeline") or field.startswith("labels."))):
        return None
    if value.startswith('"'):
        try:
            text = json.loads(value)
        except ValueError:
            return None
        value = value if is_untyped(field) and is_literal(text) else text
    elif not is_untyped(field):
        return None
    row = Row(field, op, value)
    return row if cel_of(row) == part else None


def field_of(path: str) -> str | None:
    """`event.severity` → severity; the others are called as in the condition."""
    head, _, rest = path.partition(".")
    if head == "event":
        return rest if rest in OF_EVENT else None
    if path.startswith('labels["') and path.endswith('"]') and path.count("[") == 1:
        return f"labels.{json.loads(path[7:-1])}"
    if head in ("labels", "data") and re.fullmatch(NAME if head == "labels" else rf"{NAME}(\.{NAME})*", rest):
        return path
    return path if path in OF_RUN else None


def conjuncts(text: str) -> list[str]:
    """`a && b` → a, b; [text] where it is not that, or not plain."""
    parts, depth, start, place = [], 0, 0, 0
    while place < len(text):
        mark = text[place]
        if mark in "\"'":
            quote = re.compile(rf"{mark}(?:[^{mark}\\]|\\.)*{mark}").match(text, place)
            if quote is None or text.startswith(mark * 3, place) or text[place - 1 : place] in tuple("rRbB"):
                return [text]
            place = quote.end()
            continue
        depth += (mark in "([{") - (mark in ")]}")
        if depth == 0 and (text.startswith("||", place) or mark == "?" or text.startswith("//", place)):
            return [text]
        if depth == 0 and text.startswith("&&", place):
            parts.append(text[start:place].strip())
            place, start = place + 2, place + 2
            continue
        place += 1
    return [*parts, text[start:].strip()]


# Rows to a rule.


def asked_of(rows: Sequence[Row], expression: str, *, strict: bool = True) -> Asked:
    """Raises Invalid with the row as the field, such as `value[2]`; unless `strict`, rows that are not filled in yet
    are passed over."""
    types: list[str] = []
    pipelines: list[str] = []
    labels: dict[str, str] = {}
    parts = []
    for number, row in enumerate(rows):
        if not row.field.strip() and not row.value.strip():
            continue
        known = checked(number, row, strict=strict)
        if known is None:
            continue
        if known.op == "is" and known.field == "type":
            types += unlisted(known.value)
        elif known.op == "is" and known.field == "pipeline":
            pipelines += unlisted(known.value)
        elif known.op == "is" and known.field.startswith("labels.") and known.field[7:] not in labels:
            labels[known.field[7:]] = known.value
        else:
            parts.append(cel_of(known))
    return Asked(tuple(types), tuple(pipelines), labels, joined(parts, expression.strip()))


def checked(number: int, row: Row, *, strict: bool) -> Row | None:
    field, value = row.field.strip(), row.value.strip()
    field = {"event type": "type", "event": "type"}.get(field.lower(), field)
    if (not field or not value) and not strict:
        return None
    if not field:
        raise Invalid(f"field[{number}]", "nothing", EXPECTED)
    is_known = field in OF_EVENT or field in OF_RUN
    is_known = is_known or (field.startswith("labels.") and len(field) > 7)
    is_known = is_known or bool(re.fullmatch(rf"data(\.{NAME})+", field))
    if not is_known:
        raise Invalid(f"field[{number}]", repr(field[:60]), EXPECTED)
    if row.op not in OPS:
        raise Invalid(f"op[{number}]", repr(row.op[:20]), f"one of {', '.join(OPS)}")
    if not value:
        raise Invalid(f"value[{number}]", "nothing", "a value")
    return Row(field, row.op, value)


def cel_of(row: Row) -> str:
    """`data.rows < 10`."""
    path = f"event.{row.field}" if row.field in OF_EVENT else row.field
    if row.field.startswith("labels.") and not re.fullmatch(NAME, row.field[7:]):
        path = f"labels[{quoted(row.field[7:])}]"
    if row.op in ("contains", "starts with"):
        return f"{path}.{OPS[row.op]}({quoted(row.value)})"
    literal = row.value if is_untyped(row.field) and is_literal(row.value) else quoted(row.value)
    return f"{path} {OPS[row.op]} {literal}"


def is_untyped(field: str) -> bool:
    """Whether it may be a number as well."""
    return field.startswith(("data.", "run."))


def is_literal(value: str) -> bool:
    return bool(re.fullmatch(rf"{NUMBER}|true|false|{TEXT}", value))


def quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def joined(parts: Iterable[str], expression: str) -> str:
    """All of them. An expression of several halves is put in brackets where it is not alone."""
    found = list(parts)
    if found and expression and conjuncts(expression) == [expression] and is_loose(expression):
        expression = f"({expression})"
    return " && ".join([*found, *([expression] if expression else [])])


def is_loose(expression: str) -> bool:
    """Whether && would bind more tightly than what is in it."""
    return not (row_of(expression) or re.fullmatch(rf"{PATH}(\([^()|?]*\))?|\([^()]*\)", expression))


# Lists in one field.


def listed(values: Iterable[str]) -> str:
    """`run.failed, run.exceeded`; a comma of their own is `\\,`."""
    return ", ".join(value.replace(",", "\\,") for value in values)


def unlisted(text: str) -> list[str]:
    found = [one.strip().replace("\\,", ",") for one in re.split(r"(?<!\\),", text)]
    return [one for one in found if one]
