"""Intake: events become durable together with everything they lead to.

Requests that arrive together share one transaction and one fsync. What a 202 says is true when it is said: event, run,
trace and deliveries are committed.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import structlog
from msgspec.structs import replace

from tocsin.compose.message import compose
from tocsin.model.delivery import Claimed, Delivery
from tocsin.model.errors import Busy, Conflict, Refusal
from tocsin.model.event import Event
from tocsin.model.ids import NewId
from tocsin.model.message import Message
from tocsin.model.rule import Rule
from tocsin.model.run import Run
from tocsin.provider_kit.provider import Provider, Tuning
from tocsin.provider_kit.text import shared_key
from tocsin.providers import PROVIDERS
from tocsin.rules import run_state
from tocsin.rules.incident import incident
from tocsin.rules.index import RuleIndex, rule_of_endpoint
from tocsin.rules.pacing import Rate, next_us, taken
from tocsin.rules.plan import Channel, Decision, Plan, Planned, plan, plan_test
from tocsin.sources.draft import Draft
from tocsin.store import intake as store
from tocsin.store.database import Database, Row, StoreBroken, StoreUnavailable, Transaction
from tocsin.store.intake import AlarmKey, RunKey

GROUP_EVENTS = 512
"""Events that share a transaction at the most: enough to make the fsync cheap, few enough to answer soon."""

WRITERS = 3
MOST_WAITING = 20_000
MOST_WAITING_BYTES = 64 * 1024 * 1024
KEY_KEPT_MS = 24 * 3600 * 1000
log = structlog.get_logger()


class HandOver(Protocol):
    """Where a delivery goes that this process will send itself, without a claim."""

    def new_lease(self) -> str: ...

    def doubt(self, lease: str) -> None: ...

    def reserve(self, endpoint_id: str, tenant_id: str) -> bool: ...

    def cancel(self, endpoint_id: str, tenant_id: str) -> None: ...

    def give(self, claimed: Sequence[Claimed]) -> None: ...

    def wake(self) -> None: ...


class Nowhere:
    """No worker in this process: every delivery waits in the store for one."""

    def new_lease(self) -> str:
        return ""

    def doubt(self, lease: str) -> None: ...

    def reserve(self, endpoint_id: str, tenant_id: str) -> bool:
        return False

    def cancel(self, endpoint_id: str, tenant_id: str) -> None: ...

    def give(self, claimed: Sequence[Claimed]) -> None: ...

    def wake(self) -> None: ...


class Receipt(msgspec.Struct, frozen=True):
    """What the sender of an event is told: its id, and whether it was known already."""

    id: str
    duplicate: bool


class Submission(msgspec.Struct):
    """One request's events, waiting for their transaction."""

    tenant_id: str
    drafts: Sequence[Draft]
    size: int
    done: "asyncio.Future[list[Receipt]]"
    key: str = ""
    body_hash: bytes = b""
    only_endpoint: str = ""


class TenantConfig(msgspec.Struct, frozen=True):
    """A tenant's rules and endpoints, compiled. `closers` are the endpoints at which a recovery closes an alarm."""

    version: int
    index: RuleIndex
    channels: Mapping[str, Channel]
    outlets: Mapping[str, tuple[Provider, Any, bool]]
    closers: frozenset[str]


