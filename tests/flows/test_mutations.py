"""Whatever stands in a file: it is a flow, or what is wrong is said with its line. Nothing else comes of it."""

import asyncio
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.flows.seeds import FLOWS
from tests.flows.test_engine import World
from tests.flows.test_reading import NESTED
from tocsin.flows.engine import execute
from tocsin.flows.execution import Execution
from tocsin.flows.model import Flow, opaque
from tocsin.flows.reading import read_flow
from tocsin.flows.tasks import handlers
from tocsin.model.yaml_text import Wrong

TEXTS = (*FLOWS, NESTED)
PIECES = (
    "{{",
    "}}",
    "{%",
    "%}",
    "[",
    "]",
    "{",
    "}",
    ":",
    "- ",
    "\n",
    "'",
    '"',
    "&a",
    "*a",
    "!!x",
    "\t",
    "|",
    "\x00",
    "é",
)
QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def read(text: str) -> Flow | None:
    try:
        flow = read_flow("f.yml", text)
    except Wrong as wrong:
        said = str(wrong)
    else:
        opaque(flow)
        return flow
    assert said.startswith("f.yml"), said
    return None


@QUICK
@given(st.data())
def test_characters_out_of_place(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(TEXTS))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        gone = data.draw(st.integers(0, 30))
        text = text[:at] + data.draw(st.sampled_from(PIECES)) + text[at + gone :]
    read(text)


PLAIN: Any = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(PIECES)
ANYTHING = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, inner in keys for place in places(inner, (*at, key)))]


def put(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = put(value[place[0]], place[1:], new)
    return copy


@QUICK
@given(st.data())
def test_values_out_of_place_and_the_flow_runs_to_an_end(data: st.DataObject) -> None:
    value = yaml.safe_load(data.draw(st.sampled_from(TEXTS)))
    place = data.draw(st.sampled_from([one for one in places(value) if "script" not in one]))
    flow = read(yaml.safe_dump(put(value, place, data.draw(ANYTHING)), allow_unicode=True))
    if flow is None:
        return
    world = World()
    execution = Execution(flow, world, id_="e", inputs={})
    with capture_logs() as logs:
        asyncio.run(execute(execution, handlers(with_scripts=False)))
    assert not [entry for entry in logs if entry.get("exc_info")], logs  # each a task that broke, and not its flow
    assert world.told[-1]["type"].startswith(("run.", "stage."))
    assert execution.state in ("SUCCESS", "WARNING", "FAILED", "CANCELLED")
