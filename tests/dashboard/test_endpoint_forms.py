"""Endpoints by forms alone, as somebody without a script sends them."""

import re

import msgspec
import pytest

from tests.harness import Running
from tests.providers.examples import EXAMPLES
from tests.web.browser import PASSWORD as WORD
from tests.web.browser import Browser, account_of, fields_of, set_up
from tocsin.fakes.slack import FakeSlack
from tocsin.provider_kit.settings_form import form
from tocsin.providers import PROVIDERS
from tocsin.web.dashboard.guides import GUIDES
from tocsin.web.dashboard.settings_fields import fields_of as settings_fields
from tocsin.web.dashboard.settings_fields import settings_of

pytestmark = pytest.mark.anyio

ADDRESS = "https://hooks.slack.com/services/T00000001/B00000001/" + "x" * 24
SETTINGS = {"pagerduty": {"routing_key": "0" * 32, "severities": {"run.missed": "critical"}}}


async def somebody(tocsin: Running, role: str) -> Browser:
    browser = Browser(tocsin)
    (await browser.log_in(f"{role}@example.org", WORD)).ok()
    return browser


def text_of(body: bytes) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body.decode()))


async def sent(browser: Browser, page: str, action: str, **more: str) -> str:
    """Sends the form of that page; returns where it led, which must be somewhere."""
    answer = await browser.form(action, fields_of(await browser.get(page), action) | more)
    assert answer.status == 303, text_of(answer.body)
    return answer.headers["location"]


def test_every_provider_has_a_guide_and_a_form_that_says_what_it_was_given() -> None:
    """A form that nobody touched changes no setting."""
    assert set(GUIDES) == set(PROVIDERS)
    for kind, provider in PROVIDERS.items():
        schema = form(provider.settings_type)
        example = EXAMPLES[kind].settings
        given = {name: getattr(example, name) for name in example.__struct_fields__} | SETTINGS.get(kind, {})
        hidden = {name for name, one in schema["properties"].items() if one.get("writeOnly")}
        plain = msgspec.to_builtins(given)
        known = {name: "…shown" if name in hidden else value for name, value in plain.items() if value}
        fields = settings_fields(schema, known)
        texts = {one.field: one.value for one in fields if isinstance(one.value, str) and one.value}
        many = {one.field: list(one.value) for one in fields if one.kind == "choices"}
        back = settings_of(schema, texts, many, known)
        for name, value in known.items():
            assert back[name] == (list(value) if isinstance(value, tuple) else value), (kind, name)
        for name in back.keys() - known.keys():  # what was not set stays what it would be
            assert back[name] == schema["properties"][name].get("default"), (kind, name)


async def test_a_webhook_shows_its_secret_once_and_again_after_a_rotation(tocsin: Running) -> None:
    browser = await set_up(tocsin)
    hook = tocsin.receiver.hook("/orders")
    fields = fields_of(await browser.get("/endpoints/new?type=webhook"), "/endpoints/new")
    made = await browser.form("/endpoints/new", fields | {"name": "orders", "webhook_url": hook.url})
    assert made.status == 200
    (secret,) = set(re.findall(r"whsec_[\w+/=]+", made.body.decode()))
    assert "Delivered in" in text_of(made.body)
    (webhook,) = (await tocsin.client.get("/v1/webhooks")).ok()["items"]
    one = f"/endpoints/{webhook['id']}"
    for path in (one, f"{one}/settings", f"{one}/tested"):
        assert secret not in (await browser.get(path)).body.decode()
    fields = fields_of(await browser.get(f"{one}/settings"), f"{one}/rotate")
    rotated = await browser.form(f"{one}/rotate", fields | {"overlap_s": "3600"})
    (new,) = set(re.findall(r"whsec_[\w+/=]+", rotated.body.decode()))
    assert new != secret
    assert "The old one signs along until" in text_of(rotated.body)
    hook.expect(1)


