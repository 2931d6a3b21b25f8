"""One transaction's work: the events of a group become durable with everything they lead to."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Protocol

import msgspec
from msgspec.structs import replace

from tocsin.compose.message import compose
from tocsin.compose.templated import apply
from tocsin.model.delivery import Claimed, Delivery, Words
from tocsin.model.errors import Conflict, Refusal
from tocsin.model.event import Event
from tocsin.model.ids import NewId
from tocsin.model.message import Message
from tocsin.model.rule import Rule
from tocsin.model.run import ENDED, RUN_STATUS, Run
from tocsin.model.world import FoldKey, Silence, StateKey, World
from tocsin.provider_kit.settings_form import adjusted
from tocsin.rules import run_state
from tocsin.rules.alarms import Alarms, alarm_key
from tocsin.rules.decide import decide
from tocsin.rules.hours import utc
from tocsin.rules.incident import incident
from tocsin.rules.index import CompiledRule, compile_rule
from tocsin.rules.own import owner_of
from tocsin.rules.pacing import Rate, next_us, taken
from tocsin.rules.plan import Decision, Moment, Plan, Planned, needs, plan_given, plan_test
from tocsin.rules.run_state import attempt_named
from tocsin.rules.watching import owed
from tocsin.sources.draft import Draft
from tocsin.stages.intake.config import Outlet, TenantConfig
from tocsin.stages.intake.submission import HandOver, Receipt, Submission
from tocsin.store import intake as store
from tocsin.store import noise
from tocsin.store.database import Transaction
from tocsin.store.intake import RunKey

KEY_KEPT_MS = 24 * 3600 * 1000


class Trace(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was decided for an event, when it was decided. `off`: why nothing was, for the whole tenant."""

    at_ms: int
    decisions: tuple[Decision, ...] = ()
    omitted: int = 0
    rules: int = 0
    off: str = ""


class Surroundings(Protocol):
    """What a batch takes from intake."""

    new_id: NewId
    hand_over: HandOver
    lease_ms: int
    alone: bool
    fired: dict[tuple[str, str], int]

    async def config(self, tx: Transaction, tenant_id: str) -> TenantConfig: ...


