"""Sources: where events come from, and how to connect each."""

from typing import Any

import msgspec
from starlette.responses import Response

from tocsin.model.errors import Invalid, NotFound, Refusal
from tocsin.web.dashboard.named import maker
from tocsin.web.dashboard.quickstarts import BY_KEY, GROUPS, QUICKSTARTS, Quickstart, of_kind
from tocsin.web.dashboard.views.endpoint_new import Check, problem
from tocsin.web.dashboard.views.endpoints import Json
from tocsin.web.dashboard.visit import Page, Undo, Visit

REFUSED_SHOWN = 10


async def all_sources(visit: Visit) -> list[Json]:
    """The first hundred."""
    found: list[Json] = (await visit.api.get("/v1/sources", limit=100))["items"]
    return found


async def show_list(visit: Visit) -> Response:
    wanted = visit.query("q").strip().lower()
    cards = [one for one in QUICKSTARTS if all(word in f"{one.name} {one.about}".lower() for word in wanted.split())]
    refused = []
    if visit.may("developer"):
        refused = (await visit.api.get("/v1/bus/refused", limit=REFUSED_SHOWN))["items"]
    rows = [one | {"quickstart": of_kind(one["kind"])} for one in await all_sources(visit)]
    return await visit.page(
        "pages/sources.html",
        rows=rows,
        groups=[(group, [one for one in cards if one.group == group]) for group in GROUPS],
        found=bool(cards),
        refused=refused,
        newest=await newest_event(visit),
    )


async def newest_event(visit: Visit) -> Json | None:
    found = (await visit.api.get("/v1/events", limit=1))["items"]
    return found[0] if found else None


def own_url(visit: Visit) -> str:
    """Where this Tocsin is, as whoever looks reaches it."""
    url = visit.request.url
    return (visit.app.settings.public_url or f"{url.scheme}://{url.netloc}").rstrip("/")


def quickstart_of(visit: Visit) -> Quickstart:
    key = visit.path("key")
    if key not in BY_KEY:
        raise NotFound("There is no such way to connect something.")
    return BY_KEY[key]


async def connect_page(
    visit: Visit,
    one: Quickstart,
    http_status: int = 200,
    *,
    made: Json | None = None,
    check: Check | None = None,
    previewed: Json | None = None,
    unread: str = "",
) -> Response:
    """`made`: the source that was made now, with its address, which is shown this once. `unread`: what is wrong with
    what was pasted to be tried."""
    theirs = [source for source in await all_sources(visit) if source["kind"] == one.kind] if one.own else []
    return await visit.page(
        "pages/source_connect.html",
        http_status,
        one=one,
        url=own_url(visit),
        made=made,
        latest=max(theirs, key=lambda source: str(source["id"]), default=None),
        newest=None if one.own else await newest_event(visit),
        values=visit.form,
        settings=visit.form.get("settings", written(one.settings)),
        check=check or Check(),
        previewed=previewed,
        unread=unread,
    )


def written(settings: Any) -> str:
    return "" if settings is None else msgspec.json.format(msgspec.json.encode(settings), indent=2).decode()


