"""`tocsin` with what only tests may change; none of it is a setting of the product.

TEST_LEASE_MS       how long a worker's claim holds, with a margin to match
TEST_LOCK_WAIT_S    how long SQLite waits for another program that holds the file
TEST_SYNCHRONOUS    SQLite's level, for the control that has to lose events
TEST_POWER_CUT      the chance that an unsynced write reaches the disk by itself; "" runs without power_cut_vfs.py
TEST_GOOD_SYNCS     after so many the disk fails once; only with TEST_POWER_CUT
"""

import os
from functools import partial
from types import ModuleType
from typing import Any

import tocsin.app
import tocsin.stages.deliver
import tocsin.store.sqlite
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
