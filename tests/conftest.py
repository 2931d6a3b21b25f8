"""Options that every test folder shares; a running Tocsin on both stores (see harness.py)."""

import asyncio
import gc
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import starlette.routing
from hypothesis import HealthCheck, settings
from structlog.testing import capture_logs

from tests.harness import Clock, Receiver, Running, Start, receiving, running
from tests.postgres import PostgresServer, start_postgres
from tests.programs import PROGRAMS, needed
from tocsin.app import DATABASE_FILE, KEY_FILE, keyring_of, open_database
from tocsin.settings import read_settings
from tocsin.store.migrate import migrate
from tocsin.web import passwords

settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")

STORES = ("sqlite", "postgres")

# Where it is set, processes that tests start compile all of Tocsin anew each time: half of their start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Each new connection asks PostgreSQL what an array is, which costs more than most of what tests do with it.
CONNECTION: Any = asyncpg.Connection
introspected = CONNECTION._introspect_types
INTROSPECTED: dict[tuple[int, ...], Any] = {}


async def introspect_once(connection: Any, oids: Iterable[int], timeout: float) -> Any:
    asked = tuple(sorted(oids))
    if asked not in INTROSPECTED:
        INTROSPECTED[asked] = await introspected(connection, asked, timeout)
    return INTROSPECTED[asked]


CONNECTION._introspect_types = introspect_once

# Each start of Tocsin compiles a pattern for each of its routes, and there are thousands of starts.
starlette.routing.compile_path = cache(starlette.routing.compile_path)

HEAVY = ("tests/dashboard/", "tests/end_to_end/", "tests/frameworks/", "tests/stages/", "tests/web/", "tests/cli/")
"""Whose files take long come first: at the end, when one worker has no file left, the other is through soon."""

SHARED_MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 4 << 30


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files from what the code says now")
    parser.addoption("--proof", action="store_true", help="run the long proofs as well")


NO_KAFKA = (
    "Kafka itself: Debian has none. What was read is the mock of a cluster that librdkafka brings along; it speaks "
    "Kafka's protocol over sockets, but keeps nothing and was not killed. NATS, Redis and RabbitMQ were real servers."
)


def pytest_configure(config: pytest.Config) -> None:
    """Thousands of stores wait for no disk: none of them has to outlive the machine."""
    if not SHARED_MEMORY.is_dir():
        return
    found = os.statvfs(SHARED_MEMORY)
    is_enough = found.f_bavail * found.f_frsize >= ENOUGH_BYTES
    if is_enough and not found.f_flag & (os.ST_NOEXEC | os.ST_RDONLY):  # some tests write programs, and run them
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(SHARED_MEMORY))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(HEAVY))
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        case = getattr(item, "callspec", None)
        if "chromium" in fixtures and case and case.params.get("store") == "postgres":
            item.add_marker(pytest.mark.proof)  # what people see is the same on either store
        if (missing := needed(fixtures)) and not os.environ.get("CI"):
            item.add_marker(pytest.mark.skip(reason=missing[0].missing))
    if config.getoption("--proof"):
        return
    long = [item for item in items if item.get_closest_marker("proof")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("proof")]


def pytest_collection_finish() -> None:
    """Thousands of tests, and all that they import, are never garbage: nobody looks through them again and again."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What was left out is not passed over in silence. Nothing else is ever left out."""
    if config.getoption("--proof"):
        terminalreporter.section("NOT PROVEN HERE", sep="!", red=True, bold=True)
        terminalreporter.line(NO_KAFKA, red=True, bold=True)
    skipped = terminalreporter.stats.get("skipped", ())
    for program in needed(PROGRAMS):
        if left_out := sum(program.missing in str(one.longrepr) for one in skipped):
            terminalreporter.section("NOT EVERYTHING WAS TESTED", sep="!", red=True, bold=True)
            said = f"{left_out} {program.tests} were left out: {program.missing}."
            terminalreporter.line(said, red=True, bold=True)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """asyncio with uvloop, as the service runs."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def curl() -> None:
    """The program, for what is run by a shell."""
    PROGRAMS["curl"].found()


@pytest.fixture(scope="session")
def ssh_keygen() -> None:
    """The program, for what is run by a shell."""
    PROGRAMS["ssh_keygen"].found()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A real server for the whole session. Nobody pulls the plug on it, so it need not sync."""
    server = start_postgres(tmp_path_factory.mktemp("postgres"), durable=False)
    yield server
    server.remove()