class Batch:
    """One transaction's work: the events of a group, with what follows from them."""

    def __init__(self, intake: Surroundings, now_ms: int, writer: str) -> None:
        self.intake = intake
        self.writer = writer
        self.now_ms = now_ms
        self.worlds: dict[str, World] = {}
        self.lease = intake.hand_over.new_lease()
        self.events: list[tuple[Event, str]] = []
        self.deliveries: list[tuple[Delivery, str, str | None, int | None]] = []
        self.handed: list[Claimed] = []
        self.suppressed: list[str] = []
        self.unplanned = 0
        self.due: dict[str, int] = {}
        self.known: dict[store.EventKey, str] = {}
        self.runs: dict[RunKey, Run] = {}
        self.newest: dict[tuple[str, str, str], int] = {}
        self.new_runs: set[RunKey] = set()
        self.changed_runs: set[RunKey] = set()
        self.buckets: dict[tuple[str, str], int] = {}
        self.alarms = Alarms()
        self.found: set[tuple[str, str]] = set()
        self.asked: dict[str, Sequence[CompiledRule]] = {}
        self.attempts: dict[str, int] = {}
        self.fired: set[tuple[str, str]] = set()

    async def store(self, tx: Transaction, group: Sequence[Submission]) -> list[list[Receipt] | Refusal]:
        """Reads what the decisions need, decides, writes. Returns each submission's answer."""
        settled = [await self._answered(tx, submission) for submission in group]
        open_ = [s for s, answer in zip(group, settled, strict=True) if answer is None]
        configs = {tenant_id: await self.intake.config(tx, tenant_id) for tenant_id in {s.tenant_id for s in open_}}
        events = iter(await self._read(tx, open_, configs))
        answers: list[list[Receipt] | Refusal] = []
        for submission, answer in zip(group, settled, strict=True):
            if answer is None:
                config = configs[submission.tenant_id]
                receipts = [self._take(submission, event, config) for event in next(events)]
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

    async def _read(
        self, tx: Transaction, group: Sequence[Submission], configs: Mapping[str, TenantConfig]
    ) -> list[list[Event]]:
        """Each submission's events."""
        noisy = sorted({s.tenant_id for s in group if configs[s.tenant_id].is_noisy})
        for tenant_id in noisy:
            await noise.lock(tx, tenant_id)
        new_id, now_ms = self.intake.new_id, self.now_ms
        found = [[as_event(draft, new_id("evt"), s.tenant_id, now_ms) for draft in s.drafts] for s in group]
        ids: dict[store.EventKey, None] = {}
        keys: set[RunKey] = set()
        for event in chain(*found):
            if event.id != event.uid:
                ids[event.tenant_id, event.id, event.source] = None
            if event.run_id:
                attempt = self.attempts[event.uid] = attempt_named(event.kind, event.data)
                keys.add((event.tenant_id, event.pipeline, event.run_id, attempt))
        if ids:
            self.known = await store.known_events(tx, list(ids))
        if keys:
            self.runs = await store.runs(tx, keys)
            for key in sorted(self.runs):
                self.newest[key[:3]] = key[3]
        for tenant_id in noisy:
            mine = [
                (submission, event)
                for submission, events in zip(group, found, strict=True)
                if submission.tenant_id == tenant_id
                for event in events
            ]
            self.worlds[tenant_id] = await self._world(tx, tenant_id, configs[tenant_id], mine)
        watched = alarm_keys(event for event in chain(*found) if configs[event.tenant_id].closers)
        watched |= self.found
        if watched:
            self.alarms = Alarms(await store.open_alarms(tx, watched))
        limited = {(rule.rule.tenant_id, rule.rule.id) for config in configs.values() for rule in config.index.limited}
        if limited:
            self.buckets = await store.rule_buckets(tx, limited)
        return found

    def _take(self, submission: Submission, event: Event, config: TenantConfig) -> Receipt:
        tenant_id = event.tenant_id
        if event.id != event.uid:
            key = (tenant_id, event.id, event.source)
            if key in self.known:
                return Receipt(event.id, True)
            self.known[key] = event.uid
        before, run = self._run(event)
        if submission.given is not None:
            planned = plan_given(event, submission.only_endpoint, config.channels, self.intake.new_id("dlv"))
        elif submission.only_endpoint:
            planned = plan_test(tenant_id, submission.only_endpoint, config.channels, self.intake.new_id("dlv"))
        else:
            world = self.worlds.get(tenant_id, NO_WORLD)
            moment = Moment(event, run, before, self.now_ms)
            candidates = self.asked.get(event.uid)
            if candidates is None:
                candidates = candidates_of(submission, event, config)
            if config.off:
                self.unplanned += 1
            elif config.watches.size and run is not None and run.is_over and submission.only_rule is None:
                candidates = [*candidates, *owed(config.watches, candidates, event, before)]
            if config.silences and not config.off:
                world.silences = near(config, event, candidates)
            alarms = self.alarms if config.closers and not config.off else None
            planned, found = decide(config, moment, candidates, world, alarms, self._delivery_id)
            if found is not None and found is not run:
                self._keep(found)
        messages: dict[bool, Message] = {}
        for send in planned.sends:
            body = None
            outlet = config.outlets.get(send.channel.endpoint_id)
            if submission.given is not None:
                body = submission.given
            elif outlet is not None and outlet.provider.fix_body is not None:
                if send.words != NO_WORDS or outlet.templates is not None:
                    message, send = worded(event, run, send, outlet)
                elif (known := messages.get(outlet.only_headline)) is not None:
                    message = known
                else:
                    message = messages[outlet.only_headline] = compose(event, run, only_headline=outlet.only_headline)
                body = outlet.provider.fix_body(message, adjusted(outlet.settings, send.words.settings))
            if submission.trace:
                send = replace(send, words=replace(send.words, trace=submission.trace))
            self._deliver(event, run, send, body)
        self.events.append((event, trace_of(planned, config, self.now_ms)))
        return Receipt(event.id, False)

    def _keep(self, run: Run) -> None:
        """The run as it is to be written."""
        key = (run.tenant_id, run.pipeline, run.run_id, run.attempt)
        self.runs[key] = run
        if key not in self.new_runs:
            self.changed_runs.add(key)

    def _delivery_id(self) -> str:
        return self.intake.new_id("dlv")

    async def _world(
        self, tx: Transaction, tenant_id: str, config: TenantConfig, events: Sequence[tuple[Submission, Event]]
    ) -> World:
        """What the decisions about these events need to know; nobody else decides for this tenant meanwhile."""
        states: set[StateKey] = set()
        folds: set[FoldKey] = set()
        pipelines: set[str] = set()
        owing = self._owing(config, [event for _, event in events])
        for submission, event in events:
            candidates = self.asked[event.uid] = candidates_of(submission, event, config)
            is_end = RUN_STATUS.get(event.kind) in ENDED
            if is_end and owing:
                candidates = [*candidates, *owing]
            more_states, more_folds = needs(event, candidates, config.channels, self.now_ms)
            states |= more_states
            folds |= more_folds
            if config.compared is not None and not is_end and config.compared(event.pipeline):
                pipelines.add(event.pipeline)
        if config.closers:
            self.found |= {(tenant_id, alarm_key(tenant_id, f"rule:{rule_id}:{key}")) for rule_id, key in states}
        return await noise.load(tx, tenant_id, states, folds, pipelines)

    def _owing(self, config: TenantConfig, events: Iterable[Event]) -> list[CompiledRule]:
        """The rules that told, or may tell now, that one of these events' runs takes too long, and owe people its
        end."""
        if not config.watches.size:
            return []
        told = {rule_id for run in self.runs.values() for rule_id in run.about.told} | {owner_of(one) for one in events}
        return [config.watches.by_id[rule_id] for rule_id in sorted(told) if rule_id in config.watches.by_id]

    def _run(self, event: Event) -> tuple[Run | None, Run | None]:
        """The event's run, as it was before and as it is with it."""
        if not event.run_id:
            return None, None
        its_run = (event.tenant_id, event.pipeline, event.run_id)
        attempt = self.attempts[event.uid] or self.newest.get(its_run, 1)
        key = (*its_run, attempt)
        run = before = self.runs.get(key)
        if not run_state.concerns_run(event):
            return before, run
        if run is None:
            self.new_runs.add(key)
            run = Run(
                id=self.intake.new_id("run"),
                tenant_id=event.tenant_id,
                pipeline=event.pipeline,
                run_id=event.run_id,
                attempt=attempt,
            )
        elif key not in self.new_runs:
            self.changed_runs.add(key)
        self.runs[key] = run = run_state.after(run, event)
        self.newest[its_run] = max(attempt, self.newest.get(its_run, attempt))
        return before, run

    def _newest(self, event: Event) -> Run | None:
        """The newest attempt of the event's run."""
        its_run = (event.tenant_id, event.pipeline, event.run_id)
        return self.runs.get((*its_run, self.newest.get(its_run, 1)))

    def _deliver(self, event: Event, run: Run | None, send: Planned, body: bytes | None) -> None:
        channel, rule = send.channel, send.rule
        if rule.id.startswith("rul_"):
            key = (event.tenant_id, rule.id)
            if abs(self.now_ms - self.intake.fired.get(key, 0)) >= FIRED_MS:
                self.fired.add(key)
        due_ms = self.now_ms if send.suppressed else max(self._due(rule), send.due_ms)
        at_once = (
            not (send.suppressed or channel.waits or channel.paced)
            and due_ms <= self.now_ms
            and self.intake.hand_over.reserve(channel.endpoint_id, event.tenant_id)
        )
        delivery = Delivery(
            id=send.delivery_id,
            tenant_id=event.tenant_id,
            event_uid=event.uid,
            endpoint_id=channel.endpoint_id,
            rule_id=rule.id,
            provider_type=channel.provider_type,
            event_type=event.type,
            status="suppressed" if send.suppressed else "sending" if at_once else "pending",
            reason=send.suppressed or waits_for(send),
            due_ms=due_ms,
            expires_ms=due_ms + channel.max_age_s * 1000,
            created_ms=self.now_ms,
            body=body,
            words=send.words,
            folded_into=send.folded_into,
        )
        policy = "" if rule.retry == NO_POLICY else msgspec.json.encode(rule.retry).decode()
        if send.suppressed:
            self.suppressed.append(send.suppressed)
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
                    newest=self._newest(event) if body is None else None,
                )
            )
            return
        self.deliveries.append((delivery, policy, None, None))
        if not send.suppressed and not channel.waits:
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
            fired=[(*key, self.now_ms) for key in self.fired],
            alone=self.intake.alone,
            writer=self.writer,
        )
        for tenant_id, world in sorted(self.worlds.items()):
            await noise.save(tx, tenant_id, world, self.now_ms)
        await store.put_alarms(tx, self.alarms.opened, self.alarms.closed, self.now_ms)
        await store.wake(tx, self.due)


