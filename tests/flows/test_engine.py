"""Executions from their first event to their last, with what is told on the way. The clock is the test's."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.flows.seeds import FLOWS
from tocsin.flows.engine import execute
from tocsin.flows.execution import Execution, Handler, TaskRun
from tocsin.flows.model import Task
from tocsin.flows.reading import read_flow
from tocsin.flows.tasks import HANDLERS
from tocsin.model.wire import NoReply, Reply, Request

pytestmark = pytest.mark.anyio


class World:
    """What an execution reaches: time that passes when it is slept, and a list of what was told."""

    def __init__(self) -> None:
        self.ms = 1_795_226_584_000
        self.told: list[dict[str, Any]] = []
        self.made = 0
        self.slept: list[float] = []

    def now_ms(self) -> int:
        return self.ms

    def new_id(self) -> str:
        self.made += 1
        return f"run_{self.made}"

    def env(self, name: str) -> str | None:
        return {"stage": "prod"}.get(name)

    async def secret(self, name: str) -> str | None:
        return None

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.ms += round(seconds * 1000)
        await asyncio.sleep(0 if seconds < 3600 else 60)

    async def tell(self, event: dict[str, Any]) -> None:
        self.told.append(event)

    async def send(self, request: Request, timeout_s: float) -> Reply:
        return NoReply("blocked", "nothing goes out here")

    def story(self) -> list[str]:
        return [" ".join(filter(None, (event["type"], event.get("stage", "")))) for event in self.told]


class Ran:
    def __init__(self, execution: Execution, world: World, sent: list[str]) -> None:
        self.execution = execution
        self.world = world
        self.sent = sent
        self.state = execution.state

    @property
    def last(self) -> dict[str, Any]:
        return next(event for event in reversed(self.world.told) if event["type"].startswith("run."))


async def run(text: str, *, inputs: Mapping[str, Any] = {}, trigger: Mapping[str, Any] = {}) -> Ran:
    world, sent = World(), []

    async def send(task: Task, one: TaskRun, execution: Execution) -> dict[str, Any]:
        assert execution.rendered(task.given["url"], one) == "https://hooks.slack.test/x"
        sent.append(execution.rendered(task.given["payload"], one))
        return {}

    handlers: dict[str, Handler] = {**HANDLERS, "slack.send": send}
    secrets = {"SLACK_WEBHOOK": "https://hooks.slack.test/x"}
    execution = Execution(read_flow("f.yml", text), world, id_="exe1", inputs=inputs, trigger=trigger, secrets=secrets)
    await execute(execution, handlers)
    return Ran(execution, world, sent)


def flow(tasks: str, **rest: str) -> str:
    more = "".join(f"{name}:\n{value}\n" for name, value in rest.items())
    return f"id: f\nnamespace: dev\ntasks:\n{tasks}\n{more}"


LOG = "io.kestra.plugin.core.log.Log"
FAIL = "io.kestra.plugin.core.execution.Fail"


async def test_the_first_flow_of_the_document() -> None:  # S2-01 S2-02
    ran = await run(FLOWS[0])
    assert ran.state == "SUCCESS"
    assert "Flow dev.slack-simple-message started with execution exe1" in ran.sent[0]
    assert ran.world.story() == ["run.started", "stage.started slack", "stage.succeeded slack", "run.succeeded"]
    assert {event["pipeline"] for event in ran.world.told} == {"dev.slack-simple-message"}


async def test_the_second_tells_of_the_import_that_fails() -> None:  # S2-01 S2-04 S2-07
    ran = await run(FLOWS[1])
    assert ran.state == "FAILED"
    assert len(ran.sent) == 2
    assert "failed executing the Python script!" in ran.sent[1]
    error = "ModuleNotFoundError: No module named 'non_existing_library'"
    assert error in ran.last["data"]["error"]
    assert (ran.last["type"], ran.last["data"]["failed_step"]) == ("run.failed", "pythonScriptThatWillFail")
    assert error in ran.last["data"]["log_tail"]
    assert ran.world.story()[-3:] == [
        "stage.started slackErrorMessage",
        "stage.succeeded slackErrorMessage",
        "run.failed",
    ]


async def test_errors_finally_and_what_comes_after() -> None:
    only_then = "runIf: \"{{execution.state == 'FAILED'}}\""
    ran = await run(
        flow(
            f"  - {{id: a, type: {FAIL}, errorMessage: 'no \"rows\"'}}\n  - {{id: never, type: {LOG}, message: x}}",
            errors=f"  - {{id: e, type: {LOG}, message: 'said {{{{ errorLogs()[0].message }}}}'}}",
            **{
                "finally": f"  - {{id: f1, type: {LOG}, message: '{{{{ execution.state }}}}'}}",
                "afterExecution": f"  - {{id: g, type: {LOG}, message: end, {only_then}}}",
            },
        )
    )
    assert ran.world.story() == [
        "run.started", "stage.started a", "stage.failed a", "stage.started e", "stage.succeeded e", "stage.started f1",
        "stage.succeeded f1", "run.failed", "stage.started g", "stage.succeeded g",
    ]  # fmt: skip
    assert 'INFO e: said no "rows"' in ran.execution.log_tail
    assert "INFO f1: FAILED" in ran.execution.log_tail


async def test_tries_are_told_and_waited_for() -> None:
    retry = "{type: exponential, interval: PT2S, maxInterval: PT5S, maxAttempts: 4}"
    ran = await run(flow(f"  - {{id: a, type: {FAIL}, retry: {retry}}}"))
    assert ran.world.slept == [2, 4, 5]
    failed = [event["data"] for event in ran.world.told if event["type"] == "stage.failed"]
    assert [(one["stage_attempt"], one.get("will_retry", False)) for one in failed] == [
        (1, True), (2, True), (3, True), (4, False),
    ]  # fmt: skip


async def test_loops_choices_and_outputs() -> None:
    ran = await run(
        flow(
            """
  - id: sizes
    type: io.kestra.plugin.scripts.shell.Commands
    commands: ["echo '::{\\"outputs\\": {\\"rows\\": 7}}::'"]
  - id: each
    type: io.kestra.plugin.core.flow.ForEach
    values: ["a", "b"]
    tasks:
      - {id: r, type: io.kestra.plugin.core.debug.Return, format: "{{ taskrun.value }}{{ taskrun.iteration }}"}
      - {id: l, type: io.kestra.plugin.core.log.Log, message: "{{ outputs.r[taskrun.value].value }} {{ inputs.day }}"}
  - id: choose
    type: io.kestra.plugin.core.flow.If
    condition: "{{ outputs.sizes.vars.rows > 5 }}"
    then:
      - {id: many, type: io.kestra.plugin.core.log.Log, message: "many in {{ envs.stage }}"}
    else:
      - {id: few, type: io.kestra.plugin.core.log.Log, message: few}
  - id: beside
    type: io.kestra.plugin.core.flow.Parallel
    tasks:
      - {id: p1, type: io.kestra.plugin.core.log.Log, message: one}
      - {id: opaque, type: io.kestra.plugin.gcp.bigquery.Query}
