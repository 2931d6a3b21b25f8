"""Why was I not told? From what somebody remembers to the answer, in one or two steps, in a browser."""

import pytest
from playwright.async_api import expect

from tests.dashboard.conftest import Look, Looking
from tests.harness import Running

pytestmark = pytest.mark.anyio


async def ask(at: Looking, text: str) -> None:
    """Ctrl K, paste, Enter."""
    await at.page.keyboard.press("Control+k")
    await at.page.locator("#palette input").fill(text)
    await at.page.keyboard.press("Enter")


async def three_stories(tocsin: Running) -> None:
    """One run is silenced, another one no rule asks for, and a third never came in."""
    webhook = await tocsin.webhook("https://example.com/hook", name="on-call")
    await tocsin.rule(webhook, name="prod failures", event_types=["run.failed"], labels={"env": "prod"})
    silence = {"matchers": [{"field": "pipeline", "value": "etl/*"}], "duration_s": 7200, "reason": "new cluster"}
    (await tocsin.client.post("/v1/silences", silence)).ok(201)
    prod, dev = {"env": "prod"}, {"env": "dev"}
    await tocsin.send(
        id="e-silenced", pipeline="etl/orders", run_id="r-silenced", data={"error": "disk full"}, labels=prod
    )
    await tocsin.send(id="e-unmatched", pipeline="ml/train", run_id="r-unmatched", labels=dev)
    await tocsin.settle()


@pytest.mark.parametrize("role", ["viewer", "developer"])
async def test_why_was_i_not_told(tocsin: Running, look: Look, role: str) -> None:
    await three_stories(tocsin)
    at = await look(role)
    await at.goto("/")
    for text in ("r-silenced", "e-silenced", "etl/orders"):
        await ask(at, text)
        verdict = at.page.locator(".verdict")
        await expect(verdict).to_contain_text("Nobody was told")
        await expect(verdict).to_contain_text("new cluster")
        await expect(at.page.locator(".quiet-note")).to_contain_text("pipeline=etl/*")
        await expect(at.page.get_by_role("button", name="End silence")).to_have_count(int(role == "developer"))
    for text in ("r-unmatched", "e-unmatched"):
        await ask(at, text)
        await expect(at.page.locator(".verdict")).to_contain_text("the label env is dev, not prod")
    await expect(at.page.locator(".trace li").nth(1)).to_contain_text("prod failures")
    await ask(at, "r-never-came")
    await expect(at.page.locator("main")).to_contain_text("Nothing is called r-never-came")
    await expect(at.page.get_by_role("link", name="run.failed")).to_be_visible()


async def test_silence_this_pipeline_from_its_run_and_take_it_back(tocsin: Running, look: Look) -> None:
    await tocsin.send(pipeline="etl/orders", run_id="r1")
    (run,) = (await tocsin.client.get("/v1/runs")).ok()["items"]
    at = await look("developer")
    await at.goto(f"/runs/{run['id']}")
    await at.page.keyboard.press("s")
    await at.page.get_by_role("button", name="2 h", exact=True).click()
    await expect(at.page.locator(".toast-line")).to_contain_text("etl/orders is silent for 2 h")
    (silence,) = (await tocsin.client.get("/v1/silences?status=open")).ok()["items"]
    assert silence["matchers"] == [{"field": "pipeline", "value": "etl/orders", "negate": False}]
    await at.page.get_by_role("button", name="Undo").click()
    await expect(at.page.locator(".toast-line")).to_contain_text("has ended")
    assert (await tocsin.client.get("/v1/silences?status=open")).ok()["items"] == []
    assert at.path == f"/runs/{run['id']}"

    await ask(at, "silence 2 h")
    await expect(at.page.locator(".toast-line")).to_contain_text("etl/orders is silent for 2 h")
    (silence,) = (await tocsin.client.get("/v1/silences?status=open")).ok()["items"]
    await at.page.get_by_role("button", name="End silence").click()
    await expect(at.page.locator(".toast-line")).to_contain_text("has ended")
    assert (await tocsin.client.get(f"/v1/silences/{silence['id']}")).ok()["status"] == "ended"
