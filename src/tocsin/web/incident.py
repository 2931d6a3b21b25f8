"""Everything about a run or an event, to keep and to write a post-mortem from: what the API shows to whoever asks, so
that roles, ownership and masking are the API's. The command and the page ask through it alike."""

import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any
from urllib.parse import quote
from zipfile import ZIP_DEFLATED, ZipFile

from tocsin import __version__
from tocsin.web.api.names import MOST_IDS, in_query
from tocsin.web.incident_report import report
from tocsin.web.routes import rfc3339

Json = dict[str, Any]
Ask = Callable[..., Awaitable[Any]]
"""`await ask("/v1/runs", pipeline="etl")`: the JSON of a GET; None where there is no such thing (404)."""

MOST = 500
"""Deliveries, and events of a run without an id of its own: more are counted and left out."""

MOST_LISTED = 2000
"""Of what is listed: events, silences, changes."""

AROUND = timedelta(hours=1)


async def collected(ask: Ask, why: Json, now: datetime, around: timedelta = AROUND) -> Json:
    """`why`: the answer of `/v1/runs/{id}/why` or `/v1/events/{id}/why`, which says what this is about. `around`: how
    long before and after it what people changed belongs to it."""
    me = await ask("/v1/me")
    left_out: list[str] = []
    is_run = "events" in why
    chapters = why["events"] if is_run else [why]
    events = await events_of(ask, why, left_out)
    told = {one["id"]: one for chapter in chapters for one in chapter["deliveries"]}
    if len(told) > MOST:
        left_out.append(f"{len(told) - MOST} of {len(told)} deliveries")
    if why["elsewhere"]:
        left_out.append(f"{why['elsewhere']} deliveries to webhooks that this person may not see")
    deliveries = []
    for id_ in list(told)[:MOST]:
        if (one := await ask(f"/v1/deliveries/{id_}")) is not None:
            deliveries.append(one | {"webhook": told[id_]["webhook"], "fate": told[id_]["fate"]})
    since, until = span([*events, *deliveries, *(one for delivery in deliveries for one in delivery["log"])], now)
    since, until = since - around, until + around
    decided = [one for chapter in chapters for one in chapter["decisions"]]
    rules = {one["rule_id"] for one in (*decided, *deliveries)}
    webhooks = {id_ for one in decided for id_ in one["webhooks"]} | {one["webhook_id"] for one in deliveries}
    silences = [one for one in await listed(ask, "/v1/silences", left_out) if overlaps(one, since, until)]
    changes, people = None, {}
    if me["role"] == "admin" and "admin" in me["scopes"]:
        changes = (await listed(ask, "/v1/audit", left_out, since=moment(since), until=moment(until)))[::-1]
        people = await names(ask, {one["actor"] for one in changes} | {one["created_by"] for one in silences})
    else:
        left_out.append("what people changed meanwhile: only an admin sees that")
    return {
        "about": {
            "since": moment(since),
            "until": moment(until),
            "exported_at": moment(now),
            "exported_by": me["name"] or me["email"] or me["user_id"],
            "tenant": me["tenant_id"],
            "tocsin": __version__,
        },
        "summary": why["summary"],
        "left_out": left_out,
        "run": await ask(f"/v1/runs/{why['id']}") if is_run else None,
        "events": events,
        "why": why,
        "deliveries": deliveries,
        "rules": await known(ask, "/v1/alert-rules", rules),
        "webhooks": await known(ask, "/v1/webhooks", webhooks),
        "silences": silences,
        "audit": changes,
        "people": people,
    }


async def names(ask: Ask, actors: Iterable[str]) -> dict[str, str]:
    """What people and services are called, by the ids that the trail knows them by."""
    wanted = sorted(filter(None, actors))
    found: list[Json] = []
    for first in range(0, len(wanted), MOST_IDS):
        found += (await ask("/v1/audit/actors", ids=in_query(wanted[first : first + MOST_IDS])))["items"]
    return {one["id"]: one["name"] for one in found if one["name"]}


async def events_of(ask: Ask, why: Json, left_out: list[str]) -> list[Json]:
    """Oldest first: those of the run, or the one."""
    if "events" in why and why["run_id"]:
        found = await listed(ask, "/v1/events", left_out, pipeline=why["pipeline"], run_id=why["run_id"])
        return found[::-1]
    ids = [one["event_id"] for one in why.get("events", [why])][:MOST]
    return [one for id_ in ids if (one := await ask(f"/v1/events/{quote(id_, safe='')}")) is not None]


async def listed(ask: Ask, path: str, left_out: list[str], **query: str) -> list[Json]:
    """Page by page, the newest first."""
    items: list[Json] = []
    cursor = ""
    while len(items) < MOST_LISTED:
        page = await ask(path, limit=100, cursor=cursor, **query)
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items
    left_out.append(f"what {path} lists beyond the newest {len(items)}")
    return items


async def known(ask: Ask, path: str, ids: Iterable[str]) -> list[Json]:
    """As they are now; of one that is gone its id alone."""
    return [await ask(f"{path}/{id_}") or {"id": id_, "gone": True} for id_ in sorted(ids) if id_]


TIMES = ("time", "received_at", "created_at", "delivered_at", "started_at")


def span(items: Sequence[Json], now: datetime) -> tuple[datetime, datetime]:
    """From the first moment that they tell of to the last."""
    moments = [datetime.fromisoformat(one[name]) for one in items for name in TIMES if one.get(name)]
    return min(moments, default=now), max(moments, default=now)


def overlaps(silence: Json, since: datetime, until: datetime) -> bool:
    starts, ends = silence["starts_at"], silence["ends_at"]
    return (not starts or datetime.fromisoformat(starts) < until) and (not ends or datetime.fromisoformat(ends) > since)


def moment(at: datetime) -> str:
    return rfc3339(round(at.timestamp() * 1000)) or ""


def files(found: Json) -> dict[str, bytes]:
    """By name: everything for programs, and the story for people."""
    whole = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    return {"incident.json": whole.encode(), "incident.md": report(found).encode()}


def zipped(found: Json, folder: str) -> bytes:
    """The files, in a folder of this name."""
    out = BytesIO()
    with ZipFile(out, "w", ZIP_DEFLATED) as archive:
        for name, content in files(found).items():
            archive.writestr(f"{folder}/{name}", content)
    return out.getvalue()
