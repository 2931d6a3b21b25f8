"""The named queries: both stores take the same parameters in the same order, and every one of them is used."""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

import tocsin
from tocsin.store import log
from tocsin.store.queries import NAME, parse, query, texts

SQLITE, POSTGRES = texts("sqlite"), texts("postgres")
OWN = {
    name for file in (files("tocsin.store") / "sql" / "postgres").iterdir() for name in parse(file.read_text("utf-8"))
}
PART = re.compile(r"_by_[a-z_]+$")
WHOLE = sorted(name for name in SQLITE if not PART.search(name))
POSTGRES_ONLY = OWN - set(SQLITE)


def sql_files() -> Iterator[Path]:
    yield from (Path(tocsin.__file__).parent / "store" / "sql").rglob("*.sql")


@pytest.mark.parametrize("name", sorted(OWN & set(SQLITE)))
def test_an_override_takes_the_same_parameters(name: str) -> None:
    assert set(query("postgres", name).parameters) == set(query("sqlite", name).parameters)


@pytest.mark.parametrize("name", sorted(name for name in OWN & set(SQLITE) if "unnest" in POSTGRES[name]))
def test_rows_are_in_the_same_order(name: str) -> None:
    """`run_many` takes tuples: the order of the parameters is the contract."""
    assert query("postgres", name).parameters == query("sqlite", name).parameters


def returned(text: str) -> list[str]:
    """The names of the columns that come back."""
    found = re.search(r"RETURNING (.*)$", text, re.DOTALL)
    if found is None:
        return []
    return [part.strip().rpartition(".")[2] for part in found[1].split(",")]


@pytest.mark.parametrize("name", sorted(name for name in OWN & set(SQLITE) if "RETURNING" in SQLITE[name]))
def test_the_same_columns_come_back(name: str) -> None:
    assert returned(POSTGRES[name]) == returned(SQLITE[name])


def test_overrides_override_something() -> None:
    assert POSTGRES_ONLY <= {"server_version", "durability_settings"}


def test_every_query_is_used() -> None:
    source = "\n".join(
        file.read_text() for file in Path(tocsin.__file__).parent.rglob("*.py") if "__pycache__" not in file.parts
    )
    unused = [name for name in (*WHOLE, *POSTGRES_ONLY) if f'"{name}"' not in source]
    assert set(unused) <= YET_TO_COME


def test_no_name_is_used_twice_in_one_dialect() -> None:
    seen: dict[tuple[str, str], Path] = {}
    for file in sql_files():
        dialect = "postgres" if file.parent.name == "postgres" else "sqlite"
        for name in NAME.findall(file.read_text()):
            assert (dialect, name) not in seen, f"{name} in {file} and {seen[dialect, name]}"
            seen[dialect, name] = file


YET_TO_COME = {"note_expired"}  # for the message that says what was missed while an endpoint was away (design 4)

TENANTLESS = {
    "find_token": "the token names the tenant",
    "soonest_due": "the worker serves all tenants",
    "all_sealed": "sealing anew serves all tenants",
    "ready_endpoints": "the worker serves all tenants",
    "due_notices": "the sweep serves all tenants",
    "overdue_endpoints": "the sweep serves all tenants",
    "waiting_deliveries": "the gauges count all",
    "all_tenants": "the tenants themselves",
}
"""Reads of a tenant's tables without its id, each with its reason."""
TENANT_TABLES = ("endpoint", "rule", "event", "run", "delivery", "attempt", "token", "idempotency")


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_every_read_of_a_tenants_rows_names_the_tenant(dialect: str) -> None:
    """S03: where an API's query forgets the tenant, this fails."""
    found = SQLITE if dialect == "sqlite" else POSTGRES
    for name, text in found.items():
        bare = re.sub(r"--[^\n]*", "", text)
        reads = re.match(r"\s*(SELECT|WITH)", bare)
        if PART.search(name) or not reads or name in TENANTLESS:
            continue
        if any(re.search(rf"\b(FROM|JOIN) {table}\b", bare) for table in TENANT_TABLES):
            assert ":tenant_id" in bare, name


def test_the_sentinel_sorts_last_in_every_collation() -> None:
    """PostgreSQL's usual en_US.UTF-8 sorts punctuation before letters, digits before letters, and ignores case."""
    assert log.LAST.isalpha()
    for prefix in ("evt_", "run_", "whk_", "rul_", "dlv_", "tok_", "ten_"):
        assert log.LAST > prefix.rstrip("_")
        assert log.LAST[0] > prefix[0]
