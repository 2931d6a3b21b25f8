"""Flows that other runs start: flows of the same Tocsin, what other sources report, and the clock."""

import asyncio
import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.flows.seeds import FLOWS
from tests.flows.test_engine import LOG, flow
from tests.harness import PATIENCE_S, Clock, Hook, Receiver, Running, Start, running
from tocsin.flows import watching

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "EVERY_S", 0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "flows"
    found.mkdir()
    return found


def given(folder: Path, hook: Hook) -> dict[str, str]:
    return {
        "TOCSIN_FLOWS": str(folder),
        "SECRET_SLACK_WEBHOOK": base64.b64encode(hook.url.encode()).decode(),
        "TOCSIN_PUBLIC_URL": "https://tocsin.example",
    }


async def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


async def looked(tocsin: Running) -> None:
    """The watcher has seen everything that is there, and what it started is over."""
    await tocsin.settle()
    await tocsin.app.watcher.look()
    await tocsin.app.flows.begin(10)
    await until(lambda: not tocsin.app.flows.going)


def lineage(
    state: str, run_id: str = "0192f0c1-7a2b-7c3d-8e4f-000000000001", job: str = "etl.orders"
) -> dict[str, Any]:
    return {
        "eventType": state,
        "eventTime": "2026-11-21T02:00:00.000Z",
        "run": {"runId": run_id, "facets": {}},
        "job": {"namespace": "prod", "name": "etl.orders", "facets": {}},
        "inputs": [],
        "outputs": [],
        "producer": "https://github.com/OpenLineage/OpenLineage/tree/1.54.0/client/python",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    }


async def test_the_third_flow_tells_of_the_second_ones_failure(start: Start, folder: Path, receiver: Receiver) -> None:
    # S2-05 S2-06
    hook = receiver.slack()
    (folder / "second.yml").write_text(FLOWS[1])
    (folder / "third.yml").write_text(FLOWS[2])
    tocsin = await start(**given(folder, hook))
    answer = await tocsin.client.post("/v1/flows/dev/slack-error-message/executions")
    run_id = answer.ok(202)["run_id"]
    while len(hook.received) < 3:
        await tocsin.move(1)  # Slack takes one message a second
        await asyncio.sleep(0.02)
    await until(lambda: not tocsin.app.flows.going)
    *own, told = (message.json for message in hook.expect(3))
    assert "failed executing the Python script!" in own[1]["text"]
    (run,) = (await tocsin.client.get(f"/v1/runs?run_id={run_id}")).ok()["items"]
    assert told["text"].startswith(
        f"*<https://tocsin.example/runs/{run['id']}|[dev] slack-error-message ➛ FAILED>*\n"
        "> Failed on task `pythonScriptThatWillFail` after "
    )
    assert told["channel"] == "#kestra-notifications"
    facts = {field["title"]: field["value"] for field in told["attachments"][0]["fields"]}
    assert facts["Execution ID"] == run_id
    await looked(tocsin)
    hook.expect(0)  # nothing more for its own end


async def test_it_tells_of_a_run_that_openlineage_reports_and_once(
    start: Start, folder: Path, receiver: Receiver
) -> None:  # S2-05
    hook = receiver.slack()
    (folder / "third.yml").write_text(FLOWS[2])
    tocsin = await start(**given(folder, hook))
    await looked(tocsin)
    for event in (
        lineage("START"),
        lineage("FAIL"),
        lineage("FAIL"),
        lineage("COMPLETE", run_id="0192f0c1-7a2b-7c3d-8e4f-2"),
    ):
        assert (await tocsin.client.post("/api/v1/lineage", event)).status < 300
    await until(lambda: len(hook.received) == 1)
    await looked(tocsin)
    (told,) = hook.expect(1)
    assert "[prod] etl.orders ➛ FAILED" in told.json["text"]
    runs = (await tocsin.client.get("/v1/runs?pipeline=dev.slack-generic")).ok()["items"]
    assert [run["status"] for run in runs] == ["succeeded"]


