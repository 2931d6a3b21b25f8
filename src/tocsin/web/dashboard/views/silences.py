"""Silences: what is kept back for a while."""

from typing import Any

import msgspec
from msgspec import Struct
from starlette.responses import Response

from tocsin.model.errors import Invalid
from tocsin.web.dashboard import silence_form as form
from tocsin.web.dashboard.api import Refused
from tocsin.web.dashboard.named import called, names_of
from tocsin.web.dashboard.rule_form import Fields, Form, mute_of
from tocsin.web.dashboard.views.rule_editor import Shown
from tocsin.web.dashboard.visit import Page, Undo, Visit
from tocsin.web.dashboard.wording import parsed, part, plural
from tocsin.web.routes import rfc3339

Json = dict[str, Any]

HOUR_S = 3600
MOST_UNDO = 1500
"""Bytes of a silence that a cookie may carry to bring it back."""


class Draft(Struct, frozen=True):
    """A silence in the form. `saved`: the one that is changed, with its `tag`."""

    fields: Fields
    saved: Json | None = None
    tag: str = ""
    problems: dict[str, str] = {}


async def show_list(visit: Visit) -> Response:
    ended = visit.query("status") == "ended"
    found = await visit.api.get(
        "/v1/silences", status="ended" if ended else "open", cursor=visit.query("cursor"), limit=50
    )
    now_ms = visit.app.clock_ms()
    people = await called(visit, (one["created_by"] for one in found["items"]))
    rows = [row_of(one, now_ms, people) for one in found["items"]]
    if not ended:
        rows.sort(key=lambda one: (one["order"], one["ends_at"] or "9"))
    return await visit.page("pages/silences.html", silences=rows, next=found["next"], ended=ended)


def row_of(silence: Json, now_ms: int, people: dict[str, str]) -> Json:
    """`left_s` of `whole_s`: how long it still lasts; None where it has no end."""
    starts_s = parsed(silence["starts_at"]).timestamp()
    ends_s = parsed(silence["ends_at"]).timestamp() if silence["ends_at"] else None
    order = {"active": 0, "pending": 2, "ended": 3}[silence["status"]]
    return silence | {
        "said": form.said(silence),
        "comes": form.comes(silence),
        "order": 1 if silence["hours"] and order == 0 else order,
        "whole_s": ends_s and max(1, round(ends_s - starts_s)),
        "left_s": ends_s and max(0, round(ends_s - max(now_ms / 1000, starts_s))),
        "by": people.get(silence["created_by"], ""),
        "command": form.command(silence),
    }


async def show_new(visit: Visit) -> Response:
    return await shown(visit, Draft(form.new_fields(dict(visit.request.query_params))))


async def show(visit: Visit) -> Response:
    saved, tag = await visit.api.tagged(f"/v1/silences/{part(visit.path('id'))}")
    return await shown(visit, Draft(form.fields_of(saved), saved, tag))


async def show_draft(visit: Visit) -> Response:
    return await shown(visit, await drafted(visit))


async def drafted(visit: Visit) -> Draft:
    saved, tag = None, visit.form.get("tag", "")
    if id_ := visit.form.get("id", ""):
        saved = await visit.api.get(f"/v1/silences/{part(id_)}")
    return Draft(visit.many, saved, tag)


async def save(visit: Visit) -> Response:
    draft, id_ = await drafted(visit), visit.form.get("id", "")
    try:
        body = form.silence_of(draft.fields)
        if id_:
            body.pop("starts_at", None)
            await visit.api.patch(f"/v1/silences/{part(id_)}", body, tag=draft.tag)
            return visit.see(f"/silences/{id_}", "Saved.")
        silence = await visit.api.post("/v1/silences", body)
    except Invalid as error:
        return await shown(visit, with_problem(draft, error.field, error.found, error.expected))
    except Refused as refused:
        if refused.field:
            return await shown(visit, with_problem(draft, refused.field, refused.found, refused.expected))
        if refused.status not in (409, 412):
            raise
        return await shown(visit, msgspec.structs.replace(draft, problems={"": refused.detail}))
    undo = Undo(f"/silences/{silence['id']}/end")
    return visit.see("/silences", f"Silenced: {form.said(silence)}.", undo=undo)


