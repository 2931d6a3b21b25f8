"""What receivers answer, and who may read it. S12 of the security matrix."""

import pytest

from tests.harness import Reply, Running

pytestmark = pytest.mark.anyio

INSIDE = "no such table: customers"


async def test_a_viewer_reads_the_status_and_not_the_words(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/in")
    hook.always(Reply(500, INSIDE))
    webhook = await tocsin.webhook(hook)
    await tocsin.rule(webhook, retry={"max_attempts": 1})
    event = await tocsin.send(run_id="r1", pipeline="p")
    await tocsin.settle()
    hook.expect(1)
    (delivery,) = await tocsin.deliveries()
    (run,) = (await tocsin.client.get("/v1/runs")).ok()["items"]
    paths = (
        f"/v1/deliveries/{delivery['id']}",
        "/v1/deliveries",
        f"/v1/events/{event['id']}/why",
        f"/v1/runs/{run['id']}/why",
        f"/v1/runs/{run['id']}",
        "/v1/webhooks",
        f"/v1/webhooks/{webhook['id']}",
        "/v1/config",
    )
    for role, sees in (("viewer", False), ("admin", True)):
        reader = await tocsin.as_(role, user=role)
        said = {path: (await reader.get(path)).ok() for path in paths}
        assert any(INSIDE in str(one) for one in said.values()) is sees
        if not sees:
            whole = said[paths[0]]
            assert (whole["reason"], whole["http_status_code"]) == ("HTTP 500", 500)
            assert (whole["log"][0]["error_message"], whole["log"][0]["response_body"]) == ("HTTP 500", "")
            assert "HTTP 500" in str(said[paths[2]])
