"""The whole of Tocsin in one process: real store, real sockets, and a clock that tests move.

    hook = tocsin.receiver.hook("/orders")
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    await tocsin.send(type="run.failed")
    await tocsin.settle()          # nothing is due any more, and everything is recorded
    (message,) = hook.expect(1)    # exactly one; what a test does not expect fails it at its end

Time is the clock's: `move` lets it pass and settles. Nothing here waits for real time to go by.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from tocsin.app import App, new_id
from tocsin.fakes import Asked, Fake
from tocsin.model.access import OPERATOR, RANKS
from tocsin.model.ids import OPERATOR_TENANT, NewId
from tocsin.settings import read_settings
from tocsin.store import identity, postgres
from tocsin.store.identity import Member
from tocsin.web.api.tokens import make_token
from tocsin.web.server import Server, Tocsin, listen, server_of
from tocsin.web.stream import Hub
from tocsin.worker import Worker

PATIENCE_S = 15.0
"""Real seconds after which something that should have happened has not."""

POLL_S = 0.002
SOON_MS = 50
"""What is due this soon is taken to be due: the worker looks again after 20 ms where an endpoint is busy."""

HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")
"""Where the receiver listens: hosts fail one by one."""

PROVIDER_HOSTS = (
    "hooks.slack.com", "slack.com", "discord.com", "chat.googleapis.com", "api.telegram.org", "events.pagerduty.com",
    "events.eu.pagerduty.com", "api.opsgenie.com", "api.eu.opsgenie.com", "api.sendgrid.com",
    "default0123456789abcdef0123456789abcd.ef.environment.api.powerplatform.com",
)  # fmt: skip
"""Hosts that TOCSIN_CONNECT_TO brings to the receiver."""

postgres.CONNECTIONS = 3
"""Of each Tocsin's pool: to open one costs as much as dozens of requests, and a start opens all that it may."""

Rows = list[dict[str, Any]]


class Clock:
    """Unix milliseconds, as `App` takes them. Starts at the real time, because ids carry that."""

    def __init__(self) -> None:
        self.now_ms = int(time.time()) * 1000

    def __call__(self) -> int:
        return self.now_ms

    @property
    def now_s(self) -> float:
        return self.now_ms / 1000

    def move(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)


@dataclass(frozen=True)
class Answer:
    """What Tocsin's API said."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cookies: tuple[str, ...] = ()  # each as Set-Cookie has it

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def said(self) -> bytes:
        """The body without the request's own id, which no two answers share."""
        return re.sub(rb',"request_id":"[^"]*"', b"", self.body)

    def ok(self, status: int = 200) -> Any:
        """Its JSON, where the status is the one that is meant."""
        assert self.status == status, f"{self.status}: {self.body.decode(errors='replace')}"
        return json.loads(self.body) if self.body else None

    def problem(self, status: int, field: str | None = None) -> dict[str, Any]:
        """An RFC 9457 problem of that status; about this field, where one is given."""
        assert self.status == status, f"{self.status}: {self.body.decode(errors='replace')}"
        assert self.headers["content-type"] == "application/problem+json"
        found: dict[str, Any] = json.loads(self.body)
        assert found["status"] == status
        assert found["title"]
        assert found["detail"]
        if field is not None:
            assert [error["field"] for error in found["errors"]] == [field], found
        return found


