"""Threads, forks, ends of every kind: real processes against a server that keeps a ledger."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import FakeServer
from tocsin_client.spool import Spool

ROOT = Path(__file__).parents[2]
NOWHERE = "http://127.0.0.1:1"


def started(program: str, folder: Path, url: str, *arguments: str) -> "subprocess.Popen[bytes]":
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
    environment |= {"TOCSIN_URL": url, "TOCSIN_SPOOL_DIR": str(folder), "PYTHONPATH": str(ROOT / "clients/python/src")}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(program: "subprocess.Popen[bytes]", code: int = 0) -> str:
    out, err = program.communicate(timeout=120)
    assert program.returncode == code, err.decode()
    return out.decode()


def left(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in Spool(folder).files() for line in file.read_text().splitlines()]


ENDINGS = {
    "return": "pass",
    "exit": "sys.exit(3)",
    "error": "raise ValueError('the pipeline itself')",
    "in a thread": "import threading; t = threading.Thread(target=lambda: client.emit('last')); t.start(); t.join()",
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("is_there", [True, False])
def test_what_was_emitted_before_the_end_is_there_after_it(
    server: FakeServer, tmp_path: Path, ending: str, is_there: bool
) -> None:
    program = f"""
        import sys
        from tocsin_client import Tocsin
        client = Tocsin()
        for n in range(500):
            client.emit("x", n=n)
        {ENDINGS[ending]}
    """
    child = started(program, tmp_path, server.url if is_there else NOWHERE)
    child.communicate(timeout=60)
    assert child.returncode == {"exit": 3, "error": 1}.get(ending, 0)
    kept = server.events if is_there else left(tmp_path)
    assert {event["data"]["n"] for event in kept if event["type"] == "x"} == set(range(500))
    assert len(kept) == 500 + (ending == "in a thread")
    if is_there:
        assert not list(tmp_path.iterdir())


FORKS = """
    import multiprocessing, os, sys, threading
    from tocsin_client import Tocsin

    client = Tocsin()
    each, children = int(sys.argv[1]), int(sys.argv[2])

    def work(who):
        for n in range(each):
            client.emit("x", n=f"{who}/{n}")
        stats = client.stats()
        assert (stats["dropped"], stats["refused"]) == (0, 0), stats

    def child(who):  # which forks, too
        threads = [threading.Thread(target=work, args=(f"{who}/{t}",)) for t in range(2)]
        for thread in threads: thread.start()
        pid = os.fork()
        if pid == 0:
            work(f"{who}/fork")
            client.close()
            os._exit(0)
        for thread in threads: thread.join()
        assert os.waitpid(pid, 0)[1] == 0

    fork = multiprocessing.get_context("fork")
    work("parent/0")
    processes = [fork.Process(target=child, args=(c,)) for c in range(children)]
    for process in processes: process.start()
    work("parent/1")
    for process in processes: process.join()
    sys.exit(any(process.exitcode for process in processes))
"""


def forked(server: FakeServer, folder: Path, each: int, children: int) -> None:
    """Nothing is lost and nothing is sent under another's id; what is left over, the next process sends."""
    ended(started(FORKS, folder, server.url, str(each), str(children)))
    follower = "from tocsin_client import Tocsin; t = Tocsin(); t.emit('last'); assert t.flush(120), t.stats()"
    ended(started(follower, folder, server.url))
    told: dict[str, str] = {}
    for event in server.events:
        if event["type"] == "x":
            assert told.setdefault(event["id"], event["data"]["n"]) == event["data"]["n"]
    who = ["parent/0", "parent/1"] + [f"{c}/{part}" for c in range(children) for part in ("0", "1", "fork")]
    assert sorted(told.values()) == sorted(f"{one}/{n}" for one in who for n in range(each))
    assert not list(folder.iterdir())


def test_forks_and_threads_each_send_their_own(server: FakeServer, tmp_path: Path) -> None:
    forked(server, tmp_path, 200, 3)


@pytest.mark.proof
def test_a_hundred_thousand_events_of_many_forks(server: FakeServer, tmp_path: Path) -> None:
    forked(server, tmp_path, 2000, 16)


def test_a_killed_process_leaves_what_it_had_kept(server: FakeServer, tmp_path: Path) -> None:
    program = """
        import os, signal
        from tocsin_client import Tocsin
        client = Tocsin()
        for n in range(100):
            client.emit("x", n=n)
        client.flush(0.5)  # nobody is there: by now it is on the disk
        os.kill(os.getpid(), signal.SIGKILL)
    """
    ended(started(program, tmp_path, NOWHERE), -signal.SIGKILL)
    assert len(left(tmp_path)) == 100
    follower = "from tocsin_client import Tocsin; t = Tocsin(); t.emit('y'); assert t.flush(30), t.stats()"
    ended(started(follower, tmp_path, server.url))
    assert sorted(event["data"]["n"] for event in server.events if event["type"] == "x") == list(range(100))


def test_several_processes_share_what_is_kept(server: FakeServer, tmp_path: Path) -> None:
    for number in range(5):
        spool = Spool(tmp_path)
        spool.append([json.dumps({"type": "x", "id": f"{number}-{n}"}).encode() for n in range(100)])
        spool.seal()
    follower = "from tocsin_client import Tocsin; t = Tocsin(); t.emit('y'); assert t.flush(30), t.stats()"
    for child in [started(follower, tmp_path, server.url) for _ in range(3)]:
        ended(child)
    ids = [event["id"] for event in server.events if event["type"] == "x"]
    assert set(ids) == {f"{number}-{n}" for number in range(5) for n in range(100)}
    assert len(ids) == 500, "each file went to one of them"


def test_importing_it_loads_little(tmp_path: Path) -> None:
    program = """
        import sys
        from tocsin_client import Tocsin
        print(sorted({"tocsin", "asyncio", "msgspec", "aiohttp", "tocsin_client.hooks"} & set(sys.modules)))
    """
    assert ended(started(program, tmp_path, "")) == "[]\n"
