"""The unit: what it says fits the program, and its sandbox is tight."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from tocsin.cli.main import app
from tocsin.settings import defaults

UNIT = Path(__file__).parents[2] / "deploy/systemd/tocsin.service"


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
