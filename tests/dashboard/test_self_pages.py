"""What people do about themselves and each other: preferences, inbox, tokens, members, secrets, tenants, signing in."""

import re
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.async_api import expect

from tests.dashboard.conftest import Look
from tests.harness import Answer, Running, Start
from tests.web.browser import EMAIL, PASSWORD, Browser, account_of, fields_of, set_up

pytestmark = pytest.mark.anyio


async def csrf_of(person: Browser) -> str:
    found = re.search(rb'data-csrf="([^"]+)"', (await person.get("/settings")).body)
    assert found
    return found[1].decode()


async def send(person: Browser, path: str, *fields: tuple[str, str]) -> Answer:
    """A form of one of our pages; fields may come several times."""
    return await person.raw(path, urlencode([*fields, ("csrf", await csrf_of(person))]).encode())


def secret_in(page: Answer) -> str:
    """What a page shows once."""
    assert page.status == 200, page.body[-900:]
    found = re.search(r'<(?:code|pre)[^>]* id="secret">([^<]+)<', page.body.decode())
    assert found, page.body[-900:]
    return unescape(found[1])


async def signed_in(tocsin: Running, role: str, *tenants: str) -> Browser:
    await account_of(tocsin, f"{role}@example.com", role, *tenants)
    person = Browser(tocsin)
    (await person.log_in(f"{role}@example.com")).ok()
    return person


# In a browser.


async def test_preferences_are_changed_and_hold(tocsin: Running, look: Look) -> None:
    # S4-12
    at = await look("viewer")
    await at.goto("/notifications")
    page = at.page
    rollbacks = page.get_by_role("checkbox", name="safety rollbacks by Slack")
    await expect(rollbacks).to_be_checked()
    await expect(page.get_by_role("checkbox", name="Critical by Slack, always on")).to_be_disabled()
    await rollbacks.uncheck()
    await page.locator("#start-0").fill("22:00")
    await page.locator("#end-0").fill("07:00")
    await page.locator("#f-zone-0").fill("Europe/Berlin")
    await page.get_by_role("group", name="Quiet hours 1").get_by_label("Mon").check()
    await page.get_by_label("How often").select_option("week")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("status")).to_contain_text("Saved")
    await expect(rollbacks).not_to_be_checked()
    await expect(page.locator("#start-0")).to_have_value("22:00")
    await expect(page.get_by_label("How often")).to_have_value("week")
    await expect(page.get_by_role("button", name="By Slack")).to_have_count(0)  # a viewer sends nothing
    await page.locator("#f-zone-0").fill("Europe/Nowhere")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("alert")).to_contain_text("Europe/Nowhere")
    await expect(page.locator("#start-0")).to_have_value("22:00")
    at.trouble.clear()  # a refusal is a 400, which a browser calls an error


async def test_a_token_is_made_shown_once_and_used(tocsin: Running, look: Look) -> None:
    at = await look("developer")
    await at.goto("/team#make")
    page = at.page
    await page.get_by_label("What it is for").fill("airflow")
    await page.get_by_role("button", name="Make it").click()
    token = await page.locator("#secret").inner_text()
    await page.get_by_role("button", name="Copy", exact=True).first.click()
    assert await page.evaluate("navigator.clipboard.readText()") == token
    assert token in await page.locator("#curl").inner_text()
    (await tocsin.client.with_token(token).post("/v1/events", {"type": "run.failed"})).ok(202)
    (await tocsin.client.with_token(token).get("/v1/events")).problem(403)
    await page.get_by_role("link", name="Done").click()
    await expect(page.locator("#tokens")).to_contain_text("airflow")
    assert token not in await page.content()
    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Revoke").click()
    await expect(page.get_by_role("status")).to_contain_text("holds no more")
    await expect(page.locator("#tokens")).to_contain_text("No tokens yet")
    tocsin.clock.move(2)
    (await tocsin.client.with_token(token).post("/v1/events", {"type": "run.failed"})).problem(401)


async def test_signing_in_on_a_phone(tocsin: Running, look: Look) -> None:
    at = await look("admin", width=390, height=800, dark=True)
    await at.page.context.clear_cookies()
    await at.goto("/notifications?from=mail")
    page = at.page
    await expect(page.get_by_label("Email")).to_be_focused()
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    await page.get_by_label("Email").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="My notifications")).to_be_visible()
    assert at.path == "/notifications?from=mail"
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390


