"""What `tocsin doctor` looks at. Each check returns findings in words, and none of them raises or shows a secret."""

import asyncio
import datetime as dt
import errno
import fcntl
import json
import shutil
import stat
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from msgspec import Struct

from tocsin.app import DATABASE_FILE, KEY_FILE, LOCK_FILE, clock_ms, keyring_of, open_database, switched_off
from tocsin.cli.running import open_to_others
from tocsin.model.errors import Refusal
from tocsin.outbound.address_guard import parse_allow_targets
from tocsin.outbound.http import parse_connect_to
from tocsin.outbound.proxy import parse_proxy
from tocsin.outbound.tls import system_trust
from tocsin.settings import Settings, SettingsError, read_settings
from tocsin.store import config, ledger, log, retention, sqlite
from tocsin.store.database import Database, StoreBroken, StoreUnavailable, StoreUnfit
from tocsin.store.migrate import pending
from tocsin.store.sealing import WrongKey
from tocsin.web.api.stats import named
from tocsin.web.people import check_sign_in
from tocsin.web.routes import LAST
from tocsin.web.server import listen

OLDEST_PYTHON = (3, 11)
EARLIEST_YEAR = 2025
"""This program did not exist before: a clock that says so was never set."""

CLOCK_WARNING_MS, CLOCK_PROBLEM_MS = 5_000, 30_000
"""Processes that share a store compare its times with their own clocks; a lease is 60 s."""

LOST = "Somebody or something else wrote to the database. Compare with a back-up; have the senders send again."
LITTLE_BYTES, FEW_BYTES = 1024**3, 100 * 1024**2
HEALTH_S = 2.0

Level = Literal["ok", "warning", "problem"]


class Finding(Struct, frozen=True):
    """`found` says what is; `mend` says what to do, where there is something to do."""

    level: Level
    check: str
    found: str
    mend: str = ""


def examine(*, reconcile: bool = False) -> list[Finding]:
    """Every check, in an order in which the first problem is the one to mend first. `reconcile` adds one that reads the
    whole store."""
    findings = [python()]
    try:
        settings = read_settings()
    except SettingsError as error:
        return [*findings, Finding("problem", "settings", str(error), "Correct it in the environment or the file.")]
    findings += [Finding("ok", "settings", "read and valid"), *targets(settings), *providers(settings)]
    findings += [data_directory(settings), key_file(settings), disk_space(settings), clock(clock_ms())]
    findings += [process(settings), port(settings), *exposure(settings), *sign_in(settings)]
    if settings.is_sqlite:
        findings.append(sqlite_version())
    findings += asyncio.run(store(settings, reconcile=reconcile))
    return [masked(finding, settings) for finding in findings]


def python() -> Finding:
    said = sys.version.split()[0]
    if sys.version_info[:2] >= OLDEST_PYTHON:
        return Finding("ok", "python", said)
    return Finding("problem", "python", f"{said} is too old.", "Install Python 3.11 or newer and set Tocsin up anew.")


def targets(settings: Settings) -> Iterator[Finding]:
    """The settings that say where messages may go, and the two of them that widen it."""
    for name, text, parse, effect in (
        ("TOCSIN_ALLOW_TARGETS", settings.allow_targets, parse_allow_targets, "private addresses may be reached"),
        ("TOCSIN_CONNECT_TO", settings.connect_to, parse_connect_to, "messages go elsewhere than they are meant for"),
        ("TOCSIN_DENY_TARGETS", settings.deny_targets, lambda text: parse_allow_targets("", deny=text), ""),
        ("TOCSIN_EGRESS_ONLY", settings.egress_only, lambda text: parse_allow_targets("", only=text), ""),
        ("TOCSIN_EGRESS_PROXY", settings.egress_proxy, parse_proxy, ""),
        ("TOCSIN_CA_FILE", settings.ca_file, system_trust, ""),
    ):
        try:
            parse(text)
            if text.strip() and effect:
                yield Finding("warning", "targets", f"{name} is in force: {effect}: {text}.", "Unset it if not meant.")
        except Refusal as refusal:
            yield Finding("problem", "targets", refusal.detail, f"Correct {name}; no server starts with it.")


def providers(settings: Settings) -> Iterator[Finding]:
    for off in switched_off(settings):
        yield Finding("warning", "providers", f"{off}: its messages are suppressed.", "Switch it on to send again.")


