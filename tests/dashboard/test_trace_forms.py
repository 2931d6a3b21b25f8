"""Pages of events, runs and pipelines without a script: forms that post, links that lead."""

import re
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from tests.dashboard.pages_of import Forms
from tests.harness import Running, Start
from tests.web.browser import PASSWORD, Browser, account_of, set_up

pytestmark = pytest.mark.anyio


async def signed_in(tocsin: Running, role: str) -> Browser:
    await set_up(tocsin)
    await account_of(tocsin, f"{role}@example.com", role)
    browser = Browser(tocsin)
    (await browser.log_in(f"{role}@example.com", PASSWORD)).ok()
    return browser


async def page(browser: Browser, path: str) -> str:
    answer = await browser.get(path)
    assert answer.status == 200, (path, answer.status, answer.body[-800:])
    return answer.body.decode()


async def send(browser: Browser, path: str, action: str, **changed: Any) -> str:
    """The form of that page with that action, with these fields otherwise (a list for a field that comes several
    times); where it leads."""
    form = next(one for one in Forms(await page(browser, path)).found if one.action == action)
    fields = [(name, value) for name, value in form.fields if name not in changed]
    for name, value in changed.items():
        fields += [(name, one) for one in (value if isinstance(value, list) else [value])]
    answer = await browser.raw(action, urlencode(fields).encode())
    assert answer.status == 303, (answer.status, answer.body[-800:])
    return answer.headers["location"]


async def test_who_is_told_of_a_pipeline_is_a_form(tocsin: Running) -> None:
    first = await tocsin.webhook("https://example.com/a", name="team")
    second = await tocsin.webhook("https://example.com/b", name="boss")
    kept = {"webhook_id": first["id"], "events": ["run.failed"], "labels": {"env": "prod"}, "retries": "thread"}
    path = f"/v1/pipelines/{quote('etl/a b', safe='')}/notifications"
    (await tocsin.client.request("PUT", path, {"notifications": [kept]})).ok()
    browser = await signed_in(tocsin, "developer")
    here = "/pipelines/etl%2Fa%20b"
    blank = {name: ["", ""] for name in ("mentions", "format")}
    led = await send(
        browser, here, "/pipelines/notifications",
        webhook_id=[first["id"], second["id"]], events=["run.failed, run.warning", ""], is_active=["on", "off"],
        condition=["", "data.rows < 10"], **blank,
    )  # fmt: skip
    assert led == here
    found = (await tocsin.client.get(path)).ok()["notifications"]
    told = [(one["webhook_id"], one["events"], one["condition"], one["is_active"]) for one in found]
    assert told == [
        (first["id"], ["run.failed", "run.warning"], "", True),
        (second["id"], [], "data.rows < 10", False),
    ]
    assert (found[0]["labels"], found[0]["retries"]) == ({"env": "prod"}, "thread"), "what the form does not show stays"
    names = ("webhook_id", "events", "condition", "is_active", "mentions", "format")
    form = next(one for one in Forms(await page(browser, here)).found if one.action == "/pipelines/notifications")
    other = [(name, value) for name, value in form.fields if name not in names]
    row = {"webhook_id": first["id"], "condition": "data.rows <", "is_active": "on"}
    answer = await browser.raw("/pipelines/notifications", urlencode([*other, *row.items()]).encode())
    assert answer.status == 400
    assert b"notifications[0].condition" in answer.body
    assert b"data.rows &lt;" in answer.body
    assert (await tocsin.client.get(path)).ok()["notifications"] == found
    await send(browser, here, "/pipelines/notifications", webhook_id=["", ""])
    assert (await tocsin.client.get(path)).ok()["notifications"] == []


