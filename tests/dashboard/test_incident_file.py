"""A run as a file: what its page leads to, for each who may see the run, and for nobody else."""

import json
from io import BytesIO
from typing import Any
from zipfile import ZipFile

import pytest

from tests.dashboard.test_trace_forms import page, signed_in
from tests.harness import Running

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("role", ["viewer", "admin"])
async def test_a_runs_page_leads_to_its_file(tocsin: Running, role: str) -> None:
    hook = tocsin.receiver.hook("/secret-path")
    await tocsin.webhook(hook, name="team", enabled_events=["run.failed"])
    await tocsin.send(pipeline="etl/orders", run_id="r1", message="disk <b>full</b>")
    await tocsin.settle()
    hook.expect(1)
    (run,) = (await tocsin.client.get("/v1/runs")).ok()["items"]
    browser = await signed_in(tocsin, role)
    path = f"/runs/{run['id']}/incident.zip"
    assert f'href="{path}"' in await page(browser, f"/runs/{run['id']}")
    answer = await browser.get(path)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == f'attachment; filename="incident-{run["id"]}.zip"'
    with ZipFile(BytesIO(answer.body)) as archive:
        names = [f"incident-{run['id']}/{name}" for name in ("incident.json", "incident.md")]
        assert archive.namelist() == names
        found: dict[str, Any] = json.loads(archive.read(names[0]))
        story = archive.read(names[1]).decode()
    assert found["about"]["exported_by"] == f"{role}@example.com"
    assert [one["http_status_code"] for one in found["deliveries"][0]["log"]] == [200]
    assert (found["audit"] is None) is (role == "viewer")
    assert "disk &lt;b&gt;full" in story
    assert "secret-path" not in story + json.dumps(found)


async def test_nobody_else_gets_it(tocsin: Running) -> None:
    await tocsin.send(pipeline="etl/orders", run_id="r1")
    (run,) = (await tocsin.client.get("/v1/runs")).ok()["items"]
    path = f"/runs/{run['id']}/incident.zip"
    assert (await tocsin.client.with_token("").get(path)).status == 303  # to sign in
    browser = await signed_in(tocsin, "viewer")
    assert (await browser.get("/runs/run_00000000000000000000000000000000/incident.zip")).status == 404
    assert (await browser.get(path)).status == 200
