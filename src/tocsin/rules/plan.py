"""What an event leads to: which deliveries, which are suppressed, and the trace that says why."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tocsin.model.delivery import Words
from tocsin.model.event import Event
from tocsin.model.noise import Digest, Flood, Hours, Noise
from tocsin.model.rule import FLOW_RULE, TEST_RULE, RetryPolicy, Rule
from tocsin.model.run import Run
from tocsin.model.world import Fold, FoldKey, StateKey, Timer, World
from tocsin.provider_kit.text import line
from tocsin.rules import fold as folding
from tocsin.rules import hours, telling
from tocsin.rules.condition import activation
from tocsin.rules.incident import CLOSES
from tocsin.rules.index import CompiledRule
from tocsin.rules.own import is_reminder, owner_of
from tocsin.rules.run_state import attempt_of
from tocsin.rules.silencing import silenced
from tocsin.rules.windows import name_of

MAX_TRACED = 100
"""Decisions kept per event; more are counted."""

NO_WORDS = Words()
CRITICAL = "critical"
"""This severity waits for nobody's digest, quiet hours or preferences."""


class Channel(Struct, frozen=True):
    """An endpoint as planning sees it.

    suppressed: why nothing is sent there at present, or "". off: why nobody's messages go through this provider, not
    even a test, or "". waits: why Tocsin switched it off, or "": deliveries wait
    for a person. live: it keeps one message per run. raw: a machine reads there: it gets what it asked for, told or
    not. alarms: it opens and closes alarms: nothing may hold those up. digest and quiet: when its owner wants to be
    told. flood: the tenant's limit for each endpoint.
    """

    endpoint_id: str
    provider_type: str
    version: int
    max_age_s: int
    suppressed: str = ""
    off: str = ""
    waits: str = ""
    paced: bool = False
    name: str = ""
    live: bool = False
    raw: bool = False
    alarms: bool = False
    digest: Digest | None = None
    quiet: tuple[Hours, ...] = ()
    flood: Flood | None = None


class Planned(Struct, frozen=True):
    """A delivery to be written. `suppressed`: it is not sent, for this reason. `due_ms` 0 is now. `folded_into`: the
    delivery that tells of this one too; `words` are what planning says to the message."""

    channel: Channel
    rule: Rule
    delivery_id: str = ""
    suppressed: str = ""
    due_ms: int = 0
    words: Words = Words()
    folded_into: str = ""


class Decision(Struct, frozen=True, omit_defaults=True):
    """What was decided about one rule. `verdict`: matched, not_matched, suppressed, or covered (another rule came
    first). `reason`: the first thing that did not fit, with its value; or why it was told, or was not."""

    rule_id: str
    rule: str
    verdict: str
    reason: str = ""
    endpoints: tuple[str, ...] = ()


class Plan(Struct, frozen=True):
    sends: tuple[Planned, ...]
    decisions: tuple[Decision, ...]
    omitted: int = 0


class Moment(Struct, frozen=True):
    """An event with what is known of its run: as it was before this event, and as it is with it."""

    event: Event
    run: Run | None
    before: Run | None
    now_ms: int


def plan(
    moment: Moment,
    candidates: Iterable[CompiledRule],
    channels: Mapping[str, Channel],
    world: World,
    new_id: Callable[[], str],
) -> Plan:
    """Decides. An endpoint gets an event once, through the first rule that leads to it. `new_id` names deliveries;
    `world` is changed in place."""
    return _Planning(moment, channels, world, new_id).all(candidates)


