"""Wiring: settings to store, outbound and stages. Owns the clock, randomness and ids; nothing else makes any."""

import asyncio
import base64
import contextlib
import fcntl
import hashlib
import os
import random
import secrets
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import IO, Any

import structlog
import uuid_utils
from msgspec import Struct
from msgspec.structs import replace

from tocsin.flows.inside import Inside
from tocsin.flows.library import Library
from tocsin.flows.reach import Lent, teller
from tocsin.flows.runner import Runner
from tocsin.flows.sending import Notifier
from tocsin.flows.tasks import handlers
from tocsin.flows.watching import Watcher
from tocsin.model.access import token_of
from tocsin.model.audit import ENVIRONMENT, Act, changes
from tocsin.model.endpoint import Endpoint
from tocsin.model.errors import Invalid
from tocsin.model.ids import DEFAULT_TENANT, OPERATOR_TENANT, NewId, Prefix
from tocsin.model.noise import Flood
from tocsin.model.reference import is_reference
from tocsin.model.tally import Histograms
from tocsin.model.tracing import Spans
from tocsin.outbound.address_guard import parse_allow_targets
from tocsin.outbound.apprise import AppriseSender
from tocsin.outbound.bus import MissingClient, bus_of
from tocsin.outbound.bus.address import parse_bus_urls
from tocsin.outbound.http import Outbound, parse_connect_to
from tocsin.outbound.proxy import parse_proxy
from tocsin.outbound.smtp import Mail
from tocsin.outbound.tls import system_trust
from tocsin.outbound.world import World
from tocsin.provider_kit.provider import Tuning
from tocsin.providers import PROVIDERS
from tocsin.settings import Settings, SettingsError, operator_settings, provider_tuning, standard_limits
from tocsin.stages.audit_heads import AuditHeads
from tocsin.stages.bus import BusIntake
from tocsin.stages.deliver import Deliver
from tocsin.stages.handed_over import HandedOver
from tocsin.stages.intake import Intake, Nowhere
from tocsin.stages.silence_end import end_silences
from tocsin.stages.sweep import LEASE_LOSSES, Sweep
from tocsin.stages.timers import Timers
from tocsin.store import config, flows, partitions, queue
from tocsin.store.audit import Trail
from tocsin.store.database import Database
from tocsin.store.limits import Meter
from tocsin.store.migrate import migrate
from tocsin.store.postgres import PostgresDatabase
from tocsin.store.retention import Cleaner, Kept
from tocsin.store.sealing import KEY_BYTES, Keyring, parse_keys
from tocsin.store.secrets import Vault
from tocsin.store.sqlite import SqliteDatabase
from tocsin.store.stats import Tallies

LEASE_MS = 60_000
"""Twice the longest attempt (30 s): a result in time is never refused."""

STEP_MS = 1000
"""By so much a clock does not drift between two looks: somebody set it, or the machine slept."""

