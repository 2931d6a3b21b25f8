"""Whatever the server does or does not do: the caller sees nothing of it, and nothing is lost."""

import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import pytest

from tests.client.conftest import Answering, FakeServer, NewClient, taken
from tocsin_client import Tocsin

NOWHERE = "http://127.0.0.1:1"


def answers(status: int, content: bytes = b"", **headers: str) -> Answering:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda events: (status, named, content)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]


@pytest.mark.parametrize(
    "answering",
    [
        answers(500), answers(502, b"<html>"), answers(503, retry_after="0"), answers(429, retry_after="x"),
        answers(408), answers(200, b"<html>Please sign in"),
        answers(202, b"ok"), answers(202, b'{"accepted": "all"}'),
        answers(302, location="http://127.0.0.1:1/"), answers(404), answers(418), answers(204),
    ],
)  # fmt: skip
def test_what_is_not_taken_is_kept_and_sent_later(server: FakeServer, client: NewClient, answering: Answering) -> None:
    server.script = [answering] * 2
    mine = client(server.url)
    ids = [mine.emit("run.progress", step=n) for n in range(250)]
    assert mine.flush(10)
    assert sorted({event["id"] for event in server.events}) == sorted(ids)
    found = mine.stats()
    assert (found["sent"], found["refused"], found["dropped"], found["waiting"]) == (250, 0, 0, 0)
    assert found["failures"] == 2