class _Planning:
    def __init__(
        self, moment: Moment, channels: Mapping[str, Channel], world: World, new_id: Callable[[], str]
    ) -> None:
        self.moment = moment
        self.event = moment.event
        self.channels = channels
        self.world = world
        self.new_id = new_id
        self.sends: dict[str, Planned] = {}
        self.decisions: list[Decision] = []
        self.omitted = 0
        self.facts: Any = None
        self.owner = owner_of(moment.event)
        self.again = is_reminder(moment.event)

    def all(self, candidates: Iterable[CompiledRule]) -> Plan:
        for compiled in candidates:
            decision = self.one(compiled)
            if len(self.decisions) < MAX_TRACED:
                self.decisions.append(decision)
            else:
                self.omitted += 1
        return Plan(tuple(self.sends.values()), tuple(self.decisions), self.omitted)

    def one(self, compiled: CompiledRule) -> Decision:
        rule, noise, event = compiled.rule, compiled.rule.noise, self.event
        again, is_stateful = self.again, noise.is_stateful
        if self.owner:
            if self.owner != rule.id and (noise.watch is not None or noise.schedule is not None):
                return Decision(rule.id, rule.name, "not_matched", "this is about what another rule watches")
            if overtaken(self.moment):
                return Decision(rule.id, rule.name, "suppressed", "the run has ended meanwhile")
        if compiled.condition is not None and not again:
            if self.facts is None:
                self.facts = activation(event, self.moment.run)
            said = compiled.condition.evaluate(self.facts)
            if not said.matched:
                return Decision(rule.id, rule.name, "not_matched", said.reason)
        if rule.off and event.severity != CRITICAL:  # no rule after this one tells those who said no here
            reached = self.reach(rule, rule.off)
            return Decision(
                rule.id, rule.name, "suppressed", rule.off, tuple(send.channel.endpoint_id for send in reached)
            )
        reason, is_final = provisional(compiled, self.moment)
        if reason and is_final:
            return self.decided(rule, self.reach(rule, "", reason, is_final=True), reason)
        muted = ""
        if noise.mute and (until_ms := max(hours.ends_ms(span, self.moment.now_ms) for span in noise.mute)):
            muted = f"the rule is muted at this hour, until {hours.utc(until_ms)}"
            if again:
                self.look_again(rule, state_key(noise, event), until_ms)
                return self.decided(rule, self.reach(rule, muted), muted, "suppressed")
        verdict = telling.TELL
        key: StateKey = (rule.id, "")
        if is_stateful or again:
            key = (rule.id, state_key(noise, event))
            was = self.world.state(key)
            if again:
                state, verdict = telling.again(noise, was, about(event), self.moment.now_ms)
            else:
                state, verdict = telling.after(noise, was, event, self.moment.run, self.moment.now_ms)
            self.world.put_state(key, state)
            if verdict.again_ms:
                self.look_again(rule, key[1], verdict.again_ms)
            elif was.firing or was.flapping:
                self.world.drop_timer(f"again:{rule.id}:{key[1]}")
            if verdict.act == "quiet":
                return Decision(rule.id, rule.name, "suppressed", verdict.reason)
        words = NO_WORDS
        if is_stateful or again or noise.templates is not None or rule.settings:
            words = Words(
                title=verdict.title,
                note=verdict.note,
                templates=noise.templates,
                settings=rule.settings,
                kind=found_kind(event, verdict) if is_stateful else "",
                alarm=f"rule:{rule.id}:{key[1]}" if noise.window is not None else "",
            )
        reached = self.reach(rule, muted, reason, words)
        if is_stateful and reached and all(send.suppressed and not send.folded_into for send in reached):
            self.world.put_state(key, telling.undone(self.world.state(key)))
        hidden = next((send.suppressed for send in reached if send.suppressed), "")
        return self.decided(rule, reached, verdict.reason or hidden)

    def look_again(self, rule: Rule, key: str, due_ms: int) -> None:
        """Has the rule look at its trouble at that time, though nothing happens."""
        event = self.event
        data = {
            "rule": rule.name,
            "key": key,
            "name": about(event),
            "pipeline": event.pipeline,
            "labels": event.labels,
            "severity": "error" if event.severity == "info" else event.severity,
        }
        self.world.set_timer(Timer(f"again:{rule.id}:{key}", "again", rule.id, due_ms, data))

    def decided(self, rule: Rule, reached: list[Planned], reason: str, verdict: str = "matched") -> Decision:
        if reached:
            return Decision(rule.id, rule.name, verdict, reason, tuple([send.channel.endpoint_id for send in reached]))
        if any(endpoint_id in self.channels for endpoint_id in rule.endpoint_ids):
            return Decision(rule.id, rule.name, "covered", "an earlier rule already leads to its endpoints")
        return Decision(rule.id, rule.name, "matched", "its endpoints were deleted, or it has none")

    def reach(
        self, rule: Rule, suppressed: str, provisional: str = "", words: Words = NO_WORDS, *, is_final: bool = False
    ) -> list[Planned]:
        """The rule's endpoints that this event has not reached yet. `provisional`: why people are not told, or "":
        machines are, and so is, unless that `is_final`, the message of the run that is kept up to date."""
        found = []
        for endpoint_id in rule.endpoint_ids:
            channel = self.channels.get(endpoint_id)
            if channel is None or endpoint_id in self.sends:
                continue
            is_told = channel.raw or (channel.live and not is_final)
            reason = suppressed or channel.suppressed or ("" if is_told else provisional)
            said = replace(words, quiet=True) if provisional and channel.live else words
            send = Planned(channel, rule, self.new_id(), reason, words=said)
            if not reason:
                if self.world.silences:
                    send = self.silence(send)
                if not send.suppressed and could_wait(channel, rule):
                    send = self.fold(send)
            self.sends[endpoint_id] = send
            found.append(send)
        return found

    def silence(self, send: Planned) -> Planned:
        rule, channel = (send.rule.id, send.rule.name), (send.channel.endpoint_id, send.channel.name)
        found = silenced(self.world.silences, self.event, rule, channel, self.moment.now_ms)
        if found is None:
            return send
        self.world.hide(found.id, send.channel.endpoint_id)
        by = f" by {found.created_by}" if found.created_by else ""
        until = f" until {hours.utc(found.ends_ms)}" if found.ends_ms is not None else ""
        because = f": {found.reason}" if found.reason else ""
        return replace(send, suppressed=f"silenced{by}{until}{because} ({found.id})")

    def fold(self, send: Planned) -> Planned:
        head: tuple[FoldKey, Fold, Planned] | None = None
        for key, common, join in folds(send.channel, send.rule, self.event, self.moment.now_ms):
            fold, folded = join(self.world.folds.get(key, Fold()), send.delivery_id)
            if folded.way == "into":
                self.world.put_fold(key, fold)
                return replace(send, suppressed=f"told in {folded.into} ({common})", folded_into=folded.into)
            if folded.way == "head":  # it is a message like any other: the limits that follow hold for it, too
                head = key, fold, replace(send, due_ms=folded.due_ms, words=replace(send.words, fold=common))
            else:
                self.world.put_fold(key, fold)
        if head is None:
            return send
        self.world.put_fold(head[0], head[1])
        return head[2]