NEAR_MS = 20
DAY_MS = 86_400_000
REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Bounds of the histogram of requests, by route and status."""

KEY_FILE = "secret.key"
DATABASE_FILE = "tocsin.db"
LOCK_FILE = "tocsin.lock"
SPOOL_FOLDER = "spool"
log = structlog.get_logger()


def clock_ms() -> int:
    """Unix milliseconds."""
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """Milliseconds that nobody can set."""
    return time.monotonic_ns() // 1_000_000


class SteadyClock:
    """Unix milliseconds that go by evenly, whatever is done to the machine's clock; put right by `follow`.

    With PostgreSQL it follows the database's clock: leases, limits and due times mean the same on several machines.
    """

    def __init__(self) -> None:
        self.ahead_ms = clock_ms() - steady_ms()
        self.set_ms: int | None = None
        self.moved_ms = 0

    def __call__(self) -> int:
        return steady_ms() + self.ahead_ms

    async def follow(self, db: Database) -> None:
        """A look at the other clock. Raises StoreUnavailable."""
        before_ms = steady_ms()
        theirs_ms = clock_ms() if db.dialect == "sqlite" else int((await db.read("database_time"))[0][0])
        now_ms = steady_ms()
        by_ms = theirs_ms - (before_ms + now_ms) // 2 - self.ahead_ms
        if abs(by_ms) <= (now_ms - before_ms) // 2 + NEAR_MS:
            return  # as near as such a look can tell
        self.ahead_ms += by_ms
        if abs(by_ms) >= STEP_MS:
            self.set_ms = now_ms
            self.moved_ms += by_ms
            log.warning("clock.set", by_s=by_ms / 1000)

    def was_set_lately(self) -> bool:
        """Leases that were given before it was set look older, or younger, than they are."""
        return self.set_ms is not None and steady_ms() < self.set_ms + LEASE_MS

    def is_far_off(self) -> bool:
        """It was set by more than a day since the start: what it says is too old is not thrown away for it."""
        return abs(self.moved_ms) > DAY_MS


def new_id(prefix: Prefix) -> str:
    return f"{prefix}_{uuid_utils.uuid7().hex}"


def draw() -> float:
    """In [-1, 1]."""
    return random.uniform(-1.0, 1.0)  # noqa: S311 - spreads retries; nothing secret


def new_token() -> str:
    return token_of(secrets.randbits(256))


def new_key() -> str:
    """256 random bits as text, for cookies and links."""
    return secrets.token_urlsafe(32)


def new_secret() -> str:
    """A Standard Webhooks signing secret: https://www.standardwebhooks.com"""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def spans_of(settings: Settings) -> Spans | None:
    """None where no collector is set: then nothing of OpenTelemetry is loaded."""
    if not settings.otlp_endpoint:
        return None
    try:
        from tocsin.outbound.otel import Otel
    except ImportError as error:
        raise SettingsError("OTEL_EXPORTER_OTLP_ENDPOINT needs OpenTelemetry: install tocsin[otel].") from error
    return Otel(settings.otlp_endpoint)


def data_file(settings: Settings, name: str) -> Path:
    folder = Path(settings.data_dir)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"TOCSIN_DATA_DIR={settings.data_dir}: {error.strerror}.") from error
    return folder / name


