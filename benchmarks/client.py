"""What a program pays for telling: one `emit` of the client, on the thread that calls it."""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.systems import Bench
from tocsin_client import Tocsin

HOLD_US = 20.0
ROUNDS, CALLS = 30, 200
PAUSE_S = 0.05
"""Between rounds, in which the client's own thread does its work: a training loop does not emit without end."""


def run(bench: Bench) -> Iterator[Figure]:
    """Nobody takes the events, so that they are written to the disk as well. The limit is the event's JSON alone."""
    client = Tocsin("http://127.0.0.1:1", spool_dir=Path(bench.folder) / "spool")
    event = {"type": "training.epoch", "pipeline": "lstm", "run_id": "r1", "data": {"epoch": 1, "loss": 0.25}}
    ours = us_of(lambda: client.emit("training.epoch", pipeline="lstm", run_id="r1", epoch=1, loss=0.25))
    limit = us_of(lambda: json.dumps(event))
    client.close(0)
    found = statistics.median(ours)
    yield Figure(
        name="client, one emit",
        ours=found,
        limit=statistics.median(limit),
        unit="µs",
        hold=f"≤ {HOLD_US:.0f} µs",
        held=found <= HOLD_US,
        note="limit: json.dumps of the event",
        detail={"ours": ours, "limit": limit},
    )


def us_of(call: Callable[[], object]) -> list[float]:
    """Microseconds a call, of each round."""
    found = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for _ in range(CALLS):
            call()
        found.append((time.perf_counter() - start) / CALLS * 1e6)
        time.sleep(PAUSE_S)
    return found
