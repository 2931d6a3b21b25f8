"""A template's text as tokens: what stands outside of tags, and the words inside of them."""

import re
from collections.abc import Iterator

from msgspec import Struct

from tocsin.flows.expression.values import ExpressionError

MAX_TEMPLATE = 256 * 1024
"""Characters. A flow's longest payloads have some thousand."""

OPEN = re.compile(r"\{\{-?|\{%-?|\{#-?")
CLOSE = {"{{": re.compile(r"-?\}\}"), "{%": re.compile(r"-?%\}"), "{#": re.compile(r"-?#\}")}
RAW = re.compile(r"\s*-?\s*raw\s*-?%\}")
END_RAW = re.compile(r"\{%-?\s*endraw\s*-?%\}")
WORD = re.compile(
    r"""\s*(?:
      (?P<number>\d+\.\d+|\d+)
    | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<sign>\?\?\?|\?\?|==|!=|<=|>=|\.\.|[-+*/%~|.,:?()\[\]{}<>=])
    )""",
    re.VERBOSE | re.DOTALL,
)
ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class Token(Struct, frozen=True):
    """`kind`: outside (plain text), `{{`, `{%` (a tag opens), `close`, or inside a tag number, name, text, sign."""

    kind: str
    value: str
    position: int


def tokens(template: str) -> list[Token]:
    """Raises ExpressionError for a tag that never ends and for characters that mean nothing."""
    if len(template) > MAX_TEMPLATE:
        raise ExpressionError(f"a template of {len(template)} characters; at most {MAX_TEMPLATE} are read")
    return list(_tokens(template))


def _tokens(template: str) -> Iterator[Token]:
    at = 0
    trims = False
    while at < len(template):
        found = OPEN.search(template, at)
        outside = template[at : found.start() if found else len(template)]
        if trims:
            outside = outside.lstrip()
        if found and found[0].endswith("-"):
            outside = outside.rstrip()
        if outside:
            yield Token("outside", outside, at)
        if not found:
            return
        tag = found[0][:2]
        if tag == "{%" and (raw := RAW.match(template, found.end())):
            end = END_RAW.search(template, raw.end())
            if end is None:
                raise ExpressionError("`raw` without `endraw`", found.start())
            yield Token("outside", template[raw.end() : end.start()], raw.end())
            at, trims = end.end(), False
            continue
        if tag == "{#":
            end = CLOSE[tag].search(template, found.end())
            if end is None:
                raise ExpressionError("a comment that never ends", found.start())
            at, trims = end.end(), end[0].startswith("-")
            continue
        yield Token(tag, tag, found.start())
        at = found.end()
        depth = 0
        while True:
            close = CLOSE[tag].match(template, _spaces(template, at))
            if close and depth == 0:
                yield Token("close", close[0], close.start())
                at, trims = close.end(), close[0].startswith("-")
                break
            word = WORD.match(template, at)
            if word is None or word.lastgroup is None:
                rest = template[at:].strip()[:10]
                what = f"`{rest}` means nothing here" if rest else f"`{tag}` is never closed"
                raise ExpressionError(what, at if rest else found.start())
            value = word[word.lastgroup]
            depth += (value in "{") - (value in "}" and depth > 0) if word.lastgroup == "sign" else 0
            yield Token(word.lastgroup, value, word.start(word.lastgroup))
            at = word.end()


def _spaces(template: str, at: int) -> int:
    while at < len(template) and template[at].isspace():
        at += 1
    return at


def unquoted(token: Token) -> str:
    """The text that a quoted token stands for."""
    return re.sub(r"\\(.)", lambda found: ESCAPES.get(found[1], found[1]), token.value[1:-1], flags=re.DOTALL)