def lock_store(settings: Settings) -> IO[str] | None:
    """SQLite is for one process: a second one is refused. The lock ends with the process, however it ends."""
    if not settings.is_sqlite:
        return None
    try:
        file = data_file(settings, LOCK_FILE).open("w")
    except OSError as error:  # such as a volume that belongs to somebody else
        raise SettingsError(
            f"TOCSIN_DATA_DIR={settings.data_dir}: {error.strerror}. User {os.getuid()} has to be able to write to it."
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SettingsError(
            f"Another Tocsin already uses {settings.data_dir}. "
            "For several processes set TOCSIN_DATABASE_URL to PostgreSQL."
        ) from error
    return file


def keyring_of(settings: Settings) -> Keyring:
    """The keys given; else one made at the first start and kept in the data directory for its owner alone."""
    text = settings.secret_key
    if not text:
        file = data_file(settings, KEY_FILE)
        try:
            if not file.exists():
                make_key(file)
            text = file.read_text("utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{file}: {error.strerror}. Set TOCSIN_SECRET_KEY, or mend it.") from error
    try:
        return Keyring(parse_keys(text), lambda: secrets.token_bytes(12))
    except ValueError as error:
        raise SettingsError(str(error)) from error


def make_key(file: Path) -> None:
    """On the disk and whole before anything is sealed with it: a power cut must not leave secrets without their key.
    Of several processes, or threads, that start together one makes it."""
    made = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
    part = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(made + "\n")
        out.flush()
        os.fsync(out.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(part, file)
    part.unlink()
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def open_database(settings: Settings) -> Database:
    if settings.is_sqlite:
        return SqliteDatabase(data_file(settings, DATABASE_FILE))
    if not settings.database_url.startswith(("postgresql://", "postgres://")):
        raise SettingsError("TOCSIN_DATABASE_URL: expected postgresql://… or nothing for SQLite.")
    return await PostgresDatabase.open(settings.database_url)


def world_of(settings: Settings) -> World:
    """The ways out, as the operator allows them. Made and closed inside of the running loop."""
    allow = parse_allow_targets(settings.allow_targets, settings.deny_targets, settings.egress_only)
    connect_to = parse_connect_to(settings.connect_to)
    proxy = parse_proxy(settings.egress_proxy)
    return World(
        Outbound(allow=allow, connect_to=connect_to, ca_file=settings.ca_file, proxy=proxy),
        Mail(allow=allow, connect_to=connect_to, ca_file=settings.ca_file, proxy=proxy),
        AppriseSender(allow=allow, connect_to=connect_to, ca_file=settings.ca_file, proxy=proxy),
    )


async def open_store(settings: Settings, now_ms: int) -> tuple[Database, Keyring]:
    """Database and keys, migrated and checked. Raises StoreUnfit, StoreUnavailable, WrongKey, SettingsError."""
    keyring = keyring_of(settings)
    db = await open_database(settings)
    try:
        if ran := await migrate(db):
            log.info("store.migrated", steps=len(ran), newest=ran[-1].name)
        await config.make_key_check(db, keyring)
        async with db.transaction() as tx:
            await tx.fetch("insert_tenant", {"id": DEFAULT_TENANT, "name": "Default", "now": now_ms})
            await tx.fetch("insert_tenant", {"id": OPERATOR_TENANT, "name": "The operator", "now": now_ms})
    except BaseException:
        await db.close()
        raise
    return db, keyring


class App:
    """Everything one process needs. `works` has it deliver; without it, deliveries wait for another process."""

    def __init__(
        self,
        settings: Settings,
        db: Database,
        keyring: Keyring,
        *,
        works: bool = True,
        clock: Callable[[], int] | None = None,
        ids: NewId = new_id,
    ) -> None:
        self.steady = SteadyClock()
        clock = clock or self.steady
        self.settings = settings
        self.db = db
        self.keyring = keyring
        self.clock_ms = clock
        self.new_id = ids
        self.works = works
        self.requests: Histograms[tuple[str, int]] = Histograms(REQUEST_S)
        self.trail = Trail(keyring, clock)
        self.tuning: dict[str, Tuning] = provider_tuning(settings)
        self.allow = parse_allow_targets(settings.allow_targets, settings.deny_targets, settings.egress_only)
        self.outbound = world_of(settings)
        self.operator = operator_settings(settings)
        self.meter = Meter(db, clock, standard_limits(settings))
        self.vault = Vault(db, keyring, settings.secrets)
        self.tallies = Tallies(db, clock)
        self.spans = spans_of(settings)
        self.deliver = Deliver(
            db,
            keyring,
            self.outbound,
            clock,
            draw,
            self.tuning,
            self.operator,
            self.trail,
            self.vault,
            lease="lease_" + uuid_utils.uuid7().hex,
            lease_ms=LEASE_MS,
            poll_s=1.0 if db.dialect == "sqlite" else 0.05,
            rollouts=settings.rollouts,
            spans=self.spans,
            home=settings.public_url.rstrip("/"),
        )
        self.intake = Intake(
            db,
            clock,
            ids,
            self.tuning,
            hand_over=self.deliver if works else Nowhere(),
            lease_ms=LEASE_MS,
            name="" if db.dialect == "sqlite" else uuid_utils.uuid7().hex,
            operator=self.operator,
            flood=Flood(settings.flood_per_minute) if settings.flood_per_minute else None,
            rollouts=settings.rollouts,
            spans=self.spans,
        )
        self.library = Library(settings.flows)
        self.flows = Runner(
            db,
            keyring,
            self.library,
            handlers(with_scripts=settings.flows_scripts),
            self.lend,
            self.inside,
            clock,
            lease="flows_" + uuid_utils.uuid7().hex,
            at_once=settings.flows_at_once if works else 0,
            secrets=settings.secrets,
        )
        self.buses = self.buses_of(settings)
        self.watcher = Watcher(db, self.library, self.flows.queue, self.flows.wake.set, clock, DEFAULT_TENANT)
        self.handed_over = HandedOver(
            Path(settings.data_dir) / SPOOL_FOLDER, self.intake.accept, keyring, self.slack_endpoint
        )
        self.timers = Timers(clock)
        self.under_way: set[asyncio.Task[None]] = set()
        self.sweep = Sweep(
            db,
            clock,
            self.intake.accept,
            cleaner=Cleaner(db, self.trail, kept_of(settings)),
            clock=self.steady,
            others=(end_silences, self.timers.fire, AuditHeads().tell),
        )

    @classmethod
    async def open(
        cls, settings: Settings, *, works: bool = True, clock: Callable[[], int] | None = None, ids: NewId = new_id
    ) -> "App":
        db, keyring = await open_store(settings, (clock or clock_ms)())
        app = cls(settings, db, keyring, works=works, clock=clock, ids=ids)
        await app.steady.follow(db)
        app.steady.set_ms, app.steady.moved_ms = None, 0
        await app.take_environment()
        if settings.flows:
            if not await asyncio.to_thread(os.path.isdir, settings.flows):
                raise SettingsError(f"TOCSIN_FLOWS={settings.flows}: there is no such folder.")
            await asyncio.to_thread(app.library.look)
        if works and db.dialect == "postgres":
            await partitions.make_ahead(db, app.clock_ms())  # before the first attempt is written
        if works and db.dialect == "sqlite":
            async with db.transaction() as tx:
                await queue.take_back(tx, "my_old_leases", {"now": app.clock_ms(), "limit": LEASE_LOSSES})
                await flows.take_back(tx)
        return app

    def buses_of(self, settings: Settings) -> list[BusIntake]:
        """Raises SettingsError where one is not what it has to be, or its client is not installed."""
        reader = "tocsin-" + uuid_utils.uuid7().hex
        try:
            addresses = parse_bus_urls(settings.bus_url)
            tls = system_trust(settings.ca_file) if any(address.tls for address in addresses) else None
            return [
                BusIntake(
                    address,
                    bus_of(address, tls if address.tls else None, settings.ca_file, reader),
                    self.meter,
                    self.db,
                    self.intake.accept,
                    self.clock_ms,
                    self.new_id,
                    draw,
                )
                for address in addresses
            ]
        except Invalid as wrong:
            raise SettingsError(str(wrong)) from wrong
        except MissingClient as error:
            raise SettingsError(str(error)) from error

    async def take_environment(self) -> None:
        """An address or a token in the environment alone is enough to be told: each becomes an endpoint of the default
        tenant, and follows the environment from then on."""
        known = await config.list_endpoints(self.db, DEFAULT_TENANT, after="", limit=10_000, filters={})
        mine = {endpoint.name: endpoint for endpoint in known if endpoint.created_by == "environment"}
        for given in from_environment(self.settings):
            await self._take(given, mine.get(given.name))

    async def slack_endpoint(self, address: str) -> str:
        """The id of the endpoint for this address that nobody set up by hand: the environment's, or one that is made.
        Raises Invalid."""
        check = PROVIDERS["slack"].check_address
        assert check is not None
        address = check(address)
        name = "SLACK_WEBHOOK_URL"
        if address != self.settings.slack_webhook_url:
            name = f"SlackNotifier {hashlib.sha256(address.encode()).hexdigest()[:12]}"
        for again in (False, True):
            known = await config.list_endpoints(self.db, DEFAULT_TENANT, after="", limit=10_000, filters={})
            mine = next((one for one in known if (one.created_by, one.name) == ("environment", name)), None)
            if mine is None and not again:
                await self._take(FromEnvironment(name, "slack", hint_of(address), (), address), None)
        assert mine is not None
        return mine.id

    async def _take(self, given: "FromEnvironment", known: Endpoint | None) -> None:
        now_ms = self.clock_ms()
        async with self.db.transaction() as tx:
            if known is None:
                endpoint = Endpoint(
                    id=self.new_id("whk"),
                    tenant_id=DEFAULT_TENANT,
                    user_id="",
                    provider_type=given.kind,
                    name=given.name,
                    description="Taken from the environment",
                    address_hint=given.hint,
                    enabled_events=given.events,
                    settings=given.settings,
                    created_by="environment",
                    created_ms=now_ms,
                )
                await config.add_endpoint(tx, self.keyring, endpoint, given.address, (), {})
                after = {"name": given.name, "provider_type": given.kind, "webhook_url": given.hint}
                await self.trail.add(
                    tx, Act(DEFAULT_TENANT, ENVIRONMENT, "webhook.create", "webhook", endpoint.id, after=after)
                )
            elif known.address_hint != given.hint or known.settings != given.settings:
                await config.change_address(tx, self.keyring, known, given.address, given.hint, now_ms)
                await config.change_endpoint(tx, replace(known, settings=given.settings), now_ms)
                before: dict[str, Any] = {"webhook_url": known.address_hint, "settings": known.settings}
                wanted: dict[str, Any] = {"webhook_url": given.hint, "settings": given.settings}
                old, new = changes(before, wanted)
                act = Act(DEFAULT_TENANT, ENVIRONMENT, "webhook.update", "webhook", known.id, old, new)
                await self.trail.add(tx, act)

    def lend(self, tenant_id: str) -> Lent:
        """What an execution of this tenant may reach."""

        async def secret(name: str) -> str | None:
            return (await self.vault.values(tenant_id, [name])).get(name)

        return Lent(
            now_ms=self.clock_ms,
            new_id=lambda: self.new_id("tsk"),
            envs=self.settings.envs if tenant_id == DEFAULT_TENANT else {},
            secret=secret,
            tell=teller(tenant_id, self.intake.accept),
            send=self.outbound.send,
        )

    def inside(self, tenant_id: str) -> Inside:
        notifier = Notifier(
            self.db, self.keyring, self.trail, self.intake.accept, self.clock_ms, self.operator, tenant_id
        )
        home = self.settings.public_url.rstrip("/")
        return Inside(self.db, tenant_id, notifier, home, self.library, self.flows.enqueue, self.flows.ended)

    def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Does it without anybody waiting for it; it ends before the store is closed. It handles its own errors."""
        task = asyncio.create_task(work)
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def close(self) -> None:
        await asyncio.gather(*self.under_way, return_exceptions=True)
        await self.outbound.close()
        await self.db.close()
        if self.spans is not None:
            await asyncio.to_thread(self.spans.close)


def kept_of(settings: Settings) -> Kept:
    return Kept(
        events=settings.retention_days,
        attempts=settings.retention_attempt_days,
        dead=settings.retention_dead_days,
        runs=settings.retention_run_days,
        inbox=settings.retention_inbox_days,
        audit=settings.retention_audit_days,
    )


class FromEnvironment(Struct, frozen=True):
    """An endpoint that the environment asks for. `name` is the variable's."""

    name: str
    kind: str
    hint: str
    events: tuple[str, ...]
    address: str = ""
    settings: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"FromEnvironment({self.name})"


ADMIN_EVENTS = (
    "run.failed", "run.exceeded", "run.missed", "safety.rollback", "experiment.*", "alert", "alert.*", "endpoint.*",
)  # fmt: skip
"""What NOTIFICATION_ADMIN_EMAILS are told of: trouble, and how experiments go; no stage of a rollout."""


def from_environment(settings: Settings) -> list[FromEnvironment]:
    found = []
    if settings.slack_webhook_url:
        check = PROVIDERS["slack"].check_address
        assert check is not None
        address = check(settings.slack_webhook_url)
        found.append(FromEnvironment("SLACK_WEBHOOK_URL", "slack", hint_of(address), ("*",), address))
    if settings.slack_bot_token and settings.slack_channel:
        found.append(FromEnvironment("SLACK_BOT_TOKEN", "slack_bot", settings.slack_channel, ("*",)))
    emails = [email.strip() for email in settings.admin_emails.split(",") if email.strip()]
    if emails and (settings.sendgrid_api_key or settings.smtp_host):
        to = {"to": emails}
        found.append(
            FromEnvironment("NOTIFICATION_ADMIN_EMAILS", "email", ", ".join(emails)[:200], ADMIN_EVENTS, "", to)
        )
    return found


def hint_of(address: str) -> str:
    """An address as it may be shown: its last ten characters, or the whole name of a secret that holds it."""
    return address if is_reference(address) else "…" + address[-10:] if address else ""


def switched_off(settings: Settings) -> list[str]:
    """Why features are off in the settings, and which: one line for each reason."""
    tuning = provider_tuning(settings)
    kinds: dict[str, list[str]] = {}
    for kind, tuned in tuning.items():
        if tuned.off:
            kinds.setdefault(tuned.off, []).append(kind)
    for feature, rollout in settings.rollouts.items():
        if rollout.state != "on":
            kinds.setdefault(f"{rollout.setting} is {rollout.said()}", []).append(feature)
    return [f"{', '.join(found)}: {reason}" for reason, found in kinds.items()]
