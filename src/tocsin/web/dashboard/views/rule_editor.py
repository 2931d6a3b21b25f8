"""One rule: written beside what it would have made of the last events, saved, sent as a test, and brought back."""

from typing import Any

import msgspec
from msgspec import Struct
from starlette.responses import Response

from tocsin.model.errors import Invalid
from tocsin.model.yaml_text import written
from tocsin.web.api.alert_rules import RuleIn
from tocsin.web.dashboard import rule_words
from tocsin.web.dashboard.api import Refused
from tocsin.web.dashboard.message_preview import Look, looks_of, with_frames
from tocsin.web.dashboard.named import called, endpoints_named, names_of
from tocsin.web.dashboard.rule_form import Fields, fields_of, place_of, rule_of
from tocsin.web.dashboard.rule_pane import Pane, pane_of
from tocsin.web.dashboard.visit import Page, Undo, Visit
from tocsin.web.dashboard.wording import part, plural
from tocsin.web.exported import in_full, rule_exported, without_stamps
from tocsin.web.ownership import MADE_FOR

Json = dict[str, Any]

LASTS = ("50", "100", "200", "500")
MOST_UNDO = 1500
"""Bytes of a change that a cookie may carry to take it back."""


class Start(Struct, frozen=True):
    """A rule to begin with."""

    key: str
    icon: str
    title: str
    about: str
    rule: Json


STARTS = (
    Start("failures", "circle-x", "Failed runs", "The first failure and the recovery, not every failure in between.",
          {"name": "Failed runs", "event_types": ["run.failed"], "changes": {}}),
    Start("prod", "siren", "Failed production runs",
          "Runs with the label env=prod that fail, at most one per pipeline in ten minutes.",
          {"name": "Failed production runs", "event_types": ["run.failed"], "labels": {"env": "prod"},
           "group": {"interval_s": 600}}),
    Start("slow", "timer", "Runs that take too long", "Longer than nearly all good runs before.",
          {"name": "Slow runs", "watch": {"exceeded_p95_of": 50, "factor": 1.5}, "event_types": ["run.exceeded"]}),
    Start("quality", "gauge", "A number gets worse", "Accuracy falls, or any other number in an event's data.",
          {"name": "Accuracy falls", "window": {"kind": "metric", "name": "accuracy", "drop": 0.02}}),
    Start("late", "calendar", "A start that is missed", "A pipeline with a schedule did not start.",
          {"name": "Missed starts", "schedule": {"cron": "0 2 * * *"}, "event_types": ["run.missed"]}),
    Start("critical", "flame", "Everything critical", "Whatever says that it is critical.",
          {"name": "Critical", "condition": 'event.severity == "critical"'}),
)  # fmt: skip


class Draft(Struct, frozen=True):
    """A rule in the form. `saved` is what it was read as, with its `tag`; None for a new one. `problems` by field of
    the form, and "" for what has no field."""

    fields: Fields
    saved: Json | None = None
    tag: str = ""
    problems: dict[str, str] = {}
    conflict: bool = False
    last: str = LASTS[0]
    look: str = ""


# Pages.


async def show_new(visit: Visit) -> Response:
    """Empty, from a template, from a rule that there is, or from an event."""
    fields = fields_of(in_full(msgspec.convert(await begun(visit), RuleIn)))
    if fields.get("schedule.cron") and "pipeline" not in fields["field"]:
        fields |= {name: [*fields[name], value] for name, value in (("field", "pipeline"), ("op", "is"), ("value", ""))}
    return await shown(visit, Draft(fields))


async def begun(visit: Visit) -> Json:
    if from_ := visit.query("from"):
        rule = without_stamps(await visit.api.get(f"/v1/alert-rules/{part(from_)}"))
        return rule | {"name": f"Copy of {rule['name']}"[:200]}
    if event_id := visit.query("event"):
        event = await visit.api.get(f"/v1/events/{part(event_id)}", source=visit.query("source"))
        return of_event(event.get("event", event))
    found = next((start.rule for start in STARTS if start.key == visit.query("template")), {})
    body: Json = {"name": "New rule"} | found
    if pipeline := visit.query("pipeline"):
        body = {**body, "pipelines": [pipeline[:256]]}
    endpoints = [endpoint] if (endpoint := visit.query("webhook_id")) else await only_endpoint(visit)
    return {**body, "webhook_endpoint_ids": endpoints}


