"""Preferences: the documented form field for field, the general form beneath it, and what is sent because of them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.harness import Running, Start
from tests.web.slack_and_mail import LONG, SHORT, platform
from tocsin.sources.draft import Draft

pytestmark = pytest.mark.anyio

STANDARD = {
    "user_id": "ana@example.com",
    "slack_enabled": True,
    "email_enabled": True,
    "notify_on_safety_rollback": True,
    "notify_on_experiment_lifecycle": True,
    "notify_on_rollout_advance": False,
    "slack_channel": None,
    "email_address": None,
}


# The documented form.


async def test_the_first_read_makes_the_standard_ones(tocsin: Running) -> None:
    # S3-05
    ana = await tocsin.as_("viewer", user="ana@example.com")
    assert (await tocsin.app.db.read("list_preferences", {"tenant_id": "default", "after": "", "limit": 9})) == []
    assert (await ana.get(SHORT)).ok() == STANDARD
    (row,) = await tocsin.app.db.read("list_preferences", {"tenant_id": "default", "after": "", "limit": 9})
    assert row[0] == "ana@example.com"
    assert (await ana.get(SHORT)).ok() == STANDARD


async def test_a_part_is_changed_and_the_rest_stays(tocsin: Running) -> None:
    # S3-05: the document's own example
    ana = await tocsin.as_("viewer", user="ana@example.com")
    given = {
        "slack_enabled": True,
        "email_enabled": False,
        "notify_on_rollout_advance": True,
        "slack_channel": "#my-team-alerts",
    }
    assert (await ana.request("PUT", SHORT, given)).ok() == STANDARD | given
    assert (await ana.get(SHORT)).ok() == STANDARD | given
    given |= {"slack_channel": None, "email_address": "a@example.org", "notify_on_safety_rollback": False}
    assert (await ana.request("PUT", SHORT, given)).ok() == STANDARD | given
    assert (await ana.request("PUT", SHORT, STANDARD)).ok() == STANDARD


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"slack_enabled": "yes"}, "slack_enabled"),
        ({"slack_channel": "two words"}, "slack_channel"),
        ({"slack_channel": "<!channel>"}, "slack_channel"),
        ({"slack_channel": ""}, "slack_channel"),
        ({"email_address": "nobody"}, "email_address"),
        ({"email_address": "a@b.example\nBcc: x@y.example"}, "email_address"),
        ({"notify_on_lunch": True}, "notify_on_lunch"),
        ({"user_id": "bob@example.com"}, "user_id"),
    ],
    ids=str,
)
async def test_what_is_refused_is_named(standing: Running, given: dict[str, Any], field: str) -> None:
    ana = await standing.as_("viewer", user="ana@example.com")
    (await ana.request("PUT", SHORT, given)).problem(400, field)
    assert (await ana.get(SHORT)).ok() == STANDARD


async def test_everybody_has_their_own(tocsin: Running) -> None:
    # S3-09: any authenticated user; case 39: in each tenant
    ana, bob = [await tocsin.as_("viewer", user=f"{name}@example.com") for name in ("ana", "bob")]
    same_name = await tocsin.as_("viewer", tenant="other", user="ana@example.com")
    (await ana.request("PUT", SHORT, {"email_enabled": False})).ok()
    assert (await bob.get(SHORT)).ok()["email_enabled"] is True
    assert (await same_name.get(SHORT)).ok()["email_enabled"] is True
    service = await tocsin.as_("developer")
    assert (await service.get(SHORT)).ok()["user_id"].startswith("tok_")


# The general form.


async def test_the_general_form_is_the_same_thing(tocsin: Running) -> None:
    ana = await tocsin.as_("viewer", user="ana@example.com")
    found = (await ana.get(LONG)).ok()
    both, none = {"slack": True, "email": True, "locked": False}, {"slack": False, "email": False, "locked": False}
    assert found["categories"] == {
        "safety_rollback": both,
        "experiment_lifecycle": both,
        "rollout_advance": none,
        "alert": both,
        "critical": {"slack": True, "email": True, "locked": True},
    }
    (await ana.request("PUT", SHORT, {"notify_on_rollout_advance": True})).ok()
    cells = (await ana.get(LONG)).ok()["categories"]
    assert cells["rollout_advance"] == {"slack": True, "email": False, "locked": False}  # the document's table
    (await ana.request("PUT", LONG, {"categories": {"safety_rollback": {"slack": False, "email": False}}})).ok()
    (
        await ana.request("PUT", LONG, {"categories": {"alert": {"email": False}, "rollout_advance": {"email": True}}})
    ).ok()
    assert (await ana.get(SHORT)).ok() == STANDARD | {
        "notify_on_rollout_advance": True,
        "notify_on_safety_rollback": False,
    }
    (await ana.request("PUT", SHORT, {"notify_on_rollout_advance": True})).ok()  # it is on: the cells stay
    assert (await ana.get(LONG)).ok()["categories"]["rollout_advance"]["email"] is True
    assert (await ana.get(LONG)).ok()["categories"]["alert"] == both | {"email": False}


async def test_the_whole_of_it_can_be_put_back_as_it_was_read(tocsin: Running) -> None:
    ana = await tocsin.as_("viewer", user="ana@example.com")
    given = {
        "quiet_hours": [{"start": "22:00", "end": "07:00", "weekdays": [0, 1], "time_zone": "Europe/Berlin"}],
        "digest": {"every": "week", "at": "08:30", "weekday": 4, "time_zone": "Asia/Tokyo"},
        "slack_channel": "C0TEAM0001",
    }
    (await ana.request("PUT", LONG, given)).ok()
    found = (await ana.get(LONG)).ok()
    assert found["quiet_hours"] == given["quiet_hours"]
    assert found["digest"] == given["digest"]
    assert (await ana.request("PUT", LONG, found)).ok() == found
    assert (await ana.request("PUT", LONG, {"digest": None, "quiet_hours": []})).ok()["digest"] is None


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"categories": {"lunch": {"slack": True}}}, "categories"),
        ({"categories": {"critical": {"email": False}}}, "categories.critical.email"),
        ({"categories": {"critical": {"locked": False}}}, "categories.critical.locked"),
        ({"categories": {"alert": {"locked": True}}}, "categories.alert.locked"),
        ({"categories": {"alert": {"pager": True}}}, "categories[...].pager"),
        ({"quiet_hours": [{"start": "22:00", "end": "22:00"}]}, "quiet_hours[0].end"),
        ({"quiet_hours": [{"start": "1", "end": "2"}]}, "quiet_hours[0].start"),
        ({"digest": {"time_zone": "Mars/Olympus"}}, "digest.time_zone"),
    ],
    ids=str,
)
async def test_what_the_general_form_refuses(standing: Running, given: dict[str, Any], field: str) -> None:
    ana = await standing.as_("viewer", user="ana@example.com")
    (await ana.request("PUT", LONG, given)).problem(400, field)


# What is sent.


async def test_a_user_is_told_by_slack_and_by_email(start: Start) -> None:
    # S3-01 S3-03 S3-05: the event × channel table
    here = await platform(start)
    await here.user()
    await here.happens("safety_rollback")
    assert len(here.posts()) == 1
    assert [to for to, _ in here.mails()] == ["ana@example.com"]
    for type_ in ("experiment.started", "experiment.paused", "experiment.stopped", "experiment.completed", "alert"):
        await here.happens(type_)
        assert (type_, len(here.posts()), len(here.mails())) == (type_, 1, 1)
    await here.happens("rollout.advanced")
    assert (here.posts(), here.mails()) == ([], [])
    await here.user(notify_on_rollout_advance=True)
    await here.happens("rollout.advanced")
    assert (len(here.posts()), here.mails()) == (1, [])


async def test_two_users_who_fall_back_on_one_channel_cause_one_message(start: Start) -> None:
    here = await platform(start)
    await here.user("ana@example.com")
    await here.user("bob@example.com")
    await here.user("cem@example.com", slack_channel="platform-alerts")
    await here.happens()
    assert len(here.posts()) == 1
    assert [to for to, _ in here.mails()] == ["ana@example.com", "bob@example.com", "cem@example.com"]


async def test_in_a_tenant_without_the_environments_endpoint_too(start: Start) -> None:
    here = await platform(start)
    tocsin = here.tocsin
    users = [await tocsin.as_("developer", tenant="other", user=f"{name}@example.com") for name in ("ana", "bob")]
    for user in users:
        (await user.get(SHORT)).ok()
    await tocsin.send(users[0], type="safety_rollback")
    await tocsin.settle()
    assert len(here.posts()) == 1
    assert len(here.mails()) == 2
    assert (await users[0].get("/v1/webhooks")).ok()["items"] == []  # they are nobody's to manage


async def test_a_channel_and_an_address_of_ones_own(start: Start) -> None:
    here = await platform(start)
    ana = await here.user("ana", slack_channel="#team", email_address="Ana@example.org")
    await here.happens()
    assert len(here.posts("team")) == 1
    assert [to for to, _ in here.mails()] == ["ana@example.org"]
    assert here.posts() != []  # of the environment: nobody's preferences say anything about that channel
    (await ana.request("PUT", SHORT, {"slack_channel": None, "email_enabled": False})).ok()
    await here.happens()
    assert (len(here.posts()), here.posts("team"), here.mails()) == (1, [], [])


async def test_what_is_off_is_not_sent_and_why_says_whose_wish_it_was(start: Start) -> None:
    here = await platform(start)
    await here.user("ana@example.com", notify_on_safety_rollback=False)
    id_ = await here.happens()
    assert (here.posts(), here.mails()) == ([], [])
    why = str((await here.tocsin.client.get(f"/v1/events/{id_}/why")).ok())
    assert "safety rollbacks by Slack: that is off in the preferences of ana@example.com" in why
    await here.user("bob@example.com")  # he wants to hear of it, and reads in the same channel
    await here.happens()
    assert len(here.posts()) == 1
    assert [to for to, _ in here.mails()] == ["bob@example.com"]


async def test_case_38_a_channel_is_off_and_what_is_critical_is_sent_all_the_same(start: Start) -> None:
    here = await platform(start)
    await here.user(slack_enabled=False, notify_on_rollout_advance=False)
    await here.happens()
    assert (here.posts(), len(here.mails())) == ([], 1)
    await here.happens(severity="critical")
    assert (len(here.posts()), len(here.mails())) == (1, 1)
    await here.happens("rollout.advanced", severity="critical")
    assert (len(here.posts()), len(here.mails())) == (1, 1)


async def test_without_preferences_nobody_is_mailed_and_the_channel_gets_everything(start: Start) -> None:
    here = await platform(start)
    await here.happens("safety_rollback")
    await here.happens("rollout.advanced")
    assert (len(here.posts()), here.mails()) == (2, [])


async def test_progress_of_an_experiment_and_our_own_notices_are_not_its_business(start: Start) -> None:
    here = await platform(start, SLACK_DEFAULT_CHANNEL="")
    await here.user("ana", slack_channel="#team", email_enabled=False)
    await here.happens("experiment.progress")
    notice = Draft(type="endpoint.disabled", kind="alert", source="tocsin", severity="error")
    await here.tocsin.app.intake.accept("default", [notice])
    await here.tocsin.settle()
    await here.happens("run.failed")
    assert here.posts("team") == []


async def test_nothing_is_set_up_and_why_says_so(start: Start) -> None:
    tocsin = await start()
    ana = await tocsin.as_("developer", user="ana@example.com")
    (await ana.get(SHORT)).ok()
    await (await tocsin.as_("viewer", user="bob")).get(SHORT)
    sent = await tocsin.send(type="safety_rollback")
    await tocsin.settle()
    why = str((await tocsin.client.get(f"/v1/events/{sent['id']}/why")).ok())
    assert "Slack is not set up: SLACK_BOT_TOKEN is not set" in why
    assert "email is not set up: neither SENDGRID_API_KEY nor SMTP_HOST is set" in why
    assert "no email address is known of bob" in why
    assert set(await tocsin.statuses()) == {"suppressed"}


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-1234567890-abc"}, "SLACK_DEFAULT_CHANNEL is not set"),
        ({"SMTP_HOST": "mail.example.com"}, "EMAIL_FROM_ADDRESS is not set"),
        ({"SLACK_ENABLED": "false"}, "SLACK_ENABLED is off"),
        ({"EMAIL_ENABLED": "false"}, "EMAIL_ENABLED is off"),
    ],
    ids=str,
)
async def test_what_is_missing_is_named(start: Start, environment: dict[str, str], said: str) -> None:
    tocsin = await start(**environment)
    ana = await tocsin.as_("developer", user="ana@example.com")
    (await ana.get(SHORT)).ok()
    sent = await tocsin.send(type="safety_rollback")
    await tocsin.settle()
    assert said in str((await ana.get(f"/v1/events/{sent['id']}/why")).ok())


# Quiet hours and digests.


async def test_case_30_quiet_hours_hold_back_what_is_ones_own_in_ones_own_time_zone(start: Start) -> None:
    here = await platform(start)
    tocsin = here.tocsin
    tocsin.clock.now_ms = int(datetime(2027, 1, 12, 20, 59, 59, tzinfo=UTC).timestamp() * 1000)
    ana = await here.user("ana@example.com", role="developer", slack_channel="#team")
    quiet = [{"start": "22:00", "end": "07:00", "time_zone": "Europe/Berlin"}]
    (await ana.request("PUT", LONG, {"quiet_hours": quiet})).ok()
    hook = tocsin.receiver.hook("/a")
    await tocsin.webhook(hook, ana, enabled_events=["safety.rollback"])
    await here.happens(pipeline="one", after_s=0)
    assert (len(here.posts("team")), len(here.mails())) == (1, 1)
    hook.expect(1)
    here.posts()
    await tocsin.move(1)  # 22:00 in Berlin
    for pipeline in ("two", "three"):
        await here.happens(pipeline=pipeline, after_s=0)
    assert (here.posts("team"), here.mails()) == ([], [])
    hook.expect(0)
    await here.happens(pipeline="four", severity="critical")
    assert (len(here.posts("team")), len(here.mails())) == (1, 1)
    hook.expect(1)
    assert len(here.posts()) >= 2  # a shared channel does not sleep
    await tocsin.move(9 * 3600 - 3)
    assert (here.posts("team"), here.mails()) == ([], [])
    await tocsin.move(1)  # 07:00
    (post,), ((_, subject),) = here.posts("team"), here.mails()
    assert "2 events" in post
    assert "2 events" in subject
    hook.expect(1)


async def test_a_digest_of_ones_own(start: Start) -> None:
    # S1-17
    here = await platform(start)
    tocsin = here.tocsin
    tocsin.clock.now_ms = int(datetime(2027, 1, 12, 12, 0, tzinfo=UTC).timestamp() * 1000)
    ana = await here.user("ana@example.com", slack_enabled=False)
    (await ana.request("PUT", LONG, {"digest": {"at": "09:00", "time_zone": "Europe/Berlin"}})).ok()
    for number in range(3):
        await here.happens("experiment.completed", run_id=f"{number}")
    assert here.mails() == []
    await tocsin.move(20 * 3600 - 7)
    assert here.mails() == []
    await tocsin.move(1)
    ((to, subject),) = here.mails()
    assert to == "ana@example.com"
    assert "3 events" in subject


async def test_a_place_that_two_share_has_no_quiet_hours(start: Start) -> None:
    here = await platform(start)
    ana = await here.user("ana", slack_channel="#team")
    await here.user("bob", slack_channel="#team")
    (await ana.request("PUT", LONG, {"quiet_hours": [{"start": "00:00", "end": "23:59"}]})).ok()
    here.tocsin.clock.now_ms = int(datetime(2027, 1, 12, 12, 0, tzinfo=UTC).timestamp() * 1000)
    await here.happens()
    assert len(here.posts("team")) == 1


# The endpoints beneath.


async def test_case_40_a_channel_that_is_gone_is_switched_off_and_saving_switches_it_on(start: Start) -> None:
    here = await platform(start)
    tocsin = here.tocsin
    ana = await here.user("ana", slack_channel="#new", email_enabled=False)
    await here.happens()
    (delivery,) = await tocsin.deliveries(status="dead")
    assert "channel_not_found" in delivery["reason"]
    endpoint = (await tocsin.client.get(f"/v1/webhooks/{delivery['webhook_id']}")).ok()
    assert not endpoint["is_active"]
    await here.happens()
    here.slack.channels["C0NEW00001"] = type(here.slack.channels["C0TEAM0001"])("C0NEW00001", "new")
    (await ana.request("PUT", SHORT, {})).ok()
    await tocsin.move(2)
    assert len(here.posts("new")) == 1  # the second, which waited


async def test_what_nobody_needs_any_more_is_deleted_and_what_waits_there_is_cancelled(start: Start) -> None:
    here = await platform(start)
    tocsin = here.tocsin
    ana = await here.user("ana", slack_channel="#team", email_enabled=False)
    (await ana.request("PUT", LONG, {"digest": {}})).ok()
    await here.happens()
    assert (await tocsin.statuses(status="pending")) == {"pending": 1}
    rows = await tocsin.app.db.read("preference_endpoints", {"tenant_id": "default"})
    for number in range(4):
        (await ana.request("PUT", SHORT, {"slack_channel": f"#team-{number}"})).ok()
    assert len(await tocsin.app.db.read("preference_endpoints", {"tenant_id": "default"})) == len(rows)
    assert (await tocsin.statuses(status="cancelled")) == {"cancelled": 1}
