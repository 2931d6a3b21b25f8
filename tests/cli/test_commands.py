"""Help, exit codes and output forms of every command."""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from tests.cli.conftest import Invoke, Stub
from tests.postgres import free_port
from tocsin import __version__
from tocsin.cli.main import app
from tocsin.cli.output import safe

HEAVY = (
    "aiohttp",
    "apsw",
    "asyncpg",
    "starlette",
    "uvicorn",
    "uvloop",
    "msgspec",
    "cel_expr_python",
    "liquid",
    "structlog",
)

ITEM = {
    "created_at": "2026-11-21T02:00:00.000Z",
    "id": "dlv_1",
    "event_type": "run.failed",
    "webhook_id": "whk_1",
    "status": "dead",
    "attempts": 10,
    "http_status_code": None,
    "reason": "HTTP 500\tx; all 10 attempts failed",
}
HOSTILE = "\x1b[2J\x1b]0;pwned\x07\r\n\x9b31m\u202eevil\u2066 tab\there"


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command."""
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path
        return
    for name, one in inner.items():
        yield from commands(one, (*path, name))


EVERY = list(commands(typer.main.get_command(app)))
ASKING = [
    ("events",),
    ("export", "events"),
    ("why", "evt_1"),
    ("incident", "evt_1", "no-such.zip"),
    ("preview", "--provider", "slack"),
    ("send", "run.failed"),
    ("rules", "preview", "rul_1"),
    ("config", "export"),
    ("deliveries", "list"),
    ("deliveries", "replay", "dlv_1"),
    ("silence", "--pipeline", "etl/*", "--for", "2h"),
    ("silence", "list"),
    ("silence", "end", "sil_1"),
]
"""Those that talk to a server."""


def test_there_are_as_many_commands_as_the_examples_below_cover() -> None:
    assert {words[0] for words in EVERY} == {
        *("serve", "demo", "send", "events", "why", "preview", "rules", "config", "deliveries", "silence", "token"),
        *("migrate", "doctor", "backup", "restore", "audit", "secret", "sources", "members", "tenant", "rollout"),
        *("setup-link", "sign-in-link", "keys", "flow", "bridge", "run", "import", "incident", "export"),
    }


# Help.


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_help_has_an_example_that_begins_with_the_command(invoke: Invoke, words: tuple[str, ...]) -> None:
    done = invoke(*words, "--help")
    assert done.code == 0
    assert f"tocsin {' '.join(words)}" in done.out.split("Example", 1)[1]


@pytest.mark.parametrize("words", [(), ("deliveries",), ("token",)], ids=["tocsin", "deliveries", "token"])
def test_help_of_a_group_names_its_commands(invoke: Invoke, words: tuple[str, ...]) -> None:
    done = invoke(*words, "-h")
    assert done.code == 0
    for path in EVERY:
        if path[: len(words)] == words:
            assert path[len(words)] in done.out


def test_the_list_of_commands_says_each_in_a_whole_sentence(invoke: Invoke) -> None:
    said = invoke("--help").out
    assert "..." not in said.replace("[ARGS]...", ""), "it needs a short_help in main.py"
    assert all(len(line) <= 80 for line in said.splitlines())


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_it_says_its_version(invoke: Invoke, option: str) -> None:
    done = invoke(option)
    assert (done.code, done.out, done.err) == (0, f"tocsin {__version__}\n", "")


def test_help_tells_the_exit_codes(invoke: Invoke) -> None:
    assert "0 ok, 1 a check failed, 2 usage, 3 not allowed, 4 unreachable" in " ".join(invoke("--help").out.split())


def test_help_loads_nothing_that_takes_time() -> None:
    """Time is what it is about; what is loaded is what can be told for certain."""
    code = "import sys; from tocsin.cli.main import app; print([m for m in sys.argv[1:] if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code, *HEAVY], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Exit codes.


@pytest.mark.parametrize(
    "words",
    [
        ("nonsense",),
        ("serve", "--nonsense"),
        ("serve", "--only", "both"),
        ("serve", "--only", "api"),  # SQLite is for one process
        ("serve", "--port", "70000"),
        ("send",),
        ("send", "run.failed", "-d", "no equals sign"),
        ("send", "run.failed", "-l", "=value"),
        ("why",),
        ("incident", "evt_1"),
        ("incident", "evt_1", "/"),
        ("incident", "evt_1", "no/such/folder.zip"),
        ("incident", "evt_1", "one.zip", "--around", "an hour"),
        ("rules", "test"),
        ("rules", "test", "no-such-file.yaml"),
        ("rules", "preview", "no-such-file.yaml"),
        ("rules", "preview", "rul_1", "--last", "501"),
        ("config", "plan"),
        ("config", "apply", "no-such-file.yaml"),
        ("deliveries", "replay"),
        ("silence",),
        ("silence", "--match", "no equals sign", "--for", "2h"),
        ("silence", "--match", "!=x", "--for", "2h"),
        ("silence", "-p", "etl/*", "--for", "2 hours"),
        ("silence", "-p", "etl/*"),
        ("silence", "-p", "etl/*", "--hours", "22:00"),
        ("silence", "end"),
        ("deliveries", "list", "--limit", "0"),
        ("token", "create"),
        ("token", "create", "--role", "owner"),
        ("token", "create", "--role", "admin", "--tenant", "ä"),
        ("doctor", "-o", "xml"),
        ("audit", "verify", "--head", "12"),
        ("demo", "--slack-webhook-url", "https://example.com/"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2_and_says_what_was_expected(invoke: Invoke, words: tuple[str, ...]) -> None:
    done = invoke(*words)
    assert done.code == 2
    assert done.out == ""
    assert done.err


@pytest.mark.parametrize("words", [("migrate",), ("token", "create", "--role", "admin"), ("serve",)], ids=" ".join)
def test_a_wrong_setting_ends_with_2_and_is_named(invoke: Invoke, words: tuple[str, ...]) -> None:
    done = invoke(*words, TOCSIN_PORT="many")
    assert done.code == 2
    assert "TOCSIN_PORT='many'" in done.err


@pytest.mark.parametrize("words", ASKING, ids=lambda words: words[0])
@pytest.mark.parametrize("status", [401, 403])
def test_what_a_token_may_not_ends_with_3(invoke: Invoke, stub: Stub, words: tuple[str, ...], status: int) -> None:
    stub.status, stub.answer = status, {"detail": "This needs the role developer."}
    done = invoke(*words, TOCSIN_URL=stub.url)
    assert done.code == 3
    assert "This needs the role developer." in done.err
    assert "TOCSIN_TOKEN" in done.err  # none was given


@pytest.mark.parametrize("words", ASKING, ids=lambda words: words[0])
def test_nobody_there_ends_with_4_and_says_where_it_looked(invoke: Invoke, words: tuple[str, ...]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = invoke(*words, TOCSIN_URL=url)
    assert done.code == 4
    assert url in done.err
    assert "tocsin serve" in done.err


@pytest.mark.parametrize(("status", "code"), [(503, 4), (429, 4), (502, 4), (400, 2), (404, 2), (409, 2), (500, 1)])
def test_what_the_server_says_ends_with_its_code(invoke: Invoke, stub: Stub, status: int, code: int) -> None:
    stub.status, stub.answer = status, {"detail": "the reason"}
    done = invoke("why", "evt_1", TOCSIN_URL=stub.url, TOCSIN_TOKEN="toc_x")
    assert (done.code, done.err) == (code, "tocsin: the reason\n")


def test_an_answer_that_is_no_problem_is_told_by_its_status(invoke: Invoke, stub: Stub) -> None:
    stub.status, stub.answer = 502, b"<html>bad gateway</html>"
    done = invoke("events", TOCSIN_URL=stub.url)
    assert (done.code, done.err) == (4, "tocsin: HTTP 502\n")


def test_an_unreachable_database_ends_with_4(invoke: Invoke) -> None:
    address = f"postgresql://tocsin:s3cret@127.0.0.1:{free_port()}/tocsin"
    done = invoke("migrate", TOCSIN_DATABASE_URL=address)
    assert done.code == 4
    assert "PostgreSQL cannot be reached" in done.err
    assert "s3cret" not in done.err


def test_pending_migrations_end_a_check_with_1_and_are_listed(invoke: Invoke) -> None:
    first = invoke("migrate", "--check")
    assert first.code == 1
    assert first.out.startswith("pending\t0001_tables\n")
    assert invoke("migrate").out.startswith("migrated\t0001_tables\n")
    assert (invoke("migrate", "--check").code, invoke("migrate").out) == (0, "up to date\n")


# Output.


def test_a_pipe_gets_tab_separated_values(invoke: Invoke, stub: Stub) -> None:
    stub.answer = {"items": [ITEM], "next": None}
    done = invoke("deliveries", "list", TOCSIN_URL=stub.url)
    names, values = csv.reader(io.StringIO(done.out), delimiter="\t", quoting=csv.QUOTE_NONE)
    assert names == list(ITEM)
    assert dict(zip(names, values, strict=True))["reason"] == r"HTTP 500\x09x; all 10 attempts failed"
    assert dict(zip(names, values, strict=True))["http_status_code"] == ""


def test_a_table_is_aligned(invoke: Invoke, stub: Stub) -> None:
    stub.answer = {"items": [ITEM, ITEM | {"id": "dlv_a_longer_one"}], "next": None}
    head, first, second = invoke("deliveries", "list", "-o", "table", TOCSIN_URL=stub.url).out.splitlines()
    assert head.startswith("CREATED_AT")
    assert first.index("run.failed") == second.index("run.failed") == head.index("EVENT_TYPE")


def test_json_is_what_the_api_said(invoke: Invoke, stub: Stub) -> None:
    stub.answer = {"items": [ITEM], "next": None}
    assert invoke("deliveries", "list", "-o", "json", TOCSIN_URL=stub.url).json == [ITEM]


@pytest.mark.parametrize("form", ["auto", "table", "tsv", "json"])
def test_nothing_hostile_reaches_the_terminal(invoke: Invoke, stub: Stub, form: str) -> None:
    stub.answer = {"items": [dict.fromkeys(ITEM, HOSTILE)], "next": None}
    out = invoke("deliveries", "list", "-o", form, TOCSIN_URL=stub.url).out
    assert not any(char in out for char in "\x1b\x07\r\x9b\u202e\u2066")
    assert len(out.splitlines()) == 2 or form == "json"


def test_nothing_hostile_reaches_the_terminal_from_why(invoke: Invoke, stub: Stub) -> None:
    decision = {"rule": HOSTILE, "verdict": "matched", "reason": HOSTILE}
    stub.answer = {"summary": HOSTILE, "decisions": [decision], "deliveries": [dict.fromkeys(ITEM, HOSTILE)]}
    out = invoke("why", HOSTILE, "-o", "table", TOCSIN_URL=stub.url).out
    assert not any(char in out for char in "\x1b\x07\r\x9b\u202e\u2066\t")
    assert stub.asked[0][1].startswith("/v1/events/%1B%5B2J")


def test_nothing_hostile_reaches_the_terminal_in_an_error(invoke: Invoke, stub: Stub) -> None:
    stub.status, stub.answer = 400, {"detail": HOSTILE}
    err = invoke("why", "evt_1", TOCSIN_URL=stub.url).err
    assert not any(char in err for char in "\x1b\x07\r\x9b\u202e\u2066\t")
    assert err.count("\n") == 1


def test_safe_leaves_words_alone() -> None:
    assert safe("❌ Ärger — 漢字 👩‍👩‍👧") == "❌ Ärger — 漢字 👩‍👩‍👧"
    assert safe(None) == ""


# What they ask.


def test_send_makes_one_event_of_its_options(invoke: Invoke, stub: Stub) -> None:
    stub.answer = {"id": "evt_1", "duplicate": False}
    done = invoke(
        *("send", "run.failed", "-p", "etl/orders", "-r", "7", "-s", "load", "-m", "words", "--id", "mine"),
        *("-l", "env=prod", "-d", "rows=12", "-d", "error=disk full", "--link", "run=https://airflow.example/7"),
        TOCSIN_URL=stub.url,
    )
    assert done.out == "id\tduplicate\nevt_1\tFalse\n"
    assert stub.asked == [
        (
            "POST",
            "/v1/events",
            {
                "type": "run.failed",
                "source": "cli",
                "pipeline": "etl/orders",
                "run_id": "7",
                "stage": "load",
                "message": "words",
                "id": "mine",
                "labels": {"env": "prod"},
                "links": {"run": "https://airflow.example/7"},
                "data": {"rows": 12, "error": "disk full"},
            },
        )
    ]


def test_replay_by_filter_can_be_tried_first(invoke: Invoke, stub: Stub) -> None:
    stub.answer = {"count": 3, "replayed": 0, "dry_run": True}
    done = invoke("deliveries", "replay", "--webhook", "whk_1", "--dry-run", TOCSIN_URL=stub.url)
    assert done.out == "count\treplayed\tdry_run\n3\t0\tTrue\n"
    assert stub.asked == [("POST", "/v1/deliveries/replay", {"dry_run": True, "webhook_id": "whk_1"})]


def test_a_token_is_alone_on_standard_output(invoke: Invoke) -> None:
    done = invoke("token", "create", "--role", "viewer")
    assert done.code == 0
    assert done.out.startswith("toc_")
    assert len(done.out.split()) == 1
    assert done.out.strip() not in done.err


def test_json_on_a_pipe_is_one_line(invoke: Invoke, stub: Stub) -> None:
    stub.answer = {"items": [ITEM], "next": None}
    out = invoke("events", "-o", "json", TOCSIN_URL=stub.url).out
    assert json.loads(out) == [ITEM]
    assert out.count("\n") == 1


def test_csv_is_for_spreadsheets(invoke: Invoke, stub: Stub) -> None:
    stub.answer = {"items": [ITEM | {"reason": "=1+1, or so"}], "next": None}
    done = invoke("deliveries", "list", "-o", "csv", TOCSIN_URL=stub.url)
    names, values = csv.reader(io.StringIO(done.out))
    assert dict(zip(names, values, strict=True))["reason"] == "'=1+1, or so"


def test_an_export_is_what_the_server_writes(invoke: Invoke, stub: Stub) -> None:
    stub.answer = {"id": "dlv_1"}
    done = invoke("export", "deliveries", "-w", "status=dead", "--format", "jsonl", TOCSIN_URL=stub.url)
    assert done.json == {"id": "dlv_1"}
    assert [(method, path) for method, path, _ in stub.asked] == [
        ("GET", "/v1/deliveries/export?format=jsonl&limit=100000&status=dead")
    ]
    for wrong in (["runs"], ["events", "-w", "status"], ["events", "--format", "xls"]):
        assert invoke("export", *wrong, TOCSIN_URL=stub.url).code == 2
