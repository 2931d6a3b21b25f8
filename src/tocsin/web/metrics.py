"""What Prometheus sees. Read from the stages' own counters when asked; nothing is labelled by tenant, endpoint or
pipeline, or by what somebody else said. docs/operations.md says what each is for."""

import platform
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from tocsin import __version__
from tocsin.app import App
from tocsin.model.tally import Histogram
from tocsin.store.database import StoreUnavailable


def counter(name: str, about: str, labels: tuple[str, ...], counts: Mapping[Any, float]) -> Metric:
    """A key is a label's value, or a tuple of them."""
    family = CounterMetricFamily(name, about, labels=labels)
    for key, count in sorted(counts.items()):
        family.add_metric([key] if isinstance(key, str) else list(map(str, key)), count)
    return family


def histogram(name: str, about: str, labels: tuple[str, ...], found: Iterable[tuple[Any, Histogram]]) -> Metric:
    family = HistogramMetricFamily(name, about, labels=labels)
    for key, one in sorted(found, key=lambda pair: str(pair[0])):
        values = [key] if isinstance(key, str) else list(map(str, key))
        family.add_metric(values, one.buckets(), one.total)
    return family


class Stages(Collector):
    """The counters of this process, and the queue as the store has it."""

    def __init__(self, app: App, queue: tuple[Any, ...] | None) -> None:
        self.app = app
        self.queue = queue

    def collect(self) -> Iterator[Metric]:
        app = self.app
        about = {"version": __version__, "python": platform.python_version(), "store": app.db.dialect}
        build = GaugeMetricFamily("tocsin_build_info", "Which Tocsin this is; always 1", labels=list(about))
        build.add_metric(list(about.values()), 1)
        yield build
        yield from self.intake()
        if app.buses:
            yield from self.buses()
        yield from self.deliver()
        yield from self.audit()
        yield histogram(
            "tocsin_request_seconds", "Requests, by route and status", ("route", "status"), app.requests.by_key.items()
        )
        yield from self.store()

    def intake(self) -> Iterator[Metric]:
        intake = self.app.intake
        yield counter("tocsin_events", "Events taken in, by what became of them", ("outcome",), intake.counts)
        about = "Requests to POST /v1/events that were refused, by what was wrong"
        yield counter("tocsin_events_refused", about, ("reason",), intake.measured.refused)
        about = "Events in each transaction of intake: many share one under load"
        yield histogram("tocsin_intake_group_events", about, (), [((), intake.measured.groups)])
        about = "Deliveries that were planned as suppressed, by why"
        yield counter("tocsin_suppressed", about, ("reason",), intake.measured.suppressed)
        about = "What was refused since a limit of the tenant was reached, by which"
        yield counter("tocsin_limited", about, ("limit",), self.app.meter.refused)
        about = "Events of tenants that the alert engine is off for"
        yield CounterMetricFamily("tocsin_events_unplanned", about, intake.measured.unplanned)
        yield GaugeMetricFamily(
            "tocsin_intake_waiting", "Events that wait for their transaction", intake.waiting_events
        )

    def buses(self) -> Iterator[Metric]:
        """By stream, topic or queue: as many as the settings name."""
        buses = self.app.buses
        counts = {(bus.name, outcome): count for bus in buses for outcome, count in bus.counts.items()}
        about = "Events that came over an event bus, by what became of them; refused ones are messages"
        yield counter("tocsin_bus_events", about, ("bus", "outcome"), counts)
        reads = GaugeMetricFamily("tocsin_bus_up", "Whether the event bus is read", labels=["bus"])
        lag = GaugeMetricFamily("tocsin_bus_lag", "Messages that waited when it was last looked", labels=["bus"])
        for bus in buses:
            reads.add_metric([bus.name], 0 if bus.away else 1)
            if bus.lag is not None:
                lag.add_metric([bus.name], bus.lag)
        yield reads
        yield lag

    def deliver(self) -> Iterator[Metric]:
        deliver, sweep = self.app.deliver, self.app.sweep
        found = deliver.measured
        about = "Attempts made, by provider, outcome and what went wrong"
        yield counter("tocsin_attempts", about, ("provider", "outcome", "reason"), found.attempts)
        yield counter("tocsin_retries", "Attempts that were not the first", ("provider",), found.retries)
        about = "How long an attempt took"
        yield histogram("tocsin_attempt_seconds", about, ("provider",), found.took.by_key.items())
        about = "Recorded steps of deliveries, by provider, status and what went wrong"
        yield counter("tocsin_deliveries", about, ("provider", "status", "reason"), found.recorded)
        about = "From the event being accepted to its message being delivered, waiting that was wanted included"
        yield histogram("tocsin_delivery_seconds", about, ("provider",), found.latency.by_key.items())
        yield CounterMetricFamily("tocsin_lease_lost", "Results that came after their lease", found.lease_lost)
        about = "Deliveries taken back from workers that died or hung"
        yield CounterMetricFamily("tocsin_leases_taken_back", about, sweep.lost_leases)
        about = "Deliveries that became too old while they waited"
        yield CounterMetricFamily("tocsin_expired_waiting", about, sweep.expired)
        yield GaugeMetricFamily("tocsin_sending", "Attempts on their way", deliver.queue.sending)
        about = "Results that wait to be written"
        yield GaugeMetricFamily("tocsin_unrecorded", about, deliver.recorder.unrecorded)
        if self.app.works:
            beat = GaugeMetricFamily(
                "tocsin_last_round_timestamp_seconds", "When a job of this process last did its round", labels=["job"]
            )
            beat.add_metric(["claim"], deliver.looked_ms / 1000)
            beat.add_metric(["sweep"], sweep.swept_ms / 1000)
            yield beat

    def audit(self) -> Iterator[Metric]:
        trail = self.app.trail
        counts = {outcome: trail.counts[outcome] for outcome in ("done", "denied")}
        yield counter("tocsin_audit_entries", "Entries of the audit trail", ("outcome",), counts)
        yield CounterMetricFamily(
            "tocsin_audit_denials_unwritten",
            "Refusals that were not written down, for there were too many",
            trail.counts["denied_unwritten"],
        )

    def store(self) -> Iterator[Metric]:
        db = self.app.db
        errors = {kind: db.errors[kind] for kind in ("unavailable", "broken")}
        yield counter("tocsin_store_errors", "How often the store could not be used", ("kind",), errors)
        busy, most = db.connections()
        yield GaugeMetricFamily("tocsin_store_connections_busy", "Connections to the store in use", busy)
        yield GaugeMetricFamily("tocsin_store_connections_limit", "Connections to the store at the most", most)
        yield GaugeMetricFamily("tocsin_up", "Whether the store answers", 0 if self.queue is None else 1)
        if self.queue is None:
            return
        waiting, sending, dead, soonest_ms = self.queue
        yield GaugeMetricFamily("tocsin_deliveries_waiting", "Deliveries that are not at their end", waiting + sending)
        yield GaugeMetricFamily("tocsin_dead_letters", "Deliveries that failed for good", dead)
        overdue_s = 0.0 if soonest_ms is None else max(0.0, (self.app.clock_ms() - soonest_ms) / 1000)
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
