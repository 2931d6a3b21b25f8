"""Rules in the dashboard: tried on real events before they count, changed, undone and brought back."""

import re
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.async_api import expect

from tests.dashboard.conftest import Look
from tests.harness import Answer, Running
from tests.web.browser import Browser, account_of, fields_of, set_up

pytestmark = pytest.mark.anyio

Fields = list[tuple[str, str]]


EMPTY = [("field", ""), ("op", "is"), ("value", "")]
HOURS = [("mute.start", "25:00"), ("mute.end", "01:00"), ("mute.weekdays", ""), ("mute.time_zone", "")]


async def as_(tocsin: Running, role: str) -> Browser:
    """Somebody of that role, signed in with a browser of their own."""
    browser = await set_up(tocsin)
    if role != "admin":
        await account_of(tocsin, f"{role}@example.com", role)
        browser = Browser(tocsin)
        (await browser.log_in(f"{role}@example.com")).ok()
    return browser


async def sent(browser: Browser, page: str, path: str, fields: Fields) -> Answer:
    """A form of that page."""
    csrf = fields_of(await browser.get(page))["csrf"]
    return await browser.raw(path, urlencode([("csrf", csrf), *fields]).encode())


async def undone(browser: Browser, path: str = "/rules") -> Answer:
    """The Undo of what was done last."""
    page = await browser.get(path)
    toast = page.body.decode().partition('class="toast-line')[2].partition("</form>")[0]
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', toast))
    action = re.findall(r'action="([^"]+)"', toast)[0]
    return await browser.form(action, {name: unescape(value) for name, value in fields.items()})


async def rules_of(browser: Browser) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await browser.api("GET", "/v1/alert-rules")).ok()["items"]
    return found


WHEN = [
    ("field", "type"),
    ("op", "is"),
    ("value", "run.failed"),
    ("field", "labels.env"),
    ("op", "is"),
    ("value", "prod"),
]


async def test_a_rule_is_tried_before_it_is_saved_and_the_numbers_were_right(tocsin: Running, look: Look) -> None:
    # S4-02 S4-03: flow D; the numbers follow the condition, and production does what they said
    hook = tocsin.receiver.hook("/orders")
    at = await look("developer")
    page = at.page
    await tocsin.webhook(hook, name="orders")
    for number in range(6):
        await tocsin.send(pipeline="etl", run_id=f"r{number}", labels={"env": "prod" if number % 2 else "dev"})
    await at.goto("/rules/new")
    await expect(page.get_by_text("6 match, 6 would notify")).to_be_visible()
    await page.get_by_role("textbox", name="Name", exact=True).fill("Failed in production")
    await page.get_by_label("Field").first.fill("labels.env")
    await page.get_by_label("Value").first.fill("prod")
    await expect(page.get_by_text("3 match, 3 would notify")).to_be_visible()
    await expect(page.get_by_text("What did not fit first: labels.env (3).")).to_be_visible()
    await expect(page.get_by_role("region", name="The message")).to_contain_text("etl")
    await page.get_by_role("button", name="Add a condition").click()
    await page.get_by_label("Field").nth(1).fill("nonsense")
    await page.get_by_label("Value").nth(1).fill("x")
    await expect(page.locator("[data-problem=row-1]")).to_contain_text("labels.NAME")
    await page.get_by_role("button", name="Remove this condition").nth(1).click()
    await expect(page.get_by_text("3 match, 3 would notify")).to_be_visible()
    await page.get_by_role("button", name="Save rule").first.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Failed in production")
    await tocsin.send(pipeline="etl", run_id="later", labels={"env": "dev"})
    await tocsin.send(pipeline="etl", run_id="later still", labels={"env": "prod"})
    await tocsin.settle()
    (message,) = hook.expect(1)
    assert message.json["run_id"] == "later still"
    # A change is compared with what is saved.
    await at.goto(at.path.partition("?")[0])
    await page.get_by_label("Value").first.fill("*")
    await expect(page.get_by_text("was 4 with the saved version")).to_be_visible()
    await expect(page.locator("dl.diff")).to_contain_text("labels")


