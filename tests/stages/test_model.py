"""Whatever happens, in whatever order: events, rules that change, receivers that fail, clocks that are set, restarts,
crashes. A machine does it at random to a real Tocsin, on each store, and holds what people got against what the store
says of it:

- every event that was accepted is there once, with its trace, and every delivery ends in a state that says why;
- nobody gets anything twice, unless an attempt had failed or a crash came before its answer could be written down;
- nothing is suppressed without a reason;
- `why` tells of an event what its receivers know of it;
- a run is what its events say, and nothing watches a run that is over.
"""

import asyncio
import itertools
import tempfile
from collections import defaultdict
from collections.abc import Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvloop
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from msgspec.structs import replace
from structlog.testing import capture_logs

from tests.conftest import empty
from tests.harness import Clock, Received, Receiver, Reply, Running, receiving, running
from tocsin.model.event import Event
from tocsin.model.message import FOLDED
from tocsin.model.run import Run
from tocsin.rules import run_state
from tocsin.store import intake, log, noise

HOUR = 3600
DAY = 24 * HOUR
LAST = "zzzz"
TURN_S = 0.0005
"""A little real time: a crash comes in the middle of something."""

PAGER = "/v2/enqueue"
TAKEN = defaultdict(lambda: "ok", {"events.pagerduty.com": '{"status":"success","message":"Event processed"}'})
FINAL = {"delivered", "dead", "expired", "cancelled", "suppressed"}
MOST_LISTED = 100
"""Ids that a message names of what it tells of; more are counted."""

PIPELINES = ("etl/orders", "etl/users", "train")
TYPES = (
    "run.started", "run.progress", "run.succeeded", "run.failed", "run.failed", "run.warning", "run.cancelled",
    "stage.started", "stage.succeeded", "stage.failed", "alert", "alert.resolved", "metric.logged",
)  # fmt: skip

events = st.fixed_dictionaries(
    {
        "type": st.sampled_from(TYPES),
        "pipeline": st.sampled_from(PIPELINES),
        "run": st.integers(0, 3),
        "stage": st.sampled_from(["load", "check"]),
        "ago": st.one_of(st.just(0), st.just(0), st.integers(-300, 2 * HOUR)),
        "severity": st.sampled_from(["", "", "", "critical"]),
        "attempt": st.sampled_from([None, None, 1, 2, 3]),
        "will_retry": st.booleans(),
        "accuracy": st.sampled_from([0.5, 0.8, 0.9]),
    }
)

NOTHING_SET = dict.fromkeys(("changes", "window", "group", "flood", "watch")) | {"mute": [], "retries": "silent"}
NOISES: tuple[dict[str, Any], ...] = (
    {},
    {"retries": "alert"},
    {"changes": {}},
    {"changes": {"renotify_s": 2 * HOUR, "flapping": {"changes": 4, "within_s": HOUR}}},
    {"window": {"kind": "failures", "count": 2}},
    {"window": {"kind": "failures", "count": 3, "within_s": HOUR}, "changes": {}},
    {"window": {"kind": "success_rate", "below": 0.5, "runs": 4, "recover": 0.75, "least": 2}},
    {"window": {"kind": "metric", "name": "accuracy", "drop": 0.1}},
    {"group": {"by": ["pipeline"], "wait_s": 30, "interval_s": 300}},
    {"group": {"by": [], "wait_s": 600, "interval_s": 600}, "changes": {}},
    {"flood": {"count": 2, "per_s": 60}},
    {"watch": {"exceeded_s": 600, "stalled_s": 300, "shorter_s": 60}},
    {"watch": {"exceeded_p95_of": 5, "least": 3}, "group": {"by": ["kind"], "wait_s": 60, "interval_s": 60}},
    {"mute": [{"start": "08:00", "end": "12:00"}]},
)
ASKED = (["*"], ["run.*"], ["run.failed", "run.succeeded"], ["run.failed", "run.exceeded", "stage.failed"], ["alert*"])
rules = st.fixed_dictionaries(
    {
        "event_types": st.sampled_from(ASKED),
        "pipelines": st.sampled_from([[], ["etl/*"], ["train"]]),
        "noise": st.sampled_from(NOISES),
        "webhooks": st.sets(st.integers(0, 3), min_size=1),
    }
)
matchers = st.sampled_from(
    [
        {"field": "pipeline", "value": "etl/*"},
        {"field": "kind", "value": "run.failed"},
        {"field": "severity", "value": "critical", "negate": True},
    ]
)
pick = st.integers(0, 7)


