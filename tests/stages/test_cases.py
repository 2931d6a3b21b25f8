"""The black-box cases that systems of this kind are held against, by their numbers: those about noise, time, runs,
silences and preferences. Most are proven where their subject is tested; the rest is here, on both stores, with a clock
that is moved and receivers that fail on any message that was not expected."""

import ast
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Clock, Receiver, Running

pytestmark = pytest.mark.anyio

TESTS = Path(__file__).parents[1]
MINUTE = 60
HOUR = 3600

PROVEN: dict[int, tuple[str, ...]] = {
    4: ("stages/test_folding.py::test_04_a_burst_to_a_slack_channel",),
    19: ("stages/test_live_trouble.py::test_the_alarm_is_in_a_persons_own_words",
         "compose/test_templated.py::test_a_failure_sends_the_usual_message_and_says_why"),
    20: ("provider_kit/test_templates.py::test_no_template_takes_long",
         "rules/test_condition.py::test_no_condition_takes_long"),
    25: ("stages/test_silencing_flow.py"
         "::test_case_25_a_recovery_is_told_of_what_was_announced_and_hidden_while_silenced",
         "stages/test_alarms.py::test_only_what_was_announced_is_resolved"),
    26: ("stages/test_silencing_flow.py::test_case_26_no_recovery_is_told_of_a_failure_that_was_hidden",
         "stages/test_time.py::test_26_who_was_not_told_that_it_is_late_is_not_told_that_it_is_over"),
    27: ("stages/test_folding.py::test_27_all_of_a_window_are_one_message",),
    28: ("stages/test_folding.py::test_28_the_interval_is_exact",
         "stages/test_time.py::test_28_still_failing_is_told_again_though_nothing_happens"),
    29: ("stages/test_folding.py::test_29_a_restart_neither_repeats_nor_loses_nor_begins_anew",
         "stages/test_folding.py::test_29_a_restart_keeps_a_weekly_digest_whole",
         "stages/test_time.py::test_29_a_restart_neither_repeats_nor_forgets",
         "stages/test_schedules.py::test_29_a_restart_in_between"),
    30: ("stages/test_silencing_flow.py::test_case_30_the_edges_of_a_mute_window_in_the_zone_where_clocks_change",
         "stages/test_folding.py::test_30_a_daily_digest_keeps_its_hour_when_the_clocks_change",
         "stages/test_folding.py::test_30_an_hour_that_there_is_not_and_one_that_there_is_twice",
         "stages/test_schedules.py::test_30_the_night_the_clocks_change",
         "web/test_preferences.py::test_case_30_quiet_hours_hold_back_what_is_ones_own_in_ones_own_time_zone"),
    31: ("stages/test_runs.py::test_31_the_order_in_which_a_run_is_told_does_not_matter",
         "stages/test_time.py::test_31_what_comes_late_twice_or_in_another_order_is_no_alarm",
         "web/test_events.py::test_the_same_id_and_source_is_the_same_event"),
    32: ("stages/test_time.py::test_32_a_run_that_takes_too_long_is_told_once_while_it_goes_on",),
    33: ("stages/test_time.py::test_33_overlapping_runs_have_clocks_of_their_own",),
    34: ("stages/test_time.py::test_34_a_run_that_ends_too_soon",),
    35: ("stages/test_schedules.py::test_35_a_start_that_is_missed",
         "stages/test_schedules.py::test_35_the_end_has_a_deadline_of_its_own",
         "stages/test_schedules.py::test_35_a_run_that_started_too_late_can_still_be_overdue"),
    38: ("web/test_preferences.py::test_case_38_a_channel_is_off_and_what_is_critical_is_sent_all_the_same",),
    39: ("web/test_tenants.py::test_every_route_with_every_id_of_another_tenant",
         "web/test_tenants.py::test_lists_and_filters_show_nothing_of_another_tenant",
         "web/test_rule_preview.py::test_another_tenants_rules_and_events_are_not_there",
         "stages/test_silencing_flow.py::test_silences_of_another_tenant_hide_nothing_here"),
    40: ("stages/test_folding.py::test_40_an_endpoint_that_is_switched_off_gets_it_when_it_is_back",
         "stages/test_folding.py::test_40_an_endpoint_that_is_deleted_cancels_it_with_all_that_joined",
         "stages/test_silencing_flow.py::test_case_40_the_endpoint_is_deleted_before_the_silence_ends",
         "web/test_preferences.py::test_case_40_a_channel_that_is_gone_is_switched_off_and_saving_switches_it_on"),
    41: ("stages/test_folding.py::test_41_a_test_message_is_never_folded",),
    43: ("stages/test_live.py::test_fifty_updates_in_five_seconds_are_two_edits",),
    48: ("cli/test_rules_command.py::test_anything_else_ends_with_1",),
    50: ("stages/test_time.py::test_50_a_clock_that_is_set_is_no_alarm",
         "stages/test_folding.py::test_50_nothing_joins_what_was_tried_although_the_clock_goes_back",
         "stages/test_schedules.py::test_50_a_clock_that_goes_back_an_hour_asks_for_nothing_twice"),
}  # fmt: skip
"""Where a case is proven, besides the tests below: file::test."""