async def test_a_mail_is_drawn_in_a_frame_that_may_do_nothing(tocsin: Running, look: Look) -> None:
    await tocsin.webhook(tocsin.receiver.hook("/a"), name="orders")
    await tocsin.send(pipeline="etl<b>", run_id="r1")
    at = await look("developer")
    await at.goto("/rules/new")
    await at.page.locator("label", has_text="Email").click()
    frame = at.page.frame_locator("iframe.drawn")
    await expect(frame.get_by_text("etl<b>", exact=False).first).to_be_visible()
    assert await at.page.locator("iframe.drawn").get_attribute("sandbox") == ""


async def test_forms_without_a_script(tocsin: Running) -> None:
    """Made, tried, changed with Undo, switched, deleted, restored: links and forms alone."""
    browser = await as_(tocsin, "developer")
    webhook = (
        await browser.api("POST", "/v1/webhooks", {
            "provider_type": "webhook", "name": "mine", "webhook_url": tocsin.receiver.hook("/x").url,
        })
    ).ok(201)  # fmt: skip
    fields = [("name", "First"), ("is_active", "on"), *WHEN, ("webhook_endpoint_ids", webhook["id"]), ("group", "on"),
              ("group.by", "pipeline"), ("group.interval_s", "10 min"), ("retries", "silent")]  # fmt: skip
    tried = await sent(browser, "/rules/new", "/rules/draft", fields)
    assert tried.status == 200
    assert await rules_of(browser) == []
    made = await sent(browser, "/rules/new", "/rules", fields)
    assert made.status == 303
    (rule,) = await rules_of(browser)
    assert (rule["event_types"], rule["labels"], rule["group"]["interval_s"]) == (["run.failed"], {"env": "prod"}, 600)
    path = f"/rules/{rule['id']}"
    shown = fields_of(await browser.get(path), "/rules")
    assert (await sent(browser, path, "/rules", [*shown.items(), *[("name", "Second"), *fields[1:]]])).status == 303
    assert "Saved: name." in (page := (await browser.get(path)).body.decode()), page[-2000:]
    listed = (await browser.get("/rules")).body.decode()
    assert "run.failed and env=prod" in listed
    assert "at most one per pipeline every 10 min" in listed
    assert "Never fired" in listed
    await sent(browser, "/rules", f"{path}/switch", [("is_active", "")])
    assert not (await rules_of(browser))[0]["is_active"]
    assert (await undone(browser)).status == 303
    assert (await rules_of(browser))[0]["is_active"]
    for action, back in (("disable", "is_active"), ("delete", "")):
        asks = await sent(browser, "/rules", "/rules/bulk", [("action", action), ("id", rule["id"])])
        if action == "delete":  # says how many, and waits
            assert "Delete 1 rule?" in asks.body.decode()
            assert await rules_of(browser)
            asks = await browser.form("/rules/bulk", fields_of(asks, "/rules/bulk"))
        assert asks.status == 303
        found = await rules_of(browser)
        assert found == [] if not back else not found[0]["is_active"]
        assert (await undone(browser)).status == 303
        assert (await rules_of(browser))[0]["is_active"]
    await sent(browser, "/rules", f"{path}/delete", [])
    assert "Second" in (await browser.get("/rules?deleted=true")).body.decode()
    await sent(browser, "/rules?deleted=true", f"{path}/restore", [])
    assert [one["name"] for one in await rules_of(browser)] == ["Second"]


async def test_a_save_is_undone(tocsin: Running) -> None:
    browser = await as_(tocsin, "admin")
    rule = await tocsin.rule(name="before", event_types=["run.failed"], condition="data.rows < 10")
    path = f"/rules/{rule['id']}"
    hidden = list(fields_of(await browser.get(path), "/rules").items())
    answer = await sent(browser, path, "/rules", [*hidden, ("name", "after"), ("condition", "data.rows < 5")])
    assert answer.status == 303, answer.body
    (changed,) = await rules_of(browser)
    assert (changed["name"], changed["event_types"], changed["condition"]) == ("after", [], "data.rows < 5")
    assert (await undone(browser, path)).status == 303
    (back,) = await rules_of(browser)
    assert {name: back[name] for name in back if name != "updated_at"} == {
        name: rule[name] for name in rule if name != "updated_at"
    }


