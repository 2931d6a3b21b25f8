"""User templates: what they can say, what they cannot reach, and that none takes long or grows large."""

import json
import re
import resource
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.model.errors import Invalid
from tocsin.provider_kit.template_filters import FILTERS
from tocsin.provider_kit.templates import MAX_BYTES, MAX_OUTPUT_BYTES, TemplateFailed, check_template, render

QUICK_S = 0.1
"""S16: parsing and rendering each end within it."""
VALUES: dict[str, Any] = {
    "event": {"title": 'Load "failed"', "time": "2026-11-21T02:13:44.123+01:00", "severity": "error"},
    "data": {
        "rows": 12,
        "ratio": 0.5,
        "ok": True,
        "nothing": None,
        "tags": ["b", "a", "b"],
        "checks": [{"n": 1}, {"n": 2}],
    },
    "labels": {"env": "prod"},
}
HEAVY: dict[str, Any] = {
    "s": "x" * 200_000,
    "html": "<b>&\"'</b>" * 20_000,
    "words": "a b " * 40_000,
    "l": list(range(60_000)),
    "rows": [{"n": n, "name": f"row {n}"} for n in range(5_000)],
    "deep": [[1] * 1_000] * 5,
    "n": 999_999_999,
    "digits": "9" * 200_000,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ event.title }} in {{ labels.env | upcase }}", 'Load "failed" in PROD'),
        ('{"text": {{ event.title | json }}}', '{"text": "Load \\"failed\\""}'),
        ("{{ data }}", json.dumps(VALUES["data"], separators=(",", ":"))),
        ("{{ data.ok }} {{ data.nothing }} {{ data.ratio }} {{ data.unknown.deeper }}|", "true  0.5 |"),
        ("{{ data.unknown | default: 'none' }} {{ data.unknown | json }}", "none null"),
        ("{% if data.rows > 10 and event.title contains 'fail' %}many{% else %}few{% endif %}", "many"),
        ("{% unless data.ok %}no{% endunless %}{% case labels.env %}{% when 'prod' %}P{% endcase %}", "P"),
        ("{% for c in data.checks %}{{ forloop.index }}={{ c.n }};{% else %}none{% endfor %}", "1=1;2=2;"),
        ("{% for c in data.none %}x{% else %}none{% endfor %}", "none"),
        ("{% for i in (1..3) reversed %}{% if i == 1 %}{% break %}{% endif %}{{ i }}{% endfor %}", "32"),
        ("{% assign x = data.rows | plus: 1 | times: 2 %}{{ x }}", "26"),
        ("{% capture x %}<{{ labels.env }}>{% endcapture %}{{ x }}{{ x }}", "<prod><prod>"),
        ("{% comment %}{{ hidden }}{% endcomment %}{% # hidden %}a{% raw %}{{ x }}{% endraw %}", "a{{ x }}"),
        (
            "{{ data.tags | uniq | sort | join: '-' }} {{ data.tags | size }} {{ data.tags | reverse | first }}",
            "a-b 3 b",
        ),
        ("{{ data.checks | map: 'n' | sum }} {{ data.checks | where: 'n', 2 | size }}", "3 1"),
        ("{{ 'a,b' | split: ',' | last }} {{ 'aXbX' | replace: 'X', '-' | remove_first: '-' }}", "b ab-"),
        ("{{ 'abc' | append: 'd' | prepend: '_' | slice: 0, 3 | capitalize }}", "_ab"),
        ("{{ '<&>' | escape }} {{ 'a b' | url_encode }} {{ 'a' | base64_encode }}", "&lt;&amp;&gt; a+b YQ=="),
        ("{{ 'a long sentence' | truncate: 9 }} {{ 'one two three' | truncatewords: 2 }}", "a long... one two..."),
        ("{{ event.time | date: '%Y-%m-%d %H:%M:%S.%L %z %%' }}", "2026-11-21 02:13:44.123 +0100 %"),
        ("{{ 1795226400 | date: '%F %T' }} {{ 1795226400000 | date: '%s' }}", "2026-11-21 02:00:00 1795226400"),
        ("{{ 'soon' | date: '%Y' }}", "soon"),
        ("{{ 7 | divided_by: 2 }} {{ 7 | modulo: 4 }} {{ 2.6 | round }} {{ -3 | abs }}", "3 3 3 3"),
        ("{{ data['rows'] }} {{ data.tags[0] }} {{ data.tags.size }} {{ data[labels.env] }}|", "12 b 3 |"),
        ("", ""),
        ("no markup: { } % |", "no markup: { } % |"),
    ],
)
def test_what_a_template_can_say(template: str, text: str) -> None:  # S4-14
    check_template(template)
    assert render(template, VALUES) == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_json_filter_makes_any_value_safe_in_a_body(value: str) -> None:  # S4-14, S19
    body = render('{"text": {{ v | json }}, "all": {{ all | json }}}', {"v": value, "all": {value: [value]}})
    assert json.loads(body) == {"text": value, "all": {value: [value]}}


