"""Every command in the blocks of README.md and docs is run by a test or checked against what is there. A line of a
program that nobody has thought of fails here."""

import itertools
import json
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from tests.test_docs import FENCE, NO_SETTINGS, PROJECT, TEXTS, check_tocsin
from tocsin.providers import PROVIDERS
from tocsin.settings import defaults, rollout_setting
from tocsin.web.server import ROUTES

ROOT = Path(__file__).parents[1]
DOCS = {page: text for page, text in TEXTS.items() if page == "README.md" or page.startswith("docs/")}
BETWEEN = frozenset({"&&", "||", "|", ";", "&"})
ASSIGNED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
CRON = re.compile(r"^\s*(?:[\d*/,-]+\s+){4}[\d*/,-]+\s+", re.MULTILINE)

RUN_BY = {
    "docker": "tests/deploy/test_container.py",
    "helm": "tests/deploy/test_helm.py",
    "systemctl": "tests/deploy/test_systemd.py",
    "journalctl": "tests/deploy/test_systemd.py",
    "pg_dump": "tests/end_to_end/test_backup.py",
    "pg_restore": "tests/end_to_end/test_backup.py",
    "ssh-keygen": "tests/test_release.py",
    "sha256sum": "tests/test_release.py",
    "dbt-ol": "tests/frameworks/test_frameworks.py",
    "snakemake": "tests/frameworks/test_frameworks.py",
}
"""Programs of others, and the tests that use them as the pages do."""

NOT_RUN = {
    "kubectl": "a cluster is none of what a test may ask for; what helm makes of the chart is checked",
    "install": "it belongs to the system; the unit that it puts there is started by tests/deploy/test_systemd.py",
    "pipx": "it would load from an index; that the wheel installs is proven by tests/test_release.py",
    "backup": "it stands for the reader's own job",
    "openssl": "32 random bytes; what they are used for is tested",
    "cat": "it reads a random number from the kernel",
    "date": "it names the day",
    "printf": "it hands a secret to the next command",
    "source": "it belongs to the shell",
    "set": "it belongs to the shell",
    ".": "it belongs to the shell",
}
"""Programs that no test runs, and why not."""

HOSTS = re.compile(
    r"127\.0\.0\.1|localhost|(?:[\w-]+\.)*example(?:\.com|\.org)?|hooks\.slack\.com|discord\.com|db"
    r"|(?:[\w-]+\.)*webhook\.office\.com|(?:[\w-]+\.)*azure\.com|chat\.googleapis\.com|events\.pagerduty\.com|cel\.dev"
)
"""Where the addresses in commands may lead: this machine, names that belong to nobody, and providers."""


def block_lines() -> Iterator[tuple[str, str]]:
    """(page, the shell text of a block); of a block that shows a terminal, what was typed."""
    for page, text in DOCS.items():
        for found in FENCE.finditer(text):
            if found["language"] == "sh":
                yield page, found["body"]
            elif found["language"] == "":
                for line in found["body"].splitlines():
                    if line.startswith("$ "):
                        yield page, line[2:]


def inner(text: str) -> Iterator[str]:
    """What stands in `$(…)`."""
    yield from re.findall(r"\$\(((?:[^()]|\([^()]*\))*)\)", text)


def simple_commands(text: str) -> Iterator[list[str]]:
    """Each command of a shell text, with its assignments; those within `$(…)` too."""
    text = CRON.sub("", text.replace("\\\n", " ").replace("2>&1", ""))
    text = re.sub(r"(?:^|(?<=\s))#\s.*$", "", text, flags=re.MULTILINE)
    for one in inner(text):
        yield from simple_commands(one)
    text = re.sub(r"\$\((?:[^()]|\([^()]*\))*\)", "INNER", text)
    lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;\n")
    lexer.whitespace = " \t"
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    for word in itertools.chain(lexer, ["\n"]):
        if word in BETWEEN or not word.strip("\n;&|"):
            if words:
                yield words
            words = []
        else:
            words.append(word)


@cache
def commands() -> tuple[tuple[str, dict[str, str], list[str]], ...]:
    """(page, what is assigned before, the command's words)"""
    found = []
    for page, text in block_lines():
        for words in simple_commands(text):
            if words[0] == "export":
                words = words[1:]
            assigned: dict[str, str] = {}
            while words and (match := ASSIGNED.fullmatch(words[0])):
                assigned[match[1]] = match[2]
                words = words[1:]
            found.append((page, assigned, words))
    return tuple(found)


# What is checked of each program.


