"""An environment for each framework: they do not go together with one another, nor with what Tocsin needs.

Made once from tests/frameworks/requirements, through pip's own configuration of the machine, and kept until the lock
changes: in a folder of the environment that runs the tests, or in TEST_FRAMEWORKS_DIR, which several clones may share.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
UV = Path(sys.executable).with_name("uv")


def python_of(name: str) -> Path:
    """The python that has this framework."""
    lock = HERE / f"requirements/{name}.txt"
    kept = Path(os.environ.get("TEST_FRAMEWORKS_DIR") or Path(sys.prefix) / "frameworks")
    place = kept / f"{name}-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    if not (place / "ready").exists():
        shutil.rmtree(place, ignore_errors=True)
        run = [str(UV), "--quiet", "--no-progress"]
        subprocess.run([*run, "venv", "--python", sys.executable, str(place)], check=True)
        install = [*run, "pip", "install", "--python", str(place / "bin/python"), "--require-hashes", "-r", str(lock)]
        subprocess.run(install, check=True, env=os.environ | as_pip_is_told())
        (place / "ready").touch()
    return place / "bin/python"


def as_pip_is_told() -> dict[str, str]:
    """Where packages come from, in uv's words: it does not read what pip reads."""
    said = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    lines = [line.partition("=") for line in said.stdout.splitlines()]
    pip = {name.rpartition(".")[2]: value.strip("'") for name, _, value in lines}
    names = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS"}
    names["cert"] = "SSL_CERT_FILE"
    return {ours: pip[theirs] for theirs, ours in names.items() if theirs in pip and ours not in os.environ}
