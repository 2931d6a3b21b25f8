"""A client that a generator makes of the OpenAPI document, and a program that uses it.

The generator does not go together with what Tocsin needs, so it has an environment of its own, which is made once: from
requirements/openapi-client.txt, through pip as it is configured here.
"""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import Running

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements/openapi-client.txt"
PROGRAM = Path(__file__).with_name("generated_client_program.py")


@pytest.fixture(scope="module")
def python() -> Path:
    """Of the environment that has the generator."""
    place = Path(sys.prefix) / "openapi-client" / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    found = place / "bin/python"
    if not (place / "ready").exists():
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
        pip = [sys.executable, "-m", "pip", "--python", str(found), "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "-q", "--require-hashes", "-r", str(LOCK)], check=True)
        (place / "ready").touch()
    return found


async def ran(*command: str | Path, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, env=os.environ | environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await process.communicate()
    assert process.returncode == 0, (out + error).decode()
    return out.decode()


@pytest.mark.anyio
async def test_a_generated_client_works(tocsin: Running, python: Path, tmp_path: Path) -> None:
    # S4-01
    document, package = tmp_path / "openapi.json", tmp_path / "tocsin_api"
    document.write_bytes((await tocsin.client.get("/openapi.json")).body)
    said = await ran(
        *(python, "-m", "openapi_python_client", "generate", "--path", document),
        *("--meta", "none", "--output-path", package),
    )
    left_out = [line for line in said.splitlines() if "will be omitted" in line or "removal" in line]
    files = [line for line in left_out if "application/jsonl" in line or "text/csv" in line]
    assert left_out == files, said  # exports are no single JSON
    hook = tocsin.receiver.hook("/orders")
    printed = await ran(
        *(python, PROGRAM, tocsin.client.base, hook.url), TOCSIN_TOKEN=tocsin.client.token, PYTHONPATH=str(tmp_path)
    )
    (message,) = hook.expect(1)
    delivery = json.loads(printed)
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 1)
    assert delivery["id"] == message.id
    assert delivery["log"][0]["http_status_code"] == 200
