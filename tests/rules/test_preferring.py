"""Preferences become rules: places, who shares them, and what is off."""

from typing import Any

import pytest

from tocsin.model.noise import Hours
from tocsin.model.preference import CATEGORIES, Preferences
from tocsin.rules.preferring import (
    ENVIRONMENT,
    MADE,
    Place,
    Reader,
    endpoints_at,
    not_set_up,
    people,
    place_of,
    preferred,
    settings_of,
)

COMMON = "#platform-alerts"
ANA, BOB = Reader("ana@example.com", Preferences()), Reader("bob", Preferences(slack_channel="#team"))


@pytest.mark.parametrize(
    ("reader", "channel", "place", "settings"),
    [
        (ANA, "slack", ("slack", "platform-alerts"), {}),
        (BOB, "slack", ("slack", "team"), {"channel": "#team"}),
        (ANA, "email", ("email", "ana@example.com"), {"to": ["ana@example.com"]}),
        (BOB, "email", ("email", ""), None),
        (Reader("x@" + "a" * 250 + ".com", Preferences()), "email", ("email", ""), None),
        (Reader("ana", Preferences(email_address="A@B.org")), "email", ("email", "a@b.org"), {"to": ["a@b.org"]}),
    ],
)
def test_where_a_user_is_told(reader: Reader, channel: str, place: Place, settings: dict[str, Any] | None) -> None:
    assert place_of(reader, channel, COMMON) == place
    assert settings_of(reader, channel) == settings


def test_of_several_endpoints_for_one_place_the_environments_counts() -> None:
    rows: list[tuple[str, str, dict[str, Any], str]] = [
        ("whk_1", "slack_bot", {"channel": "platform-alerts"}, MADE),
        ("whk_2", "slack_bot", {}, MADE),
        ("whk_3", "slack_bot", {"channel": "#team"}, MADE),
        ("whk_4", "email", {"to": ["Ana@example.com"]}, MADE),
        ("whk_5", "email", {"to": ["ops@example.com"]}, ENVIRONMENT),
        ("whk_6", "slack", {}, ENVIRONMENT),
    ]
    found = endpoints_at(rows, COMMON)
    assert found == {
        ("slack", "platform-alerts"): ("whk_2", MADE),
        ("slack", "team"): ("whk_3", MADE),
        ("email", "ana@example.com"): ("whk_4", MADE),
    }
    rows.append(("whk_7", "slack_bot", {}, ENVIRONMENT))
    assert endpoints_at(rows, COMMON)["slack", "platform-alerts"] == ("whk_7", ENVIRONMENT)


def test_a_place_has_one_rule_for_each_category_however_many_read_there() -> None:
    places = {("slack", "platform-alerts"): ("whk_1", ENVIRONMENT), ("email", "ana@example.com"): ("whk_2", MADE)}
    off = Preferences(off=(("safety_rollback", "slack"),))
    found = preferred("default", [ANA, Reader("cem", off), Reader("dan", off)], places, COMMON)
    at_slack = [rule for rule in found.rules if rule.endpoint_ids == ("whk_1",)]
    assert [rule.id for rule in at_slack] == [f"pref:whk_1:{name}" for name in CATEGORIES]
    assert [bool(rule.off) for rule in at_slack] == [False, False, True, False]
    assert at_slack[0].name == "safety rollbacks by Slack, as ana@example.com, cem and dan prefer"
    nowhere = {rule.id for rule in found.rules if not rule.endpoint_ids}
    assert {"pref:cem:alert", "pref:dan:alert"} <= nowhere
    assert all("no email address is known of" in rule.off for rule in found.rules if not rule.endpoint_ids)
    assert found.owners == {"whk_2": "ana@example.com"}


def test_who_says_no_alone_is_named() -> None:
    places = {("slack", "team"): ("whk_1", MADE)}
    no = Preferences(slack_channel="#team", slack_enabled=False, quiet_hours=(Hours("22:00", "07:00"),))
    found = preferred("default", [Reader("bob", no)], places, COMMON)
    slack = [rule for rule in found.rules if rule.endpoint_ids]
    assert {rule.off for rule in slack} >= {"alerts by Slack: that is off in the preferences of bob"}
    assert found.owners == {"whk_1": "bob"}


@pytest.mark.parametrize(
    ("names", "said"),
    [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c"), (list("abcde"), "a, b, c and 2 more")],
)
def test_people(names: list[str], said: str) -> None:
    assert people(names) == said


def test_what_the_operator_has_set_up() -> None:
    slack = {"slack_bot": {"bot_token": "xoxb-1", "channel": COMMON}}
    mail = {"email": {"smtp_host": "mail.example.com", "from_address": "a@example.com"}}
    assert not_set_up(("slack", "team"), slack) == ""
    assert not_set_up(("slack", ""), slack) == "no channel is known: SLACK_DEFAULT_CHANNEL is not set"
    assert "SLACK_BOT_TOKEN" in not_set_up(("slack", "team"), mail)
    assert not_set_up(("email", "a@example.com"), mail) == ""
    assert "SMTP_HOST" in not_set_up(("email", "a@example.com"), slack)
    assert "EMAIL_FROM_ADDRESS" in not_set_up(("email", ""), {"email": {"smtp_host": "x"}})