async def only_endpoint(visit: Visit) -> list[str]:
    """Where there is one and no other, it is meant."""
    found = (await visit.api.get("/v1/webhooks/names", limit=2))["items"]
    return [found[0]["id"]] if len(found) == 1 else []


def of_event(event: Json) -> Json:
    """A rule for events such as this one."""
    about = " of ".join(filter(None, (event["type"], event["pipeline"])))
    labels = {name: value for name, value in event["labels"].items() if name == "env" and value}
    pipelines = [event["pipeline"]] if event["pipeline"] else []
    return {"name": about[:200], "event_types": [event["type"]], "pipelines": pipelines, "labels": labels}


async def show(visit: Visit) -> Response:
    saved, tag = await visit.api.tagged(f"/v1/alert-rules/{part(visit.path('id'))}")
    last = visit.query("last", LASTS[0])
    return await shown(visit, Draft(fields_of(saved), saved, tag, last=last if last in LASTS else LASTS[0]))


async def show_draft(visit: Visit) -> Response:
    """The page as it is with what the form says now; nothing is saved."""
    return await shown(visit, await drafted(visit))


async def drafted(visit: Visit) -> Draft:
    saved, tag = None, visit.form.get("tag", "")
    if id_ := visit.form.get("id", ""):
        saved, now = await visit.api.tagged(f"/v1/alert-rules/{part(id_)}")
        tag = now if "over" in visit.form else tag  # they have seen what it is by now
    last = visit.form.get("last", LASTS[0])
    return Draft(visit.many, saved, tag, last=last if last in LASTS else LASTS[0], look=visit.form.get("look", ""))


async def save(visit: Visit) -> Response:
    draft = await drafted(visit)
    id_ = visit.form.get("id", "")
    try:
        body = rule_of(draft.fields)
        if not id_:
            rule = await visit.api.post("/v1/alert-rules", body, key=visit.once(body))
            return visit.see(f"/rules/{rule['id']}", f"“{rule['name']}” is saved, and counts from the next event on.")
        rule = await visit.api.patch(f"/v1/alert-rules/{part(id_)}", body, tag=draft.tag)
    except Invalid as error:
        wrong = {place_of(error.field, draft.fields): f"Found {error.found}; expected {error.expected}."}
        return await shown(visit, msgspec.structs.replace(draft, problems=wrong))
    except Refused as refused:
        if refused.status == 412:
            return await shown(visit, msgspec.structs.replace(draft, conflict=True))
        if not refused.field and refused.status not in (400, 409, 422):
            raise
        return await shown(visit, msgspec.structs.replace(draft, problems=problems_of(refused, draft.fields)))
    assert draft.saved is not None
    names = await names_of(visit, (*draft.saved["webhook_endpoint_ids"], *rule["webhook_endpoint_ids"]))
    changed = rule_words.differences(as_written(draft.saved), as_written(rule), names)
    if not changed:
        return visit.see(f"/rules/{id_}", "Nothing had changed.")
    before = {name: draft.saved[name] for name in rule_words.FIELDS if draft.saved[name] != rule[name]}
    patch = msgspec.json.encode(before).decode()
    undo = Undo(f"/rules/{id_}/undo", {"patch": patch}) if len(patch) <= MOST_UNDO else None
    return visit.see(f"/rules/{id_}", f"Saved: {', '.join(one.field for one in changed)}.", undo=undo)


def problems_of(refused: Refused, fields: Fields) -> dict[str, str]:
    found = f"Found {refused.found}; expected {refused.expected}." if refused.field else str(refused.detail)
    return {place_of(refused.field, fields): found}


