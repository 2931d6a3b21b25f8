"""The tree of a compiled CEL expression, and what evaluating it can cost at worst.

cel-expr-python shows no tree, but it serialises one: a `cel.expr.CheckedExpr` inside an `Any`, in protobuf's wire
format, which is read here (https://github.com/google/cel-spec/blob/master/proto/cel/expr/syntax.proto).

CEL has no loops but comprehensions (`all`, `exists`, `filter`, `map`), and the library stops after 10,000 iterations.
What one iteration may cost is not bounded: it can scan a string or compare a list of 256 KiB each time. So the cost is
added up from the tree, in nanoseconds, with constants measured on the slowest inputs found (two shared vCPU, 2026).
"""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from tocsin.model.errors import Invalid

MAX_NODES = 500
"""As research/reliability-and-security.md S17 asks."""
MAX_DEPTH = 2
"""A comprehension may hold one other, no more."""
MAX_COMPREHENSIONS = 6
MAX_PLUS = 16
"""`a + a + …` copies what it has so far each time."""
MAX_PATTERN_STATES = 2000
"""All regexes together, with `{n}` written out. RE2 itself stops somewhere above 10,000."""
MAX_ITERATIONS = 10_000
"""The library's own budget, over the whole evaluation: more is its error "Iteration budget exceeded"."""

NODE_NS = 100
"""One step of the interpreter: 0.5 µs for the six of `x >= 0` with its loop."""
VALUE_NS = 250
"""To convert or compare one value of the event."""
BYTE_NS = 4
"""To scan or copy one byte of a string: 0.6 ns for size(), 3.7 ns for +."""
STATE_NS = 20
"""One state of a regex on one byte, where RE2 falls back to its NFA: 15 ns for ((x?){50}){20}y."""
APPEND_NS = 16
"""map() and filter() copy their list for each element: 135 ms for 3,000 of them."""

COMPARE = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "startsWith", "endsWith"})
SCAN = frozenset({"contains", "size", "string", "bytes", "int", "uint", "double", "timestamp", "duration", "bool"})


class Node(Struct, frozen=True):
    """One node. `name` is the identifier, field or function; `value` a constant's bytes; `loop` a comprehension's
    variable, whose first child is what it goes through, the others its body."""

    kind: str
    name: str = ""
    children: tuple["Node", ...] = ()
    value: bytes = b""
    loop: str = ""

    def walk(self) -> Iterator["Node"]:
        yield self
        for child in self.children:
            yield from child.walk()


class Load(Struct, frozen=True):
    """How much there is to go through: values in all, the longest list or object, bytes of strings."""

    values: int
    longest: int
    bytes: int


class Term(Struct, frozen=True):
    """`ns` × what `unit` counts × the iterations of `depth` nested loops."""

    unit: str
    depth: int
    ns: float


WORST = Load(values=131_072, longest=131_072, bytes=262_144)
"""An event of 256 KiB: `1,` is a value in two bytes."""


def tree_of(serialized: bytes) -> Node:
    """The expression in what `Expression.serialize()` gives."""
    checked = dict(_fields(dict(_fields(serialized))[2]))
    return _node(checked[4])


def checked_tree(tree: Node) -> None:
    """Raises Invalid (field "condition") for an expression that could amplify what it is given."""
    nodes = list(tree.walk())
    loops = [node for node in nodes if node.kind == "loop"]
    plus = sum(node.name == "_+_" for node in nodes)
    states = sum(_states(node) for node in nodes if node.name == "matches")
    if len(nodes) > MAX_NODES:
        raise Invalid("condition", f"{len(nodes)} parts", f"at most {MAX_NODES}")
    if len(loops) > MAX_COMPREHENSIONS:
        raise Invalid("condition", f"{len(loops)} of all, exists, filter, map", f"at most {MAX_COMPREHENSIONS}")
    if _depth(tree) > MAX_DEPTH:
        raise Invalid("condition", "all, exists, filter or map nested too deeply", "one inside another, no more")
    if plus > MAX_PLUS:
        raise Invalid("condition", f"{plus} times +", f"at most {MAX_PLUS}")
    if states > MAX_PATTERN_STATES:
        raise Invalid("condition", f"regular expressions of {states} states", f"at most {MAX_PATTERN_STATES}")
    for node in nodes:
        if node.kind == "struct" and node.name:
            raise Invalid("condition", f"a message {node.name}", "maps, lists and plain values")
    for loop in loops:
        for node in (inner for part in loop.children[1:] for inner in part.walk()):
            _checked_body(node)


