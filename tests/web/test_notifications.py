"""Everybody's preferences, the delivery log and the test: shapes and roles as they are documented."""

import re

import pytest

from tests.harness import Running, Start
from tests.web.slack_and_mail import LONG, SHORT, platform
from tocsin.fakes.slack import Channel
from tocsin.web.api.notifications import code_of

pytestmark = pytest.mark.anyio

ALL = "/api/v1/notifications/admin/preferences"
LOG = "/api/v1/notifications/delivery-log"
TEST = "/api/v1/notifications/test"


# Everybody's preferences.


async def test_an_admin_sees_everybodys(tocsin: Running) -> None:
    # S3-06
    names = ["ana", "bob", "çem", "tok"]
    for name in names:
        (await (await tocsin.as_("viewer", user=name)).get(SHORT)).ok()
    (await (await tocsin.as_("viewer", tenant="other", user="eve")).get(SHORT)).ok()
    first = (await tocsin.client.get(f"{ALL}?limit=3")).ok()
    second = (await tocsin.client.get(f"{ALL}?limit=3&cursor={first['next']}")).ok()
    found = first["items"] + second["items"]
    assert sorted(one["user_id"] for one in found) == sorted(names)
    assert second["next"] is None
    assert set(found[0]) >= {"slack_enabled", "notify_on_rollout_advance", "email_address"}
    (await tocsin.client.get(f"{ALL}?cursor=***")).problem(400, "cursor")


# The delivery log.


async def test_the_log_has_the_documents_shape(start: Start) -> None:
    # S3-07
    here = await platform(start)
    here.slack.channels.clear()
    await here.user("ana", email_enabled=False)
    await here.happens("safety_rollback")
    found = (await here.tocsin.client.get(LOG)).ok()
    (item,) = found.pop("items")
    assert found == {"total": 1, "page": 1, "limit": 20}
    assert item.pop("id").startswith("dlv_")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", item.pop("created_at"))
    assert item == {
        "event_type": "safety_rollback",
        "channel": "slack",
        "status": "failed",
        "error": "channel_not_found",
    }


@pytest.mark.parametrize(
    ("said", "shown"),
    [("channel_not_found: there is none", "channel_not_found"), ("not_authed", "not_authed"),
     ("HTTP 401: The provided authorization grant is invalid", "unauthorized"), ("timeout: 10 s", "timeout: 10 s"),
     ("HTTP 500: no_good: x", "HTTP 500: no_good: x")],
)  # fmt: skip
def test_errors_are_codes_where_there_are_any(said: str, shown: str) -> None:
    assert code_of(said) == shown


async def test_the_log_is_filtered_and_paged(start: Start) -> None:
    # S3-07
    here = await platform(start)
    client = here.tocsin.client
    await here.user("ana@example.com")
    for type_ in ("safety_rollback", "safety.rollback", "experiment.started", "alert", "rollout.advanced"):
        await here.happens(type_)
    here.slack.channels.clear()
    await here.happens("alert")

    async def log(query: str) -> list[tuple[str, str, str]]:
        found = (await client.get(f"{LOG}?{query}")).ok()
        assert found["total"] == len(found["items"])
        return sorted((one["event_type"], one["channel"], one["status"]) for one in found["items"])

    assert len(await log("limit=100")) == 10  # what nobody wanted is not in it
    assert await log("status=failed") == [("alert", "slack", "failed")]
    assert {status for _, _, status in await log("status=success")} == {"success"}
    assert len(await log("event_type=safety_rollback")) == 4
    assert len(await log("event_type=safety.rollback")) == 4
    assert len(await log("event_type=experiment_lifecycle")) == 2
    assert await log("event_type=alert&status=failed") == [("alert", "slack", "failed")]
    assert await log("event_type=%25") == []
    one = (await client.get(f"{LOG}?limit=3&page=2")).ok()
    assert (one["total"], one["page"], one["limit"], len(one["items"])) == (10, 2, 3, 3)
    whole = [item["id"] for item in (await client.get(f"{LOG}?limit=100")).ok()["items"]]
    assert [item["id"] for item in one["items"]] == whole[3:6]
    assert whole == sorted(whole, reverse=True)
    assert (await client.get(f"{LOG}?page=50")).ok()["items"] == []
    other = await here.tocsin.as_("admin", tenant="other")
    assert (await other.get(LOG)).ok()["total"] == 0  # case 39


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=101", "limit"),
        ("limit=0", "limit"),
        ("page=0", "page"),
        ("page=x", "page"),
        ("page=99999999999999999999", "page"),
        ("status=dead", "status"),
        ("channel=slack", "channel"),
    ],
)
async def test_what_the_log_refuses(standing: Running, query: str, field: str) -> None:
    (await standing.client.get(f"{LOG}?{query}")).problem(400, field)


