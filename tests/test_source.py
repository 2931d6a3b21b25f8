"""What holds for every file of the source: no SQL that is built, nothing that executes data, only pinned packages."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "src").rglob("*.py"))


@cache
def trees() -> dict[str, ast.Module]:
    """By path. Not when tests are collected: it takes seconds, and each worker collects all."""
    return {str(file.relative_to(ROOT / "src/tocsin")): ast.parse(file.read_text("utf-8")) for file in FILES}


SQL_METHODS = {"fetch", "fetchrow", "fetchval", "read", "execute", "executemany", "prepare"}
BUILT_SQL = {
    "store/postgres.py": "named queries put together, and constants of this file",
    "store/sqlite.py": "pragmas and savepoints with constants of this file",
    "store/migrate.py": "migrations, and their numbers and names as this program ships them",
}
"""The only files where SQL is anything but a name or a literal, and what it is made of there. None of it is input."""


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def name_of(call: ast.Call) -> str:
    return ast.unparse(call.func)


def is_built(node: ast.expr) -> bool:
    """Text that is put together where it is used."""
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Mod):
        return any(isinstance(part, ast.Constant) and isinstance(part.value, str) for part in ast.walk(node))
    return isinstance(node, ast.Call) and name_of(node).endswith((".format", ".join", ".replace"))


def test_no_sql_is_built_of_text() -> None:
    # S29: queries have names, and values go beside them
    found = [
        f"{file}:{call.lineno}: {ast.unparse(call)[:100]}"
        for file, tree in trees().items()
        for call in calls(tree)
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in SQL_METHODS
        and call.args
        and is_built(call.args[0])
        and file not in BUILT_SQL
    ]
    assert found == []


def test_sql_is_in_the_store_alone() -> None:
    # S29
    words = re.compile(r"^\s*(SELECT .+ FROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM)\b", re.IGNORECASE)
    found = [
        f"{file}:{node.lineno}"
        for file, tree in trees().items()
        if not file.startswith("store/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and words.match(node.value)
    ]
    assert found == []


FORBIDDEN = {
    "eval", "exec", "compile", "os.system", "os.popen", "pickle.load", "pickle.loads", "marshal.loads", "shelve.open",
    "yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "__import__", "tempfile.mktemp",
    "ssl._create_unverified_context",
}  # fmt: skip


def test_nothing_executes_what_it_is_given() -> None:
    # S28: no code from data; YAML is composed, never constructed
    found = [
        f"{file}:{call.lineno}" for file, tree in trees().items() for call in calls(tree) if name_of(call) in FORBIDDEN
    ]
    assert found == []
    shells = [
        f"{file}:{call.lineno}"
        for file, tree in trees().items()
        for call in calls(tree)
        for keyword in call.keywords
        if keyword.arg == "shell" and ast.unparse(keyword.value) != "False"
    ]
    assert shells == []


def test_certificates_are_always_checked() -> None:
    # F28
    text = "\n".join(file.read_text("utf-8") for file in FILES)
    for switch in ("CERT_NONE", "check_hostname = False", "verify=False", "ssl=False", "verify_ssl"):
        assert switch not in text, switch


def test_one_place_writes_for_spreadsheets() -> None:
    # S20: the one that lets no text become a formula
    writers = [file for file in trees() if re.search(r"^\s*(import|from) csv\b", text_of(file), re.MULTILINE)]
    assert [Path(file).name for file in writers] == ["csv_text.py"]


def text_of(file: str) -> str:
    return (ROOT / "src/tocsin" / file).read_text("utf-8")


PINNED = re.compile(r"^[a-z0-9][a-z0-9._-]*(?:\[[a-z0-9,_-]+\])?==[0-9][^ ;\\]*(?: ; .+?)? ?\\$")


LOCKS = [f"requirements/{name}.txt" for name in ("runtime", "build", "dev", "openapi-client")]
LOCKS += [str(file.relative_to(ROOT)) for file in sorted(ROOT.glob("tests/frameworks/requirements/*.txt"))]


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_by_its_hash(name: str) -> None:
    # S33: what is installed is what was looked at, whoever serves it
    text = (ROOT / name).read_text("utf-8")
    lines = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    packages = [number for number, line in enumerate(lines) if not line.startswith(" ")]
    assert len(packages) > 3
    for number in packages:
        assert PINNED.fullmatch(lines[number]), lines[number]
        assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?", lines[number + 1]), lines[number]
    assert "://" not in re.sub(r"#.*", "", text)  # no address of an index, of a repository or of a file


def test_installing_asks_for_the_hashes() -> None:
    # S33
    makefile = (ROOT / "Makefile").read_text("utf-8")
    installs = [line for line in makefile.splitlines() if "pip install" in line]
    assert installs
    for line in installs:
        assert "--require-hashes" in line or ("--no-deps" in line and "-e ." in line), line


def test_no_merge_was_left_half_done() -> None:
    marks = re.compile(r"^(<{7}|>{7})( |$)", re.MULTILINE)
    for folder in ("src", "docs", "tests", "deploy", "benchmarks", "."):
        for path in (ROOT / folder).glob("*.md" if folder == "." else "**/*"):
            if path.suffix in (".py", ".md", ".sql", ".toml", ".yml", ".txt", ".html", ".css", ".js"):
                assert not marks.search(path.read_text("utf-8")), path


def test_no_two_files_of_tests_have_one_name() -> None:
    """pytest knows a file of tests by its name alone."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert len(set(names)) == len(names), sorted(name for name in set(names) if names.count(name) > 1)
