"""Runs as their events tell them: attempts, parents, stages that run many times, logs; whatever comes first."""

from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest

from tests.harness import Running
from tocsin.fakes.slack import FakeSlack

pytestmark = pytest.mark.anyio


def at(tocsin: Running, seconds: float = 0) -> str:
    """The clock's time as events carry it."""
    return datetime.fromtimestamp(tocsin.clock.now_s + seconds, UTC).isoformat()


async def tell(tocsin: Running, type_: str, run_id: str = "r1", *, ago: float = 0, **event: Any) -> None:
    about = {"pipeline": "etl/orders", "run_id": run_id, "time": at(tocsin, -ago)}
    await tocsin.send(type=type_, **about | event)


async def runs(tocsin: Running, filters: str = "") -> list[dict[str, Any]]:
    """Oldest first."""
    found: list[dict[str, Any]] = (await tocsin.client.get(f"/v1/runs?{filters}")).ok()["items"]
    return found[::-1]


async def whole(tocsin: Running, run: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await tocsin.client.get(f"/v1/runs/{run['id']}")).ok()
    return found


async def test_attempts_are_runs_of_one_name(tocsin: Running) -> None:
    await tell(tocsin, "run.started", ago=100)
    await tell(tocsin, "run.failed", ago=60, data={"error": "disk full"})
    await tell(tocsin, "run.started", ago=50, data={"attempt": 2})
    await tell(tocsin, "stage.started", ago=40, stage="load")  # says nothing: it is of the newest
    await tell(tocsin, "stage.failed", ago=35, stage="load", data={"attempt": 1, "will_retry": True})
    await tell(tocsin, "stage.started", ago=30, stage="load", data={"attempt": 2})
    await tell(tocsin, "stage.succeeded", ago=20, stage="load", data={"attempt": 2})
    await tell(tocsin, "stage.failed", ago=70, stage="extract", data={"run_attempt": 1, "error": "no such file"})
    await tell(tocsin, "run.succeeded", data={"attempt": 2})
    first, second = await runs(tocsin)
    assert (first["attempt"], first["status"], first["duration_s"], first["error"]) == (1, "failed", 40, "disk full")
    assert (second["attempt"], second["status"], second["duration_s"]) == (2, "succeeded", 50)
    assert [stage["name"] for stage in first["stages"]] == ["extract"]
    (load,) = second["stages"]
    assert (load["attempt"], load["status"], load["will_retry"], load["duration_s"]) == (2, "succeeded", False, 10)


async def test_attempts_in_one_request(tocsin: Running) -> None:
    about = {"pipeline": "p", "run_id": "r"}
    events: list[dict[str, Any]] = [
        {"type": "run.started", "data": {"attempt": 2}},
        {"type": "stage.started", "stage": "a"},
        {"type": "run.started", "data": {"attempt": 3}},
        {"type": "stage.started", "stage": "b"},
        {"type": "stage.started", "stage": "c", "data": {"run_attempt": 2}},
    ]
    (await tocsin.client.post("/v1/events", {"events": [about | event for event in events]})).ok(202)
    found = {run["attempt"]: [stage["name"] for stage in run["stages"]] for run in await runs(tocsin)}
    assert found == {2: ["a", "c"], 3: ["b"]}


async def test_31_the_order_in_which_a_run_is_told_does_not_matter(tocsin: Running) -> None:
    story: list[dict[str, Any]] = [
        {"type": "run.started", "time": at(tocsin, -60)},
        {"type": "stage.failed", "time": at(tocsin, -30), "stage": "load", "data": {"error": "disk full"}},
        {"type": "run.failed", "time": at(tocsin, -10), "data": {"error": "load failed"}},
        {"type": "run.failed", "time": at(tocsin, -10), "data": {"error": "load failed"}},
    ]
    for number, order in enumerate(permutations(story)):
        events = [{"pipeline": "p", "run_id": f"r{number}"} | event for event in order]
        for event in events:
            await tocsin.send(**event)
    found = await runs(tocsin, "limit=100")
    assert len(found) == 24
    for run in found:
        assert (run["status"], run["duration_s"], run["error"]) == ("failed", 50, "load failed")
        assert [(stage["name"], stage["status"], stage["error"]) for stage in run["stages"]] == [
            ("load", "failed", "disk full")
        ]


