"""Tocsin's own scheduling with the clock moved: hours of a large installation in a minute.

    python -m benchmarks.simulation                     all scenarios, as a table
    python -m benchmarks.simulation one-of-1000         one of them
    python -m benchmarks.simulation --scale 0.1         a tenth of the time that things take in them

Who sends next, how much an endpoint takes on, when it is tried again and when a host counts as down is decided by the
code that decides it in production (rules/fair_queue.py, rules/next_step.py, rules/outage.py). What stands in for the
rest: a store that is a heap, receivers that take their time, and an event loop that each delivery occupies for
`cost_ms`.
"""

import argparse
import heapq
import math
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tocsin.model.rule import RetryPolicy
from tocsin.model.wire import Delivered, Retry
from tocsin.rules.fair_queue import MOST_IN_FLIGHT, SHARE, SLOW_IN_FLIGHT, SLOW_MS, FairQueue, Lane
from tocsin.rules.next_step import DISABLE_AFTER, Tried, next_step
from tocsin.rules.outage import PROBE_S, Hosts

LOOK_AGAIN_MS = 20.0
"""As stages/deliver/claiming.py has it."""

CLAIMED_AT_ONCE = 500
DAY_MS = 86_400_000
HANG_MS = 10_000.0
"""What an attempt may take at the most: a receiver that is down and does not say so."""


FIRST_ROOM = 256
"""Of a process: what may be under way of first attempts to endpoints that are well; see FairQueue."""

SPREAD = 0.3
"""Of receivers' latencies, which are log-normal."""


@dataclass(frozen=True)
class Scenario:
    """Seconds; a receiver is a host with `endpoints_of_a_host` endpoints, each of another tenant. The first one is down
    from `down_s` on for `outage_s`: it hangs, or refuses at once. `popular`: the share of events that are for it;
    None: as many as for any other. `enabled_after_s`: a person switches on again what was switched off, so long after
    the end. `cost_ms`: what a delivery costs a process's event loop."""

    name: str
    about: str
    endpoints: int = 1000
    endpoints_of_a_host: int = 1
    per_s: float = 500.0
    down_s: float = 300.0
    outage_s: float = 3600.0
    after_s: float = 600.0
    hangs: bool = True
    popular: float | None = None
    enabled_after_s: float = 0.0
    latency_ms: float = 60.0
    cost_ms: float = 0.4
    processes: int = 1

    def scaled(self, scale: float) -> "Scenario":
        times = {name: getattr(self, name) * scale for name in ("down_s", "outage_s", "after_s")}
        return Scenario(**(vars(self) | times))

    @property
    def ends_s(self) -> float:
        return self.down_s + self.outage_s

    @property
    def affected(self) -> int:
        return self.endpoints_of_a_host

    @property
    def per_s_affected(self) -> float:
        share = self.popular if self.popular is not None else self.affected / self.endpoints
        return self.per_s * share


@dataclass
class Delivery:
    number: int
    endpoint: int
    planned_ms: float
    failures: int = 0
    tries: int = 0


@dataclass(frozen=True)
class Answer:
    process: int
    delivery: Delivery
    lane: Lane
    down: bool
    took_ms: float


@dataclass
class Report:
    """`before` and `during`: milliseconds from the event to the answer, of endpoints that are not of the host."""

    scenario: Scenario
    before: list[float] = field(default_factory=list)
    during: list[float] = field(default_factory=list)
    delivered: int = 0
    peak: int = 0
    drained_s: float = math.inf
    attempts: int = 0
    attempts_down: int = 0
    switched_off: int = 0
    left: int = 0

    def p99(self, values: list[float]) -> float:
        ordered = sorted(values)
        return ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] if ordered else 0.0

    @property
    def ratio(self) -> float:
        return self.p99(self.during) / max(self.p99(self.before), 0.001)

    @property
    def predicted_peak(self) -> float:
        """What came for the host while it was down."""
        return self.scenario.per_s_affected * self.scenario.outage_s

    @property
    def predicted_drain_s(self) -> float:
        """What waits goes out as fast as connections allow, while more comes in.

        First the endpoints have to show that they are well again: SLOW_IN_FLIGHT at a time, until the average of their
        latency, which begins at what the last attempt took, is below SLOW_MS; then each answer allows one more, which
        doubles them in each round, up to MOST_IN_FLIGHT, or 1/SHARE of what is left of the first lane's room.
        """
        one = self.scenario
        mean_ms = one.latency_ms * math.exp(SPREAD**2 / 2) + one.cost_ms
        others = (one.per_s - one.per_s_affected) * mean_ms / 1000
        alone = min(MOST_IN_FLIGHT, (FIRST_ROOM - others) / (1 + SHARE))
        at_once = alone if one.affected == 1 else min(MOST_IN_FLIGHT * one.affected, FIRST_ROOM - others)
        rate = min(at_once / mean_ms * 1000, 1000 / one.cost_ms - (one.per_s - one.per_s_affected))
        slow = math.ceil(math.log(SLOW_MS / HANG_MS) / math.log(0.7)) if one.hangs else 1
        rounds = math.ceil(slow / SLOW_IN_FLIGHT) + math.log2(alone / SLOW_IN_FLIGHT)
        ramp_s = rounds * mean_ms / 1000 + (0.0 if one.affected == 1 else PROBE_S / 2)
        in_ramp = 2 * alone * one.affected  # half as many in each round before the last
        return ramp_s + max(0.0, self.predicted_peak - in_ramp) / max(rate - one.per_s_affected, 1e-9)


