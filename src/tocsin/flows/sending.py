"""From a task's message to the world: as a delivery where a server runs, and by itself where none does.

In a server each place that flows write to is an endpoint, made when it is first written to. Its address is sealed; it
is paced, switched off after too many failures, and seen with all the others.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from tocsin.flows.execution import Execution, Outgoing, TaskFailed, TaskRun
from tocsin.model.audit import ITSELF, Act
from tocsin.model.endpoint import Endpoint, Target
from tocsin.model.errors import Invalid, NotFound
from tocsin.model.wire import Accepted, Delivered, Rejected, Reply, Request, Retry, Sending
from tocsin.provider_kit.provider import Provider
from tocsin.provider_kit.settings_form import split, with_operator
from tocsin.provider_kit.text import masked
from tocsin.providers import PROVIDERS
from tocsin.sources.draft import Draft
from tocsin.store import config, log
from tocsin.store.audit import Trail
from tocsin.store.database import Database, Reader
from tocsin.store.sealing import Keyring

TYPE = "flow.message"
MADE_BY = "flow"
WAIT_S = 60.0
"""For a delivery that is tried again; after that it goes on without the task."""

TRIES, FIRST_WAIT_S, MOST_WAIT_S = 4, 2.0, 30.0
"""Without a server: as the quick round of a delivery."""

SOON_S, LATER_S = 0.02, 0.5
Operator = Mapping[str, Mapping[str, Any]]


class Receipt(Protocol):
    @property
    def id(self) -> str: ...


Accept = Callable[..., Awaitable[Sequence[Receipt]]]
"""Intake's: `(tenant_id, drafts, only_endpoint=, given=)`."""

Send = Callable[[Request, float], Awaitable[Reply]]
"""One request to the world, tried once, in so many seconds."""


def provider_of(outgoing: Outgoing, operator: Operator) -> tuple[Provider, str, Any, bool]:
    """The provider, the address, the settings, and whether the operator's way out is taken. An address that the
    provider does not know as its own, such as that of a server that speaks like it, is any HTTP address.
    Raises TaskFailed."""
    provider, address = PROVIDERS[outgoing.provider], outgoing.address
    if provider.check_address is not None:
        if not address.startswith(("https://", "http://")):
            raise TaskFailed(f"url: expected https://…, found {masked(address) or 'nothing'}")
        try:
            address = provider.check_address(address)
        except Invalid:
            provider = PROVIDERS["webhook"]
    given, trusted = with_operator(provider.operator, outgoing.settings, operator.get(provider.kind, {}))
    try:
        settings = msgspec.convert(given, provider.settings_type)
        if provider.check_settings is not None:
            provider.check_settings(settings)
    except Invalid as error:
        raise TaskFailed(f"{error.field}: {error.detail}") from None
    except msgspec.ValidationError as error:
        raise TaskFailed(str(error)) from None
    return provider, address, settings, trusted