CONCERNED = {4, 19, 20, *range(24, 42), 43, 47, 48, 50}


def names_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("number", sorted(CONCERNED))
def test_every_case_is_proven(number: int) -> None:
    here = [name for name in names_in(Path(__file__)) if re.match(rf"test_case_{number}_", name)]
    assert here or PROVEN.get(number)
    for proof in PROVEN.get(number, ()):
        path, _, name = proof.partition("::")
        assert name in names_in(TESTS / path), proof


def at(tocsin: Running, seconds: float = 0) -> str:
    return datetime.fromtimestamp(tocsin.clock.now_s + seconds, UTC).isoformat()


async def ends(tocsin: Running, outcomes: str, *, every_s: float = MINUTE, **event: Any) -> None:
    """Runs that end one after the other: g is a good one, b a bad one."""
    for outcome in outcomes:
        await tocsin.move(every_s)
        kind = "run.succeeded" if outcome == "g" else "run.failed"
        about = {"type": kind, "pipeline": "etl/orders", "run_id": at(tocsin), "time": at(tocsin)}
        await tocsin.send(**about | event)
        await tocsin.settle()


async def test_case_24_a_cron_line_is_shown_as_it_is_written(tocsin: Running) -> None:
    hook, chat = tocsin.receiver.hook("/a"), tocsin.receiver.slack()
    webhooks = [await tocsin.webhook(hook), await tocsin.webhook(chat)]
    cron = "* * * * *"
    schedule = {"cron": cron, "start_within_s": MINUTE}
    rule = await tocsin.rule(*webhooks, event_types=["alert"], pipelines=["job"], name=cron, schedule=schedule)
    assert rule["schedule"]["cron"] == cron
    await tocsin.send(id="e1", type="alert", pipeline="job", title=f"{cron} is *not* a schedule")
    await tocsin.settle()
    ((message,), (said,)) = hook.expect(1), chat.expect(1)
    assert message.json["title"] == f"{cron} is *not* a schedule"
    assert said.json["text"] == f"⚠️ {cron} is *not* a schedule."
    assert said.json["mrkdwn"] is False, "asterisks are no bold type here"
    why = (await tocsin.client.get("/v1/events/e1/why")).ok()
    assert cron in {decision["rule"] for decision in why["decisions"]}


