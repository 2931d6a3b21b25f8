"""Named queries: `-- name` on a line of its own starts one; the same name in sql/postgres/ overrides it there.

Lists go in and out as JSON: the files say so in SQLite's words, which are put into PostgreSQL's.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from msgspec import Struct

Dialect = Literal["sqlite", "postgres"]
NAME = re.compile(r"^-- ([a-z][a-z0-9_]*)$\n", re.MULTILINE)
COMMENT = re.compile(r"--[^\n]*")
PARAMETER = re.compile(r"(?<![:\w]):([a-z][a-z0-9_]*)")
LIST = re.compile(r"\bjson_each\((:[a-z_]+)\)(?: ([a-z])\b)?")


class Query(Struct, frozen=True):
    """`parameters` are in the order of their first appearance: the order of the tuples that `run_many` takes."""

    name: str
    text: str
    parameters: tuple[str, ...]

    def values(self, given: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(given[name] for name in self.parameters)


def parse(text: str) -> dict[str, str]:
    _, *parts = NAME.split(text)
    return {name: body.strip().rstrip(";") for name, body in zip(parts[::2], parts[1::2], strict=True)}


def for_postgres(text: str) -> str:
    """Lists in JSON: read with a row for each `value`, and made."""
    text = LIST.sub(
        lambda found: f"jsonb_array_elements_text({found[1]}::text::jsonb) AS {found[2] or 'list'} (value)", text
    )
    return text.replace("json_group_array(", "json_agg(").replace("json_array(", "json_build_array(")


@cache
def texts(dialect: Dialect) -> dict[str, str]:
    """Every query of sql/*.sql as written, those of sql/postgres/ over them for PostgreSQL."""
    folder = files("tocsin.store") / "sql"
    found: dict[str, str] = {}
    for place in (folder, folder / "postgres") if dialect == "postgres" else (folder,):
        for file in place.iterdir():
            if file.name.endswith(".sql"):
                found |= parse(file.read_text("utf-8"))
    return found


@cache
def query(dialect: Dialect, name: str, filters: tuple[str, ...] = ()) -> Query:
    """One query as this dialect wants it, on one line: SQLite's binding hashes the text for every row. Parameters are
    written `:name` in the files.

    `{filters}` in a query is replaced by those of its `-- <name>_by_<filter>` parts that are asked for. Values never
    enter the text: a part is SQL from the file, and only parts that exist can be named.
    """
    known = texts(dialect)
    clauses = "".join(f" AND {known[f'{name}_by_{part}']}" for part in filters)
    text = " ".join(COMMENT.sub("", known[name].replace("{filters}", clauses)).split())
    if dialect == "postgres":
        text = for_postgres(text)
    parameters = tuple(dict.fromkeys(PARAMETER.findall(text)))
    sign = "$" if dialect == "postgres" else "?"
    numbers = {parameter: f"{sign}{number}" for number, parameter in enumerate(parameters, 1)}
    return Query(name, PARAMETER.sub(lambda found: numbers[found[1]], text), parameters)
