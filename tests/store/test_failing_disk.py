"""SQLite on a disk that is full or fails at any call: what was acknowledged is there, the rest is refused."""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest

import tocsin.app
from tests.harness import Clock, Receiver, running
from tests.store.failing_disk import FailingVfs
from tocsin.store.sqlite import SqliteDatabase

pytestmark = pytest.mark.anyio
PATIENCE_S = 10.0


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[FailingVfs]:
    vfs = FailingVfs()
    monkeypatch.setattr(tocsin.app, "SqliteDatabase", partial(SqliteDatabase, vfs=vfs.name))
    yield vfs
    vfs.unregister()


def environment(folder: Path) -> dict[str, str]:
    return {"TOCSIN_DATA_DIR": str(folder), "TOCSIN_ALLOW_TARGETS": "127.0.0.0/8", "TOCSIN_DRAIN_SECONDS": "0.2"}


async def test_a_full_disk(
    disk: FailingVfs, tmp_path: Path, clock: Clock, receiver: Receiver, logs: list[dict[str, Any]]
) -> None:
    """F15: refused, nothing is sent that could not be recorded, and all goes on when there is room again."""
    async with running(environment(tmp_path / "data"), clock, receiver) as tocsin:
        hook = receiver.hook("/a")
        await tocsin.webhook(hook, enabled_events=["*"])
        hook.hang()
        await tocsin.send(id="before")
        await hook.got(1)
        disk.is_full = True
        answer = await tocsin.client.post("/v1/events", {"type": "run.failed", "id": "during"})
        answer.problem(503)
        assert int(answer.headers["retry-after"]) >= 1
        assert (await tocsin.client.get("/readyz")).status == 503
        assert (await tocsin.client.get("/v1/events/before")).status == 200, "what is there can be read"
        hook.let_go()
        async with asyncio.timeout(PATIENCE_S):
            while not tocsin.app.deliver.recorder.cannot_record:
                await asyncio.sleep(0.01)
        assert tocsin.app.deliver.recorder.has_room is False
        disk.is_full = False
        async with asyncio.timeout(PATIENCE_S):
            while (await tocsin.client.post("/v1/events", {"type": "run.failed", "id": "during"})).status != 202:
                await asyncio.sleep(0.05)
        await tocsin.settle()
        hook.expect(2)
        assert await tocsin.statuses() == {"delivered": 2}
        assert (await tocsin.client.get("/readyz")).status == 200
    assert not tocsin.worker.failed.is_set(), "a full disk heals; it is not broken"


async def after_a_failure(folder: Path, clock: Clock, receiver: Receiver, disk: FailingVfs, call: str, n: int) -> int:
    """Posts until the disk fails at the n-th such call; the answers are held against the files. Returns how many were
    acknowledged."""
    acked = []
    async with running(environment(folder), clock, receiver) as tocsin:
        await tocsin.webhook(receiver.hook(f"/{call}/{n}"), enabled_events=["*"])
        await tocsin.settle()
        disk.fail(call, n)
        for number in range(60):
            answer = await tocsin.client.post("/v1/events", {"type": "run.failed", "id": f"e{number}"})
            assert answer.status in (202, 503), answer
            if answer.status == 202:
                assert not tocsin.worker.failed.is_set() or not disk.failing, "acknowledged by a broken store"
                acked.append(f"e{number}")
            if tocsin.app.db.broken:  # type: ignore[attr-defined]
                answer = await tocsin.client.post("/v1/events", {"type": "run.failed", "id": "after"})
                assert answer.status == 503, "a store that broke acknowledged another event"
                async with asyncio.timeout(PATIENCE_S):
                    await tocsin.worker.failed.wait()  # the process ends, and opens the store anew
                break
        else:
            raise AssertionError(f"{call} {n} never came; the test shows nothing")
    connection = apsw.Connection(str(folder / "tocsin.db"))
    stored = {row[0] for row in connection.execute("SELECT id FROM event")}
    assert connection.pragma("integrity_check") == "ok"
    connection.close()
    assert set(acked) <= stored, f"{call} {n}: acknowledged and lost: {set(acked) - stored}"
    receiver.hooks[("127.0.0.1", f"/{call}/{n}")].all_new()
    return len(acked)


@pytest.mark.parametrize("call, calls", [("write", (1, 30, 70)), ("sync", (1, 4))])
async def test_a_disk_that_fails_at_any_call(
    call: str,
    calls: tuple[int, ...],
    disk: FailingVfs,
    tmp_path: Path,
    clock: Clock,
    receiver: Receiver,
    logs: list[dict[str, Any]],
) -> None:
    """F16, F17: an error of the disk is the end of the process; nothing acknowledged is lost."""
    found = [await after_a_failure(tmp_path / str(n), clock, receiver, disk, call, n) for n in calls]
    assert max(found) > 0, "it always failed before anything was acknowledged; the test shows nothing"


@pytest.mark.proof
@pytest.mark.parametrize("call", ["write", "sync"])
async def test_a_disk_that_fails_at_every_call(
    call: str,
    disk: FailingVfs,
    tmp_path: Path,
    clock: Clock,
    receiver: Receiver,
    logs: list[dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = [await after_a_failure(tmp_path / str(n), clock, receiver, disk, call, n) for n in range(1, 41)]
    with capsys.disabled():
        print(f"\n{call} failed at each of 40 calls: {sum(found)} events acknowledged, 0 lost")
