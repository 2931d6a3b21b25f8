"""Who changed what, and whether the trail is whole."""

from typing import Any

from msgspec import Struct
from starlette.responses import Response

from tocsin.web.dashboard.api import Refused
from tocsin.web.dashboard.named import names_of, rule_names_of, who_is_who
from tocsin.web.dashboard.visit import Page, Visit
from tocsin.web.dashboard.wording import part

VERBS = {
    "create": "made", "update": "changed", "delete": "deleted", "restore": "restored", "rotate": "rotated",
    "revoke": "revoked", "reveal": "looked at", "test": "tested", "enable": "switched on", "disable": "switched off",
    "end": "ended", "replay": "sent again", "cancel": "cancelled", "execute": "started", "begin": "began",
    "suspend": "suspended", "resume": "resumed", "limit": "limited", "sign_in_link": "made a sign-in link for",
    "set_up": "set up", "password": "set the password of", "recover": "recovered",
}  # fmt: skip
NOUNS = {"webhook": "endpoint", "alert-rule": "rule", "preferences": "the preferences of"}
KINDS = ("webhook", "rule", "silence", "source", "secret", "token", "member", "preferences", "delivery", "pipeline",
         "flow", "session", "account", "tenant", "rollout", "key", "notification")  # fmt: skip
PLACES = {
    "webhook": "/endpoints/", "rule": "/rules/", "silence": "/silences/", "source": "/sources/",
    "delivery": "/deliveries/", "pipeline": "/pipelines/",
}  # fmt: skip
FILTERS = ("actor", "action", "kind", "id", "outcome", "since", "until")
PERIODS = (("", "All of it"), ("24", "24 h"), ("168", "7 days"), ("720", "30 days"))


class Change(Struct, frozen=True):
    """A field, as it was and as it is; None where there was none."""

    field: str
    before: Any
    after: Any


def changes_of(entry: dict[str, Any]) -> list[Change]:
    before, after = entry["before"] or {}, entry["after"] or {}
    return [Change(name, before.get(name), after.get(name)) for name in sorted({*before, *after})]


async def things(visit: Visit, entries: list[dict[str, Any]]) -> dict[str, str]:
    """What the endpoints and rules are called now, by id, of which the entries themselves do not say it."""
    unnamed = [one for one in entries if not name_in(one)]
    ids = {kind: [one["id"] for one in unnamed if one["kind"] == kind] for kind in ("webhook", "rule")}
    return await names_of(visit, ids["webhook"]) | await rule_names_of(visit, ids["rule"])


def name_in(entry: dict[str, Any]) -> str:
    known = (entry["after"] or {}) | (entry["before"] or {})
    return str(known.get("name") or known.get("email") or "")


def sentence(entry: dict[str, Any], names: dict[str, str]) -> tuple[str, str]:
    """What was done, and to what: `changed the endpoint`, `orders`. `names`: what things are called now, by id."""
    kind = entry["kind"]
    if kind == "session":  # its id says nothing to anybody
        return {"begin": "signed in", "end": "ended a session"}.get(
            entry["action"].partition(".")[2], entry["action"]
        ), ""
    verb = entry["action"].partition(".")[2] or entry["action"]
    said = VERBS.get(verb, verb.replace("_", " "))
    reason = ((entry["after"] or {}) | (entry["before"] or {})).get("reason")
    name = name_in(entry) or names.get(entry["id"]) or reason or entry["id"]
    return f"{said} {NOUNS.get(kind, kind.replace('_', ' '))}", str(name)


def place(entry: dict[str, Any]) -> str:
    """The page of what it was done to; "" where there is none."""
    kind, id_ = entry["kind"], entry["id"]
    if not id_ or entry["action"].endswith(".delete"):
        return ""
    if kind in PLACES:
        return PLACES[kind] + part(id_)
    if kind == "member":
        return f"/team/members/{part(id_)}"
    return {"token": "/team#tokens", "secret": "/settings/secrets", "flow": "/flows"}.get(kind, "")


async def show(visit: Visit) -> Response:
    return await audit_page(visit)


async def audit_page(visit: Visit, verdict: dict[str, Any] | None = None) -> Response:
    asked = {name: visit.query(name) for name in FILTERS}
    if hours := visit.query("hours"):
        asked["since"] = asked["since"] or visit.ago(hours)
    problem = ""
    try:
        found = await visit.api.get("/v1/audit", **asked, cursor=visit.query("cursor"), limit=50)
    except Refused as refused:
        if refused.status != 400:
            raise
        problem, found = refused.detail, {"items": [], "next": None}
    members = (await visit.api.get("/v1/members", limit=100))["items"]
    known = await things(visit, found["items"])
    names = await who_is_who(visit, (asked["actor"], *(one["actor"] for one in found["items"])))
    return await visit.page(
        "pages/audit.html",
        400 if problem else 200,
        found=found,
        rows=[(one, *sentence(one, known), place(one), changes_of(one)) for one in found["items"]],
        people={one["user_id"]: one["name"] or one["email"] or one["user_id"] for one in members},
        names=names,
        kinds=KINDS,
        periods=PERIODS,
        problem=problem,
        verdict=verdict,
        is_filtered=any(visit.query(name) for name in (*FILTERS, "hours")),
    )


async def verify(visit: Visit) -> Response:
    head = visit.form.get("head", "").strip()
    try:
        return await audit_page(visit, await visit.api.get("/v1/audit/verify", head=head))
    except Refused as refused:
        return visit.see("/audit", refused.detail, tone="bad")


PAGES: tuple[Page, ...] = (
    Page("GET", "/audit", show, "admin"),
    Page("POST", "/audit/verify", verify, "admin"),
)
