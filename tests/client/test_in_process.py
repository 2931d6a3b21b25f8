"""`SlackNotifier` and `NotificationService` in real programs, with a real directory and a real receiver."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Receiver, Start

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]


class Programs:
    """Starts programs that share one data directory."""

    def __init__(self, folder: Path, receiver: Receiver) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TOCSIN_", "SLACK_"))}
        self.environment = kept | {
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "clients/python/src")]),
            "TOCSIN_DATA_DIR": str(folder),
            "TOCSIN_ALLOW_TARGETS": "127.0.0.0/8",
            "TOCSIN_CONNECT_TO": receiver.diversions,
            "SLACK_RATE_LIMIT_PER_WEBHOOK": "1000",
        }

    def start(self, program: str, **environment: str) -> "subprocess.Popen[bytes]":
        started = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program)],
            env=self.environment | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.started.append(started)
        return started

    def end(self) -> None:
        """Those of a test that failed may still run."""
        for program in self.started:
            if program.poll() is None:
                program.kill()
                program.communicate()


@pytest.fixture
def programs(tmp_path: Path, receiver: Receiver) -> Iterator[Programs]:
    found = Programs(tmp_path / "data", receiver)
    yield found
    found.end()


async def ended(program: "subprocess.Popen[bytes]") -> tuple[bytes, bytes]:
    import asyncio

    out, err = await asyncio.to_thread(program.communicate)
    assert program.returncode == 0, err.decode()
    return out, err


def texts(messages: list[Any]) -> list[str]:
    return [json.dumps(message.json, ensure_ascii=False) for message in messages]


async def test_an_address_in_the_environment_is_enough(programs: Programs, receiver: Receiver) -> None:
    # S0-08
    hook = receiver.slack()
    program = """
        import asyncio
        from tocsin import SlackNotifier

        async def main():
            notifier = SlackNotifier()
            print(await notifier.send_execution_started("etl/orders", "r1"))
            await notifier.send_execution_completed("etl/orders", "r1", rows=12)
            await notifier.send_execution_failed("etl/items", "r2", error=ValueError("no such table"))

        asyncio.run(main())
    """
    out, err = await ended(programs.start(program, SLACK_WEBHOOK_URL=hook.url))
    assert out.strip()
    assert err == b""
    said = texts(hook.expect(3))
    assert any("etl/orders" in text and "started" in text for text in said)
    assert any("etl/orders" in text and "12" in text for text in said)
    assert any("etl/items" in text and "ValueError: no such table" in text for text in said)


async def test_each_notifier_speaks_to_its_own_channel_without_a_loop(programs: Programs, receiver: Receiver) -> None:
    # S0-08
    first, second, everything = receiver.slack("A"), receiver.slack("B"), receiver.slack("C")
    program = f"""
        from tocsin import NotificationService, SlackNotifier

        SlackNotifier("{first.url}").send_execution_failed("one", "1", error="for A")
        SlackNotifier("{second.url}").send_execution_failed("two", "2", error="for B")
        NotificationService.emit_event(event_type="training.complete", user_id=42, data={{"accuracy": 0.968}})
    """
    await ended(programs.start(program, SLACK_WEBHOOK_URL=everything.url))
    assert "for A" in texts(first.expect(1))[0]
    assert "for B" in texts(second.expect(1))[0]
    assert "96.8" in texts(everything.expect(1))[0]
    secret = first.url.rsplit("/", 1)[1].encode()
    files = [file for file in programs.folder.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if secret in file.read_bytes()], "an address lies about unsealed"


async def test_what_was_emitted_before_a_kill_is_delivered_at_the_next_start(
    programs: Programs, receiver: Receiver
) -> None:
    # S1-11
    hook = receiver.slack()
    program = """
        import os, signal
        from tocsin import NotificationService

        for n in range(40):
            assert NotificationService.emit_event("alert", data={"n": n}, title=f"number {n}.")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    killed = programs.start(program, SLACK_WEBHOOK_URL=hook.url)
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    program = """
        from tocsin import NotificationService

        NotificationService.emit_event("alert", title="number 40.")
        assert NotificationService.flush(30)
    """
    await ended(programs.start(program, SLACK_WEBHOOK_URL=hook.url))
    said = " ".join(texts(hook.all_new()))
    assert [n for n in range(41) if f"number {n}." not in said] == []


