"""The filters and functions of expressions that need nothing but their arguments."""

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import yaml
from cel_expr_python import cel
from msgspec import Struct

from tocsin.flows.expression import dates
from tocsin.flows.expression.jq import jq
from tocsin.flows.expression.values import ExpressionError, Value, as_json, equal, kind, text

Argument = Value
Arguments = Sequence[Value]
MAX_WIDTH = 100_000
"""The longest text or list that one filter makes out of a number."""


class Filter(Struct, frozen=True):
    """`names` are its arguments in order, what stands before the `|` first; `least` of them must be there."""

    do: Callable[..., Value]
    names: tuple[str, ...]
    least: int
    is_function: bool = False

    def of(self, given: Sequence[Value], named: Mapping[str, Value]) -> Value:
        """Raises ExpressionError for arguments that do not fit."""
        if len(given) > len(self.names) or not set(named) <= set(self.names[len(given) :]):
            raise ExpressionError(f"takes {', '.join(self.names) or 'nothing'}")
        whole = dict(zip(self.names, given, strict=False)) | dict(named)
        if missing := [name for name in self.names[: self.least] if name not in whole]:
            raise ExpressionError(f"needs {missing[0]}")
        return self.do(**whole)


def a_list(value: Value) -> list[Value]:
    if isinstance(value, list | tuple):
        return list(value)
    raise ExpressionError(f"expected a list, found {kind(value)}")


def a_map(value: Value) -> dict[str, Value]:
    if isinstance(value, Mapping):
        return dict(value)
    raise ExpressionError(f"expected a map, found {kind(value)}")


