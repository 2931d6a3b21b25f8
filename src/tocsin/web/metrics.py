"""What Prometheus sees. Read from the stages' own counters when asked; nothing is labelled by endpoint or tenant."""

from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tocsin.app import App
from tocsin.store.database import StoreUnavailable


class Stages(Collector):
    """The counters of this process, and the queue as the store has it."""

    def __init__(self, app: App, queue: tuple[Any, ...] | None) -> None:
        self.app = app
        self.queue = queue

    def collect(self) -> Iterator[Metric]:
        app = self.app
        events = CounterMetricFamily("tocsin_events", "Events taken in, by what became of them", labels=["outcome"])
        for outcome, count in app.intake.counts.items():
            events.add_metric([outcome], count)
        yield events
        groups = "Transactions that intake wrote: many events share one under load"
        yield CounterMetricFamily("tocsin_intake_groups", groups, app.intake.groups)
        attempts = CounterMetricFamily("tocsin_attempts", "Attempts made, by outcome", labels=["outcome"])
        for outcome in ("sent", "failed", "rate_limited"):
            attempts.add_metric([outcome], app.deliver.counts[outcome])
        yield attempts
        ended = CounterMetricFamily("tocsin_deliveries", "Recorded steps of deliveries, by status", labels=["status"])
        for status in ("delivered", "retrying", "dead", "expired"):
            ended.add_metric([status], app.deliver.counts[f"recorded_{status}"])
        yield ended
        yield CounterMetricFamily(
            "tocsin_lease_lost", "Results that came after their lease", app.deliver.counts["lease_lost"]
        )
        yield GaugeMetricFamily(
            "tocsin_intake_waiting", "Events that wait for their transaction", app.intake.waiting_events
        )
        yield GaugeMetricFamily("tocsin_sending", "Attempts on their way", app.deliver.queue.sending)
        audit = CounterMetricFamily("tocsin_audit_entries", "Entries of the audit trail", labels=["outcome"])
        for outcome in ("done", "denied"):
            audit.add_metric([outcome], app.trail.counts[outcome])
        yield audit
        yield CounterMetricFamily(
            "tocsin_audit_denials_unwritten",
            "Refusals that were not written down, for there were too many",
            app.trail.counts["denied_unwritten"],
        )
        yield GaugeMetricFamily("tocsin_up", "Whether the store answers", 0 if self.queue is None else 1)
        if self.queue is None:
            return
        waiting, sending, dead, soonest_ms = self.queue
        yield GaugeMetricFamily("tocsin_deliveries_waiting", "Deliveries that are not at their end", waiting + sending)
        yield GaugeMetricFamily("tocsin_dead_letters", "Deliveries that failed for good", dead)
        overdue_s = 0.0 if soonest_ms is None else max(0.0, (app.clock_ms() - soonest_ms) / 1000)
        yield GaugeMetricFamily("tocsin_oldest_due_seconds", "How long the oldest due delivery has waited", overdue_s)


async def text(app: App) -> bytes:
    try:
        queue = (await app.db.read("waiting_deliveries"))[0]
    except StoreUnavailable:
        queue = None
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    registry.register(Stages(app, queue))
    return generate_latest(registry)
