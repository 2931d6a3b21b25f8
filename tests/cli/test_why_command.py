"""`tocsin why`: an event, a run or a pipeline by whatever name it is known."""

import pytest

from tests.cli.conftest import Command, Invoke, Stub
from tests.harness import Running

pytestmark = pytest.mark.anyio


async def one_run(tocsin: Running) -> dict[str, str]:
    """A run of which nobody was told. Returns its ids."""
    webhook = await tocsin.webhook("https://example.com/hook", name="orders")
    await tocsin.rule(webhook, name="other team", labels={"team": "ml"})
    for type_ in ("run.started", "run.failed"):
        await tocsin.send(id=type_, type=type_, pipeline="etl/orders", run_id="2026-11-21T02:00")
    (run,) = (await tocsin.client.get("/v1/runs")).ok()["items"]
    found: dict[str, str] = run
    return found


async def test_an_event(tocsin: Running, command: Command) -> None:
    await one_run(tocsin)
    done = await command("why", "run.failed")
    reason = "the event has no label team"
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        f"Nobody was told: rule other team: {reason}.\n\nrule\tverdict\treason\nother team\tnot_matched\t{reason}\n"
    )
    (answer,) = (await command("why", "run.failed", "-o", "json")).json
    assert answer == (await tocsin.client.get("/v1/events/run.failed/why")).ok()


@pytest.mark.parametrize("name", ["id", "run_id", "pipeline"])
async def test_a_run_by_its_ids_and_by_its_pipeline(tocsin: Running, command: Command, name: str) -> None:
    run = await one_run(tocsin)
    done = await command("why", run[name])
    first, _, head, *events = done.out.splitlines()
    assert first.startswith("Nobody was told of etl/orders 2026-11-21T02:00, which failed after ")
    assert head.split("\t") == ["time", "event_id", "event_type", "stage", "summary"]
    assert [line.split("\t")[1] for line in events] == ["run.started", "run.failed"]
    assert (await command("why", run[name], "-o", "json")).json[0]["id"] == run["id"]


async def test_of_a_pipeline_the_newest_run(tocsin: Running, command: Command) -> None:
    for run_id in ("r1", "r2"):
        await tocsin.send(pipeline="etl", run_id=run_id)
    assert (await command("why", "etl", "-o", "json")).json[0]["run_id"] == "r2"


async def test_of_a_pipeline_without_runs_the_newest_event(tocsin: Running, command: Command) -> None:
    for id_ in ("first", "a/b?c"):
        await tocsin.send(id=id_, pipeline="etl")
    assert (await command("why", "etl", "-o", "json")).json[0]["event_id"] == "a/b?c"


async def test_two_sources_with_one_id(tocsin: Running, command: Command) -> None:
    await tocsin.send(id="1", source="airflow", type="run.failed")
    await tocsin.send(id="1", source="dagster", type="run.succeeded")
    (answer,) = (await command("why", "1", "--source", "airflow", "-o", "json")).json
    assert answer["event_type"] == "run.failed"
    assert (await command("why", "1", "--source", "mlflow")).code == 2


async def test_nothing_of_that_name_came_in(tocsin: Running, command: Command) -> None:
    done = await command("why", "etl/orders")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "tocsin: There is no event, no run and no pipeline called etl/orders: `tocsin events` lists what came in.\n"
    )
    assert (await command("why", "evt_1")).err == "tocsin: No such event.\n"
    assert (await command("why", "run_1")).err == "tocsin: No such run.\n"


def test_a_name_with_slashes_is_one_name(invoke: Invoke, stub: Stub) -> None:
    stub.answer = {"summary": "x.", "decisions": [], "deliveries": []}
    assert invoke("why", "a/b?c", TOCSIN_URL=stub.url).out == "x.\n"
    assert stub.asked[0][1] == "/v1/events/a%2Fb%3Fc/why"