def whole(value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ExpressionError(f"expected a whole number, found {kind(value)}")
    number = int(float(value)) if isinstance(value, str) else int(value)
    if abs(number) > 10**12:
        raise ExpressionError("a number far too large here")
    return number


def sequence(value: Value) -> Sequence[Value]:
    return value if isinstance(value, str) else a_list(value)


# Text.


def abbreviate(input: Value, length: Value) -> Value:
    words, most = text(input), max(whole(length), 4)
    return words if len(words) <= most else words[: most - 3] + "..."


def replace(input: Value, replace_pairs: Value, regexp: Value = False) -> Value:
    if regexp:
        raise ExpressionError("replacing by a regular expression is not supported")
    words = text(input)
    for old, new in a_map(replace_pairs).items():
        if old:
            words = words.replace(old, text(new))
            if len(words) > 1024 * 1024:
                raise ExpressionError("more than a million characters")
    return words


def split(input: Value, delimiter: Value, limit: Value = 0) -> Value:
    words, mark, most = text(input), text(delimiter), whole(limit)
    if not mark:
        return list(words)
    return words.split(mark, most - 1) if most > 0 else words.split(mark)


def join(input: Value, separator: Value = "") -> Value:
    return text(separator).join(text(item) for item in a_list(input))


def around(side: str, *, last: bool) -> Callable[..., Value]:
    def do(input: Value, separator: Value) -> Value:
        words, mark = text(input), text(separator)
        before, found, after = words.rpartition(mark) if last else words.partition(mark)
        if not found:
            return words if side == "before" else ""
        return before if side == "before" else after

    return do


def indent(input: Value, amount: Value, prefix: Value = " ") -> Value:
    pad = text(prefix) * min(max(whole(amount), 0), 200)
    return text(input).replace("\n", "\n" + pad)


def nindent(input: Value, amount: Value, prefix: Value = " ") -> Value:
    pad = text(prefix) * min(max(whole(amount), 0), 200)
    return "\n" + pad + text(input).replace("\n", "\n" + pad)


def slugify(input: Value) -> Value:
    words = "".join(one if one.isalnum() else "-" for one in text(input).lower())
    return "-".join(part for part in words.split("-") if part)


def escape_char(input: Value, type: Value) -> Value:
    words = text(input)
    if type in ("single", "shell"):
        return words.replace("'", "\\'" if type == "single" else "'\\''")
    return as_json(words)[1:-1]


@lru_cache(maxsize=1)
def _matcher() -> Any:
    env = cel.NewEnv(variables={"words": cel.Type.STRING, "pattern": cel.Type.STRING})
    return env, env.compile("words.matches(pattern)")


def matches(words: str, pattern: str) -> bool:
    """Whether the whole text fits. RE2 through CEL: time linear in the text, whatever the pattern."""
    if len(pattern) > 1000:
        raise ExpressionError("a pattern of more than 1,000 characters")
    env, compiled = _matcher()
    found = compiled.eval(env.Activation({"words": words, "pattern": f"^(?:{pattern})$"}))
    if found.type() != cel.Type.BOOL:
        raise ExpressionError(f"{pattern[:60]!r} is not a pattern")
    return bool(found.value())


# Numbers.


def number(input: Value, type: Value = "") -> Value:
    if isinstance(input, int | float) and not isinstance(input, bool):
        found: int | float = input
    else:
        words = text(input).strip()
        if len(words) > 300:
            raise ExpressionError("a number of more than 300 digits")
        try:
            found = int(words) if words.lstrip("+-").isdigit() else float(words)
        except ValueError:
            raise ExpressionError(f"{words[:60]!r} is not a number") from None
    named = text(type).upper()
    return (
        int(found)
        if named in ("INT", "LONG", "BIGINTEGER")
        else float(found)
        if named in ("FLOAT", "DOUBLE")
        else found
    )


def number_format(input: Value, format: Value = "#,##0.###") -> Value:
    """Java's DecimalFormat, as far as `#`, `0`, `,`, `.` and `%` go."""
    value, pattern = number(input), text(format)
    percent = pattern.endswith("%")
    before, _, after = pattern.removesuffix("%").partition(".")
    if set(before) - set("#0,") or set(after) - set("#0"):
        raise ExpressionError(f"the format {pattern[:40]!r} is not known")
    most, least = len(after), after.count("0")
    words = f"{abs(value * 100 if percent else value):.{most}f}"
    digits, _, fraction = words.partition(".")
    while len(fraction) > least and fraction.endswith("0"):
        fraction = fraction[:-1]
    digits = digits.lstrip("0").rjust(before.count("0"), "0")
    if "," in before:
        size = len(before) - before.rindex(",") - 1
        if size > 0:
            head = len(digits) % size
            groups = [digits[:head]] if head else []
            digits = ",".join(groups + [digits[at : at + size] for at in range(head, len(digits), size)])
    return ("-" if value < 0 else "") + digits + ("." + fraction if fraction else "") + ("%" if percent else "")


def extreme(pick: Callable[..., Any]) -> Callable[..., Value]:
    def do(a: Value, b: Value = None, c: Value = None, d: Value = None, e: Value = None) -> Value:
        given = list(a) if isinstance(a, list | tuple) else [one for one in (a, b, c, d, e) if one is not None]
        if not given:
            raise ExpressionError("nothing to choose from")
        return pick(number(one) for one in given)

    return do


def counted(start: Value, end: Value, increment: Value = 1) -> Value:
    first, last, step = whole(start), whole(end), whole(increment)
    if not step or abs(last - first) // abs(step) > 10_000:
        raise ExpressionError("a range of more than 10,000, or without end")
    return list(range(first, last + (1 if step > 0 else -1), step))


# Lists and maps.


def first(input: Value) -> Value:
    found = sequence(input)
    return found[0] if found else None


def last(input: Value) -> Value:
    found = sequence(input)
    return found[-1] if found else None


def length(input: Value) -> Value:
    if input is None:
        return 0
    if isinstance(input, str | list | tuple | Mapping):
        return len(input)
    raise ExpressionError(f"{kind(input)} has no length")


def cut(input: Value, from_: Value, to: Value = None) -> Value:
    found = sequence(input)
    return found[whole(from_) : len(found) if to is None else whole(to)]


def ordered(input: Value) -> list[Value]:
    found = a_list(input)
    try:
        return sorted(found)
    except TypeError:
        return sorted(found, key=text)


def distinct(input: Value) -> Value:
    found: list[Value] = []
    for item in a_list(input)[:10_000]:
        if not any(equal(item, one) for one in found):
            found.append(item)
    return found


def merge(input: Value, items: Value) -> Value:
    return {**input, **a_map(items)} if isinstance(input, Mapping) else [*a_list(input), *a_list(items)]


def chunk(input: Value, size: Value) -> Value:
    found, n = a_list(input), max(whole(size), 1)
    return [found[at : at + n] for at in range(0, len(found), n)]


def flatten(input: Value) -> Value:
    return [inner for item in a_list(input) for inner in (item if isinstance(item, list | tuple) else [item])]


# JSON, YAML, times.


def from_json(input: Value) -> Value:
    try:
        return json.loads(text(input))
    except (ValueError, RecursionError):
        raise ExpressionError(f"{text(input)[:60]!r} is not JSON") from None


def from_yaml(input: Value) -> Value:
    words = text(input)
    if "&" in words and "*" in words:
        raise ExpressionError("anchors in YAML are not read")
    try:
        return json.loads(json.dumps(yaml.safe_load(words), default=str))
    except (yaml.YAMLError, ValueError, RecursionError):
        raise ExpressionError(f"{words[:60]!r} is not YAML") from None


def date(
    input: Value, format: Value = "", existingFormat: Value = "", timeZone: Value = "", locale: Value = ""
) -> Value:
    return dates.written(dates.read(input, text(existingFormat), text(timeZone)), text(format), text(timeZone))


def date_add(
    input: Value,
    amount: Value,
    unit: Value,
    format: Value = "",
    existingFormat: Value = "",
    timeZone: Value = "",
    locale: Value = "",
) -> Value:
    at = dates.moved(dates.read(input, text(existingFormat), text(timeZone)), whole(amount), text(unit))
    return dates.written(at, text(format), text(timeZone))


def timestamp(per_s: int) -> Callable[..., Value]:
    def do(input: Value, existingFormat: Value = "", timeZone: Value = "") -> Value:
        at = dates.read(input, text(existingFormat), text(timeZone))
        since = at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        return (since.days * 86_400 + since.seconds) * per_s + since.microseconds * per_s // 1_000_000

    return do


def decoded(input: Value) -> Value:
    return base64.b64decode(text(input), validate=True).decode()


INPUT = ("input",)
FILTERS: dict[str, Filter] = {
    "abbreviate": Filter(abbreviate, ("input", "length"), 2),
    "abs": Filter(lambda input: abs(number(input)), INPUT, 1),
    "base64decode": Filter(decoded, INPUT, 1),
    "base64encode": Filter(lambda input: base64.b64encode(text(input).encode()).decode(), INPUT, 1),
    "capitalize": Filter(lambda input: text(input)[:1].upper() + text(input)[1:], INPUT, 1),
    "chunk": Filter(chunk, ("input", "size"), 2),
    "date": Filter(date, ("input", "format", "existingFormat", "timeZone", "locale"), 1),
    "dateAdd": Filter(date_add, ("input", "amount", "unit", "format", "existingFormat", "timeZone", "locale"), 3),
    "default": Filter(
        lambda input, default: default if input is None or input == "" else input, ("input", "default"), 2
    ),
    "distinct": Filter(distinct, INPUT, 1),
    "endsWith": Filter(lambda input, value: text(input).endswith(text(value)), ("input", "value"), 2),
    "escapeChar": Filter(escape_char, ("input", "type"), 2),
    "first": Filter(first, INPUT, 1),
    "flatten": Filter(flatten, INPUT, 1),
    "fromJson": Filter(from_json, INPUT, 1, is_function=True),
    "indent": Filter(indent, ("input", "amount", "prefix"), 2),
    "join": Filter(join, ("input", "separator"), 1),
    "jq": Filter(lambda input, expression: jq(input, text(expression)), ("input", "expression"), 2),
    "json": Filter(as_json, ("value",), 1),
    "keys": Filter(
        lambda input: list(input) if isinstance(input, Mapping) else list(range(len(a_list(input)))), INPUT, 1
    ),
    "last": Filter(last, INPUT, 1),
    "length": Filter(length, INPUT, 1),
    "lower": Filter(lambda input: text(input).lower(), INPUT, 1),
    "max": Filter(extreme(max), ("a", "b", "c", "d", "e"), 1, is_function=True),
    "md5": Filter(lambda input: hashlib.md5(text(input).encode(), usedforsecurity=False).hexdigest(), INPUT, 1),
    "merge": Filter(merge, ("input", "items"), 2),
    "min": Filter(extreme(min), ("a", "b", "c", "d", "e"), 1, is_function=True),
    "nindent": Filter(nindent, ("input", "amount", "prefix"), 2),
    "number": Filter(number, ("input", "type"), 1),
    "numberFormat": Filter(number_format, ("input", "format"), 1),
    "range": Filter(counted, ("start", "end", "increment"), 2, is_function=True),
    "replace": Filter(replace, ("input", "replace_pairs", "regexp"), 2),
    "reverse": Filter(lambda input: sequence(input)[::-1], INPUT, 1),
    "rsort": Filter(lambda input: ordered(input)[::-1], INPUT, 1),
    "sha256": Filter(lambda input: hashlib.sha256(text(input).encode()).hexdigest(), INPUT, 1),
    "slice": Filter(cut, ("input", "from_", "to"), 2),
    "slugify": Filter(slugify, INPUT, 1),
    "sort": Filter(ordered, INPUT, 1),
    "split": Filter(split, ("input", "delimiter", "limit"), 2),
    "startsWith": Filter(lambda input, value: text(input).startswith(text(value)), ("input", "value"), 2),
    "string": Filter(text, ("value",), 1),
    "substringAfter": Filter(around("after", last=False), ("input", "separator"), 2),
    "substringAfterLast": Filter(around("after", last=True), ("input", "separator"), 2),
    "substringBefore": Filter(around("before", last=False), ("input", "separator"), 2),
    "substringBeforeLast": Filter(around("before", last=True), ("input", "separator"), 2),
    "timestamp": Filter(timestamp(1), ("input", "existingFormat", "timeZone"), 1),
    "timestampMicro": Filter(timestamp(10**6), ("input", "existingFormat", "timeZone"), 1),
    "timestampMilli": Filter(timestamp(10**3), ("input", "existingFormat", "timeZone"), 1),
    "timestampNano": Filter(timestamp(10**9), ("input", "existingFormat", "timeZone"), 1),
    "title": Filter(lambda input: " ".join(word[:1].upper() + word[1:] for word in text(input).split(" ")), INPUT, 1),
    "trim": Filter(lambda input: text(input).strip(), INPUT, 1),
    "upper": Filter(lambda input: text(input).upper(), INPUT, 1),
    "urldecode": Filter(lambda input: unquote_plus(text(input)), INPUT, 1),
    "urlencode": Filter(lambda input: quote_plus(text(input)), INPUT, 1),
    "values": Filter(lambda input: list(a_map(input).values()), INPUT, 1),
    "yaml": Filter(from_yaml, INPUT, 1, is_function=True),
}
"""By the names that flows write."""

FILTERS["toJson"] = FILTERS["json"]
