"""`tocsin` with what only tests may change; none of it is a setting of the product.

TEST_LEASE_MS       how long a worker's claim holds, with a margin to match
TEST_LOCK_WAIT_S    how long SQLite waits for another program that holds the file
TEST_SYNCHRONOUS    SQLite's level, for the control that has to lose events
TEST_POWER_CUT      the chance that an unsynced write reaches the disk by itself; "" runs without power_cut_vfs.py
TEST_MIGRATION      a file with one migration more, as a version after this one would have
TEST_CLOCK          a file: by so many seconds this process's clock is wrong; read anew each time
TEST_FOLLOW_S       how often it looks at the other clock
TEST_GOOD_SYNCS     after so many the disk fails once; only with TEST_POWER_CUT
"""

import os
import sys
import time
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import tocsin.app
import tocsin.stages.deliver
import tocsin.store.migrate
import tocsin.store.sqlite
import tocsin.worker
from tests.end_to_end.power_cut_vfs import PowerCutVfs
from tocsin.cli.main import run
from tocsin.store.sqlite import SqliteDatabase


def change(module: ModuleType, name: str, value: Any) -> None:
    if not hasattr(module, name):
        raise SystemExit(f"launcher.py: {module.__name__} has no {name} any more; the tests that change it are blind.")
    setattr(module, name, value)


lease_ms = os.environ.get("TEST_LEASE_MS", "")
if lease_ms:
    change(tocsin.app, "LEASE_MS", int(lease_ms))
    change(tocsin.stages.deliver, "LEASE_MARGIN_MS", 1000)

lock_wait_s = os.environ.get("TEST_LOCK_WAIT_S", "")
if lock_wait_s:
    change(tocsin.store.sqlite, "LOCK_WAIT_S", float(lock_wait_s))

migration_file = os.environ.get("TEST_MIGRATION", "")
if migration_file:
    own = tocsin.store.migrate.migrations
    one_more = tocsin.store.migrate.Migration(9001, "of_the_next_version", Path(migration_file).read_text("utf-8"))

    def with_one_more(dialect: str) -> list[tocsin.store.migrate.Migration]:
        print("TEST_MIGRATION is known", file=sys.stderr, flush=True)
        return [*own(dialect), one_more]

    change(tocsin.store.migrate, "migrations", with_one_more)

follow_s = os.environ.get("TEST_FOLLOW_S", "")
if follow_s:
    change(tocsin.worker, "FOLLOW_S", float(follow_s))

wrong_by = os.environ.get("TEST_CLOCK", "")
if wrong_by:

    class WrongClock:
        monotonic_ns = staticmethod(time.monotonic_ns)

        @staticmethod
        def time_ns() -> int:
            return time.time_ns() + round(float(Path(wrong_by).read_text()) * 1e9)

    change(tocsin.app, "time", WrongClock)

options: dict[str, Any] = {}
synchronous = os.environ.get("TEST_SYNCHRONOUS", "")
if synchronous:
    options["synchronous"] = synchronous
chance = os.environ.get("TEST_POWER_CUT", "")
vfs = PowerCutVfs(float(chance), int(os.environ.get("TEST_GOOD_SYNCS", "-1"))) if chance else None
if vfs is not None:
    options["vfs"] = vfs.name
if options:
    change(tocsin.app, "SqliteDatabase", partial(SqliteDatabase, **options))

if __name__ == "__main__":
    run()
