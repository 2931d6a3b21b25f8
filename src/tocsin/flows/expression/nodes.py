"""A parsed template. Plain frozen values; what they mean is the evaluator's."""

from msgspec import Struct

from tocsin.flows.expression.values import Value


class Node(Struct, frozen=True, kw_only=True):
    position: int = -1


class Literal(Node, frozen=True):
    value: Value


class Name(Node, frozen=True):
    name: str


class Field(Node, frozen=True):
    """`of.name`, or `of[key]`."""

    of: Node
    key: Node


class ListOf(Node, frozen=True):
    items: tuple[Node, ...]


class MapOf(Node, frozen=True):
    items: tuple[tuple[Node, Node], ...]


class Unary(Node, frozen=True):
    sign: str
    of: Node


class Binary(Node, frozen=True):
    sign: str
    left: Node
    right: Node


class Choice(Node, frozen=True):
    """`condition ? then : otherwise`."""

    condition: Node
    then: Node
    otherwise: Node


class Test(Node, frozen=True):
    """`of is name(…)`."""

    of: Node
    name: str
    arguments: tuple[Node, ...]
    negated: bool


class Call(Node, frozen=True):
    """A function; a filter is a function whose first argument stands before the `|`."""

    name: str
    arguments: tuple[Node, ...]
    named: tuple[tuple[str, Node], ...] = ()
    is_filter: bool = False


class Outside(Node, frozen=True):
    text: str


class Print(Node, frozen=True):
    of: Node


class Set(Node, frozen=True):
    name: str
    to: Node


class If(Node, frozen=True):
    branches: tuple[tuple[Node, tuple[Node, ...]], ...]
    otherwise: tuple[Node, ...]


class For(Node, frozen=True):
    name: str
    over: Node
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]
