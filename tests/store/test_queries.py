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
    assert POSTGRES_ONLY == {"server_version", "durability_settings"}  # noqa: SIM300


def test_every_query_is_used() -> None:
    source = "\n".join(
        file.read_text() for file in Path(tocsin.__file__).parent.rglob("*.py") if "__pycache__" not in file.parts
    )
    unused = [name for name in (*WHOLE, *POSTGRES_ONLY) if f'"{name}"' not in source]
    assert not unused


def test_no_name_is_used_twice_in_one_dialect() -> None:
    seen: dict[tuple[str, str], Path] = {}
    for file in sql_files():
        dialect = "postgres" if file.parent.name == "postgres" else "sqlite"
        for name in NAME.findall(file.read_text()):
            assert (dialect, name) not in seen, f"{name} in {file} and {seen[dialect, name]}"
            seen[dialect, name] = file


TENANTLESS = {
    "find_token": "the token names the tenant",
    "waiting_deliveries": "the gauges count all",
    "due_silences": "the sweep serves all tenants",
    "delete_old_answers": "the sweep serves all tenants",
    "delete_old_hidden": "the sweep serves all tenants",
    "delete_old_silences": "the sweep serves all tenants",
}
"""What the doors ask of a tenant's tables without its id, each with its reason."""
TENANT_TABLES = (
    "endpoint", "rule", "event", "run", "delivery", "attempt", "token", "idempotency", "endpoint_state",
    "silence", "hidden", "preference", "secret", "secret_use", "answer",
)  # fmt: skip
OF_THE_DOORS = sorted(
    name
    for file in (
        "config.sql",
        "log.sql",
        "system.sql",
        "silences.sql",
        "preferences.sql",
        "pipelines.sql",
        "secrets.sql",
        "answers.sql",
    )
    for name in parse((files("tocsin.store") / "sql" / file).read_text("utf-8"))
    if not PART.search(name)
)
"""The worker's and the sweep's queries serve all tenants; these serve one."""


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_every_statement_of_the_doors_names_the_tenant(dialect: str) -> None:
    """S03: where a query forgets the tenant, this fails, whatever else may still stand in the way."""
    found = SQLITE if dialect == "sqlite" else POSTGRES
    checked = 0
    for name in OF_THE_DOORS:
        bare = re.sub(r"--[^\n]*", "", found[name])
        tables = re.findall(r"\b(?:FROM|JOIN|UPDATE) (\w+)", bare)
        if not set(tables) & set(TENANT_TABLES) or name in TENANTLESS:
            continue
        first = re.search(r"\btenant_id = :tenant_id\b", bare)
        assert first, f"{name} does not ask for the tenant"
        checked += 1
    assert checked > 25


def test_the_sentinel_sorts_last_in_every_collation() -> None:
    """PostgreSQL's usual en_US.UTF-8 sorts punctuation before letters, digits before letters, and ignores case."""
    assert log.LAST.isalpha()
    for prefix in ("evt_", "run_", "whk_", "rul_", "dlv_", "tok_", "ten_"):
        assert prefix < log.LAST
        assert prefix[0] < log.LAST[0]
