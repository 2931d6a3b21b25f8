"""PagerDuty: what opens an alert, what resolves it, limits, and what its answers mean."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from tests.compose.samples import AT_MS, HOSTILE, SAMPLES
from tests.fakes.all_fakes import ask
from tests.providers.examples import (
    EVERY_MESSAGE,
    INCIDENT_KEY,
    KEY32,
    MESSAGES,
    RUN_KEY,
    provider_of,
    reply,
    sending,
    sized,
)
from tocsin.compose.message import compose
from tocsin.fakes import Answer
from tocsin.fakes.pagerduty import FakePagerDuty
from tocsin.model.message import Message
from tocsin.model.wire import Delivered, HttpRequest, Outcome, Rejected, Retry, Sending
from tocsin.providers.pagerduty import PagerDutySettings

SHARED = Path(__file__).parents[2].parent / "shared" / "schemas"
LIMITS = json.loads((SHARED / "limits.json").read_text())["pagerduty"]
PATTERNS = json.loads((SHARED / "url-patterns.json").read_text())
OPENAPI = json.loads((SHARED / "pagerduty-events-v2-openapi.json").read_text())
EVENT = OPENAPI["paths"]["/enqueue"]["post"]["requestBody"]["content"]["application/json"]["schema"]
VALIDATOR = jsonschema.Draft202012Validator(EVENT | {"components": OPENAPI["components"]})
PAGERDUTY = provider_of("pagerduty")


def http(given: Sending, *, resolve: bool = False) -> HttpRequest:
    assert PAGERDUTY.resolve is not None
    request = (PAGERDUTY.resolve if resolve else PAGERDUTY.render)(given)
    assert isinstance(request, HttpRequest)
    return request


def event(message: Message, *, plain: bool = False, **settings: Any) -> Any:
    return json.loads(http(sending(PAGERDUTY, message, plain=plain, **settings)).body)


def names(value: Any) -> set[str]:
    """The names of every object in it that the schema knows by its `properties`."""
    return set(value) if isinstance(value, dict) else set()


@pytest.mark.parametrize("name", EVERY_MESSAGE)
@pytest.mark.parametrize("plain", [False, True])
def test_is_what_the_published_schema_asks_for(name: str, plain: bool) -> None:  # S4-15
    sent = event(EVERY_MESSAGE[name], plain=plain)
    assert not list(VALIDATOR.iter_errors(sent))
    assert names(sent) <= set(EVENT["properties"])
    schemas = OPENAPI["components"]["schemas"]
    assert names(sent["payload"]) <= set(schemas["Payload"]["properties"])
    assert all(names(one) <= {"href", "text"} for one in sent.get("links", []))
    # The schema does not say so, yet a trigger without them opens nothing.
    assert sent["event_action"] == "trigger"
    assert 1 <= len(sent["payload"]["summary"]) <= LIMITS["summary"]
    assert sent["payload"]["summary"].strip()
    assert 1 <= len(sent["payload"]["source"]) <= 255
    assert 1 <= len(sent["dedup_key"]) <= LIMITS["dedup_key"]


def test_the_schema_can_refuse() -> None:
    sent = event(MESSAGES["run-failed"])
    assert list(VALIDATOR.iter_errors(sent | {"payload": sent["payload"] | {"severity": "bad"}}))
    assert list(VALIDATOR.iter_errors({**sent, "links": [{"text": "no address"}]}))


@pytest.mark.parametrize("filler", ["a", "ä", '"', "𝔘", "👨‍👩‍👧‍👦"])
def test_is_far_below_the_size_it_may_have(filler: str) -> None:
    for chars in (1024, 1025, 4000, 60_000):
        body = http(sending(PAGERDUTY, sized(chars, 40, filler))).body
        assert len(body) <= PAGERDUTY.max_body_bytes // 2 < LIMITS["alertmanager_uses_bytes"]


@pytest.mark.parametrize(("chars", "kept"), [(1023, 1023), (1024, 1024), (1025, 1024), (50_000, 1024)])
def test_a_summary_is_cut_at_its_limit(chars: int, kept: int) -> None:
    message = msgspec.structs.replace(MESSAGES["run-failed"], sentence="ä" * chars)
    told = event(message)["payload"]["summary"]
    assert len(told) == kept
    assert told.endswith("…") == (chars > 1024)


def test_a_summary_is_never_empty() -> None:
    message = EVERY_MESSAGE["empty"]
    assert event(message)["payload"]["summary"] == "workflow.failed"
    nothing = msgspec.structs.replace(message, event_type="\x00", source=" ", labels={}, pipeline="")
    told = event(nothing)
    assert told["payload"]["summary"] == "Something happened, and nobody said what"
    assert (told["payload"]["source"], told["client"]) == ("tocsin", "Tocsin")
    assert not {"component", "group", "class"} & set(told["payload"])


@pytest.mark.parametrize(
    ("sample", "severity"),
    [
        ("failed", "error"),
        ("missed", "error"),
        ("stage-failed", "error"),
        ("rollback", "critical"),
        ("exceeded", "warning"),
        ("alert", "critical"),
        ("alert-untitled", "warning"),
        ("other", "info"),
        ("succeeded", "info"),
    ],
)
def test_how_grave_it_is(sample: str, severity: str) -> None:
    assert event(compose(*SAMPLES[sample]))["payload"]["severity"] == severity


def test_the_source_can_say_that_it_is_worse_but_not_that_it_is_nothing() -> None:
    failed = MESSAGES["run-failed"]
    assert event(msgspec.structs.replace(failed, severity="critical"))["payload"]["severity"] == "critical"
    assert event(msgspec.structs.replace(failed, severity="info"))["payload"]["severity"] == "error"
    assert event(msgspec.structs.replace(failed, severity="who knows"))["payload"]["severity"] == "error"


def test_settings_have_the_last_word_on_it() -> None:
    sent = event(MESSAGES["run-failed"], severities={"run.failed": "warning", "alert": "info"})
    assert sent["payload"]["severity"] == "warning"
    assert event(MESSAGES["alert"], severities={"run.failed": "warning"})["payload"]["severity"] == "critical"


def test_what_somebody_woken_at_night_wants_to_know() -> None:
    sent = event(MESSAGES["run-failed"])
    payload = sent["payload"]
    assert payload["summary"].startswith('train-ranker failed in prod after 12m 31s — step "evaluate": torch.cuda')
    assert "❌" not in payload["summary"]
    assert (payload["component"], payload["group"], payload["source"]) == ("train-ranker", "prod", "airflow")
    assert payload["timestamp"] == "2026-11-21T02:00:00.000Z"
    details = payload["custom_details"]
    assert list(details) == ["Cause", "Step", "Duration", "Run", "Error", "Labels"]
    assert details["Error"].endswith("Tried to allocate 2.00 GiB")
    assert details["Labels"] == {"env": "prod", "owner": "ana"}
    assert sent["links"][0] == {"href": "https://airflow.example/runs/8f3a21c", "text": "Open run"}
    assert (sent["client"], sent["client_url"]) == ("airflow", "https://airflow.example/runs/8f3a21c")


def test_without_links_or_details_where_asked() -> None:  # S1-18
    assert not {"links", "client_url"} & set(event(MESSAGES["run-failed"], include_action_buttons=False))
    plain = event(MESSAGES["run-failed"], plain=True)
    assert not {"links", "client_url"} & set(plain)
    assert "custom_details" not in plain["payload"]
    assert event(MESSAGES["alert"], client="Ana's bell")["client"] == "Ana's bell"
    # The only link silences the alert: nobody wants that under "View in …".
    assert "client_url" not in event(MESSAGES["alert"])


def test_hostile_words_stay_words() -> None:
    sent = event(EVERY_MESSAGE["hostile"])
    shown = json.dumps(sent, ensure_ascii=False)
    assert 'javascript:alert(1)"' not in shown
    assert not any(char in shown for char in "\u202e\x1b\r\x00")
    for one in sent["links"]:
        assert one["href"].startswith("https://")
        assert not any(char in one["href"] for char in ' <>"`|\r\n')
    assert "\n" not in sent["payload"]["summary"]
    assert HOSTILE.split(" ")[0] in sent["payload"]["summary"]


def test_the_key_that_opens_is_the_key_that_closes() -> None:
    opened = sending(PAGERDUTY, MESSAGES["run-failed"])
    closed = sending(PAGERDUTY, MESSAGES["run-succeeded"])
    assert json.loads(http(opened).body)["dedup_key"] == INCIDENT_KEY
    assert json.loads(http(closed, resolve=True).body) == {
        "routing_key": KEY32,
        "event_action": "resolve",
        "dedup_key": INCIDENT_KEY,
    }
    by_run = msgspec.structs.replace(opened, incident_key="")
    assert json.loads(http(by_run).body)["dedup_key"] == RUN_KEY
    alone = msgspec.structs.replace(by_run, run_key="")
    assert alone.message is not None
    key = json.loads(http(alone).body)["dedup_key"]
    assert key == json.loads(http(alone, resolve=True).body)["dedup_key"]
    assert len(key) == 32
    other = msgspec.structs.replace(alone, message=msgspec.structs.replace(alone.message, event_id="e-2"))
    assert json.loads(http(other).body)["dedup_key"] != key


def test_an_alert_is_opened_once_resolved_once_and_opened_anew() -> None:  # S4-15
    fake = FakePagerDuty()
    failed, succeeded = sending(PAGERDUTY, MESSAGES["run-failed"]), sending(PAGERDUTY, MESSAGES["run-succeeded"])
    steps = [(succeeded, True), (failed, False), (failed, False), (succeeded, True), (failed, False)]
    for number, (given, resolve) in enumerate(steps):
        assert PAGERDUTY.classify(ask(fake, http(given, resolve=resolve), AT_MS + number)) == Delivered()
    first, second = fake.alerts
    assert (first.status, len(first.events), first.severity) == ("resolved", 3, "error")
    assert (second.status, second.dedup_key) == ("triggered", INCIDENT_KEY)
    assert fake.open_alerts() == [second]


@pytest.mark.parametrize(("region", "host"), [("us", "events.pagerduty.com"), ("eu", "events.eu.pagerduty.com")])
def test_regions(region: str, host: str) -> None:
    given = sending(PAGERDUTY, MESSAGES["run-failed"], region=region)
    for resolve in (False, True):
        assert http(given, resolve=resolve).url == f"https://{host}/v2/enqueue"
    assert PAGERDUTY.hint(given.target.settings) == host


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({}, "routing_key"),
        ({"routing_key": ""}, "routing_key"),
        ({"routing_key": KEY32[:-1]}, "routing_key"),
        ({"routing_key": KEY32 + "0"}, "routing_key"),
        ({"routing_key": KEY32 + "\n"}, "routing_key"),
        ({"routing_key": f"-{KEY32[1:]}"}, "routing_key"),
        ({"routing_key": KEY32, "region": "mars"}, "region"),
        ({"routing_key": KEY32, "severities": {"run.failed": "awful"}}, "severities"),
        ({"routing_key": KEY32, "severities": {"run.exploded": "error"}}, "severities"),
        ({"routing_key": KEY32, "client": "x" * 256}, "client"),
        ({"routing_key": KEY32, "theme_color": "red"}, "theme_color"),
    ],
)
def test_settings_that_will_not_do_are_refused_by_name(settings: dict[str, Any], field: str) -> None:  # S1-18
    with pytest.raises(msgspec.ValidationError, match=field) as refused:
        msgspec.convert(settings, PagerDutySettings)
    assert KEY32[:20] not in str(refused.value)


def test_the_key_has_the_published_form() -> None:
    for good in PATTERNS["examples"]["pagerduty_key"]:
        assert msgspec.convert({"routing_key": good}, PagerDutySettings).routing_key == good
    assert KEY32 not in repr(PagerDutySettings(routing_key=KEY32))


def refused(*errors: str) -> str:
    return json.dumps({"status": "invalid event", "message": "Event object is invalid", "errors": errors})


TABLE: list[tuple[int, str, Outcome]] = [
    (202, '{"status":"success","message":"Event processed","dedup_key":"x"}', Delivered()),
    (202, "", Delivered()),
    (500, "", Retry("HTTP 500")),
    (503, "", Retry("HTTP 503")),
    (429, "", Retry("too many requests: HTTP 429", 30.0, rate_limited=True)),
    (403, "", Retry("too many requests: HTTP 403", 30.0, rate_limited=True)),
    (413, "", Rejected("HTTP 413", "message")),
    (404, "", Rejected("HTTP 404", "endpoint")),
]


@pytest.mark.parametrize(("status", "body", "outcome"), TABLE)
def test_the_table_of_answers(status: int, body: str, outcome: Outcome) -> None:
    assert PAGERDUTY.classify(reply(status, body)) == outcome


@pytest.mark.parametrize(
    ("errors", "scope"),
    [
        (["Length of 'routing_key' is incorrect (should be 32 characters)"], "endpoint"),
        (["'payload.summary' is missing or blank", "'routing_key' is missing or blank"], "endpoint"),
        (["'payload.severity' is invalid"], "message"),
        ([], "message"),
    ],
)
def test_a_bad_event_says_nothing_of_the_endpoint_but_a_bad_key_does(errors: list[str], scope: str) -> None:
    outcome = PAGERDUTY.classify(reply(400, refused(*errors)))
    assert isinstance(outcome, Rejected)
    assert outcome.scope == scope
    assert "Event object is invalid" in outcome.reason


def test_what_is_not_pagerduty_s_answer_is_no_success() -> None:
    for status in (200, 204):
        assert isinstance(PAGERDUTY.classify(reply(status, "<html>sign in</html>")), Retry)


def test_waits_half_a_minute_unless_told_otherwise() -> None:  # S1-03
    assert PAGERDUTY.classify(reply(429, retry_after="7")) == Retry(
        "too many requests: HTTP 429", 7.0, rate_limited=True
    )


def test_its_pace_keeps_within_120_in_any_minute() -> None:
    assert PAGERDUTY.limits is not None
    one, other = sending(PAGERDUTY, MESSAGES["alert"]), sending(PAGERDUTY, MESSAGES["alert"], routing_key="a" * 32)
    (limit,) = PAGERDUTY.limits(one, http(one))
    assert limit.count + limit.count * 60 / limit.per_s <= 120
    assert (limit,) == PAGERDUTY.limits(sending(PAGERDUTY, MESSAGES["run-failed"], region="eu"), http(one))
    assert limit.key != PAGERDUTY.limits(other, http(other))[0].key
    assert KEY32 not in repr(limit)


def test_pace_and_patience() -> None:  # S1-04
    assert (PAGERDUTY.timeout_s, PAGERDUTY.max_age_s, PAGERDUTY.max_attempts) == (10.0, 86_400, None)


# The fake


def asked(content: Any, fake: FakePagerDuty | None = None, at_ms: int = AT_MS) -> tuple[int, Any]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    answer = ask(fake or FakePagerDuty(), HttpRequest("POST", "https://events.pagerduty.com/v2/enqueue", body), at_ms)
    return answer.status, json.loads(answer.body)


def test_the_fake_takes_the_documentation_s_own_example() -> None:
    media = OPENAPI["paths"]["/enqueue"]["post"]["requestBody"]["content"]["application/json"]
    example = media["examples"]["event"]["value"]
    assert asked(example) == (202, {"status": "success", "message": "Event processed", "dedup_key": "srv01/mysql"})


GOOD: dict[str, Any] = {
    "routing_key": KEY32,
    "event_action": "trigger",
    "dedup_key": "a",
    "payload": {"summary": "s", "source": "h", "severity": "info"},
}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"routing_key": ""}, "'routing_key' is missing or blank"),
        ({"routing_key": "short"}, "Length of 'routing_key'"),
        ({"event_action": "shout"}, "'event_action'"),
        ({"event_action": "resolve", "dedup_key": None}, "'dedup_key' is missing"),
        ({"dedup_key": "k" * 256}, "'dedup_key' is too long"),
        ({"dedup_key": 5}, "'dedup_key' must be"),
        ({"payload": None}, "'payload' is missing"),
        ({"payload": {"summary": " ", "source": "h", "severity": "info"}}, "'payload.summary' is missing"),
        ({"payload": {"summary": "s" * 1025, "source": "h", "severity": "info"}}, "'payload.summary' is too long"),
        ({"payload": {"summary": "s", "source": "h", "severity": "bad"}}, "'payload.severity'"),
        ({"payload": {"summary": "s", "source": "h", "severity": "info", "custom_details": 1}}, "custom_details"),
        ({"links": [{"text": "x"}]}, "'links'"),
        ({"images": [{}]}, "'images'"),
        ({"client": 1}, "'client'"),
    ],
)
def test_the_fake_refuses_what_pagerduty_refuses(change: dict[str, Any], told: str) -> None:
    assert asked(GOOD)[0] == 202
    status, answer = asked(GOOD | change)
    assert status == 400
    assert any(told in one for one in answer["errors"])
    assert isinstance(PAGERDUTY.classify(reply(status, json.dumps(answer))), Rejected)


def test_the_fake_s_other_answers() -> None:
    fake = FakePagerDuty()
    fake.dead_keys.add(KEY32)
    fake.next.append(Answer(500, b"{}"))
    assert asked(GOOD, fake)[0] == 500
    status, answer = asked(GOOD, fake)
    assert PAGERDUTY.classify(reply(status, json.dumps(answer))) == Rejected(
        f"HTTP 400: {json.dumps(answer)}", "endpoint"
    )
    assert asked(b"{", fake)[1]["errors"] == ["JSON parse error"]
    assert asked([1], fake)[0] == 400
    assert asked(b" " * 524_289, fake)[0] == 413
    lost = HttpRequest("POST", "https://events.pagerduty.com/v1/enqueue", b"{}")
    assert ask(fake, lost).status == 404
    assert ask(fake, HttpRequest("GET", "https://events.pagerduty.com/v2/enqueue", b"")).status == 405


def test_the_fake_counts_120_a_minute() -> None:
    fake = FakePagerDuty()
    for number in range(120):
        assert asked(GOOD, fake, AT_MS + number)[0] == 202
    assert asked(GOOD, fake, AT_MS + 59_999)[0] == 429
    assert asked(GOOD | {"routing_key": "b" * 32}, fake, AT_MS + 59_999)[0] == 202
    assert asked(GOOD, fake, AT_MS + 60_001)[0] == 202
    assert fake.alerts[0].events[-1]["dedup_key"] == "a"


def test_the_fake_knows_an_acknowledged_alert() -> None:
    fake = FakePagerDuty()
    for action in ("trigger", "acknowledge"):
        assert asked(GOOD | {"event_action": action}, fake)[0] == 202
    assert [one.status for one in fake.open_alerts()] == ["acknowledged"]