class Notifier:
    """Sends as deliveries of one tenant."""

    def __init__(
        self,
        db: Database,
        keyring: Keyring,
        trail: Trail,
        accept: Accept,
        clock_ms: Callable[[], int],
        operator: Operator,
        tenant_id: str,
    ) -> None:
        self.db = db
        self.keyring = keyring
        self.trail = trail
        self.accept = accept
        self.clock_ms = clock_ms
        self.operator = operator
        self.tenant_id = tenant_id

    async def notify(self, outgoing: Outgoing, run: TaskRun, execution: Execution) -> str:
        """ "" once it is delivered, else why it waits still. One message for each run of a task, however often that is
        tried: what is on its way is not sent again. Raises TaskFailed."""
        endpoint_id = await self.endpoint(outgoing, execution.flow.name)
        draft = Draft(
            id=f"{execution.id}:{run.id}:message",
            type=TYPE,
            kind="other",
            source="flow",
            pipeline=execution.flow.name,
            run_id=execution.id,
            stage=run.task.id,
            title=f"The task {run.task.id} of the flow {execution.flow.name} sends a message",
            data={"type": run.task.type},
        )
        await self.accept(self.tenant_id, [draft], only_endpoint=endpoint_id, given=outgoing.body)
        found = await log.find_event(self.db, self.tenant_id, draft.id or "", draft.source)
        assert found is not None
        if run.attempt > 1:
            await self.again(found[0].uid)
        return await self.end(found[0].uid)

    async def again(self, event_uid: str) -> None:
        """The task is tried again: so is its message, where it is given up."""
        now_ms = self.clock_ms()
        for one in await log.deliveries_of_event(self.db, self.tenant_id, event_uid):
            if one["status"] in ("dead", "expired"):
                expires_ms = now_ms + PROVIDERS[one["provider_type"]].max_age_s * 1000
                async with self.db.transaction() as tx:
                    await log.replay(tx, self.tenant_id, [one["id"]], now_ms, expires_ms)

    async def end(self, event_uid: str) -> str:
        """Looks until the delivery has ended, or for as long as WAIT_S."""
        loop = asyncio.get_running_loop()
        until_s, wait_s = loop.time() + WAIT_S, SOON_S
        while True:
            deliveries = await log.deliveries_of_event(self.db, self.tenant_id, event_uid)
            if not deliveries:
                raise TaskFailed("the webhook that it was to go to is not there any more")
            one = deliveries[0]
            match one["status"]:
                case "delivered":
                    return ""
                case "dead" | "expired" | "cancelled" | "suppressed" as status:
                    reason = one["error_message"] or one["reason"] or ""
                    raise TaskFailed(f"its message is {status}: {reason} (delivery {one['id']})")
            if loop.time() >= until_s:
                return f"its message is {one['status']}: {one['reason'] or 'waits its turn'} (delivery {one['id']})"
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 1.5, LATER_S)

    async def endpoint(self, outgoing: Outgoing, flow: str) -> str:
        """The endpoint for this place, which all flows share. Raises TaskFailed where somebody has deleted it."""
        provider, address, settings, _ = provider_of(outgoing, self.operator)
        place = [provider.kind, address, sorted(outgoing.settings.items()), sorted(outgoing.headers.items())]
        id_ = "whk_" + self.keyring.sign(msgspec.json.encode([MADE_BY, self.tenant_id, *place]))[4:].hex()[:32]
        if await self.is_there(self.db, id_):
            return id_
        seen, secret = split(provider.settings_type, outgoing.settings)
        now_ms = self.clock_ms()
        hint = "…" + address[-10:] if address else provider.hint(settings)
        endpoint = Endpoint(
            id=id_,
            tenant_id=self.tenant_id,
            user_id="",
            provider_type=provider.kind,
            name=f"Flows: {provider.label} {hint}"[:100],
            description=f"Made for the flow {flow}",
            address_hint=hint,
            settings=seen,
            created_by=MADE_BY,
            created_ms=now_ms,
        )
        async with self.db.transaction() as tx:
            await tx.fetch("bump_config", {"tenant_id": self.tenant_id})  # nobody else adds one meanwhile
            if await self.is_there(tx, id_):
                return id_
            await config.add_endpoint(tx, self.keyring, endpoint, address, (), outgoing.headers, secret)
            after = {"name": endpoint.name, "provider_type": provider.kind, "webhook_url": hint}
            await self.trail.add(tx, Act(self.tenant_id, ITSELF, "webhook.create", "webhook", id_, None, after))
        return id_

    async def is_there(self, db: Reader, id_: str) -> bool:
        try:
            await config.get_endpoint(db, self.tenant_id, id_)
        except NotFound:
            pass
        else:
            return True
        try:
            gone = await config.get_endpoint(db, self.tenant_id, id_, deleted=True)
        except NotFound:
            return False
        raise TaskFailed(f"somebody deleted the webhook {gone.name!r} ({id_}) that it goes to: restore it")


async def send_once_and_again(outgoing: Outgoing, run: TaskRun, execution: Execution, send: Send) -> None:
    """Where there is no server: by this process itself, with a few tries. Raises TaskFailed."""
    provider, address, settings, trusted = provider_of(outgoing, {})
    render = provider.render if provider.fix_body is not None or provider.given is None else provider.given
    target = Target(address, settings, headers=tuple(outgoing.headers.items()), trusted=trusted)
    wait_s = FIRST_WAIT_S
    for number in range(1, TRIES + 1):
        at_s = execution.reach.now_ms() // 1000
        sending = Sending(id=f"{execution.id}.{run.id}", at_s=at_s, target=target, body=outgoing.body, attempt=number)
        reply = await send(render(sending), provider.timeout_s)
        match provider.classify(reply):
            case Delivered() | Accepted():
                return
            case Rejected(reason=reason):
                raise TaskFailed(f"it was refused: {reason}")
            case Retry(reason=reason, after_s=after_s):
                if number == TRIES:
                    raise TaskFailed(f"{reason}; all {TRIES} attempts failed")
                execution.log(f"{reason}; trying again", run, "WARN")
                await execution.reach.sleep(min(wait_s if after_s is None else after_s, MOST_WAIT_S))
                wait_s *= 2