async def test_the_tenant_is_switched_in_the_frame(tocsin: Running, look: Look) -> None:
    at = await look("admin")
    (await tocsin.client.post("/v1/webhooks", {"provider_type": "in_app", "name": "mine", "settings": {}})).ok(201)
    await at.goto("/")
    page = at.page
    await page.locator(".tenants summary").click()
    await page.locator(".tenants").get_by_role("button", name="The operator").click()
    await expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    assert at.path == "/settings/tenants"
    await expect(page.get_by_role("navigation", name="Main").get_by_role("link")).to_have_text(["Settings"])
    await page.locator(".tenants summary").click()
    await page.locator(".tenants").get_by_role("button", name="Default").click()
    await expect(page.get_by_role("navigation", name="Main").get_by_role("link", name="Deliveries")).to_be_visible()


# By forms alone.


async def test_an_operator_without_a_tenant_has_pages(tocsin: Running) -> None:
    person = await set_up(tocsin)
    await person.form("/account/tenant", {"tenant_id": "_operator", "csrf": person.csrf})
    home = await person.get("/")
    assert (home.status, home.headers["location"]) == (303, "/settings/tenants")
    for path in ("/settings/tenants", "/settings", "/settings/checks", "/settings/features", "/account"):
        assert (await person.get(path)).status == 200, path
    for path in ("/deliveries", "/settings/secrets", "/team", "/notifications"):
        refused = await person.get(path)
        assert refused.status == 403
        assert b"in none: choose one" in refused.body


async def test_a_tenant_is_made_limited_suspended_and_resumed(tocsin: Running) -> None:
    person = await set_up(tocsin)
    made = await send(person, "/settings/tenants", ("id", "acme"), ("name", "Acme"), ("admin", "zoe"))
    zoe = tocsin.client.with_token(secret_in(made))
    assert (await zoe.get("/v1/me")).ok()["tenant_id"] == "acme"
    here = "/settings/tenants/acme"
    assert (
        await send(person, here, ("what", "limits"), ("limit.rules", "7"), ("limit.events_per_day", ""))
    ).status == 303
    assert (await zoe.get("/v1/limits")).ok()["limits"]["rules"] == {"value": 7, "standard": False, "used": 0}
    wrong = await send(person, here, ("what", "limits"), ("limit.rules", "many"))
    assert wrong.status == 400
    assert b"Nothing was changed" in wrong.body
    assert (await send(person, here, ("what", "suspend"))).status == 303
    tocsin.clock.move(2)
    (await zoe.get("/v1/me")).problem(403)
    assert (await send(person, here, ("what", "resume"))).status == 303
    tocsin.clock.move(2)
    (await zoe.get("/v1/me")).ok()


async def test_features_that_differ_are_changed_and_no_others(tocsin: Running) -> None:
    person = await set_up(tocsin)
    page = await person.get("/settings/features")
    tag = fields_of(page, "/settings/features")["tag"]
    fields = (("state.slack", "tenants"), ("tenants.slack", "default"), ("state.email", "on"), ("tag", tag))
    assert (await send(person, "/settings/features", *fields)).headers["location"] == "/settings/features"
    found = (await person.api("GET", "/v1/rollout")).ok()["features"]
    assert (found["slack"]["state"], found["slack"]["tenants"]) == ("tenants", ["default"])
    assert found["email"]["updated_at"] is None
    stale = await send(person, "/settings/features", ("state.email", "off"), ("tag", tag))
    assert stale.status == 412, "somebody changed them meanwhile"
    unknown = await send(person, "/settings/features", ("state.slack", "tenants"), ("tenants.slack", "nobody"))
    assert unknown.status == 400
    assert b"Nothing was changed" in unknown.body


