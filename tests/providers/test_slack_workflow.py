"""Slack's workflows: exactly the declared variables, each a string."""

import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from tests.providers.examples import EVERY_MESSAGE, HOSTILE_MESSAGE, MESSAGES, provider_of, reply, sending
from tocsin.model.errors import Invalid
from tocsin.model.message import Message
from tocsin.model.wire import Accepted, HttpRequest, Outcome, Rejected, Retry
from tocsin.providers.slack_workflow import ADDRESS, SlackWorkflowSettings, Value

SHARED = Path(__file__).parents[2].parent / "shared" / "schemas"
PATTERNS = json.loads((SHARED / "url-patterns.json").read_text())
WORKFLOW = provider_of("slack_workflow")
EVERYTHING = {f"v_{name}": name for name in get_args(Value)}


def body(message: Message, **settings: Any) -> dict[str, str]:
    request = WORKFLOW.render(sending(WORKFLOW, message, **settings))
    assert isinstance(request, HttpRequest)
    found: dict[str, str] = json.loads(request.body)
    return found


@pytest.mark.parametrize("name", EVERY_MESSAGE)
def test_is_a_flat_map_of_strings_that_say_something(name: str) -> None:
    found = body(EVERY_MESSAGE[name], variables=EVERYTHING)
    assert set(found) == set(EVERYTHING)
    for one in found.values():
        assert isinstance(one, str)
        assert 1 <= len(one) <= 3000


def test_says_what_happened() -> None:  # S0-02
    found = body(MESSAGES["run-failed"], variables=EVERYTHING)
    assert found["v_title"] == "❌ train-ranker failed in prod"
    assert found["v_status"] == "failed"
    assert found["v_cause"].startswith("torch.cuda.OutOfMemoryError")
    assert found["v_detail"].startswith("Traceback")
    assert found["v_duration"] == "12m 31s"
    assert found["v_time"] == "2026-11-21T02:00:00.000Z"
    assert found["v_url"] == "https://airflow.example/runs/8f3a21c"
    assert found["v_facts"] == "Step: evaluate\nDuration: 12m 31s"
    assert (found["v_pipeline"], found["v_run_id"], found["v_stage"]) == ("train-ranker", "8f3a21c", "–")
    assert body(MESSAGES["alert"])["status"] == "critical"


def test_only_the_declared_variables_are_sent() -> None:
    assert set(body(MESSAGES["alert"])) == {"title", "status", "summary", "url"}
    assert set(body(MESSAGES["alert"], variables={"what": "summary"})) == {"what"}


def test_hostile_text_mentions_nobody() -> None:
    for one in body(HOSTILE_MESSAGE, variables=EVERYTHING).values():
        assert "<!" not in one
        assert "<@" not in one
        assert "@everyone" not in one
        assert "\u202e" not in one
        assert "\r" not in one


def test_addresses() -> None:  # S1-14
    assert f"^{ADDRESS.pattern}$" == PATTERNS["patterns"]["slack_workflow_trigger"]
    assert WORKFLOW.check_address is not None
    for good in PATTERNS["examples"]["slack_workflow_trigger"]:
        assert WORKFLOW.check_address(good) == good
    good = PATTERNS["examples"]["slack_workflow_trigger"][0]
    for bad in (
        *PATTERNS["examples"]["slack_webhook"],
        good.replace("https", "http"),
        good + "\n",
        good + "?x=1",
        good.replace("slack.com", "slack.com.evil.example"),
    ):
        with pytest.raises(Invalid) as refused:
            WORKFLOW.check_address(bad)
        assert refused.value.field == "webhook_url"
        assert bad not in refused.value.detail


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, '{"ok":true}', Accepted("the workflow was started; what it does shows in its activity log")),
        (200, '{"ok":false,"error":"some_word"}', Rejected("some_word", "message")),
        (
            400,
            '{"ok":false,"error":"invalid_workflow_input"}',
            Rejected('HTTP 400: {"ok":false,"error":"invalid_workflow_input"}', "message"),
        ),
        (404, '{"ok":false,"error":"gone"}', Rejected('HTTP 404: {"ok":false,"error":"gone"}', "endpoint")),
        (429, '{"ok":false,"error":"ratelimited"}', Retry("ratelimited", 7.0, rate_limited=True)),
        (200, '{"ok":false,"error":"internal_error"}', Retry("internal_error", 7.0)),
        (200, "<html>sign in</html>", Retry("answered, but not with ok: HTTP 200: <html>sign in</html>")),
        (200, '{"ok":false}', Rejected('HTTP 200: {"ok":false}', "message")),
        (200, '{"ok":false,"error":["a"]}', Rejected("['a']", "message")),
    ],
)
def test_answers(status: int, body: str, outcome: Outcome) -> None:
    assert WORKFLOW.classify(reply(status, body, retry_after="7")) == outcome


@pytest.mark.parametrize(
    "settings",
    [
        {"variables": {}},
        {"variables": {"a b": "title"}},
        {"variables": {"a": "everything"}},
        {"variables": {f"v{index}": "title" for index in range(21)}},
        {"mention_on_failure": True},
    ],
)
def test_settings_it_does_not_know_are_refused(settings: dict[str, Any]) -> None:  # S1-18
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert(settings, SlackWorkflowSettings)
    assert next(iter(settings)) in str(refused.value)
