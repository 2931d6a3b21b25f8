"""Opsgenie: what opens an alert, what closes it, limits, and what its answers mean."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import msgspec
import pytest

from tests.compose.samples import SAMPLES
from tests.fakes.all_fakes import ask
from tests.providers.examples import (
    EVERY_MESSAGE,
    INCIDENT_KEY,
    KEY_UUID,
    MESSAGES,
    provider_of,
    reply,
    sending,
    sized,
)
from tocsin.compose.message import compose
from tocsin.fakes import Answer
from tocsin.fakes.opsgenie import FakeOpsgenie
from tocsin.model.message import Message
from tocsin.model.wire import Accepted, HttpReply, HttpRequest, Outcome, Rejected, Retry, Sending
from tocsin.providers.opsgenie import OpsgenieSettings

SHARED = Path(__file__).parents[2].parent / "shared" / "schemas"
LIMITS = json.loads((SHARED / "limits.json").read_text())["opsgenie"]
PATTERNS = json.loads((SHARED / "url-patterns.json").read_text())
SWAGGER = json.loads((SHARED / "opsgenie-swagger2.json").read_text())
DEFINITIONS = SWAGGER["definitions"]


def validator(name: str) -> Any:
    return jsonschema.Draft4Validator(DEFINITIONS[name] | {"definitions": DEFINITIONS})


CREATE, CLOSE = validator("CreateAlertPayload"), validator("CloseAlertPayload")
ACTION_FIELDS = set(DEFINITIONS["AlertActionPayload"]["properties"])
ALERT_FIELDS = ACTION_FIELDS | set(DEFINITIONS["CreateAlertPayload"]["allOf"][1]["properties"])
OPSGENIE = provider_of("opsgenie")


def http(given: Sending, *, resolve: bool = False) -> HttpRequest:
    assert OPSGENIE.resolve is not None
    request = (OPSGENIE.resolve if resolve else OPSGENIE.render)(given)
    assert isinstance(request, HttpRequest)
    return request


def alert(message: Message, *, plain: bool = False, **settings: Any) -> Any:
    return json.loads(http(sending(OPSGENIE, message, plain=plain, **settings)).body)


def within_limits(sent: Any) -> None:
    for name in ("message", "alias", "description", "entity", "source", "user", "note"):
        assert len(sent.get(name, "")) <= LIMITS[name]
    assert len(sent.get("tags", [])) <= LIMITS["tags"]
    assert all(1 <= len(one) <= LIMITS["tag_len"] and "," not in one for one in sent.get("tags", []))
    details = sent.get("details", {})
    assert sum(len(name) + len(value) for name, value in details.items()) <= LIMITS["details_total_chars"]
    assert all(details.values())


@pytest.mark.parametrize("name", EVERY_MESSAGE)
@pytest.mark.parametrize("plain", [False, True])
def test_is_what_the_published_schema_asks_for(name: str, plain: bool) -> None:
    sent = alert(EVERY_MESSAGE[name], plain=plain)
    assert not list(CREATE.iter_errors(sent))
    assert set(sent) <= ALERT_FIELDS
    assert sent["message"].strip()
    within_limits(sent)
    closed = json.loads(http(sending(OPSGENIE, EVERY_MESSAGE[name], plain=plain), resolve=True).body)
    assert not list(CLOSE.iter_errors(closed))
    assert set(closed) <= ACTION_FIELDS
    within_limits(closed)


def test_the_schema_can_refuse() -> None:
    sent = alert(MESSAGES["run-failed"])
    assert list(CREATE.iter_errors(sent | {"priority": "P6"}))
    assert list(CREATE.iter_errors({name: value for name, value in sent.items() if name != "message"}))
    assert list(CREATE.iter_errors(sent | {"details": {"a": 1}}))


@pytest.mark.parametrize(("chars", "kept"), [(129, 129), (130, 130), (131, 130), (50_000, 130)])
def test_the_headline_is_cut_at_its_limit(chars: int, kept: int) -> None:
    message = msgspec.structs.replace(MESSAGES["run-failed"], title="ä" * chars, cause="")
    told = alert(message)["message"]
    assert len(told) == kept
    assert told.endswith("…") == (chars > 130)


@pytest.mark.parametrize("filler", ["a", "<", "👨‍👩‍👧‍👦", "<!channel>"])
@pytest.mark.parametrize("chars", [49, 50, 51, 99, 100, 101, 512, 513, 999, 1001, 1320, 15_001, 60_000])
def test_fits_at_every_limit(filler: str, chars: int) -> None:
    message = sized(chars, 30, filler)
    words = (filler * chars)[:chars]
    labels = {f"{number}{words}": words for number in range(30)}
    message = msgspec.structs.replace(message, pipeline=words, source=words, run_id=words, labels=labels)
    within_limits(alert(message))
    assert len(alert(message)["tags"]) == LIMITS["tags"]


@pytest.mark.parametrize(
    ("sample", "priority"),
    [("failed", "P2"), ("rollback", "P1"), ("exceeded", "P3"), ("alert", "P1"), ("other", "P5")],
)
def test_priorities(sample: str, priority: str) -> None:
    assert alert(compose(*SAMPLES[sample]))["priority"] == priority


def test_settings_have_the_last_word_on_them() -> None:
    assert alert(MESSAGES["run-failed"], priorities={"run.failed": "P4"})["priority"] == "P4"
    assert alert(MESSAGES["alert"], priorities={"run.failed": "P4"})["priority"] == "P1"


def test_what_somebody_woken_at_night_wants_to_know() -> None:
    sent = alert(MESSAGES["run-failed"])
    assert sent["message"].startswith("train-ranker failed in prod: torch.cuda.OutOfMemoryError: CUDA out of memory.")
    assert sent["description"].startswith('train-ranker failed in prod after 12m 31s — step "evaluate"')
    assert "Open run: https://airflow.example/runs/8f3a21c" in sent["description"]
    assert (sent["entity"], sent["source"]) == ("train-ranker", "airflow")
    assert sent["tags"] == ["run.failed", "env:prod", "owner:ana"]
    assert list(sent["details"]) == ["Cause", "Step", "Duration", "Run"]


def test_without_links_or_details_where_asked() -> None:  # S1-18
    assert "https://" not in alert(MESSAGES["run-failed"], include_action_buttons=False)["description"]
    plain = alert(MESSAGES["run-failed"], plain=True)
    assert set(plain) == {"message", "alias", "description", "source", "priority", "entity"}
    assert "https://" not in plain["description"]
    assert "Traceback" not in plain["description"]


def test_hostile_words_stay_words() -> None:
    for plain in (False, True):
        sent = alert(EVERY_MESSAGE["hostile"], plain=plain)
        shown = json.dumps(sent, ensure_ascii=False)
        assert not any(char in shown for char in "\u202e\x1b\r\x00")
        assert "\n" not in sent["message"]
        # No tag is left in what its pages may show as HTML.
        for one in (sent["description"], sent["message"], *sent.get("details", {}).values()):
            assert "<!" not in one
            assert "<h" not in one
        assert ": javascript:" not in sent["description"]


def test_the_alias_that_opens_is_the_alias_that_closes() -> None:
    opened = sending(OPSGENIE, MESSAGES["run-failed"])
    closed = http(sending(OPSGENIE, MESSAGES["run-succeeded"]), resolve=True)
    assert json.loads(http(opened).body)["alias"] == INCIDENT_KEY
    assert closed.url == f"https://api.opsgenie.com/v2/alerts/{INCIDENT_KEY}/close?identifierType=alias"
    assert json.loads(closed.body)["note"].startswith("train-ranker succeeded in prod")


def test_an_alias_of_any_kind_is_one_part_of_the_path() -> None:
    given = msgspec.structs.replace(sending(OPSGENIE, MESSAGES["run-succeeded"]), incident_key="a/b?c#d é")
    url = http(given, resolve=True).url
    assert url.isascii()
    assert unquote(url.split("/v2/alerts/")[1]).startswith("a/b?c#d é/close?identifierType=alias")
    assert url.count("/") == 6
    assert url.count("?") == 1


def test_an_alert_is_opened_once_closed_once_and_opened_anew() -> None:
    fake = FakeOpsgenie()
    failed, succeeded = sending(OPSGENIE, MESSAGES["run-failed"]), sending(OPSGENIE, MESSAGES["run-succeeded"])
    for given, resolve in [(succeeded, True), (failed, False), (failed, False), (succeeded, True), (failed, False)]:
        assert isinstance(OPSGENIE.classify(ask(fake, http(given, resolve=resolve))), Accepted)
    first, second = fake.alerts
    assert (first.status, first.count, first.priority) == ("closed", 2, "P2")
    assert first.note.startswith("train-ranker succeeded")
    assert fake.open_alerts() == [second]


@pytest.mark.parametrize(("region", "host"), [("us", "api.opsgenie.com"), ("eu", "api.eu.opsgenie.com")])
def test_regions_and_the_key(region: str, host: str) -> None:
    given = sending(OPSGENIE, MESSAGES["run-failed"], region=region)
    for resolve in (False, True):
        request = http(given, resolve=resolve)
        assert request.url.startswith(f"https://{host}/v2/alerts")
        assert dict(request.headers)["authorization"] == f"GenieKey {KEY_UUID}"
    assert OPSGENIE.hint(given.target.settings) == host


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({}, "api_key"),
        ({"api_key": ""}, "api_key"),
        ({"api_key": KEY_UUID[:-1]}, "api_key"),
        ({"api_key": KEY_UUID + "\n"}, "api_key"),
        ({"api_key": KEY_UUID.replace("-", "")}, "api_key"),
        ({"api_key": KEY_UUID, "region": "au"}, "region"),
        ({"api_key": KEY_UUID, "priorities": {"run.failed": "P0"}}, "priorities"),
        ({"api_key": KEY_UUID, "priorities": {"failed": "P1"}}, "priorities"),
        ({"api_key": KEY_UUID, "colour": "red"}, "colour"),
    ],
)
def test_settings_that_will_not_do_are_refused_by_name(settings: dict[str, Any], field: str) -> None:  # S1-18
    with pytest.raises(msgspec.ValidationError, match=field) as refused:
        msgspec.convert(settings, OpsgenieSettings)
    assert KEY_UUID[:20] not in str(refused.value)


def test_the_key_has_the_published_form() -> None:
    for good in PATTERNS["examples"]["opsgenie_key"]:
        assert msgspec.convert({"api_key": good}, OpsgenieSettings).api_key == good
    assert KEY_UUID not in repr(OpsgenieSettings(api_key=KEY_UUID))


def test_its_end_is_told() -> None:
    assert "5 April 2027" in OPSGENIE.about


def told(message: str) -> str:
    return json.dumps({"message": message, "took": 0.001, "requestId": "1"})


TABLE: list[tuple[int, str, Outcome]] = [
    (202, '{"result":"Request will be processed","took":0.1,"requestId":"1"}', Accepted("Opsgenie works on it later")),
    (401, "", Rejected("HTTP 401", "credential")),
    (403, "", Rejected("HTTP 403", "credential")),
    (402, "", Rejected("HTTP 402", "endpoint")),
    (400, "", Rejected("HTTP 400", "message")),
    (422, "", Rejected("HTTP 422", "message")),
    (422, told("Key format is not valid!"), Rejected(f"HTTP 422: {told('Key format is not valid!')}", "credential")),
    (404, "<html>", Rejected("HTTP 404: <html>", "endpoint")),
    (404, told("Alert with alias [a] does not exist"), Accepted("Opsgenie has no such alert to close")),
    (429, "", Retry("HTTP 429", None, rate_limited=True)),
    (500, "", Retry("HTTP 500")),
]


@pytest.mark.parametrize(("status", "body", "outcome"), TABLE)
def test_the_table_of_answers(status: int, body: str, outcome: Outcome) -> None:
    assert OPSGENIE.classify(reply(status, body)) == outcome


def test_what_is_not_opsgenie_s_answer_is_no_success() -> None:
    for status in (200, 204):
        assert isinstance(OPSGENIE.classify(reply(status, "<html>sign in</html>")), Retry)


def test_waits_as_its_own_header_says() -> None:  # S1-03
    headers = {"x-ratelimit-state": "THROTTLED", "x-ratelimit-period-in-sec": "60"}
    assert OPSGENIE.classify(HttpReply(429, headers, b"")) == Retry("HTTP 429", 60.0, rate_limited=True)
    both = headers | {"retry-after": "5"}
    assert OPSGENIE.classify(HttpReply(429, both, b"")) == Retry("HTTP 429", 5.0, rate_limited=True)


def test_pace_and_patience() -> None:  # S1-03, S1-04
    assert (OPSGENIE.rate_per_s, OPSGENIE.timeout_s, OPSGENIE.max_age_s) == (1.0, 10.0, 86_400)


# The fake

HEADERS = (("Authorization", f"GenieKey {KEY_UUID}"),)
GOOD: dict[str, Any] = {"message": "m", "alias": "a"}


def asked(
    content: Any, fake: FakeOpsgenie | None = None, path: str = "/v2/alerts", headers: Any = HEADERS
) -> tuple[int, Any]:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    answer = ask(fake or FakeOpsgenie(), HttpRequest("POST", f"https://api.opsgenie.com{path}", body, headers))
    return answer.status, json.loads(answer.body) if answer.body.startswith(b"{") else None


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"message": ""}, "message"),
        ({"message": "m" * 131}, "message"),
        ({"message": 5}, "message"),
        ({"alias": "a" * 513}, "alias"),
        ({"description": "d" * 15_001}, "description"),
        ({"entity": "e" * 513}, "entity"),
        ({"source": "s" * 101}, "source"),
        ({"tags": ["t"] * 21}, "tags"),
        ({"tags": ["t" * 51]}, "tags"),
        ({"tags": "t"}, "tags"),
        ({"details": {"a": "b" * 8000}}, "details"),
        ({"details": {"a": 1}}, "details"),
        ({"priority": "P9"}, "priority"),
    ],
)
def test_the_fake_refuses_what_opsgenie_refuses(change: dict[str, Any], name: str) -> None:
    assert asked(GOOD)[0] == 202
    status, answer = asked(GOOD | change)
    assert status == 422
    assert list(answer["errors"]) == [name]
    outcome = OPSGENIE.classify(reply(status, json.dumps(answer)))
    assert isinstance(outcome, Rejected)
    assert outcome.scope == "message"


def test_the_fake_s_other_answers() -> None:
    fake = FakeOpsgenie()
    fake.next.append(Answer(500, b"{}"))
    assert asked(GOOD, fake)[0] == 500
    assert asked(GOOD, fake, headers=())[0] == 422
    fake.keys.add("00000000-0000-0000-0000-000000000000")
    assert asked(GOOD, fake)[0] == 401
    fake.keys.add(KEY_UUID)
    assert asked(b"{", fake)[0] == asked([1], fake)[0] == 400
    assert asked({}, fake)[1]["errors"] == {"message": "Message can not be empty."}
    assert asked(GOOD, fake, "/v3/alerts") == (404, None)
    assert asked(GOOD, fake)[1]["result"] == "Request will be processed"
    assert asked({"note": "n" * 25_001}, fake, "/v2/alerts/a/close?identifierType=alias")[0] == 422
    # By default the name is an id, and no alert has that.
    assert asked({}, fake, "/v2/alerts/a/close")[0] == 202
    assert len(fake.open_alerts()) == 1
    assert asked({}, fake, "/v2/alerts/a/close?identifierType=alias")[0] == 202
    assert fake.open_alerts() == []
    lost = ask(fake, HttpRequest("PATCH", "https://api.opsgenie.com/v2/alerts", b"{}", HEADERS))
    assert lost.status == 405