class Whole(RuleBasedStateMachine):
    """Tocsin with four webhooks: one that gets what rules say, one with a daily digest, one of Slack's, and an on-call
    service."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__()
        self.loop = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.stack = AsyncExitStack()
        self.folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.logs = self.stack.enter_context(capture_logs())
        self.environment = dict(environment) | {"TOCSIN_DATA_DIR": self.folder}
        self.sound = True
        self.numbers = itertools.count()
        self.sent: dict[str, dict[str, Any]] = {}
        self.made: list[str] = []
        self.changed: set[str] = set()
        self.silences: list[str] = []
        self.crashes = 0
        self.doubtful: set[str] = set()
        self.answered: list[tuple[Received, int, int]] = []
        self.failing: dict[str, Reply] = {}

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        self.sound, was_sound = False, self.sound
        self.loop.run(work)
        self.sound = was_sound

    # What happens.

    @initialize(given=st.lists(rules, min_size=2, max_size=5))
    def begin(self, given: list[dict[str, Any]]) -> None:
        self.do(self._begin())
        for one in given:
            self.do(self._make_rule(one))

    async def _begin(self) -> None:
        if self.environment["TOCSIN_DATABASE_URL"]:
            await empty(self.environment["TOCSIN_DATABASE_URL"])
        self.clock = Clock()
        self.clock.now_ms = int(datetime(2026, 11, 21, 7, 30, tzinfo=UTC).timestamp() * 1000)
        self.receiver: Receiver = await self.stack.enter_async_context(receiving(self.clock))
        await self._start()
        told, digest = self.receiver.hook("/told"), self.receiver.hook("/digest", "127.0.0.2")
        slack, pager = self.receiver.slack(), self.receiver.hook(PAGER, "events.pagerduty.com")
        self.hooks = [told, digest, slack, pager]
        for hook in self.hooks:
            hook.always(self._answer)
        key = {"routing_key": "0123456789abcdef" * 2}
        on_call = {"provider_type": "pagerduty", "name": "on-call", "settings": key, "enabled_events": ["run.failed"]}
        self.webhooks = [
            await self.tocsin.webhook(told, name="told"),
            await self.tocsin.webhook(digest, name="digest", digest={"at": "09:00"}, enabled_events=["run.failed"]),
            await self.tocsin.webhook(slack, name="slack"),
            (await self.tocsin.client.post("/v1/webhooks", on_call)).ok(201),
        ]

    async def _start(self) -> None:
        standard = {
            "TOCSIN_ALLOW_TARGETS": "127.0.0.0/8",
            "TOCSIN_CONNECT_TO": self.receiver.diversions,
            "TOCSIN_DRAIN_SECONDS": "1",
        }
        self.running: AbstractAsyncContextManager[Running] = running(
            self.environment | standard, self.clock, self.receiver
        )
        self.tocsin = await self.running.__aenter__()

    def _answer(self, received: Received) -> Reply:
        reply = self.failing.get(received.path) or Reply(202 if received.path == PAGER else 200, TAKEN[received.host])
        self.answered.append((received, reply.status, self.crashes))
        return reply

    @rule(given=st.lists(events, min_size=1, max_size=4), seconds=st.sampled_from([0, 0, 1, 40]))
    def tell(self, given: list[dict[str, Any]], seconds: int) -> None:
        self.do(self._tell([self._event(one) for one in given], seconds))

    @precondition(lambda self: self.sent)
    @rule(which=st.integers(0, 100))
    def tell_again(self, which: int) -> None:
        """The same event once more."""
        again = list(self.sent.values())[which % len(self.sent)]
        self.do(self._tell([again], 0, duplicates=1))

    async def _tell(self, given: list[dict[str, Any]], seconds: int, duplicates: int = 0) -> None:
        said = (await self.tocsin.client.post("/v1/events", {"events": given})).ok(202)
        assert said["duplicates"] == duplicates
        self.sent |= {one["id"]: one for one in given}
        await self.tocsin.move(seconds)
        await self._check()

    def _event(self, given: Mapping[str, Any]) -> dict[str, Any]:
        data: dict[str, Any] = {"accuracy": given["accuracy"]}
        if given["attempt"] is not None:
            data["attempt"] = given["attempt"]
        if given["will_retry"] and "failed" in given["type"]:
            data["will_retry"] = True
        at = datetime.fromtimestamp(self.clock.now_s - given["ago"], UTC).isoformat()
        event = {"id": f"e{next(self.numbers)}", "type": given["type"], "pipeline": given["pipeline"], "time": at}
        if not given["type"].startswith("alert"):
            event["run_id"] = f"r{given['run']}"
        if given["type"].startswith("stage."):
            event["stage"] = given["stage"]
        if given["severity"]:
            event["severity"] = given["severity"]
        return event | {"data": data}

    @rule(given=rules)
    def make_rule(self, given: dict[str, Any]) -> None:
        self.do(self._make_rule(given))

    async def _make_rule(self, given: dict[str, Any]) -> None:
        made = await self.tocsin.rule(
            *(self.webhooks[number] for number in sorted(given["webhooks"])),
            name=f"rule {len(self.made)}",
            event_types=given["event_types"],
            pipelines=given["pipelines"],
            **given["noise"],
        )
        self.made.append(made["id"])

    @precondition(lambda self: self.made)
    @rule(which=pick, given=rules, is_active=st.booleans())
    def change_rule(self, which: int, given: dict[str, Any], is_active: bool) -> None:
        patch = NOTHING_SET | given["noise"] | {"event_types": given["event_types"], "is_active": is_active}
        id_ = self.made[which % len(self.made)]
        self.changed.add(id_)
        self.do(self._ok("PATCH", f"/v1/alert-rules/{id_}", patch))

    @precondition(lambda self: len(self.made) > 2)
    @rule(which=pick)
    def delete_rule(self, which: int) -> None:
        self.do(self._ok("DELETE", f"/v1/alert-rules/{self.made.pop(which % len(self.made))}", status=204))

    @rule(which=pick, on=st.booleans())
    def switch(self, which: int, on: bool) -> None:
        webhook = self.webhooks[which % 4]
        self.do(self._ok("POST", f"/v1/webhooks/{webhook['id']}/{'enable' if on else 'disable'}"))

    @rule(
        which=pick, reply=st.sampled_from([Reply(), Reply(500), Reply(503), Reply(429, headers={"retry-after": "7"})])
    )
    def answer_from_now_on(self, which: int, reply: Reply) -> None:
        self.failing[self.hooks[which % 4].path] = reply

    @rule(matcher=matchers, lasts_s=st.sampled_from([60, 600, 4 * HOUR]))
    def silence(self, matcher: dict[str, Any], lasts_s: int) -> None:
        self.do(self._silence({"matchers": [matcher], "duration_s": lasts_s, "reason": "works"}))

    async def _silence(self, given: dict[str, Any]) -> None:
        self.silences.append((await self.tocsin.client.post("/v1/silences", given)).ok(201)["id"])

    @precondition(lambda self: self.silences)
    @rule(which=pick)
    def end_silence(self, which: int) -> None:
        self.do(self._ok("DELETE", f"/v1/silences/{self.silences.pop(which % len(self.silences))}", status=204))

    async def _ok(self, method: str, path: str, given: Any = None, status: int = 200) -> None:
        (await self.tocsin.client.request(method, path, given)).ok(status)
        await self.tocsin.settle()
        await self._check()

    @rule(seconds=st.sampled_from([5, 61, 299, 700, HOUR, 5 * HOUR, DAY]))
    def time_goes_by(self, seconds: int) -> None:
        self.do(self._pass(seconds))

    async def _pass(self, seconds: float) -> None:
        await self.tocsin.move(seconds)
        await self._check()

    @rule(seconds=st.integers(-HOUR, 3 * HOUR))
    def the_clock_is_set(self, seconds: int) -> None:
        self.do(self._set_clock(seconds))

    async def _set_clock(self, seconds: int) -> None:
        self.clock.move(seconds)
        await self.tocsin.settle()
        await self._check()

    @rule(
        given=st.lists(events, min_size=1, max_size=4), turns=st.integers(0, 20), seconds=st.sampled_from([0, 20, 400])
    )
    def restart(self, given: list[dict[str, Any]], turns: int, seconds: int) -> None:
        """In the middle of sending or recording, in good order."""
        self.do(self._restart([self._event(one) for one in given], turns, seconds))

    async def _restart(self, given: list[dict[str, Any]], turns: int, seconds: int) -> None:
        (await self.tocsin.client.post("/v1/events", {"events": given})).ok(202)
        self.sent |= {one["id"]: one for one in given}
        for _ in range(turns):
            await asyncio.sleep(TURN_S)
        await self.running.__aexit__(None, None, None)
        self.clock.move(seconds)
        await self._start()
        await self.tocsin.settle()
        await self._check()

    @rule(given=st.lists(events, min_size=1, max_size=4), turns=st.integers(0, 40), hang=st.booleans())
    def crash(self, given: list[dict[str, Any]], turns: int, hang: bool) -> None:
        """In the middle of taking in, sending or recording. Who was not answered tells it again."""
        self.do(self._crash([self._event(one) for one in given], turns, hang=hang))

    async def _crash(self, given: list[dict[str, Any]], turns: int, *, hang: bool) -> None:
        if hang:
            for hook in self.hooks:
                hook.hang()
        tocsin = self.tocsin
        asked = asyncio.create_task(tocsin.client.post("/v1/events", {"events": given}))
        for _ in range(turns):
            await asyncio.sleep(TURN_S)
        dying = [*tocsin.worker.tasks, *tocsin.app.deliver.senders]
        for task in dying:
            task.cancel()
        await asyncio.gather(*dying, return_exceptions=True)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        tocsin.app.works = False  # so that nothing is drained
        await self.running.__aexit__(None, None, None)
        for hook in self.hooks:
            hook.let_go()
        self.crashes += 1
        self.clock.move(61)  # leases of the dead end on PostgreSQL; on SQLite nobody else can hold one
        await self._start()
        known = {row["id"]: row["status"] for row in await self.tocsin.deliveries()}
        self.doubtful |= {received.id for received in self._taken() if "webhook-id" in received.headers} - {
            id_ for id_, status in known.items() if status == "delivered"
        }
        said = (await self.tocsin.client.post("/v1/events", {"events": given})).ok(202)
        assert said["duplicates"] in (0, len(given)), "one request is taken as a whole"
        self.sent |= {one["id"]: one for one in given}
        await self.tocsin.settle()
        await self._check()

    # What must hold.

    async def _check(self) -> None:
        """At any time."""
        self._nobody_twice()
        crashes = [entry for entry in self.logs if entry.get("exc_info")]
        assert not crashes, crashes
        rows = await self.tocsin.deliveries()
        for row in rows:
            assert row["status"] != "suppressed" or row["reason"], row
        assert len({(row["event_id"], row["webhook_id"]) for row in rows}) == len(rows)
        over = {run.id for run in await self._runs() if run.is_over}
        for _, timer in await noise.due_timers(self.tocsin.app.db, 2**60, 1000):
            if (
                timer.kind in ("exceeded", "stalled")
                and timer.rule_id in self.made
                and timer.rule_id not in self.changed
            ):
                assert timer.data["run"] not in over, timer

    def _nobody_twice(self) -> None:
        messages: dict[str, list[tuple[Received, int, int]]] = defaultdict(list)
        for received, status, crashes in self.answered:
            if "webhook-id" in received.headers:
                messages[received.id].append((received, status, crashes))
        tellers: dict[tuple[str, str], set[str]] = defaultdict(set)
        for id_, tries in messages.items():
            assert len({received.body for received, _, _ in tries}) == 1, f"{id_} had several bodies"
            for (_, status, before), (_, _, after) in itertools.pairwise(tries):
                assert status != 200 or (before < after and id_ in self.doubtful), f"{id_} came again without need"
            for event_id in ids(tries[0][0]):
                tellers[tries[0][0].path, event_id].add(id_)
        assert all(len(found) == 1 for found in tellers.values()), tellers

    def teardown(self) -> None:
        try:
            if self.sound and hasattr(self, "webhooks"):
                self.loop.run(self._end())
        finally:
            self.loop.run(self._close())
            self.loop.close()

    async def _close(self) -> None:
        if hasattr(self, "running"):
            await self.running.__aexit__(None, None, None)
        await self.stack.aclose()

    async def _end(self) -> None:
        """Everything works again and nobody is reminded any more: what waits comes to its end."""
        self.failing.clear()
        for webhook in self.webhooks:
            await self._ok("POST", f"/v1/webhooks/{webhook['id']}/enable")
        self.changed |= set(self.made)
        for id_ in self.made:
            await self._ok("PATCH", f"/v1/alert-rules/{id_}", {"changes": None})
        for _ in range(300):
            soonest_s = await self._soonest_s()
            if soonest_s is None:
                break
            await self._pass(max(soonest_s, 0.1))
        else:
            raise AssertionError("it does not come to an end")
        self._nobody_twice()
        await self._check_events()
        await self._check_runs()

    async def _soonest_s(self) -> float | None:
        tocsin = self.tocsin
        due = [timer.due_ms for _, timer in await noise.due_timers(tocsin.app.db, 2**60, 1000)]
        silences = (await tocsin.client.get("/v1/silences?status=open&limit=100")).ok()["items"]
        due += [ms(silence["ends_at"]) + 2000 for silence in silences]
        found = [(at_ms - self.clock.now_ms) / 1000 for at_ms in due]
        # a timer that is due waits for what was held up while nobody looked at the clock
        found = [seconds if seconds > 0 else 10 for seconds in found]
        if (delivery_s := await tocsin.next_due_s()) is not None:
            found.append(delivery_s)
        return min(found, default=None)

    async def _check_events(self) -> None:
        known = await self._events()
        told = {event.id for event in known if event.source != "tocsin"}
        assert told == set(self.sent)
        assert len({(event.source, event.id) for event in known}) == len(known)
        rows = {row["id"]: row for row in await self.tocsin.deliveries()}
        assert {row["status"] for row in rows.values()} <= FINAL, rows
        taken = {received.id: received for received in self._taken() if "webhook-id" in received.headers}
        assert set(taken) <= set(rows)
        for provider, host in (("slack", "hooks.slack.com"), ("pagerduty", "events.pagerduty.com")):
            tried = [row for row in rows.values() if row["provider_type"] == provider and row["attempts"]]
            got = sum(received.host == host for received in self._taken())
            assert sum(row["status"] == "delivered" for row in tried) <= got
            assert self.crashes or sum(row["status"] == "delivered" for row in tried) == got
        await self._check_alarms(rows)
        for event in known:
            await self._check_why(event, rows, taken)

    def _taken(self) -> list[Received]:
        """What was answered as it should be: a 200 of the on-call service's host is not its word, which is 202."""
        said = {"events.pagerduty.com": 202}
        return [one for one, status, _ in self.answered if status == said.get(one.host, status) and status < 300]

    async def _check_alarms(self, rows: Mapping[str, dict[str, Any]]) -> None:
        """What rings at the on-call service is what is open here, where everything got there in the end."""
        if any(row["provider_type"] == "pagerduty" and row["status"] in ("dead", "expired") for row in rows.values()):
            return
        rings = {
            received.json["dedup_key"]: received.json["event_action"] == "trigger"
            for received in self._taken()
            if received.path == PAGER
        }
        async with self.tocsin.app.db.transaction() as tx:
            open_ = await intake.open_alarms(tx, {("default", key) for key in rings})
        assert {key for key, is_on in rings.items() if is_on} == {key for _, _, key in open_}

    async def _check_why(self, event: Event, rows: Mapping[str, dict[str, Any]], taken: Mapping[str, Received]) -> None:
        why = (await self.tocsin.client.get(f"/v1/events/{event.uid}/why")).ok()
        assert why["summary"]
        mine = {id_: row for id_, row in rows.items() if row["event_id"] == event.id}
        shown = {told["id"]: told for told in why["deliveries"]}
        assert len(shown) == len(why["deliveries"])
        for told in shown.values():
            row = rows[told["id"]]
            assert (told["status"], told["webhook_id"]) == (row["status"], row["webhook_id"])
            head = rows.get(told["told_in"], row)
            if head["status"] != "delivered":
                assert head["id"] not in taken or head["id"] in self.doubtful, told
            elif head is row and row["status"] == "suppressed":
                assert row["id"] not in taken, told
            elif head["provider_type"] == "webhook":
                assert event.id in ids(taken[head["id"]]) or counted(taken[head["id"]]) > MOST_LISTED, told
        assert set(shown) == {id_ for id_, row in mine.items()}, event
        led_to: dict[str, set[str]] = defaultdict(set)  # by rule; one that opened an alarm may close it besides
        for decision in why["decisions"]:
            assert decision["verdict"] == "matched" or decision["reason"], decision
            led_to[decision["rule_id"]] |= set(decision["webhooks"])
        reached: dict[str, set[str]] = defaultdict(set)
        for told in shown.values():
            reached[told["rule_id"]].add(told["webhook_id"])
        assert reached == {rule_id: webhooks for rule_id, webhooks in led_to.items() if webhooks}

    async def _events(self) -> list[Event]:
        """All, in the order in which they came in."""
        db, before = self.tocsin.app.db, LAST
        found: list[Event] = []
        while page := await log.list_events(db, "default", before=before, limit=500, filters={}):
            found += page
            before = page[-1].uid
        return found[::-1]

    async def _runs(self) -> list[Run]:
        return await log.list_runs(self.tocsin.app.db, "default", before=LAST, limit=1000, filters={})

    async def _check_runs(self) -> None:
        runs = await self._runs()
        known = {(run.pipeline, run.run_id, run.attempt): run for run in runs}
        assert {key: bare(run) for key, run in known.items()} == folded(await self._events())
        open_ = {run.id for run in runs if not run.is_over}
        for _, timer in await noise.due_timers(self.tocsin.app.db, 2**60, 1000):
            assert timer.due_ms > self.clock.now_ms, timer
            assert "run" not in timer.data or timer.data["run"] in open_, timer


