"""Each program of docs/frameworks.md, run with its framework, against a real `tocsin serve`.

Four runs: one that succeeds, one that is tried again, one that fails for good, and one that succeeds after it. People
are told once that it fails, and once that it is over.
"""

import asyncio
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.end_to_end.process import ROOT, Server, Site
from tests.frameworks.environments import python_of
from tests.harness import Clock, Hook, receiving
from tests.test_docs import TEXTS, blocks

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
PROGRAMS = {
    name: body for page in ("docs/frameworks.md", "docs/sources.md") for name, body in blocks(TEXTS[page], "program")
}
ALWAYS = 99
WITHIN_S = 15.0


class Framework(NamedTuple):
    """What is special about it, and what its four runs lead to. `file`: where the page's program goes. `tries`: how
    often it tries. `error`: what people are told."""

    file: str = "pipeline.py"
    command: tuple[str, ...] = ("python", "pipeline.py")
    before: tuple[str, ...] = ()
    pipeline: str = "etl/orders"
    tries: int = 2
    error: str = "no rows in orders.csv"
    environment: dict[str, str] = {}
    lock: str = ""
    lineage: bool = False


DATABASE, DAG = ("airflow", "db", "migrate"), ("airflow", "dags", "test", "orders")
AIRFLOW = {"AIRFLOW__CORE__LOAD_EXAMPLES": "false", "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "0"}
PREFECT = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120"}
NAMED = {"TOCSIN_PIPELINE": "etl/orders"}
QUICK = {
    "luigi": Framework(),
    "optuna": Framework(error="3 trials failed"),
    "openlineage": Framework(lineage=True),
    "cloudevents": Framework(tries=1),
}
SLOW = {
    "celery": Framework(command=("python", "ran.py")),
    "prefect": Framework(pipeline="orders", environment=PREFECT),
    "dagster": Framework(command=("python", "ran.py"), pipeline="orders"),
    "kedro": Framework(file="src/shop/settings.py", command=("kedro", "run"), pipeline="shop", tries=1),
    "papermill": Framework(tries=1),
    "snakemake": Framework(
        file="Snakefile", command=("snakemake", "--cores", "1", "--logger", "tocsin"), error="rule", environment=NAMED
    ),
    "airflow": Framework(
        file="airflow/dags/pipeline.py", command=DAG, before=DATABASE, pipeline="orders", environment=AIRFLOW
    ),
    "airflow_listener": Framework(
        file="airflow/plugins/tocsin.py",
        command=DAG,
        before=DATABASE,
        pipeline="orders",
        environment=AIRFLOW,
        lock="airflow",
    ),
    "airflow_openlineage": Framework(
        command=DAG, before=DATABASE, pipeline="orders", environment=AIRFLOW, lock="airflow", lineage=True
    ),
    "dbt": Framework(
        command=("dbt-ol", "run"), pipeline="dbt-run-shop", tries=1, error="shop.main.shop.orders", lineage=True
    ),
}
EVERY = [*QUICK, *(pytest.param(name, marks=pytest.mark.proof) for name in SLOW)]


async def ran(python: Path, command: tuple[str, ...], folder: Path, environment: dict[str, str]) -> tuple[int, str]:
    """A command of this environment, its exit code and what it said."""
    program = await asyncio.create_subprocess_exec(
        python.with_name(command[0]), *command[1:], cwd=folder, env=environment,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(program.communicate(), 240)
    except TimeoutError:
        program.kill()
        raise
    return program.returncode or 0, said.decode(errors="replace")


async def items(server: Server, path: str) -> list[dict[str, Any]]:
    status, _, answer = await asyncio.to_thread(server.call, "GET", path)
    assert status == 200, answer
    found: list[dict[str, Any]] = answer["items"]
    return found


async def settled(server: Server) -> None:
    """Waits until no delivery is left to be sent."""
    until = time.monotonic() + WITHIN_S
    while any(one["status"] not in ("delivered", "suppressed") for one in await items(server, "/v1/deliveries")):
        assert time.monotonic() < until, server.log()
        await asyncio.sleep(0.02)


async def added(server: Server, hook: Hook, **rule: Any) -> None:
    """A channel, and a rule that leads to it."""
    endpoint = {"provider_type": "slack", "name": hook.path[-4:], "webhook_url": hook.url}
    status, _, answer = await asyncio.to_thread(server.call, "POST", "/v1/webhooks", endpoint)
    assert status == 201, answer
    whole = {"name": hook.path[-4:], "event_types": ["run.failed", "stage.failed"], **rule}
    whole["webhook_endpoint_ids"] = [answer["id"]]
    status, _, answer = await asyncio.to_thread(server.call, "POST", "/v1/alert-rules", whole)
    assert status == 201, answer


@pytest.mark.parametrize("name", EVERY)
async def test_one_incident_is_one_alert(name: str, tmp_path: Path, clock: Clock) -> None:
    # the proof of each hook with its framework
    framework = (QUICK | SLOW)[name]
    python = await asyncio.to_thread(python_of, framework.lock or name)
    folder = tmp_path / "work"
    supplies = HERE / "programs" / (framework.lock or name)
    shutil.copytree(supplies, folder) if supplies.exists() else folder.mkdir()
    shutil.copy(HERE / "orders.py", folder)
    if name in PROGRAMS:
        (folder / framework.file).parent.mkdir(parents=True, exist_ok=True)
        (folder / framework.file).write_text(PROGRAMS[name])
    async with receiving(clock) as receiver:
        alerts, changes = receiver.slack("A"), receiver.slack("B")
        settings = {"TOCSIN_CONNECT_TO": receiver.diversions}
        with await asyncio.to_thread(Site, tmp_path, settings=settings) as site:
            server = await asyncio.to_thread(site.server().start)
            await added(server, alerts)
            await added(server, changes, changes={"recovered": True})
            environment = environment_of(server, site, python, folder) | framework.environment
            if framework.lineage:
                del environment["OPENLINEAGE_DISABLED"]
                environment |= {"OPENLINEAGE_URL": server.url, "OPENLINEAGE_API_KEY": site.token}
            if framework.before:
                code, said = await ran(python, framework.before, folder, environment)
                assert code == 0, said
            for number, (failures, status) in enumerate(
                [(0, "succeeded"), (framework.tries - 1, "succeeded"), (ALWAYS, "failed"), (0, "succeeded")]
            ):
                (folder / "failures").write_text(str(failures))
                (folder / "orders.loaded").unlink(missing_ok=True)
                code, said = await ran(python, framework.command, folder, environment)
                assert code == 0 or status == "failed", said
                runs = await items(server, "/v1/runs")  # one for each attempt, newest first
                assert len({run["run_id"] for run in runs}) == number + 1, said + json.dumps(runs, indent=1)
                assert (runs[0]["pipeline"], runs[0]["status"]) == (framework.pipeline, status), said
                assert all(run["status"] != "running" for run in runs), runs
                await settled(server)
                alert = alerts.expect(status == "failed")
                assert all(framework.error in text_of(one.json) for one in alert), alert
                changes.expect(number >= 2)
        receiver.check()


def text_of(message: Any) -> str:
    return json.dumps(message, ensure_ascii=False)


def environment_of(server: Server, site: Site, python: Path, folder: Path) -> dict[str, str]:
    """Nothing of this machine's but what a shell has; nobody phones home."""
    kept = {name: os.environ[name] for name in ("LANG", "TZ") if name in os.environ}
    return kept | {
        "PATH": f"{python.parent}:/usr/bin:/bin",
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "clients/python/src"), str(folder)]),
        "TOCSIN_URL": server.url,
        "TOCSIN_TOKEN": site.token,
        "TOCSIN_SPOOL_DIR": str(folder / "spool"),
        "OPENLINEAGE_DISABLED": "true",
        "DO_NOT_TRACK": "1",
        "KEDRO_DISABLE_TELEMETRY": "1",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
