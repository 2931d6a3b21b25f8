"""What is written as YAML reads back as the same values, and everything has its line."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.yaml_text import MOST_NODES, File, Wrong, field_of, place_of, written

WORDS = [
    "22:00",
    "no",
    "on",
    "null",
    "~",
    "12",
    "1e3",
    "0x1F",
    "2026-11-21",
    "- a",
    "a: b",
    "# c",
    "{",
    "*a",
    "&a",
    "!t",
    "|",
    " x ",
]
TEXTS = st.one_of(
    st.sampled_from(WORDS),
    st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=20),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_written_reads_back(value: Any) -> None:
    assert File("f", written([("section", value)])).value == {"section": value}


def test_everything_has_its_line() -> None:
    file = File("f", "a:\n  - b: 1\n    c:\n      d: x\n  - e\n")
    assert (file.line(("a", 0, "c", "d")), file.line(("a", 1)), file.line(("a", 0, "missing"))) == (4, 5, 2)
    assert str(file.wrong(("a", 0, "c", "d"), "is wrong")) == "f:4: a[0].c.d: is wrong"


@pytest.mark.parametrize("field", ["a", "rules[0].retry.base_s", "settings.x", "notifications[10].webhook_id"])
def test_a_field_is_a_place(field: str) -> None:
    assert field_of(place_of(field)) == field


def test_aliases_are_read_and_bombs_are_not() -> None:
    assert File("f", "a: &x {b: 1}\nc: *x").value == {"a": {"b": 1}, "c": {"b": 1}}
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(Wrong, match="too much of it"):
        File("f", "\n".join(lines))
    assert MOST_NODES < 10**6
