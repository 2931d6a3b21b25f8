"""From a template's text to its tree: Pebble's grammar, as far as flows use it (https://pebbletemplates.io).

Precedences are Pebble's: `not` binds loosest, filters bind tighter than arithmetic, `~` and `??` tighter than filters.
"""

from functools import lru_cache

from tocsin.flows.expression import nodes
from tocsin.flows.expression.lexer import Token, tokens, unquoted
from tocsin.flows.expression.values import ExpressionError

MAX_DEPTH = 60
NOT = 5
SIGNED = 500
BINARY = {
    "or": 10, "and": 15, "is": 20, "contains": 20, "matches": 20, "in": 20,
    "==": 30, "equals": 30, "!=": 30, "<": 30, ">": 30, "<=": 30, ">=": 30,
    "+": 40, "-": 40, "*": 60, "/": 60, "%": 60, "|": 100, "~": 110, "..": 120, "??": 120, "???": 120,
}  # fmt: skip
CONSTANTS = {"true": True, "false": False, "null": None, "none": None}


@lru_cache(maxsize=256)
def parse(template: str) -> tuple[nodes.Node, ...]:
    """Raises ExpressionError with the place in the text."""
    return _Parser(tokens(template)).body(())


def parse_expression(text: str) -> nodes.Node:
    """One expression without its braces."""
    found = parse("{{ " + text + " }}")
    if len(found) != 1 or not isinstance(found[0], nodes.Print):
        raise ExpressionError(f"{text[:80]!r} is not one expression")
    return found[0].of


