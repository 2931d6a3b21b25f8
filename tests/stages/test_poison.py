"""Rows that nobody can read, as another program or a bad disk leaves them: they harm nobody but themselves (F38)."""

from typing import Any

import pytest

from tests.harness import Running

pytestmark = pytest.mark.anyio

CONFIGURATION = {
    "an endpoint's settings": "UPDATE endpoint SET settings = '{{{' WHERE name = 'poisoned'",
    "an endpoint's options": "UPDATE endpoint SET options = '[7' WHERE name = 'poisoned'",
    "an endpoint's events": "UPDATE endpoint SET enabled_events = 'nope' WHERE name = 'poisoned'",
    "an endpoint's kind": "UPDATE endpoint SET provider_type = 'pigeon' WHERE name = 'poisoned'",
    "an endpoint's address": "UPDATE endpoint SET address_sealed = secret_sealed WHERE name = 'poisoned'",
    "a rule's types": "UPDATE rule SET event_types = 'nope' WHERE name = 'poisoned'",
    "a rule's condition": "UPDATE rule SET condition = '(((' WHERE name = 'poisoned'",
    "a rule's options": "UPDATE rule SET settings = '{{{' WHERE name = 'poisoned'",
    "a rule's retries": "UPDATE rule SET retry = '[' WHERE name = 'poisoned'",
    "a silence": "UPDATE silence SET matchers = '['",
}


@pytest.mark.parametrize("what", CONFIGURATION)
async def test_configuration_that_cannot_be_read_is_left_out(
    what: str, tocsin: Running, logs: list[dict[str, Any]]
) -> None:
    well, poisoned = tocsin.receiver.hook("/well"), tocsin.receiver.hook("/poisoned")
    await tocsin.webhook(well, enabled_events=["*"])
    other = await tocsin.webhook(poisoned, name="poisoned", enabled_events=["*"])
    await tocsin.rule(other, name="poisoned", event_types=["*"])
    (
        await tocsin.client.post(
            "/v1/silences",
            {"matchers": [{"field": "pipeline", "value": "elsewhere"}], "duration_s": 600, "reason": "x"},
        )
    ).ok(201)
    await tocsin.app.db.script(f"{CONFIGURATION[what]}; UPDATE tenant SET config_version = config_version + 1")
    await tocsin.send()
    await tocsin.settle()
    assert [message.json["type"] for message in well.all_new()].count("run.failed") == 1
    poisoned.all_new()


WAITING = {
    "its retries": "UPDATE delivery SET retry = '['",
    "its words": "UPDATE delivery SET words = '{{{'",
    "its event": "UPDATE event SET content = '{{{'",
    "its run": "UPDATE run SET stages = '[['",
    "its endpoint's kind": "UPDATE endpoint SET provider_type = 'pigeon' WHERE name = 'poisoned'",
    "its endpoint's settings": "UPDATE endpoint SET settings = '{{{' WHERE name = 'poisoned'",
    "its endpoint's headers": "UPDATE endpoint SET headers_sealed = secret_sealed WHERE name = 'poisoned'",
}


@pytest.mark.parametrize("what", WAITING)
async def test_a_delivery_that_cannot_be_read_ends_and_others_go(
    what: str, tocsin: Running, logs: list[dict[str, Any]]
) -> None:
    well, poisoned = tocsin.receiver.hook("/well"), tocsin.receiver.slack("P")
    other = await tocsin.webhook(poisoned, name="poisoned", enabled_events=["*"])
    poisoned.always(503)
    await tocsin.send(run_id="r1")
    await tocsin.settle()
    poisoned.expect(1)
    await tocsin.app.db.script(f"{WAITING[what]}; UPDATE tenant SET config_version = config_version + 1")
    await tocsin.webhook(well, enabled_events=["*"])
    await tocsin.send(type="run.warning")
    for _ in range(6):
        await tocsin.move(600)
    told = [message.json["type"] for message in well.all_new()]
    assert told.count("run.warning") == 1, "somebody else's row kept this one from going"
    poisoned.all_new()
    logs[:] = [entry for entry in logs if entry["event"] != "deliver.failed"]  # that one, which says so
    found = await tocsin.deliveries(webhook_id=other["id"])
    assert found
    assert {delivery["status"] for delivery in found} <= {"dead", "retrying", "suppressed", "delivered"}