"""
        ),
        inputs={"day": "monday"},
    )
    assert ran.state == "SUCCESS"
    said = ran.execution.log_tail
    assert "l: a0 monday" in said
    assert "l: b1 monday" in said
    assert "many: many in prod" in said
    assert "opaque: skipped: io.kestra.plugin.gcp.bigquery.Query is not run here" in said
    indices = [event["data"].get("map_index") for event in ran.world.told if event.get("stage") == "l"]
    assert indices == [0, 0, 1, 1]


async def test_what_may_fail_warns() -> None:
    ran = await run(flow(f"  - {{id: a, type: {FAIL}, allowFailure: true}}\n  - {{id: b, type: {LOG}, message: on}}"))
    assert (ran.state, ran.last["type"]) == ("WARNING", "run.warning")
    ran = await run(flow("  - {id: a, type: io.kestra.plugin.scripts.shell.Script, script: 'echo hm >&2'}"))
    assert ran.state == "WARNING"


async def test_a_script_that_hangs_is_ended_with_all_that_it_started() -> None:
    ran = await run(
        flow("  - {id: a, type: io.kestra.plugin.scripts.shell.Script, script: 'sleep 60 & sleep 60', timeout: PT0.2S}")
    )
    assert ran.state == "FAILED"
    assert ran.last["data"]["error"] == "it took longer than 0.2 s"


async def test_a_script_sees_nothing_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SECRET_KEY", "hidden")
    ran = await run(flow("  - {id: a, type: io.kestra.plugin.scripts.shell.Script, script: 'env; pwd', env: {A: b}}"))
    assert "TOCSIN" not in ran.execution.log_tail
    assert "INFO a: A=b" in ran.execution.log_tail


async def test_secrets_never_stand_in_the_log() -> None:  # S2-03
    ran = await run(flow(f"  - {{id: a, type: {LOG}, message: \"{{{{ secret('SLACK_WEBHOOK') }}}} it is\"}}"))
    assert "INFO a: ****** it is" in ran.execution.log_tail
    ran = await run(flow(f"  - {{id: a, type: {LOG}, message: \"{{{{ secret('NONE') }}}}\"}}"))
    assert "there is no secret `NONE`" in ran.last["data"]["error"]


async def test_a_run_that_takes_too_long() -> None:
    pause = "  - {id: a, type: io.kestra.plugin.core.flow.Pause, pauseDuration: PT5H}"
    for behavior, state, end in (("FAIL", "FAILED", "run.failed"), ("CANCEL", "CANCELLED", "run.cancelled")):
        ran = await run(flow(pause, sla=f"  - {{id: s, type: MAX_DURATION, duration: PT1M, behavior: {behavior}}}"))
        assert ran.execution.state == state
        assert ran.world.story()[-1] == end
        assert "run.exceeded" in ran.world.story()


async def test_a_killed_run_is_told_as_cancelled() -> None:
    world = World()
    text = flow(
        "  - {id: a, type: io.kestra.plugin.scripts.shell.Script, script: 'sleep 60'}",
        afterExecution=f"  - {{id: z, type: {LOG}, message: '{{{{ execution.state }}}}'}}",
    )
    execution = Execution(read_flow("f.yml", text), world, id_="e", inputs={})
    going = asyncio.create_task(execute(execution, HANDLERS))
    while "stage.started a" not in world.story():
        await asyncio.sleep(0.01)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert world.story()[-3:] == ["run.cancelled", "stage.started z", "stage.succeeded z"]
    assert "INFO z: KILLED" in execution.log_tail


async def test_a_task_that_cannot_be_run_here_says_so() -> None:
    text = flow("  - {id: a, type: io.kestra.plugin.core.http.Request, uri: http://x.test}")
    world = World()
    await execute(Execution(read_flow("f.yml", text), world, id_="e", inputs={}), {})
    assert "io.kestra.plugin.core.http.Request cannot be run here" in world.told[-1]["data"]["error"]
