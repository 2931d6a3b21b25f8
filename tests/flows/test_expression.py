"""Expressions of flows: what they say, what they refuse, and that nothing makes them run on."""

import contextlib
import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.flows.expression import ExpressionError, Missing, Scope, evaluate, render

VARIABLES: dict[str, Any] = {
    "flow": {"id": "orders", "namespace": "company.team"},
    "execution": {"id": "4xY", "startDate": "2026-11-21T02:03:04.5Z", "state": "FAILED"},
    "outputs": {"load": {"rows": 1234567, "files": [{"name": "a.csv"}, {"name": "b.csv"}]}},
    "inputs": {"region": "eu", "ratio": 0.5, "on": True, "empty": ""},
    "labels": {"team": "data"},
    "trigger": {"state": None},
    "n": 7,
}
SCOPE = Scope(VARIABLES, {"secret": lambda name: f"<{name}>", "now": lambda **named: "2026-11-21T00:00:00Z"})


@pytest.mark.parametrize(
    "template, said",
    [
        ("plain { text", "plain { text"),
        ("{{ flow.namespace }}.{{flow.id}}", "company.team.orders"),
        ("{{ secret('SLACK_WEBHOOK') }}", "<SLACK_WEBHOOK>"),  # S2-03
        ("{{ outputs['load']['rows'] }}", "1234567"),
        ("{{ outputs.load.files[1].name }}", "b.csv"),
        ("{{ outputs.load.files }}", '[{"name":"a.csv"},{"name":"b.csv"}]'),
        ("{{ trigger.state }}", ""),
        ("{{ inputs.on }} {{ inputs.ratio }}", "true 0.5"),
        ("{{ nothing ?? 'else' }} {{ trigger.state ?? 'else' }} {{ flow.nope.deep ?? 1 }}", "else else 1"),
        ("{{ inputs.empty ??? 'filled' }}", "filled"),
        ("{{ nothing | default('d') }}", "d"),
        ("{{ execution.state == 'FAILED' ? 'bad' : 'good' }}", "bad"),
        ("{{ n > 3 and not (n > 9) }}", "true"),
        ("{{ 1 + 2 * 3 }} {{ 7 / 2 }} {{ -7 / 2 }} {{ 7.0 / 2 }} {{ 7 % 4 }}", "7 3 -3 3.5 3"),
        ("{{ 'a' ~ n ~ true }}", "a7true"),
        ("{{ 'pre' ~ 'fix' | upper }}", "PREFIX"),
        ("{{ labels.team is defined }} {{ labels.none is defined }} {{ nope is not defined }}", "true false true"),
        ("{{ inputs.empty is empty }} {{ trigger.state is null }}", "true true"),
        ("{{ outputs.load.files | length }} {{ 'abc' | length }}", "2 3"),
        ("{{ [3, 1, 2] | sort | join('-') }} {{ [1,2,3] | last }}", "1-2-3 3"),
        ("{{ {'a': 1, 'b': {'c': 2}} }}", '{"a":1,"b":{"c":2}}'),
        ("{{ 'x' in ['x', 'y'] }} {{ [1,2] contains 2 }} {{ 'abc' contains 'b' }}", "true true true"),
        ("{{ 'prod-7' matches 'prod-[0-9]+' }} {{ 'prod-' matches 'prod-[0-9]+' }}", "true false"),
        ("{{ execution.startDate | date('yyyy-MM-dd HH:mm', timeZone='Europe/Berlin') }}", "2026-11-21 03:03"),
        ("{{ execution.startDate | dateAdd(-1, 'MONTHS') | date(\"dd.MM.yy 'at' h a\") }}", "21.10.26 at 2 AM"),
        ("{{ '31/01/2026' | dateAdd(1, 'MONTHS', 'iso_date', existingFormat='dd/MM/yyyy') }}", "2026-02-28"),
        ("{{ execution.startDate | timestamp }} {{ now() | timestampMilli }}", "1795226584 1795219200000"),
        ("{{ outputs.load | jq('.files[].name') | first }}", "a.csv"),
        ("{{ '{\"a\": [1, 2]}' | fromJson | json }} {{ fromJson('[1]')[0] }}", '{"a":[1,2]} 1'),
        ("{{ 1234567.891 | numberFormat('#,##0.00') }} {{ 0.256 | numberFormat('0.#%') }}", "1,234,567.89 25.6%"),
        ("{{ 'a b' | title }} {{ 'ab' | capitalize }} {{ ' x ' | trim }}|{{ 'a,b' | split(',') | json }}", 'A B Ab x|["a","b"]'),  # noqa: E501
        ("{{ 'one two' | replace({'one': '1', 'two': '2'}) }}", "1 2"),
        ("{{ 'a.b.c' | substringAfterLast('.') }}{{ 'long words' | abbreviate(7) }}", "clong..."),
        ("{% if n > 9 %}big{% elseif n > 5 %}middle{% else %}small{% endif %}", "middle"),
        ("{% for f in outputs.load.files %}{{ loop.index }}:{{ f.name }}{% if not loop.last %}, {% endif %}{% endfor %}", "0:a.csv, 1:b.csv"),  # noqa: E501
        ("{% for e in labels %}{{ e.key }}={{ e.value }}{% endfor %}{% for x in [] %}{% else %} none{% endfor %}", "team=data none"),  # noqa: E501
        ("{% set name = 'x' %}{{ name }}{# said to nobody #}", "x"),
        ("{% raw %}{{ not.this }}{% endraw %}", "{{ not.this }}"),
        ("a  {{- ' b ' -}}  c", "a b c"),
        ("{{ 1..3 | json }}", "[1,2,3]"),
    ],
)  # fmt: skip
def test_what_it_says(template: str, said: str) -> None:
    assert render(template, SCOPE) == said


