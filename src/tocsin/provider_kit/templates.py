"""User templates in Liquid, bounded: in size, in what they may name, in the work they may cause.

    {{ event.title }} took {{ run.duration_s | round }} s
    {"text": {{ event.title | json }}, "rows": {{ data.rows | default: 0 }}}

A template sees the values that it is given and nothing else: no attributes of objects, no files, no clock. Values are
never compiled. Work is counted in steps, one for each character of a template that is gone through, so that a loop
costs what its body is long; see `BoundedContext`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TextIO

import msgspec
from liquid import BoundTemplate, Environment, RenderContext
from liquid.ast import BlockNode, Node
from liquid.builtin import content, illegal
from liquid.builtin.expressions import FilteredExpression
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags import (
    assign_tag,
    capture_tag,
    case_tag,
    comment_tag,
    for_tag,
    if_tag,
    inline_comment_tag,
    unless_tag,
)
from liquid.exceptions import LiquidError, ResourceLimitError
from liquid.expression import Expression
from liquid.output import LimitedStringIO
from liquid.stream import TokenStream
from liquid.token import Token
from liquid.utils import ReadOnlyChainMap

from tocsin.model.errors import Invalid
from tocsin.provider_kit.template_filters import FILTERS, text_of

MAX_BYTES = 16 * 1024
"""Of a template. With the other limits it keeps every template under 100 ms and 64 MB; the tests measure it."""
MAX_OUTPUT_BYTES = 64 * 1024
MAX_LOOPS = 2000
"""Iterations of nested loops together."""
MAX_NAMESPACE_BYTES = 200_000
"""Of what `assign` and `capture` keep."""
MAX_NESTED = 10
MAX_STEPS = 60_000
"""Of one rendering, or of several that share an `Allowance`. A step takes 0.6 µs at worst: names that stand for
nothing, in a loop."""
CHARS_A_STEP = 50
"""Characters of a value that a filter goes through in one step."""
MAX_MARKUP_CHARS = 1000
"""Of one `{{ … }}` or `{% … %}`: Liquid's lexer takes the square of it in time."""
MAX_MARKUPS = 500
MAX_MARKUPS_CHARS = 8 * 1024
"""Of all of them together: parsing takes up to 5 µs for each, plain text next to nothing."""
MAX_BLANKS = 50
"""White space in a row inside markup: the lexer goes back over it."""
MAX_PARENTHESES = 8
"""In one markup: at each of them the lexer looks ahead for a range."""
MAX_BRACKETS = 20
"""In one markup: `a[b[c]]` is parsed by recursion."""
REMEMBERED = 128
"""Parsed templates, of at most about 1 MB each."""

FIELD = "settings.template"
TAGS = ("assign", "capture", "case", "comment", "for", "if", "unless", "break", "continue", "raw", "#")
INNER_TAGS = ("when", "else", "elsif", "endcase", "endcapture", "endcomment", "endfor", "endif", "endunless", "endraw")


