"""Deliver: what is due is claimed, composed, sent, understood and recorded.

One try per claim. No transaction is open while sending. A claim is a lease with a fencing token: a result is written
only while the lease still holds, and losing it is a normal path. Results are written in groups.

claiming.py takes on, opening.py unseals, recording.py writes down; here is what lies between.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

import structlog
from msgspec.structs import replace

from tocsin.compose.folded import compose_folded
from tocsin.compose.message import compose
from tocsin.model.delivery import UNEDITED, Attempt, Claimed
from tocsin.model.errors import NotFound
from tocsin.model.event import Event
from tocsin.model.message import Message
from tocsin.model.rollout import EVERYTHING, Rollouts
from tocsin.model.tracing import Span, Spans
from tocsin.model.wire import HttpReply, InboxRequest, Kept, NoReply, Rejected, Reply, Request, Retry, Sending
from tocsin.provider_kit.provider import Tuning
from tocsin.provider_kit.settings_form import adjusted
from tocsin.rules.fair_queue import FairQueue, Lane
from tocsin.rules.next_step import Tried, next_step
from tocsin.rules.outage import Hosts
from tocsin.stages.deliver.claiming import Claimer
from tocsin.stages.deliver.conversation import Conversations, Held, Over, Said, keys_of
from tocsin.stages.deliver.measured import why_failed
from tocsin.stages.deliver.opening import Open, Opener, answered, host_of, kept, masked, shown
from tocsin.stages.deliver.recording import Finished, Recorder, unsent
from tocsin.stages.deliver.wording import Wording
from tocsin.store import config, inbox, queue
from tocsin.store.audit import Trail
from tocsin.store.database import Database, StoreBroken, StoreUnavailable
from tocsin.store.sealing import Keyring, UnknownKey
from tocsin.store.secrets import Vault

LEASE_MARGIN_MS = 10_000
EXPIRES_SOON_MS = 5000
"""What is too old is left to the sweep, which says so; until then it is not claimed again."""

UNKNOWN_KEY_MS = 30_000
"""A message to an endpoint that was sealed with a key unknown here waits so long, and longer, until it expires."""

MOST_MISSED_S = 0.32
"""Where others are quicker, time and again, a worker looks less often: eight that take a few each cost more than one
that takes them all."""

log = structlog.get_logger()


class World(Protocol):
    """Everything outside: one try per call; what goes wrong comes back as a value."""

    async def send(self, request: Request, timeout_s: float) -> Reply: ...


class Deliver:
    """`operator`: the operator's values for providers' settings, by kind. `home`: Tocsin's own address, to which
    messages lead, or "". `lease` begins every fencing token here. `draw` gives a number in [-1, 1]; app.py owns clock
    and randomness."""

    def __init__(
        self,
        db: Database,
        keyring: Keyring,
        outbound: World,
        clock_ms: Callable[[], int],
        draw: Callable[[], float],
        tuning: dict[str, Tuning],
        operator: Mapping[str, Mapping[str, Any]],
        trail: Trail,
        vault: Vault,
        *,
        lease: str,
        lease_ms: int,
        poll_s: float,
        spans: Spans | None = None,
        rollouts: Rollouts = EVERYTHING,
        home: str = "",
    ) -> None:
        self.db = db
        self.home = home
        self.outbound = outbound
        self.clock_ms = clock_ms
        self.draw = draw
        self.tuning = tuning
        self.lease = lease
        self.leases = 0
        self.doubtful: list[str] = []
        self.poll_s = poll_s
        self.spans = spans
        self.queue: FairQueue[Claimed] = FairQueue()
        self.hosts = Hosts()
        self.paused: dict[str, int] = {}
        self.opener = Opener(db, keyring, tuning, operator, vault)
        self.conversations = Conversations(db, clock_ms, home)
        self.claimer = Claimer(self.queue, tuning, rollouts, lease_ms=lease_ms, alone=db.dialect == "sqlite")
        self.recorder = Recorder(db, clock_ms, trail)
        self.measured = self.recorder.measured
        self.recorder.on_room = self.pump
        self.claim_now = asyncio.Event()
        self.recorder.on_due = self.claim_now.set
        self.senders: set[asyncio.Task[None]] = set()
        self.stopping = False
        self.more_waits = False
        self.missed = 0
        self.looked_ms = 0
        self.claiming = asyncio.Lock()

    # What intake hands over, leased to this process already.

    def new_lease(self) -> str:
        """A token for one transaction's claims: should its commit be in doubt, they can be told from all others."""
        self.leases += 1
        return f"{self.lease}.{self.leases}"

    def doubt(self, lease: str) -> None:
        """The transaction with this lease may have been committed or not: what it took is nobody's."""
        self.doubtful.append(lease)
        self.claim_now.set()

    def reserve(self, endpoint_id: str, tenant_id: str) -> bool:
        if self.stopping or self.recorder.cannot_record or self._paused_until(endpoint_id, self.clock_ms()):
            return False
        return self.queue.reserve(endpoint_id, tenant_id)

    def _paused_until(self, endpoint_id: str, now_ms: int) -> int:
        """0 where nothing holds this endpoint."""
        if not self.paused or (until_ms := self.paused.get(endpoint_id)) is None:
            return 0
        if until_ms <= now_ms:
            del self.paused[endpoint_id]
            return 0
        return until_ms

    def cancel(self, endpoint_id: str, tenant_id: str) -> None:
        self.queue.cancel(endpoint_id, tenant_id)

    def give(self, claimed: Sequence[Claimed]) -> None:
        for item in claimed:
            self.queue.add(item, item.delivery.endpoint_id, item.delivery.tenant_id, is_retry=False, reserved=True)
        self.pump()

    def wake(self) -> None:
        """Something became due. While there is enough in memory, what waits is looked at when that runs low."""
        if not self.more_waits or self.is_low:
            self.claim_now.set()

    @property
    def is_low(self) -> bool:
        return self.queue.size < self.claimer.low

    # Claiming.

    async def run_claims(self) -> None:
        """Looks for due deliveries whenever something may have become due, until cancelled."""
        while True:
            wait_s = 1.0
            try:
                wait_s = await self.claim_or_wait_s()
            except StoreUnavailable as error:
                log.warning("deliver.claim_unavailable", reason=str(error))
            if wait_s > 0:
                try:
                    async with asyncio.timeout(wait_s):
                        await self.claim_now.wait()
                except TimeoutError:
                    pass
            self.claim_now.clear()

    async def claim_or_wait_s(self) -> float:
        """Claims what is due. Returns how long nothing more is due, in seconds, at most `poll_s`; 0 for "go on"."""
        if self.stopping or self.recorder.cannot_record:
            return self.poll_s
        self.looked_ms = self.clock_ms()
        await self.take_back_doubtful()
        if self.more_waits and not self.is_low:
            return self.poll_s
        soonest = (await self.db.read("soonest_due"))[0][0]
        now_ms = self.clock_ms()
        if soonest is None or soonest > now_ms:
            self.more_waits = False
            return self.poll_s if soonest is None else min(self.poll_s, (soonest - now_ms) / 1000)
        async with self.claiming:
            if self.stopping:
                return self.poll_s
            lease = self.new_lease()
            try:
                async with self.db.transaction() as tx:
                    claimed = await self.claimer.claim(tx, lease, now_ms)
            except StoreUnavailable:
                self.doubt(lease)
                raise
            self.more_waits = True
            for item in claimed:
                self.queue.add(
                    item, item.delivery.endpoint_id, item.delivery.tenant_id, is_retry=item.delivery.attempts > 0
                )
        self.pump()
        if not claimed and not self.claimer.alone:
            self.missed += 1
            return min(0.02 * 2.0**self.missed, MOST_MISSED_S)
        self.missed = 0
        return self.poll_s if claimed and not self.is_low else 0.02

    async def take_back_doubtful(self) -> None:
        while self.doubtful:
            async with self.db.transaction() as tx:
                values = {"lease": self.doubtful[0], "now": self.clock_ms()}
                taken = await queue.take_back(tx, "doubtful_leases", values)
            self.doubtful.pop(0)
            log.info("deliver.took_back", doubtful=taken)

    # Sending.

    def pump(self) -> None:
        """Starts senders for what may go now; each goes on with the next when it is done."""
        while self.recorder.has_room and (next_ := self.queue.take()) is not None:
            task = asyncio.create_task(self._work(*next_))
            self.senders.add(task)
            task.add_done_callback(self.senders.discard)

    async def _work(self, item: Claimed, endpoint_id: str, lane: Lane) -> None:
        while True:
            tried: tuple[bool, float] | None = None
            try:
                tried = await self._send(item)
            except (StoreUnavailable, StoreBroken) as error:  # the message goes back untried, once that can be written
                log.warning("deliver.store_unavailable", reason=str(error))
                self.recorder.cannot_record = True
                self.recorder.release(item, self.clock_ms())
            except Exception:  # whatever one message does, it must not stop the others
                log.exception("deliver.failed", delivery=item.delivery.id)
                self._crashed(item)
            self.queue.done(endpoint_id, lane, tried)
            if tried is not None and tried[0]:
                now_ms = self.clock_ms()
                for shed in self.queue.shed(endpoint_id):
                    self.recorder.release(shed, now_ms + 1000)
            if self.more_waits and self.is_low:
                self.claim_now.set()
            following = self.queue.take() if self.recorder.has_room else None
            if following is None:
                return
            item, endpoint_id, lane = following

    async def _send(self, item: Claimed) -> tuple[bool, float] | None:
        """One attempt, or a hand-back where it must not be made now. Returns whether it failed and
        the milliseconds it took; None where there was no attempt."""
        delivery = item.delivery
        now_ms = self.clock_ms()
        if delivery.expires_ms <= now_ms:
            self.recorder.release(item, now_ms + EXPIRES_SOON_MS)
            return None
        paused_ms = self._paused_until(delivery.endpoint_id, now_ms)
        if paused_ms:
            self.recorder.release(item, paused_ms)
            return None
        try:
            opened = await self.opener.open(delivery, item.version, now_ms)
        except UnknownKey as error:  # keys are being rotated: another process may know it, or this one soon
            log.error("deliver.unknown_key", endpoint=delivery.endpoint_id, reason=str(error))
            self.recorder.release(item, now_ms + UNKNOWN_KEY_MS)
            return None
        if not isinstance(opened, Open):
            self._finish(item, now_ms, Said(opened, NoReply("invalid")), host_is_down=False)
            return True, 0.0
        tuning = self.tuning[delivery.provider_type]
        if delivery.body is not None and item.company is None:
            return await self._send_fixed(item, opened, tuning, now_ms)
        templates = item.delivery.words.templates or opened.options.templates
        wording = Wording(None if item.company else templates)  # they are words for one event
        span = self._span(item)
        sending = self._sending(item, opened, tuning, now_ms, wording)
        if trace := item.delivery.words.trace if span is None else span.traceparent:
            sending = replace(sending, traceparent=trace)
        sent: Held | tuple[Reply, float] = Held(now_ms)

        async def send(request: Request) -> Held | tuple[Reply, float]:
            nonlocal sent
            sent = await self._request(item, opened, request, tuning.timeout_s)
            return sent

        said = await self.conversations.hold(item, opened.provider, sending, send, wording)
        self._end(span, item, sent)
        if isinstance(said, Held):
            self.recorder.release(item, said.until_ms)
            return None
        if isinstance(said, Over):
            self.recorder.finish(unsent(item, said.status, said.reason, now_ms))
            return None
        if isinstance(said.outcome, Retry) and said.outcome.settings:
            await self._changed(item, said.outcome.settings, now_ms)
        is_down = said.request is not None and self.hosts.is_down(host_of(said.request))
        failed = self._finish(item, now_ms, said, host_is_down=is_down, unworded=wording.failed, inside=opened.inside)
        return failed, said.took_ms

    async def _send_fixed(self, item: Claimed, opened: Open, tuning: Tuning, now_ms: int) -> tuple[bool, float] | None:
        """A body that was made when planned goes out as it is, in one request: most of the traffic, and the shortest
        way."""
        delivery = item.delivery
        sending = Sending(
            id=delivery.id,
            at_s=now_ms // 1000,
            target=opened.target,
            body=delivery.body,
            attempt=delivery.attempts + 1,
            traceparent=delivery.words.trace if (span := self._span(item)) is None else span.traceparent,
        )
        provider = opened.provider
        render = provider.render if provider.fix_body is not None or provider.given is None else provider.given
        request = render(sending)
        sent = await self._request(item, opened, request, tuning.timeout_s)
        self._end(span, item, sent)
        if isinstance(sent, Held):
            self.recorder.release(item, sent.until_ms)
            return None
        reply, took_ms = sent
        said = Said(opened.provider.classify(reply), reply, request, took_ms)
        return self._finish(item, now_ms, said, host_is_down=self.hosts.is_down(host_of(request))), took_ms

    def _span(self, item: Claimed) -> Span | None:
        """None where nobody wants to see."""
        if self.spans is None:
            return None
        return self.spans.begin(f"send {item.delivery.provider_type}", "client", item.delivery.words.trace)

    def _end(self, span: Span | None, item: Claimed, sent: Held | tuple[Reply, float]) -> None:
        if span is None:
            return
        delivery, reply = item.delivery, None if isinstance(sent, Held) else sent[0]
        attributes: dict[str, str | int] = {
            "tocsin.event": delivery.event_uid,
            "tocsin.delivery": delivery.id,
            "tocsin.attempt": delivery.attempts + 1,
        }
        if isinstance(reply, HttpReply):
            attributes["http.response.status_code"] = reply.status
        failed = "held back" if reply is None else "" if answered(reply) else "no answer"
        span.end(attributes, failed=failed)

    async def _changed(self, item: Claimed, settings: Mapping[str, str | int], now_ms: int) -> None:
        """The provider says that the endpoint is known by something else now: the next try uses it."""
        delivery = item.delivery
        with suppress(NotFound):  # deleted meanwhile
            endpoint = await config.get_endpoint(self.db, delivery.tenant_id, delivery.endpoint_id)
            async with self.db.transaction() as tx:
                await config.change_endpoint(tx, replace(endpoint, settings=endpoint.settings | dict(settings)), now_ms)
        log.info("deliver.settings_changed", endpoint=delivery.endpoint_id, settings=sorted(settings))

    async def _request(
        self, item: Claimed, opened: Open, request: Request, timeout_s: float
    ) -> Held | tuple[Reply, float]:
        """One request. What comes back is clean of secrets; held where its host is away, or where the lease might end
        before the answer comes."""
        delivery, now_ms, host = item.delivery, self.clock_ms(), host_of(request)
        if item.lease_until_ms - now_ms < timeout_s * 1000 + LEASE_MARGIN_MS / 2:
            return Held(now_ms)
        if isinstance(request, InboxRequest):
            await inbox.keep(self.db, delivery, request, now_ms)
            return Kept(), 0.0
        hold_s = self.hosts.wait_s(host, now_ms)
        if hold_s > 0:
            return Held(now_ms + int(hold_s * 1000 * (1.2 + 0.2 * self.draw())))
        clock = asyncio.get_running_loop().time
        start_s = clock()
        reply = await self.outbound.send(request, timeout_s)
        took_ms = (clock() - start_s) * 1000
        self.hosts.ended(host, delivery.endpoint_id, ok=answered(reply), now_ms=now_ms)
        return masked(reply, opened.hidden), took_ms

    def _sending(self, item: Claimed, opened: Open, tuning: Tuning, now_ms: int, wording: Wording) -> Sending:
        delivery = item.delivery
        message, body = None, delivery.body
        target = opened.target
        if own := delivery.words.settings:
            own = {name: value for name, value in own.items() if name != "mention_on_failure" or tuning.mentions}
            target = replace(target, settings=adjusted(target.settings, own))
        if body is None:
            if item.event is None:
                raise LookupError(f"the event of delivery {delivery.id} is gone")
            message = wording(self._message(item, item.event), item.event, item.run)
            if opened.provider.fix_body is not None:  # others joined it since it was planned
                body = opened.provider.fix_body(message, target.settings)
        run_key, incident_key = keys_of(None if item.company else item.event, delivery.words)
        return Sending(
            id=delivery.id,
            at_s=now_ms // 1000,
            target=target,
            message=message,
            body=body,
            attempt=delivery.attempts + 1,
            plain=item.plain or not tuning.rich,
            run_key=run_key,
            incident_key=incident_key,
        )

    def _message(self, item: Claimed, event: Event) -> Message:
        words = item.delivery.words
        if item.company is not None:
            return compose_folded(event, item.company, words)
        return compose(event, item.run, words=words, home=self.home)

    def _crashed(self, item: Claimed) -> None:
        """Our own fault, not the receiver's: recorded as an attempt, so that it cannot go round for ever."""
        outcome = Rejected("Tocsin could not make this message; see its log")
        self._finish(item, self.clock_ms(), Said(outcome, NoReply("invalid")), host_is_down=False)

    def _finish(
        self,
        item: Claimed,
        started_ms: int,
        said: Said,
        *,
        host_is_down: bool,
        unworded: str = "",
        inside: tuple[bytes, ...] = (),
    ) -> bool:
        """Notes what came of an attempt. Returns whether it failed. `unworded`: why the templates could not be used.
        `inside` is what may not be seen of the request's body."""
        delivery = item.delivery
        tried = Tried(
            delivery.failures,
            item.policy,
            self.tuning[delivery.provider_type].max_attempts,
            delivery.expires_ms,
            item.plain,
            can_go_plain=delivery.body is None and isinstance(said.reply, HttpReply),
            host_is_down=host_is_down,
        )
        reply = said.reply
        now_ms = started_ms + int(said.took_ms)
        step = next_step(said.outcome, tried, now_ms, self.draw())
        if said.again_ms and step.status == "delivered":
            step = replace(step, status="retrying", reason=UNEDITED, due_ms=said.again_ms, plain=item.plain)
        if step.status == "delivered" and (unworded or delivery.words.failed):
            step = replace(
                step, reason=f"sent in the usual words: the template failed: {unworded or delivery.words.failed}"
            )
        if step.pause_s is not None:
            self.paused[delivery.endpoint_id] = now_ms + int(step.pause_s * 1000)
        attempt = Attempt(
            tenant_id=delivery.tenant_id,
            delivery_id=delivery.id,
            number=delivery.attempts + 1,
            endpoint_id=delivery.endpoint_id,
            started_ms=started_ms,
            duration_ms=int(said.took_ms),
            outcome=step.attempt_outcome,
            http_status=reply.status if isinstance(reply, HttpReply) else None,
            error="" if step.attempt_outcome == "sent" else step.reason,
            response_body=shown(reply),
            request_body=(
                kept(said.request.body, inside) if said.request is not None and delivery.body is None else None
            ),
        )
        why = "" if step.attempt_outcome == "sent" else why_failed(said.outcome, reply)
        self.recorder.finish(Finished(item, step, attempt, self.paused.get(delivery.endpoint_id, 0), why=why))
        self.measured.attempt(delivery.provider_type, step.attempt_outcome, why, attempt.number, said.took_ms)
        return step.attempt_outcome != "sent"

    async def drain(self, grace_s: float) -> None:
        """Stops taking on; lets what is on its way end; hands the rest back. Called once, before the process ends."""
        self.stopping = True
        try:
            async with asyncio.timeout(grace_s):
                async with self.claiming:  # a claim under way ends first: what it takes is ours to hand back
                    now_ms = self.clock_ms()
                    for item in self.queue.empty():
                        self.recorder.release(item, now_ms)
                if self.senders:
                    await asyncio.wait(self.senders)
                await self.recorder.record()
        except StoreBroken as error:
            log.critical("deliver.not_drained", reason=str(error))
        except TimeoutError:
            waiting = len(self.senders) + len(self.recorder.finished) + len(self.recorder.released)
            log.warning("deliver.not_drained", within_s=grace_s, waiting=waiting)
