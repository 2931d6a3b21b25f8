"""Deliveries: the log, and one with its attempts."""

from starlette.responses import Response

from tocsin.web.dashboard.visit import Page, Visit

TABS = (
    ("", "All"),
    ("dead", "Dead letters"),
    ("retrying", "Retrying"),
    ("delivered", "Delivered"),
    ("suppressed", "Held back"),
)


async def show_list(visit: Visit) -> Response:
    status, webhook_id, rule_id = visit.query("status"), visit.query("webhook_id"), visit.query("rule_id")
    found = await visit.api.get(
        "/v1/deliveries",
        status=status,
        webhook_id=webhook_id,
        rule_id=rule_id,
        event_type=visit.query("event_type"),
        cursor=visit.query("cursor"),
        limit=50,
    )
    endpoints = (await visit.api.get("/v1/webhooks", limit=100))["items"]
    return await visit.page(
        "pages/deliveries.html",
        found=found,
        tabs=TABS,
        status=status,
        endpoints=endpoints,
        names={one["id"]: one["name"] for one in endpoints},
    )


async def show(visit: Visit) -> Response:
    delivery = await visit.api.get(f"/v1/deliveries/{visit.path('id')}")
    return await visit.page("pages/delivery.html", delivery=delivery)


async def replay(visit: Visit) -> Response:
    id_ = visit.path("id")
    await visit.api.post(f"/v1/deliveries/{id_}/replay")
    return visit.see(visit.form.get("next", "") or f"/deliveries/{id_}", "It is sent again.")


async def cancel(visit: Visit) -> Response:
    id_ = visit.path("id")
    await visit.api.post(f"/v1/deliveries/{id_}/cancel")
    return visit.see(f"/deliveries/{id_}", "It is not sent.")


PAGES = (
    Page("GET", "/deliveries", show_list),
    Page("GET", "/deliveries/{id}", show),
    Page("POST", "/deliveries/{id}/replay", replay, "developer"),
    Page("POST", "/deliveries/{id}/cancel", cancel, "developer"),
)