Join = Callable[[Fold, str], tuple[Fold, folding.Folded]]


def could_wait(channel: Channel, rule: Rule) -> bool:
    """Whether there is anything that a message of this rule might become part of there."""
    noise = rule.noise
    return bool(noise.group or noise.flood or channel.flood or channel.digest or channel.quiet)


def folds(channel: Channel, rule: Rule, event: Event, now_ms: int) -> Iterable[tuple[FoldKey, str, Join]]:
    """What this message might become part of: the fold's key, what its messages have in common, in words, and how to
    join it. The first one that it joins counts; where it joins none and several hold it back, the last."""
    if channel.alarms:
        return
    here = channel.endpoint_id
    if event.severity != CRITICAL:
        if channel.digest is not None:
            due_ms = hours.next_digest_ms(channel.digest, now_ms)
            yield (
                (here, "digest"),
                f"the {'daily' if channel.digest.every == 'day' else 'weekly'} digest",
                at(now_ms, due_ms),
            )
            return
        if channel.quiet and (until_ms := max(hours.ends_ms(span, now_ms) for span in channel.quiet)):
            yield (here, "quiet"), "quiet hours", at(now_ms, until_ms)
            return
    group, flood = rule.noise.group, rule.noise.flood
    if group is not None:
        yield (
            (here, f"group:{rule.id}:{folding.group_key(group, event)}"),
            folding.in_common(group, event),
            lambda fold, id_: folding.grouped(group, fold, id_, now_ms),
        )
    elif channel.live and event.run_id:
        return  # a run's message is edited: that is no flood
    if flood is not None:
        key = f"flood:{rule.id}"
        yield (
            (here, key),
            f"more than {flood.count} in {flood.per_s:g} s",
            lambda f, id_: folding.flooded(flood, f, id_, now_ms),
        )
    if (limit := channel.flood) is not None:
        said = f"more than {limit.count} in {limit.per_s:g} s at this endpoint"
        yield (here, "flood"), said, lambda f, id_: folding.flooded(limit, f, id_, now_ms)


