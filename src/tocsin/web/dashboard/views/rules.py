"""Rules: who hears of what. The list, and what is done to several at once."""

from typing import Any

from starlette.responses import Response

from tocsin.model.errors import Invalid
from tocsin.web.dashboard import bulk, rule_words
from tocsin.web.dashboard.forms import local
from tocsin.web.dashboard.named import names_of, rule_names_of
from tocsin.web.dashboard.views import rule_editor
from tocsin.web.dashboard.visit import Page, Undo, Visit
from tocsin.web.dashboard.wording import plural
from tocsin.web.routes import rfc3339

SHOWN = 50
"""On a page: as many as one Undo can name in a cookie."""

MOST_FIGURES = 100
WEEK_MS = 7 * 86_400_000

DONE = {"enable": "switched on", "disable": "switched off", "delete": "deleted", "restore": "restored"}
BACK = {"enable": "disable", "disable": "enable", "delete": "restore", "restore": "delete"}


async def show_list(visit: Visit) -> Response:
    deleted = visit.query("deleted") == "true"
    found = await visit.api.get(
        "/v1/alert-rules", deleted="true" if deleted else "", cursor=visit.query("cursor"), limit=SHOWN
    )
    names = await names_of(visit, (id_ for one in found["items"] for id_ in one["webhook_endpoint_ids"]))
    figures = await figures_of(visit)
    since = rfc3339(visit.app.clock_ms() - WEEK_MS) or ""
    return await visit.page(
        "pages/rules.html",
        rules=[row_of(visit, one, names) | {"silent": silent_of(one, since)} for one in found["items"]],
        next=found["next"],
        deleted=deleted,
        figures=figures,
        starts=rule_editor.STARTS,
    )


def row_of(visit: Visit, rule: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return rule | {
        "asks": rule_words.asks(rule),
        "tells": rule_words.tells(rule, names),
        "quiet": rule_words.quiet(rule),
        "mine": rule_editor.is_mine(visit, rule),
    }


async def figures_of(visit: Visit) -> dict[str, dict[str, Any]]:
    """By rule: what became of its matches in the last days."""
    found = await visit.api.get("/v1/stats/rules", limit=MOST_FIGURES)
    return {one["rule_id"]: one for one in found["items"]}


def silent_of(rule: dict[str, Any], since: str) -> str:
    """A word for a rule that nothing came of lately; "" where something did."""
    fired = rule["last_fired_at"]
    if not rule["is_active"] or (fired and fired >= since):
        return ""
    return "Quiet for a week" if fired else "Never fired"


async def switch(visit: Visit) -> Response:
    id_, on = visit.path("id"), visit.form.get("is_active") == "on"
    rule = await visit.api.patch(f"/v1/alert-rules/{id_}", {"is_active": on})
    undo = Undo(f"/rules/{id_}/switch", {"is_active": "" if on else "on", "next": back_to(visit)})
    return visit.see(back_to(visit), f"“{rule['name']}” is {'on' if on else 'off'}.", undo=undo)


async def change_many(visit: Visit) -> Response:
    """`id` comes several times, or `ids` once with spaces between them."""
    action = visit.form.get("action", "")
    if action not in DONE:
        raise Invalid("action", repr(action[:20]), f"one of {', '.join(DONE)}")
    ids = visit.many.get("id", []) or visit.form.get("ids", "").split()
    if not ids:
        return visit.see(back_to(visit), "No rule is selected.", tone="bad")
    asked = {"action": action, "ids": ids}
    fitting = await visit.api.post("/v1/alert-rules/bulk", asked | {"dry_run": True})
    if not fitting["count"]:
        return visit.see(back_to(visit), "None of these rules is yours to change.", tone="bad")
    left = len(set(ids)) - fitting["count"]
    not_yours = f"{left} of those selected are not yours to change." if left else ""
    if action == "delete" and not visit.form.get("sure"):
        return await ask_delete(visit, fitting["ids"], not_yours)
    expected = bulk.count_seen(visit, fitting["count"])
    await visit.api.post("/v1/alert-rules/bulk", {**asked, "ids": fitting["ids"], "expected": expected})
    said = f"{plural(fitting['count'], 'rule')} {DONE[action]}. {not_yours}".rstrip()
    fields = {"action": BACK[action], "ids": " ".join(fitting["ids"]), "next": back_to(visit), "sure": "on"}
    undo = Undo("/rules/bulk", fields)
    return visit.see(back_to(visit), said, undo=undo if fitting["count"] <= SHOWN else None)


async def ask_delete(visit: Visit, ids: list[str], not_yours: str) -> Response:
    figures = await figures_of(visit)
    told = sum(figures[id_]["messages"] for id_ in ids if id_ in figures)
    about = (
        f"In the last 7 days {plural(told, 'message')} came of this, and none will any more.",
        "What was sent stays in the log, and each can be restored.",
        *filter(None, (not_yours,)),
    )
    return await bulk.ask_delete(visit, "rule", back_to(visit), ids, rule_names_of, about)


async def delete(visit: Visit) -> Response:
    id_ = visit.path("id")
    rule = await visit.api.get(f"/v1/alert-rules/{id_}")
    await visit.api.delete(f"/v1/alert-rules/{id_}")
    return visit.see("/rules", f"“{rule['name']}” is deleted.", undo=Undo(f"/rules/{id_}/restore"))


async def restore(visit: Visit) -> Response:
    rule = await visit.api.post(f"/v1/alert-rules/{visit.path('id')}/restore")
    return visit.see(f"/rules/{rule['id']}", f"“{rule['name']}” is back.")


async def alerts(visit: Visit) -> Response:
    """Where settings of alerts were looked for: they are three pages."""
    return await visit.page("pages/alerts.html")


def back_to(visit: Visit) -> str:
    return local(visit.form.get("next", ""), "/rules")


PAGES = (
    Page("GET", "/rules", show_list),
    Page("POST", "/rules/bulk", change_many, "developer"),
    Page("POST", "/rules/{id}/switch", switch, "developer"),
    Page("POST", "/rules/{id}/delete", delete, "developer"),
    Page("POST", "/rules/{id}/restore", restore, "developer"),
    Page("GET", "/settings/alerts", alerts),
    *rule_editor.PAGES,
)
