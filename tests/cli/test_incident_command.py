"""`tocsin incident`: what is in the file, what is not, and for whom."""

import json
import re
import stat
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from tests.cli.conftest import Command
from tests.harness import Running

pytestmark = pytest.mark.anyio

HOSTILE = "<script>alert(1)</script> | [here](https://evil.example) @everyone\n# a heading\x1b[2J"
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


async def outage(tocsin: Running) -> dict[str, Any]:
    """A run that failed: one receiver answers 503 and then takes it, one was silenced. Returns the run."""
    hook, quiet = tocsin.receiver.hook("/orders-secret-path"), tocsin.receiver.hook("/quiet")
    orders = await tocsin.webhook(hook, name="orders", secret=SECRET, headers={"x-key": "a-header-secret"})
    other = await tocsin.webhook(quiet, name="other")
    await tocsin.rule(orders, name="on call", event_types=["run.failed"])
    await tocsin.rule(other, name="everybody", event_types=["run.failed"])
    silence = {"matchers": [{"field": "rule", "value": "everybody"}], "duration_s": 3600, "reason": "deploy"}
    (await tocsin.client.post("/v1/silences", silence)).ok(201)
    hook.answer(503)
    tocsin.clock.move(60)
    for type_ in ("run.started", "run.failed"):
        await tocsin.send(id=type_, type=type_, pipeline="etl/orders", run_id="r1", message=HOSTILE)
    await tocsin.settle()
    await tocsin.move(10)
    hook.expect(2)
    (run,) = (await tocsin.client.get("/v1/runs")).ok()["items"]
    found: dict[str, Any] = run
    return found


async def test_a_run_is_written_down_whole(tocsin: Running, command: Command, tmp_path: Path) -> None:
    run = await outage(tocsin)
    file = tmp_path / "orders.zip"
    done = await command("incident", run["id"], str(file))
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{file}\t2 events\t2 deliveries\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with ZipFile(file) as archive:
        assert archive.namelist() == ["orders/incident.json", "orders/incident.md"]
        found, page = json.loads(archive.read("orders/incident.json")), archive.read("orders/incident.md").decode()

    assert found["run"]["id"] == run["id"]
    assert [one["id"] for one in found["events"]] == ["run.started", "run.failed"]
    assert found["why"] == (await tocsin.client.get(f"/v1/runs/{run['id']}/why")).ok()
    fates = {one["webhook"]: one for one in found["deliveries"]}
    assert [one["http_status_code"] for one in fates["orders"]["log"]] == [503, 200]
    assert (fates["other"]["status"], fates["other"]["log"]) == ("suppressed", [])
    assert {one["name"] for one in found["rules"]} == {"on call", "everybody"}
    assert {one["name"] for one in found["webhooks"]} == {"orders", "other"}
    assert [one["reason"] for one in found["silences"]] == ["deploy"]
    assert {"webhook.create", "rule.create", "silence.create"} <= {one["action"] for one in found["audit"]}
    for secret in (SECRET, "a-header-secret", "orders-secret-path", tocsin.client.token):
        assert secret not in json.dumps(found) + page

    story = page.partition("## Timeline")[2].partition("##")[0]
    order = ["silence begins", "run.started", "run.failed", "attempt 1", "HTTP 503", "attempt 2", "sent 200"]
    places = [story.index(word) for word in order]
    assert places == sorted(places), story
    assert "| change | test: webhook.create orders |" in page, "whose token it was, by its name"
    assert "silenced" in page
    assert "<script" not in page
    assert not re.search(r"(?<!\\)\]\(", page), "a link that a pipeline wrote"
    assert "@everyone" not in page
    assert "\x1b" not in page
    assert not [line for line in page.splitlines() if line.startswith("# a heading")]


async def test_an_event_is_too_and_into_a_folder(tocsin: Running, command: Command, tmp_path: Path) -> None:
    await outage(tocsin)
    folder = tmp_path / "kept"
    assert (await command("incident", "run.failed", str(folder))).code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["incident.json", "incident.md"]
    found = json.loads((folder / "incident.json").read_text())
    assert found["run"] is None
    assert [one["id"] for one in found["events"]] == ["run.failed"]
    assert len(found["deliveries"]) == 2
    again = await command("incident", "run.failed", str(folder))
    assert (again.code, again.err) == (2, f"tocsin: {folder} is there already: name another.\n")


async def test_what_people_changed_is_for_admins_alone(tocsin: Running, command: Command, tmp_path: Path) -> None:
    await outage(tocsin)
    viewer = await tocsin.token("viewer")
    done = await command("incident", "etl/orders", str(tmp_path / "kept"), TOCSIN_TOKEN=viewer)
    assert done.code == 0, done.err
    assert "left out\twhat people changed meanwhile: only an admin sees that" in done.out
    found = json.loads((tmp_path / "kept/incident.json").read_text())
    assert found["audit"] is None
    assert "change |" not in (tmp_path / "kept/incident.md").read_text()


async def test_another_tenant_has_no_such_incident(tocsin: Running, command: Command, tmp_path: Path) -> None:
    run = await outage(tocsin)
    stranger = await tocsin.token("admin", tenant="other")
    done = await command("incident", run["id"], str(tmp_path / "kept"), TOCSIN_TOKEN=stranger)
    assert done.code == 2
    assert "No such run" in done.err
    assert not (tmp_path / "kept").exists()


async def test_what_belongs_to_it_is_what_was_changed_around_it(
    tocsin: Running, command: Command, tmp_path: Path
) -> None:
    tocsin.clock.move(-7200)
    old = await tocsin.webhook("https://example.com/hook", name="long ago")
    tocsin.clock.move(7200)
    await outage(tocsin)
    for around, is_there in (("1h", False), ("3h", True)):
        folder = tmp_path / around
        assert (await command("incident", "etl/orders", str(folder), "--around", around)).code == 0
        found = json.loads((folder / "incident.json").read_text())
        assert (old["id"] in {one["id"] for one in found["audit"]}) is is_there