async def test_what_is_tried_again_has_failed_so_far(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/a")
    hook.answer(500)
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    await tocsin.send()
    await tocsin.settle()
    (item,) = (await tocsin.client.get(LOG)).ok()["items"]
    assert (item["channel"], item["status"]) == ("webhook", "failed")
    assert "500" in item["error"]
    await tocsin.wait_out(10)
    hook.expect(2)
    (item,) = (await tocsin.client.get(LOG)).ok()["items"]
    assert (item["status"], item["error"]) == ("success", None)


# The test.


async def test_it_really_sends(start: Start) -> None:
    # S3-08
    here = await platform(start)
    ana = await here.user("ana@example.com", role="developer")
    said = (await ana.post(TEST, {"channel": "slack"})).ok()
    assert said == {"success": True, "message": "Test notification sent to #platform-alerts"}
    (post,) = here.posts()
    assert "est" in post
    said = (await ana.post(TEST, {"channel": "email"})).ok()
    assert said == {"success": True, "message": "Test notification sent to ana@example.com"}
    assert [to for to, _ in here.mails()] == ["ana@example.com"]
    (await ana.request("PUT", SHORT, {"slack_channel": "C0TEAM0001"})).ok()
    said = (await ana.post(TEST, {"channel": "slack"})).ok()
    assert said == {"success": True, "message": "Test notification sent to C0TEAM0001"}
    assert len(here.posts("team")) == 1


async def test_it_makes_the_preferences_that_it_needs(start: Start) -> None:
    here = await platform(start)
    ana = await here.tocsin.as_("developer", user="ana@example.com")
    assert (await ana.post(TEST, {"channel": "email"})).ok()["success"] is True
    assert len(here.mails()) == 1


async def test_it_says_what_went_wrong(start: Start) -> None:
    here = await platform(start)
    ana = await here.user("ana", role="developer", slack_channel="#nowhere")
    said = (await ana.post(TEST, {"channel": "slack"})).ok()
    assert said["success"] is False
    assert said["message"].startswith("Test notification to #nowhere was not sent: channel_not_found")
    said = (await ana.post(TEST, {"channel": "email"})).ok()
    assert said["success"] is False
    assert "no email address is known of ana" in said["message"]
    here.slack.channels["C0NOWHERE1"] = Channel("C0NOWHERE1", "nowhere")
    here.tocsin.clock.move(2)
    assert (await ana.post(TEST, {"channel": "slack"})).ok()["success"] is True  # switched off, and sent all the same


@pytest.mark.parametrize(
    ("environment", "channel", "said"),
    [
        ({}, "slack", "SLACK_BOT_TOKEN is not set"),
        ({}, "email", "neither SENDGRID_API_KEY nor SMTP_HOST is set"),
        ({"SLACK_ENABLED": "false"}, "slack", "SLACK_ENABLED is off"),
        ({"SLACK_BOT_TOKEN": "xoxb-1234567890-abc"}, "slack", "SLACK_DEFAULT_CHANNEL is not set"),
    ],
)
async def test_what_is_not_set_up_is_named(start: Start, environment: dict[str, str], channel: str, said: str) -> None:
    tocsin = await start(**environment)
    ana = await tocsin.as_("developer", user="ana@example.com")
    answer = (await ana.post(TEST, {"channel": channel})).ok()
    assert (answer["success"], said in answer["message"]) == (False, True), answer
    assert await tocsin.deliveries() == []


async def test_what_the_test_refuses(tocsin: Running) -> None:
    for body in ({}, {"channel": "pigeon"}, {"channel": "slack", "to": "x"}):
        (await tocsin.client.post(TEST, body)).problem(400)


# Roles.


async def test_who_may(tocsin: Running) -> None:
    # S3-09: the document's table
    clients = {role: await tocsin.as_(role, user=f"{role}@example.com") for role in ("viewer", "developer", "admin")}
    allowed = {
        ("GET", SHORT): {"viewer", "developer", "admin"},
        ("PUT", SHORT): {"viewer", "developer", "admin"},
        ("GET", LONG): {"viewer", "developer", "admin"},
        ("PUT", LONG): {"viewer", "developer", "admin"},
        ("POST", TEST): {"developer", "admin"},
        ("GET", ALL): {"admin"},
        ("GET", LOG): {"admin"},
    }
    for (method, path), roles in allowed.items():
        for role, client in clients.items():
            body = {"GET": None, "PUT": {}, "POST": {"channel": "slack"}}[method]
            answer = await client.request(method, path, body)
            assert answer.status == (200 if role in roles else 403), (method, path, role)
        (await tocsin.client.with_token("").request(method, path)).problem(401)
