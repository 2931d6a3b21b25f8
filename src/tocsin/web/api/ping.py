"""Pings of cron jobs: `/ping/{key}`, where the key is that of a source of the kind `ping`."""

from collections import OrderedDict

import msgspec
from starlette.responses import Response

from tocsin.model.errors import Busy, Invalid, NotFound
from tocsin.rules.pacing import Rate, allowed, next_us, taken
from tocsin.sources import ping as pings
from tocsin.sources.draft import has_control
from tocsin.store import noise, pipelines
from tocsin.web.api.ingest import note_use, sender_of
from tocsin.web.routes import Call, Route, read_body

BODY_LIMIT = "100000"
"""Wrappers are told by a header how much of the output to send."""
RATE = Rate(60, 60.0)
"""Of one job: so many at once, then one a second. Healthchecks takes five a minute."""
MOST_JOBS = 10_000
SAME_CLOCK_MS = 60_000


class Pace:
    """How often each job has pinged lately; of those of long ago nothing is known."""

    def __init__(self) -> None:
        self.buckets: OrderedDict[tuple[str, str], int] = OrderedDict()

    def check(self, job: tuple[str, str], now_ms: int) -> None:
        """Raises Busy (429) where it is too often."""
        now_us, bucket = now_ms * 1000, self.buckets.pop(job, 0)
        if not allowed(RATE, bucket, now_us, 1):
            self.buckets[job] = bucket
            wait_us = next_us(RATE, bucket, now_us) - now_us
            raise Busy("This job pings too often.", retry_after_s=max(1, -(-wait_us // 1_000_000)), status=429)
        self.buckets[job] = taken(RATE, bucket, now_us, 1)
        if len(self.buckets) > MOST_JOBS:
            self.buckets.popitem(last=False)


async def ping(call: Call) -> Response:
    """Plainly it succeeded; start, fail, log or an exit status say otherwise. The body is the end of its output."""
    app, parts = call.app, [part for name in ("first", "second") if (part := call.request.path_params.get(name, ""))]
    sender = await sender_of(call, pings.SOURCE)
    settings = msgspec.convert(sender.settings, pings.Settings)
    slug = "" if settings.pipeline or not parts else parts.pop(0)
    if len(parts) > 1 or not (settings.pipeline or slug):
        raise NotFound("This address says too much, or not which job it is: /ping/{key}/{slug}.")
    verb, status = pings.verb_of(parts[0]) if parts else ("success", -1)
    pipeline = settings.pipeline or f"{settings.prefix}{slug}"
    app_pace: Pace = call.request.app.state.pings
    app_pace.check((sender.source_id, slug), app.clock_ms())
    gate = await app.meter.gate(sender.tenant_id, app.clock_ms())
    gate.check_events(sender.source_id, app.clock_ms())
    gate.events(sender.source_id, app.clock_ms(), 1)
    is_new = bool(slug) and await comes_to_be(call, sender.tenant_id, settings, slug, pipeline)
    rid = checked_rid(call)
    one = pings.Ping(
        pipeline=pipeline,
        verb=verb,
        status=status,
        run_id=rid or await running(call, sender.tenant_id, pipeline, verb),
        rid=rid,
        output=pings.output_of(await read_body(call.request, gate.limits.body_bytes)),
        labels=settings.labels,
    )
    await app.intake.accept(sender.tenant_id, [pings.draft_of(one, sender.source_id)])
    note_use(call, sender)
    headers = {"ping-body-limit": BODY_LIMIT}
    return Response("Created" if is_new else "OK", 201 if is_new else 200, headers, "text/plain")


async def comes_to_be(call: Call, tenant_id: str, settings: pings.Settings, slug: str, pipeline: str) -> bool:
    """Whether this ping is its job's first, and makes it. Raises NotFound for a job that is none."""
    if slug in settings.slugs:
        return False
    if not settings.create or not pings.SLUG.fullmatch(slug):
        raise NotFound("There is no such job.")
    if await pipelines.is_known(call.app.db, tenant_id, pipeline):
        return False
    if call.request.query_params.get("create") != "1":
        raise NotFound("There is no such job yet; ?create=1 makes it.")
    return True


def checked_rid(call: Call) -> str:
    """Raises Invalid."""
    rid = call.request.query_params.get("rid", "")
    if len(rid) > 100 or has_control(rid):
        raise Invalid("rid", repr(rid[:60]), "an id of the run, such as a UUID: at most 100 characters")
    return rid


async def running(call: Call, tenant_id: str, pipeline: str, verb: str) -> str:
    """The run that began last, while it goes on, else a new one; "" for a word while nothing runs."""
    now_ms = call.app.clock_ms()
    if verb != "start":
        runs = await noise.started_runs(call.app.db, tenant_id, pipeline, 0, now_ms + SAME_CLOCK_MS)
        if runs and not runs[0].is_over:
            return runs[0].run_id
    return "" if verb == "log" else call.app.new_id("run").removeprefix("run_")


QUERY = {"rid": "An id that the pings of one run share", "create": "`1`: make the job, where the key allows it"}
PATHS = {
    "/ping/{key}": ("ping", "A job succeeded"),
    "/ping/{key}/{first}": ("ping_word", "It began, failed, says something, or ended with an exit status; or its slug"),
    "/ping/{key}/{first}/{second}": ("ping_slug", "The same of a job by its slug"),
}
ROUTES = tuple(
    Route(
        method=method,
        path=path,
        handler=ping,
        name=name if method == "POST" else f"{name}_by_{method.lower()}",
        summary=summary,
        role="",
        query=QUERY,
        also=(201,),
        answer=str,
        media="text/plain",
        problems=(400, 403, 404, 413, 429, 503),
    )
    for path, (name, summary) in PATHS.items()
    for method in ("GET", "POST", "PUT")
)
