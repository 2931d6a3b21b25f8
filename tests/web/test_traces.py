"""Traces: the caller's `traceparent` reaches webhooks, and a collector is told what happened in between."""

import asyncio
import gzip
import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.harness import Hook, Receiver, Running, Start
from tocsin.model import tracing

pytestmark = pytest.mark.anyio
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GIVEN = f"00-{TRACE}-{PARENT}-01"


def spans(collector: Hook) -> list[Any]:
    found = []
    for received in collector.all_new():
        body = received.body
        if received.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        for resource in request.resource_spans:
            assert "tocsin" in str(resource.resource)
            for scope in resource.scope_spans:
                found += scope.spans
    return found


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


async def test_the_callers_trace_reaches_the_webhook_without_a_collector(tocsin: Running) -> None:
    hook = tocsin.receiver.hook("/hook")
    await tocsin.webhook(hook, enabled_events=["*"])
    hook.answer(500, 200)
    assert tocsin.app.spans is None
    await tocsin.client.post("/v1/events", {"type": "run.failed"}, traceparent=GIVEN)
    await tocsin.wait_out()
    first, second = hook.expect(2)
    assert first.headers["traceparent"] == second.headers["traceparent"] == GIVEN
    assert first.body == second.body
    for bad in ("", "x", GIVEN.upper(), f"00-{'0' * 32}-{PARENT}-01", GIVEN + "-x", f"ff-{TRACE}-{PARENT}-01"):
        await tocsin.client.post("/v1/events", {"type": "run.failed"}, traceparent=bad)
        await tocsin.settle()
        (message,) = hook.expect(1)
        assert "traceparent" not in message.headers, bad


async def test_a_collector_sees_request_plan_and_attempts_as_one_trace(start: Start, receiver: Receiver) -> None:
    collector, hook = receiver.hook("/v1/traces"), receiver.hook("/hook")
    traced = await start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url.removesuffix("/v1/traces"))
    assert traced.app.spans is not None
    await traced.webhook(hook, enabled_events=["*"])
    await traced.client.post("/v1/events", {"type": "run.failed"}, traceparent=GIVEN)
    await traced.settle()
    (message,) = hook.expect(1)
    await traced.client.post("/v1/events", {"type": "run.failed"})
    await traced.settle()
    (other,) = hook.expect(1)
    await asyncio.to_thread(traced.app.spans.flush)
    found = spans(collector)
    mine = {span.name: span for span in found if span.trace_id.hex() == TRACE}
    assert set(mine) == {"POST /v1/events", "plan", "send webhook"}
    request, plan, attempt = mine["POST /v1/events"], mine["plan"], mine["send webhook"]
    assert request.parent_span_id.hex() == PARENT
    assert plan.parent_span_id == attempt.parent_span_id == request.span_id
    assert message.headers["traceparent"] == f"00-{TRACE}-{attempt.span_id.hex()}-01"
    assert attributes(attempt)["tocsin.delivery"] == message.id
    assert attributes(attempt)["http.response.status_code"] == 200
    assert attributes(request)["tocsin.request"].startswith("req_")
    trace_id = other.headers["traceparent"].split("-")[1]
    assert {span.name for span in found if span.trace_id.hex() == trace_id} == set(mine)


async def test_a_collector_that_is_away_harms_nobody(start: Start, receiver: Receiver) -> None:
    hook = receiver.hook("/hook")
    traced = await start(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.4:28098")
    await traced.webhook(hook, enabled_events=["*"])
    await traced.send()
    await traced.settle()
    hook.expect(1)


def test_nothing_is_loaded_that_nobody_asked_for() -> None:
    code = "import sys, tocsin.cli.running; print([m for m in sys.modules if m.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_a_traceparent() -> None:
    assert tracing.given({b"traceparent": GIVEN.encode()}) == GIVEN
    assert tracing.given({b"traceparent": GIVEN.encode() + b"\n"}) == ""
