"""docs/delivery-guarantees.md: each promise and each fault names tests that exist, and what came of them."""

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/delivery-guarantees.md").read_text("utf-8")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def rows(mark: str) -> list[list[str]]:
    """The cells of the table after this mark, without its two head lines."""
    inside = PAGE.partition(f"<!-- {mark} -->\n")[2].partition("<!-- end -->")[0]
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in inside.splitlines()[2:]]


PROMISES, FAULTS = rows("promises"), rows("faults")


@lru_cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    found = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in found)


def test_all_fifty_are_there() -> None:
    assert [row[0] for row in FAULTS] == [f"F{number:02}" for number in range(1, 51)]
    assert len(PROMISES) > 20


@pytest.mark.parametrize("row", [*PROMISES, *FAULTS], ids=lambda row: row[0])
def test_every_row_is_answered(row: list[str]) -> None:
    *said, proof, result = row
    assert all(said)
    assert result
    assert "@" not in result
    named = TEST.findall(proof)
    assert named or proof.startswith("no test")
    for file, name in named:
        assert (ROOT / file).is_file(), file
        assert name in names_in(file), f"{file} has no {name}"
