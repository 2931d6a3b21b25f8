"""How long people wait: for `tocsin --help`, and from starting the server to its first 202."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks.figure import Figure
from benchmarks.load import Plan, body_of
from benchmarks.process import ROOT, clean_env
from benchmarks.systems import TOCSIN, BareLine, Bench, System, Tocsin, accepts

HOLD_HELP_S = 0.3
HOLD_START_S = 2.0
TIMES = 5


def run_help(bench: Bench) -> Iterator[Figure]:
    """The limit is Python itself, doing nothing."""
    ours, python = [], []
    for _ in range(TIMES):
        python.append(seconds_of(partial(ended, [sys.executable, "-c", "pass"])))
        ours.append(seconds_of(partial(ended, [TOCSIN, "--help"])))
    found = statistics.median(ours)
    yield Figure(
        name="tocsin --help",
        ours=found,
        limit=statistics.median(python),
        unit="s",
        hold=f"≤ {HOLD_HELP_S} s",
        held=found <= HOLD_HELP_S,
        note="limit: python -c pass",
        detail={"ours": ours, "python": python},
    )


def run_start(bench: Bench, store: str) -> Iterator[Figure]:
    """A store that exists already; the limit is the bare line on an empty one."""
    ours, bare = [], []
    with bench.new(Tocsin, store) as system:
        system.start()
        system.add_one_endpoint()
        system.stop()
        for _ in range(TIMES):
            ours.append(seconds_of(partial(first_202, system)))
            system.stop()
    for _ in range(TIMES):
        with bench.new(BareLine, store) as limit:
            bare.append(seconds_of(partial(first_202, limit)))
    found = statistics.median(ours)
    yield Figure(
        name=f"{store}, start to first 202",
        ours=found,
        limit=statistics.median(bare),
        unit="s",
        hold=f"≤ {HOLD_START_S:.0f} s",
        held=found <= HOLD_START_S,
        detail={"ours": ours, "bare": bare},
    )


def first_202(system: System) -> None:
    """Start it, and send an event until one is accepted."""
    system.start()
    body = body_of(Plan(url=""), 0, time.monotonic_ns())
    while not accepts(system.port, body, system.token):
        time.sleep(0.005)


def ended(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT, env=clean_env({}))


def seconds_of(job: Callable[[], None]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start