def check_curl(page: str, words: list[str]) -> None:
    """The path and method are a route's, or a job's ping; what is sent is JSON, where it looks like it."""
    url = next(word for word in words if re.match(r"https?://|\$TOCSIN_URL|\$PING", word))
    data = next((words[place + 1] for place, word in enumerate(words) if word in ("-d", "--data-raw")), None)
    method = words[words.index("-X") + 1] if "-X" in words else "GET" if data is None else "POST"
    path = urlsplit(re.sub(r"^\$(TOCSIN_URL|PING)", "http://127.0.0.1", url)).path
    path = re.sub(r"/\$[A-Z]+\b", "/{}", path)
    if "$PING" in url or path.startswith("/ping/"):
        return
    known = {(route.method, re.sub(r"{\w+}", "{}", route.path)) for route in ROUTES}
    known |= {(route.method, "/v1/ingest/airflow") for route in ROUTES if route.path == "/v1/ingest/{source}"}
    assert (method, path) in known, f"{page}: there is no {method} {path}"
    if data is not None and data.startswith("{"):
        json.loads(re.sub(r"\$[A-Z]+", "x", data))


def check_make(page: str, words: list[str]) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {word for word in words if word.isalpha()} <= targets, f"{page}: make {' '.join(words)}"


def check_python(page: str, words: list[str]) -> None:
    if words[0] not in ("-m", "-c"):
        assert (ROOT / words[0]).is_file(), f"{page}: python3 {words[0]}"
    elif words[0] == "-m":
        assert words[1] == "venv" or (ROOT / words[1].replace(".", "/")).with_suffix(".py").is_file(), words


def check_pip(page: str, words: list[str]) -> None:
    """It installs Tocsin, with extras that it has, or what a test of frameworks uses."""
    extras = set(PROJECT["project"]["optional-dependencies"])
    for name in (word for word in words[1:] if not word.startswith("-")):
        package, _, asked = name.partition("[")
        others = (ROOT / "tests/frameworks/requirements").glob("*.in")
        assert package == "tocsin" or any(package in file.read_text("utf-8") for file in others), f"{page}: {name}"
        assert not asked or set(asked.rstrip("]").split(",")) <= extras, f"{page}: {name}"


CHECKED: dict[str, Callable[[str, list[str]], None]] = {
    "tocsin": check_tocsin,
    "curl": check_curl,
    "make": check_make,
    "python3": check_python,
    "pip": check_pip,
}


def test_every_command_is_run_or_checked() -> None:
    assert len(commands()) > 200
    for page, _, words in commands():
        if not words:
            continue
        program = words[0].rpartition("/")[2]
        if check := CHECKED.get(program):
            check(page, words[1:])
        else:
            assert program in {*RUN_BY, *NOT_RUN}, f"{page}: nothing runs or checks “{' '.join(words)}”"
        for word in words[1:]:
            if re.match(r"(?:deploy|examples|src|docs)/", word):
                assert (ROOT / word).exists(), f"{page}: there is no {word}"


def test_the_tests_that_run_programs_do() -> None:
    used = {words[0].rpartition("/")[2] for _, _, words in commands() if words}
    assert set(RUN_BY) | set(NOT_RUN) <= used | {"openssl", "cat"}, "a program that no page names any more"
    for program, test in RUN_BY.items():
        text = (ROOT / test).read_text("utf-8")
        assert program in text or (program == "docker" and "buildah" in text), f"{test} does not use {program}"
    assert len(NOT_RUN) <= 12


def test_every_name_that_a_command_is_given_is_one() -> None:
    """A setting, what a command reads, or a variable that the page uses itself."""
    settings = {*defaults(), *map(rollout_setting, PROVIDERS), *NO_SETTINGS, "PORT", "OPENLINEAGE_URL"}
    settings |= {"OPENLINEAGE_API_KEY"}
    for page, assigned, _ in commands():
        for name in assigned:
            used = re.search(rf"\$\{{?{name}\b|env:{name}\b|secret\('{name}'\)", TEXTS[page])
            assert name in settings or used, f"{page} sets {name}, which nothing reads"


def test_every_address_in_a_command_belongs_to_nobody_or_to_a_provider() -> None:
    for page, text in block_lines():
        for url in re.findall(r"https?://[^\s'\"<>)]+", text):
            assert HOSTS.fullmatch(urlsplit(url).hostname or ""), f"{page}: {url}"


def test_every_block_can_be_read() -> None:
    """JSON, YAML, TOML and Python that are not even well-formed help nobody."""
    for page, found in ((page, found) for page, text in DOCS.items() for found in FENCE.finditer(text)):
        body = found["body"]
        if found["language"] == "json":
            json.loads(body)
        elif found["language"] == "yaml":
            yaml.safe_load(body)
        elif found["language"] == "toml":
            tomllib.loads(body)
        elif found["language"] == "python" and not body.startswith("rule "):  # a Snakefile
            compile(body, page, "exec", flags=0x2000)  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