def test_nobody_there_is_said_once_and_the_next_process_sends_it(
    server: FakeServer, client: NewClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = client(NOWHERE)
    with caplog.at_level(logging.INFO, "tocsin_client"):
        for step in range(5):
            away.emit("run.progress", step=step)
            assert not away.flush(0.2)
        away.close()
    assert away.courier.thread is not None
    away.courier.thread.join()  # or it may still hold a file that it could not send
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert [event["data"]["step"] for event in lines(tmp_path / "spool")] == [0, 1, 2, 3, 4]
    back = client(server.url)
    back.emit("run.succeeded")
    assert back.flush(10)
    assert {event["type"] for event in server.events} == {"run.progress", "run.succeeded"}
    assert len(server.events) == 6
    assert not list((tmp_path / "spool").iterdir())


def test_one_bad_event_does_not_keep_back_the_others(
    server: FakeServer, client: NewClient, caplog: pytest.LogCaptureFixture
) -> None:
    def picky(events: list[dict[str, Any]]) -> tuple[int, dict[str, str], bytes]:
        for number, event in enumerate(events):
            if event["type"] == "bad":
                problem = {"detail": "type: expected better", "errors": [{"field": f"events[{number}].type"}]}
                return 400, {}, json.dumps(problem).encode()
        return taken(events)

    def dull(events: list[dict[str, Any]]) -> tuple[int, dict[str, str], bytes]:
        return (413, {}, b"too large") if any(event["type"] == "bad" for event in events) else taken(events)

    for answering in (picky, dull):
        server.standard = answering
        server.requests.clear()
        mine = client(server.url)
        for number in range(100):
            mine.emit("bad" if number in (17, 80) else "good", n=number)
        assert mine.flush(10)
        assert sorted(event["data"]["n"] for event in server.events) == [n for n in range(100) if n not in (17, 80)]
        assert mine.stats()["refused"] == 2
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_token_loses_nothing(server: FakeServer, client: NewClient, tmp_path: Path, status: int) -> None:
    server.script = [answers(status, b'{"detail": "no"}')]
    mine = client(server.url, "toc_wrong")
    mine.emit("run.failed")
    assert not mine.flush(0.3)
    mine.close()
    assert "TOCSIN_TOKEN" in mine.stats()["last_error"]
    assert len(lines(tmp_path / "spool")) == 1
    assert len(server.headers) == 1, "it is not asked again and again"
    assert server.headers[0]["authorization"] == "Bearer toc_wrong"


def test_a_hanging_server_holds_nobody_up(server: FakeServer, client: NewClient, tmp_path: Path) -> None:
    server.open.clear()
    mine = client(server.url)
    mine.emit("run.started")
    longest = 0.0
    for number in range(200):
        began = time.perf_counter()
        mine.emit("run.progress", n=number)
        longest = max(longest, time.perf_counter() - began)
    began = time.perf_counter()
    mine.close(0.1)
    assert time.perf_counter() - began < 2
    assert longest < 0.5
    assert len(lines(tmp_path / "spool")) == 201


def test_retry_after_is_kept(server: FakeServer, client: NewClient) -> None:
    server.script = [answers(429, retry_after="3600")]
    mine = client(server.url)
    mine.emit("run.started")
    assert not mine.flush(0.3)
    assert mine.courier.retry_at - time.monotonic() > 590, "but ten minutes at the most"
    assert len(server.headers) == 1


def test_one_connection_serves_for_all_and_is_made_anew_where_it_ended(server: FakeServer, client: NewClient) -> None:
    server.script = [
        answers(503, retry_after="0"),
        taken,
        answers(202, b'{"accepted":1,"duplicates":0}', connection="close"),
    ]
    mine = client(server.url)
    for _ in range(5):
        mine.emit("x")
        assert mine.flush(10)
    assert mine.stats()["failures"] == 1
    assert len(server.connections) == 2


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no words")


class Scalar:
    """As numpy's and torch's numbers are."""

    size = 1

    def item(self) -> float:
        return 0.25


def test_nothing_that_is_put_into_an_event_harms(server: FakeServer, client: NewClient) -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    deep: Any = 1
    for _ in range(2000):
        deep = [deep]
    values: dict[Any, Any] = {
        "nan": math.nan, "inf": -math.inf, "nul": "a\0b", "half": "\ud800", "big": 2**80, "bytes": b"x", "set": {1},
        "circle": circle, "deep": deep, "path": Path("/x"), "unprintable": Unprintable(), "scalar": Scalar(),
        "none": None, "long": "x" * 500_000, "many": list(range(100_000)), (1, 2): "key", "emoji": "🚀",
        "true": True,
    }  # fmt: skip
    mine = client(server.url)
    mine.emit("run.failed", data=values, message="m" * 100_000 + "end", title="t" * 1000, pipeline="p" * 1000)
    mine.emit("run.failed", labels={"n": 1, "none": None}, data=7)  # type: ignore[dict-item,arg-type]
    mine.emit(None)  # type: ignore[arg-type]
    mine.emit("x", time="yesterday")  # type: ignore[arg-type]
    assert mine.flush(10)
    event = server.events[0]
    data = event["data"]
    assert (data["nan"], data["inf"], data["nul"], data["half"], data["scalar"]) == (
        "nan",
        "-inf",
        "a\ufffdb",
        "?",
        0.25,
    )
    assert (data["none"], data["true"], data["emoji"], data["path"]) == (None, True, "🚀", "/x")
    assert event["message"].endswith("end")
    assert len(event["title"]) == 512
    assert len(json.dumps(event)) < 256 * 1024
    assert server.events[1]["labels"] == {"n": "1", "none": "None"}


def test_a_server_takes_the_strangest_of_them(server: FakeServer, client: NewClient) -> None:
    """What the client makes of it is within what the native form allows."""
    from tocsin.sources.native import decode_native

    mine = client(server.url)
    mine.emit(
        "run.failed",
        data={"nul": "\0", "half": "\udfff", "big": 2**70, "nan": math.nan, "d": [[[[]]]]},
        title="\0" * 600,
    )
    mine.emit("run.failed", message="é\0" * 20_000, stage="s" * 300, labels={str(n): "x" * 600 for n in range(100)})
    assert mine.flush(10)
    assert len(decode_native(json.dumps({"events": server.events}).encode())) == 2


def test_without_an_address_nothing_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for mine in (Tocsin(), Tocsin("ftp://x"), Tocsin("nonsense")):
        with mine.run("p"), mine.stage("s"):
            mine.emit("x")
        assert mine.flush(1)
        mine.close()
        assert mine.courier.thread is None
    assert not list(tmp_path.rglob("*.jsonl"))


def test_more_than_fits_in_memory_goes_to_the_disk(server: FakeServer, client: NewClient, tmp_path: Path) -> None:
    server.open.clear()
    mine = client(server.url)
    for number in range(25_000):
        mine.emit("run.progress", n=number)
    assert mine.stats()["spooled"] > 10_000
    server.open.set()
    assert mine.flush(60)
    assert {event["data"]["n"] for event in server.events} == set(range(25_000))
    assert mine.stats()["dropped"] == 0


def test_a_full_disk_folder_loses_the_oldest_and_says_so(
    client: NewClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mine = client(NOWHERE, spool_bytes=3 * 1024 * 1024)
    for number in range(6):
        for part in range(1000):
            mine.emit("x", n=number * 1000 + part, filling="y" * 1000)
        assert not mine.flush(0.3)
    mine.close()
    kept = [event["data"]["n"] for event in lines(tmp_path / "spool")]
    assert kept == list(range(6000 - len(kept), 6000)), "the newest say how things stand"
    assert len(kept) >= 1000
    assert mine.stats()["dropped"] == 6000 - len(kept) > 0
    assert sum(file.stat().st_size for file in (tmp_path / "spool").iterdir()) < 5 * 1024 * 1024
    assert any("no room" in record.message for record in caplog.records)


def test_a_folder_that_cannot_be_written_to_is_no_harm(server: FakeServer, client: NewClient, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    server.script = [answers(503)] * 2
    mine = client(server.url, spool_dir=tmp_path / "file")
    for number in range(100):
        mine.emit("x", n=number)
    assert mine.flush(10)
    assert len(server.events) == 100


def test_a_torn_line_costs_only_itself(server: FakeServer, client: NewClient, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool/01.jsonl").write_bytes(b'{"type":"x","id":"a"}\n{"type":"x","id":"b"}\n\0\0\0\n{"type":"x","i')
    mine = client(server.url)
    mine.emit("x", id="c")
    assert mine.flush(10)
    assert [event["id"] for event in server.events] == ["a", "b", "c"]


def test_what_is_kept_is_for_its_owner_and_its_server_alone(tmp_path: Path) -> None:
    folders = {Tocsin(url, token).courier.spool.folder for url in (NOWHERE, NOWHERE + "0") for token in ("a", "b")}  # type: ignore[union-attr]
    assert len(folders) == 4
    mine = Tocsin(NOWHERE, "toc_secret")
    mine.emit("x")
    mine.close(0.1)
    (file,) = tmp_path.rglob("*.jsonl")
    assert file.stat().st_mode & 0o077 == 0
    assert file.parent.stat().st_mode & 0o077 == 0
    assert b"toc_secret" not in file.read_bytes()
