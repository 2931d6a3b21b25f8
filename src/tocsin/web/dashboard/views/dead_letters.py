"""What could not be delivered, by endpoint and reason: sent again, or discarded, a group at a time."""

from typing import Any

from starlette.responses import Response

from tocsin.web.dashboard.advice import advice
from tocsin.web.dashboard.filters import written
from tocsin.web.dashboard.kinds import speaker
from tocsin.web.dashboard.ownership import changeable
from tocsin.web.dashboard.visit import Page, Visit
from tocsin.web.dashboard.wording import query


async def show(visit: Visit) -> Response:
    found = await visit.api.get("/v1/stats/dead-letters")
    groups = [shown(one) for one in found["items"]]
    mine = await changeable(visit, (one["webhook_id"] for one in groups))
    return await visit.page("pages/dead_letters.html", found=found, groups=groups, mine=mine)


def shown(group: dict[str, Any]) -> dict[str, Any]:
    """The group with what it means, and the filter that chooses it, of all time."""
    words = {"status": "dead", "endpoint": group["webhook_id"]}
    whole = {"q": written(words | ({"reason": group["reason"]} if group["reason"] else {})), "since": "all"}
    told = advice(speaker(group["provider_type"]), group["reason"].rstrip("*"))
    return group | {
        "told": told,
        "said": group["reason"].replace("*", " …"),
        "list": f"/deliveries{query(whole)}",
        "replay": f"/deliveries/change{query(whole | {'do': 'replay', 'back': '/dead-letters'})}",
        "discard": f"/deliveries/change{query(whole | {'do': 'discard', 'back': '/dead-letters'})}",
    }


PAGES: tuple[Page, ...] = (Page("GET", "/dead-letters", show),)