class Simulation:
    def __init__(self, scenario: Scenario, seed: int = 7) -> None:
        self.one = scenario
        self.draw = random.Random(seed)
        self.report = Report(scenario)
        self.now = 0.0
        self.agenda: list[tuple[float, int, str, object]] = []
        self.steps = 0
        self.fair: list[FairQueue[Delivery]] = [FairQueue() for _ in range(scenario.processes)]
        self.hosts = [Hosts() for _ in range(scenario.processes)]
        self.busy_until = [0.0] * scenario.processes
        self.due: dict[int, list[tuple[float, int, Delivery]]] = defaultdict(list)
        self.failed_in_row: dict[int, int] = defaultdict(int)
        self.closed: set[int] = set()
        self.waiting = 0
        self.looking: set[int] = set()
        self.count = 0

    # The agenda.

    def at(self, when: float, what: str, about: object = None) -> None:
        self.steps += 1
        heapq.heappush(self.agenda, (when, self.steps, what, about))

    def run(self) -> Report:
        one = self.one
        self.at(0.0, "event")
        self.at((one.ends_s + one.enabled_after_s) * 1000, "enable")
        ends = (one.ends_s + one.after_s) * 1000
        while self.agenda:
            self.now, _, what, about = heapq.heappop(self.agenda)
            if self.now > ends:
                break
            getattr(self, what)(about)
        self.report.left = self.waiting
        return self.report

    def event(self, _: object) -> None:
        one = self.one
        self.at(self.now + self.draw.expovariate(one.per_s) * 1000, "event")
        if one.popular is not None and self.draw.random() < one.popular:
            endpoint = self.draw.randrange(one.affected)
        else:
            endpoint = self.draw.randrange(0 if one.popular is None else one.affected, one.endpoints)
        self.count += 1
        delivery = Delivery(self.count, endpoint, self.now)
        if self.affected(endpoint):
            self.waiting += 1
            self.report.peak = max(self.report.peak, self.waiting)
        process = self.count % one.processes
        fair, name = self.fair[process], str(endpoint)
        # Intake hands over what it planned, already leased, where the endpoint gets to it soon; else it is the store's.
        if endpoint not in self.closed and not self.due[endpoint] and fair.reserve(name, name):
            fair.add(delivery, name, name, is_retry=False, reserved=True)
            self.send(process)
        else:
            self.store(delivery, self.now)

    def affected(self, endpoint: int) -> bool:
        return endpoint < self.one.affected

    def store(self, delivery: Delivery, due: float) -> None:
        heapq.heappush(self.due[delivery.endpoint], (due, delivery.number, delivery))
        self.look_at(delivery.endpoint, due)

    def look_at(self, endpoint: int, when: float) -> None:
        if endpoint not in self.looking:
            self.looking.add(endpoint)
            self.at(max(when, self.now), "look", endpoint)

    def look(self, about: object) -> None:
        """A claim: what is due of an endpoint, as much as it gets to soon."""
        assert isinstance(about, int)
        self.looking.discard(about)
        due, name = self.due[about], str(about)
        if about in self.closed or not due:
            return
        if due[0][0] > self.now:
            self.look_at(about, due[0][0])
            return
        process = about % self.one.processes
        fair = self.fair[process]
        free = min(CLAIMED_AT_ONCE, fair.free(name, name))
        if free and not (free < CLAIMED_AT_ONCE and free < fair.endpoint(name, name).size // 4):
            while free and due and due[0][0] <= self.now:
                delivery = heapq.heappop(due)[2]
                fair.add(delivery, name, name, is_retry=delivery.tries > 0)
                free -= 1
            self.send(process)
        if due:
            self.look_at(about, max(self.now + LOOK_AGAIN_MS, due[0][0]))

    # Sending.

    def host(self, endpoint: int) -> str:
        return f"host{endpoint // self.one.endpoints_of_a_host}"

    def is_down(self, endpoint: int, when: float) -> bool:
        one = self.one
        return self.affected(endpoint) and one.down_s * 1000 <= when < one.ends_s * 1000

    def send(self, process: int) -> None:
        fair, hosts, one = self.fair[process], self.hosts[process], self.one
        while (taken := fair.take()) is not None:
            delivery, name, lane = taken
            wait_s = hosts.wait_s(self.host(delivery.endpoint), int(self.now))
            if wait_s:
                fair.done(name, lane, None)
                self.store(delivery, self.now + wait_s * 1000)
                continue
            self.busy_until[process] = max(self.busy_until[process], self.now) + one.cost_ms
            began = self.busy_until[process]
            down = self.is_down(delivery.endpoint, began)
            took = self.draw.lognormvariate(math.log(one.latency_ms), SPREAD)
            if down:
                took = HANG_MS if one.hangs else 5.0
            self.report.attempts += 1
            self.report.attempts_down += down
            delivery.tries += 1
            self.at(began + took, "answer", Answer(process, delivery, lane, down, took))

    def answer(self, about: object) -> None:
        assert isinstance(about, Answer)
        process, delivery, down, took = about.process, about.delivery, about.down, about.took_ms
        fair, hosts, name = self.fair[process], self.hosts[process], str(delivery.endpoint)
        hosts.ended(self.host(delivery.endpoint), name, ok=not down, now_ms=int(self.now))
        fair.done(name, about.lane, (down, took))
        tried = Tried(
            failures=delivery.failures,
            policy=RetryPolicy(),
            standard_attempts=None,
            expires_ms=int(delivery.planned_ms) + DAY_MS,
            plain=False,
            can_go_plain=False,
            host_is_down=hosts.is_down(self.host(delivery.endpoint)),
        )
        outcome = Retry("does not answer") if down else Delivered()
        step = next_step(outcome, tried, int(self.now), self.draw.uniform(-1, 1))
        delivery.failures = step.failures
        if step.effect == "success":
            self.failed_in_row[delivery.endpoint] = 0
        elif step.effect == "failure":
            self.failed_in_row[delivery.endpoint] += 1
            if self.failed_in_row[delivery.endpoint] == DISABLE_AFTER:
                self.closed.add(delivery.endpoint)
                self.report.switched_off += 1
        if step.status == "delivered":
            self.over(delivery)
        elif step.status == "retrying":
            self.store(delivery, float(step.due_ms))
        for item in fair.shed(name):
            self.store(item, self.now)
        self.send(process)

    def over(self, delivery: Delivery) -> None:
        one, report = self.one, self.report
        report.delivered += 1
        took = self.now - delivery.planned_ms
        if self.affected(delivery.endpoint):
            self.waiting -= 1
            after_s = self.now / 1000 - one.ends_s
            at_rest = max(2.0, 3 * one.per_s_affected * one.latency_ms / 1000)
            if after_s >= 0 and self.waiting <= at_rest and math.isinf(report.drained_s):
                report.drained_s = after_s - one.enabled_after_s
        elif delivery.planned_ms < one.down_s * 1000:
            report.before.append(took)
        elif delivery.planned_ms < one.ends_s * 1000:
            report.during.append(took)

    def enable(self, _: object) -> None:
        """Somebody switches on what was switched off: what waited is due, as `enable` has it."""
        for endpoint in sorted(self.closed):
            self.closed.discard(endpoint)
            self.failed_in_row[endpoint] = 0
            waited = [(self.now, number, delivery) for _, number, delivery in self.due[endpoint]]
            heapq.heapify(waited)
            self.due[endpoint] = waited
            self.look_at(endpoint, self.now)


SCENARIOS = (
    Scenario("one-of-1000", "one receiver of 1,000 hangs for an hour, and is switched off"),
    Scenario("refusing", "the same, and it refuses at once", hangs=False),
    Scenario(
        "popular",
        "a service that 50 of 1,000 endpoints are at, with a fifth of all events, hangs for an hour",
        endpoints_of_a_host=50,
        popular=0.2,
    ),
    Scenario("tenants", "5,000 tenants with an endpoint each, one hangs", endpoints=5000, per_s=800.0, processes=2),
)


def table(reports: Iterator[Report]) -> Iterator[str]:
    yield "| scenario | p99 of the others: before, during | ratio | peak: predicted | drained: predicted | attempts |"
    yield "|---|---|---|---|---|---|"
    for report in reports:
        cells = (
            f"{report.scenario.name}: {report.scenario.about}",
            f"{report.p99(report.before):.0f} ms, {report.p99(report.during):.0f} ms",
            f"{report.ratio:.2f}",
            f"{report.peak:,}: {report.predicted_peak:,.0f}",
            f"{report.drained_s:.1f} s: {report.predicted_drain_s:.1f} s",
            f"{report.attempts:,}, {report.attempts_down:,} in vain; {report.switched_off} switched off",
        )
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *(one.name for one in SCENARIOS)])
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    chosen = [one for one in SCENARIOS if not given.names or one.name in given.names]
    for line in table(Simulation(one.scaled(given.scale)).run() for one in chosen):
        print(line, flush=True)


if __name__ == "__main__":
    main()
