"""Silences as they work: nothing is sent while one is on, all is decided nevertheless, and the end tells once."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from tests.harness import Running, Start
from tocsin.model.world import Matcher, Silence
from tocsin.stages.silence_end import LATE_MS, end_silences, listed, named, summary, verb

pytestmark = pytest.mark.anyio

HOUR = 3600
LATE = LATE_MS / 1000


async def silence(tocsin: Running, field: str = "pipeline", value: str = "etl/*", **fields: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"matchers": [{"field": field, "value": value}], "reason": "new cluster"}
    if not fields.keys() & {"ends_at", "hours"}:
        given["duration_s"] = HOUR
    made: dict[str, Any] = (await tocsin.client.post("/v1/silences", given | fields)).ok(201)
    return made


def at(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


async def test_nothing_is_sent_while_it_lasts_and_the_reason_says_why(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    webhook = await tocsin.webhook(hook, enabled_events=["run.*"])
    made = await silence(tocsin)
    await tocsin.send(pipeline="etl/orders")
    await tocsin.settle()
    hook.expect(0)
    delivery = await tocsin.delivery()
    assert delivery["status"] == "suppressed"
    assert delivery["reason"].startswith(f"silenced by {made['created_by']} until ")
    assert delivery["reason"].endswith(f": new cluster ({made['id']})")
    await tocsin.send(pipeline="ml/ranker")
    await tocsin.settle()
    hook.expect(1)
    why = (await tocsin.client.get(f"/v1/events/{delivery['event_id']}/why")).ok()
    assert made["id"] in str(why["decisions"])
    assert webhook["id"] in str(why["decisions"])


async def test_the_end_tells_once_what_was_hidden(tocsin: Running) -> None:
    hook, other, quiet = (tocsin.receiver.hook(path) for path in ("/a", "/b", "/c"))
    await tocsin.webhook(hook, enabled_events=["run.*"])
    webhook = await tocsin.webhook(other, name="failures", enabled_events=["run.failed"])
    await tocsin.webhook(quiet, enabled_events=["*"], is_active=False)
    made = await silence(tocsin)
    for number in range(3):
        await tocsin.send(pipeline="etl/orders", run_id=f"r{number}")
    await tocsin.send(pipeline="etl/users", type="run.succeeded", run_id="u1")
    await tocsin.move(HOUR - 1)
    hook.expect(0)
    await tocsin.move(1)
    hook.expect(0)  # what was decided a moment ago may still be written
    await tocsin.move(LATE)
    (message,) = hook.expect(1)
    assert message.json["type"] == "silence.ended"
    event = (await tocsin.client.get(f"/v1/events/{message.json['id']}")).ok()
    assert event["title"] == "Silence of etl/* ended: 4 messages were kept back"
    assert event["message"].splitlines()[:2] == ["3 failed, 1 succeeded", "etl/orders (3), etl/users (1)"]
    assert event["message"].endswith("new cluster")
    assert event["data"]["silence_id"] == made["id"]
    assert event["data"]["kinds"] == {"run.failed": 3, "run.succeeded": 1}
    (message,) = other.expect(1)
    event = (await tocsin.client.get(f"/v1/events/{message.json['id']}")).ok()
    assert event["title"] == "Silence of etl/* ended: 3 messages were kept back"
    assert (await tocsin.statuses(webhook_id=webhook["id"])) == {"suppressed": 3, "delivered": 1}
    await tocsin.move(HOUR)
    found = (await tocsin.client.get(f"/v1/silences/{made['id']}")).ok()
    assert (found["status"], found["hidden"]) == ("ended", 7)


async def test_nothing_hidden_is_nothing_told(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    await tocsin.webhook(hook, enabled_events=["*"])
    await silence(tocsin)
    await tocsin.send(pipeline="ml/ranker")
    await tocsin.settle()
    hook.expect(1)
    await tocsin.move(2 * HOUR)
    hook.expect(0)


async def test_an_early_end_tells_too(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    made = await silence(tocsin)
    await tocsin.send(pipeline="etl/orders")
    (await tocsin.client.delete(f"/v1/silences/{made['id']}")).ok(204)
    await tocsin.send(pipeline="etl/orders", run_id="2")
    await tocsin.settle()
    (message,) = hook.expect(1)
    assert message.json["type"] == "run.failed"
    await tocsin.move(LATE)
    (message,) = hook.expect(1)
    assert message.json["type"] == "silence.ended"
    await tocsin.move(2 * HOUR)
    hook.expect(0)


async def test_a_silence_hides_from_one_endpoint_and_tells_that_one(tocsin: Running) -> None:
    hook, other = tocsin.receiver.hook("/a"), tocsin.receiver.hook("/b")
    webhook = await tocsin.webhook(hook, name="team", enabled_events=["*"])
    await tocsin.webhook(other, enabled_events=["*"])
    await silence(tocsin, "endpoint", webhook["id"])
    await tocsin.send(pipeline="etl/orders")
    await tocsin.settle()
    hook.expect(0)
    other.expect(1)
    await tocsin.move(HOUR + LATE)
    hook.expect(1)
    other.expect(0)


async def test_hours_that_come_back_tell_each_time(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    now = datetime.fromtimestamp(tocsin.clock.now_s, UTC)
    hours = {"start": f"{now:%H:%M}", "end": f"{(now.hour + 2) % 24:02}:{now:%M}"}
    made = await silence(tocsin, hours=[hours])
    for day in range(2):
        for number in range(day + 1):
            await tocsin.send(pipeline="etl/orders", run_id=f"{day}.{number}")
        await tocsin.settle()
        hook.expect(0)
        await tocsin.move(3 * HOUR)
        (message,) = hook.expect(1)
        event = (await tocsin.client.get(f"/v1/events/{message.json['id']}")).ok()
        assert event["data"]["kept_back"] == day + 1
        await tocsin.send(pipeline="etl/orders", run_id=f"{day}.late")
        await tocsin.settle()
        hook.expect(1)
        await tocsin.move(21 * HOUR)
        hook.expect(0)
    assert (await tocsin.client.get(f"/v1/silences/{made['id']}")).ok()["status"] == "active"


async def test_case_26_no_recovery_is_told_of_a_failure_that_was_hidden(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    webhook = await tocsin.webhook(hook)
    await tocsin.rule(webhook, changes={})
    await silence(tocsin)
    await tocsin.send(pipeline="etl/orders", run_id="1", type="run.failed")
    await tocsin.move(HOUR + LATE)
    (message,) = hook.expect(1)
    assert message.json["type"] == "silence.ended"
    await tocsin.send(pipeline="etl/orders", run_id="2", type="run.succeeded")
    await tocsin.settle()
    hook.expect(0)
    await tocsin.send(pipeline="etl/orders", run_id="3", type="run.failed")
    await tocsin.settle()
    hook.expect(1)


async def test_case_25_a_recovery_is_told_of_what_was_announced_and_hidden_while_silenced(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    webhook = await tocsin.webhook(hook)
    await tocsin.rule(webhook, changes={})
    await tocsin.send(pipeline="etl/orders", run_id="1", type="run.failed")
    await tocsin.settle()
    hook.expect(1)
    made = await silence(tocsin)
    (await tocsin.client.delete(f"/v1/silences/{made['id']}")).ok(204)
    await tocsin.send(pipeline="etl/orders", run_id="2", type="run.succeeded")
    await tocsin.move(LATE)
    (message,) = hook.expect(1)
    assert message.json["type"] == "run.succeeded"


async def test_case_30_the_edges_of_a_mute_window_in_the_zone_where_clocks_change(tocsin: Running) -> None:
    """In Berlin 02:30 comes twice when the clocks go back: the hours 02:00 to 03:00 last two hours then."""
    hook = tocsin.receiver.hook("/a")
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    start = int(datetime(2027, 10, 31, 0, 0, tzinfo=UTC).timestamp() * 1000)  # 02:00 in summer time
    tocsin.clock.now_ms = start - 1000
    await silence(tocsin, hours=[{"start": "02:00", "end": "03:00", "time_zone": "Europe/Berlin"}])
    await tocsin.settle()
    for second, told in ((-1, 1), (0, 0), (HOUR, 0), (2 * HOUR - 1, 0), (2 * HOUR + LATE, 1)):
        tocsin.clock.now_ms = start + int(second * 1000)
        await tocsin.send(pipeline="etl/orders", run_id=f"at {second}")
        await tocsin.settle()
        failed = [message for message in hook.all_new() if message.json["type"] == "run.failed"]
        assert len(failed) == told, second


async def test_case_40_the_endpoint_is_deleted_before_the_silence_ends(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    webhook = await tocsin.webhook(hook, enabled_events=["run.failed"])
    made = await silence(tocsin)
    await tocsin.send(pipeline="etl/orders")
    (await tocsin.client.delete(f"/v1/webhooks/{webhook['id']}")).ok(204)
    await tocsin.move(HOUR + LATE)
    hook.expect(0)
    assert await tocsin.statuses() == {"suppressed": 1}
    assert (await tocsin.client.get(f"/v1/silences/{made['id']}")).ok()["status"] == "ended"


async def test_an_endpoint_that_was_switched_off_is_not_sent_the_summary_and_the_log_says_so(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    webhook = await tocsin.webhook(hook, enabled_events=["run.failed"])
    await silence(tocsin)
    await tocsin.send(pipeline="etl/orders")
    (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/disable")).ok()
    await tocsin.move(HOUR + LATE)
    hook.expect(0)
    (summary_, _) = await tocsin.deliveries()
    assert (summary_["event_type"], summary_["status"]) == ("silence.ended", "suppressed")
    assert summary_["reason"] == "the webhook is switched off"


async def test_told_once_by_several_processes_and_over_a_crash(tocsin: Running, start: Start) -> None:
    hook = tocsin.receiver.hook("/a")
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    made = await silence(tocsin)
    await tocsin.send(pipeline="etl/orders")
    tocsin.clock.move(HOUR + LATE)
    db, accept = tocsin.app.db, tocsin.app.intake.accept

    async def accept_and_die(*args: Any, **more: Any) -> None:
        await accept(*args, **more)
        raise KeyError("killed")

    with pytest.raises(KeyError):
        await end_silences(db, tocsin.clock.now_ms, accept_and_die)
    if tocsin.dialect == "postgres":
        second = await start()
        await asyncio.gather(*(one.app.sweep.sweep() for one in (tocsin, second)))
    await tocsin.settle()
    hook.expect(1)
    assert (await tocsin.client.get(f"/v1/silences/{made['id']}")).ok()["status"] == "ended"
    assert await tocsin.statuses() == {"suppressed": 1, "delivered": 1}


async def test_what_intake_refuses_is_told_later(tocsin: Running) -> None:
    from tocsin.model.errors import Busy

    hook = tocsin.receiver.hook("/a")
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    await silence(tocsin)
    await tocsin.send(pipeline="etl/orders")
    tocsin.clock.move(HOUR + LATE)

    async def refuses(*args: Any, **more: Any) -> None:
        raise Busy("not now", 1)

    await end_silences(tocsin.app.db, tocsin.clock.now_ms, refuses)
    await tocsin.settle()
    hook.expect(1)


async def test_another_silence_may_hide_the_summary_and_tells_of_it(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    webhook = await tocsin.webhook(hook, enabled_events=["run.failed"])
    await silence(tocsin)
    await silence(tocsin, "endpoint", webhook["id"], duration_s=2 * HOUR)
    await tocsin.send(pipeline="etl/orders")
    await tocsin.move(HOUR + LATE)
    hook.expect(0)
    await tocsin.move(HOUR)
    (message,) = hook.expect(1)
    event = (await tocsin.client.get(f"/v1/events/{message.json['id']}")).ok()
    assert event["data"]["kinds"] == {"other": 1}


async def test_old_silences_go_with_what_they_hid(start: Start) -> None:
    tocsin = await start(TOCSIN_RETENTION_DAYS="1")
    hook = tocsin.receiver.hook("/a")
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    made = await silence(tocsin)
    await tocsin.send(pipeline="etl/orders")
    await tocsin.move(HOUR + LATE)
    hook.expect(1)
    await tocsin.move(2 * 86_400)
    (await tocsin.client.get(f"/v1/silences/{made['id']}")).problem(404)
    assert await tocsin.app.db.read("untold_hidden", {"tenant_id": "default", "silence_id": made["id"]}) == []


async def test_silences_of_another_tenant_hide_nothing_here(tocsin: Running) -> None:
    # case 39
    other = await tocsin.as_("developer", tenant="other", user="eve")
    (await other.post("/v1/silences", {"matchers": [{"field": "pipeline", "value": "*"}], "duration_s": 60})).ok(201)
    hook = tocsin.receiver.hook("/a")
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    await tocsin.send(pipeline="etl/orders")
    await tocsin.settle()
    hook.expect(1)
    (await other.get(f"/v1/silences/{quote('sil_nothing')}")).problem(404)


# The words.


def test_what_the_summary_says() -> None:
    silence_ = Silence(id="sil_1", matchers=(Matcher("pipeline", "etl/*"),), starts_ms=0, ends_ms=1)
    one = summary(silence_, "whk_1", 1, 1, [("run.failed", "etl/orders", 1)])
    assert one.title == "Silence of etl/* ended: 1 message was kept back"
    assert one.message == "1 failed\netl/orders (1)\nSilenced."
    many = summary(
        silence_, "whk_1", 9, 5, [("stage.failed", "a", 2), ("alert", "", 1), ("other", "b", 1), ("other", "c", 1)]
    )
    assert many.message.splitlines()[0] == "2 stages failed, 2 other, 1 alerted"
    assert many.message.splitlines()[1] == "a (2), no pipeline (1), b (1) and 1 more"
    assert many.id != one.id


@pytest.mark.parametrize(
    ("matchers", "name"),
    [
        ((Matcher("pipeline", "etl/*"),), "etl/*"),
        ((Matcher("pipeline", "etl/*", True),), "pipeline not etl/*"),
        ((Matcher("pipeline", "a"), Matcher("labels.env", "prod")), "pipeline a and labels.env prod"),
    ],
)
def test_how_a_silence_is_named(matchers: tuple[Matcher, ...], name: str) -> None:
    assert named(matchers) == name


def test_long_lists_and_unknown_kinds() -> None:
    assert listed(["a", "b", "c"]) == "a, b, c"
    assert verb("run.paused") == "paused"
