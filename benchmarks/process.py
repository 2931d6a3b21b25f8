"""Programs under test: start one, wait until it answers, ask what it costs, stop it."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil  # type: ignore[import-untyped]

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
ROOT = Path(__file__).resolve().parent.parent


class Program:
    """A started program and its children. As a context manager it is stopped at the end, whatever happened."""

    def __init__(self, command: Sequence[str], *, env: dict[str, str] | None = None, log: Path | None = None) -> None:
        self.command = command
        self.log = log
        with open(log or os.devnull, "ab") as out:
            self.process = subprocess.Popen(
                command, env=clean_env(env or {}), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_for(self, port: int) -> None:
        """Return once something accepts connections on `port`; raise when the program ends before that."""
        until = time.monotonic() + START_TIMEOUT_S
        while not answers(port):
            if self.process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise RuntimeError(f"{' '.join(self.command)} does not answer on port {port}:\n{self.tail()}")
            time.sleep(0.005)

    def cpu_s(self) -> float:
        """CPU seconds, user and system, of the program and its children since they started."""
        return cpu_s(self.process.pid)

    def rss_mb(self) -> float:
        """Resident memory in MB (10⁶ bytes) of the program and its children, shared pages counted in each."""
        return float(sum(one.memory_info().rss for one in tree(self.process.pid))) / 1e6

    def tail(self) -> str:
        """The end of what the program wrote, to show when it fails."""
        return self.log.read_text(errors="replace")[-3000:] if self.log else "(no log was kept)"

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that is not enough."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                for one in tree(self.process.pid):
                    one.kill()
                self.process.wait()


def clean_env(more: Mapping[str, str]) -> dict[str, str]:
    """What a program needs to run, and `more`. A SLACK_WEBHOOK_URL of the person at the keyboard must not get in."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ} | dict(more)


def module(name: str, *arguments: object) -> list[str]:
    """The command that runs a module of this folder with this Python."""
    return [sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments)]


def tree(pid: int) -> list[psutil.Process]:
    """The process and everything it started."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cpu_s(pid: int) -> float:
    """CPU seconds of a process tree. Children that ended count once they are reaped, as PostgreSQL's backends are."""
    total = 0.0
    for one in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def answers(port: int) -> bool:
    """Whether something accepts connections on 127.0.0.1:port."""
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True