@given(st.text("{}%|'\"().- afor=1\n", max_size=60))
def test_values_are_never_compiled(value: str) -> None:  # S16
    assert render("{{ v }}{% assign w = v | append: '' %}{{ w }}", {"v": value}) == value * 2


# S16: what gets a template author out of Jinja; here none of it is there
ESCAPES = [
    "{{ data.__class__ }}",
    "{{ data['__class__']['__mro__'] }}",
    "{{ data['__class__'] }}",
    "{{ event.title['__class__'] }}",
    "{{ data | map: '__class__' }}",
    "{{ self }}{{ config }}{{ request }}{{ namespace }}{{ lipsum }}{{ cycler }}",
    "{{ cycler.__init__.__globals__ }}",
    "{{ forloop }}{% for i in (1..1) %}{{ forloop }}{{ forloop.parentloop }}{% endfor %}",
    "{{ data.keys }}{{ data.items }}{{ event.title.format }}",
    "{{ now }}{{ today }}",
    "{{ 'now' | date: '%Y' }}",
    "{{ '{0.__class__}' | format: data }}",
    "{{ data | attr: '__class__' }}",
    "{% include 'x' %}",
    "{% render 'x' %}",
    "{% import 'os' %}",
    "{% extends 'x' %}",
    "{% liquid echo data %}",
    "{% tablerow i in (1..3) %}{% endtablerow %}",
    "{% doc %}{% enddoc %}",
]


@pytest.mark.parametrize("template", ESCAPES)
def test_nothing_but_the_values_can_be_reached(template: str) -> None:
    try:
        text = render(template, VALUES)
    except TemplateFailed:
        return
    assert "<class" not in text
    assert "object at" not in text
    assert "built-in" not in text
    assert not re.search(r"20\d\d", text)  # no year: there is no clock


