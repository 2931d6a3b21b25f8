"""`tocsin run`: a command of any kind as a run, in a real process."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Running

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]
PYTHONPATH = os.pathsep.join([str(ROOT / "src"), str(ROOT / "clients/python/src")])
COMMAND = [sys.executable, "-m", "tocsin.cli.main", "run", "-p", "nightly", "-r", "r1"]
NOWHERE = "http://127.0.0.1:1"


def begun(folder: Path, *command: str, url: str = NOWHERE, token: str = "", **more: Any) -> "subprocess.Popen[bytes]":
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH, "XDG_STATE_HOME": str(folder), "TOCSIN_URL": url}
    environment["TOCSIN_TOKEN"] = token
    standard: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    return subprocess.Popen([*COMMAND, "--", *command], env=environment, **(standard | more))


async def ran(tocsin: Running, folder: Path, *command: str) -> tuple[int, bytes, bytes, dict[str, Any]]:
    child = begun(folder, *command, url=tocsin.client.base, token=tocsin.client.token)
    out, err = await asyncio.to_thread(child.communicate)
    (run,) = (await tocsin.client.get("/v1/runs?run_id=r1")).ok()["items"]
    return child.returncode, out, err, (await tocsin.client.get(f"/v1/runs/{run['id']}")).ok()


def kept(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(folder.rglob("*.jsonl")) for line in file.read_text().splitlines()]


async def test_what_a_command_says_passes_through_and_is_kept(tocsin: Running, tmp_path: Path) -> None:
    code, out, err, run = await ran(tocsin, tmp_path, "sh", "-c", "echo on its way; echo Größe >&2; exit 3")
    assert (code, out, err) == (3, b"on its way\n", "Größe\n".encode())
    assert (run["pipeline"], run["status"], run["error"]) == ("nightly", "failed", "exit code 3")
    assert sorted(run["log_tail"].splitlines()) == ["Größe", "on its way"]


async def test_stages_of_a_program_belong_to_the_run_of_its_command(tocsin: Running, tmp_path: Path) -> None:
    program = "from tocsin_client import Tocsin\nwith Tocsin().stage('load'): print('x' * 40000)"
    code, out, _, run = await ran(tocsin, tmp_path, sys.executable, "-c", program)
    assert (code, len(out)) == (0, 40_001)
    assert run["status"] == "succeeded"
    assert [stage["name"] for stage in run["stages"]] == ["load"]
    assert len(run["log_tail"]) == 16 * 1024


def test_without_a_server_the_command_runs_all_the_same(tmp_path: Path) -> None:
    child = begun(tmp_path, "sh", "-c", "echo fine")
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (0, b"fine\n")
    assert b"kept and sent later" in err
    assert [event["type"] for event in kept(tmp_path)] == ["run.started", "run.succeeded"]


@pytest.mark.parametrize(("command", "code"), [(["no-such-command"], 127), (["/etc/passwd"], 126)])
def test_what_cannot_be_run_is_told_as_shells_do(tmp_path: Path, command: list[str], code: int) -> None:
    child = begun(tmp_path, *command)
    child.communicate(timeout=30)
    assert child.returncode == code
    assert kept(tmp_path)[-1]["data"]["exit_code"] == code


def test_signals_reach_the_command_and_how_it_ended_is_told(tmp_path: Path) -> None:
    child = begun(tmp_path, sys.executable, "-uc", "print('up'); import time; time.sleep(60)")
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=30)
    assert child.returncode == 128 + signal.SIGTERM
    ended = kept(tmp_path)[-1]
    assert (ended["type"], ended["data"]["error"]) == ("run.failed", "ended by SIGTERM")


def test_a_command_that_handles_its_signal_has_the_last_word(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import signal, sys, time
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        print("up", flush=True)
        time.sleep(60)
    """)
    child = begun(tmp_path, sys.executable, "-c", program)
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    child.send_signal(signal.SIGTERM)
    child.communicate(timeout=30)
    assert child.returncode == 7


def test_on_a_terminal_the_command_has_one_too(tmp_path: Path) -> None:
    mine, theirs = pty.openpty()
    child = begun(
        tmp_path, sys.executable, "-c", "import sys; print(sys.stdout.isatty(), sys.stderr.isatty())", stdout=theirs
    )
    child.wait(30)
    assert os.read(mine, 1000) == b"True False\r\n"
    os.close(mine)
    os.close(theirs)


def test_a_process_left_behind_does_not_hold_it_open(tmp_path: Path) -> None:
    child = begun(tmp_path, "sh", "-c", "sleep 30 & echo $!")
    began = time.monotonic()
    assert child.stdout is not None
    left = int(child.stdout.readline())
    try:
        assert child.wait(20) == 0
        assert time.monotonic() - began < 15
    finally:
        os.kill(left, signal.SIGKILL)
        child.communicate()


def test_options_after_the_command_are_the_commands(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH, "XDG_STATE_HOME": str(tmp_path), "TOCSIN_URL": NOWHERE}
    done = subprocess.run([*COMMAND, "echo", "-r", "-n", "--help"], env=environment, capture_output=True, check=True)
    assert done.stdout == b"-r -n --help\n"
