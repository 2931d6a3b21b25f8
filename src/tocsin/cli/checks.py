"""What `tocsin doctor` looks at: what web/checks.py knows, and what is to be seen while no server runs."""

import asyncio
import errno
import fcntl
import json
import urllib.request
from pathlib import Path

from tocsin.app import DATABASE_FILE, LOCK_FILE, clock_ms, open_database
from tocsin.settings import Settings, SettingsError, read_settings
from tocsin.store import ledger, retention
from tocsin.store.database import Database, StoreBroken, StoreUnavailable, StoreUnfit
from tocsin.store.migrate import ahead, pending
from tocsin.web.api.stats import named
from tocsin.web.checks import Finding, durability, machine, masked, python, reached, sealed, times
from tocsin.web.server import listen

LOST = "Somebody or something else wrote to the database. Compare with a back-up; have the senders send again."
HEALTH_S = 2.0


def examine(*, reconcile: bool = False) -> list[Finding]:
    """Every check, in an order in which the first problem is the one to mend first. `reconcile` adds one that reads the
    whole store."""
    findings = [python()]
    try:
        settings = read_settings()
    except SettingsError as error:
        return [*findings, Finding("problem", "settings", str(error), "Correct it in the environment or the file.")]
    findings += [Finding("ok", "settings", "read and valid"), *machine(settings, clock_ms())]
    findings += [process(settings), port(settings)]
    findings += asyncio.run(store(settings, reconcile=reconcile))
    return [masked(finding, settings) for finding in findings]


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


async def store(settings: Settings, *, reconcile: bool) -> list[Finding]:
    """The database: reachable, able to hold what is promised, of this program's version, and sealed with our key."""
    if settings.is_sqlite and not (Path(settings.data_dir) / DATABASE_FILE).exists():
        return [Finding("ok", "store", "none yet; it is made at the first start")]
    try:
        database = await open_database(settings)
    except Exception as error:  # whatever it is, it is what the doctor was asked for
        return [store_problem(settings, error)]
    try:
        findings = [await reached(database), *await durability(database)]
        waiting = await pending(database)
        if waiting:
            said = f"{len(waiting)} to run: {', '.join(f'{one.number:04d}_{one.name}' for one in waiting)}."
            return [*findings, Finding("warning", "migrations", said, "Run `tocsin migrate`, or start the server.")]
        newer = await ahead(database)
        said = f"newer than this program, which may work with it: {', '.join(newer)}" if newer else "up to date"
        findings += [Finding("ok", "migrations", said), await sealed(settings, database)]
        findings.append(await times(database, clock_ms))
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


async def accounts(database: Database) -> list[Finding]:
    """What was accepted against what is there: every tenant, every day that is kept."""
    findings, events, deliveries = [], 0, 0
    for tenant_id in await retention.tenants(database):
        for days in await ledger.reconcile(database, tenant_id, 0, clock_ms() // ledger.DAY_MS):
            events, deliveries = events + days.accepted, deliveries + days.planned
            findings += [Finding("problem", "reconcile", f"{tenant_id}, {said}.", LOST) for said in named(days)]
    said = f"{events} events and {deliveries} deliveries are all accounted for"
    return findings or [Finding("ok", "reconcile", said)]
