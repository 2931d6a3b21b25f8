"""What the API says, as pages show it: times by the zone, answers of receivers in short, nothing of others to press."""

import pytest
from playwright.async_api import expect

from tests.dashboard.conftest import Look
from tests.harness import Running
from tests.web.browser import PASSWORD, Browser, account_of, set_up
from tocsin.web.dashboard.sentences import in_short, sentence

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            "a was told; b was not told: dead after 3 attempts: HTTP 500: <h1>Internal Server Error</h1>.",
            "a was told; b was not told: dead after 3 attempts: HTTP 500 (Internal Server Error).",
        ),
        ("HTTP 410: This hook is gone.; all 3 attempts failed", "HTTP 410: This hook is gone; all 3 attempts failed"),
        (
            "a is not told yet: HTTP 503: <p>no; wait</p>; b was not told: expired",
            "a is not told yet: HTTP 503 (Service Unavailable); b was not told: expired",
        ),
        ("HTTP 599: <b></b>", "HTTP 599"),
        ("HTTP 500: " + "x" * 500, "HTTP 500: " + "x" * 79 + "…"),
        ("the rule <b>loud</b> is switched off", "the rule <b>loud</b> is switched off"),
    ],
)
def test_what_a_receiver_answered_is_said_in_short(said: str, shown: str) -> None:
    assert in_short(said) == shown


def test_a_time_in_a_sentence_is_one_and_the_rest_is_escaped() -> None:
    assert sentence("<b> told at 2026-11-21 22:41 UTC, 9999-99-99 99:99 UTC") == (
        '&lt;b&gt; told at <time datetime="2026-11-21T22:41:00Z" data-clock="min">2026-11-21 22:41 UTC</time>, '
        '<time datetime="9999-99-99T99:99:00Z" data-clock="min">9999-99-99 99:99 UTC</time>'
    )


async def test_times_in_sentences_follow_the_zone(tocsin: Running, look: Look) -> None:
    hook = tocsin.receiver.hook("/good")
    await tocsin.webhook(hook, name="good", enabled_events=["run.failed"])
    await tocsin.send(id="e1", type="run.failed", pipeline="etl", run_id="r1")
    await tocsin.settle()
    hook.expect(1)
    at = await look("developer")
    await at.goto("/events/e1")
    told = at.page.locator(".told time")
    at_utc = await told.get_attribute("datetime")
    assert at_utc is not None
    await at.page.locator("select[data-zone]").select_option("utc")
    await expect(told).to_have_text(at_utc[:16].replace("T", " "))


async def test_nobody_is_offered_what_they_may_not_do(tocsin: Running) -> None:
    # S3-09
    hook = tocsin.receiver.hook("/bad")
    hook.always(410)
    await tocsin.webhook(hook, name="the tenant's", enabled_events=["run.failed"])
    await tocsin.send(id="e1", type="run.failed", pipeline="etl", run_id="r1")
    await tocsin.settle()
    hook.all_new()
    (delivery,) = (await tocsin.client.get("/v1/deliveries")).ok()["items"]
    admin = await set_up(tocsin)
    await account_of(tocsin, "dev@example.org", "developer")
    developer = Browser(tocsin)
    (await developer.log_in("dev@example.org", PASSWORD)).ok()
    pages = {
        "/events/e1": "Send again",
        f"/deliveries/{delivery['id']}": "Replay now",
        "/deliveries": 'name="id"',
        "/dead-letters": "Replay 1",
    }
    for path, offer in pages.items():
        assert offer in (await admin.get(path)).body.decode(), path
        page = await developer.get(path)
        assert page.status == 200, path
        assert offer not in page.body.decode(), path
