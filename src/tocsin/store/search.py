"""Finding things by what somebody remembers of them: a part of a name."""

from msgspec import Struct

from tocsin.store.database import Database

MOST_PIPELINES = 5000
"""Names that are looked through, in their order."""


class Found(Struct, frozen=True):
    """`about`: a word more, such as the provider."""

    id: str
    name: str
    about: str


def pattern_of(text: str) -> str:
    """What LIKE takes: the text anywhere, whatever its case."""
    plain = text.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{plain}%"


async def endpoints(db: Database, tenant_id: str, text: str, limit: int, seen_by: str | None) -> list[Found]:
    """`seen_by` None sees all."""
    values = {"tenant_id": tenant_id, "text": text, "pattern": pattern_of(text), "limit": limit}
    who = {"sees_all": int(seen_by is None), "seen_by": seen_by or ""}
    return [Found(*row) for row in await db.read("search_endpoints", values | who)]


async def rules(db: Database, tenant_id: str, text: str, limit: int) -> list[Found]:
    values = {"tenant_id": tenant_id, "text": text, "pattern": pattern_of(text), "limit": limit}
    return [Found(*row) for row in await db.read("search_rules", values)]


async def pipelines(db: Database, tenant_id: str, text: str, limit: int) -> list[str]:
    values = {"tenant_id": tenant_id, "pattern": pattern_of(text), "most": MOST_PIPELINES, "limit": limit}
    return [name for (name,) in await db.read("search_pipelines", values)]
