"""The unit: what it says fits the program, its sandbox is tight, and on a machine with systemd Tocsin lives in it."""

import configparser
import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
import typer

from tests.deploy.debian import GENTLY, debian, need, run
from tocsin.cli.main import app
from tocsin.settings import defaults

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy/systemd/tocsin.service"
TOCSIN = "/opt/tocsin/bin/tocsin"
BOOTING_S = 60.0
FILE = "/etc/tocsin/one.yml"
FLOW = """\
id: nightly
namespace: company.data
tasks:
  - id: load
    type: io.kestra.plugin.scripts.python.Script
    script: |
      import resource
      print("limit of time:", resource.getrlimit(resource.RLIMIT_CPU)[0])
"""


def unit() -> configparser.ConfigParser:
    found = configparser.ConfigParser(strict=False, interpolation=None)
    found.optionxform = str  # type: ignore[assignment, method-assign]
    found.read_string(UNIT.read_text("utf-8"))
    return found


def test_it_runs_commands_that_are_there() -> None:
    service = unit()["Service"]
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name in ("ExecStartPre", "ExecStart"):
        path, command = service[name].split()
        assert path == "/opt/tocsin/bin/tocsin"
        assert command in known


def test_it_waits_for_as_long_as_tocsin_drains() -> None:
    drain = int(defaults()["TOCSIN_DRAIN_SECONDS"])
    assert int(unit()["Service"]["TimeoutStopSec"]) >= drain + 10


def test_its_settings_are_there() -> None:
    named = re.findall(r"\b([A-Z][A-Z_]+)=", unit()["Service"]["Environment"])
    assert set(named) - {"PYTHONDONTWRITEBYTECODE"} <= set(defaults())


