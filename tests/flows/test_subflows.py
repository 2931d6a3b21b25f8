"""Flows that call other flows."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.flows.test_engine import FAIL, LOG, flow, run
from tests.flows.test_flow_watching import looked
from tests.flows.test_server import ended, execute
from tests.harness import Running, Start
from tocsin.flows.reading import read_flow
from tocsin.model.yaml_text import Wrong

pytestmark = pytest.mark.anyio

SUBFLOW = "io.kestra.plugin.core.flow.Subflow"
SLEEP = "io.kestra.plugin.core.flow.Sleep"
CHILD = """
id: child
namespace: dev
labels: {kind: child}
inputs:
  - {id: n, type: INT}
  - {id: key, type: SECRET, required: false}
tasks:
  - {id: work, type: io.kestra.plugin.core.debug.Return, format: "{{ inputs.n * 2 }}"}
outputs:
  - {id: twice, type: INT, value: "{{ outputs.work.value }}"}
  - {id: told, type: STRING, value: "by {{ trigger.flowId }} {{ labels.team ?? 'nobody' }} {{ inputs.key }}"}
"""


def calling(given: str, then: str = "", **rest: str) -> str:
    tasks = f"  - {{id: call, type: {SUBFLOW}, namespace: dev, flowId: child{given}}}\n{then}"
    return flow(tasks.rstrip(), **rest)


async def flows(start: Start, folder: Path, **texts: str) -> Running:
    for name, text in texts.items():
        (folder / f"{name}.yml").write_text(text)
    return await start(TOCSIN_FLOWS=str(folder))


async def only(tocsin: Running, pipeline: str) -> dict[str, Any]:
    (found,) = (await tocsin.client.get(f"/v1/runs?pipeline={pipeline}")).ok()["items"]
    whole: dict[str, Any] = (await tocsin.client.get(f"/v1/runs/{found['id']}")).ok()
    return whole


async def test_a_called_flow_gets_inputs_and_hands_back_outputs(start: Start, tmp_path: Path) -> None:
    given = ", inputs: {n: '{{ inputs.n }}', key: s3cret-key}, labels: [{key: team, value: data}]"
    said = "{{ outputs.call.state }} {{ outputs.call.outputs.twice + 1 }} {{ outputs.call.outputs.told }}"
    then = f'  - {{id: after, type: {LOG}, message: "{said}"}}'
    parent = calling(given, then, inputs="  - {id: n, type: INT}")
    tocsin = await flows(start, tmp_path, parent=parent, child=CHILD)
    run_id = await execute(tocsin, inputs={"n": 21})
    mine = await ended(tocsin, run_id)
    assert mine["status"] == "succeeded", mine["log_tail"]
    assert "SUCCESS 43 by f data ******" in mine["log_tail"]
    child = await only(tocsin, "dev.child")
    assert (child["status"], child["parent_run_id"]) == ("succeeded", run_id)
    (event,) = (await tocsin.client.get(f"/v1/events?run_id={child['run_id']}&type=run.succeeded")).ok()["items"]
    assert event["data"]["outputs"] == {"twice": 42, "told": "by f data ******"}
    assert event["labels"] == {"kind": "child", "team": "data"}
    assert "s3cret-key" not in str((await tocsin.client.get("/v1/events?limit=100")).ok())


@pytest.mark.parametrize(
    ("given", "status"), [("", "failed"), (", transmitFailed: false", "succeeded"), (", wait: false", "succeeded")]
)
async def test_a_failure_is_the_callers_unless_it_says_otherwise(
    start: Start, tmp_path: Path, given: str, status: str
) -> None:
    child = flow(f"  - {{id: a, type: {FAIL}, errorMessage: no disk}}").replace("id: f", "id: child", 1)
    tocsin = await flows(start, tmp_path, parent=calling(given), child=child)
    mine = await ended(tocsin, await execute(tocsin))
    assert mine["status"] == status
    if status == "failed":
        assert mine["error"] == "dev.child: no disk"
    assert (await only(tocsin, "dev.child"))["status"] == "failed"


async def test_who_waits_takes_nobodys_turn(start: Start, tmp_path: Path) -> None:
    middle = calling("").replace("id: f", "id: middle", 1)
    outer = calling("").replace("flowId: child", "flowId: middle")
    child = flow(f"  - {{id: a, type: {LOG}, message: deep}}").replace("id: f", "id: child", 1)
    for name, text in (("outer", outer), ("middle", middle), ("child", child)):
        (tmp_path / f"{name}.yml").write_text(text)
    tocsin = await start(TOCSIN_FLOWS=str(tmp_path), TOCSIN_FLOWS_AT_ONCE="1")
    assert (await ended(tocsin, await execute(tocsin)))["status"] == "succeeded"


async def test_nobody_calls_itself_not_even_by_others(start: Start, tmp_path: Path) -> None:
    with pytest.raises(Wrong, match=r"f.yml:4: tasks\[0\].flowId: a flow may not call itself"):
        read_flow("f.yml", calling("").replace("flowId: child", "flowId: f"))
    child = calling("").replace("id: f", "id: child", 1).replace("flowId: child", "flowId: f")
    tocsin = await flows(start, tmp_path, parent=calling(""), child=child)
    mine = await ended(tocsin, await execute(tocsin))
    assert mine["error"] == "dev.child: a flow may not call itself: dev.f → dev.child → dev.f"
    assert len((await tocsin.client.get("/v1/runs")).ok()["items"]) == 2


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (", inputs: {n: x}", "dev.child: inputs.n: expected a whole number, found 'x'"),
        (", inputs: {n: 1, m: 2}", "dev.child: inputs.m: expected one of n, key, found an unknown input"),
        (", inputs: 5", "inputs: expected names with values"),
    ],
)
async def test_what_cannot_be_called(start: Start, tmp_path: Path, given: str, error: str) -> None:
    tocsin = await flows(start, tmp_path, parent=calling(given), child=CHILD)
    mine = await ended(tocsin, await execute(tocsin))
    assert (mine["status"], mine["error"]) == ("failed", error)


async def test_flows_that_are_not_there_and_places_without_a_server(start: Start, tmp_path: Path) -> None:
    tocsin = await flows(start, tmp_path, parent=calling(""))
    assert (await ended(tocsin, await execute(tocsin)))["error"] == "there is no flow dev.child"
    assert (await run(calling(""))).execution.errors == ["subflows run in a server: `tocsin serve --flows`"]
    with pytest.raises(Wrong, match="flowId: it is missing"):
        read_flow("f.yml", calling("").replace(", flowId: child", ""))


async def test_what_a_killed_execution_called_is_killed(start: Start, tmp_path: Path) -> None:
    child = flow(f"  - {{id: a, type: {SLEEP}, duration: PT1H}}").replace("id: f", "id: child", 1)
    tocsin = await flows(start, tmp_path, parent=calling(", timeout: PT1S"), child=child)
    run_id = await execute(tocsin)
    while len(tocsin.app.flows.going) < 2:
        await asyncio.sleep(0.01)
    mine = await ended(tocsin, run_id)
    assert mine["error"] == "it took longer than 1 s"
    assert (await only(tocsin, "dev.child"))["status"] == "cancelled"


async def test_outputs_that_do_not_hold_fail_the_execution() -> None:
    text = flow(f"  - {{id: a, type: {LOG}, message: x}}", outputs="  - {id: n, type: INT, value: '{{ inputs.x }}'}")
    assert (await run(text)).state == "FAILED"
    text = text.replace("'{{ inputs.x }}'", "many")
    found = await run(text)
    assert (found.state, found.execution.errors) == (
        "FAILED",
        ["outputs.n: expected a whole number, found 'many'"],
    )


async def test_a_trigger_knows_what_the_flow_handed_out(start: Start, tmp_path: Path) -> None:
    watcher = """
id: watcher
namespace: dev
tasks:
  - {id: say, type: io.kestra.plugin.core.log.Log, message: "it made {{ trigger.outputs.twice }}"}
triggers:
  - id: after
    type: io.kestra.plugin.core.trigger.Flow
    conditions:
      - {type: io.kestra.plugin.core.condition.ExecutionFlow, namespace: dev, flowId: child}
      - {type: io.kestra.plugin.core.condition.ExecutionOutputs, expression: "{{ trigger.outputs.twice == 6 }}"}
"""
    child = CHILD.replace("{{ trigger.flowId }}", "somebody")
    tocsin = await flows(start, tmp_path, child=child, watcher=watcher)
    await looked(tocsin)
    for n in (1, 3):
        await ended(tocsin, await execute(tocsin, "child", inputs={"n": n}))
        await looked(tocsin)
    watched = await ended(tocsin, (await only(tocsin, "dev.watcher"))["run_id"])
    assert "it made 6" in watched["log_tail"]