def worded(event: Event, run: Run | None, send: Planned, outlet: Outlet) -> tuple[Message, Planned]:
    """The message in the words of the rule, of its templates or of the endpoint's; and why templates failed."""
    message = compose(event, run, words=send.words)
    templates = send.words.templates or outlet.templates
    if templates is None:
        return message, send
    message, failed = apply(message, templates, event, run)
    return message, replace(send, words=replace(send.words, failed=failed)) if failed else send


def candidates_of(submission: Submission, event: Event, config: TenantConfig) -> Sequence[CompiledRule]:
    """The rules that are asked; none where the alert engine is off, though the clock is set for runs all the same."""
    if config.off:
        return ()
    if submission.only_rule is not None:
        return (compile_rule(submission.only_rule),)
    return config.index.candidates(event)


def waits_for(send: Planned) -> str:
    """Why it is not sent at once, if there is a reason."""
    if send.channel.waits:
        return f"the webhook was switched off: {send.channel.waits}"
    return f"waits until {utc(send.due_ms)} for company ({send.words.fold})" if send.words.fold else ""


def near(config: TenantConfig, event: Event, candidates: Iterable[CompiledRule]) -> tuple[Silence, ...]:
    """The silences that could fit a message by these rules."""
    rules = [compiled.rule for compiled in candidates]
    channels = [config.channels.get(id_) for id_ in dict.fromkeys(chain(*(rule.endpoint_ids for rule in rules)))]
    endpoints = [(channel.endpoint_id, channel.name) for channel in channels if channel is not None]
    return config.silence_index.near(event, [(rule.id, rule.name) for rule in rules], endpoints)


def alarm_keys(events: Iterable[Event]) -> set[tuple[str, str]]:
    """The tenants and names of the trouble that events open or close."""
    found = ((event.tenant_id, *incident(event)) for event in events)
    return {(tenant_id, alarm_key(tenant_id, name)) for tenant_id, meaning, name in found if meaning}


FIRED_MS = 60_000
"""That a rule fired is noted to the minute."""

NO_WORLD = World()
"""For tenants whose rules know nothing of noise: nothing is ever put there."""

NO_WORDS = Words()
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
    trace = Trace(now_ms, planned.decisions, planned.omitted, config.index.size, "" if planned.sends else config.off)
    return msgspec.json.encode(trace).decode()
