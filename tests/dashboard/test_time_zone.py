"""The tenant's time zone: set by its admins, shown to whoever chooses it."""

import re

import pytest
from playwright.async_api import expect

from tests.dashboard.conftest import Look
from tests.harness import Running
from tests.web.browser import Browser, account_of, fields_of, set_up

pytestmark = pytest.mark.anyio


async def test_admins_set_it_for_their_tenant(tocsin: Running) -> None:
    stranger, viewer = await tocsin.as_("admin", "other"), await tocsin.as_("viewer")
    assert (await viewer.get("/v1/settings")).ok() == {"name": "Default", "time_zone": "UTC"}
    for wrong in ("Europe/Atlantis", "../../etc/passwd", "Europe", "CEST"):
        refused = (await tocsin.client.patch("/v1/settings", {"time_zone": wrong})).problem(400, "time_zone")
        assert "an IANA time zone such as Europe/Berlin" in refused["errors"][0]["expected"]
    set_ = {"time_zone": "Europe/Berlin"}
    (await viewer.patch("/v1/settings", set_)).problem(403)
    assert (await tocsin.client.patch("/v1/settings", set_)).ok()["time_zone"] == "Europe/Berlin"
    assert (await viewer.get("/v1/settings")).ok()["time_zone"] == "Europe/Berlin"
    assert (await stranger.get("/v1/settings")).ok()["time_zone"] == "UTC"
    last = (await tocsin.client.get("/v1/audit?limit=100")).ok()["items"]
    done = next(one for one in last if one["action"] == "tenant.settings" and one["outcome"] == "done")
    assert (done["before"], done["after"]) == ({"time_zone": "UTC"}, {"time_zone": "Europe/Berlin"})


async def test_the_page_of_settings_has_a_field_for_it(tocsin: Running) -> None:
    admin = await set_up(tocsin)
    fields = fields_of(await admin.get("/settings"), "/settings")
    refused = await admin.form("/settings", fields | {"time_zone": "Atlantis"})
    assert refused.status == 400
    assert "an IANA time zone such as Europe/Berlin" in refused.body.decode()
    assert (await admin.form("/settings", fields | {"time_zone": "Asia/Kolkata"})).status == 303
    assert (await admin.form("/settings", fields | {"time_zone": "UTC"})).status == 412  # it is another by now
    assert "Tenant: Asia/Kolkata" in (await admin.get("/")).body.decode()
    await account_of(tocsin, "viewer@example.com", "viewer")
    viewer = Browser(tocsin)
    (await viewer.log_in("viewer@example.com")).ok()
    page = (await viewer.get("/settings")).body.decode()
    assert "Asia/Kolkata" in page
    assert 'action="/settings"' not in page


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_times_are_in_the_zone_that_one_chose(tocsin: Running, look: Look) -> None:
    (await tocsin.client.patch("/v1/settings", {"time_zone": "Asia/Kolkata"})).ok()  # 5 h 30 min ahead, all year
    sent = await tocsin.send(type="run.failed", pipeline="etl")
    at = await look("viewer")
    await at.goto(f"/events/{sent['id']}")
    time = at.page.locator("main time").first
    for zone, ends in (("utc", "UTC"), ("tenant", "GMT+5:30")):
        await at.page.locator("select[data-zone]").select_option(zone)
        await expect(time).to_have_attribute("title", re.compile(re.escape(ends) + "$"))
    await at.goto("/deliveries")
    await expect(at.page.locator("select[data-zone]")).to_have_value("tenant")
    await expect(at.page.locator(".axis")).to_contain_text("now (Asia/Kolkata)")
    first = at.page.locator(".axis time").first
    await expect(first).to_have_text(at_half_past(await first.get_attribute("datetime") or ""))


def at_half_past(utc: str) -> str:
    """That time in Kolkata: hours and minutes."""
    minutes = (int(utc[11:13]) * 60 + int(utc[14:16]) + 330) % 1440
    return f"{minutes // 60:02}:{minutes % 60:02}"