class Trace(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was decided for an event, when it was decided."""

    at_ms: int
    decisions: tuple[Decision, ...] = ()
    omitted: int = 0
    rules: int = 0


class Intake:
    """`clock_ms` and `new_id` are app.py's; `alone` says that no other process writes to this store."""

    def __init__(
        self,
        db: Database,
        clock_ms: Callable[[], int],
        new_id: NewId,
        tuning: Mapping[str, Tuning],
        *,
        hand_over: HandOver,
        lease_ms: int,
    ) -> None:
        self.db = db
        self.clock_ms = clock_ms
        self.new_id = new_id
        self.tuning = tuning
        self.hand_over = hand_over
        self.lease_ms = lease_ms
        self.alone = db.dialect == "sqlite"
        self.configs: dict[str, TenantConfig] = {}
        self.waiting: deque[Submission] = deque()
        self.waiting_events = 0
        self.waiting_bytes = 0
        self.wake = asyncio.Event()
        self.counts = {"accepted": 0, "duplicate": 0, "refused": 0}
        self.groups = 0

    async def accept(
        self,
        tenant_id: str,
        drafts: Sequence[Draft],
        *,
        size: int = 0,
        key: str = "",
        body: bytes = b"",
        only_endpoint: str = "",
    ) -> list[Receipt]:
        """Returns once the events are durable. Raises Busy where too much waits, Conflict for a reused key.

        `only_endpoint` sends to that endpoint alone, switched on or not, past all rules: a test message.
        """
        if self.waiting_events + len(drafts) > MOST_WAITING or self.waiting_bytes + size > MOST_WAITING_BYTES:
            self.counts["refused"] += len(drafts)
            raise Busy("Tocsin takes in more than it can write just now.", retry_after_s=1)
        done: asyncio.Future[list[Receipt]] = asyncio.get_running_loop().create_future()
        body_hash = hashlib.sha256(body).digest() if key else b""
        self.waiting.append(Submission(tenant_id, drafts, size, done, key, body_hash, only_endpoint))
        self.waiting_events += len(drafts)
        self.waiting_bytes += size
        self.wake.set()
        return await done

    async def run(self) -> None:
        """Writes what waits, group by group, until cancelled.

        SQLite has one writer. Across a wire another group is on its way while the first waits for its answers.
        """
        await asyncio.gather(*(self._write_groups() for _ in range(1 if self.alone else WRITERS)))

    async def _write_groups(self) -> None:
        while True:
            await self.wake.wait()
            self.wake.clear()
            while self.waiting:
                await asyncio.sleep(0)  # what has arrived at the sockets already comes along: it costs nobody any time
                await asyncio.sleep(0)
                if group := self._group():
                    await self.write(group)

    def _group(self) -> list[Submission]:
        group: list[Submission] = []
        keys: set[tuple[str, str]] = set()
        count = 0
        while self.waiting and (not group or count + len(self.waiting[0].drafts) <= GROUP_EVENTS):
            key = (self.waiting[0].tenant_id, self.waiting[0].key)
            if key[1] and key in keys:
                break  # the second of two with one idempotency key must see what the first was answered
            keys.add(key)
            submission = self.waiting.popleft()
            self.waiting_events -= len(submission.drafts)
            self.waiting_bytes -= submission.size
            count += len(submission.drafts)
            if not submission.done.done():
                group.append(submission)
        return group

    async def write(self, group: list[Submission]) -> None:
        """One transaction for all; where it fails for a reason of its own, each alone, so that one cannot spoil it."""
        try:
            await self._write_once_uncontended(group)
        except (StoreUnavailable, StoreBroken) as error:
            log.warning("intake.unavailable", reason=str(error), events=sum(len(s.drafts) for s in group))
            for submission in group:
                fail(submission, Busy(f"The store does not take anything at present: {error}", retry_after_s=2))
            if isinstance(error, StoreBroken):
                raise
        except Exception as error:
            if len(group) == 1:
                if not isinstance(error, Refusal):
                    log.exception("intake.failed")
                fail(group[0], error)
            else:
                for submission in group:
                    await self.write([submission])

    async def _write_once_uncontended(self, group: list[Submission]) -> None:
        for _ in range(5):
            try:
                await self._write(group)
            except store.Contended:
                continue
            return
        raise StoreUnavailable("other processes keep writing the same events")

    async def _write(self, group: list[Submission]) -> None:
        self.groups += 1
        batch = Batch(self, self.clock_ms())
        try:
            async with self.db.transaction() as tx:
                answers = await batch.store(tx, group)
        except BaseException as error:
            for claimed in batch.handed:
                self.hand_over.cancel(claimed.delivery.endpoint_id, claimed.delivery.tenant_id)
            if batch.handed and isinstance(error, StoreUnavailable):
                self.hand_over.doubt(batch.lease)
            raise
        if batch.handed:
            self.hand_over.give(batch.handed)
        if batch.due:
            self.hand_over.wake()
        for submission, answer in zip(group, answers, strict=True):
            if isinstance(answer, Refusal):
                fail(submission, answer)
                continue
            duplicates = sum(receipt.duplicate for receipt in answer)
            self.counts["duplicate"] += duplicates
            self.counts["accepted"] += len(answer) - duplicates
            if not submission.done.done():
                submission.done.set_result(answer)

    async def config(self, tx: Transaction, tenant_id: str) -> TenantConfig:
        """Compiled anew when somebody changed it: what is committed before an event counts for that event."""
        version = await store.config_version(tx, tenant_id)
        known = self.configs.get(tenant_id)
        if known is None or known.version != version:
            endpoints, rules = await store.config(tx, tenant_id)
            known = self.configs[tenant_id] = compiled(version, tenant_id, endpoints, rules, self.tuning)
        return known


def fail(submission: Submission, error: Exception) -> None:
    if not submission.done.done():
        submission.done.set_exception(error)


def compiled(
    version: int, tenant_id: str, endpoints: Sequence[Row], rules: Sequence[Rule], tuning: Mapping[str, Tuning]
) -> TenantConfig:
    channels: dict[str, Channel] = {}
    outlets: dict[str, tuple[Provider, Any, bool]] = {}
    short: list[Rule] = []
    for id_, _user_id, provider_type, name, enabled_events, settings, is_active, disabled_reason, version_ in endpoints:
        provider = PROVIDERS.get(provider_type)
        if provider is None:
            continue
        tuned = tuning[provider_type]
        unfit = ""
        try:
            fitting = msgspec.json.decode(settings, type=provider.settings_type)
            outlets[id_] = (provider, fitting, provider.headline_does(fitting))
        except msgspec.ValidationError as error:  # written by something other than this program
            unfit = f"its settings do not fit: {error}"
        channels[id_] = Channel(
            id_,
            provider_type,
            version_,
            provider.max_age_s,
            suppressed=tuned.off or unfit or ("" if is_active else "the webhook is switched off"),
            waits=disabled_reason,
            paced=tuned.rate_per_s is not None,
        )
        types = msgspec.json.decode(enabled_events, type=tuple[str, ...])
        if types:
            short.append(rule_of_endpoint(tenant_id, id_, name, types))
    closers = frozenset(id_ for id_, (provider, *_) in outlets.items() if provider.resolve is not None)
    return TenantConfig(version, RuleIndex([*rules, *short]), channels, outlets, closers)


class Batch:
    """One transaction's work: the events of a group, with what follows from them."""

    def __init__(self, intake: Intake, now_ms: int) -> None:
        self.intake = intake
        self.now_ms = now_ms
        self.lease = intake.hand_over.new_lease()
        self.events: list[tuple[Event, str]] = []
        self.deliveries: list[tuple[Delivery, str, str | None, int | None]] = []
        self.handed: list[Claimed] = []
        self.due: dict[str, int] = {}
        self.known: dict[store.EventKey, str] = {}
        self.runs: dict[RunKey, Run] = {}
        self.new_runs: set[RunKey] = set()
        self.changed_runs: set[RunKey] = set()
        self.buckets: dict[tuple[str, str], int] = {}
        self.alarms: dict[AlarmKey, str] = {}
        self.opened: dict[AlarmKey, str] = {}
        self.closed: set[AlarmKey] = set()

    async def store(self, tx: Transaction, group: Sequence[Submission]) -> list[list[Receipt] | Refusal]:
        """Reads what the decisions need, decides, writes. Returns each submission's answer."""
        settled = [await self._answered(tx, submission) for submission in group]
        open_ = [s for s, answer in zip(group, settled, strict=True) if answer is None]
        configs = {tenant_id: await self.intake.config(tx, tenant_id) for tenant_id in {s.tenant_id for s in open_}}
        await self._read(tx, open_, configs)
        answers: list[list[Receipt] | Refusal] = []
        for submission, answer in zip(group, settled, strict=True):
            if answer is None:
                config = configs[submission.tenant_id]
                receipts = [self._take(submission, draft, config) for draft in submission.drafts]
                if submission.key:
                    await self._remember(tx, submission, receipts)
                answer = receipts
            answers.append(answer)
        await self._write(tx)
        return answers

    async def _answered(self, tx: Transaction, submission: Submission) -> list[Receipt] | Refusal | None:
        """What this idempotency key was answered before, if it was."""
        if not submission.key:
            return None
        since_ms = self.now_ms - KEY_KEPT_MS
        known = await store.known_answer(tx, submission.tenant_id, submission.key, since_ms)
        if known is None:
            return None
        if known[0] != submission.body_hash:
            return Conflict("This Idempotency-Key came before with another body; use a new key for new events.")
        return [Receipt(r.id, True) for r in msgspec.json.decode(known[1], type=list[Receipt])]

    async def _remember(self, tx: Transaction, submission: Submission, receipts: list[Receipt]) -> None:
        since_ms = self.now_ms - KEY_KEPT_MS
        answer = msgspec.json.encode(receipts).decode()
        await store.save_answer(
            tx, submission.tenant_id, submission.key, submission.body_hash, answer, self.now_ms, since_ms
        )

    async def _read(self, tx: Transaction, group: Sequence[Submission], configs: Mapping[str, TenantConfig]) -> None:
        ids: dict[store.EventKey, None] = {}
        keys: set[RunKey] = set()
        for submission in group:
            for draft in submission.drafts:
                if draft.id:
                    ids[submission.tenant_id, draft.id, draft.source] = None
                if draft.run_id:
                    keys.add((submission.tenant_id, draft.pipeline, draft.run_id, 1))
        if ids:
            self.known = await store.known_events(tx, list(ids))
        if keys:
            self.runs = await store.runs(tx, keys)
        watched = {(s.tenant_id, key) for s in group if configs[s.tenant_id].closers for key in alarm_keys(s)}
        if watched:
            self.alarms = await store.open_alarms(tx, watched)
        limited = {(rule.rule.tenant_id, rule.rule.id) for config in configs.values() for rule in config.index.limited}
        if limited:
            self.buckets = await store.rule_buckets(tx, limited)

    def _take(self, submission: Submission, draft: Draft, config: TenantConfig) -> Receipt:
        tenant_id = submission.tenant_id
        uid = self.intake.new_id("evt")
        if draft.id:
            key = (tenant_id, draft.id, draft.source)
            if key in self.known:
                return Receipt(draft.id, True)
            self.known[key] = uid
        event = as_event(draft, uid, tenant_id, self.now_ms)
        run = self._run(event)
        if submission.only_endpoint:
            planned = plan_test(tenant_id, submission.only_endpoint, config.channels)
        else:
            planned = plan(event, run, config.index.candidates(event), config.channels)
            if config.closers:
                planned = self._alarm(event, planned, config)
        messages: dict[bool, Message] = {}
        for send in planned.sends:
            body = None
            outlet = config.outlets.get(send.channel.endpoint_id)
            if outlet is not None and outlet[0].fix_body is not None:
                _, settings, only_headline = outlet
                if only_headline not in messages:
                    messages[only_headline] = compose(event, run, only_headline=only_headline)
                body = outlet[0].fix_body(messages[only_headline], settings)
            self._deliver(event, run, send, body)
        self.events.append((event, trace_of(planned, config, self.now_ms)))
        return Receipt(event.id, False)

    def _alarm(self, event: Event, planned: Plan, config: TenantConfig) -> Plan:
        """Endpoints that open and close alarms are sent what opens one, what closes those that are open; no more."""
        meaning, name = incident(event)
        key = alarm_key(event.tenant_id, name) if meaning else ""
        sends = []
        for send in planned.sends:
            channel = send.channel
            if channel.endpoint_id in config.closers and not channel.suppressed:
                alarm = (event.tenant_id, channel.endpoint_id, key)
                if meaning == "opens":
                    self.opened[alarm] = self.alarms[alarm] = send.rule.id
                    self.closed.discard(alarm)
                elif meaning != "closes" or alarm not in self.alarms:
                    said = "there is no alarm to close" if meaning else "alarms are opened and closed here, no more"
                    send = replace(send, channel=replace(channel, suppressed=said))
            sends.append(send)
        if meaning != "closes":
            return replace(planned, sends=tuple(sends))
        reached = {send.channel.endpoint_id for send in sends}
        decisions = list(planned.decisions)
        for alarm in [alarm for alarm in self.alarms if alarm[0] == event.tenant_id and alarm[2] == key]:
            endpoint_id, rule_id = alarm[1], self.alarms.pop(alarm)
            self.opened.pop(alarm, None)
            self.closed.add(alarm)
            channel_ = config.channels.get(endpoint_id)
            if endpoint_id not in reached and channel_ is not None:
                rule = Rule(id=rule_id, tenant_id=event.tenant_id, name="closes the alarm")
                sends.append(Planned(channel_, rule))
                decisions.append(Decision(rule_id, rule.name, "matched", "it opened an alarm there", (endpoint_id,)))
        return Plan(tuple(sends), tuple(decisions), planned.omitted)

    def _run(self, event: Event) -> Run | None:
        if not event.run_id:
            return None
        key = (event.tenant_id, event.pipeline, event.run_id, 1)
        run = self.runs.get(key)
        if not run_state.concerns_run(event):
            return run
        if run is None:
            self.new_runs.add(key)
            run = Run(
                id=self.intake.new_id("run"), tenant_id=event.tenant_id, pipeline=event.pipeline, run_id=event.run_id
            )
        elif key not in self.new_runs:
            self.changed_runs.add(key)
        self.runs[key] = run = run_state.after(run, event)
        return run

    def _deliver(self, event: Event, run: Run | None, send: Planned, body: bytes | None) -> None:
        channel, rule = send.channel, send.rule
        due_ms = self._due(rule)
        at_once = (
            not (channel.suppressed or channel.waits or channel.paced)
            and due_ms <= self.now_ms
            and self.intake.hand_over.reserve(channel.endpoint_id, event.tenant_id)
        )
        delivery = Delivery(
            id=self.intake.new_id("dlv"),
            tenant_id=event.tenant_id,
            event_uid=event.uid,
            endpoint_id=channel.endpoint_id,
            rule_id=rule.id,
            provider_type=channel.provider_type,
            event_type=event.type,
            status="suppressed" if channel.suppressed else "sending" if at_once else "pending",
            reason=channel.suppressed or (f"the webhook was switched off: {channel.waits}" if channel.waits else ""),
            due_ms=due_ms,
            expires_ms=self.now_ms + channel.max_age_s * 1000,
            created_ms=self.now_ms,
            body=body,
        )
        policy = "" if rule.retry == NO_POLICY else msgspec.json.encode(rule.retry).decode()
        if at_once:
            lease, until_ms = self.lease, self.now_ms + self.intake.lease_ms
            self.deliveries.append((delivery, policy, lease, until_ms))
            self.handed.append(
                Claimed(
                    delivery=delivery,
                    lease=lease,
                    lease_until_ms=until_ms,
                    version=channel.version,
                    policy=rule.retry,
                    event=event if body is None else None,
                    run=run if body is None else None,
                )
            )
            return
        self.deliveries.append((delivery, policy, None, None))
        if not channel.suppressed and not channel.waits:
            self.due[channel.endpoint_id] = min(delivery.due_ms, self.due.get(channel.endpoint_id, delivery.due_ms))

    def _due(self, rule: Rule) -> int:
        """Now, or when the rule's rate limit lets the next one go."""
        if rule.rate_limit is None:
            return self.now_ms
        rate = Rate(rule.rate_limit.count, rule.rate_limit.per_s)
        key = (rule.tenant_id, rule.id)
        bucket_us, now_us = self.buckets.get(key, 0), self.now_ms * 1000
        self.buckets[key] = taken(rate, bucket_us, now_us, 1)
        return -(-next_us(rate, bucket_us, now_us) // 1000)

    async def _write(self, tx: Transaction) -> None:
        await store.save(
            tx,
            self.events,
            [self.runs[key] for key in sorted(self.new_runs)],
            [self.runs[key] for key in sorted(self.changed_runs)],
            self.deliveries,
            self.buckets,
            alone=self.intake.alone,
        )
        await store.put_alarms(tx, self.opened, self.closed, self.now_ms)
        await store.wake(tx, self.due)


def alarm_key(tenant_id: str, name: str) -> str:
    return shared_key("incident", tenant_id, name)


def alarm_keys(submission: Submission) -> list[str]:
    """The names of the trouble that a request's events open or close."""
    found = (incident(as_event(draft, "", submission.tenant_id, 0)) for draft in submission.drafts)
    return [alarm_key(submission.tenant_id, name) for meaning, name in found if meaning]


NO_POLICY = Rule(id="", tenant_id="", name="").retry


def as_event(draft: Draft, uid: str, tenant_id: str, now_ms: int) -> Event:
    return Event(
        uid=uid,
        tenant_id=tenant_id,
        id=draft.id or uid,
        source=draft.source,
        type=draft.type,
        kind=draft.kind,
        time_ms=now_ms if draft.time_ms is None else draft.time_ms,
        received_ms=now_ms,
        severity=draft.severity,
        pipeline=draft.pipeline,
        run_id=draft.run_id,
        stage=draft.stage,
        title=draft.title,
        message=draft.message,
        labels=draft.labels,
        data=draft.data,
        links=draft.links,
        actions=draft.actions,
    )


def trace_of(planned: Plan, config: TenantConfig, now_ms: int) -> str:
    return msgspec.json.encode(Trace(now_ms, planned.decisions, planned.omitted, config.index.size)).decode()
