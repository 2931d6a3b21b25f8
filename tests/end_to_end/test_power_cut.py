"""Power cuts: what SQLite acknowledged with synchronous=FULL is there afterwards; with NORMAL it is not, which proves
that the cut cuts."""

import contextlib
import ctypes.util
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from tests.end_to_end.ledger import Load
from tests.end_to_end.process import ROOT, Server, Site, wait_for

SEED = int(os.environ.get("TOCSIN_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
LONG, LONG_CONTROL = 100, 10


@dataclass
class Cuts:
    """`damaged` holds what SQLite itself says about the files."""

    cuts: int = 0
    acked: int = 0
    lost: int = 0
    damaged: list[str] | None = None

    def __str__(self) -> str:
        return f"{self.cuts} power cuts, {self.acked} events acknowledged, {self.lost} lost, damage: {self.damaged}"


def look(database: Path, acked: set[str], result: Cuts, *, without_deliveries: bool = False) -> None:
    """What a machine finds that starts again: the files, read with SQLite's own file system layer."""
    connection = apsw.Connection(str(database))
    try:
        said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
        if said != ["ok"]:
            result.damaged = said
        stored = {str(row[0]) for row in connection.execute("SELECT id FROM event")}
        planned = {str(row[0]) for row in connection.execute("SELECT DISTINCT event_uid FROM delivery")}
        uids = {str(row[0]) for row in connection.execute("SELECT uid FROM event")}
    finally:
        connection.close()
    result.cuts += 1
    result.acked += len(acked)
    result.lost += len(acked - stored)
    if uids - planned and not without_deliveries:
        result.damaged = [f"{len(uids - planned)} events without the delivery that was committed with them"]


def load_for(server: Server, seconds: float, number: int) -> set[str]:
    """Loads it, and returns what was acknowledged until the power went."""
    with Load([server.url], server.site.token, per_s=150, seed=SEED + number, prefix=f"cut{number}-") as load:
        time.sleep(seconds)
        server.kill()
        return set(load.stop(at_once=True).acked)


def cuts_on_the_vfs(site: Site, cuts: list[tuple[str, float]]) -> Cuts:
    """The real server on power_cut_vfs.py, with (synchronous, writeback) of each cut; the files go on to the next."""
    dice = random.Random(SEED)
    result = Cuts()
    server = site.server()
    for number, (synchronous, writeback) in enumerate(cuts):
        site.environment |= {"TEST_SYNCHRONOUS": synchronous, "TEST_POWER_CUT": str(writeback)}
        server.start()
        acked = load_for(server, dice.uniform(0.2, 0.6), len(site.servers) * 100 + number)
        look(site.data_dir / "tocsin.db", acked, result)
    return result


def test_full_loses_nothing_and_the_control_does(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        first = site.server().start()
        first.add_webhook("http://127.0.0.1:1081/nobody", ["*"])
        first.kill()
        site.command = [sys.executable, str(Path(__file__).with_name("launcher.py"))]
        full = cuts_on_the_vfs(site, [("FULL", 0.0), ("FULL", 0.3), ("FULL", 0.7)])
        control = cuts_on_the_vfs(site, [("NORMAL", 0.0)])
    print(f"\nFULL: {full}\nNORMAL: {control}")
    assert control.lost > 0, "the power cut drops nothing: the tool is broken"
    assert full.acked > 50, "too little load to mean anything"
    assert (full.lost, full.damaged) == (0, None), f"seed {SEED}: {full}"


def test_a_disk_that_fails_ends_the_process(tmp_path: Path) -> None:
    """SQLite itself would go on and acknowledge the next events; what became of the failed one nobody knows."""
    changes = {"TEST_POWER_CUT": "0", "TEST_GOOD_SYNCS": "12"}
    with Site(tmp_path, changes=changes) as site:
        server = site.server().start()
        with Load([server.url], site.token, per_s=100, seed=SEED) as load:
            assert server.process is not None
            assert server.process.wait(8.0) == 1, server.log()[-2000:]
            acked = set(load.stop(at_once=True).acked)
        assert "store_broken" in server.log()
        result = Cuts()
        look(site.data_dir / "tocsin.db", acked, result, without_deliveries=True)
        assert (result.lost, result.damaged) == (0, None), result
        assert set(load.ledger.answers) & {"202"}, "it failed before it did anything; the test shows nothing"
        assert not load.ledger.broken_promises, load.ledger.broken_promises
        site.environment["TEST_GOOD_SYNCS"] = "-1"
        server.start()
        assert server.call("POST", "/v1/events", {"type": "run.failed"})[0] == 202


def libfuse() -> None:
    """Installs Debian's libfuse2 where it is missing and we may."""
    assert os.geteuid() == 0, "This proof mounts a file system: run it as root, or leave it to a machine where you are."
    assert Path("/dev/fuse").exists(), "There is no /dev/fuse here (modprobe fuse, or docker run --device /dev/fuse)."
    if ctypes.util.find_library("fuse") is None:
        assert shutil.which("apt-get"), "libfuse2 is missing; install it: fusepy needs libfuse.so.2."
        done = subprocess.run(["apt-get", "install", "-y", "-q", "libfuse2"], capture_output=True, text=True)
        assert done.returncode == 0, f"libfuse2 is missing, and `apt-get install libfuse2` failed:\n{done.stderr}"


class Disk:
    """power_cut_fs.py over a backing folder."""

    def __init__(self, folder: Path) -> None:
        self.backing, self.mount = folder / "backing", folder / "mount"
        self.backing.mkdir()
        self.mount.mkdir()
        self.process: subprocess.Popen[bytes] | None = None

    def plug_in(self) -> None:
        command = [sys.executable, "-m", "tests.end_to_end.power_cut_fs", str(self.backing), str(self.mount)]
        self.process = subprocess.Popen(command, cwd=ROOT)
        wait_for("the disk is mounted", self.mount.is_mount, 10.0, 0.01)

    def cut(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            subprocess.run(["umount", "-l", str(self.mount)], check=True)
            self.process = None


def on_the_disk(folder: Path, cuts: int, synchronous: str) -> Cuts:
    """The real server with its whole data directory on a disk whose power goes, together with the machine's."""
    folder.mkdir()
    dice = random.Random(SEED)
    disk = Disk(folder)
    result = Cuts()
    with contextlib.ExitStack() as after:
        after.callback(disk.cut)
        disk.plug_in()
        site = after.enter_context(Site(folder, data_dir=disk.mount / "data"))
        first = site.server().start()
        first.add_webhook("http://127.0.0.1:1081/nobody", ["*"])
        first.stop()
        if synchronous != "FULL":
            site.command = [sys.executable, str(Path(__file__).with_name("launcher.py"))]
            site.environment["TEST_SYNCHRONOUS"] = synchronous
        server = site.server()
        for number in range(cuts):
            server.start()
            with Load([server.url], site.token, per_s=150, seed=SEED + number, prefix=f"cut{number}-") as load:
                time.sleep(dice.uniform(0.05, 1.5))
                disk.cut()
                server.kill()
                acked = set(load.stop(at_once=True).acked)
            look(disk.backing / "data" / "tocsin.db", acked, result)
            disk.plug_in()
    return result


@pytest.mark.proof
def test_many_cuts_of_a_whole_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    libfuse()
    control = on_the_disk(tmp_path / "normal", LONG_CONTROL, "NORMAL")
    full = on_the_disk(tmp_path / "full", LONG, "FULL")
    with capsys.disabled():
        print(f"\nseed {SEED}\nNORMAL: {control}\nFULL: {full}")
    assert control.lost > 0, "the power cut drops nothing: the tool is broken"
    assert full.acked > LONG * 20, "too little load to mean anything"
    assert (full.lost, full.damaged) == (0, None)