async def test_a_change_by_somebody_else_is_not_run_over(tocsin: Running) -> None:
    browser = await as_(tocsin, "admin")
    rule = await tocsin.rule(name="mine", event_types=["run.failed"])
    path = f"/rules/{rule['id']}"
    hidden = list(fields_of(await browser.get(path), "/rules").items())
    (await tocsin.client.patch(f"/v1/alert-rules/{rule['id']}", {"name": "theirs"})).ok()
    answer = await browser.raw("/rules", urlencode([*hidden, ("name", "mine too")]).encode())
    assert answer.status == 200
    assert b"Somebody changed this rule" in answer.body
    assert (await rules_of(browser))[0]["name"] == "theirs"
    over = await browser.raw("/rules", urlencode([*hidden, ("name", "mine too"), ("over", "1")]).encode())
    assert over.status == 303
    assert (await rules_of(browser))[0]["name"] == "mine too"


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ([("name", "")], "name"),
        ([("name", "x"), ("condition", "data.rows <")], "condition"),
        ([("name", "x"), ("group", "on"), ("group.interval_s", "soon")], "group.interval_s"),
        ([("name", "x"), ("window.kind", "failures"), ("failures.count", "0")], "failures.count"),
        ([("name", "x"), ("field", "rows"), ("op", "is"), ("value", "1")], "row-0"),
        ([("name", "x"), ("templates.title", "{{ nobody }}")], "templates.title"),
        ([("name", "x"), *HOURS], "mute-0"),
        ([("name", "x"), *EMPTY, ("field", "type"), ("op", "is"), ("value", "")], "row-1"),
        ([("name", "x"), ("webhook_endpoint_ids", "whk_0")], "webhook_endpoint_ids"),
    ],
)  # fmt: skip
async def test_what_is_wrong_stands_at_its_field(tocsin: Running, fields: Fields, place: str) -> None:
    browser = await as_(tocsin, "developer")
    answer = await sent(browser, "/rules/new", "/rules", fields)
    assert answer.status == 200
    shown = re.findall(r'data-problem="([^"]+)">([^<]+)<', answer.body.decode())
    assert [name for name, _ in shown] == [place], shown
    assert "expected" in shown[0][1]
    assert "It is not saved." in answer.body.decode()
    assert await rules_of(browser) == []


async def test_history_leads_back_and_yaml_is_what_config_writes(tocsin: Running) -> None:
    browser = await as_(tocsin, "admin")
    webhook = await tocsin.webhook(tocsin.receiver.hook("/x"), name="orders")
    rule = await tocsin.rule(webhook, name="one", event_types=["run.failed"])
    api = f"/v1/alert-rules/{rule['id']}"
    (await tocsin.client.patch(api, {"name": "two", "condition": "data.rows < 3"})).ok()
    (await tocsin.client.patch(api, {"name": "three"})).ok()
    path = f"/rules/{rule['id']}"
    page = (await browser.get(f"{path}/history")).body.decode()
    assert "<del>two</del> <ins>three</ins>" in page
    numbers = re.findall(r'name="number" value="(\d+)"', page)
    assert len(numbers) == 2
    tag = fields_of(await browser.get(f"{path}/history"), f"{path}/back")["tag"]
    assert (
        await sent(browser, f"{path}/history", f"{path}/back", [("number", numbers[1]), ("tag", tag)])
    ).status == 303
    (back,) = await rules_of(browser)
    assert (back["name"], back["condition"]) == ("one", "")
    yaml = unescape((await browser.get(f"{path}/yaml")).body.decode())
    assert (
        "rules:\n  - name: one\n    event_types:\n      - run.failed\n    webhook_endpoint_ids:\n      - orders\n"
        in yaml
    )


