"""The first page: whether anything needs somebody, and what has happened."""

from typing import Any, NamedTuple

from starlette.responses import Response

from tocsin.model.rule import TEST_RULE
from tocsin.rules.index import OF_ENDPOINT
from tocsin.rules.own import OWN
from tocsin.web.dashboard import charts
from tocsin.web.dashboard.advice import advice
from tocsin.web.dashboard.kinds import speaker
from tocsin.web.dashboard.named import names_of, who_is_who
from tocsin.web.dashboard.views.audit import place, sentence
from tocsin.web.dashboard.views.deliveries import bars_of
from tocsin.web.dashboard.visit import Page, Visit
from tocsin.web.dashboard.wording import part, plural, span, state, utc

SHOWN_ENDPOINTS, SHOWN_PIPELINES, SHOWN_RULES, SHOWN_CHANGES = 8, 8, 6, 6
LOOKED_AT = 20
"""Events among which there is one that is no test's, where anything has happened yet."""
Json = dict[str, Any]


class Verdict(NamedTuple):
    """`tone` is ok, warn or bad; `href` is where it is mended, with a word for that."""

    tone: str
    icon: str
    title: str
    text: str
    href: str
    does: str


async def show(visit: Visit) -> Response:
    endpoints = (await visit.api.get("/v1/stats/endpoints", limit=SHOWN_ENDPOINTS + 1))["items"]
    stats = await visit.api.get("/v1/stats/deliveries")
    pipelines = (await visit.api.get("/v1/stats/pipelines", limit=SHOWN_PIPELINES))["items"]
    if not pipelines:
        seen = (await visit.api.get("/v1/events", limit=LOOKED_AT))["items"]
        has_events = len(seen) == LOOKED_AT or any(one["source"] != OWN for one in seen)
        if not has_events or not (endpoints or sum(stats["totals"].values())):
            return await first_steps(visit, endpoints, has_events=has_events)
    attention = await visit.attention()
    changes: list[Any] = []
    who: dict[str, str] = {}
    if visit.may("admin"):
        entries = (await visit.api.get("/v1/audit", limit=SHOWN_CHANGES))["items"]
        who = await who_is_who(visit, (one["actor"] for one in entries))
        known = {one["id"]: one["name"] for one in endpoints}
        changes = [(one, *sentence(one, known), place(one)) for one in entries]
    found = (await visit.api.get("/v1/stats/rules", limit=SHOWN_RULES + 1))["items"]
    rules = [one for one in found if one["rule_id"] != TEST_RULE][:SHOWN_RULES]
    kinds = [one["rule_id"].partition(":") for one in rules]
    names = await names_of(visit, (id_ for kind, _, id_ in kinds if kind == OF_ENDPOINT))
    return await visit.page(
        "pages/overview.html",
        verdict=verdict_of(endpoints, attention),
        attention=attention,
        stats=stats,
        bars=bars_of(stats, 24),
        endpoints=[(one, cells_of(one), standing_of(one)) for one in endpoints[:SHOWN_ENDPOINTS]],
        more_endpoints=len(endpoints) > SHOWN_ENDPOINTS,
        pipelines=[(one["pipeline"], runs_of(one)) for one in pipelines],
        rules=rules,
        changes=changes,
        who=who,
        names={f"{OF_ENDPOINT}:{id_}": f"What {name} asks for itself" for id_, name in names.items()},
    )


async def first_steps(visit: Visit, endpoints: list[Json], *, has_events: bool) -> Response:
    tried = next((one for one in endpoints if one["last_at"]), None)
    return await visit.page(
        "pages/first_steps.html",
        endpoint=endpoints[0] if endpoints else None,
        has_endpoint=bool(endpoints),
        was_tried=tried is not None,
        has_events=has_events,
        url=visit.app.settings.url.rstrip("/"),
    )


def verdict_of(endpoints: list[Json], attention: Json) -> Verdict:
    """One sentence; the worst comes first, as the API has it."""
    failing = [one for one in endpoints if one["is_failing"]]
    if failing:
        worst = failing[0]
        since = min((one["failing_since"] for one in failing if one["failing_since"]), default=None)
        when = f" since {utc(since)[:16]} UTC" if since else ""
        many = f"{plural(max(len(failing), attention['failing']), 'endpoint is', 'endpoints are')} failing{when}"
        title = f"{worst['name']} is failing{when}" if len(failing) == 1 else many
        told = advice(speaker(worst["provider_type"]), worst["disabled_reason"] or worst["last_error"])
        first = "" if len(failing) == 1 else f"{worst['name']}: "
        return Verdict(
            "bad", "circle-x", title, f"{first}{told.what} {told.do}".strip(), f"/endpoints/{part(worst['id'])}", "Fix"
        )
    if attention["dead"]:
        dead = "1,000 or more" if attention["dead"] >= 1000 else f"{attention['dead']:,}"
        title = "All endpoints are healthy, and there are dead letters"
        text = f"{dead} could not be delivered before. They can be replayed."
        return Verdict("warn", "triangle-alert", title, text, "/dead-letters", "Look at them")
    if attention["retrying"]:
        waits = plural(attention["retrying"], "message is", "messages are")
        return Verdict(
            "ok", "circle-check", "All endpoints are healthy", f"{waits} tried again by themselves.",
            "/deliveries?status=retrying", "Look",
        )  # fmt: skip
    return Verdict("ok", "circle-check", "All endpoints are healthy", "Nothing needs you.", "", "")


def standing_of(one: Json) -> str:
    """A state of wording.STATES."""
    if one["is_failing"]:
        return "failing"
    return "active" if one["is_active"] else "disabled"


def cells_of(one: Json) -> list[charts.Cell]:
    """A cell for each half hour: the worst that happened in it."""
    found = []
    for number, ends in enumerate(one["cells"]):
        ago = f"{(len(one['cells']) - number) / 2:g} h ago"
        tone = "bad" if ends["failed"] else "warn" if ends["waiting"] else "ok" if ends["delivered"] else ""
        words = [f"{ends[name]} {name}" for name in ("delivered", "waiting", "failed", "suppressed") if ends[name]]
        found.append(charts.Cell(tone, f"{ago}: {', '.join(words) or 'nothing'}"))
    return found


def runs_of(one: Json) -> list[tuple[str, str, str, str]]:
    """State, its tone, what is said of it, and where it leads; the oldest first."""
    found = []
    for run in reversed(one["runs"]):
        known = state(run["status"])
        took = f", {span(run['duration_s'])}" if run["duration_s"] is not None else ""
        found.append(
            (known.icon, known.tone, f"{run['run_id']}: {known.word.lower()}{took}", f"/runs/{part(run['id'])}")
        )
    return found


PAGES = (Page("GET", "/", show),)
