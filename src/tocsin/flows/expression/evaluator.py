"""What a tree means: names from a scope, operators over plain values, everything counted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from tocsin.flows.expression import nodes, values
from tocsin.flows.expression.filters import FILTERS, Argument, Arguments, matches
from tocsin.flows.expression.parser import parse, parse_expression
from tocsin.flows.expression.values import ExpressionError, Missing, Value, kind, text, truth

MAX_STEPS = 100_000
MAX_OUTPUT = 1024 * 1024
"""Characters, of everything that an expression makes on its way, too."""

MAX_NUMBER = 10**300
MAX_RANGE = 10_000

Function = Callable[..., Value]


class Scope(Struct, frozen=True):
    """What expressions may name: variables, and functions such as `secret` and `now` that the caller lends.

    A function takes positional and named plain values and returns one; it raises ExpressionError with a reason."""

    variables: Mapping[str, Value]
    functions: Mapping[str, Function] = {}


Escape = Callable[[Sequence[str], str], str]
"""What was written so far, and what is printed next: how that is to be written."""


def render(template: str, scope: Scope, escape: Escape | None = None) -> str:
    """The text with every tag replaced. Raises ExpressionError; Missing for what is not there."""
    if "{" not in template:
        return template
    evaluation = _Evaluation(scope, escape)
    evaluation.run(parse(template))
    return "".join(evaluation.output)


def evaluate(expression: str, scope: Scope) -> Value:
    """The value of one expression, with or without its braces; of text with several tags, the text."""
    if "{" not in expression:
        return _Evaluation(scope).value(parse_expression(expression))
    found = parse(expression.strip())
    if len(found) == 1 and isinstance(found[0], nodes.Print):
        return _Evaluation(scope).value(found[0].of)
    return render(expression, scope)


class _Evaluation:
    def __init__(self, scope: Scope, escape: Escape | None = None) -> None:
        self.escape = escape
        self.variables: dict[str, Value] = dict(scope.variables)
        self.functions = scope.functions
        self.output: list[str] = []
        self.size = 0
        self.steps = 0

    # Bounds.

    def step(self, node: nodes.Node) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise ExpressionError(f"more than {MAX_STEPS} steps", node.position)

    def sized(self, value: Value, node: nodes.Node) -> Value:
        """The value, if what was made so far is not too much."""
        if isinstance(value, str | list | tuple | dict):
            self.size += len(value)
            if self.size > MAX_OUTPUT:
                raise ExpressionError(f"more than {MAX_OUTPUT} characters", node.position)
        elif isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_NUMBER:
            raise ExpressionError("a number of more than 300 digits", node.position)
        return value

    # Templates.

    def run(self, body: Sequence[nodes.Node]) -> None:
        for node in body:
            self.step(node)
            match node:
                case nodes.Outside():
                    self.write(node.text, node)
                case nodes.Print():
                    printed = text(self.value(node.of))
                    self.write(printed if self.escape is None else self.escape(self.output, printed), node)
                case nodes.Set():
                    self.variables[node.name] = self.value(node.to)
                case nodes.If():
                    self.run(self.branch(node))
                case nodes.For():
                    self.loop(node)

    def write(self, words: str, node: nodes.Node) -> None:
        self.output.append(self.sized(words, node))

    def branch(self, node: nodes.If) -> Sequence[nodes.Node]:
        return next((body for condition, body in node.branches if truth(self.value(condition))), node.otherwise)

    def loop(self, node: nodes.For) -> None:
        items = list(self.items(self.value(node.over), node))
        if not items:
            self.run(node.otherwise)
            return
        outer = {name: self.variables[name] for name in (node.name, "loop") if name in self.variables}
        for index, item in enumerate(items):
            self.variables[node.name] = item
            self.variables["loop"] = {
                "index": index,
                "length": len(items),
                "first": index == 0,
                "last": index == len(items) - 1,
                "revindex": len(items) - index - 1,
            }
            self.run(node.body)
        for name in (node.name, "loop"):
            self.variables.pop(name, None)
        self.variables |= outer

    def items(self, over: Value, node: nodes.Node) -> Iterator[Value]:
        """A list's items; a map's entries, each with its `key` and `value`."""
        if isinstance(over, Mapping):
            return ({"key": key, "value": value} for key, value in over.items())
        if over is None:
            return iter(())
        if isinstance(over, Sequence) and not isinstance(over, str):
            return iter(over)
        raise ExpressionError(f"`for` needs a list or a map, not {kind(over)}", node.position)

    # Expressions.

    def value(self, node: nodes.Node) -> Value:
        self.step(node)
        match node:
            case nodes.Literal():
                return node.value
            case nodes.Name():
                return self.name(node)
            case nodes.Field():
                return self.field(self.value(node.of), self.value(node.key), node)
            case nodes.ListOf():
                return self.sized([self.value(item) for item in node.items], node)
            case nodes.MapOf():
                return self.sized({text(self.value(key)): self.value(value) for key, value in node.items}, node)
            case nodes.Choice():
                return self.value(node.then if truth(self.value(node.condition)) else node.otherwise)
            case nodes.Unary():
                return self.unary(node)
            case nodes.Binary():
                return self.sized(self.binary(node), node)
            case nodes.Test():
                return self.test(node) != node.negated
            case nodes.Call():
                return self.sized(self.call(node), node)
        raise ExpressionError("this stands where a value should", node.position)

    def name(self, node: nodes.Name) -> Value:
        if node.name in self.variables:
            return self.variables[node.name]
        raise Missing(f"there is no `{node.name}` here", node.position)

    def field(self, of: Value, key: Value, node: nodes.Node) -> Value:
        if isinstance(of, Mapping):
            if (name := text(key)) in of:
                return of[name]
            raise Missing(f"there is no `{name[:80]}` in it", node.position)
        if isinstance(of, Sequence) and not isinstance(of, str):
            try:
                index = int(key)
            except (TypeError, ValueError):
                raise Missing(f"a list has no `{text(key)[:80]}`", node.position) from None
            if 0 <= index < len(of):
                return of[index]
            raise Missing(f"the list has {len(of)} items; there is none at {index}", node.position)
        raise Missing(f"{kind(of)} has no `{text(key)[:80]}`", node.position)

    def or_null(self, node: nodes.Node) -> Value:
        """The value; null for what is not there."""
        try:
            return self.value(node)
        except Missing:
            return None

    def unary(self, node: nodes.Unary) -> Value:
        value = self.value(node.of)
        if node.sign == "not":
            return not truth(value)
        number = self.number(value, node)
        return -number if node.sign == "-" else number

    def number(self, value: Value, node: nodes.Node) -> int | float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ExpressionError(f"expected a number, found {kind(value)}", node.position)
        return value

    def binary(self, node: nodes.Binary) -> Value:
        sign = node.sign
        if sign == "and":
            return truth(self.value(node.left)) and truth(self.value(node.right))
        if sign == "or":
            return truth(self.value(node.left)) or truth(self.value(node.right))
        if sign in ("??", "???"):  # the second also goes on where something is there and empty
            left = self.or_null(node.left)
            return self.value(node.right) if left is None or (sign == "???" and left == "") else left
        if sign in ("==", "equals", "!="):
            return values.equal(self.or_null(node.left), self.or_null(node.right)) != (sign == "!=")
        left, right = self.value(node.left), self.value(node.right)
        match sign:
            case "~":
                return text(left) + text(right)
            case "contains":
                return contains(left, right, node)
            case "in":
                return contains(right, left, node)
            case "matches":
                return matches(text(left), text(right))
            case "..":
                return self.range(left, right, node)
            case "<" | ">" | "<=" | ">=":
                return compared(sign, left, right, node)
            case "+" if isinstance(left, str) or isinstance(right, str):
                return text(left) + text(right)
            case "+" if isinstance(left, list):
                return [*left, *(right if isinstance(right, list) else [right])]
        return arithmetic(sign, self.number(left, node), self.number(right, node), node)

    def range(self, left: Value, right: Value, node: nodes.Node) -> Value:
        first, last = self.number(left, node), self.number(right, node)
        if abs(last - first) > MAX_RANGE:
            raise ExpressionError(f"a range of more than {MAX_RANGE}", node.position)
        step = 1 if last >= first else -1
        return list(range(int(first), int(last) + step, step))

    def test(self, node: nodes.Test) -> bool:
        if node.name == "defined":
            try:
                self.value(node.of)
            except Missing:
                return False
            return True
        value = self.or_null(node.of)
        match node.name:
            case "null" | "none":
                return value is None
            case "empty":
                return value is None or value == "" or (isinstance(value, list | tuple | Mapping) and not value)
            case "map":
                return isinstance(value, Mapping)
            case "iterable":
                return isinstance(value, Mapping | list | tuple)
            case "even" | "odd":
                return int(self.number(value, node)) % 2 == (node.name == "odd")
            case "equalTo" if len(node.arguments) == 1:
                return values.equal(value, self.value(node.arguments[0]))
            case "json":
                return is_json(value)
        raise ExpressionError(f"there is no test `{node.name}`", node.position)

    def call(self, node: nodes.Call) -> Value:
        is_default = node.is_filter and node.name == "default"
        given = (
            [self.or_null(node.arguments[0]) if is_default else self.value(node.arguments[0])] if node.arguments else []
        )
        given += [self.value(argument) for argument in node.arguments[1:]]
        named = {name: self.value(argument) for name, argument in node.named}
        try:
            if not node.is_filter and node.name in self.functions:
                return self.functions[node.name](*given, **named)
            known = FILTERS.get(node.name)
            if known is None or not (node.is_filter or known.is_function):
                what = "filter" if node.is_filter else "function"
                raise ExpressionError(f"there is no {what} `{node.name}`", node.position)
            return known.of(given, named)
        except ExpressionError as error:
            if error.position >= 0:
                raise
            raise type(error)(error.reason, node.position) from None
        except TypeError:
            raise ExpressionError(f"`{node.name}` does not take these arguments", node.position) from None
        except (ValueError, OverflowError, ArithmeticError) as error:
            raise ExpressionError(f"`{node.name}`: {str(error)[:200]}", node.position) from None


def contains(whole: Value, part: Value, node: nodes.Node) -> bool:
    if isinstance(whole, str):
        return text(part) in whole
    if isinstance(whole, Mapping):
        return text(part) in whole
    if isinstance(whole, list | tuple):
        return all(
            any(values.equal(one, item) for item in whole) for one in (part if isinstance(part, list) else [part])
        )
    if whole is None:
        return False
    raise ExpressionError(f"{kind(whole)} contains nothing", node.position)


def compared(sign: str, left: Value, right: Value, node: nodes.Node) -> bool:
    both_numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (left, right))
    if not both_numbers and not (type(left) is type(right) and not isinstance(left, Mapping | list | bool | None)):
        raise ExpressionError(f"{kind(left)} and {kind(right)} cannot be compared", node.position)
    match sign:
        case "<":
            return bool(left < right)
        case ">":
            return bool(left > right)
        case "<=":
            return bool(left <= right)
    return bool(left >= right)


def arithmetic(sign: str, left: float, right: float, node: nodes.Node) -> float:
    """Whole numbers divide into whole ones, towards zero, as in the flows' own engine."""
    try:
        match sign:
            case "+":
                return left + right
            case "-":
                return left - right
            case "*":
                return left * right
        if isinstance(left, int) and isinstance(right, int):
            whole = abs(left) // abs(right)
            whole = whole if (left < 0) == (right < 0) else -whole
            return whole if sign == "/" else left - whole * right
        return left / right if sign == "/" else left % right
    except (ZeroDivisionError, OverflowError) as error:
        raise ExpressionError(str(error), node.position) from None


def is_json(value: Any) -> bool:
    try:
        FILTERS["fromJson"].of([value], {})
    except (ExpressionError, ValueError):
        return False
    return True


__all__ = ["Argument", "Arguments", "Function", "Scope", "evaluate", "render"]