async def test_what_cannot_be_saved_stays_in_the_form(tocsin: Running) -> None:
    browser = await set_up(tocsin)
    fields = fields_of(await browser.get("/endpoints/new?type=slack"), "/endpoints/new")
    answer = await browser.form(
        "/endpoints/new", fields | {"name": "alerts", "webhook_url": ADDRESS, "settings.mention_on_failure": "@@"}
    )
    assert answer.status == 422
    assert "Mention on failure: expected" in text_of(answer.body)
    assert 'value="alerts"' in answer.body.decode()
    assert (await tocsin.client.get("/v1/webhooks")).ok()["items"] == []
    answer = await browser.form("/endpoints/check", fields | {"webhook_url": ADDRESS[:-1] + "/../x"})
    assert answer.status == 200
    assert "expected https://hooks.slack.com/services/" in text_of(answer.body)


async def test_settings_are_saved_unless_somebody_else_was_faster(tocsin: Running) -> None:
    browser = await set_up(tocsin)
    webhook = await tocsin.webhook(ADDRESS, name="alerts")
    one = f"/endpoints/{webhook['id']}/settings"
    early = fields_of(await browser.get(one), one)
    wanted = {"name": "ml", "settings.mention_on_failure": "here", "settings.use_rich_formatting": "on"}
    digest = {"digest": "day", "digest_at": "07:30", "digest_zone": "Europe/Berlin"}
    answer = await browser.form(one, early | wanted | digest)
    assert answer.status == 303
    saved = (await tocsin.client.get(f"/v1/webhooks/{webhook['id']}")).ok()
    assert (saved["name"], saved["settings"]["mention_on_failure"]) == ("ml", "here")
    assert saved["settings"]["include_action_buttons"] is False  # a box that was not ticked
    assert saved["digest"] == {"at": "07:30", "time_zone": "Europe/Berlin"}  # each day is the standard
    late = await browser.form(one, early | {"name": "mine"})
    assert late.status == 412
    assert "Somebody changed it while you did." in text_of(late.body)
    assert "Name: ml" in text_of(late.body)
    assert (await tocsin.client.get(f"/v1/webhooks/{webhook['id']}")).ok()["name"] == "ml"
    tag = fields_of(late, one)
    assert (await browser.form(one, tag | {"name": "mine"})).status == 303
    assert (await tocsin.client.get(f"/v1/webhooks/{webhook['id']}")).ok()["name"] == "mine"


async def test_it_is_paused_deleted_and_brought_back_one_or_many(tocsin: Running) -> None:
    # S1-20
    browser = await set_up(tocsin)
    webhooks = [await tocsin.webhook(ADDRESS[:-1] + str(number), name=f"alerts {number}") for number in range(3)]
    ids = [webhook["id"] for webhook in webhooks]
    one = f"/endpoints/{ids[0]}"
    await tocsin.rule(webhooks[0], name="failures")
    assert await sent(browser, one, f"{one}/disable") == one
    assert b"is switched off" in (await browser.get(one)).body
    assert "1 rule leads here: failures." in text_of((await browser.get(f"{one}/settings")).body)
    assert await sent(browser, f"{one}/settings", f"{one}/delete") == "/endpoints"
    assert (await tocsin.client.get(f"/v1/webhooks/{ids[0]}")).status == 404
    page_after = await browser.get("/endpoints")
    assert "alerts 0 is deleted." in text_of(page_after.body)
    undo = fields_of(page_after, f"{one}/restore")
    assert (await browser.form(f"{one}/restore", undo)).status == 303
    csrf = fields_of(await browser.get("/endpoints"), "/endpoints/bulk")
    raw = "&".join([f"csrf={csrf['csrf']}", "action=disable", *(f"id={id_}" for id_ in ids)])
    answer = await browser.raw("/endpoints/bulk", raw.encode())
    assert answer.status == 303
    states = [one["is_active"] for one in (await tocsin.client.get("/v1/webhooks")).ok()["items"]]
    assert states == [False, False, False]
    said = await browser.get("/endpoints")
    assert "3 endpoints switched off." in text_of(said.body)
    listed = re.search(r'name="ids" value="([^"]+)"', said.body.decode())
    assert listed
    fields = csrf | {"action": "enable", "ids": listed[1]}
    assert (await browser.form("/endpoints/bulk", fields)).status == 303
    assert all(one["is_active"] for one in (await tocsin.client.get("/v1/webhooks")).ok()["items"])
    asks = await browser.form("/endpoints/bulk", csrf | {"action": "delete", "ids": listed[1]})
    asked = text_of(asks.body)
    assert "Delete 3 endpoints?" in asked
    assert "1 rule leads there." in asked
    assert len((await tocsin.client.get("/v1/webhooks")).ok()["items"]) == 3
    fields = fields_of(asks, "/endpoints/bulk")
    await tocsin.client.delete(f"/v1/webhooks/{ids[0]}")
    assert (await browser.form("/endpoints/bulk", fields)).status == 409  # fewer than were seen
    assert (await browser.form("/endpoints/bulk", fields | {"expected": "2"})).status == 303
    assert (await tocsin.client.get("/v1/webhooks")).ok()["items"] == []