def times(markup: str, count: int = 480) -> str:
    """As often as fits."""
    return markup * min(count, 16_000 // len(markup))


def long(inside: str, opener: str = "{{ ", closer: str = " }}", tags: int = 8) -> str:
    """As much markup as is allowed, each as long as is allowed."""
    return (opener + inside[: 990 - len(opener)] + closer) * tags


BOMBS = {
    "range": "{% for i in (1..999999999) %}x{% endfor %}",
    "range reversed": "{% for i in (1..999999999) reversed %}x{% endfor %}",
    "range of a value": "{% for i in (1..n) reversed %}x{% endfor %}",
    "range joined": "{{ (1..999999999) | join }}",
    "range searched": "{% if (1..999999999) contains 'a' %}{% endif %}",
    "range behind quotes": '{% if a["x"b"] == 1 or (1..999999999) contains "q" %}{% endif %}',
    "range beyond C": "{% for i in (1..99999999999999999999999) %}{% endfor %}",
    "loops in loops": "{% for i in (1..2000) %}{% for j in (1..2000) %}x{% endfor %}{% endfor %}",
    "loops after loops": times("{%for i in(1..2000)%}{%endfor%}", 240),
    "a long body": "{%for i in(1..2000)%}" + "{{a}}" * 480 + "{%endfor%}",
    "empty ifs": "{%for i in(1..2000)%}" + "{%if 1%}{%endif%}" * 240 + "{%endfor%}",
    "deep loops": "{%for a in deep%}" * 9 + "x" + "{%endfor%}" * 9,
    "a loop over all": "{% for r in l %}{{ r }}{% endfor %}",
    "doubling assign": "{%assign a='xxxxxxxxxx'%}" + "{%assign a=a|append:a%}" * 60 + "{{a|size}}",
    "doubling capture": "{%assign a='xxxxxxxxxx'%}" + "{%capture a%}{{a}}{{a}}{%endcapture%}" * 60,
    "replace chain": "{{ s " + "| replace: 'x', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'" * 15 + "}}",
    "replace": "{%assign a='xxxxxxxxxx'%}" + "{%assign a=a|replace:'x','xxxxxxxxxx'%}" * 9,
    "replace nothing": "{{ s | replace: '', 'xxxxxxxxxxxxxxxxxxxxxxxxx' | size }}",
    "join by a lot": "{{ l | join: s | size }}",
    "times": "{%assign a=9999999%}" + "{%assign a=a|times:a%}" * 60,
    "digits": "{{ digits | plus: 1 }}",
    "exponent": "{{ '1e999999999' | plus: 1 }}{{ '1e308' | times: 10 }}",
    "date width": "{{ 0 | date: '%999999999d' }}",
    "date long": "{{ 0 | date: s }}",
    "upcase": times("{{ s | upcase | downcase | size }}"),
    "upcase in a loop": "{%for i in (1..2000)%}{{ s | upcase | size }}{%endfor%}",
    "escape": "{%for i in (1..2000)%}{{ html | escape | size }}{%endfor%}",
    "url_encode": "{%for i in (1..2000)%}{{ html | url_encode | size }}{%endfor%}",
    "squish": times("{{ words | squish | size }}"),
    "truncatewords": times("{{ words | truncatewords: 1 }}"),
    "split": "{{ s | split: '' | size }}",
    "split small": times("{%assign a=s|slice:0,4000|split:''%}"),
    "sort": times("{{l|sort|size}}"),
    "sort_natural": times("{{l|sort_natural|size}}"),
    "uniq": times("{{l|uniq|size}}"),
    "map": times("{{rows|map:'n'|size}}"),
    "map in a loop": "{%for i in (1..2000)%}{{rows|map:'n'|size}}{%endfor%}",
    "where": times("{{rows|where:'n',5|size}}"),
    "json": times("{{rows|json|size}}"),
    "compare": times("{%if rows==rows%}{%endif%}", 240),
    "contains": times("{%if l contains 'q'%}{%endif%}", 240),
    "contains text": times("{%if s contains 'xxxxxxxxxy'%}{%endif%}", 240),
    "case": "{%case l%}" + "{%when l%}" * 400 + "{%endcase%}",
    "concat": "{%assign a=deep%}" + "{%assign a=a|concat:a%}" * 60 + "{{a|size}}",
    "print": "{{ l }}{{ rows }}{{ s }}",
    "print often": times("{{ deep }}"),
    "capture often": times("{%capture a%}{{deep}}{%endcapture%}", 160),
    "many names": "".join(f"{{%assign v{n}=1%}}" for n in range(450)),
    "names in a loop": "{%for i in(1..2000)%}" + "".join(f"{{%assign v{n}=i%}}" for n in range(240)) + "{%endfor%}",
    "unclosed": "{{" * 8000,
    "brace": "{" * 16_000,
    "unclosed tag": "{% if a" * 2000,
    "blanks": "{{" + " " * 16_000 + "}}",
    "blanks in tags": ("{% if" + " " * 900 + "\n") * 16,
    "raw": "{%raw%}" * 2300,
    "doc": "{%doc%}" * 2300,
    "comments": "{%comment%}" * 1400,
    "parentheses": long("(" * 990),
    "ranges": long("(1.." * 240),
    "brackets": long("[" * 990),
    "names in brackets": long("a[" * 300 + "b" + "]" * 300),
    "quotes": long("'" * 989),
    "bracket quotes": long("['" * 490),
    "filters": long("a" + "|upcase" * 140),
    "arguments": long("a|append:" + "1," * 480 + "1"),
    "dots": long("a" + ".a" * 490),
    "or": long("a" + " or a" * 190, "{% if ", " %}{% endif %}"),
    "when": "{%case a%}" + ("{%when " + "a," * 480 + "a%}") * 8 + "{%endcase%}",
    "minus": long("-" * 990),
    "nested ifs": "{% if a %}" * 400,
}


@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize("name", BOMBS)
def test_no_template_takes_long(name: str) -> None:
    template = BOMBS[name]
    assert len(template) < 20_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    try:
        check_template(template)
    except Invalid as error:
        assert error.field == "settings.template"  # noqa: PT017
        assert time.process_time() - started < QUICK_S
        return
    assert time.process_time() - started < QUICK_S
    started = time.process_time()
    try:
        text = render(template, HEAVY)
    except TemplateFailed as failure:
        assert failure.reason  # noqa: PT017
    else:
        assert len(text.encode()) <= MAX_OUTPUT_BYTES
    assert time.process_time() - started < QUICK_S
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64_000  # KB


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("x" * (MAX_BYTES + 1), "16385 bytes"),
        ("{{ a", "without its end at line 1"),
        ("\n\n{{ a | b }}", "the filter 'b'"),
        ("{% if a %}", ""),
        ("\n{% endif %}", "line 2"),
        ("{{ a b c }}", ""),
        ("{% include 'x' %}", "the tag 'include'"),
        ("{{ a " + "| upcase " * 200 + "}}", "without its end"),
        ("{{a}}" * 501, "500 times"),
        ("{{ a {{ b }}", "inside"),
    ],
)
def test_what_is_refused_says_what_and_where(template: str, found: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_template(template)
    assert caught.value.field == "settings.template"
    assert found in caught.value.found
    with pytest.raises(TemplateFailed) as failed:
        render(template, {})
    assert failed.value.reason == caught.value.found


def test_a_failure_says_what_and_where() -> None:
    with pytest.raises(TemplateFailed) as failed:
        render("a\n{{ 1 | divided_by: 0 }}", {})
    assert failed.value.reason == "divided_by: can't divide by 0 at line 2"


@pytest.mark.parametrize("name", sorted(FILTERS))
@settings(max_examples=10)
@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9), st.lists))
def test_no_filter_raises_anything_else(name: str, value: Any) -> None:
    for arguments in ("", ": v", ": v, v", ": 'a'", ": -1, 5", ": v: v"):
        try:
            assert isinstance(render(f"{{{{ v | {name}{arguments} }}}}", {"v": value}), str)
        except TemplateFailed as failure:
            assert failure.reason  # noqa: PT017
