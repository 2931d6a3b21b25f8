"""Pipelines: how their last runs went; and one of them, with who is told of it, as a form."""

from typing import Any

from starlette.responses import Response

from tocsin.model.errors import NotFound
from tocsin.web.dashboard.api import Refused
from tocsin.web.dashboard.charts import Cell
from tocsin.web.dashboard.named import endpoints_named
from tocsin.web.dashboard.tracing import headline, took_of
from tocsin.web.dashboard.views import quieting
from tocsin.web.dashboard.views.events import open_silences
from tocsin.web.dashboard.visit import Page, Visit
from tocsin.web.dashboard.wording import part, state

TONES = {"succeeded": "ok", "failed": "bad", "warning": "warn", "running": "info", "paused": "info"}
ROWS = 20
MOST_FORM = 50
BLANK: dict[str, Any] = {
    "webhook_id": "",
    "events": [],
    "mentions": None,
    "condition": "",
    "format": "",
    "is_active": True,
}
"""The row of the form that adds one."""


async def show_list(visit: Visit) -> Response:
    found = await visit.api.get("/v1/pipelines", cursor=visit.query("cursor"), limit=50)
    stats = (await visit.api.get("/v1/stats/pipelines"))["items"]
    return await visit.page(
        "pages/pipelines.html", found=found, strips={one["pipeline"]: cells(one["runs"]) for one in stats}
    )


def cells(runs: list[dict[str, Any]]) -> list[Cell]:
    """The oldest first, as one reads."""
    return [
        Cell(TONES.get(one["status"], "mute"), f"{one['run_id']}: {state(one['status']).word}", f"/runs/{one['id']}")
        for one in reversed(runs)
    ]


def notifications_path(name: str) -> str:
    return f"/v1/pipelines/{name}/notifications"


async def show(visit: Visit) -> Response:
    name = visit.path("name")
    return await page_of(visit, name)


async def page_of(
    visit: Visit, name: str, rows: list[dict[str, Any]] | None = None, problem: str = "", status: int = 200
) -> Response:
    """`rows`: the form as it was sent, where something in it is wrong."""
    api = visit.api
    runs = (await api.get("/v1/runs", pipeline=name, limit=ROWS, **{"with": "usual"}))["items"]
    events = (await api.get("/v1/events", pipeline=name, limit=10, **{"with": "outcome"}))["items"]
    told, tag = await api.tagged(notifications_path(name))
    if not runs and not events and not told["notifications"] and rows is None:
        raise NotFound(f"Nothing has come in from a pipeline called {name[:200]}, and nothing is set for it.")
    webhooks = list((await endpoints_named(visit, (one["webhook_id"] for one in told["notifications"]))).values())
    why = await api.get(f"/v1/runs/{runs[0]['id']}/why") if runs else None
    head, rest = headline(why["summary"], [one["summary"] for one in why["events"]]) if why else ("", "")
    now_ms = visit.app.clock_ms()
    ended = [one for one in runs if one["finished_at"]]
    return await visit.page(
        "pages/pipeline.html",
        status,
        name=name,
        runs=runs,
        events=events,
        rows=told["notifications"] if rows is None else rows,
        blank=BLANK,
        tag=tag,
        problem=problem,
        webhooks=webhooks,
        newest=runs[0] if runs else None,
        head=head,
        rest=rest,
        ended=len(ended),
        good=sum(one["status"] == "succeeded" for one in ended),
        cells=cells(runs),
        silences=await open_silences(visit, name),
        took={one["id"]: took_of(one, now_ms) for one in runs},
        mentions_said=mentions_said,
    )


# Who is told.


async def save(visit: Visit) -> Response:
    name, tag = visit.form.get("pipeline", ""), visit.form.get("tag", "")
    if not name:
        raise NotFound("No such pipeline.")
    known = {one["webhook_id"]: one for one in (await visit.api.get(notifications_path(name)))["notifications"]}
    rows = rows_of(visit.many)
    try:
        wanted = [as_notification(row, known.get(row["webhook_id"], {})) for row in rows]
        await visit.api.put(notifications_path(name), {"notifications": wanted}, tag=tag)
    except Refused as refused:
        if refused.status not in (400, 412):
            raise
        said = "Somebody else changed this meanwhile; look and save again." if refused.status == 412 else words(refused)
        return await page_of(visit, name, rows, said, refused.status)
    count = len(wanted)
    told = "Nobody is told by what is set here." if not count else f"Saved: {count} told." if count > 1 else "Saved."
    return visit.see(f"/pipelines/{part(name)}", told)


def words(refused: Refused) -> str:
    return f"{refused.field}: expected {refused.expected}, found {refused.found}." if refused.field else refused.detail


def rows_of(many: dict[str, list[str]]) -> list[dict[str, Any]]:
    """The rows of the form that name somebody. Each column comes once a row."""
    columns = {
        name: many.get(name, []) for name in ("webhook_id", "events", "mentions", "format", "condition", "is_active")
    }
    rows = []
    for number, webhook_id in enumerate(columns["webhook_id"][:MOST_FORM]):
        row: dict[str, Any] = {
            name: values[number].strip() if number < len(values) else "" for name, values in columns.items()
        }
        if webhook_id:
            rows.append(
                row
                | {
                    "events": [one for one in row["events"].replace(",", " ").split() if one],
                    "mentions": mentions_of(row["mentions"]),
                    "format": row["format"] or None,
                    "is_active": row["is_active"] != "off",
                }
            )
    return rows


def mentions_of(text: str) -> bool | str | list[str] | None:
    """`@here`, or a list; nothing leaves it to the webhook."""
    if not text:
        return None
    if text.lower() in ("yes", "no"):
        return text.lower() == "yes"
    names = [one for one in text.replace(",", " ").split() if one]
    return names[0] if len(names) == 1 else names


def as_given(shown: dict[str, Any]) -> dict[str, Any]:
    """What the API shows of a notification, as it takes it."""
    return {name: value for name, value in shown.items() if name not in ("rule_id", "updated_at") and value is not None}


def as_notification(row: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """With what the form does not show as it was."""
    return {name: value for name, value in (as_given(known) | row).items() if value is not None}


def mentions_said(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else ", ".join(value)


PAGES = (
    Page("GET", "/pipelines", show_list),
    Page("GET", "/pipelines/{name:path}", show),
    Page("POST", "/pipelines/notifications", save, "developer"),
    *quieting.PAGES,
)