async def test_an_end_alone_stands_for_itself(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/ends")
    await tocsin.webhook(hook, enabled_events=["run.*"])
    for type_ in ("run.succeeded", "run.failed", "run.cancelled"):
        await tell(tocsin, type_, type_, data={"duration_s": 90})
    await tocsin.settle()
    assert [message.json["duration_s"] for message in hook.expect(3)] == [90, 90, 90]
    for run in await runs(tocsin):
        assert run["status"] == run["run_id"].removeprefix("run.")
        assert run["started_at"] is None
        assert run["duration_s"] is None


async def test_a_stage_that_runs_over_a_list(tocsin: Running) -> None:
    await tell(tocsin, "run.started")
    for index in (0, 1, 2):
        await tell(tocsin, "stage.started", ago=50 - index, stage="resize", data={"map_index": index})
        await tell(
            tocsin, "stage.failed" if index == 1 else "stage.succeeded", stage="resize", data={"map_index": index}
        )
    await tell(tocsin, "stage.succeeded", stage="publish", data={"map_index": -1})
    (run,) = await runs(tocsin)
    assert [(stage["name"], stage["map_index"], stage["status"]) for stage in run["stages"]] == [
        ("resize", 0, "succeeded"), ("resize", 1, "failed"), ("resize", 2, "succeeded"), ("publish", None, "succeeded"),
    ]  # fmt: skip


async def test_parents_know_their_children(tocsin: Running) -> None:
    await tell(tocsin, "run.started", "parent", pipeline="nightly")
    for name in ("one", "two"):
        await tell(tocsin, "run.started", name, data={"parent_run_id": "parent"})
        await tell(tocsin, "run.succeeded", name)
    await tell(tocsin, "run.started", "elsewhere", data={"parent_run_id": 7})
    parent, one, two, elsewhere = await runs(tocsin)
    assert set((await whole(tocsin, parent))["children"]) == {one["id"], two["id"]}
    assert (await whole(tocsin, one))["children"] == []
    assert (one["parent_run_id"], elsewhere["parent_run_id"]) == ("parent", "")
    assert await runs(tocsin, "parent_run_id=parent") == [one, two]


async def test_the_end_of_the_log_is_kept(tocsin: Running) -> None:
    await tell(tocsin, "run.started", data={"log": "loading\n"})
    await tell(tocsin, "stage.started", stage="load", data={"log": "row 1"})
    await tell(tocsin, "run.progress", data={"log": "row 2"})
    (run,) = await runs(tocsin)
    assert "log_tail" not in run
    assert (await whole(tocsin, run))["log_tail"] == "loading\nrow 1\nrow 2"
    await tell(tocsin, "run.progress", data={"log": "é" * 20_000 + "the end"})
    tail = (await whole(tocsin, run))["log_tail"]
    assert 16 * 1024 - 2 < len(tail.encode()) <= 16 * 1024
    assert tail.endswith("éthe end")
    assert "�" not in tail
    await tell(tocsin, "run.failed", data={"log_tail": "Traceback\nValueError: no"})
    await tell(tocsin, "run.progress", ago=100, data={"log_tail": "an older one"})
    assert (await whole(tocsin, run))["log_tail"] == "Traceback\nValueError: no"


async def bot(tocsin: Running) -> FakeSlack:
    slack = FakeSlack(limits=True)
    tocsin.receiver.play(slack)
    settings = {"bot_token": "xoxb-1234567890-tocsin-fake-workspace", "channel": "#alerts"}
    body = {"provider_type": "slack_bot", "name": "alerts", "enabled_events": ["*"], "settings": settings}
    (await tocsin.client.post("/v1/webhooks", body)).ok(201)
    return slack


async def test_a_late_word_about_an_older_attempt_does_not_bring_it_back(tocsin: Running) -> None:
    """The run's message shows its newest attempt; what is said beneath is about the attempt that it is about."""
    slack = await bot(tocsin)
    await tell(tocsin, "run.started")
    await tocsin.move(10)
    await tell(tocsin, "run.started", data={"attempt": 2})
    await tocsin.move(10)
    await tell(tocsin, "run.succeeded", data={"attempt": 2})
    await tocsin.move(10)
    (root,) = slack.messages
    shown = root.text + str(root.blocks)
    assert "succeeded" in shown
    assert "*Attempt*\\n2" in shown
    await tell(tocsin, "run.failed", ago=25, data={"attempt": 1, "error": "disk full"})
    await tocsin.wait_out()
    roots = [message for message in slack.messages if not message.broadcast]
    assert roots == [root]
    assert "succeeded" in root.text + str(root.blocks)
    (late,) = root.replies
    assert "disk full" in late.text + str(late.blocks)
    assert "failed after 5 s" in late.text


async def test_each_try_of_a_stage_is_told_once(tocsin: Running) -> None:
    slack = await bot(tocsin)
    await tell(tocsin, "run.started")
    await tocsin.move(5)
    for attempt in (1, 2):
        await tell(tocsin, "stage.failed", stage="load", data={"attempt": attempt, "error": f"try {attempt}"})
        await tocsin.move(5)
    await tell(tocsin, "stage.succeeded", stage="load", data={"attempt": 3})
    await tell(tocsin, "run.succeeded")
    await tocsin.wait_out()
    (root,) = slack.messages
    told = [reply.text + str(reply.blocks) for reply in root.replies]
    assert ["try 1" in told[0], "try 2" in told[1]] == [True, True]
    assert len(told) == 3


async def test_words_of_an_older_event_do_not_replace_newer_ones(tocsin: Running) -> None:
    """Events come a little after their time: the next one's time lies before the last one's coming."""
    slack = await bot(tocsin)
    await tell(tocsin, "run.started", ago=3, title="Loading")
    await tell(tocsin, "run.progress", ago=1, title="Half of it", labels={"env": "prod"})
    await tell(tocsin, "run.progress", ago=2, title="A quarter", labels={"team": "data"})
    await tocsin.wait_out()
    (root,) = slack.messages
    assert "Half of it" in root.text + str(root.blocks)
