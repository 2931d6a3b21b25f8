"""Flows on a server: read from a folder, started, run, told, and ended whatever happens to the process."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.flows.seeds import FLOWS
from tests.flows.test_engine import FAIL, LOG, flow
from tests.harness import PATIENCE_S, Running, Start
from tocsin.fakes.slack import FakeSlack
from tocsin.flows import runner
from tocsin.store.flows import Wanted

pytestmark = pytest.mark.anyio

SCRIPT = "io.kestra.plugin.scripts.shell.Script"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "flows"
    found.mkdir()
    return found


async def execute(tocsin: Running, id_: str = "f", namespace: str = "dev", **body: Any) -> str:
    answer = await tocsin.client.post(f"/v1/flows/{namespace}/{id_}/executions", body)
    return str(answer.ok(202)["run_id"])


async def ended(tocsin: Running, run_id: str) -> dict[str, Any]:
    """The run, once it is over and its execution as well."""
    until = time.monotonic() + PATIENCE_S
    while True:
        found = (await tocsin.client.get(f"/v1/runs?run_id={run_id}")).ok()["items"]
        if found and found[0]["finished_at"] and not tocsin.app.flows.going:
            whole: dict[str, Any] = (await tocsin.client.get(f"/v1/runs/{found[0]['id']}")).ok()
            return whole
        assert time.monotonic() < until, found
        tocsin.clock.move(0.1)  # messages keep their distance
        tocsin.app.deliver.wake()
        await asyncio.sleep(0.01)


async def test_a_flow_is_a_run_like_any_other(start: Start, folder: Path) -> None:  # S2-01 S2-04 S2-07
    (folder / "fails.yml").write_text(FLOWS[3])
    tocsin = await start(TOCSIN_FLOWS=str(folder))
    run = await ended(tocsin, await execute(tocsin, "failing-task"))
    assert (run["pipeline"], run["status"]) == ("dev.failing-task", "failed")
    error = "ModuleNotFoundError: No module named 'non_existing_library'"
    assert error in run["error"]
    assert error in run["log_tail"]
    (stage,) = run["stages"]
    assert (stage["name"], stage["status"]) == ("pythonScriptThatWillFail", "failed")


async def test_the_second_flow_of_the_document_sends_its_two_messages(start: Start, folder: Path) -> None:
    # S2-01 S2-02 S2-03 S2-04
    (folder / "f.yml").write_text(FLOWS[1])
    (folder / "f2.yml").write_text(FLOWS[0])
    tocsin = await start(TOCSIN_FLOWS=str(folder))
    hook = tocsin.receiver.slack()
    (await tocsin.client.post("/v1/secrets", {"name": "SLACK_WEBHOOK", "value": hook.url})).ok(201)
    run_id = await execute(tocsin, "slack-error-message")
    run = await ended(tocsin, run_id)
    assert (run["status"], run["pipeline"]) == ("failed", "dev.slack-error-message"), run["log_tail"]
    started, failed = (message.json["text"] for message in hook.expect(2))
    assert started.startswith(f"Flow dev.slack-error-message started with execution {run_id}")
    assert failed.endswith("failed executing the Python script!")
    stages = {stage["name"]: stage["status"] for stage in run["stages"]}
    assert stages == {"slack": "succeeded", "pythonScriptThatWillFail": "failed", "slackErrorMessage": "succeeded"}
    run = await ended(tocsin, await execute(tocsin, "slack-simple-message"))
    assert run["status"] == "succeeded"
    hook.expect(1)


async def test_a_flow_that_fails_is_one_live_message(start: Start, folder: Path) -> None:
    (folder / "f.yml").write_text(
        flow(f"  - {{id: extract, type: {LOG}, message: hello}}\n  - {{id: load, type: {FAIL}, errorMessage: no disk}}")
    )
    tocsin = await start(TOCSIN_FLOWS=str(folder))
    slack = FakeSlack(limits=True)
    tocsin.receiver.play(slack)
    settings = {"bot_token": "xoxb-1234567890-tocsin-fake-workspace", "channel": "#alerts"}
    body = {"provider_type": "slack_bot", "name": "alerts", "settings": settings}
    webhook = (await tocsin.client.post("/v1/webhooks", body)).ok(201)
    await tocsin.rule(webhook, event_types=["run.*"], pipelines=["dev.*"])
    run = await ended(tocsin, await execute(tocsin))
    await tocsin.wait_out(60)
    assert run["status"] == "failed"
    (message,) = [one for one in slack.messages if not one.thread_ts]
    shown = message.text + str(message.blocks) + "".join(reply.text + str(reply.blocks) for reply in message.replies)
    for word in ("dev.f", "extract", "load", "no disk"):
        assert word in shown
    why = (await tocsin.client.get(f"/v1/runs/{run['id']}/why")).ok()
    assert "alerts" in str(why)


async def test_inputs_labels_secrets_and_envs(start: Start, folder: Path) -> None:  # S2-03
    message = "{{ inputs.n + 1 }} {{ labels.team }} {{ secret('kept') }} {{ secret('GIVEN') }} {{ envs.stage }}"
    (folder / "f.yml").write_text(
        flow(f'  - {{id: a, type: {LOG}, message: "{message}"}}', inputs="  - {id: n, type: INT}")
    )
    tocsin = await start(TOCSIN_FLOWS=str(folder), SECRET_GIVEN="Z2l2ZW4tc2VjcmV0", KESTRA_STAGE="prod")
    (await tocsin.client.post("/v1/secrets", {"name": "kept", "value": "kept-secret"})).ok(201)
    run = await ended(tocsin, await execute(tocsin, inputs={"n": "5"}, labels={"team": "data"}))
    assert run["status"] == "succeeded"
    assert run["log_tail"] == "INFO a: 6 data ****** ****** prod\n"
    path = "/v1/flows/dev/f/executions"
    (await tocsin.client.post(path, {"inputs": {}})).problem(400, "inputs.n")
    (await tocsin.client.post(path, {"inputs": {"n": 1, "m": 2}})).problem(400, "inputs.m")
    (await tocsin.client.post(path, {"input": {}})).problem(400, "input")
    (await tocsin.client.post("/v1/flows/dev/g/executions")).problem(404)
    elsewhere = await tocsin.as_("developer", tenant="acme")
    (await elsewhere.post(path, {"inputs": {"n": 1}})).problem(404)
    assert (await elsewhere.get("/v1/flows")).ok()["items"] == []
    again = {"idempotency_key": "k"}
    first = await tocsin.client.post(path, {"inputs": {"n": 1}}, **again)
    second = await tocsin.client.post(path, {"inputs": {"n": 1}}, **again)
    assert first.ok(202) == second.ok(202)
    await ended(tocsin, first.json["run_id"])


async def test_files_are_read_anew_and_the_last_good_one_stays(
    start: Start, folder: Path, logs: list[dict[str, Any]]
) -> None:
    (folder / "a.yml").write_text(flow(f"  - {{id: a, type: {LOG}, message: one}}"))
    (folder / "bad.yaml").write_text("id: b\nnamespace: dev\ntasks: []\n")
    tocsin = await start(TOCSIN_FLOWS=str(folder))
    good, bad = (await tocsin.client.get("/v1/flows")).ok()["items"]
    assert (good["namespace"], good["id"], good["error"], good["tasks"]) == ("dev", "f", "", 1)
    assert (bad["file"], bad["id"]) == ("bad.yaml", "")
    assert bad["error"] == "bad.yaml:3: tasks: a flow needs at least one task"
    (folder / "a.yml").write_text("id: f\nnamespace: dev\ntasks: [")
    (folder / "bad.yaml").unlink()
    (folder / "more").mkdir()
    (folder / "more" / "c.yml").write_text(
        "id: c\nnamespace: dev\ndisabled: true\ntasks:\n  - {id: q, type: io.kestra.plugin.gcp.bigquery.Query}"
    )
    (folder / "more" / "d.yml").write_text(flow(f"  - {{id: a, type: {LOG}, message: two}}"))
    tocsin.app.library.look()
    broken, other, same = (await tocsin.client.get("/v1/flows")).ok()["items"]
    assert (broken["id"], broken["error"][:8]) == ("f", "a.yml:3:"), broken
    assert (other["not_run"], other["disabled"]) == (["q"], True)
    assert same["error"] == "more/d.yml: the flow dev.f stands in a.yml already"
    assert [one["file"] for one in logs if one["event"] == "flows.broken"] == ["bad.yaml", "a.yml", "more/d.yml"]
    whole = (await tocsin.client.get("/v1/flows/dev/c")).ok()
    assert whole["all_tasks"] == [{"id": "q", "type": "io.kestra.plugin.gcp.bigquery.Query", "line": 5, "runs": False}]
    (await tocsin.client.post("/v1/flows/dev/c/executions")).problem(409)
    assert (await ended(tocsin, await execute(tocsin)))["log_tail"] == "INFO a: one\n"
    (folder / "a.yml").unlink()
    tocsin.app.library.look()
    assert (await ended(tocsin, await execute(tocsin)))["log_tail"] == "INFO a: two\n"


async def test_so_many_at_a_time(start: Start, folder: Path) -> None:
    (folder / "f.yml").write_text(flow(f"  - {{id: a, type: {SCRIPT}, script: 'sleep 0.05'}}"))
    tocsin = await start(TOCSIN_FLOWS=str(folder), TOCSIN_FLOWS_AT_ONCE="2")
    begun = [await execute(tocsin) for _ in range(5)]
    most = 0
    while tocsin.app.flows.going or await tocsin.app.db.read("flow_executions_waiting", {"lease": "", "now": 0}):
        most = max(most, len(tocsin.app.flows.going))
        await asyncio.sleep(0.002)
    assert most == 2
    assert {(await ended(tocsin, one))["status"] for one in begun} == {"succeeded"}


async def test_what_runs_when_tocsin_stops_is_killed_and_told(start: Start, folder: Path) -> None:
    (folder / "f.yml").write_text(
        flow(
            f"  - {{id: a, type: {SCRIPT}, script: 'sleep 60'}}",
            afterExecution=f"  - {{id: z, type: {LOG}, message: '{{{{ execution.state }}}}'}}",
        )
    )
    tocsin = await start(TOCSIN_FLOWS=str(folder))
    run_id = await execute(tocsin)
    until = time.monotonic() + PATIENCE_S
    while (
        not (going := list(tocsin.app.flows.going.values()))
        or going[0].execution is None
        or not going[0].execution.runs
    ):
        assert time.monotonic() < until
        await asyncio.sleep(0.005)
    await tocsin.app.flows.drain(0.01)
    run = await ended(tocsin, run_id)
    assert (run["status"], run["error"]) == ("cancelled", runner.STOPPED)
    assert {stage["name"]: stage["status"] for stage in run["stages"]} == {"a": "failed", "z": "succeeded"}


async def test_what_another_process_has_taken_over_ends_without_a_word(
    start: Start, folder: Path, logs: list[dict[str, Any]]
) -> None:
    (folder / "f.yml").write_text(
        flow(
            f"  - {{id: a, type: {SCRIPT}, script: 'sleep 60'}}",
            afterExecution=f"  - {{id: z, type: {LOG}, message: never}}",
        )
    )
    tocsin = await start(TOCSIN_FLOWS=str(folder))
    app = tocsin.app
    run_id = await execute(tocsin)
    until = time.monotonic() + PATIENCE_S
    while not [run for run in (await tocsin.client.get("/v1/runs")).ok()["items"] if run["stages"]]:
        assert time.monotonic() < until
        await asyncio.sleep(0.005)
    later = app.clock_ms() + 2 * runner.LEASE_MS
    async with app.db.transaction() as tx:
        rows = await tx.fetch(
            "claim_flow_executions", {"lease": "other", "now": later, "lease_until_ms": later, "limit": 9}
        )
    assert [row[1] for row in rows] == [run_id]
    tocsin.clock.move(runner.LEASE_MS / 2000)
    app.flows.wake.set()
    while app.flows.going:
        assert time.monotonic() < until
        await asyncio.sleep(0.005)
    (run,) = (await tocsin.client.get(f"/v1/runs?run_id={run_id}")).ok()["items"]
    assert (run["status"], [stage["name"] for stage in run["stages"]]) == ("running", ["a"])
    assert [entry["event"] for entry in logs if entry["event"].startswith("flows.l")] == ["flows.lost"]


async def test_what_ran_when_the_process_ended_is_told_as_failed(start: Start, folder: Path) -> None:
    (folder / "f.yml").write_text(
        flow(
            f"  - {{id: a, type: {LOG}, message: hello}}\n  - {{id: b, type: {LOG}, message: again}}",
            errors=f"  - {{id: e, type: {LOG}, message: 'sorry: {{{{ errorLogs()[0].message }}}}'}}",
            afterExecution=f"  - {{id: z, type: {LOG}, message: '{{{{ execution.state }}}}'}}",
        )
    )
    (folder / "g.yml").write_text(flow(f"  - {{id: a, type: {LOG}, message: hello}}").replace("id: f", "id: g"))
    first = await start(TOCSIN_FLOWS=str(folder), works=False)
    await_it, lost = await execute(first, "g"), await execute(first)
    # As a process leaves it that is killed: begun, with a task under way, and nobody there.
    app = first.app
    async with app.db.transaction() as tx:
        await tx.fetch("claim_flow_executions", {"lease": "gone", "now": 1, "lease_until_ms": 2, "limit": 100})
        await app.flows.queue(tx, Wanted(tenant_id="default", id="exe_gone", namespace="dev", flow_id="gone"))
    event: dict[str, Any] = {"pipeline": "dev.f", "run_id": lost, "source": "flow"}
    await first.send(type="run.started", **event)
    await first.send(type="stage.started", stage="a", data={"stage_attempt": 1}, **event)
    app.flows.at_once, app.flows.lease = 8, "me"
    going = asyncio.create_task(app.flows.run())
    try:
        run = await ended(first, lost)
        assert (run["status"], run["error"]) == ("failed", runner.RESTARTED)
        stages = {stage["name"]: stage["status"] for stage in run["stages"]}
        assert stages == {"a": "failed", "e": "succeeded", "z": "succeeded"}
        assert "sorry: Tocsin was restarted" in run["log_tail"]
        assert (await ended(first, await_it))["error"] == runner.RESTARTED
        assert (await ended(first, "exe_gone"))["error"] == "there is no such flow any more"
    finally:
        going.cancel()
