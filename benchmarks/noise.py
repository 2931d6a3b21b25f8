"""What an event and a tick of the clock cost when much is watched, beside what they cost when little is.

Much: 100,000 runs that go on, each with a timer, 10,000 rules, 1,000 silences. Little: 100 runs, 10 rules, 1 silence.
The same 10 rules and the same silence are what the events meet in both, so that whatever differs is paid for what does
not match. Each of the ten remembers something: windows, changes of state, runs that it watches, a group.

Intake and sweep are called in this process, without HTTP and without sending: their own cost is small enough to hide
behind those. Costs are CPU.
"""

import asyncio
import json
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
from msgspec import Struct

from benchmarks.figure import Figure
from benchmarks.process import cpu_s
from benchmarks.systems import Bench, Tocsin
from tocsin.app import App, clock_ms
from tocsin.model.endpoint import Endpoint, Secret
from tocsin.model.noise import Changes, Failures, Flood, Grouping, Metric, Noise, SuccessRate, Watch
from tocsin.model.rule import Rule
from tocsin.model.run import Run, RunAbout
from tocsin.model.world import Matcher, Silence, Timer
from tocsin.settings import read_settings
from tocsin.sources.native import decode_native
from tocsin.store import config, intake, noise, silences
from tocsin.store.silences import Kept

TENANT = "default"
HOUR_MS = 3_600_000
PIPELINES = 20
BATCH = 100
WARM_UP = 2_000
QUIET_TICKS = 150
BUSY_TICKS = 3
TICK_ROUNDS = 9
DUE = 100
HOLD = 1.3
WATCHING = "rule_watch"
HEARS, SILENCED = "whk_hears", "whk_silenced"


class Size(Struct, frozen=True):
    """How much there is of what matters to no event."""

    runs: int
    timers: int
    rules: int
    silences: int


LITTLE = Size(runs=100, timers=1_000, rules=10, silences=1)
MUCH = Size(runs=100_000, timers=100_000, rules=10_000, silences=1_000)


def run(bench: Bench, store: str) -> Iterator[Figure]:
    with bench.new(Tocsin, store) as little, bench.new(Tocsin, store) as much:
        yield from asyncio.run(figures(bench, store, little, much))


async def figures(bench: Bench, store: str, *systems: Tocsin) -> list[Figure]:
    async with AsyncExitStack() as stack:
        pair = [
            await stack.enter_async_context(filled(system, size))
            for system, size in zip(systems, (LITTLE, MUCH), strict=True)
        ]
        events = await bench_events(bench, pair)
        quiet = await bench_ticks(pair, 0)
        due = await bench_ticks(pair, DUE)
    name = f"{store}, {MUCH.runs:,} open runs, {MUCH.rules:,} rules, {MUCH.silences:,} silences"
    matching = f"{len(matching_rules())} rules and 1 silence match"
    per_s = 1e6 / statistics.median(one for one, _ in events[1])
    return [
        figure(
            f"{name}: an event",
            [[cost for _, cost in one] for one in events],
            f"{matching}; limit: {LITTLE.runs} runs, {LITTLE.rules} rules; {per_s:,.0f} events/s",
        ),
        figure(f"{store}, {MUCH.timers:,} timers: a tick, none due", quiet, f"limit: {LITTLE.timers:,} timers"),
        figure(f"{store}, {MUCH.timers:,} timers: a tick, {DUE} due", due, f"limit: {LITTLE.timers:,} timers"),
    ]


def figure(name: str, costs: list[list[float]], note: str) -> Figure:
    little, much = costs
    ratio = statistics.median(ours / limit for ours, limit in zip(much, little, strict=True))
    return Figure(
        name=name,
        ours=statistics.median(much),
        limit=statistics.median(little),
        ratio=ratio,
        unit="µs CPU",
        hold=f"≤ {HOLD} ×",
        held=ratio <= HOLD,
        note=note,
        detail={"much": much, "little": little},
    )


class Line(Struct):
    """A store with its app. `batches` counts what was sent to it, `postgres_pid` is 0 with SQLite."""

    app: App
    postgres_pid: int
    batches: int = 0

    async def cost_s(self, work: Awaitable[object]) -> float:
        """The seconds of CPU that it takes, here and in PostgreSQL, without those that it takes to ask PostgreSQL's."""
        postgres_s = self._postgres_s()
        own_s = time.process_time()
        await work
        own_s = time.process_time() - own_s
        return own_s + self._postgres_s() - postgres_s

    def _postgres_s(self) -> float:
        return cpu_s(self.postgres_pid) if self.postgres_pid else 0.0


