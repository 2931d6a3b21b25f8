"""Starting: soon, small, and never with half a key."""

import time
from pathlib import Path

import pytest

from tests.end_to_end.process import Server, Site
from tocsin.app import KEY_FILE, keyring_of
from tocsin.settings import read_settings

pytestmark = pytest.mark.alone

START_S = 2.0
IDLE_BYTES = 120 * 1024 * 1024


def seconds_to_first_202(server: Server) -> float:
    began = time.monotonic()
    server.launch()
    while time.monotonic() - began < 20.0:
        try:
            if server.call("POST", "/v1/events", {"type": "run.failed"})[0] == 202:
                return time.monotonic() - began
        except OSError:
            time.sleep(0.005)
    raise AssertionError(f"no 202 within 20 s:\n{server.log()[-2000:]}")


def test_the_first_event_is_taken_within_two_seconds_and_little_memory_is_used(tmp_path: Path) -> None:
    """The best of three starts: other work on the machine makes a start slower, and nothing makes it faster."""
    with Site(tmp_path) as site:
        server = site.server()
        took: list[float] = []
        for _ in range(3):
            took.append(seconds_to_first_202(server))
            rss = server.rss_bytes()
            assert server.stop() == 0
            if took[-1] <= START_S:
                break
    print(f"\nstart to first 202: {min(took):.2f} s; RSS {rss / 2**20:.0f} MB")
    assert min(took) <= START_S, f"start to first 202: {took}"
    assert rss <= IDLE_BYTES, f"RSS {rss / 2**20:.0f} MB"


def test_a_start_that_is_cut_short_leaves_no_half_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that is there is whole and on the disk: sealed secrets without their key are lost."""
    settings = read_settings({"TOCSIN_DATA_DIR": str(tmp_path)})
    synced: list[str] = []

    def power_fails(number: int) -> None:
        synced.append(Path(f"/proc/self/fd/{number}").readlink().name)
        raise OSError(5, "the power failed")

    with monkeypatch.context() as patch:
        patch.setattr("tocsin.app.os.fsync", power_fails)
        with pytest.raises(Exception, match="the power failed"):
            keyring_of(settings)
    assert synced, "the key was not synced"
    assert not (tmp_path / KEY_FILE).exists(), "a key that may not be on the disk has its name already"
    keyring_of(settings)
    assert len((tmp_path / KEY_FILE).read_text().strip()) == 44
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