def sign_in(settings: Settings) -> Iterator[Finding]:
    try:
        check_sign_in(settings)
    except SettingsError as error:
        yield Finding("problem", "sign-in", str(error), "Correct it; no server starts with it.")


def exposure(settings: Settings) -> Iterator[Finding]:
    if unsafe := open_to_others(settings):
        yield Finding("warning", "exposure", unsafe, "Put TLS in front, or listen on 127.0.0.1.")


def data_directory(settings: Settings) -> Finding:
    folder = Path(settings.data_dir)
    found = nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=found):
            pass
    except OSError as error:
        mend = f"Let this user write there (chown, chmod, or mount it writable), or set TOCSIN_DATA_DIR. Now: {found}."
        return Finding("problem", "data", f"{folder} cannot be written: {error.strerror}.", mend)
    if not folder.exists():
        return Finding("ok", "data", f"{folder} will be made at the first start")
    return Finding("ok", "data", f"{folder.resolve()} can be written")


def nearest(path: Path) -> Path:
    """The path, or the first folder above it that exists."""
    path = path.absolute()
    return next(one for one in (path, *path.parents) if one.is_dir())


def key_file(settings: Settings) -> Finding:
    """The key that seals secrets: present, sound and its owner's alone. Whether it is the right one, `store` says."""
    if settings.secret_key:
        try:
            keyring_of(settings)
        except SettingsError as error:
            return Finding("problem", "key", str(error), "Correct it, or unset it to use the data directory's key.")
        return Finding("ok", "key", "taken from TOCSIN_SECRET_KEY")
    file = Path(settings.data_dir) / KEY_FILE
    if not file.exists():
        if settings.is_sqlite and (Path(settings.data_dir) / DATABASE_FILE).exists():
            mend = f"Put {KEY_FILE} back from a backup, or set TOCSIN_SECRET_KEY to it, before the next start."
            return Finding("problem", "key", f"{file} is gone, and the store was sealed with it.", mend)
        return Finding("ok", "key", f"{file} will be made at the first start")
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        return Finding("problem", "key", f"{file} can be read by others (mode {mode:04o}).", f"chmod 600 {file}")
    try:
        keyring_of(settings)
    except SettingsError as error:
        return Finding("problem", "key", str(error), f"Put the right {KEY_FILE} back, or set TOCSIN_SECRET_KEY.")
    return Finding("ok", "key", f"{file} is its owner's alone")


def disk_space(settings: Settings) -> Finding:
    folder = nearest(Path(settings.data_dir))
    free = shutil.disk_usage(folder).free
    said = f"{free / 1024**3:.1f} GB free at {folder}"
    mend = "Make room, or lower TOCSIN_RETENTION_DAYS: when the disk is full, events are refused with 503."
    if free < FEW_BYTES:
        return Finding("problem", "disk", f"{said}.", mend)
    return Finding("warning", "disk", f"{said}.", mend) if free < LITTLE_BYTES else Finding("ok", "disk", said)


def clock(now_ms: int) -> Finding:
    now = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
    said = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now.year < EARLIEST_YEAR:
        return Finding("problem", "clock", f"It says {said}: it was never set.", SET_CLOCK)
    return Finding("ok", "clock", said)


SET_CLOCK = "Set the clock and keep it right, with chrony or systemd-timesyncd: retries and expiry go by it."


def process(settings: Settings) -> Finding:
    if not settings.is_sqlite:
        return Finding("ok", "process", "any number may share a PostgreSQL store")
    if locked(settings):
        return Finding("ok", "process", "a Tocsin runs with this data directory; SQLite is for one")
    return Finding("ok", "process", "no Tocsin runs with this data directory")


def locked(settings: Settings) -> bool:
    """Whether a running Tocsin holds the store's lock."""
    try:
        with (Path(settings.data_dir) / LOCK_FILE).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def port(settings: Settings) -> Finding:
    host, number = settings.host, settings.port
    if number == 0:
        return Finding("ok", "port", "a free one is taken at each start")
    try:
        listen(host, number).close()
        return Finding("ok", "port", f"{number} of {host} is free")
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            said = f"TOCSIN_HOST={host} TOCSIN_PORT={number}: {error.strerror}."
            return Finding("problem", "port", said, "Choose an address of this machine and a port above 1023.")
    version = tocsin_on(host, number)
    if not version:
        said = f"{number} of {host} is in use by another program."
        return Finding("problem", "port", said, "Stop that program, or set TOCSIN_PORT to a free port.")
    if settings.is_sqlite and not locked(settings):
        said = f"A Tocsin {version} answers on {number} of {host}, and it uses another store."
        return Finding("warning", "port", said, "Set TOCSIN_PORT to a free port to run both.")
    return Finding("ok", "port", f"a Tocsin {version} answers on {number} of {host}")