@pytest.fixture(scope="session")
def postgres_dsn(postgres: PostgresServer) -> str:
    """The one database that tests share; `store` empties it for each."""
    postgres.drop_database("shared")  # of a server that was given, and used before
    return postgres.create_database("shared") + "?sslmode=disable"  # it has none: do not ask with each connection


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key and a SQLite store in which nothing is but its schema, to be copied: migrations take longer
    than most tests."""
    folder = tmp_path_factory.mktemp("migrated")
    settings = read_settings({"TOCSIN_DATA_DIR": str(folder)})

    async def made() -> None:
        database = await open_database(settings)
        await migrate(database)
        await database.close()

    asyncio.run(made())
    keyring_of(settings)
    assert {file.name for file in folder.iterdir()} == {DATABASE_FILE, KEY_FILE}
    return folder


@pytest.fixture(scope="session")
def emptied(postgres_dsn: str) -> Iterator[Callable[[], None]]:
    """Empties the shared database, over a connection that knows its tables by now."""
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(postgres_dsn))
        yield lambda: runner.run(delete_all(connection))
        runner.run(connection.close())


def own_store(request: pytest.FixtureRequest, folder: Path, name: str) -> dict[str, str]:
    """The settings that say where a store is that its tests share with no others: `request.param` is which kind,
    `folder` where its data are, `name` what its database is called."""
    found = {"TOCSIN_DATA_DIR": str(folder / "data"), "TOCSIN_DATABASE_URL": ""}
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        server.drop_database(name)
        found["TOCSIN_DATABASE_URL"] = server.create_database(name) + "?sslmode=disable"
    return found


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """The settings that say where the store is: an empty one, of either kind."""
    data = tmp_path / "data"
    data.mkdir(0o700)
    migrated: Path = request.getfixturevalue("migrated")
    shutil.copy(migrated / KEY_FILE, data)
    found = {"TOCSIN_DATA_DIR": str(data), "TOCSIN_DATABASE_URL": ""}
    if request.param == "postgres":
        found["TOCSIN_DATABASE_URL"] = request.getfixturevalue("postgres_dsn")
        request.getfixturevalue("emptied")()
    else:
        shutil.copy(migrated / DATABASE_FILE, data)
    return found


async def empty(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await delete_all(connection)
    finally:
        await connection.close()


async def delete_all(connection: Any) -> None:
    """Every row of Tocsin's: quicker than another database, or than TRUNCATE with its new files."""
    found = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    tables = {row[0] for row in found} - {"migration"}
    in_order = sorted(tables, key=lambda table: (table == "tenant", table))  # others refer to that one
    if in_order:
        await connection.execute("".join(f'DELETE FROM "{table}";' for table in in_order))


@pytest.fixture
def logs() -> Iterator[list[dict[str, Any]]]:
    """What is logged, down to debug, as dictionaries: `event` is the message. Nothing is printed."""
    with capture_logs() as found:
        yield found  # type: ignore[misc]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def receiver(anyio_backend: Any, clock: Clock) -> AsyncIterator[Receiver]:
    """Fails the test, at its end, for every message that it did not expect."""
    async with receiving(clock) as found:
        yield found
    found.check()


def standard(receiver: Receiver) -> dict[str, str]:
    """The settings of tests that say nothing else."""
    return {
        "TOCSIN_ALLOW_TARGETS": "127.0.0.0/8",
        "TOCSIN_CONNECT_TO": receiver.diversions,
        "TOCSIN_DRAIN_SECONDS": "0.2",
    }


@pytest.fixture
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """argon2id with little work. What it costs in earnest is tested by web/test_passwords.py."""
    monkeypatch.setattr(passwords, "MEMORY_KIB", 64)
    monkeypatch.setattr(passwords, "ROUNDS", 1)
    monkeypatch.setattr(passwords, "NOBODY", passwords.NOBODY.replace("m=19456,t=2", "m=64,t=1"))


@pytest.fixture
async def start(
    store: dict[str, str], clock: Clock, receiver: Receiver, logs: list[dict[str, Any]], quick_passwords: None
) -> AsyncIterator[Start]:
    """Starts Tocsin with settings of the test's own. Fails the test for an exception that nobody meant: one that is
    meant is taken out of `logs`."""
    async with AsyncExitStack() as stack:

        async def started(*, works: bool = True, **environment: str) -> Running:
            settings = store | standard(receiver) | environment
            return await stack.enter_async_context(running(settings, clock, receiver, works=works))

        yield started
    crashes = [entry for entry in logs if entry.get("exc_info")]
    assert not crashes, crashes


@pytest.fixture
async def tocsin(start: Start) -> Running:
    """Tocsin with standard settings, on each store."""
    return await start()


@pytest.fixture(scope="module", params=STORES)
async def standing(
    request: pytest.FixtureRequest, anyio_backend: Any, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Running]:
    """One Tocsin with standard settings for all tests of a module that ask for it: for those that are refused, and for
    those that do not mind what others left behind. A start costs more than a hundred requests."""
    store = own_store(request, tmp_path_factory.mktemp("standing"), "standing")
    clock = Clock()
    with capture_logs() as logs:
        async with receiving(clock) as receiver, running(store | standard(receiver), clock, receiver) as found:
            yield found
        receiver.check()
    crashes = [entry for entry in logs if entry.get("exc_info")]
    assert not crashes, crashes


@pytest.fixture(scope="module")
def frozen() -> None:
    """Takes what the tests before left out of garbage collection: it would count where time is measured."""
    gc.collect()
    gc.freeze()
