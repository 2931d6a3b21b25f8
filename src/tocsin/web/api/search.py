"""Search: an id of any kind, a run of the user's own, a pipeline; or a part of a name."""

from typing import Literal

from msgspec import Struct
from starlette.responses import Response

from tocsin.model.errors import Invalid, NotFound
from tocsin.store import config, log, pipelines, search, silences
from tocsin.web.api.events import MOST_LOOKED_AT
from tocsin.web.ownership import own, seen_by
from tocsin.web.routes import AN_ID, LAST, Call, Param, Route, no_nul, reply, rfc3339

EACH = 10
"""Hits of a kind."""

MOST_CHARS = 200

Kind = Literal["event", "run", "delivery", "webhook", "rule", "silence", "pipeline"]


class Hit(Struct, frozen=True):
    """`id` is what the API takes: a pipeline's is its name. `about`: a word more."""

    kind: Kind
    id: str
    name: str
    about: str = ""


class LastEvent(Struct, frozen=True):
    id: str
    type: str
    pipeline: str
    received_at: str | None


class SearchOut(Struct, frozen=True):
    """`exact`: what is called so, word for word: by Tocsin's id, by the id that its source gave, or by its name.
    `hits`: what has the text in its name, ten of a kind at the most. `last_event`: what came in last."""

    query: str
    exact: Hit | None
    hits: tuple[Hit, ...]
    last_event: LastEvent | None


async def find(call: Call) -> Response:
    text = no_nul("q", call.request.query_params.get("q", "").strip())
    if not text or len(text) > MOST_CHARS:
        raise Invalid("q", f"{len(text)} characters", f"1 to {MOST_CHARS}")
    db, tenant_id = call.app.db, call.tenant_id
    exact = await by_id(call, text) if AN_ID.fullmatch(text) else None
    exact = exact or await by_own_name(call, text)
    hits: list[Hit] = []
    if exact is None:
        who = seen_by(call.by).get("seen_by")
        hits += [Hit("pipeline", name, name) for name in await search.pipelines(db, tenant_id, text, EACH)]
        found = await search.endpoints(db, tenant_id, text, EACH, who)
        hits += [Hit("webhook", one.id, one.name, one.about) for one in found]
        hits += [Hit("rule", one.id, one.name, one.about) for one in await search.rules(db, tenant_id, text, EACH)]
    last = await log.newest_event(db, tenant_id)
    said = None if last is None else LastEvent(last.id, last.type, last.pipeline, rfc3339(last.received_ms))
    return reply(SearchOut(text, exact, tuple(hits), said))


async def by_id(call: Call, id_: str) -> Hit | None:
    """One of Tocsin's ids says what it is of."""
    db, tenant_id = call.app.db, call.tenant_id
    kind = id_.partition("_")[0]
    if kind == "run" and (run := await log.get_run(db, tenant_id, id_)) is not None:
        return Hit("run", run.id, run.run_id, run.pipeline)
    if kind == "dlv" and (delivery := await log.get_delivery(db, tenant_id, id_, seen_by(call.by))) is not None:
        return Hit("delivery", id_, delivery["event_type"], delivery["status"])
    try:
        if kind == "whk":
            endpoint = await own(call, id_)
            return Hit("webhook", id_, endpoint.name, endpoint.provider_type)
        if kind == "rul":
            return Hit("rule", id_, (await config.get_rule(db, tenant_id, id_)).name)
    except NotFound:
        return None
    if kind == "sil" and await silences.list_(db, tenant_id, before=LAST, limit=1, filters={"id": id_}):
        return Hit("silence", id_, id_)
    return None


async def by_own_name(call: Call, text: str) -> Hit | None:
    """An event or a run by the id that its source gave it, or a pipeline."""
    db, tenant_id = call.app.db, call.tenant_id
    event = await log.find_event(db, tenant_id, text, None)
    if event is not None:
        return Hit("event", event[0].id, event[0].type, event[0].pipeline)
    runs = await log.list_runs(db, tenant_id, before=LAST, limit=1, filters={"run_id": text})
    if runs:
        return Hit("run", runs[0].id, runs[0].run_id, runs[0].pipeline)
    if await pipelines.is_known(db, tenant_id, text) or await has_events(call, text):
        return Hit("pipeline", text, text)
    return None


async def has_events(call: Call, pipeline: str) -> bool:
    """Of a pipeline without runs, among the newest events."""
    filters = {"pipeline": pipeline}
    floor = await log.event_floor(call.app.db, call.tenant_id, LAST, MOST_LOOKED_AT, filters)
    filters |= {"floor": floor} if floor else {}
    return bool(await log.list_events(call.app.db, call.tenant_id, before=LAST, limit=1, filters=filters))


ROUTES = (
    Route(
        method="GET",
        path="/v1/search",
        handler=find,
        summary="What an id, a run or a name is",
        role="viewer",
        answer=SearchOut,
        query={"q": Param("An id of any kind, a run's or an event's own id, a pipeline, or a part of a name")},
    ),
)