def _checked_body(node: Node) -> None:
    """Inside a comprehension nothing may grow: strings and lists would double with each round."""
    if node.name == "_+_":
        raise Invalid("condition", "+ inside all, exists, filter or map", "comparisons there, + outside")
    if node.kind in ("list", "struct") and any(inner.kind == "name" for inner in node.walk()):
        raise Invalid("condition", "a list or map built inside all, exists, filter or map", "one of constants only")


def terms_of(tree: Node) -> tuple[Term, ...]:
    """What evaluation costs at worst, as a sum. See `estimate_ns`."""
    return (*_terms(tree, 0, "", False), *_plus_terms(tree))


def estimate_ns(terms: tuple[Term, ...], load: Load) -> float:
    """An upper bound for one evaluation on an event of that load, in nanoseconds."""
    longest = min(load.longest, MAX_ITERATIONS)
    units = {
        "step": 1,
        "values": load.values * VALUE_NS + load.bytes * BYTE_NS,
        "bytes": load.bytes * BYTE_NS,
        "states": load.bytes * STATE_NS,
        "append": longest * APPEND_NS,
    }
    # Only the step count is bounded by the library's budget for all loops together, however they are nested.
    return sum(term.ns * units[term.unit] * min(longest**term.depth, MAX_ITERATIONS) for term in terms)


def _terms(node: Node, depth: int, loop: str, from_path: bool) -> Iterator[Term]:
    """Of a node and all below it. `loop` is the innermost loop's variable; `from_path` says that its values are parts
    of the event, so that going through each of them once is going through the event once, not once per iteration."""
    if node.kind == "loop":
        through, *body = node.children
        yield from _terms(through, depth, loop, from_path)
        steps = sum(1 for part in body for _ in part.walk())
        grows = _grows(through)
        yield Term("step", depth + 1, NODE_NS * steps * grows)
        if _builds(node):
            yield Term("append", depth + 1, float(grows * grows))
        for part in body:
            yield from _terms(part, depth + 1, node.loop, _is_path(through))
        return
    unit, operand = _scanned(node)
    if operand is not None:
        once = from_path and depth > 0 and _root(operand) == loop
        # A literal list may name the event many times, map() may put it into each of its elements.
        copies = max(1, sum(inner.kind == "name" for inner in operand.walk()))
        inner_loops = sum(inner.kind == "loop" for inner in operand.walk())
        yield Term(unit, depth - once + inner_loops, float(copies * (_states(node) if unit == "states" else 1)))
    for child in node.children:
        yield from _terms(child, depth, loop, from_path)


def _plus_terms(tree: Node) -> Iterator[Term]:
    plus = sum(node.name == "_+_" and not _is_counter(node) for node in tree.walk())
    if plus:
        yield Term("values", 0, plus * (plus + 1) / 2)


def _scanned(node: Node) -> tuple[str, Node | None]:
    """What a call goes through from end to end, and in which unit; None where it is cheap."""
    if node.kind != "call" or not node.children:
        return "", None
    operands = [child for child in node.children if not _is_constant(child)]
    if node.name == "matches":
        return "states", node.children[0]
    if node.name in SCAN:
        return "bytes", operands[0] if operands else None
    if node.name == "@in":
        container = node.children[-1]
        return "values", None if _is_constant(container) else container
    if node.name in COMPARE and len(operands) == len(node.children) == 2:
        # It ends with the shorter one: the part of a loop's value, if either side is one.
        return "values", min(operands, key=lambda operand: sum(1 for _ in operand.walk()))
    return "", None


def _root(node: Node) -> str:
    """The variable at the start of `x.a.b` or `x["a"]`; "" for anything else."""
    while node.kind == "field" or (node.kind == "call" and node.name == "_[_]"):
        node = node.children[0]
    return node.name if node.kind == "name" else ""


def _is_path(node: Node) -> bool:
    return _root(node) != ""


def _is_constant(node: Node) -> bool:
    return all(inner.kind in ("constant", "list", "struct", "entry") for inner in node.walk())


def _is_counter(node: Node) -> bool:
    return any(child.kind == "name" and child.name == "@result" for child in node.children)


def _builds(loop: Node) -> bool:
    """Whether it is a map() or filter(): its first value is an empty list."""
    return loop.children[1].kind == "list"