async def test_somebody_is_invited_promoted_and_removed(tocsin: Running) -> None:
    person = await set_up(tocsin)
    invitation = (("email", "mia@example.com"), ("name", "Mia"), ("role", "viewer"), ("once", "one-of-a-kind"))
    made = await send(person, "/team/members", *invitation)
    link = secret_in(made)
    assert secret_in(await send(person, "/team/members", *invitation)) == link, "a reload makes nothing anew"
    mia = Browser(tocsin)
    path = "/" + link.partition("/set-password")[1].lstrip("/") + link.partition("/set-password")[2]
    token = fields_of(await mia.get(path))["token"]
    await mia.form("/set-password", {"token": token, "password": PASSWORD, "again": PASSWORD})
    (await mia.log_in("mia@example.com")).ok()
    assert (await mia.get("/team/members/mia@example.com")).status == 403
    here = "/team/members/mia@example.com"
    page = (await person.get(here)).body
    assert b"They have no tokens" in page
    done = await send(person, here, ("role", "developer"), ("before", "viewer"))
    assert done.headers["location"] == "/team/members/mia%40example.com"
    assert b"Undo" in (await person.get(here)).body
    token = secret_in(await send(mia, "/team/tokens", ("name", "laptop"), ("role", "viewer"), ("days", "30")))
    assert b"1 token of theirs ends: laptop" in (await person.get(here)).body
    assert (await send(person, "/team/remove/mia@example.com")).headers["location"] == "/team"
    tocsin.clock.move(2)
    (await tocsin.client.with_token(token).get("/v1/me")).problem(401)
    last = await send(person, f"/team/remove/{(await person.get('/auth/session')).ok()['user_id']}")
    assert last.status == 409
    assert b"last admin" in last.body


async def test_a_token_is_rotated_and_made_once(tocsin: Running) -> None:
    person = await signed_in(tocsin, "developer")
    wanted = (("name", "etl"), ("role", "developer"), ("scope", "ingest"), ("scope", "read"), ("once", "a-key"))
    token = secret_in(await send(person, "/team/tokens", *wanted))
    assert secret_in(await send(person, "/team/tokens", *wanted)) == token
    (one,) = (await person.api("GET", "/v1/tokens")).ok()["items"]
    assert (one["scopes"], one["expires_at"]) == (["ingest", "read"], None)
    new = secret_in(await send(person, f"/team/tokens/{one['id']}/rotate"))
    assert new != token
    for still_holds in (new, token):
        (await tocsin.client.with_token(still_holds).get("/v1/events")).ok()
    refused = await send(person, "/team/tokens", ("name", "more"), ("role", "admin"))
    assert refused.status == 403
    assert b"Nothing was made" in refused.body


async def test_an_inbox_is_read(tocsin: Running) -> None:
    person = await signed_in(tocsin, "developer")
    body = {"provider_type": "in_app", "name": "inbox", "enabled_events": ["run.failed"], "settings": {}}
    (await person.api("POST", "/v1/webhooks", body)).ok(201)
    for number in range(2):
        await tocsin.send(type="run.failed", pipeline=f"p{number}", data={"error": "<b>disk</b> full"})
    await tocsin.settle()
    page = (await person.get("/inbox")).body
    assert b"Unread (2)" in page
    assert b"&lt;b&gt;disk&lt;/b&gt; full" in page
    first = (await person.api("GET", "/v1/inbox")).ok()["items"][0]["id"]
    assert (await send(person, f"/inbox/{first}/read")).headers["location"] == "/inbox"
    assert b"Unread (1)" in (await person.get("/inbox")).body
    await send(person, "/inbox/read", ("show", "all"))
    assert b"All read" in (await person.get("/inbox")).body
    assert b"p0 failed" in (await person.get("/inbox?show=all")).body


async def test_what_somebody_changed_elsewhere_is_not_lost_by_an_old_page(tocsin: Running) -> None:
    person = await signed_in(tocsin, "viewer")
    tag = fields_of(await person.get("/notifications"), "/notifications")["tag"]
    (await person.api("PUT", "/v1/preferences", {"slack_channel": "#elsewhere"})).ok()
    late = await send(person, "/notifications", ("cell", "slack"), ("slack_channel", "#here"), ("tag", tag))
    assert late.status == 412
    assert b'value="#here"' in late.body
    assert (await person.api("GET", "/v1/preferences")).ok()["slack_channel"] == "#elsewhere"
    again = fields_of(late, "/notifications")["tag"]
    saved = await send(person, "/notifications", ("cell", "slack"), ("slack_channel", "#here"), ("tag", again))
    assert saved.status == 303
    wants = (await person.api("GET", "/v1/preferences")).ok()
    assert (wants["slack_channel"], wants["slack_enabled"], wants["email_enabled"]) == ("#here", True, False)