class TemplateFailed(Exception):
    """A template could not be rendered with these values. `reason` is for the one who wrote it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Allowance:
    """What a rendering may use up; several that share one take no longer together than one alone."""

    def __init__(self) -> None:
        self.steps = MAX_STEPS
        self.weights: dict[int, tuple[Any, int]] = {}


def check_template(source: str, field: str = FIELD) -> None:
    """Raises Invalid for a template that is too large, does not parse or uses a filter that is not there."""
    try:
        _parsed(source)
    except Invalid as error:
        raise Invalid(field, error.found, error.expected) from None


def names(source: str) -> list[tuple[str, ...]]:
    """What a template takes from outside, as paths in the order they come: `event.data.rows` is ("event", "data",
    "rows"). A path ends where it goes on by a value, as in `labels[event.stage]`. The template must parse."""
    found = []
    for uses in _parsed(source).analyze(include_partials=False).globals.values():
        found += [(one.span.index, tuple(_leading_names(one.segments))) for one in uses]
    return [path for _, path in sorted(found)]


def _leading_names(segments: Iterable[object]) -> Iterator[str]:
    for segment in segments:
        if not isinstance(segment, str):
            return
        yield segment


def render(source: str, values: Mapping[str, Any], allowance: Allowance | None = None) -> str:
    """The template with these values: plain data, as JSON has it.

    Raises:
        TemplateFailed: it does not parse, or it used up what a rendering may use. Ends within 100 ms either way.
    """
    try:
        template = _parsed(source)
        context = BoundedContext(template, globals=template.make_globals(values))
        context.allowance = allowance or context.allowance
        buffer = LimitedStringIO(limit=MAX_OUTPUT_BYTES)
        template.render_with_context(context, buffer)
        return buffer.getvalue()
    except Invalid as error:
        raise TemplateFailed(error.found) from None
    except LiquidError as error:
        raise TemplateFailed(_said(error, source)) from None
    except RecursionError:
        raise TemplateFailed("it is nested too deeply") from None
    except Exception as error:  # whatever the library raises: it is the template that failed, not the delivery
        raise TemplateFailed(f"{type(error).__name__}: {str(error)[:200]}") from None


@lru_cache(maxsize=REMEMBERED)
def _parsed(source: str) -> BoundTemplate:
    size = len(source.encode(errors="replace"))
    if size > MAX_BYTES:
        raise Invalid(FIELD, f"{size} bytes", f"at most {MAX_BYTES}")
    checked_markup(source)
    try:
        template = _ENVIRONMENT.from_string(source)
    except (LiquidError, RecursionError, ValueError) as error:
        raise Invalid(FIELD, _said(error, source), "a Liquid template") from None
    for node in template.nodes:
        _prepare(node, template)
    return template


_MARKUP = re.compile(r"\{\{|\{%")
_TAG_NAME = re.compile(r"-?\s{0,50}(#|\w*)")
_END_RAW = re.compile(r"\{%-?\s{0,50}endraw\s{0,50}-?%\}")
_BLANKS = re.compile(rf"\s{{{MAX_BLANKS + 1}}}")


def checked_markup(source: str) -> None:
    """Raises Invalid for markup on which Liquid's lexer would take long, in one pass that does not."""
    at = count = chars = 0
    while found := _MARKUP.search(source, at):
        count += 1
        start, opener = found.end(), found[0]
        end = source.find("}}" if opener == "{{" else "%}", start, start + MAX_MARKUP_CHARS + 2)
        line = f"line {source.count(chr(10), 0, start) + 1}"
        if end < 0:
            raise Invalid(FIELD, f"{opener} without its end at {line}", f"the end within {MAX_MARKUP_CHARS} characters")
        inside = source[start:end]
        if _MARKUP.search(inside) or "{" in inside[:1]:
            raise Invalid(FIELD, f"{opener} inside {opener} at {line}", "markup that is closed first")
        if _BLANKS.search(inside) or inside.count("(") > MAX_PARENTHESES or inside.count("[") > MAX_BRACKETS:
            raise Invalid(FIELD, f"much white space or many brackets at {line}", "simpler markup")
        if count > MAX_MARKUPS:
            raise Invalid(FIELD, f"more than {MAX_MARKUPS} times {{{{ or {{%", "fewer")
        chars += len(inside)
        if chars > MAX_MARKUPS_CHARS:
            raise Invalid(FIELD, f"more than {MAX_MARKUPS_CHARS} characters inside {{{{ and {{%", "fewer")
        at = end + 2
        if opener == "{%":
            at = _after_tag(source, inside, at, line)


def _after_tag(source: str, inside: str, at: int, line: str) -> int:
    """Where to go on: after the end of a raw block. Raises Invalid for a tag that is not allowed."""
    name = _TAG_NAME.match(inside)
    tag = name[1] if name else ""
    if tag not in TAGS and tag not in INNER_TAGS:
        raise Invalid(FIELD, f"the tag {tag!r} at {line}", f"one of {', '.join(TAGS)}")
    if tag != "raw":
        return at
    end = _END_RAW.search(source, at)
    if end is None:
        raise Invalid(FIELD, f"raw without endraw at {line}", "both")
    return end.end()


class BoundedContext(RenderContext):
    """A rendering that counts its steps.

    Loops count their bodies' characters (`CountedBlock`), names count what they stand for, filters count what goes in
    and comes out. Everything else is in proportion to the characters gone through.
    """

    __slots__ = ("allowance", "local_bytes", "sizes")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Without Liquid's own `now` and `today`.
        self.scope = ReadOnlyChainMap(self.locals, self.globals, self.counters)
        self.allowance = Allowance()
        self.local_bytes = 0
        self.sizes: dict[str, int] = {}

    def spend(self, steps: int) -> None:
        self.allowance.steps -= steps
        if self.allowance.steps < 0:
            raise ResourceLimitError("it takes too many steps", token=None)

    def weigh(self, value: Any) -> int:
        """The steps that going through a value takes. Kept for lists and objects, with the value, so that its id stays
        its own. A list that names another twice weighs it twice."""
        if isinstance(value, str):
            return 1 + len(value) // CHARS_A_STEP
        if isinstance(value, range):
            return len(value)
        if not isinstance(value, list | tuple | dict):
            return 1
        weights = self.allowance.weights
        known = weights.get(id(value))
        if known is None:
            inner = value.values() if isinstance(value, dict) else value
            known = weights[id(value)] = (value, 1 + sum(map(self.weigh, inner)))
        return known[1]

    def get(self, path: list[object], **kwargs: Any) -> object:
        value = super().get(path, **kwargs)
        self.spend(self.weigh(value))
        return value

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        function = super().filter(name, token)

        def counted(*args: Any, **kwargs: Any) -> object:
            for value in (*args, *kwargs.values()):
                self.spend(self.weigh(value))
            result = function(*args, **kwargs)
            self.spend(self.weigh(result))
            return result

        return counted

    def assign(self, key: str, val: Any) -> None:
        """Liquid's own adds up all sizes at each assignment, which is a square of them."""
        size = 50 + (len(val) * 4 if isinstance(val, str) else self.weigh(val) * 8)
        self.local_bytes += size - self.sizes.get(key, 0)
        self.sizes[key] = size
        if self.local_bytes > MAX_NAMESPACE_BYTES:
            raise ResourceLimitError("assign and capture hold too much", token=None)
        self.locals[key] = val


