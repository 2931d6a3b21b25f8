"""docs/requirements.md: every row is there, and has tests that name it."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/requirements.md"
ASKED = re.findall(r"^\| (S\d-\d\d) \|", (ROOT.parent / "shared/requirements.md").read_text("utf-8"), re.MULTILINE)
ROW = re.compile(r"^\| (S\d-\d\d) \| (.+?) \| (.*)\|$", re.MULTILINE)
MOST_NAMED = 4
"""So many tests are named for a row; the others can be found by its number."""


@cache
def proofs() -> dict[str, list[str]]:
    """By row, the tests that name it: in a comment within the test, or on the line above or beside it."""
    found: dict[str, list[str]] = {}
    for file in sorted(ROOT.glob("tests/**/test_*.py")):
        text = file.read_text("utf-8")
        if file == Path(__file__) or not re.search(r"# .*\bS\d-\d\d\b", text):
            continue
        lines = text.splitlines()
        spans = [
            (
                min([node.lineno, *(one.lineno for one in node.decorator_list)]),
                node.end_lineno or node.lineno,
                node.name,
            )
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        ]
        for number, line in enumerate(lines, 1):
            rows = re.findall(r"\bS\d-\d\d\b", line.partition("#")[2])
            if not rows:
                continue
            # What stands between two tests is about the one that follows; what stands at the top, about the first.
            inside = [name for first, last, name in spans if first - 1 <= number <= last]
            after = [name for first, _, name in sorted(spans) if first > number]
            name = (inside or after)[0]
            for row in rows:
                test = f"`{file.relative_to(ROOT)}::{name}`"
                if test not in found.setdefault(row, []):
                    found[row].append(test)
    return found


def made(text: str) -> str:
    def row(match: re.Match[str]) -> str:
        tests = proofs().get(match[1], [])
        more = f" and {len(tests) - MOST_NAMED} more" if len(tests) > MOST_NAMED else ""
        return f"| {match[1]} | {match[2]} | {' '.join(tests[:MOST_NAMED])}{more} |"

    return ROW.sub(row, text)


def test_every_row_is_there_in_order() -> None:
    assert [match[1] for match in ROW.finditer(PAGE.read_text("utf-8"))] == ASKED


@pytest.mark.parametrize("row", ASKED)
def test_a_row_has_a_test(row: str) -> None:
    assert proofs().get(row), f"no test names {row}"


def test_no_test_names_a_row_that_is_none() -> None:
    assert set(proofs()) <= set(ASKED)


def test_the_page_names_tests_that_are_there(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update-golden"):
        PAGE.write_text(made(PAGE.read_text("utf-8")), "utf-8")
    for match in ROW.finditer(PAGE.read_text("utf-8")):
        named = re.findall(r"`[^`]+`", match[3])
        assert named, f"no test beside {match[1]}: make golden"
        gone = [test for test in named if test not in proofs()[match[1]]]
        assert not gone, f"{match[1]}: {gone} is not there, or does not name it: make golden"
