"""What evaluating a CEL expression can cost at worst, and which expressions are refused because of it.

CEL has no loops but comprehensions (`all`, `exists`, `filter`, `map`), and the library stops after 10,000 iterations.
What one iteration may cost is not bounded: it can scan a string or compare a list of 256 KiB each time. So the cost is
added up from the tree, in nanoseconds, with constants measured on the slowest inputs found (two shared vCPU, 2026).
"""

from collections.abc import Iterator

from msgspec import Struct

from tocsin.model.errors import Invalid
from tocsin.rules.cel_tree import Node
from tocsin.rules.regex_size import states_of

MAX_NODES = 500
"""More nodes than anybody writes by hand."""
MAX_DEPTH = 2
"""A comprehension may hold one other, no more."""
MAX_COMPREHENSIONS = 6
MAX_PLUS = 16
"""`a + a + …` copies what it has so far each time."""
MAX_STATES = 2000
"""All regexes together, with `{n}` written out. RE2 itself stops somewhere above 10,000."""
MAX_PREPARE_US = 3000
"""To prepare all regexes once: the library does so at each call."""
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
APPEND_NS = 40
"""map() and filter() copy their list for each element: 135 ms for 2,000 durations."""
PLAIN, WIDE, UNICODE = 1, 5, 1100
"""To prepare one state of a regex, in µs: a letter 0.9, `.` and `[^a]` 4.7 (all of UTF-8), `\\pL` 1,000."""

COMPARE = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "startsWith", "endsWith"})
SCAN = frozenset({"contains", "size", "string", "bytes", "int", "uint", "double", "timestamp", "duration", "bool"})


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


def checked_tree(tree: Node) -> None:
    """Raises Invalid (field "condition") for an expression that could amplify what it is given."""
    nodes = list(tree.walk())
    loops = [node for node in nodes if node.kind == "loop"]
    plus = sum(node.name == "_+_" for node in nodes)
    patterns = patterns_of(tree)
    states = sum(states_of(pattern) for pattern in patterns)
    prepare_us = sum(states_of(pattern, WIDE, UNICODE) for pattern in patterns)
    if len(nodes) > MAX_NODES:
        raise Invalid("condition", f"{len(nodes)} parts", f"at most {MAX_NODES}")
    if len(loops) > MAX_COMPREHENSIONS:
        raise Invalid("condition", f"{len(loops)} of all, exists, filter, map", f"at most {MAX_COMPREHENSIONS}")
    if _depth(tree) > MAX_DEPTH:
        raise Invalid("condition", "all, exists, filter or map nested too deeply", "one inside another, no more")
    if plus > MAX_PLUS:
        raise Invalid("condition", f"{plus} times +", f"at most {MAX_PLUS}")
    if states > MAX_STATES:
        raise Invalid("condition", f"regular expressions of {states} states", f"at most {MAX_STATES}")
    if prepare_us > MAX_PREPARE_US:
        found = f"regular expressions that take {prepare_us} µs to prepare"
        raise Invalid("condition", found, f"at most {MAX_PREPARE_US}: fewer repeated . and \\p")
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
    return (*_terms(tree, Within()), *_plus_terms(tree))


def estimate_ns(terms: tuple[Term, ...], load: Load) -> float:
    """An upper bound for one evaluation on an event of that load, in nanoseconds."""
    longest = min(load.longest, MAX_ITERATIONS)
    total = 0.0
    units = {
        "step": 1,
        "values": load.values * VALUE_NS + load.bytes * BYTE_NS,
        "bytes": load.bytes * BYTE_NS,
        "states": load.bytes * STATE_NS,
        "append": longest * APPEND_NS,
    }
    for term in terms:
        total += term.ns * units[term.unit] * min(longest**term.depth, MAX_ITERATIONS)
    return total


def _terms(node: Node, within: "Within") -> Iterator[Term]:
    """Of a node and all below it."""
    if node.kind == "loop":
        through, *body = node.children
        yield from _terms(through, within)
        inner = Within(within.depth + 1, node.loop, _root(through) != "", within.built + _loops(through))
        grows = _grows(through)
        yield Term("step", inner.depth, float(NODE_NS * grows * sum(1 for part in body for _ in part.walk())))
        if _builds(node):
            yield Term("append", inner.depth, float(grows * grows))
        for part in body:
            yield from _terms(part, inner)
        return
    if node.name == "matches":
        yield Term("step", within.depth, 1000.0 * states_of(_pattern(node), WIDE, UNICODE))
    unit, operands = _scanned(node)
    if operands:
        yield min((_scan(unit, node, operand, within) for operand in operands), key=_by_cost)
    for child in node.children:
        yield from _terms(child, within)


class Within(Struct, frozen=True):
    """Where in the loops a node is. `loop` is the innermost one's variable; `part` says that its values are parts of
    the event, so that going through each of them once is going through the event once, not once per iteration;
    `built` counts the loops that made what the loops around it go through."""

    depth: int = 0
    loop: str = ""
    part: bool = False
    built: int = 0


def _scan(unit: str, node: Node, operand: Node, within: Within) -> Term:
    """Going through one operand. A literal list may name the event often, map() may put it into each element."""
    once = within.part and _root(operand) == within.loop
    copies = max(1, sum(inner.kind == "name" for inner in operand.walk()))
    states = states_of(_pattern(node)) if unit == "states" else 1
    return Term(unit, within.depth - once + within.built + _loops(operand), float(copies * states))


def _by_cost(term: Term) -> tuple[int, float]:
    return term.depth, term.ns


def _loops(node: Node) -> int:
    return sum(inner.kind == "loop" for inner in node.walk())


def _plus_terms(tree: Node) -> Iterator[Term]:
    plus = sum(node.name == "_+_" for node in tree.walk())
    if plus:
        yield Term("values", 0, plus * (plus + 1) / 2)


def _scanned(node: Node) -> tuple[str, tuple[Node, ...]]:
    """What a call goes through from end to end, and in which unit. Of several operands the cheapest decides: a
    comparison ends with the shorter one. None where it costs next to nothing, as with a constant."""
    if node.kind != "call" or not node.children:
        return "", ()
    if node.name == "matches":
        return "states", node.children[:1]
    if node.name == "size" and node.children[0].kind in ("loop", "list"):
        return "", ()  # the length of a list is known; only a string is counted through
    if node.name in SCAN:
        return "bytes", tuple(child for child in node.children[:1] if not _is_constant(child))
    if node.name == "@in":
        return "values", tuple(child for child in node.children[-1:] if not _is_constant(child))
    if node.name in COMPARE and not any(_is_constant(child) for child in node.children):
        return "values", node.children
    return "", ()


def _root(node: Node) -> str:
    """The variable at the start of `x.a.b` or `x["a"]`; "" for anything else."""
    while node.kind == "field" or (node.kind == "call" and node.name == "_[_]"):
        node = node.children[0]
    return node.name if node.kind == "name" else ""


def _is_constant(node: Node) -> bool:
    return all(inner.kind in ("constant", "list", "struct", "entry") for inner in node.walk())


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


def patterns_of(tree: Node) -> list[str]:
    """The regexes of its `matches`. Raises Invalid for one that is not a constant."""
    return [_pattern(node) for node in tree.walk() if node.name == "matches"]


def _pattern(node: Node) -> str:
    """The regex of a `matches`. Raises Invalid where it is not a constant."""
    pattern = node.children[-1]
    if pattern.kind != "constant":
        raise Invalid("condition", "matches() with a computed pattern", "a pattern in quotes")
    return pattern.value.decode(errors="replace")