class _Parser:
    def __init__(self, found: list[Token]) -> None:
        self.tokens = found
        self.at = 0
        self.depth = 0

    # Tokens.

    def peek(self) -> Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else Token("end", "", -1)

    def next(self) -> Token:
        token = self.peek()
        self.at += 1
        return token

    def is_sign(self, *values: str) -> bool:
        token = self.peek()
        return token.kind == "sign" and token.value in values

    def take(self, value: str) -> Token:
        token = self.next()
        if token.kind not in ("sign", "name") or token.value != value:
            raise ExpressionError(f"expected `{value}`, found {shown(token)}", token.position)
        return token

    def name(self) -> str:
        token = self.next()
        if token.kind != "name":
            raise ExpressionError(f"expected a name, found {shown(token)}", token.position)
        return token.value

    def close(self) -> None:
        token = self.next()
        if token.kind != "close":
            raise ExpressionError(f"expected the end of the tag, found {shown(token)}", token.position)

    # Tags.

    def body(self, ends: tuple[str, ...]) -> tuple[nodes.Node, ...]:
        """Up to one of these tags, whose name is the next token then; without any, up to the end of the text."""
        found: list[nodes.Node] = []
        self.enter()
        while True:
            token = self.next()
            if token.kind == "end":
                if ends:
                    raise ExpressionError(f"expected `{ends[-1]}` before the end of the text")
                break
            if token.kind == "outside":
                found.append(nodes.Outside(token.value, position=token.position))
            elif token.kind == "{{":
                found.append(nodes.Print(self.expression(), position=token.position))
                self.close()
            else:
                tag = self.peek()
                if tag.kind == "name" and tag.value in ends:
                    break
                self.next()
                found.append(self.tag(tag))
        self.depth -= 1
        return tuple(found)

    def tag(self, tag: Token) -> nodes.Node:
        if tag.value == "if" and tag.kind == "name":
            return self.if_(tag.position)
        if tag.value == "for" and tag.kind == "name":
            return self.for_(tag.position)
        if tag.value == "set" and tag.kind == "name":
            name = self.name()
            self.take("=")
            to = self.expression()
            self.close()
            return nodes.Set(name, to, position=tag.position)
        raise ExpressionError(f"there is no tag `{tag.value}`; there are if, for, set and raw", tag.position)

    def if_(self, position: int) -> nodes.Node:
        branches: list[tuple[nodes.Node, tuple[nodes.Node, ...]]] = []
        otherwise: tuple[nodes.Node, ...] = ()
        while True:
            condition = self.expression()
            self.close()
            branches.append((condition, self.body(("elseif", "else", "endif"))))
            word = self.next().value
            if word == "elseif":
                continue
            self.close()
            if word == "else":
                otherwise = self.body(("endif",))
                self.next()
                self.close()
            return nodes.If(tuple(branches), otherwise, position=position)

    def for_(self, position: int) -> nodes.Node:
        name = self.name()
        self.take("in")
        over = self.expression()
        self.close()
        body = self.body(("else", "endfor"))
        otherwise: tuple[nodes.Node, ...] = ()
        if self.next().value == "else":
            self.close()
            otherwise = self.body(("endfor",))
            self.next()
        self.close()
        return nodes.For(name, over, body, otherwise, position=position)

    # Expressions.

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ExpressionError(f"nested deeper than {MAX_DEPTH} levels", self.peek().position)

    def expression(self, least: int = 0) -> nodes.Node:
        self.enter()
        left = self.operand()
        while (sign := self.binary(least)) is not None:
            token = self.next()
            if sign == "|":
                left = self.filter(left, token.position)
            elif sign == "is":
                left = self.test(left, token.position)
            else:
                right = self.expression(BINARY[sign] + 1)
                left = nodes.Binary(sign, left, right, position=token.position)
        if least == 0 and self.is_sign("?"):
            position = self.next().position
            then = self.expression()
            self.take(":")
            left = nodes.Choice(left, then, self.expression(), position=position)
        self.depth -= 1
        return left

    def binary(self, least: int) -> str | None:
        token = self.peek()
        if token.kind not in ("sign", "name"):
            return None
        precedence = BINARY.get(token.value)
        return token.value if precedence is not None and precedence >= least else None

    def operand(self) -> nodes.Node:
        token = self.peek()
        if token.kind == "name" and token.value == "not":
            self.next()
            return nodes.Unary("not", self.expression(NOT), position=token.position)
        if self.is_sign("-", "+"):
            self.next()
            return nodes.Unary(token.value, self.expression(SIGNED), position=token.position)
        return self.postfix(self.primary())

    def primary(self) -> nodes.Node:
        token = self.next()
        if token.kind == "number":
            if len(token.value) > 300:
                raise ExpressionError("a number of more than 300 digits", token.position)
            return nodes.Literal(
                float(token.value) if "." in token.value else int(token.value), position=token.position
            )
        if token.kind == "text":
            return nodes.Literal(unquoted(token), position=token.position)
        if token.kind == "name":
            if token.value in CONSTANTS:
                return nodes.Literal(CONSTANTS[token.value], position=token.position)
            if self.is_sign("("):
                arguments, named = self.arguments()
                return nodes.Call(token.value, arguments, named, position=token.position)
            return nodes.Name(token.value, position=token.position)
        if token.value == "(" and token.kind == "sign":
            found = self.expression()
            self.take(")")
            return found
        if token.value == "[" and token.kind == "sign":
            return nodes.ListOf(tuple(self.separated("]")), position=token.position)
        if token.value == "{" and token.kind == "sign":
            return self.map_(token.position)
        raise ExpressionError(f"expected a value, found {shown(token)}", token.position)

    def postfix(self, of: nodes.Node) -> nodes.Node:
        while True:
            if self.is_sign("."):
                position = self.next().position
                token = self.next()
                if token.kind not in ("name", "number"):
                    raise ExpressionError(f"expected a field's name, found {shown(token)}", token.position)
                of = nodes.Field(of, nodes.Literal(token.value, position=token.position), position=position)
            elif self.is_sign("["):
                position = self.next().position
                of = nodes.Field(of, self.expression(), position=position)
                self.take("]")
            else:
                return of

    def separated(self, end: str) -> list[nodes.Node]:
        found: list[nodes.Node] = []
        while not self.is_sign(end):
            found.append(self.expression())
            if not self.is_sign(end):
                self.take(",")
        self.next()
        return found

    def map_(self, position: int) -> nodes.Node:
        found: list[tuple[nodes.Node, nodes.Node]] = []
        while not self.is_sign("}"):
            key = self.expression(BINARY["or"])
            self.take(":")
            found.append((key, self.expression()))
            if not self.is_sign("}"):
                self.take(",")
        self.next()
        return nodes.MapOf(tuple(found), position=position)

    def arguments(self) -> tuple[tuple[nodes.Node, ...], tuple[tuple[str, nodes.Node], ...]]:
        """In brackets: values, then `name=value`."""
        self.take("(")
        found: list[nodes.Node] = []
        named: list[tuple[str, nodes.Node]] = []
        while not self.is_sign(")"):
            following = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else None
            if self.peek().kind == "name" and following is not None and following.value == "=":
                name = self.name()
                self.take("=")
                named.append((name, self.expression()))
            else:
                found.append(self.expression())
            if not self.is_sign(")"):
                self.take(",")
        self.next()
        return tuple(found), tuple(named)

    def filter(self, of: nodes.Node, position: int) -> nodes.Node:
        name = self.name()
        arguments, named = self.arguments() if self.is_sign("(") else ((), ())
        return self.postfix(nodes.Call(name, (of, *arguments), named, is_filter=True, position=position))

    def test(self, of: nodes.Node, position: int) -> nodes.Node:
        negated = self.peek().kind == "name" and self.peek().value == "not"
        if negated:
            self.next()
        name = self.name()
        arguments = self.arguments()[0] if self.is_sign("(") else ()
        return nodes.Test(of, name, arguments, negated, position=position)


def shown(token: Token) -> str:
    if token.kind == "end":
        return "the end of the text"
    return "the end of the tag" if token.kind == "close" else f"`{token.value[:40]}`"
