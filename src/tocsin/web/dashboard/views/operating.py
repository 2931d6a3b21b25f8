"""For whoever runs this Tocsin: tenants, and who has which feature."""

from typing import Any

from starlette.responses import Response

from tocsin.model.access import OPERATOR
from tocsin.model.limits import NAMES, SAID
from tocsin.web.dashboard.api import Refused
from tocsin.web.dashboard.views.settings import tabs_of
from tocsin.web.dashboard.visit import Page, Undo, Visit

TENANTS = "/settings/tenants"
FEATURES = "/settings/features"


async def features(visit: Visit) -> Response:
    return await features_page(visit)


async def features_page(visit: Visit, refused: Refused | None = None) -> Response:
    found, tag = await visit.api.tagged("/v1/rollout")
    return await visit.page(
        "pages/features.html",
        refused.status if refused else 200,
        tabs=tabs_of(visit),
        features=found["features"],
        tag=tag,
        refused=refused,
        given=visit.form,
    )


async def save_features(visit: Visit) -> Response:
    """What differs is sent, so that the trail names that alone."""
    known = (await visit.api.get("/v1/rollout"))["features"]
    wanted: dict[str, Any] = {}
    for feature, one in known.items():
        state = visit.form.get(f"state.{feature}", one["state"])
        named = visit.form.get(f"tenants.{feature}", " ".join(one["tenants"])).replace(",", " ").split()
        tenants = sorted(set(named)) if state == "tenants" else []
        if (state, tenants) != (one["state"], sorted(one["tenants"])):
            wanted[feature] = {"state": state, "tenants": tenants}
    if not wanted:
        return visit.see(FEATURES, "Nothing was changed.")
    try:
        await visit.api.put("/v1/rollout", {"features": wanted}, tag=visit.form.get("tag", ""))
    except Refused as refused:
        return await features_page(visit, refused)
    return visit.see(FEATURES, f"Changed: {', '.join(wanted)}.")


# Tenants.


async def tenants(visit: Visit) -> Response:
    return await tenants_page(visit)


async def tenants_page(visit: Visit, refused: Refused | None = None) -> Response:
    return await visit.page(
        "pages/tenants.html",
        refused.status if refused else 200,
        tabs=tabs_of(visit),
        found=await visit.api.get("/v1/tenants", limit=50, cursor=visit.query("cursor")),
        refused=refused,
        given=visit.form,
    )


async def make_tenant(visit: Visit) -> Response:
    form = visit.form
    body = {name: form.get(name, "").strip() for name in ("id", "name", "admin")}
    body["name"] = body["name"] or body["id"]
    try:
        made = await visit.api.post("/v1/tenants", body, key=form.get("once", ""))
    except Refused as refused:
        return await tenants_page(visit, refused)
    if not made["token"]:
        return visit.see(f"{TENANTS}/{made['id']}", f"The tenant {made['id']} is there.")
    return await visit.page(
        "pages/shown_once.html",
        back=(TENANTS, "Tenants"),
        about=f"The tenant {made['id']} is there.",
        what=f"A token of its first admin, {body['admin']}, shown this once",
        text="It holds for a day: hand it to them alone. With it they invite others, and make tokens that last.",
        until=None,
        value=made["token"],
    )


async def tenant(visit: Visit) -> Response:
    return await tenant_page(visit)


async def tenant_page(visit: Visit, refused: Refused | None = None) -> Response:
    id_ = visit.path("tenant")
    found, tag = await visit.api.tagged(f"/v1/tenants/{id_}")
    limits, limits_tag = await visit.api.tagged(f"/v1/tenants/{id_}/limits")
    return await visit.page(
        "pages/tenant.html",
        refused.status if refused else 200,
        tenant=found,
        tag=tag,
        limits=[(name, SAID.get(name, name.replace("_", " ")), limits["limits"][name]) for name in NAMES],
        own=limits["own"],
        limits_tag=limits_tag,
        refused=refused,
    )


async def change_tenant(visit: Visit) -> Response:
    """`what` is rename, limits, suspend, resume or delete."""
    id_, form = visit.path("tenant"), visit.form
    path, tag, what = f"/v1/tenants/{id_}", form.get("tag", ""), form.get("what", "")
    here = f"{TENANTS}/{id_}"
    try:
        if what == "rename":
            await visit.api.patch(path, {"name": form.get("name", "").strip()}, tag=tag)
            return visit.see(here, "Renamed.")
        if what == "limits":
            given = {name: form.get(f"limit.{name}", "").strip() for name in NAMES}
            body = {name: int(text) if text.isdecimal() else text for name, text in given.items() if text}
            await visit.api.put(f"{path}/limits", body, tag=tag)
            return visit.see(here, "The limits hold within two seconds.")
        if what == "suspend":
            await visit.api.post(f"{path}/suspend", tag=tag)
            undo = Undo(here, {"what": "resume"}, "Resume")
            return visit.see(here, "Suspended: its tokens are refused, and its messages wait.", undo=undo)
        if what == "resume":
            await visit.api.post(f"{path}/resume", tag=tag)
            return visit.see(here, "Resumed: what waited goes out.")
        if what == "delete":
            await visit.api.delete(path, tag=tag)
            return visit.see(TENANTS, f"The tenant {id_} is deleted, and its tokens ended.")
    except Refused as refused:
        return await tenant_page(visit, refused)
    return visit.see(here)


PAGES: tuple[Page, ...] = (
    Page("GET", FEATURES, features, OPERATOR),
    Page("POST", FEATURES, save_features, OPERATOR),
    Page("GET", TENANTS, tenants, OPERATOR),
    Page("POST", TENANTS, make_tenant, OPERATOR),
    Page("GET", f"{TENANTS}/{{tenant}}", tenant, OPERATOR),
    Page("POST", f"{TENANTS}/{{tenant}}", change_tenant, OPERATOR),
)