@pytest.mark.proof
def test_its_exposure_is_low() -> None:
    """`systemd-analyze security`: 0 is a service that can do nothing, 10 one that may do all."""
    assert shutil.which("systemd-analyze"), "No systemd-analyze: install systemd."
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True)
    print(done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout


class Machine:
    """A Debian that has been booted, with a systemd of its own and no network but its loopback."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        command = ["systemd-nspawn", "-q", "--boot", "--register=no", "--keep-unit", "--private-network"]
        with (tree.parent / "console").open("w") as console:
            self.process = subprocess.Popen(
                [*GENTLY, *command, f"--directory={tree}", f"--machine=tocsin-{os.getpid()}"],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            )  # fmt: skip
        until = time.monotonic() + BOOTING_S
        while True:
            init = psutil.Process(self.process.pid).children()
            if init:
                self.init = init[0].pid
                if self.asked("systemctl", "is-system-running", "--wait").stdout.strip() in ("running", "degraded"):
                    return
            assert time.monotonic() < until, (tree.parent / "console").read_text()
            assert self.process.poll() is None, (tree.parent / "console").read_text()
            time.sleep(0.2)

    def asked(self, *command: str) -> "subprocess.CompletedProcess[str]":
        words = ["nsenter", "--target", str(self.init), "--all", "--", *command]
        return subprocess.run(words, capture_output=True, text=True, timeout=120)

    def do(self, *command: str) -> str:
        done = self.asked(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}\n{self.log()}"
        return done.stdout

    def log(self) -> str:
        return self.asked("journalctl", "--no-pager", "-o", "cat", "-u", "tocsin*").stdout

    def show(self, name: str) -> str:
        return self.do("systemctl", "show", "-P", name, "tocsin").strip()

    def stop(self) -> None:
        self.process.terminate()  # a systemd-nspawn that is told to end powers its machine off
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    need("systemd-nspawn", "nsenter")
    assert os.geteuid() == 0, "Only root can boot a machine."
    folder = tmp_path_factory.mktemp("machine")
    try:
        tree = debian(folder / "tree")
        packages = ("systemd", "systemd-sysv", "dbus", "python3", "python3-venv")
        run("chroot", tree, "apt-get", "install", "-y", "-q", "--no-install-recommends", *packages)
        run("make", "dist", cwd=ROOT)
        run("chroot", tree, "python3", "-m", "venv", "/opt/tocsin")
        (wheel,) = (ROOT / "dist").glob("tocsin-*.whl")
        for file in (wheel, ROOT / "requirements/runtime.txt"):
            shutil.copy(file, tree / "opt")
        pip = ("chroot", tree, "/opt/tocsin/bin/pip", "install", "-q", "--no-cache-dir")
        run(*pip, "--require-hashes", "--only-binary", ":all:", "-r", "/opt/runtime.txt")
        run(*pip, "--no-deps", f"/opt/{wheel.name}")
        shutil.copy(UNIT, tree / "etc/systemd/system")
        (tree / "etc/tocsin").mkdir(mode=0o755)
        (tree / "etc/tocsin/tocsin.env").touch(0o600)  # systemd's to read, and nobody else's
        (tree / "etc/tocsin/tocsin.env").write_text("TOCSIN_PORT=8017\n")
        (tree / "etc/tocsin/one.yml").write_text(FLOW)
        booted = Machine(tree)
        try:
            yield booted
        finally:
            booted.stop()
    finally:
        shutil.rmtree(folder)


@pytest.mark.proof
def test_it_starts_takes_an_event_and_stops_on_a_machine_with_systemd(machine: Machine) -> None:
    machine.do("systemctl", "start", "tocsin")  # Type=notify: it returns once Tocsin has said READY=1
    assert (machine.show("ActiveState"), machine.show("SubState")) == ("active", "running")
    token = machine.do(
        "env", "TOCSIN_DATA_DIR=/var/lib/tocsin", TOCSIN, "token", "create", "--role", "admin", "--name", "first"
    ).strip()
    told = ("env", "TOCSIN_URL=http://127.0.0.1:8017", f"TOCSIN_TOKEN={token}", TOCSIN)
    machine.do(*told, "send", "run.failed", "-p", "etl/orders")
    assert "etl/orders" in machine.do(*told, "events", "-o", "json")

    # The service is watched, and its state is its own: root's command has left nothing that it could not write to.
    assert machine.show("WatchdogUSec") == "30s"
    state = machine.tree / "var/lib/private/tocsin"
    assert (state / "tocsin.db").exists()
    owners = {path.stat().st_uid for path in [state, *state.rglob("*")]}
    assert len(owners) == 1
    assert owners.pop() >= 61184, "not a user that systemd made for it"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in state.rglob("*")} == {0o600}

    machine.do("systemctl", "stop", "tocsin")
    assert (machine.show("Result"), machine.show("ExecMainStatus")) == ("success", "0")
    assert '"event": "stopped"' in machine.log()
    machine.do("systemctl", "start", "tocsin")
    assert "etl/orders" in machine.do(*told, "events", "-o", "json")
    assert machine.show("NRestarts") == "0"


@pytest.mark.proof
def test_its_sandbox_holds_while_it_runs(machine: Machine) -> None:
    machine.do("systemctl", "start", "tocsin")
    main = machine.show("MainPID")
    status = dict(line.split(":\t", 1) for line in machine.do("cat", f"/proc/{main}/status").splitlines())
    assert int(status["Uid"].split()[0]) >= 61184
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    for place in ("/etc", "/opt/tocsin", "/usr", "/var/lib", "/home"):
        refused = machine.asked("nsenter", "--target", main, "--mount", "touch", f"{place}/mark")
        assert refused.returncode != 0, place
        assert "Read-only file system" in refused.stderr or "Permission denied" in refused.stderr
    devices = machine.do("nsenter", "--target", main, "--mount", "ls", "/dev").split()
    assert "null" in devices
    assert not {"kmsg", "mem", "vda", "sda", "fuse"} & set(devices)


@pytest.mark.proof
def test_it_is_brought_back_when_it_is_killed(machine: Machine) -> None:
    machine.do("systemctl", "start", "tocsin")
    first = machine.show("MainPID")
    machine.do("systemctl", "kill", "--signal=KILL", "tocsin")
    until = time.monotonic() + BOOTING_S
    while machine.show("ActiveState") != "active" or machine.show("MainPID") in ("0", first):
        assert time.monotonic() < until, machine.log()
        time.sleep(0.2)
    assert int(machine.show("NRestarts")) >= 1


@pytest.mark.proof
def test_a_flows_script_runs_in_its_sandbox(machine: Machine) -> None:
    """It sets limits for the script, starts it in a folder of its own and reads what it says."""
    text = UNIT.read_text("utf-8").replace(
        "ExecStart=/opt/tocsin/bin/tocsin serve", f"ExecStart={TOCSIN} flow run {FILE}"
    )
    text = re.sub(r"^(ExecStartPre|WatchdogSec|Restart|RestartSec)=.*\n", "", text, flags=re.MULTILINE)
    once = machine.tree / "etc/systemd/system/tocsin-once.service"
    once.write_text(text.replace("Type=notify", "Type=oneshot"))
    machine.do("systemctl", "daemon-reload")
    machine.do("systemctl", "start", "tocsin-once")
    assert "limit of time: 3600" in machine.log()


@pytest.mark.proof
def test_settings_that_cannot_be_stop_it_before_it_starts(machine: Machine) -> None:
    machine.do("systemctl", "stop", "tocsin")
    settings = machine.tree / "etc/tocsin/tocsin.env"
    kept = settings.read_text()
    try:
        settings.write_text("TOCSIN_PORT=none\n")
        assert machine.asked("systemctl", "start", "tocsin").returncode != 0
        assert "TOCSIN_PORT='none': Expected `int`" in machine.log()
    finally:
        settings.write_text(kept)
        machine.do("systemctl", "stop", "tocsin")
