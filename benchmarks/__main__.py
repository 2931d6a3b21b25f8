"""`make bench`: every figure beside the limit measured in the same run.

    python -m benchmarks                         all of them, about a quarter of an hour
    python -m benchmarks sqlite-single idle      some
    python -m benchmarks --list                  their names
    python -m benchmarks --seconds 2 --rounds 1 --backlog 100000   a quick look

Prints a table and writes everything measured to benchmarks/results/<time>.json. Two shared cores carry load, sink,
database and the system under test: trust the ratios. Exit code 1 where a figure falls short or could not be measured.
"""

import argparse
import os
import platform
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import apsw
import msgspec
import psutil  # type: ignore[import-untyped]

from benchmarks import backlog, bus, client, disk, hanging, idle, latency, many, noise, rules, startup, throughput
from benchmarks.figure import Figure, table
from benchmarks.process import ROOT
from benchmarks.systems import Bench

RESULTS = ROOT / "benchmarks" / "results"

FIGURES: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "sqlite-single": partial(throughput.run, store="sqlite", batch=1),
    "postgres-single": partial(throughput.run, store="postgres", batch=1),
    "sqlite-batch": partial(throughput.run, store="sqlite", batch=100),
    "postgres-batch": partial(throughput.run, store="postgres", batch=100),
    "sqlite-latency": partial(latency.run, store="sqlite"),
    "postgres-latency": partial(latency.run, store="postgres"),
    "sqlite-bus": partial(bus.run, store="sqlite"),
    "postgres-bus": partial(bus.run, store="postgres"),
    "many": many.run,
    "hanging": partial(hanging.run, store="sqlite"),
    "rules": partial(rules.run, store="sqlite"),
    "sqlite-noise": partial(noise.run, store="sqlite"),
    "postgres-noise": partial(noise.run, store="postgres"),
    "sqlite-backlog": partial(backlog.run, store="sqlite"),
    "postgres-backlog": partial(backlog.run, store="postgres"),
    "sqlite-disk": partial(disk.run, store="sqlite"),
    "postgres-disk": partial(disk.run, store="postgres"),
    "idle": partial(idle.run, store="sqlite"),
    "client": client.run,
    "help": startup.run_help,
    "start": partial(startup.run_start, store="sqlite"),
}


def machine() -> dict[str, object]:
    """What the figures were measured on. `load` is what the machine did in the minute before."""
    return {
        "time": datetime.now().astimezone().isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "memory_mb": round(psutil.virtual_memory().total / 1e6),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "sqlite": apsw.sqlite_lib_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def measured(bench: Bench, names: list[str]) -> tuple[list[Figure], dict[str, str]]:
    """The figures, and what went wrong by name: one that fails does not stop the others."""
    figures: list[Figure] = []
    failed: dict[str, str] = {}
    for name in names:
        print(f"{name} …", end=" ", flush=True, file=sys.stderr)
        start = time.monotonic()
        try:
            figures += FIGURES[name](bench)
        except Exception:
            failed[name] = traceback.format_exc()
        print(f"{'failed after ' if name in failed else ''}{time.monotonic() - start:.0f} s", file=sys.stderr)
    return figures, failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="figure", help="default: all; see --list")
    parser.add_argument("--list", action="store_true", help="the names of the figures")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long a round takes (default: 3)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each system, in turns (default: 5)")
    parser.add_argument("--backlog", type=int, default=1_000_000, help="deliveries that wait (default: 1,000,000)")
    asked = parser.parse_args()
    if asked.list:
        print("\n".join(FIGURES))
        return 0
    if unknown := [name for name in asked.names if name not in FIGURES]:
        parser.error(f"no figure {', '.join(unknown)}; there are {', '.join(FIGURES)}")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the programs under test are stopped
    at = machine()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own account has to pass through
        bench = Bench(Path(folder), seconds=asked.seconds, rounds=asked.rounds, backlog=asked.backlog)
        try:
            figures, failed = measured(bench, asked.names or list(FIGURES))
        finally:
            bench.close()

    print("\n" + ", ".join(f"{name} {value}" for name, value in at.items()) + "\n")
    print(table(figures))
    for name, what in failed.items():
        print(f"\n{name} could not be measured:\n{what}")
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{datetime.now():%Y%m%d-%H%M%S}.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode({"machine": at, "figures": figures, "failed": failed})))
    print(f"\n{file.relative_to(ROOT)}")
    return 1 if failed or not all(figure.held for figure in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
