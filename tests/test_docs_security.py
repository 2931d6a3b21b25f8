"""docs/security.md names tests: each is there, and each row of the matrix is answered."""

import ast
import re
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/security.md").read_text("utf-8")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ROWS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in PAGE.partition("<!-- matrix -->")[2].partition("<!-- end -->")[0].splitlines()
    if line.startswith("| S")
]


@lru_cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    found = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in found)


def test_every_row_of_the_matrix_is_there_once() -> None:
    assert [row[0] for row in ROWS] == [f"S{number:02}" for number in range(1, 35)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[0]))
def test_every_row_is_answered(row: list[str]) -> None:
    """What Tocsin does, by which test; and the ASVS items as numbers."""
    _, threat, does, proof, items = row
    assert threat
    assert len(does) > 20
    named = TEST.findall(proof)
    assert named or proof.startswith("no test: ")
    for file, name in named:
        assert (ROOT / file).is_file(), file
        assert name in names_in(file), f"{file} has no {name}"
    assert re.fullmatch(r"\d+(\.\d+)*(, \d+(\.\d+)*)*", items)


def test_nothing_else_is_named_as_a_test() -> None:
    assert len(TEST.findall(PAGE)) == len(re.findall(r"tests/[\w/]+\.py", PAGE))