async def undo_save(visit: Visit) -> Response:
    """As it was before: the fields that were changed."""
    id_ = visit.path("id")
    try:
        patch = msgspec.json.decode(visit.form.get("patch", ""), type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise Invalid("patch", "something else", "a JSON object") from None
    await visit.api.patch(f"/v1/alert-rules/{part(id_)}", patch)
    return visit.see(f"/rules/{id_}", "It is as it was before.")


async def send_test(visit: Visit) -> Response:
    """A test message to each of its endpoints."""
    id_ = visit.path("id")
    rule = await visit.api.get(f"/v1/alert-rules/{part(id_)}")
    names = await names_of(visit, rule["webhook_endpoint_ids"])
    said, tone = [], "ok"
    for webhook in rule["webhook_endpoint_ids"][:5]:
        name = names.get(webhook, "another endpoint")
        try:
            delivery = await visit.api.post(f"/v1/webhooks/{part(webhook)}/test")
            good = delivery["status"] == "delivered"
            said.append(f"{name}: {'delivered' if good else delivery['error_message'] or delivery['status']}")
        except Refused as refused:
            good = False
            said.append(f"{name}: {refused.detail}")
        tone = tone if good else "bad"
    more = len(rule["webhook_endpoint_ids"]) - 5
    rest = f" {plural(more, 'endpoint')} more were not asked." if more > 0 else ""
    return visit.see(f"/rules/{id_}", ("; ".join(said) or "It leads to no endpoint.") + rest, tone=tone)


async def show_yaml(visit: Visit) -> Response:
    rule = await visit.api.get(f"/v1/alert-rules/{part(visit.path('id'))}")
    text = written([("rules", [rule_exported(rule, await names_of(visit, rule["webhook_endpoint_ids"]))])])
    return await visit.page("pages/rule_yaml.html", rule=rule, text=text)


async def show_history(visit: Visit) -> Response:
    id_ = visit.path("id")
    rule, tag = await visit.api.tagged(f"/v1/alert-rules/{part(id_)}")
    entries = (await visit.api.get("/v1/audit", kind="rule", id=id_, outcome="done", limit=100))["items"]
    known = [one for entry in entries for one in (entry["before"], entry["after"]) if one]
    names = await names_of(visit, (id_ for one in known for id_ in one.get("webhook_endpoint_ids") or ()))
    people = await called(visit, (entry["actor"] for entry in entries))
    versions = [
        entry
        | {
            "changes": rule_words.differences(entry["before"] or {}, entry["after"] or {}, names),
            "by": people[entry["actor"]],
        }
        for entry in entries
    ]
    return await visit.page("pages/rule_history.html", rule=rule, versions=versions, tag=tag)


async def go_back(visit: Visit) -> Response:
    """To a version of the history."""
    id_, number = visit.path("id"), visit.form.get("number", "")
    if not number.isdigit():
        raise Invalid("number", repr(number[:20]), "the number of a version")
    rule = await visit.api.get(f"/v1/alert-rules/{part(id_)}")
    entries = (await visit.api.get("/v1/audit", kind="rule", id=id_, outcome="done", limit=100))["items"]
    then = rule_words.version_at(rule, entries, int(number))
    patch = {name: then[name] for name in rule_words.FIELDS if then.get(name) != rule[name]}
    if not patch:
        return visit.see(f"/rules/{id_}", "It is so already.")
    await visit.api.patch(f"/v1/alert-rules/{part(id_)}", patch, tag=visit.form.get("tag", ""))
    back = msgspec.json.encode({name: rule[name] for name in patch}).decode()
    undo = Undo(f"/rules/{id_}/undo", {"patch": back}) if len(back) <= MOST_UNDO else None
    return visit.see(f"/rules/{id_}", f"It is as it was in version {number}.", undo=undo)


# What a page shows.


async def shown(visit: Visit, draft: Draft) -> Response:
    endpoints = list((await endpoints_named(visit, draft.fields.get("webhook_endpoint_ids", ()))).values())
    names = {one["id"]: one["name"] for one in endpoints}
    editable = visit.may("developer") and (draft.saved is None or is_mine(visit, draft.saved))
    problems, pane, wanted = dict(draft.problems), None, None
    try:
        body = rule_of(draft.fields, strict=False)
        pane = await pane_for(visit, draft, body, editable=editable)
        wanted = in_full(msgspec.convert(body, RuleIn))
    except Invalid as error:
        found = f"Found {error.found}; expected {error.expected}."
        problems = {place_of(error.field, draft.fields): found} | problems
    except Refused as refused:
        problems = problems_of(refused, draft.fields) | problems
    except msgspec.ValidationError:
        pass
    looks: list[Look] = []
    if editable and wanted is not None:
        looks = await looks_of(visit, endpoints, wanted, example_of(pane), draft.look)
    rule = draft.saved or wanted
    response = await visit.page(
        "pages/rule.html",
        f=Shown(draft.fields),
        rule=rule,
        saved=draft.saved,
        tag=draft.tag,
        conflict=draft.conflict,
        problems=problems,
        refused=next(iter(draft.problems.values()), ""),
        pane=pane,
        looks=looks,
        look=draft.look,
        last=draft.last,
        lasts=LASTS,
        endpoints=sorted(endpoints, key=lambda one: one["id"] not in draft.fields.get("webhook_endpoint_ids", ())),
        names=names,
        unknown=[id_ for id_ in draft.fields.get("webhook_endpoint_ids", ()) if id_ not in names],
        editable=editable,
        changes=rule_words.differences(as_written(draft.saved), wanted, names) if draft.saved and wanted else [],
        quiet=rule_words.quiet(rule) if rule else [],
        asks=rule_words.asks(rule) if rule else "",
        tells=rule_words.tells(rule, names) if rule else "",
        known=await known_of(visit) if editable else {},
        figures=await figures_of(visit, draft.saved) if draft.saved else None,
        starts=STARTS if draft.saved is None else (),
    )
    return with_frames(response)


async def pane_for(visit: Visit, draft: Draft, body: Json, *, editable: bool) -> Pane:
    """Switched on or not: what is asked is what it would do."""
    asked = body | {"is_active": True, "last": int(draft.last)}
    if draft.saved is None:
        found = await visit.api.look("/v1/alert-rules/preview", asked)
    else:
        path = f"/v1/alert-rules/{part(draft.saved['id'])}/preview"
        found = await visit.api.look(path, asked if editable else {"last": int(draft.last)})
    return pane_of(found, visit.app.clock_ms(), is_saved=draft.saved is not None)


def as_written(saved: Json) -> Json:
    """As the form would write it if nobody touched anything."""
    return in_full(msgspec.convert(rule_of(fields_of(saved)), RuleIn))


def example_of(pane: Pane | None) -> str:
    """The newest event that it would tell of, or at least matches."""
    lines = pane.lines if pane else ()
    told = [one for one in lines if one["notifies"] and not one["by_clock"]]
    rest = [one for one in lines if not one["by_clock"]]
    return next((one["event_id"] for one in told + rest), "")


class Shown:
    """Fields for a template: `f("name")` is text, `f.all("field")` all of them."""

    def __init__(self, fields: Fields) -> None:
        self.fields = fields

    def __call__(self, name: str, otherwise: str = "") -> str:
        found = self.fields.get(name)
        return found[-1] if found else otherwise

    def all(self, name: str) -> list[str]:
        return self.fields.get(name, [])

    def rows(self, *names: str) -> list[tuple[str, ...]]:
        """All that were sent, so that each keeps its number, without the empty ones at the end."""
        found = list(zip(*(self.fields.get(name, []) for name in names), strict=False))
        while found and not found[-1][0].strip() and not found[-1][-1].strip():
            found.pop()
        return found

    def any(self, *names: str) -> bool:
        return any(self(name).strip() for name in names)


async def known_of(visit: Visit) -> Json:
    """Names to choose from: those of the last events."""
    events = (await visit.api.get("/v1/events", limit=50))["items"]
    fields = {f"labels.{name}" for one in events for name in one["labels"]}
    fields |= {f"data.{name}" for one in events for name in one.get("data", {}) if name.isidentifier()}
    values = {one[name] for one in events for name in ("type", "pipeline") if one[name]}
    return {"fields": sorted(fields)[:60], "values": sorted(values)[:60]}


async def figures_of(visit: Visit, rule: Json) -> Json | None:
    """What came of it in the last days; None where it is not among the noisiest, which is nothing for most."""
    found = await visit.api.get("/v1/stats/rules", limit=100)
    return next((one for one in found["items"] if one["rule_id"] == rule["id"]), None)


def is_mine(visit: Visit, rule: Json) -> bool:
    """Whether they may change it: whoever made it, admins, and for a pipeline's all who see its endpoints."""
    by = visit.signed.principal
    return visit.may("developer") and (
        by.sees_all() or rule["created_by"] == by.who or rule["created_by"].startswith(MADE_FOR)
    )


PAGES = (
    Page("GET", "/rules/new", show_new, "developer"),
    Page("POST", "/rules/draft", show_draft, "developer"),
    Page("POST", "/rules", save, "developer"),
    Page("GET", "/rules/{id}", show),
    Page("POST", "/rules/{id}/undo", undo_save, "developer"),
    Page("POST", "/rules/{id}/test", send_test, "developer"),
    Page("GET", "/rules/{id}/yaml", show_yaml),
    Page("GET", "/rules/{id}/history", show_history, "admin"),
    Page("POST", "/rules/{id}/back", go_back, "admin"),
)
