"""The same bytes from anybody's build; and a bill of materials that names what is installed."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.debian import run

ROOT = Path(__file__).parents[2]


def another_python() -> str:
    """Another one than runs this, where there is one."""
    for version in ("3.12", "3.13", "3.11"):
        found = shutil.which(f"python{version}")
        works = found and subprocess.run([found, "-c", "import venv"], capture_output=True).returncode == 0
        if found and works and not sys.version.startswith(version):
            return found
    return sys.executable


@pytest.fixture(scope="module")
def dist() -> Path:
    """What `make dist` makes here; of what is committed, or nobody else could make it."""
    changed = run("git", "status", "--porcelain", "--", "src", "clients", "requirements", "pyproject.toml", cwd=ROOT)
    assert not changed, f"There are changes that a clone does not have:\n{changed}"
    run("make", "dist", cwd=ROOT)
    return ROOT / "dist"


@pytest.mark.proof
def test_a_clone_elsewhere_makes_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    """Another folder, another Python, other rights of new files, another time zone and language."""
    clone = tmp_path / "a folder elsewhere"
    run("git", "clone", "-q", ROOT, clone)
    environment = os.environ | {"TZ": "Asia/Tokyo", "LANG": "C"}
    command = ["bash", "-c", f"umask 077 && make PYTHON={another_python()} dist"]
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    assert (clone / "dist/SHA256SUMS").read_text() == (dist / "SHA256SUMS").read_text()


@pytest.mark.proof
def test_the_bill_of_materials_names_what_is_installed(dist: Path) -> None:
    bill = json.loads((dist / "tocsin.cdx.json").read_text("utf-8"))
    assert bill["bomFormat"] == "CycloneDX"
    lock = (ROOT / "requirements/runtime.txt").read_text("utf-8")
    locked = dict(re.findall(r"^([a-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", lock, re.MULTILINE))
    assert len(locked) > 20
    assert {one["name"]: one["version"] for one in bill["components"]} == locked
    assert all(one.get("externalReferences") for one in bill["components"]), "a part without the hash of its file"