def tocsin_on(host: str, number: int) -> str:
    """The version of the Tocsin that answers there; "" where something else does."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{name}:{number}/healthz", timeout=HEALTH_S) as answer:
            found = json.loads(answer.read(10_000))
        return str(found["version"]) if found["status"] == "ok" else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def sqlite_version() -> Finding:
    said = sqlite.library_version()
    if tuple(int(part) for part in said.split(".")) >= sqlite.OLDEST:
        return Finding("ok", "sqlite", f"{said}, brought by apsw")
    oldest = ".".join(map(str, sqlite.OLDEST))
    mend = "Install the apsw wheel that Tocsin's requirements name: it brings its own SQLite."
    return Finding("problem", "sqlite", f"{said} can corrupt a write-ahead log; {oldest} or newer is needed.", mend)


async def store(settings: Settings, *, reconcile: bool) -> list[Finding]:
    """The database: reachable, able to hold what is promised, of this program's version, and sealed with our key."""
    if settings.is_sqlite and not (Path(settings.data_dir) / DATABASE_FILE).exists():
        return [Finding("ok", "store", "none yet; it is made at the first start")]
    try:
        database = await open_database(settings)
    except Exception as error:  # whatever it is, it is what the doctor was asked for
        return [store_problem(settings, error)]
    try:
        findings = [await reached(database)]
        findings += [
            Finding("problem", "durability", weakness, "Until then a power cut loses what was accepted.")
            for weakness in await database.weaknesses()
        ] or [Finding("ok", "durability", "what is accepted survives a power cut")]
        waiting = await pending(database)
        if waiting:
            said = f"{len(waiting)} to run: {', '.join(f'{one.number:04d}_{one.name}' for one in waiting)}."
            return [*findings, Finding("warning", "migrations", said, "Run `tocsin migrate`, or start the server.")]
        findings += [Finding("ok", "migrations", "up to date"), await sealed(settings, database)]
        findings.append(await times(database))
        return [*findings, *await accounts(database)] if reconcile else findings
    except Exception as error:
        return [*findings, store_problem(settings, error)]
    finally:
        await database.close()


def store_problem(settings: Settings, error: Exception) -> Finding:
    said = str(error) or type(error).__name__
    if isinstance(error, SettingsError):
        return Finding("problem", "store", said, "Correct TOCSIN_DATABASE_URL.")
    if isinstance(error, StoreUnfit):
        return Finding("problem", "store", said, "Nothing was changed.")
    if isinstance(error, StoreBroken):
        return Finding("problem", "store", said, "Look at the disk (dmesg), then restore the last backup if need be.")
    if "read-only" in said:
        mend = "Point TOCSIN_DATABASE_URL at the primary, or end its read-only mode (default_transaction_read_only)."
        if settings.is_sqlite:
            mend = "Let this user write the database's files, and mount the disk writable."
        return Finding("problem", "store", said, mend)
    if isinstance(error, StoreUnavailable) and "permission denied" not in said:
        mend = "Is the server running? Check host, port, user, password and database in TOCSIN_DATABASE_URL."
        if settings.is_sqlite:
            mend = "End the program that holds it, or make room on the disk."
        return Finding("problem", "store", said, mend)
    mend = "Give the user of TOCSIN_DATABASE_URL the right to create tables: GRANT CREATE ON SCHEMA public TO …"
    if settings.is_sqlite:
        mend = f"If {DATABASE_FILE} is damaged, restore it from a backup."
    return Finding("problem", "store", f"{type(error).__name__}: {said}", mend)


async def reached(database: Database) -> Finding:
    if database.dialect == "sqlite":
        return Finding("ok", "store", f"{DATABASE_FILE} opens")
    number = int((await database.read("server_version"))[0][0])
    return Finding("ok", "store", f"PostgreSQL {number // 10_000}.{number % 10_000} answers")