async def test_a_test_event_leads_to_what_became_of_it(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    await tocsin.webhook(hook, name="team", enabled_events=["run.failed"])
    browser = await signed_in(tocsin, "developer")
    led = await send(browser, "/events", "/events/test", pipeline="etl/x", run_id="r1")
    assert "team" in await page(browser, led)
    await tocsin.settle()
    hook.expect(1)
    assert "1 sent" in await page(browser, "/events")
    assert "1 sent" in await page(browser, "/events?" + urlencode({"q": "pipeline:etl/x type:run.failed"}))
    assert "No event fits" in await page(browser, "/events?q=pipeline%3Anone")
    assert "colour" in await page(browser, "/events?q=colour%3Ared")


async def test_what_was_held_back_is_sent_after_all(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    admin = await set_up(tocsin)
    await tocsin.webhook(hook, name="team", enabled_events=["run.failed"])
    silence = {"matchers": [{"field": "pipeline", "value": "etl"}], "duration_s": 3600}
    (await tocsin.client.post("/v1/silences", silence)).ok(201)
    await tocsin.send(id="dir/e 1", pipeline="etl", run_id="r1")
    await tocsin.settle()
    here = f"/events/{quote('dir/e 1', safe='')}"
    text = await page(admin, here)
    uid = (await tocsin.client.get("/v1/events?pipeline=etl")).ok()["items"][0]["uid"]
    assert "Send it now anyway" in text
    assert "Nobody was told" in text
    await send(admin, here, f"/events/{uid}/again")
    await tocsin.settle()
    hook.expect(1)


async def test_what_the_rules_of_now_would_make_of_it(tocsin: Running) -> None:
    await tocsin.send(id="e1", pipeline="etl", run_id="r1")
    before = (await tocsin.client.get("/v1/events/e1/preview")).ok()
    assert before["summary"] == "With the rules of now nobody would be told: no rule asks for this event."
    webhook = await tocsin.webhook("https://example.com/a", name="team")
    await tocsin.rule(webhook, name="late", pipelines=["etl"])
    after = (await tocsin.client.get("/v1/events/e1/preview")).ok()
    assert after["summary"] == "With the rules of now team would be told."
    assert (after["notifies"], after["decisions"][0]["rule"]) == (["team"], "late")
    assert await tocsin.deliveries() == []
    browser = await signed_in(tocsin, "viewer")
    assert "With the rules of now team would be told." in await page(browser, "/events/e1?again=1")
    assert "Send a test event" not in await page(browser, "/events")


async def test_a_messages_link_opens_the_run(start: Start) -> None:
    # messages lead to {TOCSIN_PUBLIC_URL}/runs/{id}
    tocsin = await start(TOCSIN_PUBLIC_URL="https://tocsin.example")
    hook = tocsin.receiver.slack()
    await tocsin.webhook(hook, name="chat", enabled_events=["run.failed"])
    await tocsin.send(pipeline="etl", run_id="r/1", data={"error": "boom"})
    await tocsin.settle()
    (message,) = hook.expect(1)
    found = re.search(rb"https://tocsin\.example(/runs/run_[0-9a-f]+)", message.body)
    assert found, message.body
    browser = Browser(tocsin, origin="https://tocsin.example")
    await set_up(tocsin, browser)
    text = await page(browser, found[1].decode())
    assert "r/1" in text
    assert "boom" in text
    answer = await browser.get("/runs/r%2F1")
    assert (answer.status, answer.headers["location"]) == (303, found[1].decode())


async def test_words_from_outside_are_words(tocsin: Running) -> None:
    attack = "<script>alert(1)</script>"
    await tocsin.send(
        pipeline=attack, run_id=attack, title=attack, message=attack, labels={attack[:20]: attack}, stage=attack,
        data={"error": attack, "log_tail": attack}, links={"run": "https://ok.example/x"},
    )  # fmt: skip
    browser = await signed_in(tocsin, "developer")
    (event,) = (await tocsin.client.get("/v1/events")).ok()["items"]
    (run,) = (await tocsin.client.get("/v1/runs")).ok()["items"]
    for path in (
        "/events", f"/events/{event['uid']}?again=1", "/runs", f"/runs/{run['id']}", "/pipelines",
        f"/pipelines/{quote(attack, safe='')}", f"/search?q={quote(attack[:10])}",
    ):  # fmt: skip
        text = await page(browser, path)
        assert attack not in text, path
        assert "&lt;script&gt;" in text, path
