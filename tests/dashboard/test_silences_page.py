"""Silences in the dashboard: what one would hide is seen before, and what it hid afterwards."""

import pytest
from playwright.async_api import expect

from tests.dashboard.conftest import Look
from tests.dashboard.test_rules_page import as_, sent, undone
from tests.harness import Running

pytestmark = pytest.mark.anyio


async def test_a_silence_is_seen_before_ended_and_taken_up_again(tocsin: Running, look: Look) -> None:
    # flow E: the preview, the message that is held back, End now and its Undo
    hook = tocsin.receiver.hook("/x")
    await tocsin.webhook(hook, name="orders", enabled_events=["run.failed"])
    for number in range(4):
        await tocsin.send(pipeline="etl" if number else "other", run_id=f"r{number}")
    await tocsin.settle()
    hook.all_new()
    at = await look("developer")
    page = at.page
    await at.goto("/silences/new?pipeline=etl")
    # Endpoints of the tenant are everybody's to see.
    await expect(page.get_by_text("It would have held back 3 messages")).to_be_visible()
    await page.get_by_label("Value").first.fill("*")
    await expect(page.get_by_text("It would have held back 4 messages")).to_be_visible()
    await page.get_by_label("Value").first.fill("etl")
    await expect(page.get_by_text("It would have held back 3 messages")).to_be_visible()
    await page.get_by_label("Reason").fill("Moving")
    await page.get_by_role("button", name="Silence", exact=True).click()
    await expect(page.get_by_role("link", name="Moving")).to_be_visible()
    await tocsin.send(pipeline="etl", run_id="hushed")
    await tocsin.settle()
    assert not hook.all_new()
    await page.reload()
    await expect(page.locator("tbody tr td.num").first).to_have_text("1")
    await page.get_by_role("button", name="+1 h").click()
    await expect(page.get_by_text("It lasts until")).to_be_visible()
    await page.get_by_role("button", name="End now").click()
    await expect(page.get_by_text("Nothing is silenced")).to_be_visible()
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_role("link", name="Moving")).to_be_visible()
    items = (await tocsin.client.get("/v1/silences?status=open")).ok()["items"]
    assert [(one["reason"], one["matchers"][0]["value"]) for one in items] == [("Moving", "etl")]


async def test_without_a_script(tocsin: Running) -> None:
    browser = await as_(tocsin, "developer")
    rows = [("field", "severity"), ("op", "is not"), ("value", "critical"), ("field", ""), ("op", "is"), ("value", "")]
    hours = [("mute.start", "22:00"), ("mute.end", "07:00"), ("mute.weekdays", "sat, sun"), ("mute.time_zone", "")]
    for wrong, place in (
        ([*rows, ("lasts", "always")], "ends_at"),
        ([*rows, ("lasts", "until"), ("ends_at", "tomorrow")], "ends_at"),
        ([("field", "colour"), ("op", "is"), ("value", "red"), ("lasts", "1 h")], "row-0"),
        ([("lasts", "1 h")], "row-0"),
    ):
        answer = await sent(browser, "/silences/new", "/silences", wrong)
        assert answer.status == 200
        assert f'data-problem="{place}">Found' in answer.body.decode(), (wrong, answer.body.decode()[-3000:])
    assert (await tocsin.client.get("/v1/silences")).ok()["items"] == []
    answer = await sent(
        browser, "/silences/new", "/silences", [*rows, *hours, ("lasts", "always"), ("reason", "Nights")]
    )
    assert answer.status == 303
    (made,) = (await tocsin.client.get("/v1/silences")).ok()["items"]
    assert made["matchers"] == [{"field": "severity", "value": "critical", "negate": True}]
    assert (made["ends_at"], made["hours"][0]["weekdays"]) == (None, [5, 6])
    path = f"/silences/{made['id']}"
    assert "severity≠critical" in (await browser.get("/silences")).body.decode()
    changed = [("id", made["id"]), *rows, *hours, ("lasts", "2 h"), ("reason", "Nights"), ("comment", "for now")]
    assert (await sent(browser, path, "/silences", changed)).status == 303
    (after,) = (await tocsin.client.get("/v1/silences")).ok()["items"]
    assert after["comment"] == "for now"
    await sent(browser, path, f"{path}/extend", [])
    (longer,) = (await tocsin.client.get("/v1/silences")).ok()["items"]
    assert longer["ends_at"] > after["ends_at"]
    await undone(browser, "/silences")
    (again,) = (await tocsin.client.get("/v1/silences")).ok()["items"]
    assert again["ends_at"] == after["ends_at"]
    tocsin.clock.move(3 * 3600)
    page = (await browser.get("/silences?status=ended")).body.decode()
    assert "Nights" in page
    assert f"/silences/{made['id']}/end" not in page
    assert "Silence again" in (await browser.get(path)).body.decode()


async def test_a_viewer_sees_no_forms(tocsin: Running) -> None:
    body = {"matchers": [{"field": "pipeline", "value": "etl"}], "duration_s": 600, "reason": "Moving"}
    made = (await tocsin.client.post("/v1/silences", body)).ok(201)
    browser = await as_(tocsin, "viewer")
    for path in ("/silences", f"/silences/{made['id']}"):
        page = await browser.get(path)
        assert page.status == 200
        assert "Moving" in page.body.decode()
        assert f"/silences/{made['id']}/end" not in page.body.decode()
    assert (await browser.get("/silences/new")).status == 403
