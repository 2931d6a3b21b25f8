"""Custom webhooks: the four bodies, the signatures, the settings."""

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import standardwebhooks

from tests.compose.samples import SAMPLES
from tests.providers.examples import EVERY_MESSAGE, MESSAGES, OLD_SIGNING, SIGNING, provider_of, sending
from tocsin.compose.message import compose
from tocsin.model.endpoint import Target
from tocsin.model.wire import HttpRequest, Sending
from tocsin.provider_kit import body as bodies
from tocsin.provider_kit.templates import TemplateFailed
from tocsin.providers.webhook import WebhookSettings

WEBHOOK = provider_of("webhook")
FORMATS = ("tocsin", "simple", "cloudevents")


def rendered(given: Sending) -> HttpRequest:
    made = WEBHOOK.render(given)
    assert isinstance(made, HttpRequest)
    return made


def request(name: str, **settings: Any) -> HttpRequest:
    return rendered(sending(WEBHOOK, EVERY_MESSAGE[name], **settings))


def sent(name: str, **settings: Any) -> Any:
    return json.loads(request(name, **settings).body)


@pytest.mark.parametrize("form", ["simple", "cloudevents"])
@pytest.mark.parametrize("name", ["run-failed", "training-complete", "alert"])
def test_other_formats_are_what_the_golden_file_says(form: str, name: str, golden: Callable[[str, Any], None]) -> None:
    golden(f"webhook_{form}-{name}", sent(name, format=form))


def test_the_default_body_has_its_fixed_fields_and_no_more() -> None:  # S4-14
    fields = [
        "schema",
        "id",
        "type",
        "kind",
        "source",
        "time",
        "severity",
        "status",
        "title",
        "summary",
        "pipeline",
        "run_id",
        "stage",
        "duration_s",
        "links",
    ]
    for name in MESSAGES:
        assert list(sent(name)) == fields
    body = sent("run-failed")
    assert body["schema"] == "tocsin.event/1"
    assert body["time"] == "2026-11-21T02:00:00.000Z"
    assert (body["status"], body["duration_s"]) == ("failed", 751.0)
    assert body["summary"].startswith("train-ranker failed in prod")
    assert list(sent("run-failed", include=["data", "labels", "message"])) == [*fields, "data", "labels", "message"]
    assert sent("run-failed", include=["labels"])["labels"] == {"env": "prod", "owner": "ana"}


def test_the_simple_body_is_the_document_s_to_the_letter() -> None:  # S1-13
    assert sent("training-complete", format="simple") == {
        "event_type": "training.complete",
        "title": "Training Complete - ResNet34_Test",
        "body": "",
        "priority": "medium",
        "data": {"experiment_name": "ResNet34_Test", "accuracy": 0.968, "duration": "14m 32s"},
        "actions": [
            {"label": "View Results", "url": "http://localhost:8050/experiments/1234", "style": "primary"},
        ],
    }


@pytest.mark.parametrize("name", EVERY_MESSAGE)
def test_the_simple_body_has_exactly_its_fields(name: str) -> None:  # S1-13
    body = sent(name, format="simple")
    assert list(body) == ["event_type", "title", "body", "priority", "data", "actions"]
    assert body["priority"] in ("low", "medium", "high", "critical")
    assert all(list(one) == ["label", "url", "style"] for one in body["actions"])


@pytest.mark.parametrize(
    ("sample", "priority"),
    [
        ("started", "low"),
        ("succeeded", "medium"),
        ("failed", "high"),
        ("failed-alone", "high"),
        ("exceeded", "medium"),
        ("rollback", "critical"),
        ("alert", "critical"),
        ("alert-untitled", "medium"),
        ("training-failed", "high"),
        ("bare", "low"),
    ],
)
def test_priorities(sample: str, priority: str) -> None:  # S1-13
    assert bodies.priority(compose(*SAMPLES[sample])) == priority


@pytest.mark.parametrize("name", EVERY_MESSAGE)
def test_cloudevents_are_cloudevents(name: str) -> None:
    got = request(name, format="cloudevents")
    event = json.loads(got.body)
    assert dict(got.headers)["content-type"] == "application/cloudevents+json"
    assert event["specversion"] == "1.0"
    for required in ("id", "source", "type"):
        assert event[required]
    assert re.fullmatch(r"/tocsin/[A-Za-z0-9._~%-]+", event["source"])
    assert datetime.fromisoformat(event["time"]).tzinfo is not None
    assert event.get("subject", "x")
    assert event["data"]["schema"] == "tocsin.event/1"


def test_templates() -> None:  # S4-14
    got = sent(
        "run-failed",
        format="template",
        template='{"text": {{ title | json }}, "s": {{ duration_s }}, "e": "{{ labels.env }}"}',
    )
    assert got == {"text": "train-ranker failed in prod", "s": 751.0, "e": "prod"}


