"""Enough of PromQL to know that an expression is one, and which metrics and labels it asks for.

    names, labels = read('sum by (le) (rate(tocsin_request_seconds_bucket{status="202"}[5m])) > 1')

Grammar: https://prometheus.io/docs/prometheus/latest/querying/basics/. What is not known here is refused.
"""

import re

TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?![\w]))|(?P<duration>(?:\d+(?:ms|[smhdwy]))+)|(?P<string>\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<name>[a-zA-Z_:][\w:]*)|(?P<sign>==|!=|>=|<=|=~|!~|[-+*/%^<>=(){}\[\],]))"
)
FUNCTIONS = {"rate", "increase", "histogram_quantile", "time", "max_over_time", "clamp_min", "absent"}
RANGED = {"rate", "increase", "max_over_time"}
AGGREGATES = {"sum", "max", "min", "avg", "count", "topk"}
BINARY = {"+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=", "and", "or", "unless"}
TESTS = {"=", "!=", "=~", "!~"}


class Wrong(Exception):
    """It is no PromQL, or more of it than is known here."""


def read(text: str) -> tuple[set[str], set[tuple[str, str]]]:
    """The metrics of an expression, and (metric, label) for each label that it is filtered by. Raises Wrong."""
    found = Reader(text)
    found.expression()
    if found.place != len(found.tokens):
        raise Wrong(f"left over: {found.tokens[found.place :]} in {text!r}")
    return found.metrics, found.labels


class Reader:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        self.place = 0
        self.metrics: set[str] = set()
        self.labels: set[tuple[str, str]] = set()
        at, text = 0, text.strip()
        while at < len(text):
            token = TOKEN.match(text, at)
            if token is None or token.lastgroup is None:
                raise Wrong(f"not understood: {text[at : at + 20]!r}")
            self.tokens.append((token.lastgroup, token[token.lastgroup]))
            at = token.end()

    def peek(self) -> tuple[str, str]:
        return self.tokens[self.place] if self.place < len(self.tokens) else ("end", "")

    def take(self, *wanted: str) -> str:
        kind, text = self.peek()
        if wanted and text not in wanted and kind not in wanted:
            raise Wrong(f"expected {wanted}, found {text!r}")
        self.place += 1
        return text

    def expression(self) -> None:
        self.operand()
        while self.peek()[1] in BINARY:
            self.take()
            if self.peek()[1] in ("on", "ignoring"):
                self.take()
                self.names()
            self.operand()

    def operand(self) -> None:
        kind, text = self.peek()
        if text == "(":
            self.take("(")
            self.expression()
            self.take(")")
        elif kind == "number":
            self.take()
        elif text in AGGREGATES:
            self.take()
            if self.peek()[1] in ("by", "without"):
                self.take()
                self.names()
            self.arguments()
        elif text in FUNCTIONS:
            self.take()
            self.arguments(ranged=text in RANGED)
        else:
            self.selector(ranged=False)

    def arguments(self, *, ranged: bool = False) -> None:
        self.take("(")
        while self.peek()[1] != ")":
            if ranged:
                self.selector(ranged=True)
            else:
                self.expression()
            if self.peek()[1] != ")":
                self.take(",")
        self.take(")")

    def names(self) -> None:
        self.take("(")
        while self.peek()[1] != ")":
            self.take("name")
            if self.peek()[1] != ")":
                self.take(",")
        self.take(")")

    def selector(self, *, ranged: bool) -> None:
        metric = self.take("name")
        self.metrics.add(metric)
        if self.peek()[1] == "{":
            self.take("{")
            while self.peek()[1] != "}":
                self.labels.add((metric, self.take("name")))
                self.take(*TESTS)
                self.take("string")
                if self.peek()[1] != "}":
                    self.take(",")
            self.take("}")
        if ranged:
            self.take("[")
            self.take("duration")
            self.take("]")
