"""A form that makes something and is sent twice, as a double click or a reload does, makes one."""

from typing import Any

import pytest

from tests.dashboard.test_rules_page import as_
from tests.harness import Running
from tests.web.browser import fields_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("page", "action", "wanted", "path"),
    [
        ("/endpoints/new?type=webhook", "/endpoints/new", {"webhook_url": "URL"}, "/v1/webhooks"),
        ("/rules/new", "/rules", {"event_types": "run.failed"}, "/v1/alert-rules"),
        ("/sources/connect/gitlab", "/sources/connect/gitlab", {}, "/v1/sources"),
    ],
)
async def test_what_is_sent_twice_is_made_once(
    tocsin: Running, page: str, action: str, wanted: dict[str, Any], path: str
) -> None:
    hook = tocsin.receiver.hook("/orders")
    browser = await as_(tocsin, "developer")

    async def made() -> list[str]:
        return [one["name"] for one in (await tocsin.client.get(path)).ok()["items"]]

    given = {name: hook.url if value == "URL" else value for name, value in wanted.items()}
    fields = fields_of(await browser.get(page), action) | given | {"name": "mine"}
    first, again = [await browser.form(action, fields) for _ in range(2)]
    assert first.status == again.status < 400
    assert await made() == ["mine"]
    await browser.form(action, fields | {"name": "another"})  # back, and on with other words
    assert sorted(await made()) == ["another", "mine"]
    await browser.form(action, fields | fields_of(await browser.get(page), action) | given | {"name": "mine"})
    assert sorted(await made()) == ["another", "mine", "mine"]
    hook.all_new()