@pytest.mark.parametrize("template", ['{"text": {{ title }}}', "plain words", "{{ title", '{% include "x" %}'])
def test_a_template_that_fails_still_says_something(template: str) -> None:  # S4-14
    got = sent("run-failed", format="template", template=template)
    assert got["schema"] == "tocsin.event/1"
    assert got["title"] == "train-ranker failed in prod"
    assert got["note"].startswith("the template ")


def test_the_reason_of_a_failed_template_is_told(monkeypatch: pytest.MonkeyPatch) -> None:  # S4-14
    def fails(template: str, values: Any) -> str:
        raise TemplateFailed("too many loops")

    monkeypatch.setattr(bodies, "render", fails)
    got = sent("run-failed", format="template", template="{}")
    assert got["note"] == "the template failed: too many loops"


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", EVERY_MESSAGE)
def test_a_body_is_never_too_large(form: str, name: str) -> None:
    huge = msgspec.structs.replace(EVERY_MESSAGE[name], data={"x": "y" * 600_000}, links={"run": "https://a.example"})
    body = rendered(sending(WEBHOOK, huge, format=form, include=["data", "message"])).body
    assert len(body) <= 256_000
    if form == "tocsin":
        assert json.loads(body)["note"] == "left out: too large to send"


def test_signatures_verify_with_the_published_library() -> None:  # S4-08
    fixed = sending(WEBHOOK, MESSAGES["run-failed"])
    now = int(time.time())  # the library reads the clock itself
    got = rendered(Sending(fixed.id, now, fixed.target, body=fixed.body))
    headers = dict(got.headers)
    for secret in (SIGNING, OLD_SIGNING):
        assert standardwebhooks.Webhook(secret).verify(got.body, headers)["title"] == "train-ranker failed in prod"
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(other).verify(got.body, headers)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SIGNING).verify(got.body + b" ", headers)
    assert headers["webhook-id"] == fixed.id
    assert headers["webhook-signature"].split(" ")[0] == standardwebhooks.Webhook(SIGNING).sign(
        fixed.id, datetime.fromtimestamp(now, UTC), got.body.decode()
    )


def test_the_hex_signature_is_what_ten_lines_of_python_expect() -> None:  # S4-08
    got = request("run-failed")
    expected = hmac.new(SIGNING.encode(), got.body, hashlib.sha256).hexdigest()
    assert dict(got.headers)["X-Exosphere-Signature"] == f"sha256={expected}"
    named = dict(request("run-failed", signature_header="X-Hub-Signature-256").headers)
    assert named["X-Hub-Signature-256"] == f"sha256={expected}"
    assert "X-Exosphere-Signature" not in named


def test_without_a_secret_nothing_is_signed() -> None:
    bare = Target("https://a.example", WebhookSettings())
    got = rendered(Sending("dlv_1", 1, bare, body=b"{}"))
    assert [name for name, _ in got.headers] == ["content-type", "webhook-id", "webhook-timestamp"]


def test_custom_headers_are_sent_but_never_replace_ours() -> None:
    headers = (
        ("X-Team", "ml"),
        ("Webhook-Id", "forged"),
        ("content-TYPE", "text/html"),
        ("x-exosphere-signature", "no"),
    )
    target = Target("https://a.example", WebhookSettings(), (SIGNING,), headers)
    got = rendered(Sending("dlv_1", 1, target, body=b"{}"))
    names = [name.lower() for name, _ in got.headers]
    assert len(names) == len(set(names))
    assert ("X-Team", "ml") in got.headers
    assert ("webhook-id", "dlv_1") in got.headers


def test_a_retry_carries_the_same_bytes() -> None:  # S4-07
    first = sending(WEBHOOK, MESSAGES["run-failed"])
    assert first.message is None
    again = Sending(first.id, first.at_s + 60, first.target, body=first.body, attempt=2)
    assert rendered(again).body is first.body
    assert dict(rendered(again).headers)["webhook-id"] == dict(rendered(first).headers)["webhook-id"]


@pytest.mark.parametrize(
    "settings",
    [
        {"format": "xml"},
        {"format": "template"},
        {"format": "template", "template": "  "},
        {"include": ["secrets"]},
        {"signature_header": "Content-Length"},
        {"signature_header": "Webhook-Signature"},
        {"signature_header": "X Bad"},
        {"signature_header": "X-Bad\r\n"},
        {"signature_header": ""},
        {"colour": "red"},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, WebhookSettings)


def test_pace_and_patience() -> None:  # S1-03, S1-04
    assert (WEBHOOK.rate_per_s, WEBHOOK.timeout_s, WEBHOOK.max_age_s) == (None, 5.0, 259_200)