async def test_several_processes_of_one_directory_leave_it_to_one(programs: Programs, receiver: Receiver) -> None:
    hook = receiver.slack()
    program = """
        import multiprocessing, os
        from tocsin import NotificationService

        def child(number):
            for n in range(8):
                NotificationService.emit_event("alert", title=f"child {number} {n}.")

        NotificationService.emit_event("alert", title="parent.")
        NotificationService.flush(30)
        children = [multiprocessing.get_context("fork").Process(target=child, args=(n,)) for n in range(2)]
        for one in children: one.start()
        for one in children: one.join()
        assert [one.exitcode for one in children] == [0, 0]
    """
    first = programs.start(program, SLACK_WEBHOOK_URL=hook.url)
    second = programs.start(
        program.replace('"child', '"other').replace("parent.", "uncle."),
        SLACK_WEBHOOK_URL=hook.url,
    )
    await ended(first)
    await ended(second)
    await ended(
        programs.start(
            "from tocsin import NotificationService as N; N.emit_event('alert', title='last.'); assert N.flush(30)",
            SLACK_WEBHOOK_URL=hook.url,
        )
    )
    said = " ".join(texts(hook.all_new()))
    names = ["parent.", "uncle.", "last."] + [
        f"{who} {c} {n}." for who in ("child", "other") for c in range(2) for n in range(8)
    ]
    assert [name for name in names if name not in said] == []


async def test_a_server_on_the_directory_takes_what_programs_leave(
    start: Start, programs: Programs, receiver: Receiver
) -> None:
    tocsin = await start()
    hook, mine = receiver.hook("/all"), receiver.slack("A")
    await tocsin.webhook(hook, enabled_events=["training.*"])
    data_dir = tocsin.app.settings.data_dir
    program = f"""
        from tocsin import NotificationService, SlackNotifier

        NotificationService.emit_event("training.failed", 42, {{"error": "nan"}}, pipeline="lstm", loss=float("nan"))
        SlackNotifier("{mine.url}").send_execution_started("lstm", "1")
    """
    more = {"TOCSIN_DATA_DIR": data_dir}
    holder = None
    if tocsin.dialect == "sqlite":  # the harness is no `tocsin serve`: somebody has to hold the lock
        from tocsin.app import lock_store

        holder = lock_store(tocsin.app.settings)
    else:
        more["TOCSIN_DATABASE_URL"] = tocsin.app.settings.database_url
    _, err = await ended(programs.start(program, **more))
    assert not err
    await hook.got(1)
    await mine.got(1)
    await tocsin.settle()
    hook.expect(1)
    (event,) = (await tocsin.client.get("/v1/events?type=training.failed")).ok()["items"]
    assert (event["labels"], event["data"]) == ({"user_id": "42"}, {"error": "nan", "loss": "nan"})
    mine.expect(1)
    if holder is not None:
        holder.close()


async def test_nothing_is_raised_whatever_is_wrong(programs: Programs, tmp_path: Path) -> None:
    # S1-11
    (tmp_path / "file").write_text("")
    program = """
        from tocsin import NotificationService

        NotificationService.emit_event("training.complete", data={"self": object()})
        NotificationService.emit_event(None, labels=7)
    """
    for wrong in ({"TOCSIN_PORT": "nonsense"}, {"TOCSIN_DATA_DIR": str(tmp_path / "file")}):
        _, err = await ended(programs.start(program, **wrong))
        assert b"Traceback" not in err
        assert b"notification" in err or b"could not be made" in err


def test_an_address_that_is_not_slacks_is_refused_at_once(programs: Programs) -> None:
    program = """
        from tocsin import SlackNotifier
        for url in ("https://example.com/x", None):
            try: SlackNotifier(url)
            except ValueError as error: print(error)
    """
    out, _ = programs.start(program).communicate()
    assert out.count(b"\n") == 2
    assert b"SLACK_WEBHOOK_URL" in out


def test_importing_tocsin_loads_nothing(programs: Programs) -> None:
    program = """
        import sys, tocsin
        assert tocsin.__version__
        print(sorted({"tocsin.app", "tocsin.in_process", "tocsin_client", "apsw", "asyncio"} & set(sys.modules)))
    """
    out, _ = programs.start(program).communicate()
    assert out == b"[]\n"