async def test_a_secret_is_kept_revealed_and_replaced(tocsin: Running) -> None:
    person = await set_up(tocsin)
    await send(person, "/settings/secrets", ("name", "KEY"), ("value", "s3cret-value"), ("usable_by", "admin"))
    here = "/settings/secrets/KEY"
    for path in ("/settings/secrets", here):
        assert b"s3cret-value" not in (await person.get(path)).body
    assert secret_in(await send(person, f"{here}/reveal")) == "s3cret-value"
    shown = (await person.get("/audit?action=secret.reveal")).body
    assert b"looked at secret" in shown
    assert b"s3cret-value" not in shown
    tag = fields_of(await person.get(here), here)["tag"]
    assert (await send(person, here, ("value", "another"), ("description", "x"), ("tag", tag))).status == 303
    assert secret_in(await send(person, f"{here}/reveal")) == "another"
    again = await send(person, "/settings/secrets", ("name", "KEY"), ("value", "third-value"), ("usable_by", "admin"))
    assert again.status == 409
    assert b"third-value" not in again.body, "what was typed is not shown again"
    assert (await send(person, f"{here}/delete")).headers["location"] == "/settings/secrets"


async def test_the_trail_is_read_and_verified(tocsin: Running) -> None:
    person = await set_up(tocsin)
    (await person.api("POST", "/v1/members", {"user_id": "mia", "role": "viewer"})).ok(201)
    (await person.api("PATCH", "/v1/members/mia", {"role": "developer"})).ok()
    page = (await person.get("/audit?kind=member")).body.decode()
    assert re.search(r"<b>Ana</b>\s+changed member", page)
    assert re.search(r'was">viewer</td><td class="mono is">developer</td>', page)
    assert b"Nothing fits" in (await person.get("/audit?id=nothing")).body
    whole = await send(person, "/audit/verify")
    assert b"The trail is whole" in whole.body
    head = unescape(re.search(r'class="head-of">([^<]+)<', whole.body.decode())[1])  # type: ignore[index]
    assert head == (await person.api("GET", "/v1/audit/verify")).ok()["head"]


async def test_a_flow_is_started_from_its_page(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "f.yml").write_text(
        "id: f\nnamespace: dev\ninputs:\n  - {id: n, type: INT}\n"
        "  - {id: kind, type: SELECT, values: [a, b], defaults: b}\n"
        "tasks:\n  - {id: say, type: io.kestra.plugin.core.log.Log, message: hello}\n"
    )
    tocsin = await start(TOCSIN_FLOWS=str(folder))
    person = await signed_in(tocsin, "developer")
    assert b"dev.f" in (await person.get("/flows")).body
    assert b"<option selected>b</option>" in (await person.get("/flows/dev/f")).body
    wrong = await send(person, "/flows/dev/f", ("input.n", "five"), ("input.kind", "a"))
    assert wrong.status == 400
    assert b"n: expected a whole number" in wrong.body
    started = await send(person, "/flows/dev/f", ("input.n", "5"), ("input.kind", "a"))
    assert started.headers["location"] == "/flows/dev/f"
    (entry,) = (await tocsin.client.get("/v1/audit?action=flow.execute")).ok()["items"]
    assert entry["after"]["inputs"] == ["kind", "n"]


async def test_what_the_doctor_finds_is_for_the_operator(start: Start) -> None:
    tocsin = await start(NOTIFICATIONS_SLACK_ENABLED="false")
    person = await set_up(tocsin)
    found = (await person.api("GET", "/v1/doctor")).ok()
    worst = max(found["findings"], key=lambda one: ("ok", "warning", "problem").index(one["level"]))
    assert found["status"] == worst["level"] != "ok"
    by_check = {one["check"]: one for one in found["findings"]}
    assert by_check["store"]["level"] == by_check["migrations"]["level"] == by_check["keys"]["level"] == "ok"
    assert "NOTIFICATIONS_SLACK_ENABLED is off" in by_check["providers"]["found"]
    page = await person.get("/settings/checks")
    assert b"NOTIFICATIONS_SLACK_ENABLED is off" in page.body
    key = tocsin.app.settings.secret_key
    assert not key or key.encode() not in page.body
    (await tocsin.client.get("/v1/doctor")).problem(403)
