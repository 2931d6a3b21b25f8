"""The client against a real Tocsin: what is told of a run, a stage and an event, and what comes of it."""

import asyncio
import logging
import threading
from typing import Any

import pytest

from tests.client.conftest import NewClient
from tests.harness import Running
from tocsin_client import Tocsin

pytestmark = pytest.mark.anyio


async def flushed(client: Tocsin) -> None:
    assert await asyncio.to_thread(client.flush, 10), client.stats()


def to(tocsin: Running, client: NewClient, **settings: Any) -> Tocsin:
    return client(tocsin.client.base, tocsin.client.token, **settings)


async def whole(tocsin: Running, **filters: str) -> dict[str, Any]:
    (run,) = (await tocsin.client.get("/v1/runs?" + "&".join(f"{k}={v}" for k, v in filters.items()))).ok()["items"]
    found: dict[str, Any] = (await tocsin.client.get(f"/v1/runs/{run['id']}")).ok()
    return found


async def types(tocsin: Running) -> list[str]:
    items = (await tocsin.client.get("/v1/events")).ok()["items"]
    return [event["type"] for event in reversed(items)]


async def test_an_event_arrives_as_it_was_told(tocsin: Running, client: NewClient) -> None:
    mine = to(tocsin, client, labels={"env": "prod"})
    id_ = mine.emit(
        "training.complete", pipeline="lstm", labels={"team": "ml"}, accuracy=0.968, links={"run": "http://x/1"}
    )
    await flushed(mine)
    event = (await tocsin.client.get(f"/v1/events/{id_}")).ok()
    assert event["kind"] == "run.succeeded"
    assert event["source"] == "python"
    assert event["labels"] == {"env": "prod", "team": "ml"}
    assert event["data"] == {"accuracy": 0.968}
    assert event["links"] == {"run": "http://x/1"}
    assert mine.stats()["sent"] == 1


async def test_a_run_with_stages_is_one_run(tocsin: Running, client: NewClient) -> None:
    mine = to(tocsin, client)
    with mine.run("etl/orders", "r1", labels={"env": "prod"}) as run:
        with run.stage("extract"):
            mine.emit("note", title="inside")
        async with mine.stage("load") as load:
            load.progress(0.5, "half of it")
        run.progress(0.9)
        run.log("all is well")
    await flushed(mine)
    found = await whole(tocsin, run_id="r1")
    assert found["status"] == "succeeded"
    assert [(stage["name"], stage["status"]) for stage in found["stages"]] == [
        ("extract", "succeeded"),
        ("load", "succeeded"),
    ]
    assert found["log_tail"] == "all is well\n"
    note = next(e for e in (await tocsin.client.get("/v1/events?type=note")).ok()["items"])
    assert (note["pipeline"], note["run_id"], note["stage"]) == ("etl/orders", "r1", "extract")


async def test_an_exception_is_told_with_its_words_and_goes_on(tocsin: Running, client: NewClient) -> None:
    mine = to(tocsin, client)
    with pytest.raises(ZeroDivisionError), mine.run("etl/orders", "r1") as run, run.stage("load"):
        1 / 0  # noqa: B018
    await flushed(mine)
    found = await whole(tocsin, run_id="r1")
    assert found["status"] == "failed"
    assert found["error"] == "ZeroDivisionError: division by zero"
    assert "1 / 0" in found["log_tail"]
    assert [stage["status"] for stage in found["stages"]] == ["failed"]


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (KeyboardInterrupt(), "cancelled"),
        (asyncio.CancelledError(), "cancelled"),
        (SystemExit(0), "succeeded"),
        (SystemExit(3), "failed"),
    ],
)
async def test_how_a_run_ends_is_told_apart(
    tocsin: Running, client: NewClient, ending: BaseException, status: str
) -> None:
    mine = to(tocsin, client)
    with pytest.raises(type(ending)), mine.run("p", "r1"):
        raise ending
    await flushed(mine)
    assert (await whole(tocsin, run_id="r1"))["status"] == status


async def test_functions_of_both_colours_can_be_decorated(tocsin: Running, client: NewClient) -> None:
    mine = to(tocsin, client)

    @mine.stage("load")
    def load(rows: int) -> int:
        """Loads."""
        return rows * 2

    @mine.run("etl/orders")
    async def pipeline(rows: int) -> int:
        await asyncio.sleep(0)
        return load(rows)

    assert list(await asyncio.gather(pipeline(1), pipeline(2))) == [2, 4]
    assert load.__doc__ == "Loads."
    await flushed(mine)
    runs = (await tocsin.client.get("/v1/runs")).ok()["items"]
    assert len(runs) == 2
    assert {run["run_id"] for run in runs} == {run["run_id"] for run in runs if len(run["stages"]) == 1}


async def test_a_run_within_a_run_is_its_child(
    tocsin: Running, client: NewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = to(tocsin, client)
    with mine.run("outer", "o"), mine.run("inner", "i"):
        pass
    await flushed(mine)
    assert (await whole(tocsin, run_id="i"))["parent_run_id"] == "o"


async def test_logs_can_be_kept_with_the_run(tocsin: Running, client: NewClient) -> None:
    mine = to(tocsin, client)
    with mine.run("p", "r1", capture_logs=True):
        logging.getLogger("mine").warning("disk almost full")
    logging.getLogger("mine").warning("after the end")
    await flushed(mine)
    tail = (await whole(tocsin, run_id="r1"))["log_tail"]
    assert "WARNING mine: disk almost full" in tail
    assert "after" not in tail


async def test_a_long_log_keeps_its_end(tocsin: Running, client: NewClient) -> None:
    mine = to(tocsin, client)
    with mine.run("p", "r1") as run:
        for number in range(3000):
            run.log(f"line {number} é")
    await flushed(mine)
    tail = (await whole(tocsin, run_id="r1"))["log_tail"]
    assert tail.endswith("line 2999 é\n")
    assert 15_000 < len(tail.encode()) <= 16 * 1024


async def test_only_the_first_end_counts(tocsin: Running, client: NewClient) -> None:
    mine = to(tocsin, client)
    run = mine.run("hpo", "r1", noun="hpo.campaign", heartbeat_s=0).start()
    run.fail("no GPU")
    run.succeed()
    await flushed(mine)
    assert await types(tocsin) == ["hpo.campaign_started", "hpo.campaign_failed"]
    assert (await whole(tocsin, run_id="r1"))["error"] == "no GPU"


async def test_a_long_run_gives_signs_of_life(tocsin: Running, client: NewClient) -> None:
    mine = to(tocsin, client)
    beaten = threading.Event()
    with mine.run("p", "r1", heartbeat_s=0.01) as run:
        beat = run._beat

        def noted() -> None:
            beat()
            beaten.set()

        key = id(run)
        due, every, _ = mine.courier.beats[key]
        mine.courier.beats[key] = (due, every, noted)
        assert await asyncio.to_thread(beaten.wait, 10)
    await flushed(mine)
    found = await types(tocsin)
    assert found[0] == "run.started"
    assert found[-1] == "run.succeeded"
    assert set(found[1:-1]) == {"run.heartbeat"}
    assert not mine.courier.beats