async def test_the_weekly_digest_is_on_with_one_form_and_off_with_another(tocsin: Running) -> None:
    tocsin.receiver.play(FakeSlack())
    browser = await set_up(tocsin)
    fields = fields_of(await browser.get("/endpoints/new?type=slack"), "/endpoints/new")
    answer = await browser.form("/endpoints/new", fields | {"name": "alerts", "webhook_url": ADDRESS})
    tested = answer.headers["location"]
    (webhook,) = (await tocsin.client.get("/v1/webhooks")).ok()["items"]
    page = await browser.get(f"{tested}&seen=no")
    assert "The channel is not muted for you." in text_of(page.body)
    action = f"/endpoints/{webhook['id']}/start"
    page = await browser.get(f"{tested}&seen=yes")
    answer = await browser.form(action, fields_of(page, action) | {"starter": "weekly"})
    assert answer.status == 303
    (rule,) = (await tocsin.client.get("/v1/alert-rules")).ok()["items"]
    assert rule["webhook_endpoint_ids"] == [webhook["id"]]
    assert (await tocsin.endpoint(webhook))["digest"]["every"] == "week"
    page = await browser.get(answer.headers["location"])
    undo = fields_of(page, f"/endpoints/{webhook['id']}/unstart")
    assert (await browser.form(f"/endpoints/{webhook['id']}/unstart", undo)).status == 303
    assert (await tocsin.client.get("/v1/alert-rules")).ok()["items"] == []
    assert (await tocsin.endpoint(webhook))["digest"] is None


async def test_a_dead_address_is_said_in_words_with_what_to_do(tocsin: Running) -> None:
    slack = FakeSlack()
    slack.gone.add(ADDRESS.removeprefix("https://hooks.slack.com"))
    tocsin.receiver.play(slack)
    browser = await set_up(tocsin)
    fields = fields_of(await browser.get("/endpoints/new?type=slack"), "/endpoints/new")
    answer = await browser.form("/endpoints/new", fields | {"name": "alerts", "webhook_url": ADDRESS})
    page = text_of((await browser.get(answer.headers["location"])).body)
    assert "It did not get there" in page
    assert "Slack does not know this address any more." in page
    assert "make a new one and put it into the settings" in page
    (webhook,) = (await tocsin.client.get("/v1/webhooks")).ok()["items"]
    page = text_of((await browser.get(f"/endpoints/{webhook['id']}")).body)
    assert "The last test did not get there" in page
    assert "Slack does not know this address any more." in page
    assert "Test failed" in text_of((await browser.get("/endpoints")).body)


async def test_a_viewer_sees_no_forms_and_a_developer_none_of_what_is_the_tenants(tocsin: Running) -> None:
    # S3-09
    await set_up(tocsin)
    webhook = await tocsin.webhook(ADDRESS, name="alerts")
    for role in ("viewer", "developer"):
        await account_of(tocsin, f"{role}@example.org", role)
        browser = await somebody(tocsin, role)
        for tab in ("", "/rules", "/metrics", "/settings"):
            page = (await browser.get(f"/endpoints/{webhook['id']}{tab}")).body.decode()
            assert "alerts" in page
            assert 'method="post"' not in page.partition("<main")[2].partition("</main>")[0], (role, tab)
    viewer = await somebody(tocsin, "viewer")
    page = (await viewer.get("/endpoints")).body.decode()
    assert 'method="post"' not in page.partition("<main")[2].partition("</main>")[0]
    assert (await viewer.get("/endpoints/new")).status == 403