async def test_case_25_a_recovery_is_told_once_and_only_of_what_was_announced(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    await tocsin.rule(await tocsin.webhook(hook), event_types=["run.*"], changes={})
    await ends(tocsin, "gg")
    hook.expect(0)
    await ends(tocsin, "bbggg")
    failed, recovered = hook.expect(2)
    assert (failed.json["type"], recovered.json["type"]) == ("run.failed", "run.succeeded")
    await ends(tocsin, "gbg", pipeline="etl/users")
    assert [message.json["pipeline"] for message in hook.expect(2)] == ["etl/users"] * 2


async def test_case_36_a_success_rate_fires_once_and_recovers_with_hysteresis(tocsin: Running) -> None:
    # S4-05
    hook = tocsin.receiver.hook("/a")
    window = {"kind": "success_rate", "below": 0.5, "runs": 10, "recover": 0.8}
    await tocsin.rule(await tocsin.webhook(hook), event_types=["run.*"], window=window)
    await ends(tocsin, "ggbggbbbb")  # 4 of 9: too few are known
    hook.expect(0)
    await ends(tocsin, "b")
    (low,) = hook.expect(1)
    assert low.json["title"] == "etl/orders: only 4 of the last 10 runs succeeded (40%)"
    await ends(tocsin, "b")  # 3 of 10, told already
    await ends(tocsin, "gggggg")  # 6 of 10: above the bound, below what it takes to recover
    hook.expect(0)
    await ends(tocsin, "bb")  # it goes up and down between the two
    hook.expect(0)
    await ends(tocsin, "gggggggg")
    hook.expect(1)
    await ends(tocsin, "ggbg")
    hook.expect(0)


async def test_case_37_two_hundred_changes_are_a_handful_of_messages(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    changes = {"flapping": {"changes": 4, "within_s": HOUR}}
    await tocsin.rule(await tocsin.webhook(hook), event_types=["run.*"], changes=changes)
    await ends(tocsin, "bg" * 100)
    messages = hook.expect(4)
    assert messages[-1].json["title"] == "etl/orders is flapping: 4 changes in an hour"
    await tocsin.move(2 * HOUR)
    await ends(tocsin, "g")
    (steady,) = hook.expect(1)
    assert "steady again" in steady.body.decode()
    await ends(tocsin, "gg")
    hook.expect(0)
    assert await tocsin.statuses() == {"delivered": 5}


async def test_case_39_what_two_tenants_call_the_same_is_not_the_same(tocsin: Running) -> None:
    """States, groups, clocks and silences."""
    here, there = tocsin.client, await tocsin.as_("admin", "other")
    hooks = {}
    for client, name in ((here, "here"), (there, "there")):
        hooks[name] = tocsin.receiver.hook(f"/{name}")
        webhook = await tocsin.webhook(hooks[name], client)
        window = {"kind": "failures", "count": 2}
        group = {"by": ["pipeline"], "wait_s": 30, "interval_s": 60}
        rule = {"event_types": ["run.failed"], "window": window, "group": group}
        await tocsin.rule(webhook, client=client, **rule)
        await tocsin.rule(webhook, client=client, event_types=["run.exceeded"], watch={"exceeded_s": HOUR})
    about = {"pipeline": "etl/orders", "run_id": "r1"}
    await tocsin.send(here, id="e1", **about)
    await tocsin.send(there, id="e1", **about)
    await tocsin.move(MINUTE)  # one failure in a row, in each
    for hook in hooks.values():
        hook.expect(0)
    await tocsin.send(there, id="e2", pipeline="etl/orders", run_id="r2")
    await tocsin.move(MINUTE)
    hooks["here"].expect(0)
    (two,) = hooks["there"].expect(1)
    assert "2 failures in a row" in two.json["title"]
    for client in (here, there):
        await tocsin.send(client, id="e3", type="run.started", pipeline="etl/orders", run_id="r3", time=at(tocsin))
    await tocsin.send(here, id="e4", type="run.succeeded", pipeline="etl/orders", run_id="r3", time=at(tocsin, 1))
    await tocsin.move(2 * HOUR)
    hooks["here"].expect(0)
    (late,) = hooks["there"].expect(1)
    assert late.json["type"] == "run.exceeded"


async def test_case_41_a_test_message_says_so_is_tried_once_and_counts_for_nothing(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    webhook = await tocsin.webhook(hook, enabled_events=["run.failed"])
    hook.always(500)
    for _ in range(12):
        tested = (await tocsin.client.post(f"/v1/webhooks/{webhook['id']}/test")).ok()
        assert (tested["status"], tested["attempts"]) == ("dead", 1)
    await tocsin.wait_out()
    assert "test" in hook.expect(12)[0].json["title"].lower()
    found = await tocsin.endpoint(webhook)
    assert (found["consecutive_failures"], found["disabled_reason"]) == (0, ""), found
    hook.always(200)
    await tocsin.send()
    await tocsin.settle()
    hook.expect(1)


async def test_case_47_a_message_that_nobody_expected_fails_the_test(tocsin: Running, clock: Clock) -> None:
    receiver = Receiver(clock)
    hook = receiver.hook("/a")
    receiver.check()
    other = tocsin.receiver.hook("/a")
    await tocsin.webhook(other, enabled_events=["*"])
    await tocsin.send()
    await tocsin.settle()
    hook.received += other.expect(1)
    with pytest.raises(AssertionError, match="got 1 messages, not 0"):
        receiver.check()
    hook.expect(1)
    receiver.check()
    receiver.unexpected += hook.received
    with pytest.raises(AssertionError, match="at addresses nobody named"):
        receiver.check()


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
async def test_case_50_a_clock_that_is_set_tells_nothing_twice(tocsin: Running, jump: int) -> None:
    changed, muted = tocsin.receiver.hook("/changed"), tocsin.receiver.hook("/muted")
    await tocsin.rule(await tocsin.webhook(changed), event_types=["run.*"], changes={"renotify_s": 3 * HOUR})
    webhook = await tocsin.webhook(muted, enabled_events=["run.failed"])
    silence = {"matchers": [{"field": "endpoint", "value": webhook["id"]}], "duration_s": 90 * MINUTE}
    (await tocsin.client.post("/v1/silences", silence)).ok(201)
    await ends(tocsin, "b")
    changed.expect(1)
    tocsin.clock.move(jump)
    await tocsin.settle()
    await tocsin.send(pipeline="etl/orders", run_id="another", time=at(tocsin))
    await tocsin.settle()
    tocsin.clock.move(-jump)
    await tocsin.settle()
    changed.expect(0)
    muted.expect(0 if jump > 0 else 1)  # an hour ago, the silence had not begun
    await tocsin.move(2 * HOUR)
    (told,) = muted.expect(1)
    assert told.json["type"] == "silence.ended"
    changed.expect(0)
    await ends(tocsin, "g")
    (over,) = changed.expect(1)
    assert over.json["type"] == "run.succeeded"
    await tocsin.move(5 * HOUR)