def at(now_ms: int, due_ms: int) -> Join:
    return lambda fold, id_: folding.join(fold, id_, now_ms, due_ms)


def needs(
    event: Event, candidates: Iterable[CompiledRule], channels: Mapping[str, Channel], now_ms: int
) -> tuple[set[StateKey], set[FoldKey]]:
    """The states and folds that planning this event could touch."""
    states: set[StateKey] = set()
    found: set[FoldKey] = set()
    for compiled in candidates:
        rule = compiled.rule
        if rule.noise.is_stateful:
            states.add((rule.id, state_key(rule.noise, event)))
        for endpoint_id in rule.endpoint_ids:
            if (channel := channels.get(endpoint_id)) is not None and not channel.suppressed:
                found |= {key for key, *_ in folds(channel, rule, event, now_ms)}
    return states, found


def state_key(noise: Noise, event: Event) -> str:
    """What the rule's state is kept by; a reminder says what it is about."""
    return str(event.data.get("key", "")) if is_reminder(event) else telling.state_key(noise, event)


def about(event: Event) -> str:
    """What it is about, for people; a reminder has that from the event that began the trouble."""
    return line(str(event.data.get("name", ""))) if is_reminder(event) else name_of(event)


def provisional(compiled: CompiledRule, moment: Moment) -> tuple[str, bool]:
    """Why a failure is not told by itself, and whether that holds for the messages that are kept up to date, too.

    One incident is one alert: a stage whose run may still get through, a try that another follows, and an end that was
    told already are not told again.
    """
    event, retries = moment.event, compiled.rule.noise.retries
    if event.kind not in ("run.failed", "stage.failed"):
        return "", False
    will_retry = event.data.get("will_retry") is True
    if event.kind == "run.failed":
        before = moment.before
        if before is not None and before.status == "failed" and before.attempt == attempt_of(event.data):
            return "this failure of the run was told already", True
        return (
            ("this try of the run is followed by another", False) if will_retry and retries != "alert" else ("", False)
        )
    if retries == "alert":
        return "", False
    if will_retry:
        return "the stage is tried again", False
    run = moment.run
    goes_on = run is not None and run.status in ("running", "unknown")
    if goes_on and compiled.types("run.failed") and event.run_id:
        return "the run goes on: its end will tell", False
    return "", False


def overtaken(moment: Moment) -> bool:
    """Whether what the clock found is that a run goes on for too long, and its end came first."""
    return moment.run is not None and moment.run.is_over and moment.event.kind in ("run.exceeded", "run.missed")


def found_kind(event: Event, verdict: telling.Verdict) -> str:
    """What a rule's finding is of: trouble may come with a good run, and end with what is no success itself."""
    if verdict.recovered:
        return "" if event.kind in CLOSES else "alert.resolved"
    return "alert" if event.kind in CLOSES else ""


def plan_test(tenant_id: str, endpoint_id: str, channels: Mapping[str, Channel], delivery_id: str) -> Plan:
    """A test message: to this endpoint alone, at once, and whether it is switched on or not; its provider must be."""
    channel = channels.get(endpoint_id)
    if channel is None:
        return Plan((), ())
    rule = Rule(id=TEST_RULE, tenant_id=tenant_id, name="test message", retry=RetryPolicy(max_attempts=1))
    open_ = Channel(endpoint_id, channel.provider_type, channel.version, channel.max_age_s)
    decision = Decision(rule.id, rule.name, "matched", "", (endpoint_id,))
    return Plan((Planned(open_, rule, delivery_id, channel.off),), (decision,))


def plan_given(event: Event, endpoint_id: str, channels: Mapping[str, Channel], delivery_id: str) -> Plan:
    """A message that a flow's task has made: for this endpoint, which may be switched off."""
    channel = channels.get(endpoint_id)
    if channel is None:
        return Plan((), ())
    rule = Rule(id=FLOW_RULE, tenant_id=event.tenant_id, name=f"the flow {event.pipeline}, task {event.stage}")
    verdict = "suppressed" if channel.suppressed else "matched"
    decision = Decision(rule.id, rule.name, verdict, channel.suppressed, (endpoint_id,))
    return Plan((Planned(channel, rule, delivery_id, suppressed=channel.suppressed),), (decision,))