def folded(known: list[Event]) -> dict[tuple[str, str, int], Run]:
    """The runs that these events make, by the pure function alone."""
    runs: dict[tuple[str, str, int], Run] = {}
    newest: dict[tuple[str, str], int] = {}
    for event in known:
        if not run_state.concerns_run(event):
            continue
        its = (event.pipeline, event.run_id)
        attempt = run_state.attempt_named(event.kind, event.data) or newest.get(its, 1)
        newest[its] = max(attempt, newest.get(its, attempt))
        run = runs.get((*its, attempt)) or Run(
            id="", tenant_id="default", pipeline=its[0], run_id=its[1], attempt=attempt
        )
        runs[*its, attempt] = run_state.after(run, event)
    return {key: bare(run) for key, run in runs.items()}


def bare(run: Run) -> Run:
    """Without what Tocsin adds of its own: its id, and what the clock found out."""
    return replace(run, id="", about=replace(run.about, due_ms=0, told=()))


def ids(message: Received) -> list[str]:
    """The events that a message of a custom webhook tells of."""
    found = message.json
    return list(found["data"]["folded"]) if found["type"] == FOLDED else [found["id"]]


def counted(message: Received) -> int:
    return int(message.json["data"].get("count", 1))


def ms(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp() * 1000)


def play(environment: Mapping[str, str], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        lambda: Whole(environment),  # type: ignore[arg-type]
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_whatever_happens(tmp_path: Path) -> None:
    play({"TOCSIN_DATABASE_URL": ""}, 10, 30)


def test_whatever_happens_on_postgres(postgres_dsn: str) -> None:
    play({"TOCSIN_DATABASE_URL": postgres_dsn}, 4, 25)


@pytest.mark.proof
@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_whatever_happens_for_long(dialect: str, request: pytest.FixtureRequest) -> None:
    dsn = "" if dialect == "sqlite" else request.getfixturevalue("postgres_dsn")
    play({"TOCSIN_DATABASE_URL": dsn}, 200, 50)