@pytest.mark.parametrize(
    "template, reason",
    [
        ("{{ nothing }}", "there is no `nothing` here (at character 4)"),
        ("{{ flow.nope }}", "there is no `nope` in it"),
        ("{{ outputs.load.files[9] }}", "there is none at 9"),
        ("{{ secret( }}", "expected a value, found the end of the tag"),
        ("{{ 1 + 'a' * 2 }}", "expected a number, found text"),
        ("{{ flow.id.__class__ }}", "text has no `__class__`"),
        ("{{ ''.__class__.__mro__ }}", "text has no `__class__`"),
        ("{{ flow.keys }}", "there is no `keys` in it"),
        ("{{ n | nope }}", "there is no filter `nope`"),
        ("{{ nope(1) }}", "there is no function `nope`"),
        ("{{ upper('a') }}", "there is no function `upper`"),
        ("{% include 'x' %}", "there is no tag `include`"),
        ("{% if n %}", "expected `endif` before the end of the text"),
        ("{{ 1 / 0 }}", "division"),
        ("{{ 1..1000000 | length }}", "a range of more than"),
        ("{{ 'x' | date }}", "'x' is not a time"),
        ("{{ 'x' | date('QQQQ', timeZone='Mars/Base') }}", "is not a time"),
        ("{{ 'a' matches '(' }}", "is not a pattern"),
        ("{{ \"unterminated }}", "means nothing here"),
        ("{{ n", "`{{` is never closed"),
    ],
)  # fmt: skip
def test_what_it_refuses_says_why(template: str, reason: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        render(template, SCOPE)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in 1..9999 %}{% for b in 1..9999 %}x{% endfor %}{% endfor %}",
        "{% set a = 'xxxxxxxxxx' %}" + "{% set a = a ~ a ~ a ~ a %}" * 20 + "{{ a }}",
        "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
        "{{ " + "not " * 5000 + "1 }}",
        "{{ " + " * ".join(["99999999999999999999"] * 400) + " }}",
        "{% if 1 %}" * 200 + "{% endif %}" * 200,
        "{{ " + "-" * 3000 + "1 }}",
        "{{ 'a' | replace({'a': 'aaaaaaaaaa'})" + " | replace({'a': 'aaaaaaaaaa'})" * 30 + " }}",
        "x" * 300_000 + "{{ 1 }}",
    ],
)
def test_it_ends(template: str) -> None:
    with pytest.raises(ExpressionError):
        render(template, SCOPE)


def test_a_value_stays_a_value() -> None:
    assert evaluate("{{ outputs.load.rows }}", SCOPE) == 1234567
    assert evaluate("outputs.load.rows + 1", SCOPE) == 1234568
    assert evaluate("{{ inputs.region }}-{{ n }}", SCOPE) == "eu-7"
    assert render("{{ at }}", Scope({"at": dt.datetime(2026, 11, 21, tzinfo=dt.UTC)})) == "2026-11-21T00:00:00Z"
    with pytest.raises(Missing):
        evaluate("nothing", SCOPE)


WORDS = """{{ }} {% %} {# #} if elseif else endif for in endfor set raw endraw not and or is defined ( ) [ ] { } . , : ?
?? ~ + - * / % | .. == < 'a' "b" 1 2.5 flow id outputs load files n date length first json default sort secret now"""


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS.split()), max_size=25))
def test_whatever_is_written_it_is_text_or_a_reason(words: list[str]) -> None:
    for template in (" ".join(words), "{{ " + " ".join(words) + " }}"):
        with contextlib.suppress(ExpressionError):
            assert isinstance(render(template, SCOPE), str)