@asynccontextmanager
async def filled(system: Tocsin, size: Size) -> AsyncIterator[Line]:
    """An app on a store in which there is so much."""
    app = await App.open(read_settings(system.env()), works=False)
    task = asyncio.create_task(app.intake.run())
    try:
        await fill(app, size)
        if system.postgres:  # as if it had grown in months: left to itself it would do this while it is measured
            connection = await asyncpg.connect(system.dsn)
            await connection.execute("VACUUM ANALYZE")
            await connection.close()
        yield Line(app, system.postgres.pid() if system.postgres else 0)
    finally:
        task.cancel()
        await app.close()


async def bench_events(bench: Bench, lines: list[Line]) -> list[list[tuple[float, float]]]:
    """By line, for each round: µs of time and µs of CPU per event. Rounds alternate."""
    found: list[list[tuple[float, float]]] = [[] for _ in lines]
    for line in lines:
        await send(line, WARM_UP)
    wall_us, _ = await send(lines[0], WARM_UP)
    count = max(WARM_UP, int(bench.seconds * 1e6 / wall_us / BATCH) * BATCH)
    for _ in range(bench.rounds):
        for line, costs in zip(lines, found, strict=True):
            costs.append(await send(line, count))
    return found


async def send(line: Line, events: int) -> tuple[float, float]:
    """µs of time and of CPU per event. Half of a batch are starts, half the ends of what the one before it started."""
    first = line.batches
    bodies = [body(first + number) for number in range(events // BATCH)]
    line.batches += len(bodies)
    started = time.monotonic()
    cost_s = await line.cost_s(post(line.app, bodies))
    return (time.monotonic() - started) / events * 1e6, cost_s / events * 1e6


async def post(app: App, bodies: list[bytes]) -> None:
    for one in bodies:
        await app.intake.accept(TENANT, decode_native(one), size=len(one))


def body(batch: int) -> bytes:
    half = BATCH // 2
    starts = [event("run.started", batch * half + number) for number in range(half)]
    ends = [event("run.succeeded", (batch - 1) * half + number) for number in range(half)]
    return json.dumps({"events": starts + ends}).encode()


def event(type_: str, number: int) -> dict[str, Any]:
    return {
        "type": type_,
        "source": "bench",
        "pipeline": f"etl/orders-{number % PIPELINES}",
        "run_id": f"run {number}",
        "labels": {"env": "prod", "team": "data-platform", "region": "eu-west-1"},
        "data": {"rows": 182_334, "table": "warehouse.orders_daily", "host": "worker-17.eu-west-1.example.com"},
    }


async def bench_ticks(lines: list[Line], due: int) -> list[list[float]]:
    """By line, for each round, the µs of CPU of a tick with so many timers that are due. Rounds alternate; the first
    one is let pass."""
    found: list[list[float]] = [[] for _ in lines]
    for number in range(TICK_ROUNDS + 1):
        for line, costs in zip(lines, found, strict=True):
            if due:
                names = [[f"late {number} {place} {one}" for one in range(due)] for place in range(BUSY_TICKS)]
                costs.append(statistics.mean([await busy_tick(line, late) for late in names]))
            else:
                costs.append(await line.cost_s(sweep(line.app, QUIET_TICKS)) / QUIET_TICKS * 1e6)
    return [costs[1:] for costs in found]


async def busy_tick(line: Line, late: list[str]) -> float:
    """The µs of CPU of a tick at which these runs take too long."""
    overdue = [open_run(name, clock_ms() - 2 * HOUR_MS) for name in late]
    await put_runs(line.app, overdue)
    await put_timers(line.app, [timer(run, clock_ms()) for run in overdue])
    cost_s = await line.cost_s(sweep(line.app, 1))
    if await line.app.db.read("due_timers", {"now": clock_ms(), "limit": 1}):
        raise RuntimeError("timers that were due are still there after the tick")
    return cost_s * 1e6


async def sweep(app: App, times: int) -> None:
    for _ in range(times):
        await app.sweep.sweep()


async def fill(app: App, size: Size) -> None:
    now_ms = clock_ms()
    async with app.db.transaction() as tx:
        for id_ in (HEARS, SILENCED):
            endpoint = Endpoint(id=id_, tenant_id=TENANT, user_id="", provider_type="webhook", name=id_)
            secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
            await config.add_endpoint(tx, app.keyring, endpoint, "http://127.0.0.1:9/x", (secret,), {})
    ours = matching_rules()
    others = [other_rule(number) for number in range(size.rules - len(ours))]
    step = max(1, len(others) // len(ours))
    async with app.db.transaction() as tx:
        for number, one in enumerate(ours):  # as if made at different times
            for rule in (one, *others[number * step : (number + 1) * step]):
                await config.add_rule(tx, rule)
    async with app.db.transaction() as tx:
        for silence in (the_silence(), *(other_silence(number) for number in range(1, size.silences))):
            await silences.add(tx, TENANT, Kept(silence, "", now_ms))
    runs = [open_run(str(number), now_ms) for number in range(max(size.runs, size.timers))]
    await put_runs(app, runs[: size.runs])
    await put_timers(app, [timer(run, now_ms + 24 * HOUR_MS) for run in runs[: size.timers]])


async def put_runs(app: App, runs: list[Run]) -> None:
    for start in range(0, len(runs), 5_000):
        async with app.db.transaction() as tx:
            await intake.save(tx, [], runs[start : start + 5_000], [], [], {}, alone=True, writer=None)


async def put_timers(app: App, timers: list[Timer]) -> None:
    for start in range(0, len(timers), 5_000):
        async with app.db.transaction() as tx:
            await noise.put_timers(tx, TENANT, timers[start : start + 5_000])


def open_run(name: str, started_ms: int) -> Run:
    return Run(
        id=f"run_{name}",
        tenant_id=TENANT,
        pipeline="etl/orders-0",
        run_id=f"open {name}",
        status="running",
        started_ms=started_ms,
        updated_ms=started_ms,
        about=RunAbout(type="run.started", labels={"env": "prod"}, at_ms=started_ms, from_ms=started_ms),
    )


def timer(run: Run, due_ms: int) -> Timer:
    return Timer(f"exceeded:{WATCHING}:{run.id}", "exceeded", WATCHING, due_ms, {"run": run.id})


def rule(id_: str, endpoint_id: str, noise: Noise, **fields: Any) -> Rule:
    return Rule(id=id_, tenant_id=TENANT, name=id_, endpoint_ids=(endpoint_id,), noise=noise, **fields)


def matching_rules() -> list[Rule]:
    """What every event of the benchmark meets, or every second one."""
    fails: dict[str, Any] = {"event_types": ("run.failed",), "pipelines": ("etl/*",)}
    return [
        rule("rule_changes", HEARS, Noise(changes=Changes()), **fails),
        rule("rule_again", HEARS, Noise(changes=Changes(renotify_s=3600)), **fails),
        rule("rule_by_label", HEARS, Noise(changes=Changes()), event_types=("run.failed",), labels={"env": "prod"}),
        rule("rule_in_a_row", HEARS, Noise(window=Failures(3)), **fails),
        rule("rule_in_a_span", HEARS, Noise(window=Failures(5, within_s=600)), **fails),
        rule("rule_rate", HEARS, Noise(window=SuccessRate(below=0.9, runs=20)), **fails),
        rule("rule_metric", HEARS, Noise(window=Metric(name="rows", below=10)), pipelines=("etl/*",)),
        rule(WATCHING, HEARS, Noise(watch=Watch(exceeded_s=3600)), event_types=("run.exceeded",), pipelines=("etl/*",)),
        rule(
            "rule_group",
            HEARS,
            Noise(group=Grouping(wait_s=3600)),
            event_types=("run.succeeded",),
            pipelines=("etl/*",),
        ),
        rule("rule_silenced", SILENCED, Noise(flood=Flood(100)), event_types=("run.started",), pipelines=("etl/*",)),
    ]


def other_rule(number: int) -> Rule:
    """One that no event of the benchmark meets."""
    team, changes, fails = f"team-{number}", Noise(changes=Changes()), ("run.failed",)
    kinds: list[dict[str, Any]] = [
        {"noise": changes, "event_types": fails, "pipelines": (f"{team}/daily",)},
        {"noise": Noise(window=Failures(3)), "event_types": ("run.*",), "pipelines": (f"{team}/*",)},
        {"noise": Noise(group=Grouping()), "event_types": fails, "labels": {"team": team}},
        {"noise": Noise(flood=Flood(10)), "event_types": (f"custom.kind{number}",)},
        {"noise": changes, "event_types": fails, "pipelines": (f"{team}/ml",), "condition": f"data.rows < {number}"},
        {"noise": Noise(watch=Watch(exceeded_s=600)), "event_types": ("run.exceeded",), "pipelines": (f"{team}/*",)},
        {"noise": Noise(watch=Watch(exceeded_p95_of=20)), "event_types": ("run.exceeded",), "labels": {"team": team}},
        {"noise": Noise(watch=Watch(stalled_s=600)), "pipelines": (f"{team}/daily", f"{team}/hourly")},
    ]
    return rule(f"rule_{number:05}", HEARS, **kinds[number % len(kinds)])


def the_silence() -> Silence:
    matchers = (Matcher("pipeline", "etl/*"), Matcher("endpoint", SILENCED))
    return Silence(id="sil_fits", matchers=matchers, starts_ms=0, reason="it is known")


def other_silence(number: int) -> Silence:
    """One that fits no message of the benchmark."""
    team = f"team-{number}"
    kinds = [
        Matcher("pipeline", f"{team}/daily"),
        Matcher("pipeline", f"{team}/*"),
        Matcher("labels.team", team),
        Matcher("labels.team", f"{team}-*"),
        Matcher("rule", f"rule of {team}"),
        Matcher("endpoint", f"channel of {team}"),
    ]
    return Silence(id=f"sil_{number:04}", matchers=(kinds[number % len(kinds)],), starts_ms=0)