def _grows(through: Node) -> int:
    """How many times longer than the event's longest list a loop's list may be: by `+` and by literal lists."""
    plus = sum(node.name == "_+_" for node in through.walk())
    literal = max((len(node.children) for node in through.walk() if node.kind == "list"), default=0)
    return 1 + plus + literal


def _depth(node: Node) -> int:
    """Nested comprehensions. What a comprehension goes through is beside it, not inside it."""
    if node.kind != "loop":
        return max((_depth(child) for child in node.children), default=0)
    through, *body = node.children
    return max(_depth(through), 1 + max(_depth(part) for part in body))


def _states(node: Node) -> int:
    """The states of the regex of a `matches`. Raises Invalid where it is not a constant."""
    pattern = node.children[-1]
    if pattern.kind != "constant":
        raise Invalid("condition", "matches() with a computed pattern", "a pattern in quotes")
    return states_of(pattern.value.decode(errors="replace"))


def states_of(pattern: str) -> int:
    """The size of a regex with its counted repetitions written out: `(a{3}b){10}` has 40.

    A bound, not a parser: what is no regex at all fails in RE2, which sees it next.
    """
    totals, last, i = [0], 0, 0
    stack: list[int] = []
    while i < len(pattern):
        char = pattern[i]
        i += 1
        if char == "\\":
            i += 1
            last = 1
        elif char == "[":
            end = pattern.find("]", i + 1)
            i = len(pattern) if end < 0 else end + 1
            last = 1
        elif char == "(":
            stack.append(last)
            totals.append(0)
            continue
        elif char == ")" and stack:
            stack.pop()
            last = totals.pop() + 1
        elif char == "{":
            end = pattern.find("}", i)
            counts = [int(n) for n in pattern[i:end].split(",") if n.isdecimal() and len(n) < 6] if end > 0 else []
            i = end + 1 if counts else i
            totals[-1] += last * max(0, max(counts, default=1) - 1)
            last *= max(1, max(counts, default=1))
            continue
        else:
            last = 1
        totals[-1] += last
    return sum(totals)


def _node(data: bytes) -> Node:
    """An Expr: one of eight kinds, by field number."""
    for number, value in _fields(data):
        if number == 3:
            return Node("constant", value=next((v for n, v in _fields(value) if n == 6), b""))
        if number == 4:
            return Node("name", _text(dict(_fields(value)).get(1, b"")))
        if number == 5:
            select = dict(_fields(value))
            return Node("field", _text(select[2]), (_node(select[1]),))
        if number == 6:
            return _call(value)
        if number == 7:
            return Node("list", children=tuple(_node(v) for n, v in _fields(value) if n == 1))
        if number == 8:
            return _struct(value)
        if number == 9:
            return _loop(value)
    return Node("constant")


def _call(data: bytes) -> Node:
    """`a.f(b)` and `f(a, b)` alike: the target is the first child."""
    parts = list(_fields(data))
    name = next(_text(value) for number, value in parts if number == 2)
    return Node("call", name, tuple(_node(value) for number, value in sorted(parts, key=_number) if number in (1, 3)))


def _number(part: tuple[int, Any]) -> int:
    return part[0]


def _struct(data: bytes) -> Node:
    """A map literal or a message: `name` is the message's."""
    name, entries = "", []
    for number, value in _fields(data):
        if number == 1:
            name = _text(value)
        elif number == 2:
            entry = [_node(v) for n, v in _fields(value) if n in (3, 4)]
            entries.append(Node("entry", children=tuple(entry)))
    return Node("struct", name, tuple(entries))


def _loop(data: bytes) -> Node:
    """A comprehension: its list, then initial value, condition, step and result.

    The step of map() and filter() is `@result + [x]`, that of exists_one() `@result + 1`: their `+` is not the
    author's, so it is left out.
    """
    parts = dict(_fields(data))
    children = tuple(_without_own_plus(_node(parts[number])) for number in (2, 4, 5, 6, 7))
    return Node("loop", children=children, loop=_text(parts[1]))


def _without_own_plus(node: Node) -> Node:
    if node.name == "_+_" and _is_counter(node):
        other = node.children[1]
        return Node("call", "append", other.children if other.kind == "list" else (other,))
    if node.name == "_?_:_":
        return Node("call", node.name, tuple(_without_own_plus(child) for child in node.children))
    return node


def _text(data: bytes) -> str:
    return data.decode()


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a protobuf message, in order: (number, bytes), or (number, int) for a varint."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        length, at = _varint(data, at) if wire == 2 else (8 if wire == 1 else 4, at)
        yield number, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at
