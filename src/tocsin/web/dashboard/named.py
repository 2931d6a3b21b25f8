"""What endpoints, rules and people are called: as many as a page can show, and those that it has by id."""

from collections.abc import Iterable
from typing import Any

from tocsin.web.api.names import MOST_IDS, in_query
from tocsin.web.dashboard.visit import Visit

Json = dict[str, Any]

MOST = 300
"""Endpoints that a page has in a list to choose from: more would make it too heavy to load."""

MOST_PAGES = 10
"""Of rules, 1,000 each."""


async def endpoints_named(visit: Visit, ids: Iterable[str] = ()) -> dict[str, Json]:
    """By id: the first 300, and in any case those that are asked for (200 at the most)."""
    page = await visit.api.get("/v1/webhooks/names", limit=MOST)
    return await with_those(visit, {one["id"]: one for one in page["items"]}, ids)


async def with_those(visit: Visit, known: dict[str, Json], ids: Iterable[str]) -> dict[str, Json]:
    """The first 300 endpoints, and these, where there are more than 300."""
    missing = set(ids) - known.keys() if len(known) >= MOST else set()
    return known | {one["id"]: one for one in await by_ids(visit, "/v1/webhooks/names", missing)}


async def by_ids(visit: Visit, path: str, ids: Iterable[str]) -> list[Json]:
    """What a list of names has of these: 200 at the most."""
    wanted = in_query(sorted(filter(None, set(ids)))[:MOST_IDS])
    found: list[Json] = (await visit.api.get(path, ids=wanted))["items"] if wanted else []
    return found


async def names_of(visit: Visit, ids: Iterable[str]) -> dict[str, str]:
    """Of these endpoints, by id: 200 at the most."""
    return {one["id"]: one["name"] for one in await by_ids(visit, "/v1/webhooks/names", ids)}


async def who_is_who(visit: Visit, actors: Iterable[str]) -> dict[str, str]:
    """What members and tokens are called, by id; for who may know them. 200 at the most."""
    found = await by_ids(visit, "/v1/audit/actors", actors) if visit.may("admin") else []
    return {one["id"]: (one["name"] or one["id"]) + (" (token)" if one["kind"] == "token" else "") for one in found}


async def called(visit: Visit, actors: Iterable[str]) -> dict[str, str]:
    """What to call each of these members and tokens, by id: `you`, a name, `a service`, or the id."""
    ids = {one for one in actors if one}
    me = visit.signed.principal.who
    people = await who_is_who(visit, ids - {me})
    words = {id_: people.get(id_) or ("a service" if id_.startswith("tok_") else id_) for id_ in ids}
    return words | ({me: "you"} if me in ids else {})


async def maker(visit: Visit, who: str) -> str:
    """The same of one, who may be "" where nobody knows."""
    return (await called(visit, [who])).get(who, "nobody known")


async def rule_names_of(visit: Visit, ids: Iterable[str]) -> dict[str, str]:
    """Of these rules, by id: 200 at the most."""
    return {one["id"]: one["name"] for one in await by_ids(visit, "/v1/alert-rules/names", ids)}


async def rules_named(visit: Visit) -> list[Json]:
    """The first ten thousand."""
    found: list[Json] = []
    cursor = ""
    for _ in range(MOST_PAGES):
        page = await visit.api.get("/v1/alert-rules/names", cursor=cursor)
        found += page["items"]
        cursor = page["next"]
        if not cursor:
            break
    return found
