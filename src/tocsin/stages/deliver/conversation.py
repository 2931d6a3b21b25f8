"""More than one request for one delivery: a run's message is posted once, then edited and answered; an alarm is opened
and closed again; and limits that several endpoints share are kept.

One conversation writes in a thread at a time, over all processes. What was said is noted after every request, so that a
crash repeats at most one of them.
"""

from collections.abc import Awaitable, Callable
from typing import Literal

import structlog
from msgspec import Struct
from msgspec.structs import replace

from tocsin.compose import live as words
from tocsin.model.delivery import Claimed, Words
from tocsin.model.event import Event
from tocsin.model.run import Run
from tocsin.model.thread import Thread
from tocsin.model.wire import Accepted, Delivered, HttpReply, Outcome, Rejected, Reply, Request, Retry, Sending
from tocsin.provider_kit.provider import Limit, Live, Provider
from tocsin.provider_kit.text import shared_key
from tocsin.rules import live
from tocsin.rules.alarms import alarm_key
from tocsin.rules.incident import of
from tocsin.rules.pacing import SECOND_US, Rate, next_us, taken
from tocsin.stages.deliver.claiming import asked_run, run_key
from tocsin.stages.deliver.wording import Wording
from tocsin.store import queue, threads
from tocsin.store.database import Database

MOST_ACTS = 5
MOST_AHEAD_US = 15 * 60 * SECOND_US
"""A shared limit holds nobody for longer, whatever the clock was before it was set back, or a provider asks for: then
the provider is asked again."""
BUSY_MS = 300
"""How soon to look again where another conversation is under way in the same thread."""

log = structlog.get_logger()


class Held(Struct, frozen=True):
    """Not now: again at `until_ms`. Nothing was sent."""

    until_ms: int


Send = Callable[[Request], Awaitable[Held | tuple[Reply, float]]]
"""Makes one request, unless its host is away; the reply, clean of secrets, and the milliseconds it took."""


class Over(Struct, frozen=True):
    """There is nothing to send, and the reason says why."""

    status: Literal["delivered", "cancelled"]
    reason: str


class Said(Struct, frozen=True):
    """What came of the last request. `again_ms`: something is left to do then, Unix milliseconds; 0 for nothing."""

    outcome: Outcome
    reply: Reply
    request: Request | None = None
    took_ms: float = 0.0
    again_ms: int = 0


SHOWN = Over("delivered", "the run's message shows it already")


def keys_of(event: Event | None, words: Words) -> tuple[str, str]:
    """The opaque names of the event's run and of the trouble it is about; "" where there is none."""
    if event is None:
        return "", ""
    run_key = shared_key("run", event.tenant_id, event.pipeline, event.run_id) if event.run_id else ""
    meaning, name = of(event, words)
    return run_key, alarm_key(event.tenant_id, name) if meaning else ""


