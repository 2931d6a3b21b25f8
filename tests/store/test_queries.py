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
    "the token, the session's cookie, the link or the key of a source is what names the tenant": (
        "find_token", "find_session", "find_link", "take_link", "source_by_key",
    ),
    "whether there is any yet: the first start": ("any_token",),
    "a person's, who may be a member of several tenants": (
        "list_sessions", "end_session", "end_one_session", "end_other_sessions", "touch_session", "members_by_email",
        "memberships", "fill_member_email", "drop_links",
    ),
    "sealing anew serves all tenants": (
        "sealed_endpoints", "sealed_secrets", "sealed_answers", "sealed_sources", "sealed_flow_executions",
        "count_sealed",
    ),
    "the heads of all trails are told together": ("audit_heads", "audit_outdated"),
    "figures of all tenants are counted before anybody looks": ("busy_tenants",),
    "the gauges count all": ("waiting_deliveries", "soonest_due"),
    "the worker serves all tenants, by the ids of endpoints, which are one tenant's each": (
        "ready_endpoints", "claim_first", "claim_retries", "requeue_endpoints", "wake_endpoints", "note_success",
        "note_failure", "hold_tenants", "note_notice", "clear_notice", "pause_endpoints", "suppress_pending",
        "suppress_retrying", "my_old_leases", "doubtful_leases",
    ),
    "the runner of flows serves all tenants, by its lease": (
        "flow_executions_waiting", "claim_flow_executions", "keep_flow_executions", "my_old_flow_executions",
    ),
    "the sweep serves all tenants": (
        "lost_leases", "expire_deliveries", "cancel_orphans_pending", "cancel_orphans_retrying", "overdue_endpoints",
        "due_notices", "due_silences", "due_timers", "take_finished_days", "delete_old_answers", "delete_old_days",
        "delete_old_folds", "delete_old_hidden", "delete_old_idempotency", "delete_old_incidents", "delete_old_links",
        "delete_old_removed", "delete_old_rule_states", "delete_old_sessions", "delete_old_silences",
        "delete_old_threads", "delete_old_flow_executions",
    ),
}  # fmt: skip
"""Queries over tenants' tables that do not take a tenant, by the reason."""

BY_ID = {
    ("delete_old_events", "delivery"): "an event's uid is its alone, and the index of it knows no tenant",
    ("stream_waiting", "delivery"): "an endpoint's id is its alone, and the index of what waits knows no tenant",
}
"""Tables in a query of one tenant that are not held to it, each with the reason."""

MIGRATIONS = files("tocsin.store") / "migrations"
TABLE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+) \((.*?)\n\)", re.DOTALL)
REFERENCE = re.compile(r"\b(?:FROM|JOIN|UPDATE) (\w+)(?: (?:AS )?(?!ON\b|SET\b|WHERE\b|ORDER\b|LIMIT\b)([a-z]\w*))?")
HELD = re.compile(r"\btenant_id = (:tenant_id\b|(asked|new)\.tenant_id\b)")
"""To the caller's tenant, or to those of the rows that come in."""

TENANT_TABLES = {
    name
    for file in MIGRATIONS.iterdir()
    if file.name.endswith(".sql")
    for name, columns in TABLE.findall(file.read_text("utf-8"))
    if re.search(r"^\s*tenant_id ", columns, re.MULTILINE)
}


def test_the_tables_of_tenants_are_known() -> None:
    assert {"endpoint", "rule", "event", "delivery", "token", "member", "audit", "secret"} <= TENANT_TABLES
    assert not {"tenant", "meta", "account"} & TENANT_TABLES


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_every_statement_names_the_tenant(dialect: str) -> None:
    """S03: where a query forgets the tenant, or one of its tables does, this fails, whatever else may still stand in
    the way."""
    found = SQLITE if dialect == "sqlite" else POSTGRES
    exempt = {name for names in TENANTLESS.values() for name in names}
    over = {}
    for name, text in found.items():
        bare = re.sub(r"--[^\n]*", "", text)
        tables = [(table, alias) for table, alias in REFERENCE.findall(bare) if table in TENANT_TABLES]
        if tables and not (PART.search(name) and PART.sub("", name) in found):
            over[name] = (bare, tables)
    for name, (bare, tables) in over.items():
        if name in exempt:
            continue
        assert HELD.search(bare), f"{name} does not ask for the tenant"
        for table, alias in tables:
            if (name, table) in BY_ID:
                continue
            own = rf"\b{alias}\.tenant_id\b" if alias else r"(?<![.:\w])tenant_id\b"
            assert re.search(own, bare), f"{name}: {table} {alias} is not held to the tenant"
    assert exempt <= set(over), exempt - set(over)
    assert len(over) - len(exempt) > 100


def test_the_sentinel_sorts_last_in_every_collation() -> None:
    """PostgreSQL's usual en_US.UTF-8 sorts punctuation before letters, digits before letters, and ignores case."""
    assert log.LAST.isalpha()
    for prefix in ("evt_", "run_", "whk_", "rul_", "dlv_", "tok_", "ten_"):
        assert prefix < log.LAST
        assert prefix[0] < log.LAST[0]