async def test_what_failed_while_tocsin_was_away_is_told_once_when_it_is_back(
    store: dict[str, str], clock: Clock, receiver: Receiver, folder: Path, logs: list[dict[str, Any]]
) -> None:
    hook = receiver.slack()
    (folder / "third.yml").write_text(FLOWS[2])
    settings = store | given(folder, hook) | {"TOCSIN_CONNECT_TO": receiver.diversions, "TOCSIN_DRAIN_SECONDS": "0.2"}
    async with running(settings, clock, receiver) as tocsin:
        await tocsin.send(pipeline="etl/before", run_id="r0", type="run.succeeded")
        await looked(tocsin)
    async with running(settings, clock, receiver, works=False) as tocsin:
        await tocsin.send(pipeline="etl/orders", run_id="r1", labels={"env": "prod"})
    for _ in range(2):
        async with running(settings, clock, receiver) as tocsin:
            await looked(tocsin)
            await until(lambda: len(hook.received) == 1)
    (told,) = hook.expect(1)
    assert "[etl] orders ➛ FAILED" in told.json["text"]


async def test_two_watchers_start_it_once(start: Start, folder: Path, receiver: Receiver) -> None:
    (folder / "f.yml").write_text(
        flow(f"  - {{id: a, type: {LOG}, message: '{{{{ trigger.flowId }}}}'}}",
             triggers="  - {id: t, type: io.kestra.plugin.core.trigger.Flow, states: [RUNNING, SUCCESS]}")
    )  # fmt: skip
    tocsin = await start(TOCSIN_FLOWS=str(folder))
    app = tocsin.app
    other = watching.Watcher(app.db, app.library, app.flows.queue, app.flows.wake.set, app.clock_ms, "default")
    await asyncio.gather(other.look(), looked(tocsin))
    for type_ in ("run.started", "run.progress", "run.succeeded"):
        await tocsin.send(pipeline="etl/orders", run_id="r1", type=type_)
    await asyncio.gather(other.look(), looked(tocsin))
    await looked(tocsin)
    runs = (await tocsin.client.get("/v1/runs?pipeline=dev.f")).ok()["items"]
    assert len(runs) == 2  # it ran when the other began, and when it ended


async def test_an_hour_that_comes_starts_a_flow_once_however_many_were_missed(start: Start, folder: Path) -> None:
    schedule = "type: io.kestra.plugin.core.trigger.Schedule, cron: '0 * * * *'"
    trigger = f"  - {{id: t, {schedule}, inputs: {{x: '{{{{ trigger.date }}}}'}}}}"
    (folder / "f.yml").write_text(
        flow(f"  - {{id: a, type: {LOG}, message: '{{{{ inputs.x }}}}'}}", triggers=trigger,
             inputs="  - {id: x, type: STRING}")
    )  # fmt: skip
    tocsin = await start(TOCSIN_FLOWS=str(folder))
    await looked(tocsin)
    await tocsin.move(3 * 3600)
    await looked(tocsin)
    await looked(tocsin)
    (run,) = (await tocsin.client.get("/v1/runs?pipeline=dev.f")).ok()["items"]
    whole = (await tocsin.client.get(f"/v1/runs/{run['id']}")).ok()
    assert ":00:00.000Z" in whole["log_tail"]


async def test_an_input_that_cannot_be_made_is_a_run_that_failed(start: Start, folder: Path) -> None:
    trigger = "  - {id: t, type: io.kestra.plugin.core.trigger.Flow, inputs: {x: '{{ trigger.outputs.nothing }}'}}"
    (folder / "f.yml").write_text(
        flow(f"  - {{id: a, type: {LOG}, message: '{{{{ inputs.x }}}}'}}", triggers=trigger,
             inputs="  - {id: x, type: STRING}")
    )  # fmt: skip
    tocsin = await start(TOCSIN_FLOWS=str(folder))
    await looked(tocsin)
    await tocsin.send(pipeline="etl/orders", run_id="r1")
    await looked(tocsin)
    (run,) = (await tocsin.client.get("/v1/runs?pipeline=dev.f")).ok()["items"]
    assert (run["status"], "x" in run["error"]) == ("failed", True)