class Client:
    """A user of the HTTP API."""

    def __init__(self, session: aiohttp.ClientSession, base: str, token: str, history: list[Answer]) -> None:
        self.session = session
        self.base = base
        self.token = token
        self.history = history

    def with_token(self, token: str) -> "Client":
        """Another user. The history is everybody's."""
        return Client(self.session, self.base, token, self.history)

    async def request(
        self,
        method: str,
        path: str,
        json_: Any = None,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {"authorization": f"Bearer {self.token}"} if self.token else {}
        if json_ is not None:
            data = json.dumps(json_).encode()
        if data is not None:
            sent["content-type"] = "application/json"
        sent |= headers or {}
        async with self.session.request(
            method, self.base + path, data=data, headers=sent, allow_redirects=False
        ) as reply:
            found = {name.lower(): value for name, value in reply.headers.items()}
            answer = Answer(reply.status, found, await reply.read(), tuple(reply.headers.getall("set-cookie", ())))
        self.history.append(answer)
        return answer

    async def get(self, path: str) -> Answer:
        return await self.request("GET", path)

    async def post(self, path: str, json_: Any = None, **headers: str) -> Answer:
        """Header names are written with underscores."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.request("POST", path, json_, headers=named)

    async def patch(self, path: str, json_: Any) -> Answer:
        return await self.request("PATCH", path, json_)

    async def delete(self, path: str) -> Answer:
        return await self.request("DELETE", path)


@dataclass(frozen=True)
class Reply:
    """What a receiver answers. `delay_s` is real time: keep it to what a timeout needs."""

    status: int = 200
    body: str | bytes = "ok"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


Answering = Callable[["Received"], Reply]


class Received(Asked, frozen=True):
    """A request as a receiver got it; `at_ms` is the moved clock's time."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


class Hook:
    """One address at the receiver, with its own script. What is not in the script gets `standard`."""

    def __init__(self, path: str, url: str) -> None:
        self.path = path
        self.url = url
        self.script: list[Reply] = []
        self.standard: Reply | Answering = Reply()
        self.received: list[Received] = []
        self.expected = 0
        self.under_way = 0
        self.most_under_way = 0
        self.open = asyncio.Event()
        self.open.set()

    def answer(self, *replies: Reply | int) -> None:
        """The next replies, one request each; a number is a status."""
        self.script += [Reply(reply, "") if isinstance(reply, int) else reply for reply in replies]

    def always(self, reply: Reply | int | Answering) -> None:
        """Every reply from now on that is not in the script."""
        self.standard = Reply(reply, "") if isinstance(reply, int) else reply

    def hang(self) -> None:
        """Requests get no answer until `let_go`."""
        self.open.clear()

    def let_go(self) -> None:
        self.open.set()

    async def got(self, count: int) -> None:
        """Waits until that many requests have come in all, answered or not."""
        until = time.monotonic() + PATIENCE_S
        while len(self.received) < count:
            assert time.monotonic() < until, f"{self.path} got {len(self.received)} requests, not {count}"
            await asyncio.sleep(POLL_S)

    def expect(self, count: int) -> list[Received]:
        """What came since the last `expect`: exactly so many."""
        new = self.received[self.expected :]
        assert len(new) == count, f"{self.path} got {len(new)} messages, not {count}: {[m.body[:200] for m in new]}"
        self.expected = len(self.received)
        return new

    def all_new(self) -> list[Received]:
        """What came since the last `expect`, however many."""
        return self.expect(len(self.received) - self.expected)


class Receiver:
    """A real HTTP server with an address for each hook. A request to any other address is unexpected."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.hooks: dict[tuple[str, str], Hook] = {}
        self.unexpected: list[Received] = []
        self.fakes: dict[str, Fake] = {}
        self.port = 0

    def hook(self, path: str, host: str = HOSTS[0]) -> Hook:
        return self._added(host, path, f"http://{host}:{self.port}{path}")

    def slack(self, name: str = "A") -> Hook:
        """An address of Slack's; TOCSIN_CONNECT_TO brings it here."""
        path = f"/services/T0000000{name}/B0000000{name}/{name * 24}"
        return self._added("hooks.slack.com", path, f"https://hooks.slack.com{path}")

    def play(self, fake: Fake) -> None:
        """The provider's own hosts, where TOCSIN_CONNECT_TO leads here, answer as this fake does."""
        self.fakes |= dict.fromkeys(fake.hosts, fake)

    @property
    def diversions(self) -> str:
        """TOCSIN_CONNECT_TO: every host that is a provider's own."""
        return ",".join(f"{host}=http://{HOSTS[0]}:{self.port}" for host in PROVIDER_HOSTS)

    def _added(self, host: str, path: str, url: str) -> Hook:
        assert (host, path) not in self.hooks
        hook = self.hooks[host, path] = Hook(path, url)
        return hook

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        host = request.headers.get("host", "").partition(":")[0]
        headers = {name.lower(): value for name, value in request.headers.items()}
        received = Received(request.method, host, request.raw_path, headers, body, self.clock.now_ms)
        if (fake := self.fakes.get(host)) is not None and (host, request.raw_path) not in self.hooks:
            said = fake.answer(received)
            return web.Response(status=said.status, body=said.body, headers=dict(said.headers))
        hook = self.hooks.get((host, request.raw_path))
        if hook is None:
            self.unexpected.append(received)
            return web.Response(status=404)
        hook.received.append(received)
        hook.under_way += 1
        hook.most_under_way = max(hook.most_under_way, hook.under_way)
        try:
            reply = hook.script.pop(0) if hook.script else hook.standard
            if not isinstance(reply, Reply):
                reply = reply(received)
            await hook.open.wait()
            if reply.delay_s:
                await asyncio.sleep(reply.delay_s)
        finally:
            hook.under_way -= 1
        content = reply.body.encode() if isinstance(reply.body, str) else reply.body
        return web.Response(status=reply.status, body=content, headers=reply.headers)

    def check(self) -> None:
        """Raises AssertionError where anything came that the test did not expect."""
        assert not self.unexpected, f"at addresses nobody named: {[(m.host, m.path) for m in self.unexpected]}"
        for hook in self.hooks.values():
            hook.expect(0)


@asynccontextmanager
async def receiving(clock: Clock) -> AsyncIterator[Receiver]:
    receiver = Receiver(clock)
    runner = web.ServerRunner(web.Server(receiver.handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    for host in HOSTS:
        listening = listen(host, receiver.port)
        receiver.port = listening.getsockname()[1]
        await web.SockSite(runner, listening).start()
    try:
        yield receiver
    finally:
        for hook in receiver.hooks.values():
            hook.let_go()
        await runner.cleanup()


class Running:
    """A running Tocsin. `client` has an admin's token of the tenant "default"."""

    def __init__(self, app: App, clock: Clock, receiver: Receiver, worker: Worker, client: Client) -> None:
        self.app = app
        self.clock = clock
        self.receiver = receiver
        self.worker = worker
        self.client = client
        self.hub: Hub
        self.server: Server

    @property
    def dialect(self) -> str:
        return self.app.db.dialect

    # Shorthands for what most tests do.

    async def token(self, role: str, tenant: str = "default", user: str = "") -> str:
        """A token, made as `tocsin token create` makes one; a tenant that does not exist is made too, and the user is a
        member in this role at least."""
        now_ms = self.clock.now_ms
        async with self.app.db.transaction() as tx:
            await tx.fetch("insert_tenant", {"id": tenant, "name": tenant, "now": now_ms})
            if user:
                member = Member(user, role, "", "", now_ms, now_ms)
                if not await identity.add_member(tx, tenant, member, now_ms):
                    (known,) = await tx.fetch("get_member", {"tenant_id": tenant, "user_id": user})
                    if RANKS[known[1]] < RANKS[role]:
                        await identity.change_member(tx, tenant, member, now_ms)
        return (await make_token(self.app, tenant, "test", role, user, None)).token

    async def as_(self, role: str, tenant: str = "default", user: str = "") -> Client:
        return self.client.with_token(await self.token(role, tenant, user))

    async def operator(self) -> Client:
        """Whoever runs this Tocsin."""
        made = await make_token(self.app, OPERATOR_TENANT, "test", OPERATOR, "", None)
        return self.client.with_token(made.token)

    async def webhook(self, hook: Hook | str, client: Client | None = None, **fields: Any) -> dict[str, Any]:
        """A new endpoint for this address: a custom webhook, or Slack where it is one of Slack's."""
        url = hook if isinstance(hook, str) else hook.url
        kind = "slack" if "hooks.slack.com" in url else "webhook"
        body = {"provider_type": kind, "name": "test", "webhook_url": url} | fields
        created: dict[str, Any] = (await (client or self.client).post("/v1/webhooks", body)).ok(201)
        return created

    async def rule(self, *webhooks: Mapping[str, Any], client: Client | None = None, **fields: Any) -> dict[str, Any]:
        body = {"name": "test", "webhook_endpoint_ids": [webhook["id"] for webhook in webhooks]} | fields
        created: dict[str, Any] = (await (client or self.client).post("/v1/alert-rules", body)).ok(201)
        return created

    async def send(self, client: Client | None = None, **event: Any) -> dict[str, Any]:
        """One event; `run.failed` where no type is given."""
        answer = await (client or self.client).post("/v1/events", {"type": "run.failed"} | event)
        sent: dict[str, Any] = answer.ok(202)
        return sent

    async def deliveries(self, **filters: str) -> Rows:
        """All of them, newest first."""
        items: Rows = []
        cursor = ""
        while True:
            asked = {"limit": "100", "cursor": cursor} | filters
            page = (await self.client.get("/v1/deliveries?" + urlencode(asked))).ok()
            items += page["items"]
            cursor = page["next"]
            if cursor is None:
                return items

    async def delivery(self, **filters: str) -> dict[str, Any]:
        """The only one that there is, with its attempts as `log`."""
        (found,) = await self.deliveries(**filters)
        whole: dict[str, Any] = (await self.client.get(f"/v1/deliveries/{found['id']}")).ok()
        return whole

    async def endpoint(self, webhook: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = (await self.client.get(f"/v1/webhooks/{webhook['id']}")).ok()
        return found

    async def statuses(self, **filters: str) -> dict[str, int]:
        """How many deliveries there are in each state."""
        counts: dict[str, int] = {}
        for delivery in await self.deliveries(**filters):
            counts[delivery["status"]] = counts.get(delivery["status"], 0) + 1
        return counts

    # Time.

    async def settle(self) -> None:
        """Waits until nothing is due at the clock's time, nothing is on its way, and everything is recorded."""
        until = time.monotonic() + PATIENCE_S
        while True:
            while not await self._is_idle():
                assert time.monotonic() < until, f"did not settle: {await self._what_waits()}"
                self.app.deliver.wake()
                await asyncio.sleep(POLL_S)
            await self.app.sweep.sweep()
            if await self._is_idle():
                return

    async def move(self, seconds: float) -> None:
        """Lets that much time pass at once, in which Tocsin ran, then settles."""
        self.clock.move(seconds)
        self.app.timers.seen_ms = self.clock.now_ms
        await self.settle()

    async def next_due_s(self) -> float | None:
        """Seconds until the worker has to look again; None where nothing waits for a time."""
        soonest = (await self.app.db.read("soonest_due"))[0][0]
        return None if soonest is None else (soonest - self.clock.now_ms) / 1000

    async def wait_out(self, most_s: float = 30 * 86_400) -> list[float]:
        """Moves from one due time to the next until nothing waits; returns the steps, in seconds."""
        steps: list[float] = []
        await self.settle()
        while (due_s := await self.next_due_s()) is not None and sum(steps) + due_s <= most_s:
            steps.append(due_s)
            await self.move(due_s)
        return steps

    async def _is_idle(self) -> bool:
        app = self.app
        deliver = app.deliver
        if (
            app.intake.waiting
            or deliver.queue.size
            or deliver.senders
            or deliver.recorder.finished
            or deliver.recorder.released
        ):
            return False
        _, sending, _, soonest = (await app.db.read("waiting_deliveries"))[0]
        if sending:
            return False
        if soonest is not None and self.clock.now_ms < soonest <= self.clock.now_ms + SOON_MS:
            self.clock.now_ms = soonest
        return soonest is None or soonest > self.clock.now_ms

    async def _what_waits(self) -> str:
        deliver = self.app.deliver
        rows = await self.app.db.read("waiting_deliveries")
        return (
            f"{len(self.app.intake.waiting)} submissions, {deliver.queue.size} queued, {len(deliver.senders)} sending, "
            f"{len(deliver.recorder.finished)} to record, "
            f"(waiting, sending, dead, soonest) = {rows}, now {self.clock.now_ms}"
        )


def one_round_at_a_time(app: App) -> None:
    """Who settles waits for the round that the worker has begun: what it brings about would come later, unexpected."""
    turn, sweep = asyncio.Lock(), app.sweep.sweep

    async def in_turn() -> None:
        async with turn:
            await sweep()

    app.sweep.sweep = in_turn  # type: ignore[method-assign]


@asynccontextmanager
async def running(
    environment: Mapping[str, str], clock: Clock, receiver: Receiver, *, works: bool = True, ids: NewId = new_id
) -> AsyncIterator[Running]:
    """Tocsin with these settings, from start to stop. One whose start fails leaves nothing behind: it
    would go on, and send what belongs to later tests."""
    settings = read_settings(environment)
    async with AsyncExitStack() as stack:
        app = await App.open(settings, works=works, clock=clock, ids=ids)
        stack.push_async_callback(app.close)
        one_round_at_a_time(app)
        listening = listen("127.0.0.1", 0)
        stack.callback(listening.close)
        asgi = Tocsin(app)
        server = server_of(asgi)
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        worker = Worker(app)
        stack.push_async_callback(worker.stop)
        worker.start()
        await server.startup(sockets=[listening])  # and not serve() and shutdown(), which sleep for tenths of a second
        for serving in server.servers:
            stack.callback(serving.close)
        base = f"http://127.0.0.1:{listening.getsockname()[1]}"
        session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S * 2))
        stack.push_async_callback(session.close)
        tocsin = Running(app, clock, receiver, worker, Client(session, base, "", []))
        tocsin.hub, tocsin.server = asgi.hub, server
        tocsin.client.token = await tocsin.token("admin")
        yield tocsin


Start = Callable[..., Awaitable[Running]]
"""`await start(SLACK_RETRY_ATTEMPTS="3")`: a running Tocsin with settings of its own; `works=False` only takes in."""


def seconds_between(earlier: str, later: str) -> float:
    """Of two RFC 3339 times as the API writes them."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
