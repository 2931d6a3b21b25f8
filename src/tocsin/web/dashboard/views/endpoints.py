"""Endpoints: where messages go. The list, and what is done to several at once."""

from collections import Counter
from typing import Any

from msgspec import Struct
from starlette.responses import Response

from tocsin.web.dashboard import bulk
from tocsin.web.dashboard.advice import Advice, advice
from tocsin.web.dashboard.charts import Cell
from tocsin.web.dashboard.guides import guide_of
from tocsin.web.dashboard.kinds import kind_name, speaker
from tocsin.web.dashboard.named import names_of, rules_named
from tocsin.web.dashboard.ownership import may_change
from tocsin.web.dashboard.visit import Page, Undo, Visit
from tocsin.web.dashboard.wording import plural

Json = dict[str, Any]
SHOWN = 50
MOST_PAGES = 5
"""Of the rules that lead to an endpoint, 100 each."""

ENDS = (("delivered", "delivered"), ("waiting", "on their way"), ("failed", "failed"), ("suppressed", "held back"))

MOST_NEW = 3
NOT_THERE = ("dead", "expired", "retrying")

DONE = {
    "enable": ("switched on", "disable"),
    "disable": ("switched off", "enable"),
    "delete": ("deleted", "restore"),
    "restore": ("brought back", "delete"),
}
"""What was done, and what takes it back."""


class Standing(Struct, frozen=True):
    """How an endpoint is: a state of wording.STATES, its word, and what to know about it."""

    state: str
    word: str
    tone: str
    advice: Advice


def standing(endpoint: Json, failed_test: Json | None = None) -> Standing:
    """`failed_test`: the delivery of the last test, if it did not get there. Tests do not count as failures of an
    endpoint, so that nothing is switched off by trying it out."""
    label = speaker(endpoint["provider_type"])
    if endpoint["disabled_reason"]:
        return Standing("failing", "Switched off", "bad", advice(label, endpoint["disabled_reason"]))
    if not endpoint["is_active"]:
        return Standing("disabled", "Off", "warn", Advice("It is switched off: what is meant for it is held back."))
    if endpoint["consecutive_failures"]:
        return Standing("failing", "Failing", "bad", advice(label, endpoint["last_error"]))
    if not endpoint["last_used_at"] and failed_test:
        said = failed_test["error_message"] or failed_test["reason"]
        return Standing("failing", "Test failed", "bad", advice(label, said))
    if not endpoint["last_used_at"]:
        return Standing("planned", "New", "info", Advice("Nothing got there yet.", "Send a test."))
    return Standing("active", "Active", "ok", Advice("What is sent gets there."))


async def providers_of(visit: Visit) -> dict[str, Json]:
    """By their type, in the order in which they are offered."""
    return {one["provider_type"]: one for one in (await visit.api.get("/v1/providers"))["items"]}


async def rules_to(visit: Visit, endpoint_id: str) -> list[Json]:
    """The rules that lead to it, 500 at the most."""
    found: list[Json] = []
    cursor = ""
    for _ in range(MOST_PAGES):
        page = await visit.api.get("/v1/alert-rules", webhook_id=endpoint_id, limit=100, cursor=cursor)
        found += page["items"]
        cursor = page["next"]
        if not cursor:
            break
    return found


def uses(rules: list[Json]) -> Counter[str]:
    """How many rules lead to each endpoint."""
    return Counter(id_ for rule in rules for id_ in set(rule["webhook_endpoint_ids"]))


async def failed_tests_of(visit: Visit, endpoints: list[Json]) -> dict[str, Json]:
    """Of endpoints that nothing got to yet, what was tried last, where that failed. The first few are looked at."""
    new = [one for one in endpoints if one["is_active"] and not one["last_used_at"] and not one["consecutive_failures"]]
    found: dict[str, Json] = {}
    for endpoint in new[:MOST_NEW]:
        tried = (await visit.api.get("/v1/deliveries", webhook_id=endpoint["id"], limit=1))["items"]
        if tried and tried[0]["status"] in NOT_THERE:
            found[endpoint["id"]] = tried[0]
    return found


async def show_list(visit: Visit) -> Response:
    deleted = visit.query("deleted") == "true"
    found = await visit.api.get(
        "/v1/webhooks",
        provider_type=visit.query("provider_type"),
        deleted="true" if deleted else "",
        cursor=visit.query("cursor"),
        limit=SHOWN,
    )
    providers = await providers_of(visit)
    used = uses([] if deleted else await rules_named(visit))
    stats: dict[str, Json] = {}
    if found["items"] and not deleted:
        ids = ",".join(one["id"] for one in found["items"])
        stats = {one["id"]: one for one in (await visit.api.get("/v1/stats/endpoints", ids=ids, limit=SHOWN))["items"]}
    failed_tests = {} if deleted else await failed_tests_of(visit, found["items"])
    rows = [
        {
            **one,
            "label": kind_name(one["provider_type"]),
            "icon": guide_of(one["provider_type"]).icon,
            "standing": standing(one, failed_tests.get(one["id"])),
            "mine": may_change(visit, one),
            "stats": stats.get(one["id"]),
            "cells": cells_of(stats[one["id"]]) if one["id"] in stats else (),
            "rules": used[one["id"]],
        }
        for one in found["items"]
    ]
    return await visit.page(
        "pages/endpoints.html", rows=rows, next=found["next"], deleted=deleted, providers=list(providers.values())
    )


def cells_of(stats: Json) -> list[Cell]:
    """Half an hour each, the oldest first: the worst of what happened in it."""
    found = []
    for place, one in enumerate(stats["cells"]):
        ago = (len(stats["cells"]) - place) / 2
        tone = "bad" if one["failed"] else "warn" if one["waiting"] else "ok" if one["delivered"] else ""
        words = ", ".join(f"{one[name]} {word}" for name, word in ENDS if one[name]) or "nothing"
        found.append(Cell(tone, f"{ago:g} h ago: {words}"))
    return found


async def change_many(visit: Visit) -> Response:
    action = visit.form.get("action", "")
    ids = visit.many.get("id", []) + visit.form.get("ids", "").split()
    if not ids:
        return visit.see("/endpoints", "Nothing was selected.", tone="bad")
    body = {"action": action, "ids": ids}
    fitting = await visit.api.post("/v1/webhooks/bulk", body | {"dry_run": True})
    if action == "delete" and not visit.form.get("sure"):
        return await ask_delete(visit, fitting["ids"])
    expected = bulk.count_seen(visit, fitting["count"])
    found = await visit.api.post("/v1/webhooks/bulk", body | {"expected": expected})
    done, back = DONE[action]
    fields = {"action": back, "ids": " ".join(found["ids"]), "sure": "on"}
    undo = Undo("/endpoints/bulk", fields) if found["ids"] else None
    return visit.see("/endpoints", f"{plural(found['changed'], 'endpoint')} {done}.", undo=undo)


async def ask_delete(visit: Visit, ids: list[str]) -> Response:
    if not ids:
        return visit.see("/endpoints", "None of these endpoints is yours to change.", tone="bad")
    leading = [rule for rule in await rules_named(visit) if set(ids) & set(rule["webhook_endpoint_ids"])]
    about = (
        f"{plural(len(leading), 'rule leads', 'rules lead')} there. Messages that wait are cancelled.",
        "Each can be brought back, with its address and settings.",
    )
    return await bulk.ask_delete(visit, "endpoint", "/endpoints", ids, names_of, about)


PAGES = (
    Page("GET", "/endpoints", show_list),
    Page("POST", "/endpoints/bulk", change_many, "developer"),
)
