"""ntfy's own rules: one notification for a run, what rings, and what its server refuses."""

import json
from typing import Any

import msgspec
import pytest

from tests.fakes.all_fakes import ask
from tests.providers.examples import MESSAGES, provider_of, sending, sized
from tocsin.fakes.ntfy import MESSAGE_BYTES, FakeNtfy
from tocsin.model.errors import Invalid
from tocsin.model.event import Action
from tocsin.model.message import Message
from tocsin.model.wire import Delivered, HttpRequest, Outcome, Rejected, Retry
from tocsin.providers.ntfy import NtfySettings

NTFY = provider_of("ntfy")
TOPIC = "tocsin-alerts"
FAILED = MESSAGES["run-failed"]


def request(message: Message, **settings: Any) -> HttpRequest:
    made = NTFY.render(sending(NTFY, message, **settings))
    assert isinstance(made, HttpRequest)
    return made


def content(message: Message, **settings: Any) -> Any:
    return json.loads(request(message, **settings).body)


def post(fake: FakeNtfy, message: Message, at_ms: int = 0, **settings: Any) -> Outcome:
    return NTFY.classify(ask(fake, request(message, **settings), at_ms))


def test_a_run_has_one_notification_and_the_newest_word_counts() -> None:  # S1-10
    fake = FakeNtfy()
    for name in ("run-started", "stage-update", "run-failed"):
        assert post(fake, MESSAGES[name]) == Delivered()
    (shown,) = fake.topics[TOPIC]
    assert shown.body["title"] == "❌ train-ranker failed in prod"
    assert [one["title"] for one in shown.earlier] == [
        content(MESSAGES[name])["title"] for name in ("run-started", "stage-update")
    ]


def test_each_message_may_have_one_of_its_own() -> None:  # S1-18
    fake = FakeNtfy()
    for name in ("run-started", "run-failed"):
        post(fake, MESSAGES[name], one_message_per_run=False)
    assert len(fake.topics[TOPIC]) == 2


@pytest.mark.parametrize(
    ("name", "priority"),
    [("run-started", 2), ("stage-update", 2), ("run-succeeded", 3), ("run-failed", 5), ("safety-rollback", 5)],
)
def test_rings_for_failures_and_not_for_what_goes_on(name: str, priority: int) -> None:  # S1-18
    assert content(MESSAGES[name], failure_priority=5)["priority"] == priority


def test_links_are_buttons_unless_they_are_not_wanted() -> None:  # S1-18
    found = content(FAILED)
    assert [one["label"] for one in found["actions"]] == ["Open run", "Logs"]
    assert found["click"] == "https://airflow.example/runs/8f3a21c"
    assert not {"actions", "click"} & set(content(FAILED, include_action_buttons=False))
    long = msgspec.structs.replace(FAILED, actions=(Action("x", f"https://a.example/{'a' * 500}", "primary"),))
    assert not {"actions", "click"} & set(content(long))


@pytest.mark.parametrize("filler", ["ä", '"', "\\", "a\n\t", "👨‍👩‍👧‍👦"])
def test_is_no_file_however_long(filler: str) -> None:  # S1-02
    found = content(sized(5000, 12, filler))
    assert 1000 < len(found["message"].encode()) <= MESSAGE_BYTES
    assert len(content(sized(5000, 12, "a"))["message"]) == 4000


def test_a_reserved_topic_needs_its_token() -> None:
    fake = FakeNtfy()
    fake.reserved[TOPIC] = {"tk_good"}
    for token, scope in (("tk_bad", "credential"), ("", "credential")):
        outcome = post(fake, FAILED, token=token)
        assert isinstance(outcome, Rejected)
        assert outcome.scope == scope
    assert post(fake, FAILED, token="tk_good") == Delivered()


def test_sixty_at_once_and_then_one_each_five_seconds() -> None:  # S1-03
    fake = FakeNtfy(limits=True)
    assert all(post(fake, FAILED, 1000) == Delivered() for _ in range(60))
    assert isinstance(post(fake, FAILED, 1000), Retry)
    assert post(fake, FAILED, 6001) == Delivered()
    assert NTFY.limits is not None
    (limit,) = NTFY.limits(sending(NTFY, FAILED), request(FAILED))
    assert (limit.count, limit.per_s / limit.count) == (60, 5.0)
    assert TOPIC not in limit.key


@pytest.mark.parametrize(
    "address",
    [
        "https://ntfy.sh", "https://ntfy.sh/", "https://ntfy.sh/a/b", "https://ntfy.sh/a?auth=1", "https://ntfy.sh/ä",
        "https://ana:pw@ntfy.sh/a", f"https://ntfy.sh/{'a' * 65}", "https://ntfy.sh/a b",
    ],
)  # fmt: skip
def test_an_address_is_a_server_and_a_topic(address: str) -> None:  # S1-14
    assert NTFY.check_address is not None
    with pytest.raises(Invalid):
        NTFY.check_address(address)
    for good in ("https://ntfy.sh/a", "http://ntfy.example:8080/My-topic_1"):
        assert NTFY.check_address(good) == good


@pytest.mark.parametrize("given", [{"token": "secret"}, {"failure_priority": 6}, {"failure_priority": 0}])
def test_settings_are_checked(given: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError, match=next(iter(given))):
        msgspec.convert(given, NtfySettings)
