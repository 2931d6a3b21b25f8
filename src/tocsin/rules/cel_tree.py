"""The tree of a compiled CEL expression.

cel-expr-python shows no tree, but it serialises one: a `cel.expr.CheckedExpr` inside an `Any`, in protobuf's wire
format, which is read here (https://github.com/google/cel-spec/blob/master/proto/cel/expr/syntax.proto).
"""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct


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


def tree_of(serialized: bytes) -> Node:
    """The expression in what `Expression.serialize()` gives."""
    checked = dict(_fields(dict(_fields(serialized))[2]))
    return _node(checked[4])


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


def _adds_to_result(node: Node) -> bool:
    return any(child.kind == "name" and child.name == "@result" for child in node.children)


def _without_own_plus(node: Node) -> Node:
    if node.name == "_+_" and _adds_to_result(node):
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