def with_problem(draft: Draft, field: str, found: str, expected: str) -> Draft:
    return msgspec.structs.replace(draft, problems={form.place_of(field): f"Found {found}; expected {expected}."})


async def end(visit: Visit) -> Response:
    """What is over cannot be taken up again, so Undo makes another that lasts as long as this one would have."""
    id_ = visit.path("id")
    silence = await visit.api.get(f"/v1/silences/{part(id_)}")
    if silence["status"] == "ended":
        return visit.see("/silences", "It is over already.")
    await visit.api.delete(f"/v1/silences/{part(id_)}")
    again = {name: silence[name] for name in ("matchers", "hours", "ends_at", "reason", "comment")}
    again |= {"starts_at": silence["starts_at"]} if silence["status"] == "pending" else {}
    body = msgspec.json.encode(again).decode()
    undo = Undo("/silences/again", {"silence": body}) if len(body) <= MOST_UNDO else None
    said = f"It is over: {form.said(silence)}. It kept back {plural(silence['hidden'], 'message')}."
    return visit.see("/silences", said, undo=undo)


async def again(visit: Visit) -> Response:
    try:
        body = msgspec.json.decode(visit.form.get("silence", ""), type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise Invalid("silence", "something else", "a JSON object") from None
    silence = await visit.api.post("/v1/silences", body)
    return visit.see("/silences", f"Silenced again: {form.said(silence)}.", undo=Undo(f"/silences/{silence['id']}/end"))


async def extend(visit: Visit) -> Response:
    """By an hour, or to the time that `ends_at` says."""
    id_ = visit.path("id")
    silence = await visit.api.get(f"/v1/silences/{part(id_)}")
    if silence["ends_at"] is None:
        raise Invalid("ends_at", "a silence without an end", "one that ends")
    later_ms = int(parsed(silence["ends_at"]).timestamp() * 1000) + HOUR_S * 1000
    ends_at = visit.form.get("ends_at") or rfc3339(later_ms) or ""
    after = await visit.api.patch(f"/v1/silences/{part(id_)}", {"ends_at": ends_at})
    undo = Undo(f"/silences/{id_}/extend", {"ends_at": silence["ends_at"]})
    return visit.see("/silences", f"It lasts until {after['ends_at'][:16].replace('T', ' ')} UTC.", undo=undo)


async def shown(visit: Visit, draft: Draft) -> Response:
    """`preview`: what it would have kept back in the last day; None where that cannot be said."""
    saved = draft.saved
    if saved:
        people = await called(visit, [saved["created_by"]])
        saved = row_of(saved, visit.app.clock_ms(), people)
    editable = visit.may("developer") and (saved is None or saved["status"] != "ended")
    problems, preview = dict(draft.problems), None
    if visit.may("developer"):
        try:
            if matchers := form.matchers_of(draft.fields, strict=False):
                asked = {"matchers": matchers, "hours": mute_of(Form(draft.fields))}
                preview = await visit.api.look("/v1/silences/preview", asked)
        except Invalid as error:
            problems |= with_problem(draft, error.field, error.found, error.expected).problems
        except Refused as refused:
            problems |= with_problem(draft, refused.field, refused.found, refused.expected).problems
    return await visit.page(
        "pages/silence.html",
        f=Shown(draft.fields),
        saved=saved,
        tag=draft.tag,
        editable=editable,
        problems=problems,
        refused=next(iter(draft.problems.values()), ""),
        preview=preview,
        names=await names_of(visit, preview["webhooks"]) if preview else {},
        command=command_of(draft),
        lasts=form.LASTS,
        fields=form.MATCHED,
    )


def command_of(draft: Draft) -> str:
    """What the command line would be for what the form says now; "" while it says nothing whole."""
    try:
        return form.command(form.silence_of(draft.fields))
    except Invalid:
        return ""


PAGES = (
    Page("GET", "/silences", show_list),
    Page("GET", "/silences/new", show_new, "developer"),
    Page("POST", "/silences/draft", show_draft, "developer"),
    Page("POST", "/silences/again", again, "developer"),
    Page("POST", "/silences", save, "developer"),
    Page("GET", "/silences/{id}", show),
    Page("POST", "/silences/{id}/end", end, "developer"),
    Page("POST", "/silences/{id}/extend", extend, "developer"),
)
