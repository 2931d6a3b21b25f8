"""The command for the first token, as every way to install Tocsin tells it."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.process import TOCSIN

ROOT = Path(__file__).parents[2]
TOLD = re.compile(r"tocsin (token create --[^\"`\n]+)")
PLACES = (
    "deploy/docker/compose.yaml",
    "deploy/helm/tocsin/templates/NOTES.txt",
    "deploy/terraform/outputs.tf",
    "docs/install.md",
)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: str(place.split("/")[1]))
def test_it_makes_a_token(place: str, tmp_path: Path) -> None:
    commands = set(TOLD.findall((ROOT / place).read_text("utf-8")))
    assert commands
    for command in commands:
        environment = os.environ | {"TOCSIN_DATA_DIR": str(tmp_path)}
        words = [str(TOCSIN), *shlex.split(command)]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert done.stdout.startswith("toc_")