async def sealed(settings: Settings, database: Database) -> Finding:
    """Whether the key at hand is the one that sealed this store's secrets. A key is not made here."""
    if not await database.read("get_meta", {"name": "key_check"}):
        return Finding("ok", "sealed", "nothing is sealed yet")
    if not settings.secret_key and not (Path(settings.data_dir) / KEY_FILE).exists():
        mend = "Set TOCSIN_SECRET_KEY to the key of the other processes, or put the key file back."
        return Finding("problem", "sealed", "The store is sealed, and there is no key here.", mend)
    try:
        await config.make_key_check(database, keyring_of(settings))
    except WrongKey as error:
        mend = "Put the right key back, or several: TOCSIN_SECRET_KEY=new,old. Without it every webhook is set up anew."
        return Finding("problem", "sealed", f"The key is not the one that sealed this store. {error}", mend)
    except SettingsError as error:
        return Finding("problem", "sealed", str(error), "Correct the key.")
    return Finding("ok", "sealed", "the key opens this store's secrets")


async def times(database: Database) -> Finding:
    """Our clock beside the database's, where that is another machine's; beside the newest event, where it is ours."""
    if database.dialect == "sqlite":
        return await beside_newest_event(database)
    before_ms = clock_ms()
    theirs_ms = int((await database.read("database_time"))[0][0])
    ahead_ms = (before_ms + clock_ms()) // 2 - theirs_ms
    said = f"{abs(ahead_ms) / 1000:.1f} s {'ahead of' if ahead_ms > 0 else 'behind'} PostgreSQL's clock"
    if abs(ahead_ms) < CLOCK_WARNING_MS:
        return Finding("ok", "times", f"within {CLOCK_WARNING_MS // 1000} s of PostgreSQL's clock")
    return Finding("warning" if abs(ahead_ms) < CLOCK_PROBLEM_MS else "problem", "times", f"{said}.", SET_CLOCK)


async def accounts(database: Database) -> list[Finding]:
    """What was accepted against what is there: every tenant, every day that is kept."""
    findings, events, deliveries = [], 0, 0
    for tenant_id in await retention.tenants(database):
        for days in await ledger.reconcile(database, tenant_id, 0, clock_ms() // ledger.DAY_MS):
            events, deliveries = events + days.accepted, deliveries + days.planned
            findings += [Finding("problem", "reconcile", f"{tenant_id}, {said}.", LOST) for said in named(days)]
    said = f"{events} events and {deliveries} deliveries are all accounted for"
    return findings or [Finding("ok", "reconcile", said)]


async def beside_newest_event(database: Database) -> Finding:
    newest_ms = 0
    for tenant_id in await retention.tenants(database):
        for event in await log.list_events(database, tenant_id, before=LAST, limit=1, filters={}):
            newest_ms = max(newest_ms, event.received_ms)
    behind_ms = newest_ms - clock_ms()
    if behind_ms > CLOCK_WARNING_MS:
        said = f"The clock is {behind_ms / 1000:.0f} s behind the newest event that was received: it was set back."
        return Finding("problem", "times", said, SET_CLOCK)
    return Finding("ok", "times", "no event is from the future")


def masked(finding: Finding, settings: Settings) -> Finding:
    """A driver's error may repeat the address it was given."""
    found, mend = finding.found, finding.mend
    for secret, shown in hidden(settings):
        found, mend = found.replace(secret, shown), mend.replace(secret, shown)
    return Finding(finding.level, finding.check, found, mend)


def hidden(settings: Settings) -> Iterator[tuple[str, str]]:
    """What must not be shown, and what is shown instead."""
    for secret in (settings.secret_key, settings.slack_webhook_url):
        if secret:
            yield secret, "***"
    if not settings.database_url:
        return
    yield settings.database_url, without_password(settings.database_url)
    try:
        parts = urlsplit(settings.database_url)
        given = [parts.password or "", *(value for name, value in parse_qsl(parts.query) if name == "password")]
    except ValueError:
        return
    for password in given:
        for form in {password, unquote(password)} - {""}:
            yield form, "***"


def without_password(url: str) -> str:
    try:
        parts = urlsplit(url)
        query = urlencode([(name, "***" if name == "password" else value) for name, value in parse_qsl(parts.query)])
        where = parts.netloc.rpartition("@")[2]
        user = f"{parts.username}:***@" if parts.password else f"{parts.username}@" if parts.username else ""
        return urlunsplit((parts.scheme, user + where, parts.path, query, ""))
    except ValueError:
        return "***"
