"""Logs and terminals against hostile text."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from tocsin.cli.logs import set_up_logging
from tocsin.cli.output import rows, safe
from tocsin.settings import read_settings

HOSTILE = 'a\r\nERROR forged\x1b[2J\x1b]0;owned\x07 "b", {"c": 1}\x00\x7f\x9b31m\u2028\u202e\u2066end'
BAD = ["\n", "\r", "\x1b", "\x07", "\x00", "\x7f", "\x9b", "\u2028", "\u202e", "\u2066"]


@pytest.fixture
def stream(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """What is logged, and structlog as it was afterwards."""
    yield capsys
    structlog.reset_defaults()


def logged(stream: pytest.CaptureFixture[str], form: str) -> list[str]:
    set_up_logging(read_settings({"TOCSIN_LOG_FORMAT": form, "TOCSIN_LOG_LEVEL": "debug"}))
    log: Any = structlog.get_logger()
    log.warning("event.odd", title=HOSTILE, pipeline=[HOSTILE], data={HOSTILE: HOSTILE})
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("event.failed", token="inside")
    return stream.readouterr().err.removesuffix("\n").split("\n")


def test_json_logs_are_one_line_for_each_entry(stream: pytest.CaptureFixture[str]) -> None:  # S21
    lines = logged(stream, "json")
    assert len(lines) == 2
    first, second = map(json.loads, lines)
    assert (first["event"], first["title"], first["level"]) == ("event.odd", HOSTILE, "warning")
    assert second["event"] == "event.failed"
    for line in lines:
        assert line.isprintable()
        assert line.isascii()


def test_logs_for_people_steer_no_terminal(stream: pytest.CaptureFixture[str]) -> None:  # S21
    said = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(logged(stream, "console")))  # our own colours
    assert "ERROR forged" in said
    assert not any(line.startswith("ERROR forged") for line in said.splitlines())
    for char in BAD[1:]:
        assert char not in said, repr(char)


def test_what_a_command_prints_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:  # S21
    for form in ("table", "tsv", "json"):
        rows([{"a": HOSTILE, "b": "=cmd|' /C calc'!A0"}], ("a", "b"), form)
        said = capsys.readouterr().out
        for char in BAD[1:]:
            assert char not in said, (form, repr(char))
        if form == "tsv":
            assert said.count("\n") == 2
            assert said.count("\t") == 2
    assert safe("a\u202eb\x1b[0m") == "a\\u202eb\\x1b[0m"
