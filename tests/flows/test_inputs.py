"""What a flow is given: by type, with a sentence for everything that does not fit."""

from typing import Any

import pytest

from tests.flows.test_engine import LOG, flow, run
from tocsin.flows.inputs import checked_inputs
from tocsin.flows.reading import read_flow
from tocsin.model.errors import Invalid

pytestmark = pytest.mark.anyio

INPUTS = """
  - {id: name, type: STRING, validator: '[a-z]+'}
  - {id: count, type: INT, defaults: 3}
  - {id: share, type: FLOAT, required: false}
  - {id: on, type: BOOLEAN, defaults: false}
  - {id: day, type: DATE, required: false}
  - {id: at, type: DATETIME, required: false}
  - {id: wait, type: DURATION, defaults: PT5M}
  - {id: more, type: JSON, required: false}
  - {id: region, type: SELECT, values: [eu, us], defaults: eu}
  - {id: regions, type: MULTISELECT, values: [eu, us], required: false}
  - {id: sizes, type: ARRAY, itemType: INT, required: false}
  - {id: key, type: SECRET, required: false}
  - {id: file, type: FILE, required: false}"""
FLOW = read_flow("f.yml", flow(f"  - {{id: a, type: {LOG}, message: hello}}", inputs=INPUTS))


def test_values_come_as_text_or_as_they_are() -> None:
    given: dict[str, Any] = {
        "name": "ana", "count": "5", "share": 1, "on": "true", "day": "2026-11-21", "at": "2026-11-21T14:00:00Z",
        "more": '{"a": [1]}', "region": "us", "regions": ["eu"], "sizes": '["1", 2]', "key": "k",
    }  # fmt: skip
    assert checked_inputs(FLOW, given) == given | {
        "count": 5, "share": 1.0, "on": True, "at": "2026-11-21T14:00:00+00:00", "more": {"a": [1]}, "sizes": [1, 2],
    }  # fmt: skip


@pytest.mark.parametrize(
    "name, value, said",
    [
        ("name", None, "inputs.name: expected a value: text that fits [a-z]+, found nothing"),
        ("name", "Ana", "inputs.name: expected text that fits [a-z]+, found 'Ana'"),
        ("name", ["a"], "found ['a']"),
        ("count", 1.5, "inputs.count: expected a whole number, found 1.5"),
        ("count", "many", "found 'many'"),
        ("share", True, "inputs.share: expected a number, found True"),
        ("on", "maybe", "inputs.on: expected true or false, found 'maybe'"),
        ("day", "21.11.2026", "inputs.day: expected a date such as 2026-11-21"),
        ("day", 5, "expected a date"),
        ("at", "soon", "inputs.at: expected a time such as"),
        ("wait", "5m", "inputs.wait: expected a duration such as PT5M, found '5m'"),
        ("more", "{", "inputs.more: expected JSON"),
        ("region", "mars", "inputs.region: expected one of eu, us, found 'mars'"),
        ("regions", ["mars"], "inputs.regions: expected a list of eu, us"),
        ("sizes", {"a": 1}, "inputs.sizes: expected a list"),
        ("key", 12345, "inputs.key: expected text, found something else"),
        ("file", "x", "inputs.file: expected one of STRING"),
        ("oh", 1, "inputs.oh: expected one of name, count"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(name: str, value: Any, said: str) -> None:
    with pytest.raises(Invalid) as wrong:
        checked_inputs(FLOW, {"name": "ana"} | {name: value})
    assert said in str(wrong.value)


async def test_defaults_are_what_the_flow_says_and_given_text_is_no_expression() -> None:
    text = flow(
        f"  - {{id: a, type: {LOG}, message: '{{{{ inputs.b }}}} {{{{ inputs.c }}}} {{{{ inputs.d }}}}'}}",
        inputs='  - {id: b, defaults: "{{ flow.id }}"}\n  - {id: c}\n  - {id: d, type: INT, required: false}\n'
        "  - {id: key, type: SECRET, defaults: hush-hush}",
    )
    ran = await run(text, inputs={"c": "{{ secret('SLACK_WEBHOOK') }}"})
    assert ran.execution.log_tail == "INFO a: f {{ secret('SLACK_WEBHOOK') }} \n"
    assert ran.execution.without_secrets("hush-hush") == "******"


async def test_a_default_that_fails_fails_the_run() -> None:
    ran = await run(
        flow(f"  - {{id: a, type: {LOG}, message: hello}}", inputs='  - {id: b, type: INT, defaults: "{{ flow.id }}"}')
    )
    assert ran.last["type"] == "run.failed"
    assert ran.last["data"]["error"] == "inputs.b: expected a whole number, found 'f'"
    assert ran.world.story() == ["run.started", "run.failed"]
