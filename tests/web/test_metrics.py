"""`/metrics`: what happened is counted, by words that are few and ours; dashboards and alerts ask for what there is."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.harness import Reply, Running
from tests.promql import Wrong, read
from tocsin.model.tally import Histogram

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]


Found = Callable[..., float]


async def samples(tocsin: Running) -> Found:
    """`found("tocsin_events_total", outcome="accepted")`"""
    body = (await tocsin.client.with_token("").get("/metrics")).body.decode()
    by_key = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }
    return lambda name, **labels: by_key[name, *sorted(labels.items())]


async def test_why_things_failed_is_a_label(tocsin: Running) -> None:
    hook, gone = tocsin.receiver.hook("/hook"), tocsin.receiver.hook("/gone")
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    await tocsin.webhook(gone, enabled_events=["run.warning"])
    nowhere = await tocsin.webhook("http://127.0.0.4:28099/nowhere", enabled_events=["run.cancelled"])
    off = await tocsin.webhook(tocsin.receiver.hook("/off"), enabled_events=["run.started"], is_active=False)
    assert off["id"] != nowhere["id"]
    hook.answer(Reply(429, headers={"retry-after": "1"}), 302, 200)
    gone.answer(410)
    for type_ in ("run.failed", "run.warning", "run.cancelled", "run.started"):
        await tocsin.send(type=type_)
    assert (await tocsin.client.post("/v1/events", {"type": 1})).status == 400
    assert (await tocsin.client.with_token("x").post("/v1/events", {"type": "a"})).status == 401
    await tocsin.wait_out()
    hook.expect(3)
    gone.expect(1)
    found = await samples(tocsin)
    assert found("tocsin_attempts_total", provider="webhook", outcome="rate_limited", reason="rate_limited") == 1
    assert found("tocsin_attempts_total", provider="webhook", outcome="failed", reason="http_3xx") == 1
    assert found("tocsin_attempts_total", provider="webhook", outcome="failed", reason="endpoint_refused") == 1
    assert found("tocsin_attempts_total", provider="webhook", outcome="failed", reason="refused") > 5
    assert found("tocsin_deliveries_total", provider="webhook", status="dead", reason="endpoint_refused") == 1
    assert found("tocsin_deliveries_total", provider="webhook", status="dead", reason="refused") == 1
    assert found("tocsin_deliveries_total", provider="webhook", status="delivered", reason="") == 1
    assert found("tocsin_retries_total", provider="webhook") > 7
    assert found("tocsin_delivery_seconds_count", provider="webhook") == 1
    assert found("tocsin_delivery_seconds_sum", provider="webhook") >= 1
    assert found("tocsin_suppressed_total", reason="switched_off") == 1
    assert found("tocsin_events_refused_total", reason="invalid") == 1
    assert found("tocsin_events_refused_total", reason="unauthorised") == 1
    assert found("tocsin_request_seconds_count", route="POST /v1/events", status="202") == 4
    assert found("tocsin_request_seconds_count", route="POST /v1/events", status="401") == 1
    assert found("tocsin_request_seconds_count", route="POST /v1/webhooks", status="201") == 4
    assert found("tocsin_intake_group_events_sum") >= 4
    assert found("tocsin_last_round_timestamp_seconds", job="sweep") == tocsin.clock.now_s
    assert found("tocsin_store_errors_total", kind="unavailable") == 0


async def test_nothing_from_outside_becomes_a_label(tocsin: Running) -> None:
    # S32
    await tocsin.client.get("/v1/made-up/secret-path")
    await tocsin.client.request("BREW", "/v1/events")
    await tocsin.send(type="custom.secret-type", pipeline="secret-pipeline", source="secret-source")
    body = (await tocsin.client.get("/metrics")).body.decode()
    assert "secret" not in body
    assert "BREW" not in body
    assert 'route="other",status="404"' in body


def test_a_histogram_counts_at_or_below() -> None:
    found = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        found.add(value)
    assert found.buckets() == [("1.0", 2.0), ("2.0", 3.0), ("+Inf", 4.0)]
    assert found.total == 12.0


# Dashboard and alerts.

OTHERS = {"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}
"""Prometheus' own, and those of its client library."""

RULES = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
PANELS = json.loads((ROOT / "deploy/grafana/tocsin.json").read_text("utf-8"))["panels"]
EXPRESSIONS = [rule["expr"] for rule in RULES] + [target["expr"] for panel in PANELS for target in panel["targets"]]


async def test_dashboard_and_alerts_ask_for_metrics_and_labels_that_exist(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    await tocsin.webhook(hook, enabled_events=["*"])
    await tocsin.webhook(tocsin.receiver.hook("/off"), enabled_events=["*"], is_active=False)
    hook.answer(500, 200)
    await tocsin.send()
    await tocsin.client.post("/v1/events", {"type": 1})
    await tocsin.wait_out()
    hook.expect(2)
    body = (await tocsin.client.get("/metrics")).body.decode()
    there: dict[str, set[str]] = {"up": {"job"}}
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            there.setdefault(sample.name, set()).update(sample.labels)
    for expression in EXPRESSIONS:
        metrics, labels = read(expression)
        assert metrics <= set(there), (expression, metrics - set(there))
        for metric, label in labels:
            assert label in there[metric], (expression, label)
    asked = set[str]().union(*(read(expression)[0] for expression in EXPRESSIONS))
    assert len(asked - OTHERS) > 15


@pytest.mark.parametrize("text", ["sum(", "rate(x)", "a{b=c}", "x[5m]", "1 +", "foo(x) > 1", "a b", "sum by x (y)"])
def test_what_is_no_promql_is_found(text: str) -> None:
    with pytest.raises(Wrong):
        read(text)


def test_every_alert_has_a_runbook() -> None:
    for rule in RULES:
        assert rule["annotations"]["runbook"] == f"docs/errors/{rule['alert'].lower()}.md"
        assert (ROOT / rule["annotations"]["runbook"]).is_file()
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
