"""Pings, as cron jobs and the wrappers around them send them."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Answer, Running

pytestmark = pytest.mark.anyio


async def address(tocsin: Running, **settings: Any) -> str:
    given = {"kind": "ping", "name": "cron", "settings": settings or {"pipeline": "backup"}}
    made = (await tocsin.client.post("/v1/sources", given)).ok(201)
    path: str = made["url"].removeprefix(tocsin.client.base)
    assert path.startswith("/ping/")
    return path


async def ping(tocsin: Running, path: str, body: bytes | None = None, method: str = "") -> Answer:
    return await tocsin.client.with_token("").request(method or ("GET" if body is None else "POST"), path, data=body)


async def said_ok(tocsin: Running, path: str, body: bytes | None = None, method: str = "") -> None:
    answer = await ping(tocsin, path, body, method)
    assert (answer.status, answer.body) == (200, b"" if method == "HEAD" else b"OK")
    assert answer.headers["ping-body-limit"] == "100000"


async def runs(tocsin: Running, pipeline: str = "backup") -> list[dict[str, Any]]:
    found = (await tocsin.client.get(f"/v1/runs?pipeline={pipeline}")).ok()["items"]
    return [(await tocsin.client.get(f"/v1/runs/{run['id']}")).ok() for run in found]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
async def test_one_line_in_a_crontab(tocsin: Running, method: str) -> None:
    await said_ok(tocsin, await address(tocsin), method=method)
    (run,) = await runs(tocsin)
    assert (run["status"], run["pipeline"]) == ("succeeded", "backup")


async def test_a_wrapper_s_whole_story(tocsin: Running) -> None:
    # As runitor asks: start with a run id, what it says meanwhile, the exit status with the output.
    path, rid = await address(tocsin), "5b1a1b0c-95a2-4f5e-a9b8-000000000001"
    hook = tocsin.receiver.hook("/cron")
    await tocsin.webhook(hook, enabled_events=["run.failed"])
    await said_ok(tocsin, f"{path}/start?rid={rid}", b"")
    await tocsin.move(90)
    await said_ok(tocsin, f"{path}/log?rid={rid}", b"half way")
    await said_ok(tocsin, f"{path}/3?rid={rid}", b"no space left on device\n")
    await said_ok(tocsin, f"{path}/3?rid={rid}", b"no space left on device\n")  # tried again: the answer was lost
    (run,) = await runs(tocsin)
    assert (run["run_id"], run["status"], run["duration_s"]) == (rid, "failed", 90)
    assert run["log_tail"] == "half way\nno space left on device\n"
    assert run["error"] == "exit status 3\nno space left on device"
    await tocsin.settle()
    (message,) = hook.expect(1)
    assert (message.json["pipeline"], message.json["duration_s"]) == ("backup", 90)


async def test_without_a_run_id_the_last_start_counts(tocsin: Running) -> None:
    path = await address(tocsin)
    for _ in range(2):
        await said_ok(tocsin, f"{path}/start")
        await tocsin.move(60)
    await said_ok(tocsin, path)
    await tocsin.move(60)
    await said_ok(tocsin, f"{path}/fail")  # nothing goes on any more that began after the last end
    assert [run["status"] for run in await runs(tocsin)] == ["failed", "succeeded", "running"]


async def test_two_runs_side_by_side(tocsin: Running) -> None:
    path = await address(tocsin)
    for word in ("/start?rid=a", "/start?rid=b", "/0?rid=a", "/1?rid=b"):
        await said_ok(tocsin, path + word)
    assert {run["run_id"]: run["status"] for run in await runs(tocsin)} == {"a": "succeeded", "b": "failed"}


async def test_a_word_while_nothing_runs_begins_no_run(tocsin: Running) -> None:
    await said_ok(tocsin, await address(tocsin) + "/log", b"hello")
    assert await runs(tocsin) == []
    (event,) = (await tocsin.client.get("/v1/events")).ok()["items"]
    assert (event["type"], event["message"], event["pipeline"]) == ("ping.log", "hello", "backup")


async def test_the_end_of_a_long_output_is_kept(tocsin: Running) -> None:
    body = b"\xff\x00" + "é".encode() * 60_000 + b"THE END"
    await said_ok(tocsin, await address(tocsin), body)
    (run,) = await runs(tocsin)
    assert run["log_tail"].endswith("éTHE END")
    assert len(run["log_tail"].encode()) <= 16 * 1024
    too_much = await ping(tocsin, await address(tocsin, pipeline="other"), b"x" * 20_000_000)
    assert too_much.status == 413


async def test_jobs_by_their_slugs(tocsin: Running) -> None:
    path = await address(tocsin, prefix="cron/", slugs=["nightly"], create=True, labels={"host": "db1"})
    await said_ok(tocsin, f"{path}/nightly/start")
    await said_ok(tocsin, f"{path}/nightly/0")
    (await ping(tocsin, f"{path}/weekly")).problem(404)
    created = await ping(tocsin, f"{path}/weekly/1?create=1")
    assert (created.status, created.body) == (201, b"Created")
    await said_ok(tocsin, f"{path}/weekly?create=1")
    await said_ok(tocsin, f"{path}/weekly")
    (await ping(tocsin, f"{path}/Not%20A%20Slug?create=1")).problem(404)
    (await ping(tocsin, path)).problem(404)
    assert [run["status"] for run in await runs(tocsin, "cron/weekly")] == ["succeeded", "succeeded", "failed"]
    found = (await tocsin.client.get("/v1/events?pipeline=cron/nightly")).ok()["items"]
    assert [event["labels"] for event in found] == [{"host": "db1"}] * 2
    closed = await address(tocsin, slugs=["a"])
    (await ping(tocsin, f"{closed}/b?create=1")).problem(404)


@pytest.mark.parametrize("rest", ["x", "/256", "/-1", "/starts", "/start/more", "/٣", "/0x1"])
async def test_addresses_that_are_none(standing: Running, rest: str) -> None:
    (await ping(standing, await address(standing) + rest)).problem(404)
    assert (await standing.client.get("/v1/events")).ok()["items"] == []


async def test_what_else_is_refused(tocsin: Running) -> None:
    path = await address(tocsin)
    (await ping(tocsin, f"{path}?rid={'x' * 101}")).problem(400, "rid")
    (await ping(tocsin, path.replace("/ping/", "/v1/ingest/ping/"), b"{}")).problem(404)
    for settings, field in (
        ({}, "settings"), ({"pipeline": "a", "create": True}, "settings.pipeline"),
        ({"pipline": "a"}, "settings.pipline"), ({"slugs": ["A"]}, "settings.slugs[0]"),
        ({"pipeline": "a\n"}, "settings.pipeline"),
    ):  # fmt: skip
        given = {"kind": "ping", "name": "x", "settings": settings}
        (await tocsin.client.post("/v1/sources", given)).problem(400, field)


async def test_a_job_that_pings_without_end_is_told_to_wait(tocsin: Running) -> None:
    path, other = await address(tocsin), await address(tocsin, pipeline="other")
    for _ in range(60):
        await said_ok(tocsin, f"{path}/log")
    refused = await ping(tocsin, f"{path}/log")
    refused.problem(429)
    assert refused.headers["retry-after"] == "1"
    await said_ok(tocsin, f"{other}/log")
    await tocsin.move(1)
    await said_ok(tocsin, f"{path}/log")


async def test_a_ping_that_does_not_come_is_told_and_so_is_the_next(tocsin: Running) -> None:
    path = await address(tocsin)
    hook = tocsin.receiver.hook("/missed")
    webhook = await tocsin.webhook(hook)
    await tocsin.rule(
        webhook,
        event_types=["run.missed", "run.succeeded"],
        pipelines=["backup"],
        schedule={"every_s": 3600, "start_within_s": 300},
    )
    await said_ok(tocsin, path)
    await tocsin.settle()
    assert hook.expect(1)[0].json["type"] == "run.succeeded"
    for _ in range(7):
        await tocsin.move(600)
    (missed,) = hook.expect(1)
    assert missed.json["type"] == "run.missed"
    assert "backup should have started by" in missed.json["title"]
    await said_ok(tocsin, path)
    await tocsin.settle()
    assert hook.expect(1)[0].json["type"] == "run.succeeded"


PAGE = (Path(__file__).parents[2] / "docs/ping.md").read_text("utf-8")


@pytest.mark.usefixtures("curl")
async def test_the_page_does_what_it_says(tocsin: Running) -> None:
    ping, key = await address(tocsin), await address(tocsin, create=True)
    blocks = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 3
    program = "\n".join(blocks).replace("https://tocsin.example.org/ping/KEY", f"{tocsin.client.base}$P")
    program = re.sub(r"^(\d+|\*)( (\d+|\*)){4} ", "", program, flags=re.MULTILINE)  # when cron runs it
    program = f"set -eu; P={ping}; S={key}; backup() {{ echo done; }}; {program}"
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", program.replace("$P/nightly", "$S/nightly"),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    assert [run["status"] for run in await runs(tocsin, "nightly")] == ["succeeded"]
    assert {run["status"] for run in await runs(tocsin)} == {"succeeded", "failed"}
