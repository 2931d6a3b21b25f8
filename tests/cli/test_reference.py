"""docs/cli.md and the man page say what `--help` says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from tocsin.cli.main import app

ROOT = Path(__file__).parents[2]
PAGE, MANUAL = ROOT / "docs/cli.md", ROOT / "docs/man/tocsin.1"
HEAD = """# Commands

What `--help` says of every command. This page is made from it.

"""


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, one in getattr(command, "commands", {}).items():
        if not one.hidden:
            yield from commands(one, (*path, name))


EVERY = list(commands(typer.main.get_command(app), ("tocsin",)))


def paragraphs(command: Any) -> list[str]:
    """The help's paragraphs; lines that were kept apart by \\b are one with line breaks."""
    text = re.sub(r"\n[ \t]+", "\n", command.help or "").strip()
    return [part.strip("\b \n") for part in text.split("\n\n") if part.strip("\b \n")]


def options(command: Any) -> list[tuple[str, str]]:
    found = []
    for one in command.params:
        if getattr(one, "hidden", False) or one.name in ("help", "install_completion", "show_completion"):
            continue
        said = (getattr(one, "help", "") or "").strip()
        if one.param_type_name == "argument":
            found.append((argument(one), said))
            continue
        names = ", ".join([*one.opts, *one.secondary_opts])
        variable = one.envvar if isinstance(one.envvar, str) else ""
        found.append((names, said + (f" `{variable}` in the environment." if variable else "")))
    return found


def argument(one: Any) -> str:
    name = one.metavar or str(one.name).upper()
    return str(name if one.required else f"[{name}]")


def usage(path: tuple[str, ...], command: Any) -> str:
    words = [argument(one) for one in command.params if one.param_type_name == "argument"]
    return " ".join([*path, "[OPTIONS]", *words])


def is_example(text: str) -> bool:
    return text.startswith(("Example:", "Examples:"))


def markdown() -> str:
    made = HEAD
    for path, command in EVERY:
        if getattr(command, "commands", None) and len(path) > 1:
            made += f"## {' '.join(path)}\n\n{paragraphs(command)[0]}\n\n"
            continue
        if len(path) == 1:
            made += "\n\n".join(paragraphs(command)[1:]) + "\n\n"
            continue
        made += f"{'##' if len(path) == 2 else '###'} {' '.join(path)}\n\n```\n{usage(path, command)}\n```\n\n"
        for part in paragraphs(command):
            if is_example(part):
                lines = [line.strip() for line in part.partition(":")[2].strip().splitlines()]
                made += "```sh\n" + "\n".join(lines) + "\n```\n\n"
            else:
                made += part.replace("<", "\\<") + "\n\n"
        rows = options(command)
        if rows:
            made += "| | |\n|---|---|\n"
            made += (
                "".join(f"| `{name.replace('|', '¦')}` | {said.replace('|', '¦')} |\n" for name, said in rows) + "\n"
            )
    return made.rstrip() + "\n"


def roff(text: str) -> str:
    plain = text.replace("…", "...")  # a terminal of ASCII has none
    escaped = plain.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    escaped = "".join(mark if mark.isascii() else f"\\[u{ord(mark):04X}]" for mark in escaped)
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in escaped.splitlines())


def manual() -> str:
    top = paragraphs(EVERY[0][1])
    made = '.TH TOCSIN 1 "" "Tocsin" "User commands"\n.SH NAME\n'
    made += (
        f"tocsin \\- {roff(top[0][:1].lower() + top[0][1:].rstrip('.'))}\n.SH SYNOPSIS\n.B tocsin\nCOMMAND [OPTIONS]\n"
    )
    made += ".SH DESCRIPTION\n" + "\n.PP\n".join(roff(part) for part in top[1:]) + "\n.SH COMMANDS\n"
    for path, command in EVERY[1:]:
        if getattr(command, "commands", None):
            continue
        made += f".SS {roff(usage(path[1:], command))}\n"
        for part in paragraphs(command):
            if is_example(part):
                made += ".PP\n.nf\n" + roff("\n".join(line.strip() for line in part.splitlines())) + "\n.fi\n"
            else:
                made += f".PP\n{roff(part)}\n"
        for name, said in options(command):
            made += f".TP\n.B {roff(name)}\n{roff(said) or chr(92) + '&'}\n"
    return made + ".SH SEE ALSO\nThe pages in docs/ of the source, and tocsin doctor.\n"


@pytest.mark.parametrize(("file", "make"), [(PAGE, markdown), (MANUAL, manual)], ids=["page", "manual"])
def test_it_says_what_help_says(file: Path, make: Any, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        file.write_text(make(), "utf-8")
    assert file.read_text("utf-8") == make(), "make golden"


def test_every_command_explains_itself() -> None:
    for path, command in EVERY[1:]:
        assert paragraphs(command), path
        for name, said in options(command):
            assert said, f"{' '.join(path)} {name} says nothing"