class CountedBlock(BlockNode):
    """A loop's body: each time it is gone through counts its characters."""

    __slots__ = ("cost",)

    def __init__(self, block: BlockNode, cost: int) -> None:
        super().__init__(block.token, block.nodes)
        self.cost = cost

    def render(self, context: RenderContext, buffer: TextIO) -> int:
        assert isinstance(context, BoundedContext)
        context.spend(self.cost)
        return super().render(context, buffer)


class CountedFor(for_tag.ForTag):
    """`for`, with a body that counts."""

    def parse(self, stream: TokenStream) -> Node:
        start = stream.current.start_index
        node = super().parse(stream)
        assert isinstance(node, for_tag.ForNode)
        node.block = CountedBlock(node.block, max(1, stream.current.start_index - start))
        return node


class BoundedRange(RangeLiteral):
    """`(1..n)`, with an end to it. Liquid bounds a range in a loop only, and there after reversing it."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> range:
        span = super().evaluate(context)
        if span.stop - span.start > MAX_LOOPS:
            raise ResourceLimitError(f"a range of more than {MAX_LOOPS}", token=self.token)
        return span


class TextNode(OutputNode):
    """`{{ … }}`, which writes what `text_of` says."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        return buffer.write(text_of(self.expression.evaluate(context)))


class TextOutput(Output):
    node_class = TextNode


class BoundedTemplate(BoundTemplate):
    context_class = BoundedContext


class BoundedEnvironment(Environment):
    """Liquid with these limits, these tags and these filters, and without a loader."""

    block_nesting_limit = MAX_NESTED
    context_depth_limit = MAX_NESTED
    loop_iteration_limit = MAX_LOOPS
    output_stream_limit = MAX_OUTPUT_BYTES
    template_class = BoundedTemplate

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        for tag in (
            content.Literal,
            illegal.Illegal,
            TextOutput,
            CountedFor,
            for_tag.BreakTag,
            for_tag.ContinueTag,
            if_tag.IfTag,
            unless_tag.UnlessTag,
            case_tag.CaseTag,
            assign_tag.AssignTag,
            capture_tag.CaptureTag,
            comment_tag.CommentTag,
            inline_comment_tag.InlineCommentTag,
        ):
            self.add_tag(tag)
        for name, function in FILTERS.items():
            self.add_filter(name, function)


_ENVIRONMENT = BoundedEnvironment()


def _prepare(node: Node, template: BoundTemplate) -> None:
    """Bounds the ranges below a node, wherever they stand, and checks the filters' names."""
    for expression in node.expressions():
        for part in _walk(expression):
            if type(part) is RangeLiteral:
                part.__class__ = BoundedRange
            if isinstance(part, FilteredExpression):
                _checked_filters(part)
    for child in node.children(_NO_CONTEXT, include_partials=False):
        _prepare(child, template)


def _checked_filters(expression: FilteredExpression) -> None:
    for used in expression.filters or ():
        if used.name not in FILTERS:
            raise Invalid(FIELD, f"the filter {used.name!r}", f"one of {', '.join(sorted(FILTERS))}")


def _walk(expression: Expression) -> Iterator[Expression]:
    yield expression
    for child in expression.children():
        yield from _walk(child)


def _said(error: Exception, source: str) -> str:
    """A Liquid error in one line, with the line of the template where it is known."""
    if isinstance(error, RecursionError) or isinstance(error.__cause__, RecursionError):
        return "it is nested too deeply"
    token = getattr(error, "token", None)
    where = f" at line {source.count(chr(10), 0, token.start_index) + 1}" if token is not None else ""
    said = str(error.args[0] if error.args else error)[:200]
    return f"{said}{where}"


_NO_CONTEXT: Any = msgspec.UNSET
"""`Node.children` takes a context for partial templates. There are none."""