class Conversations:
    """`clock_ms` is app.py's, `home` Tocsin's own address or "". Holding a thread ends by itself with the delivery's
    lease."""

    def __init__(self, db: Database, clock_ms: Callable[[], int], home: str = "") -> None:
        self.db = db
        self.home = home
        self.clock_ms = clock_ms

    async def hold(
        self, item: Claimed, provider: Provider, sending: Sending, send: Send, wording: Wording
    ) -> Held | Over | Said:
        """One delivery's requests, as far as they can be made now."""
        if item.company is not None:  # it tells of many: a message of its own
            return await self._request(item, provider, sending, provider.render(sending), send)
        if item.event is not None and provider.resolve is not None and sending.incident_key:
            return await self._in_thread(item, sending.incident_key, self._alarm, provider, sending, send, wording)
        run = item.run
        talks = provider.live
        if talks is not None and item.event is not None and run is not None and talks.is_on(sending.target.settings):
            target = sending.target  # in another channel the run has another message
            key = shared_key(sending.run_key, target.address, provider.hint(target.settings))
            return await self._in_thread(item, key, self._run, provider, sending, send, wording)
        return await self._request(item, provider, sending, provider.render(sending), send)

    async def _in_thread(
        self,
        item: Claimed,
        key: str,
        talk: "Callable[[_Talk, Thread], Awaitable[Held | Over | Said]]",
        provider: Provider,
        sending: Sending,
        send: Send,
        wording: Wording,
    ) -> Held | Over | Said:
        place, now_ms = threads.Place(item.delivery.tenant_id, item.delivery.endpoint_id, key), self.clock_ms()
        async with self.db.transaction() as tx:
            thread = await threads.take(tx, place, item, now_ms)
            runs = await queue.runs(tx, [asked_run(item.event)] if item.event is not None else [])
        if thread is None:
            return Held(now_ms + BUSY_MS)
        if item.event is not None and runs:  # as it was claimed, the run may be older than what the thread shows
            newest = max(runs, key=lambda run: run.attempt)
            its_own = next((run for run in runs if run_key(run) == asked_run(item.event)), newest)
            item = replace(item, run=its_own, newest=newest)
        try:
            return await talk(_Talk(item, place, provider, sending, send, wording), thread)
        finally:
            async with self.db.transaction() as tx:
                await threads.let_go(tx, place, item)

    async def _run(self, talk: "_Talk", thread: Thread) -> Held | Over | Said:
        """Brings the run's message up to date, and wakes whom it concerns. A reply that is refused does not keep the
        root from it."""
        event, run, newest = talk.event, talk.run, talk.newest
        provider = talk.provider
        said: Said | None = None
        refused: Said | None = None
        assert provider.live is not None
        is_new_root = was_lost = False
        for _ in range(MOST_ACTS):
            sending = replace(talk.sending, thread=thread)
            root = replace(
                sending, message=talk.wording(words.root_of(event, newest, home=self.home), event, newest), quiet=True
            )
            reply = words.reply_of(
                event,
                run,
                newest,
                thread,
                talk.item.delivery.words,
                details=provider.live.tells_stages(sending.target.settings),
                home=self.home,
            )
            if reply is not None and not event.kind.startswith("stage."):
                reply = replace(reply, message=talk.wording(reply.message, event, run))
            is_news = reply is not None and any(told not in thread.told for told in reply.tells)
            wanted = live.Wanted(
                digest(provider.live, root) if thread.refs else "",
                reply.tells if reply is not None and refused is None else (),
                words.ended(newest) if provider.live.mark is not None else "",
            )
            now_ms = self.clock_ms()
            act, until_ms = live.next_act(thread, wanted, now_ms, int(provider.live.edit_every_s * 1000))
            if act == "done":
                return refused or said or SHOWN
            if act == "wait":
                return later(said, refused, until_ms)
            alarms = is_news and reply is not None and reply.alarms
            alarmed = alarms or (thread.alarmed and event.kind != "run.succeeded")
            if act == "post" and reply is not None and not reply.in_root and (is_news or not was_lost):
                if not is_news:
                    return said or SHOWN
                act = "reply"  # there is no root to say it beneath
                request = provider.render(replace(sending, message=reply.message, quiet=not alarms))
            elif act == "post":
                request = provider.render(replace(root, quiet=not alarms))
            elif act == "edit":
                request = provider.live.edit(root)
            elif act == "reply":
                assert reply is not None
                request = provider.live.reply(replace(sending, message=reply.message, quiet=not alarms))
            else:
                mark = provider.live.mark(root) if provider.live.mark is not None else None
                if mark is None:
                    return refused or said or SHOWN
                request = mark
            told = await self._request(talk.item, provider, sending, request, talk.send)
            if isinstance(told, Held):
                return later(said, refused, told.until_ms)
            outcome = told.outcome
            if act == "mark":
                thread = replace(thread, marked=wanted.ended)  # an ornament: tried once, whatever comes of it
            elif isinstance(outcome, Rejected) and outcome.scope == "thread" and thread.refs and not is_new_root:
                log.info("deliver.thread_lost", delivery=talk.item.delivery.id, reason=outcome.reason)
                thread, was_lost = live.lost(thread), True
                continue
            elif act == "reply" and thread.refs and is_its_own(told):
                refused = told
                continue
            elif not isinstance(outcome, Delivered | Accepted):
                return told if said is None else replace(told, took_ms=said.took_ms + told.took_ms)
            elif act == "post":
                is_new_root = True
                refs = dict(outcome.receipt) if isinstance(outcome, Delivered) else {}
                thread = live.posted(thread, refs, wanted, now_ms, alarmed=alarmed)
                thread = replace(thread, shown=digest(provider.live, replace(root, thread=thread)) if refs else "")
            elif act == "edit":
                thread = live.edited(thread, wanted, now_ms)
            else:
                thread = live.replied(thread, wanted, alarmed=alarmed)
            if act != "mark":
                said = replace(told, took_ms=told.took_ms + (said.took_ms if said else 0))
            if not await self._note(talk, thread):  # somebody else goes on here
                return later(said, refused, self.clock_ms() + BUSY_MS)
            if not thread.refs:  # nothing to edit or answer by: this was all there is to say
                return said or SHOWN
        return refused or said or SHOWN

    async def _alarm(self, talk: "_Talk", thread: Thread) -> Held | Over | Said:
        """Opens an alarm, or closes it: what is no longer so is not sent."""
        meaning, _ = of(talk.event, talk.item.delivery.words)
        is_open = bool(await self.db.read("incident_is_open", talk.place.values()))
        if meaning == "opens" and not is_open:
            return Over("cancelled", "it was over before this could be sent")
        if meaning == "closes" and is_open:
            return Over("cancelled", "it failed again before this could be sent")
        assert talk.provider.resolve is not None
        request = (talk.provider.resolve if meaning == "closes" else talk.provider.render)(talk.sending)
        return await self._request(talk.item, talk.provider, talk.sending, request, talk.send)

    async def _note(self, talk: "_Talk", thread: Thread) -> bool:
        """False where somebody else has taken the thread over."""
        async with self.db.transaction() as tx:
            return await threads.save(tx, talk.place, talk.item, thread, self.clock_ms())

    async def _request(
        self, item: Claimed, provider: Provider, sending: Sending, request: Request, send: Send
    ) -> Held | Said:
        """One request, if the limits that it shares with others let it go now."""
        tenant_id = item.delivery.tenant_id
        limits = provider.limits(sending, request) if provider.limits is not None else ()
        if limits and (until_ms := await self._take_limits(tenant_id, limits)):
            return Held(until_ms)
        sent = await send(request)
        if isinstance(sent, Held):
            return sent
        reply, took_ms = sent
        outcome = provider.classify(reply)
        if limits and isinstance(outcome, Retry) and outcome.rate_limited and outcome.after_s:
            until_us = self.clock_ms() * 1000 + min(int(outcome.after_s * SECOND_US), MOST_AHEAD_US)
            async with self.db.transaction() as tx:  # whoever shares them waits too
                await threads.put_buckets(tx, tenant_id, {limit.key: full_until(limit, until_us) for limit in limits})
        return Said(outcome, reply, request, took_ms)

    async def _take_limits(self, tenant_id: str, limits: tuple[Limit, ...]) -> int:
        """0 where the request may go, and is counted; else when to ask again, Unix milliseconds."""
        now_us = self.clock_ms() * 1000
        async with self.db.transaction() as tx:
            found = await threads.buckets(tx, tenant_id, [limit.key for limit in limits])
            most_us = now_us + MOST_AHEAD_US
            known = {limit.key: min(found.get(limit.key, 0), full_until(limit, most_us)) for limit in limits}
            due_us = max(next_us(rate_of(limit), known[limit.key], now_us) for limit in limits)
            if due_us > now_us:
                if any(found.get(key, 0) > bucket_us for key, bucket_us in known.items()):
                    await threads.put_buckets(tx, tenant_id, known)
                return -(-due_us // 1000)
            counted = {limit.key: taken(rate_of(limit), known[limit.key], now_us, 1) for limit in limits}
            await threads.put_buckets(tx, tenant_id, counted)
        return 0


class _Talk(Struct, frozen=True):
    item: Claimed
    place: threads.Place
    provider: Provider
    sending: Sending
    send: Send
    wording: Wording

    @property
    def event(self) -> Event:
        """There are no conversations without one."""
        assert self.item.event is not None
        return self.item.event

    @property
    def run(self) -> Run:
        assert self.item.run is not None
        return self.item.run

    @property
    def newest(self) -> Run:
        """The attempt that the run's message shows: a late word about an earlier one does not bring that back."""
        return self.item.newest or self.run


def rate_of(limit: Limit) -> Rate:
    return Rate(limit.count, limit.per_s)


def later(said: Said | None, refused: Said | None, until_ms: int) -> Held | Said:
    """What is left to do then. What was refused is tried again with it: it counts once all the rest is done."""
    return Held(until_ms) if said is None or refused is not None else replace(said, again_ms=until_ms)


def is_its_own(told: Said) -> bool:
    """Whether the answer is about this one request: others to the same place may yet be taken."""
    if isinstance(told.outcome, Rejected):
        return told.outcome.scope == "message"
    return isinstance(told.outcome, Retry) and isinstance(told.reply, HttpReply) and not told.outcome.rate_limited


def full_until(limit: Limit, until_us: int) -> int:
    """The bucket that lets nothing go before then."""
    rate = rate_of(limit)
    return until_us + (rate.count - 1) * rate.interval_us


def digest(talks: Live, root: Sending) -> str:
    """What the root message looks like: an edit to the same is none."""
    request = talks.edit(root)
    return shared_key(request.body.decode("utf-8", "replace"))
