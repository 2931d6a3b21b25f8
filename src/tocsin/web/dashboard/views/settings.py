"""The tenant and what it may, named secrets, and what the doctor finds."""

from typing import Any

from msgspec import Struct
from starlette.responses import Response

from tocsin import __version__
from tocsin.model.access import ANYBODY, OPERATOR
from tocsin.model.limits import SAID
from tocsin.web.dashboard.api import Refused
from tocsin.web.dashboard.named import called
from tocsin.web.dashboard.visit import Page, Visit

SECRETS = "/settings/secrets"


class Tab(Struct, frozen=True):
    path: str
    name: str
    role: str


TABS = (
    Tab("/settings", "General", ANYBODY),
    Tab(SECRETS, "Secrets", "admin"),
    Tab("/settings/checks", "Checks", OPERATOR),
    Tab("/settings/features", "Features", OPERATOR),
    Tab("/settings/tenants", "Tenants", OPERATOR),
)
RETENTION = (
    ("Events and deliveries", "retention_days"),
    ("Attempts, with what was sent and answered", "retention_attempt_days"),
    ("Dead letters", "retention_dead_days"),
    ("Runs", "retention_run_days"),
    ("Inboxes", "retention_inbox_days"),
    ("Audit", "retention_audit_days"),
)


def tabs_of(visit: Visit) -> list[Tab]:
    return [tab for tab in TABS if visit.may(tab.role)]


async def show(visit: Visit) -> Response:
    return await settings_page(visit)


async def settings_page(visit: Visit, refused: Refused | None = None) -> Response:
    own, tag = await visit.api.tagged("/v1/settings") if visit.may("viewer") else (None, "")
    limits = (await visit.api.get("/v1/limits"))["limits"] if visit.may("viewer") else {}
    settings = visit.app.settings
    return await visit.page(
        "pages/settings.html",
        refused.status if refused else 200,
        own=own,
        tag=tag,
        refused=refused,
        tabs=tabs_of(visit),
        limits=[(SAID.get(name, name.replace("_", " ")), one) for name, one in limits.items()],
        retention=[(said, getattr(settings, name)) for said, name in RETENTION],
        version=__version__,
        base=(settings.public_url or str(visit.request.base_url)).rstrip("/"),
    )


async def change(visit: Visit) -> Response:
    zone = visit.form.get("time_zone", "").strip()
    try:
        await visit.api.patch("/v1/settings", {"time_zone": zone}, tag=visit.form.get("tag", ""))
    except Refused as refused:
        return await settings_page(visit, refused)
    return visit.see("/settings", f"The tenant’s time zone is {zone}.")


async def checks(visit: Visit) -> Response:
    return await visit.page("pages/checks.html", tabs=tabs_of(visit), found=await visit.api.get("/v1/doctor"))


# Secrets: their values are never shown, but for whoever asks for one, which is written down.


async def secrets(visit: Visit) -> Response:
    return await secrets_page(visit)


async def secrets_page(visit: Visit, refused: Refused | None = None) -> Response:
    return await visit.page(
        "pages/secrets.html",
        refused.status if refused else 200,
        tabs=tabs_of(visit),
        found=await visit.api.get("/v1/secrets", limit=100, cursor=visit.query("cursor")),
        refused=refused,
        given=visit.form,
    )


async def add_secret(visit: Visit) -> Response:
    body = {name: visit.form.get(name, "") for name in ("name", "value", "description", "usable_by")}
    try:
        await visit.api.post("/v1/secrets", body)
    except Refused as refused:
        return await secrets_page(visit, refused)
    return visit.see(SECRETS, f"Kept. An endpoint refers to it as secret:{body['name']}.")


async def secret(visit: Visit) -> Response:
    return await secret_page(visit)


async def secret_page(visit: Visit, refused: Refused | None = None, value: str | None = None) -> Response:
    found, tag = await visit.api.tagged(f"/v1/secrets/{visit.path('name')}")
    return await visit.page(
        "pages/secret.html",
        refused.status if refused else 200,
        secret=found,
        people=await called(visit, (found["created_by"], found["updated_by"])),
        tag=tag,
        refused=refused,
        value=value,
    )


async def change_secret(visit: Visit) -> Response:
    form, name = visit.form, visit.path("name")
    body: dict[str, Any] = {field: form[field] for field in ("description", "usable_by") if field in form}
    if form.get("value"):
        body["value"] = form["value"]
    try:
        await visit.api.put(f"/v1/secrets/{name}", body, tag=form.get("tag", ""))
    except Refused as refused:
        return await secret_page(visit, refused)
    said = f"{name} has a new value: every endpoint that refers to it uses it from now on." if "value" in body else ""
    return visit.see(f"{SECRETS}/{name}", said or "Saved.")


async def reveal_secret(visit: Visit) -> Response:
    found = await visit.api.post(f"/v1/secrets/{visit.path('name')}/reveal")
    return await secret_page(visit, value=found["value"])


async def delete_secret(visit: Visit) -> Response:
    name = visit.path("name")
    try:
        await visit.api.delete(f"/v1/secrets/{name}", tag=visit.form.get("tag", ""))
    except Refused as refused:
        return await secret_page(visit, refused)
    return visit.see(SECRETS, f"{name} is gone.")


PAGES: tuple[Page, ...] = (
    Page("GET", "/settings", show, ANYBODY),
    Page("POST", "/settings", change, "admin"),
    Page("GET", "/settings/checks", checks, OPERATOR),
    Page("GET", SECRETS, secrets, "admin"),
    Page("POST", SECRETS, add_secret, "admin"),
    Page("GET", f"{SECRETS}/{{name}}", secret, "admin"),
    Page("POST", f"{SECRETS}/{{name}}", change_secret, "admin"),
    Page("POST", f"{SECRETS}/{{name}}/reveal", reveal_secret, "admin"),
    Page("POST", f"{SECRETS}/{{name}}/delete", delete_secret, "admin"),
)
