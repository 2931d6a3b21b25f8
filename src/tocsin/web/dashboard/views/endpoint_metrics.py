"""An endpoint's numbers: what became of its deliveries, and how long its receiver takes."""

from starlette.responses import Response

from tocsin.web.dashboard.charts import Bars, stacked
from tocsin.web.dashboard.views.endpoint_page import asked, page_of
from tocsin.web.dashboard.views.endpoints import Json
from tocsin.web.dashboard.visit import Page, Visit
from tocsin.web.dashboard.wording import NOW, parsed, plural, tick

SPANS = ((1, "1 h"), (6, "6 h"), (24, "24 h"), (168, "7 days"))


async def show(visit: Visit) -> Response:
    endpoint = await asked(visit)
    wanted = visit.query("hours")
    hours = int(wanted) if wanted in {str(hours) for hours, _ in SPANS} else 24
    stats = await visit.api.get("/v1/stats/deliveries", hours=hours, webhook_id=endpoint["id"])
    latency = await visit.api.get(f"/v1/webhooks/{endpoint['id']}/latency", hours=hours)
    return await page_of(
        visit, "metrics", endpoint, stats=stats, latency=latency, bars=bars_of(stats), hours=hours, spans=SPANS
    )


def bars_of(stats: Json) -> Bars:
    bins = [
        (
            f"{parsed(one['at']):%d %b %H:%M} UTC",
            tuple(
                (tone, one["ends"][name])
                for tone, name in (("ok", "delivered"), ("warn", "waiting"), ("bad", "failed"), ("mute", "suppressed"))
            ),
        )
        for one in stats["buckets"]
    ]
    starts = [one["at"] for one in stats["buckets"]]
    labels = [tick(at, "both") for at in starts[:: max(1, len(starts) // 6)]]
    totals = stats["totals"]
    said = (
        f"Deliveries over time: {plural(totals['delivered'], 'message')} delivered, {totals['waiting']} on their way, "
        f"{totals['failed']} failed, {totals['suppressed']} held back."
    )
    return stacked(bins, [*labels, NOW], said)


PAGES = (Page("GET", "/endpoints/{id}/metrics", show),)
