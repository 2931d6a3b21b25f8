"""Flows and real processes that are killed: every execution that was taken has an end, and a reason."""

from pathlib import Path
from typing import Any

from tests.end_to_end.process import Server, Site, wait_for
from tests.flows.test_engine import LOG, flow
from tocsin.flows import runner

SCRIPT = "io.kestra.plugin.scripts.shell.Script"


def runs(server: Server) -> dict[str, Any]:
    return {run["run_id"]: run for run in server.call("GET", "/v1/runs")[2]["items"]}


def test_a_killed_tocsin_ends_what_it_ran_and_begins_what_waited(tmp_path: Path) -> None:
    flows, mark = tmp_path / "flows", tmp_path / "mark"
    flows.mkdir()
    (flows / "long.yml").write_text(
        flow(
            f"  - {{id: a, type: {SCRIPT}, script: 'sleep 5; touch {mark}'}}",
            afterExecution=f"  - {{id: z, type: {LOG}, message: done}}",
        )
    )
    (flows / "short.yml").write_text(flow(f"  - {{id: a, type: {LOG}, message: hi}}").replace("id: f", "id: short"))
    settings = {"TOCSIN_FLOWS": str(flows), "TOCSIN_FLOWS_AT_ONCE": "1", "TOCSIN_DRAIN_SECONDS": "1"}
    with Site(tmp_path / "site", settings=settings) as site:
        server = site.server().start()
        status, _, first = server.call("POST", "/v1/flows/dev/f/executions", {})
        assert status == 202, first
        wait_for("it runs", lambda: first["run_id"] in runs(server), 10.0)
        _, _, second = server.call("POST", "/v1/flows/dev/short/executions")
        server.kill()
        server.start()
        wait_for(
            "both are over", lambda: [bool(run["finished_at"]) for run in runs(server).values()] == [True] * 2, 10.0
        )
        found = runs(server)
        assert (found[first["run_id"]]["status"], found[first["run_id"]]["error"]) == ("failed", runner.RESTARTED)
        assert found[second["run_id"]]["status"] == "succeeded"
        assert [stage["name"] for stage in found[first["run_id"]]["stages"]] == ["a", "z"]
        assert not mark.exists()

        _, _, third = server.call("POST", "/v1/flows/dev/f/executions")
        wait_for("it runs", lambda: third["run_id"] in runs(server), 10.0)
        assert server.stop() == 0
        server.start()
        told = runs(server)[third["run_id"]]
        assert (told["status"], told["error"]) == ("cancelled", runner.STOPPED)
        assert not mark.exists()