async def test_beginnings(tocsin: Running) -> None:
    """From an event, from a template, from a rule."""
    browser = await as_(tocsin, "developer")
    await tocsin.send(id="evt-1", type="run.failed", pipeline="etl/orders", labels={"env": "prod"}, source="airflow")
    page = (await browser.get("/rules/new?event=evt-1&source=airflow")).body.decode()
    assert 'value="run.failed of etl/orders"' in page
    assert 'value="labels.env"' in page
    assert 'value="etl/orders"' in page
    page = (await browser.get("/rules/new?template=prod")).body.decode()
    assert 'value="10 min"' in page
    rule = await tocsin.rule(name="known", pipelines=["a*"])
    page = (await browser.get(f"/rules/new?from={rule['id']}")).body.decode()
    assert 'value="Copy of known"' in page
    assert (await browser.get("/settings/alerts")).status == 200


async def test_a_test_goes_to_its_endpoints(tocsin: Running) -> None:
    browser = await as_(tocsin, "admin")
    hook = tocsin.receiver.hook("/x")
    rule = await tocsin.rule(await tocsin.webhook(hook, name="orders"), name="one", event_types=["run.failed"])
    assert (await sent(browser, f"/rules/{rule['id']}", f"/rules/{rule['id']}/test", [])).status == 303
    assert b"orders: delivered" in (await browser.get(f"/rules/{rule['id']}")).body
    hook.expect(1)


async def test_who_may_not_change_it_sees_it_without_a_form(tocsin: Running) -> None:
    # S3-09
    rule = await tocsin.rule(name="ours", event_types=["run.failed"])
    await tocsin.send()
    for role, said in (("viewer", "What it says"), ("developer", "Somebody else made this rule")):
        browser = await as_(tocsin, role) if role == "viewer" else await other(tocsin, role)
        page = (await browser.get(f"/rules/{rule['id']}")).body.decode()
        assert said in page
        assert "1 match, " in page or "1 match" in page
        assert 'id="rule"' not in page
        assert f"/rules/{rule['id']}/switch" not in (await browser.get("/rules")).body.decode()
    assert (await browser.get("/rules/new")).status == 200
    assert (await (await viewer(tocsin)).get("/rules/new")).status == 403


async def other(tocsin: Running, role: str) -> Browser:
    await account_of(tocsin, f"{role}@example.com", role)
    browser = Browser(tocsin)
    (await browser.log_in(f"{role}@example.com")).ok()
    return browser


async def viewer(tocsin: Running) -> Browser:
    browser = Browser(tocsin)
    (await browser.log_in("viewer@example.com")).ok()
    return browser


async def test_what_became_of_a_rules_messages(tocsin: Running) -> None:
    # S4-11: how many there were, and each with its state
    good, bad = tocsin.receiver.hook("/good"), tocsin.receiver.hook("/bad")
    bad.always(404)
    rule = await tocsin.rule(
        await tocsin.webhook(good, name="good"), await tocsin.webhook(bad, name="bad"), event_types=["run.failed"]
    )
    other = await tocsin.rule(await tocsin.webhook(tocsin.receiver.hook("/other")), event_types=["run.paused"])
    await tocsin.send(type="run.failed", pipeline="etl/orders", run_id="1")
    await tocsin.settle()
    good.expect(1)
    bad.expect(1)
    browser = await set_up(tocsin)
    page = (await browser.get(f"/rules/{rule['id']}")).body.decode()
    assert f'href="/deliveries?rule_id={rule["id"]}">2 messages</a>' in page
    its = (await browser.get(f"/deliveries?rule_id={rule['id']}")).body.decode()
    rows = its.partition("<tbody>")[2].partition("</tbody>")[0]
    assert rows.count("<tr") == 2
    assert "Delivered" in rows
    assert "Dead letter" in rows
    none = (await browser.get(f"/deliveries?rule_id={other['id']}")).body.decode()
    assert "<tbody>" not in none
