"""Python and shell scripts: a process of their own, in a folder of their own, with limits; their real error is kept."""

import asyncio
import contextlib
import ctypes
import json
import os
import re
import resource
import shlex
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from tocsin.flows.execution import Execution, Handler, TaskFailed, TaskRun
from tocsin.flows.expression.values import text
from tocsin.flows.model import Task

LINE_BYTES = 64 * 1024
ERROR_LINES = 40
ERROR_CHARS = 4000
FILES = 100
MEMORY_BYTES = 4 * 1024**3
"""Of address space; enough for pandas, too little to take the machine down."""

CPU_S = 3600
OUTPUT = re.compile(r"^::(\{.*\})::$")
PR_SET_PDEATHSIG = 1
"""prctl(2): a script whose Tocsin is gone does not go on by itself, while the next Tocsin says that it failed."""

PRCTL = getattr(ctypes.CDLL(None), "prctl", None)
SEEN = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE")
"""What of our own environment a script sees. Nothing of Tocsin's settings."""


async def python(task: Task, run: TaskRun, execution: Execution) -> dict[str, Any]:
    script = text(execution.rendered(task.given.get("script", ""), run))
    return await in_process([sys.executable, "-u", "script.py"], {"script.py": script}, task, run, execution)


async def shell(task: Task, run: TaskRun, execution: Execution) -> dict[str, Any]:
    script = text(execution.rendered(task.given.get("script", ""), run))
    return await in_process(["/bin/sh", "-e", "script.sh"], {"script.sh": script}, task, run, execution)


async def commands(task: Task, run: TaskRun, execution: Execution) -> dict[str, Any]:
    given = task.given.get("commands") or []
    lines = execution.rendered(given if isinstance(given, list) else [given], run)
    script = "\n".join(text(line) for line in lines)
    return await in_process(["/bin/sh", "-e", "script.sh"], {"script.sh": script}, task, run, execution)


async def in_process(
    command: list[str], files: dict[str, str], task: Task, run: TaskRun, execution: Execution
) -> dict[str, Any]:
    before = execution.rendered(task.given.get("beforeCommands") or [], run)
    env = {name: text(value) for name, value in (execution.rendered(task.given.get("env") or {}, run)).items()}
    given = execution.rendered(task.given.get("inputFiles") or {}, run)
    with tempfile.TemporaryDirectory(prefix="tocsin-flow-") as name:
        folder = Path(name)
        put_files(folder, {**{path: text(value) for path, value in given.items()}, **files} if given else files)
        if before:
            joined = "\n".join(text(line) for line in before)
            put_files(folder, {"before.sh": joined})
            command = ["/bin/sh", "-e", "-c", f". ./before.sh\nexec {shlex.join(command)}"]
        return await started(command, folder, env, task, run, execution)


async def started(
    command: list[str], folder: Path, env: dict[str, str], task: Task, run: TaskRun, execution: Execution
) -> dict[str, Any]:
    seen = {name: value for name in SEEN if (value := os.environ.get(name)) is not None}  # noqa: TID251 - passed on
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=seen | {"HOME": str(folder), "TMPDIR": str(folder)} | env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        preexec_fn=limited,
        limit=LINE_BYTES,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    outputs: dict[str, Any] = {}
    wrong: list[str] = []

    async def read(stream: asyncio.StreamReader, *, is_error: bool) -> None:
        while line := await next_line(stream):
            line = line.rstrip("\n")
            if (found := OUTPUT.match(line)) and not is_error:
                outputs.update(said(found[1]))
                continue
            execution.log(line, run, "WARN" if is_error else "INFO")
            if is_error:
                wrong.append(line)
                del wrong[:-ERROR_LINES]

    try:
        await asyncio.gather(read(process.stdout, is_error=False), read(process.stderr, is_error=True))
        code = await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.returncode is None:
            await process.wait()
    if code:
        raise failure(code, wrong)
    run.warned = run.warned or (bool(wrong) and task.given.get("warningOnStdErr", True) is not False)
    return {"exitCode": code, "vars": outputs}


async def next_line(stream: asyncio.StreamReader) -> str:
    """A line with its end, "" when there is no more; one that is too long comes in pieces."""
    try:
        found = await stream.readline()
    except ValueError:  # longer than the limit; asyncio has thrown that part away
        found = b"(a line of more than 64 KiB)\n"
    return found.decode("utf-8", "replace")


def failure(code: int, wrong: list[str]) -> TaskFailed:
    """Its last line says it best: of a traceback that is the exception."""
    how = f"ended by signal {-code}" if code < 0 else f"exit code {code}"
    error = "\n".join(wrong)[-ERROR_CHARS:]
    last = next((line.strip() for line in reversed(wrong) if line.strip()), "")
    return TaskFailed(f"{last} ({how})" if last else how, error or how)


def said(words: str) -> dict[str, Any]:
    """`::{"outputs": {…}}::` on a line of its own."""
    try:
        found = json.loads(words)
    except (ValueError, RecursionError):
        return {}
    outputs = found.get("outputs") if isinstance(found, dict) else None
    return outputs if isinstance(outputs, dict) else {}


def put_files(folder: Path, files: dict[str, str]) -> None:
    if len(files) > FILES:
        raise TaskFailed(f"inputFiles: at most {FILES}")
    for name, content in files.items():
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise TaskFailed(f"inputFiles: {name!r} leads out of the folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")


def limited() -> None:
    """In the new process, before the script."""
    if PRCTL is not None:
        PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


HANDLERS: dict[str, Handler] = {"python.script": python, "shell.script": shell, "shell.commands": commands}