def parsed_json(field: str, text: str) -> Any:
    """Raises Invalid."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid(field, f"malformed JSON ({error})"[:160], "JSON") from None


def settings_in(visit: Visit) -> Json:
    """Raises Invalid."""
    text = visit.form.get("settings", "").strip()
    found = parsed_json("settings", text) if text else {}
    if not isinstance(found, dict):
        raise Invalid("settings", "something else", "a JSON object")
    return found


async def show_connect(visit: Visit) -> Response:
    return await connect_page(visit, quickstart_of(visit))


async def connect(visit: Visit) -> Response:
    """Makes the address; it is in this answer, this once."""
    one = quickstart_of(visit)
    if not one.own:
        raise Invalid("kind", one.name, "something that gets an address of its own")
    try:
        body = {
            "kind": one.kind,
            "name": visit.form.get("name", "").strip() or one.name,
            "settings": settings_in(visit),
            "secret": visit.form.get("secret", ""),
        }
        made = await visit.api.post("/v1/sources", body, key=visit.once(body))
    except Refusal as refusal:
        return await connect_page(visit, one, 422, check=problem(refusal))
    return await connect_page(visit, one, made=made)


async def preview(visit: Visit) -> Response:
    """What a pasted request would become; nothing is kept."""
    one = quickstart_of(visit)
    try:
        previewed = await previewed_by(visit, one.kind, settings_in(visit))
    except Refusal as refusal:
        return await connect_page(visit, one, unread=problem(refusal).words)
    return await connect_page(visit, one, previewed=previewed)


async def previewed_by(visit: Visit, kind: str, settings: Json) -> Json:
    headers = dict(line.split(":", 1) for line in visit.form.get("headers", "").splitlines() if ":" in line)
    body = {
        "kind": kind,
        "body": parsed_json("body", visit.form.get("body", "")),
        "headers": {name.strip(): value.strip() for name, value in headers.items()},
        "settings": settings,
    }
    found: Json = await visit.api.look("/v1/sources/preview", body)
    return found


# One that somebody set up.


async def show(visit: Visit) -> Response:
    source, tag = await visit.api.tagged(f"/v1/sources/{visit.path('id')}")
    return await source_page(visit, source, tag)


async def source_page(
    visit: Visit,
    source: Json,
    tag: str,
    http_status: int = 200,
    *,
    check: Check | None = None,
    previewed: Json | None = None,
    unread: str = "",
) -> Response:
    return await visit.page(
        "pages/source.html",
        http_status,
        source=source,
        maker=await maker(visit, source["created_by"]),
        tag=tag,
        quickstart=of_kind(source["kind"]),
        url=own_url(visit),
        values=visit.form,
        settings=visit.form.get("settings", written(source["settings"]) if source["settings"] else ""),
        check=check or Check(),
        previewed=previewed,
        unread=unread,
    )


async def change(visit: Visit) -> Response:
    source, tag = await visit.api.tagged(f"/v1/sources/{visit.path('id')}")
    try:
        body: Json = {"name": visit.form.get("name", "").strip(), "settings": settings_in(visit)}
        if visit.form.get("secret"):
            body["secret"] = visit.form["secret"]
        await visit.api.patch(f"/v1/sources/{source['id']}", body, tag=visit.form.get("tag", ""))
    except Refusal as refusal:
        changed = refusal.status == 412
        words = (
            Check("bad", "Somebody changed it while you did: look, and save again.") if changed else problem(refusal)
        )
        return await source_page(visit, source, tag, 422, check=words)
    return visit.see(f"/sources/{source['id']}", "Saved.")


async def switch(visit: Visit) -> Response:
    id_, on = visit.path("id"), visit.form.get("on") == "yes"
    source = await visit.api.patch(f"/v1/sources/{id_}", {"is_active": on})
    said = f"{source['name']} is switched {'on' if on else 'off: what it sends is refused'}."
    return visit.see(f"/sources/{id_}", said, undo=Undo(f"/sources/{id_}/switch", {"on": "" if on else "yes"}))


async def rotate(visit: Visit) -> Response:
    """The new address is in this answer, this once."""
    source = await visit.api.post(f"/v1/sources/{visit.path('id')}/rotate")
    return await visit.page(
        "pages/source_address.html", source=source, quickstart=of_kind(source["kind"]), url=own_url(visit)
    )


async def delete(visit: Visit) -> Response:
    source = await visit.api.get(f"/v1/sources/{visit.path('id')}")
    await visit.api.delete(f"/v1/sources/{source['id']}")
    return visit.see("/sources", f"{source['name']} is deleted; its address has ended.")


async def preview_saved(visit: Visit) -> Response:
    source, tag = await visit.api.tagged(f"/v1/sources/{visit.path('id')}")
    try:
        previewed = await previewed_by(visit, source["kind"], source["settings"])
    except Refusal as refusal:
        return await source_page(visit, source, tag, unread=problem(refusal).words)
    return await source_page(visit, source, tag, previewed=previewed)


ONE = "/sources/{id}"
PAGES: tuple[Page, ...] = (
    Page("GET", "/sources", show_list),
    Page("GET", "/sources/connect/{key}", show_connect),
    Page("POST", "/sources/connect/{key}", connect, "developer"),
    Page("POST", "/sources/connect/{key}/preview", preview, "developer"),
    Page("GET", ONE, show),
    Page("POST", ONE, change, "developer"),
    Page("POST", f"{ONE}/switch", switch, "developer"),
    Page("POST", f"{ONE}/rotate", rotate, "developer"),
    Page("POST", f"{ONE}/delete", delete, "developer"),
    Page("POST", f"{ONE}/preview", preview_saved, "developer"),
)
