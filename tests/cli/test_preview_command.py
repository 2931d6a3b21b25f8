"""`tocsin preview`: the body, its size against the limit, and a page of how it looks."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Invoke, Stub
from tests.harness import Running

FOUND: dict[str, Any] = {
    "provider_type": "slack",
    "method": "POST",
    "url": "…0123456789",
    "headers": {"content-type": "application/json"},
    "body": {"text": "❌ failed", "blocks": []},
    "size_bytes": 1909,
    "limit_bytes": 100_000,
    "problems": [],
    "html": "<p>picture</p>",
    "html_kind": "fragment",
    "style": "p { color: red }",
    "root": None,
}


def test_the_body_is_alone_on_standard_output(invoke: Invoke, stub: Stub) -> None:
    # S1-17
    stub.answer = FOUND
    done = invoke("preview", "--provider", "slack", TOCSIN_URL=stub.url)
    assert done.code == 0
    assert done.json == FOUND["body"]
    assert done.err == "POST …0123456789: 1,909 of 100,000 bytes\n"
    assert stub.asked == [("POST", "/v1/webhooks/preview", {"provider_type": "slack", "sample": "failed"})]


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (("--provider", "teams", "--sample", "alert"), {"provider_type": "teams", "sample": "alert"}),
        (("--webhook", "whk_1", "--event-id", "evt_1"), {"webhook_id": "whk_1", "event_id": "evt_1"}),
        (
            ("--provider", "webhook", "-s", "format=simple", "-s", 'include=["data"]'),
            {"provider_type": "webhook", "sample": "failed", "settings": {"format": "simple", "include": ["data"]}},
        ),
    ],
)
def test_what_is_asked(invoke: Invoke, stub: Stub, words: tuple[str, ...], asked: dict[str, Any]) -> None:
    stub.answer = FOUND
    assert invoke("preview", *words, TOCSIN_URL=stub.url).code == 0
    assert stub.asked == [("POST", "/v1/webhooks/preview", asked)]


def test_an_event_of_a_file_or_of_standard_input(
    invoke: Invoke, stub: Stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.answer = FOUND
    event = {"type": "run.failed", "data": {"error": "ä"}}
    file = tmp_path / "event.json"
    file.write_text(json.dumps(event), "utf-8")
    invoke("preview", "--provider", "slack", "--event", str(file), TOCSIN_URL=stub.url)
    assert stub.asked[-1][2] == {"provider_type": "slack", "event": event}
    file.write_text("{", "utf-8")
    for path, said in ((file, "expected one event as JSON"), (tmp_path / "none", "No such file")):
        done = invoke("preview", "--provider", "slack", "--event", str(path), TOCSIN_URL=stub.url)
        assert done.code == 2
        assert said in done.err
    assert len(stub.asked) == 1


def test_problems_end_with_1(invoke: Invoke, stub: Stub) -> None:
    stub.answer = FOUND | {"problems": ["It is too large."]}
    done = invoke("preview", "--provider", "slack", TOCSIN_URL=stub.url)
    assert (done.code, done.err.splitlines()[1]) == (1, "problem: It is too large.")
    assert invoke("preview", "--provider", "slack", "-o", "json", TOCSIN_URL=stub.url).code == 1


def test_json_is_what_the_api_said(invoke: Invoke, stub: Stub) -> None:
    stub.answer = FOUND
    assert invoke("preview", "--provider", "slack", "-o", "json", TOCSIN_URL=stub.url).json == [FOUND]


def test_the_page_loads_nothing(invoke: Invoke, stub: Stub, tmp_path: Path) -> None:
    stub.answer = FOUND | {"root": FOUND | {"html": "<p>the run</p>"}}
    file = tmp_path / "page.html"
    assert invoke("preview", "--provider", "slack", "--html", str(file), TOCSIN_URL=stub.url).code == 0
    page = file.read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "default-src 'none'" in page
    assert "p { color: red }</style>" in page
    assert "<p>the run</p><p>picture</p></body>" in page
    stub.answer = FOUND | {"html": "<!doctype html><p>mail</p>", "html_kind": "document"}
    invoke("preview", "--provider", "email", "--html", str(file), TOCSIN_URL=stub.url)
    assert file.read_text("utf-8") == "<!doctype html><p>mail</p>"


def test_there_is_not_always_a_picture(invoke: Invoke, stub: Stub, tmp_path: Path) -> None:
    stub.answer = FOUND | {"html": None, "html_kind": None, "provider_type": "pagerduty"}
    done = invoke("preview", "--provider", "pagerduty", "--html", str(tmp_path / "x.html"), TOCSIN_URL=stub.url)
    assert done.code == 2
    assert "pagerduty" in done.err
    stub.answer = FOUND
    done = invoke("preview", "--provider", "slack", "--html", str(tmp_path / "no" / "x.html"), TOCSIN_URL=stub.url)
    assert done.code == 2


def test_nothing_hostile_reaches_the_terminal(invoke: Invoke, stub: Stub) -> None:
    hostile = "\x1b[2J\x9b31m\u202eevil\r\n"
    for body in (hostile * 2, {hostile: [hostile]}):
        stub.answer = FOUND | {"body": body, "url": hostile, "problems": [hostile]}
        done = invoke("preview", "--provider", "slack", TOCSIN_URL=stub.url)
        assert not any(char in done.out + done.err for char in "\x1b\x9b\u202e\r")


@pytest.mark.anyio
async def test_against_a_server(tocsin: Running, invoke: Invoke, tmp_path: Path) -> None:
    address = {"TOCSIN_URL": tocsin.client.base, "TOCSIN_TOKEN": tocsin.client.token}
    file = tmp_path / "failed.html"
    done = await asyncio.to_thread(invoke, "preview", "--provider", "slack", "--html", str(file), **address)
    assert (done.code, done.json["blocks"][0]["text"]["text"]) == (0, "❌ train-ranker failed in prod")
    assert "train-ranker failed" in file.read_text("utf-8")
    done = await asyncio.to_thread(invoke, "preview", "--provider", "fax", **address)
    assert done.code == 2
    assert "provider_type: expected one of" in done.err
