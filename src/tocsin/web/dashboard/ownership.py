"""Whose endpoints are whose, for what pages offer: as web/ownership.py says it."""

from collections.abc import Iterable
from typing import Any

from tocsin.web.dashboard.named import by_ids
from tocsin.web.dashboard.visit import Visit


def may_change(visit: Visit, endpoint: dict[str, Any]) -> bool:
    """Whether they may change it, and what goes there."""
    by = visit.signed.principal
    return visit.may("developer") and (by.sees_all() or by.who == (endpoint["user_id"] or endpoint["created_by"]))


async def changeable(visit: Visit, ids: Iterable[str]) -> frozenset[str]:
    """Which of these endpoints they may change; only who does not see all of them has to look, at the first 200."""
    wanted = frozenset(ids)
    if not wanted or not visit.may("developer"):
        return frozenset()
    if visit.signed.principal.sees_all():
        return wanted
    found = await by_ids(visit, "/v1/webhooks/names", wanted)
    return frozenset(one["id"] for one in found if may_change(visit, one))
