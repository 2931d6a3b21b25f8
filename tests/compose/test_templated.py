"""A person's own words: what they may name, what is refused, and that a failure costs no message. Runs the examples of
docs/templates.md."""

import json
import re
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.compose.samples import ENDED, HOSTILE, PLACE, SAMPLES, event
from tocsin.compose.message import compose
from tocsin.compose.templated import NAMES, apply, check, variables
from tocsin.model.errors import Invalid
from tocsin.model.message import Message
from tocsin.model.noise import Templates
from tocsin.provider_kit.body import values
from tocsin.provider_kit.template_filters import FILTERS
from tocsin.provider_kit.templates import MAX_BYTES, MAX_LOOPS, MAX_NESTED, TAGS

PAGE = (Path(__file__).parents[2] / "docs" / "templates.md").read_text("utf-8")
BLOCK = re.compile(r"^<!-- (?P<note>[^\n]+) -->\n```\w+\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = {found["note"]: found["body"] for found in BLOCK.finditer(PAGE)}
FAILED = SAMPLES["failed"]
MESSAGE = compose(*FAILED)
QUICK_S = 0.1


def applied(title: str = "", text: str = "", fields: dict[str, str] | None = None) -> Message:
    message, reason = apply(MESSAGE, Templates(title, text, fields or {}), *FAILED)
    assert reason == ""
    return message


# The page


def test_the_example_of_the_page_gives_what_the_page_says() -> None:  # S4-14
    templates = msgspec.json.decode(BLOCKS["templates: failed"], type=Templates)
    check(templates, "templates")
    message, reason = apply(MESSAGE, templates, *FAILED)
    assert reason == ""
    shown = [f"{message.emoji} {message.title}", message.text, *(f"{name}: {value}" for name, value in message.facts)]
    assert "\n".join(shown) + "\n" == BLOCKS["message: failed"]


def test_the_second_example_gives_what_the_page_says() -> None:
    check(Templates(text=BLOCKS["text: failed"]), "templates")
    assert applied(text=BLOCKS["text: failed"]).text + "\n" == BLOCKS["gives: failed"]


def test_the_refusal_of_the_page() -> None:
    ((note, said),) = [(note, said) for note, said in BLOCKS.items() if note.startswith("refused: ")]
    with pytest.raises(Invalid) as refused:
        check(msgspec.json.decode(note.removeprefix("refused: "), type=Templates), "templates")
    start, _, end = said.strip().partition("…")
    assert refused.value.detail.startswith(start)
    assert refused.value.detail.endswith(end)


def test_the_page_names_what_there_is() -> None:
    filters = PAGE.partition("Filters: ")[2].partition(".\n\n")[0]
    assert re.findall(r"`(\w+)`", filters) == sorted(FILTERS)
    tags = PAGE.partition("Tags: ")[2].partition(".\n\n")[0]
    assert set(re.findall(r"`([\w#]+)`", tags)) == set(TAGS)
    for said in (f"{MAX_BYTES:,} bytes", f"{MAX_LOOPS:,} times", {10: "ten deep"}[MAX_NESTED]):
        assert said in PAGE
    for name in NAMES:
        row = next(line for line in PAGE.splitlines() if line.startswith("|") and f"`{name}`" in line.split("|")[1])
        if name in ("run", "message"):
            told = set(re.findall(r"`(\w+)`", row.split("|")[2]))
            assert told == set(NAMES[name]) | ({"name"} if name == "run" else set())


# What it may name


def test_the_event_has_every_name_of_the_webhooks_template() -> None:  # S4-14
    assert set(values(MESSAGE)) - {"schema"} == NAMES["event"]
    found = variables(MESSAGE, *FAILED)["event"]
    told = FAILED[0]
    assert (found["id"], found["type"], found["data"], found["labels"]) == (told.id, told.type, told.data, told.labels)


def test_names_do_not_depend_on_the_event() -> None:
    for told, its_run in SAMPLES.values():
        found = variables(compose(told, its_run), told, its_run)
        assert set(found) == set(NAMES)
        for name in ("event", "message"):
            assert set(found[name]) == NAMES[name]
        assert set(found["run"]) == (NAMES["run"] if its_run else set())


def test_an_event_without_a_run_has_an_empty_one() -> None:
    told = event("x", "other")
    templates = Templates("a{{ run.status }}{% for s in run.stages %}x{% endfor %}{{ run.duration_s }}b")
    assert apply(compose(told, None), templates, told, None)[0].title == "ab"


@pytest.mark.parametrize("words", ["{{ run.error }}", "{% for i in (1..9) %}x{% endfor %}", "{% raw %}", "{{", "%}"])
def test_what_an_event_says_is_never_compiled(words: str) -> None:  # S16
    told = event("run.failed", "run.failed", **PLACE, title=words, message=words, data={"a": words})
    templates = Templates("{{ event.title }}", "{{ event.message }}", {"A": "{{ data.a }}"})
    message, reason = apply(compose(told, ENDED), templates, told, ENDED)
    assert (message.title, message.text, message.facts, reason) == (words, words, (("A", words),), "")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_any_value_makes_a_clean_message(words: str) -> None:
    told = event("x", "other", title=words, message=words, data={"a": words})
    templates = Templates("{{ event.title }}", "{{ event.message }}", {"A": "{{ data.a }}"})
    message, reason = apply(compose(told, None), templates, told, None)
    assert reason == ""
    for one in (message.title, message.sentence, *(value for _, value in message.facts)):
        assert "\n" not in one
        assert "\u202e" not in one


# What comes of it


def test_only_what_is_given_changes() -> None:
    assert apply(MESSAGE, Templates(), *FAILED) == (MESSAGE, "")
    titled = applied("Oh no")
    assert (titled.title, titled.text, titled.facts) == ("Oh no", MESSAGE.text, MESSAGE.facts)
    with_fields = applied(fields={"Env": "{{ labels.env }}"})
    assert (with_fields.title, with_fields.sentence) == (MESSAGE.title, MESSAGE.sentence)
    assert with_fields.facts == (("Env", "prod"),)
    assert (with_fields.cause, with_fields.actions, with_fields.footer) == (
        MESSAGE.cause,
        MESSAGE.actions,
        MESSAGE.footer,
    )


def test_the_sentence_is_the_title_and_the_text_in_one_line() -> None:
    message = applied("{{ event.pipeline }} broke", "one\n  two ")
    assert message.text == "one\n  two"
    assert message.sentence == "❌ train-ranker broke: one two"
    assert applied("Broke", "").sentence == "❌ Broke"


def test_an_empty_title_is_no_title_and_an_empty_field_no_field() -> None:
    message = applied("{{ data.nothing }} \n", "{{ data.nothing }}", {"A": "{{ data.nothing }}", "B": "b"})
    assert (message.title, message.text, message.facts) == (MESSAGE.title, "", (("B", "b"),))
    assert applied(fields={"A": "{{ data.nothing }}"}).facts == ()


@pytest.mark.parametrize("filler", ["ä", "👨‍👩‍👧‍👦", "🇩🇪", "a\u0301", '"\\', "\u202e\x1b\r\n"])
def test_it_is_cut_to_size(filler: str) -> None:
    long = filler * 5_000
    told = event("x", "other", data={"a": long[:5_000]})
    templates = Templates("{{ data.a }}", "{{ data.a }}", {"A": "{{ data.a }}"})
    message, reason = apply(compose(told, None), templates, told, None)
    assert reason == ""
    assert len(message.title) <= 80
    assert len(message.text) <= 4000
    assert len(message.sentence) <= 400
    assert all(len(value) <= 120 for _, value in message.facts)


def test_hostile_words_are_cleaned() -> None:
    told = event("x", "other", data={"a": HOSTILE})
    message, _ = apply(compose(told, None), Templates("{{ data.a }}", "{{ data.a }}"), told, None)
    for one in (message.title, message.text, message.sentence):
        assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", one)


# What is refused


@pytest.mark.parametrize(
    ("templates", "field", "found"),
    [
        (Templates("{{ event.title"), "t.title", "{{ without its end at line 1"),
        (Templates(text="a\n{% if run.id %}"), "t.text", "line 2"),
        (Templates("{{ event.title | upper }}"), "t.title", "'upper'"),
        (Templates(fields={"A": "{{ evnt.title }}"}), "t.fields.A", "'evnt.title'"),
        (Templates(fields={"A": "{{ x }}"}), "t.fields.A", "'x'"),
        (Templates("{{ run.stage }}"), "t.title", "'run.stage'"),
        (Templates("{% for s in run.steps %}{% endfor %}"), "t.title", "'run.steps'"),
        (Templates("{% if message.why contains labels.a %}{% endif %}"), "t.title", "'message.why'"),
        (Templates("{% assign a = event.nothing %}"), "t.title", "'event.nothing'"),
        (Templates("{% include 'x' %}"), "t.title", "include"),
        (Templates(fields={"": "x"}), "t.fields", "''"),
        (Templates(fields={"a\nb": "x"}), "t.fields", "'a b'"),
        (Templates(fields={"a" * 41: "x"}), "t.fields", "…"),
        (Templates(fields={str(index): "x" for index in range(11)}), "t.fields", "11 fields"),
        (Templates("x" * (MAX_BYTES + 1)), "t", f"more than {MAX_BYTES} bytes"),
        (Templates(fields={str(n): "ä" * 1000 for n in range(10)}), "t", f"more than {MAX_BYTES} bytes"),
    ],
)
def test_what_cannot_work_is_refused_by_name(templates: Templates, field: str, found: str) -> None:
    with pytest.raises(Invalid) as refused:
        check(templates, "t")
    assert refused.value.field == field
    assert found in refused.value.found


@pytest.mark.parametrize(
    "source",
    [
        "{{ data.whatever.deeper }}{{ labels.team }}{{ links.run }}{{ event.data.x }}{{ message.facts.Step }}",
        "{% for s in run.stages %}{{ forloop.index }} {{ s.name }}{{ s.whatever }}{% endfor %}",
        "{% assign a = data.x %}{{ a.b }}{% capture b %}{{ a }}{% endcapture %}{{ b }}",
        "{{ event[data.field] }}{{ data['a b'] }}{{ run.stages[0].name }}{{ run.stages.first.name }}",
        "{% for i in (1..3) %}{{ i }}{% endfor %}{% raw %}{{ x }}{% endraw %}{% comment %}{{ x }}{% endcomment %}",
        "no markup at all",
    ],
)
def test_what_may_work_is_taken(source: str) -> None:
    templates = Templates(source, source, {"A": source})
    check(templates, "t")
    assert apply(MESSAGE, templates, *FAILED)[1] == ""


def test_unknown_names_and_too_many_fields_are_no_templates() -> None:
    for given_ in ({"titel": "x"}, {"title": 1}, {"fields": {str(index): "x" for index in range(11)}}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(given_, Templates)


# What fails


@pytest.mark.parametrize(
    ("templates", "reason"),
    [
        (
            Templates("fine", "{% for i in (1..1000) %}{% assign a = data.l %}{% endfor %}"),
            "it takes too many steps",
        ),
        (Templates("fine", fields={"A": "{{ data.rows | divided_by: 0 }}"}), "divided"),
        (Templates("{{ broken"), "without its end"),
        (Templates("{% for i in (1..data.rows) %}{% endfor %}"), "a range of more than"),
    ],
)
def test_a_failure_sends_the_usual_message_and_says_why(templates: Templates, reason: str) -> None:  # S4-14
    told = event("run.failed", "run.failed", **PLACE, data={"rows": 10**9, "l": list(range(1000))})
    usual = compose(told, ENDED)
    message, why = apply(usual, templates, told, ENDED)
    assert reason in why
    assert message.footer[0] == f"the template failed: {why}"
    assert msgspec.structs.replace(message, footer=usual.footer) == usual


def test_a_reason_holds_nothing_that_steers() -> None:
    told = event("x", "other", data={"a": HOSTILE})
    message, why = apply(compose(told, None), Templates("{{ 1 | plus: data.a | date: data.a }}"), told, None)
    assert not re.search("[\x00-\x1f\u202e]", why + message.footer[0])
    assert len(why) <= 300


def test_all_templates_of_a_message_share_one_allowance() -> None:
    heavy = "{% for i in (1..2000) %}" + "x" * 5 + "{% endfor %}"  # two thirds of what one message may take
    assert apply(MESSAGE, Templates(heavy), *FAILED)[1] == ""
    assert apply(MESSAGE, Templates(heavy, heavy), *FAILED)[1] == "it takes too many steps at line 1"


def test_the_worst_is_over_in_time() -> None:  # S16
    heavy = "{% for i in (1..2000) %}{{ a }}{{ b }}{{ event.data.c }}{% endfor %}"
    told = event("x", "other", data={"a": "x" * 200_000, "l": list(range(40_000)), "d": [[1] * 1000] * 40})
    message = compose(told, None)
    templates = Templates(heavy, heavy, {str(index): heavy for index in range(10)})
    apply(message, templates, told, None)  # parsed once, and remembered
    best = min(timed(message, templates, told) for _ in range(3))
    assert best < QUICK_S


def timed(message: Message, templates: Templates, told: object) -> float:
    began = time.perf_counter()
    apply(message, templates, told, None)  # type: ignore[arg-type]
    return time.perf_counter() - began


def test_rendering_is_the_same_twice() -> None:
    templates = Templates("{{ event | json | truncate: 70 }}", "{{ run | json }}", {"A": "{{ data | json }}"})
    assert apply(MESSAGE, templates, *FAILED) == apply(MESSAGE, templates, *FAILED)
    assert json.loads(applied(text="{{ run | json }}").text)["status"] == "failed"
