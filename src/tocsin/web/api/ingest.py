"""What other services send: `POST /v1/ingest/{source}`, with a token, or at the address of a source set up for it."""

from collections.abc import Iterable, Mapping

import structlog
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.model.errors import Forbidden, Invalid, NotFound, Unauthorised
from tocsin.model.source import Sender
from tocsin.rules.own import OWN
from tocsin.sources import SOURCES
from tocsin.sources.draft import MAX_EVENT_BYTES, MAX_EVENTS, Draft
from tocsin.sources.fitting import within_bounds
from tocsin.sources.incoming import Incoming, Source, Taken
from tocsin.stages.intake import Receipt
from tocsin.store import pipelines, sources
from tocsin.store.database import StoreBroken, StoreUnavailable
from tocsin.web.api.events import Accepted, batch_answer
from tocsin.web.routes import Call, Route, read_body, reply, unpacked

KEY_CHARS = 100
USE_MS = 60_000
"""The last use of a source is noted to the minute."""

UNSIGNED = "The signature does not fit: the secret here and the one over there differ, or the body was changed."


log = structlog.get_logger()


class Ingested(Accepted, frozen=True):
    """The answer to a service: as to a batch. `ignored` says why nothing was taken, where nothing was."""

    ignored: str = ""


def source_of(call: Call) -> Source:
    """Raises NotFound."""
    kind = call.path("source")
    if kind not in SOURCES:
        raise NotFound(f"There is no source {kind[:40]!r}; there are {', '.join(sorted(SOURCES))}.")
    return SOURCES[kind]


async def with_token(call: Call) -> Response:
    """For senders that can set a header."""
    return await taken_in(call, source_of(call), call.tenant_id, call.by.token_id, {})


async def lineage(call: Call) -> Response:
    """Where OpenLineage's clients send."""
    return await taken_in(call, SOURCES["openlineage"], call.tenant_id, call.by.token_id, {})


async def with_key(call: Call) -> Response:
    """For senders that can be given an address and nothing else."""
    source = source_of(call)
    sender = await sender_of(call, source)
    answered = await taken_in(call, source, sender.tenant_id, sender.source_id, sender.settings, sender.secret)
    note_use(call, sender)
    return answered


def note_use(call: Call, sender: Sender) -> None:
    """Beside the request, which does not wait for it; once a minute."""
    now_ms = call.app.clock_ms()
    if sender.last_used_ms is None or sender.last_used_ms <= now_ms - USE_MS:
        call.app.beside(noted(call, sender, now_ms))


async def noted(call: Call, sender: Sender, now_ms: int) -> None:
    try:
        await sources.note_use(call.app.db, sender, now_ms)
    except (StoreUnavailable, StoreBroken) as error:
        log.warning("web.use_not_noted", source=sender.source_id, reason=str(error))


async def sender_of(call: Call, source: Source) -> Sender:
    """Raises NotFound for a key that is none, Forbidden where its sender was switched off, and Limited."""
    key = call.path("key")
    found = await sources.by_key(call.app.db, call.app.keyring, key) if len(key) <= KEY_CHARS else None
    if found is None or found.kind != source.kind:
        raise NotFound("No source has this address. Was it rotated or deleted?")
    if found.suspended:
        raise Forbidden("The tenant is suspended. Who runs this Tocsin can say why.")
    now_ms = call.app.clock_ms()
    (await call.app.meter.gate(found.tenant_id, now_ms)).request(found.source_id, now_ms)
    if not found.is_active:
        raise Forbidden("This source was switched off.")
    return found


async def taken_in(
    call: Call, source: Source, tenant_id: str, sender_id: str, settings: Mapping[str, object], secret: str = ""
) -> Response:
    """Reads, and answers when all of it is durable. Raises Unauthorised where the signature does not fit, and Limited
    before anything is read. `sender_id`: the token, or the source."""
    now_ms = call.app.clock_ms()
    gate = await call.app.meter.gate(tenant_id, now_ms)
    gate.check_events(sender_id, now_ms)
    request, most = call.request, gate.limits.body_bytes
    raw = await read_body(request, most)
    headers = {name.lower(): value for name, value in request.headers.items()}
    incoming = Incoming(headers, raw, dict(request.query_params), settings, call.app.clock_ms() / 1000)
    if secret and source.signed is not None and not source.signed(incoming, secret):
        raise Unauthorised(UNSIGNED)
    body = unpacked(raw, headers.get("content-encoding", ""), most)
    taken = source.read(replace(incoming, body=body))
    found = taken.drafts if len(body) <= MAX_EVENT_BYTES else [within_bounds(draft) for draft in taken.drafts]
    drafts = await with_pipelines(call, tenant_id, found)
    gate.events(sender_id, now_ms, len(drafts))
    receipts: list[Receipt] = []
    for start in range(0, len(drafts), MAX_EVENTS):
        some = drafts[start : start + MAX_EVENTS]
        receipts += await call.app.intake.accept(tenant_id, some, size=len(body))
    return answer(taken, receipts)


async def with_pipelines(call: Call, tenant_id: str, drafts: Iterable[Draft]) -> list[Draft]:
    """Some services name the pipeline where a run begins and ends, and only the run where a stage does. Raises Invalid
    for what names Tocsin itself as its source."""
    known: dict[str, str] = {}
    found = []
    for draft in drafts:
        if draft.source == OWN:
            raise Invalid("source", repr(OWN), "another name: what Tocsin itself finds out has this one")
        if draft.run_id and draft.pipeline:
            known[draft.run_id] = draft.pipeline
        elif draft.run_id:
            if draft.run_id not in known:
                known[draft.run_id] = await pipelines.of_run(call.app.db, tenant_id, draft.run_id)
            draft = replace(draft, pipeline=known[draft.run_id])
        found.append(draft)
    return found


def answer(taken: Taken, receipts: list[Receipt]) -> Response:
    if taken.answer:
        return Response(taken.answer, 200, media_type="text/plain")
    told = batch_answer(receipts)
    return reply(Ingested(told.accepted, told.duplicates, told.ids, taken.ignored), 202)


PROBLEMS = (400, 401, 403, 404, 413, 415, 429, 503)
ROUTES = (
    Route(
        method="POST",
        path="/v1/ingest/{source}",
        handler=with_token,
        name="ingest",
        summary="Take in what another service sends; the token may be the password of Basic",
        role="developer",
        scope="ingest",
        basic=True,
        answer=Ingested,
        status=202,
        problems=PROBLEMS,
    ),
    Route(
        method="POST",
        path="/v1/ingest/{source}/{key}",
        handler=with_key,
        name="ingest_at_source",
        summary="The same for senders without headers: the address of a source, its signature checked",
        role="",
        answer=Ingested,
        status=202,
        problems=PROBLEMS,
    ),
    Route(
        method="POST",
        path="/api/v1/lineage",
        handler=lineage,
        name="ingest_lineage",
        summary="OpenLineage's events, where its clients send them",
        role="developer",
        scope="ingest",
        basic=True,
        answer=Ingested,
        status=202,
        problems=PROBLEMS,
    ),
)
