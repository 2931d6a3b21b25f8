"""The story of a run: who was told of which of its events, and why nobody else was."""

import msgspec
from msgspec import Struct
from starlette.responses import Response

from tocsin.model.errors import NotFound
from tocsin.model.fate import Fate
from tocsin.rules.explain import Chapter, Considered, Told, explain, story
from tocsin.rules.incident import OPENS
from tocsin.rules.index import CompiledRule
from tocsin.rules.run_state import attempt_named
from tocsin.stages.intake import Trace
from tocsin.store import log
from tocsin.store import why as store
from tocsin.web.api.events import not_asked
from tocsin.web.ownership import hidden_endpoints, is_hidden_rule
from tocsin.web.replies import fates_for
from tocsin.web.routes import Call, no_nul, reply, rfc3339


class RunEvent(Struct, frozen=True):
    """One event of the run. `decisions` are those of the rules that were asked when it came in."""

    event_id: str
    event_type: str
    stage: str
    time: str | None
    summary: str
    decisions: tuple[Considered, ...]
    omitted_decisions: int
    deliveries: tuple[Told, ...]


class RunWhy(Struct, frozen=True):
    """Why somebody was told of a run, or was not. `summary` is one sentence that answers; the events are in the order
    in which they came. `elsewhere`: so many deliveries went to webhooks of others."""

    id: str
    pipeline: str
    run_id: str
    attempt: int
    status: str
    summary: str
    events: tuple[RunEvent, ...]
    elsewhere: int


async def why(call: Call) -> Response:
    app = call.app
    run = await log.get_run(app.db, call.tenant_id, no_nul("id", call.path("id")))
    if run is None:
        raise NotFound("No such run.")
    now_ms = app.clock_ms()
    events, fates = await store.events_of_run(app.db, run)
    hidden = await hidden_endpoints(call)
    elsewhere = sum(fate.endpoint_id in hidden for fate in fates)
    by_event: dict[str, list[Fate]] = {}
    for fate in fates_for(call.by, fates):
        if fate.endpoint_id in hidden:
            continue
        by_event.setdefault(fate.event_uid, []).append(fate)
    mine = [one for one in events if attempt_named(one[0].kind, one[0].data) in (0, run.attempt)]
    news = [event.uid for event, _ in mine if event.kind in OPENS] or [event.uid for event, _ in mine]
    chapters = []
    for event, stored in mine:
        trace = msgspec.json.decode(stored, type=Trace)
        others: list[CompiledRule] = []
        if not fates and event.uid == news[-1]:  # the one that people ask about: who came near?
            others, _ = await not_asked(call, {one.rule_id for one in trace.decisions}, hidden)
        its_fates = by_event.get(event.uid, [])
        decisions = [one for one in trace.decisions if not is_hidden_rule(call, one.rule_id, hidden)]
        said = explain(
            event,
            decisions,
            trace.omitted,
            its_fates,
            now_ms,
            others=others,
            rules=trace.rules,
            elsewhere=elsewhere,
            off=trace.off,
        )
        chapters.append(Chapter(event, tuple(its_fates), said))
    return reply(
        RunWhy(
            run.id,
            run.pipeline,
            run.run_id,
            run.attempt,
            run.status,
            story(run, chapters, now_ms, elsewhere=elsewhere),
            tuple(
                RunEvent(one.event.id, one.event.type, one.event.stage, rfc3339(one.event.time_ms), *parts(one))
                for one in chapters
            ),
            elsewhere,
        )
    )


def parts(chapter: Chapter) -> tuple[str, tuple[Considered, ...], int, tuple[Told, ...]]:
    said = chapter.why
    return said.summary, said.decisions, said.omitted_decisions, said.deliveries
