"""Whose is what: everybody sees and changes their own webhooks and what goes to them, admins all of the tenant's.

A webhook with a `user_id` is that user's. One without is the tenant's (of the environment, or made by a service):
everybody sees it, and admins change it, and the service that made it. What one does not see is as if it did not exist.
"""

from collections.abc import Iterable

from tocsin.model.endpoint import Endpoint
from tocsin.model.errors import Forbidden, NotFound
from tocsin.model.rule import Rule
from tocsin.rules.index import OF_ENDPOINT
from tocsin.rules.preferring import OF_PREFERENCES
from tocsin.store import config
from tocsin.store.database import Reader
from tocsin.web.auth import Principal
from tocsin.web.routes import Call

MADE_FOR = "pipeline:"
"""`created_by` of a rule that was set for a pipeline is this and the pipeline's name."""

NOT_YOURS = "a webhook of somebody else"


def seen_by(by: Principal) -> dict[str, str]:
    """The filter for queries of webhooks and deliveries: what the caller sees."""
    return {} if by.sees_all() else {"seen_by": by.user_id}


def owned_by(by: Principal) -> dict[str, str]:
    """The same: what the caller may change."""
    return {} if by.sees_all() else {"owned_by": by.who}


def owns(by: Principal, endpoint: Endpoint) -> bool:
    return by.sees_all() or by.who == (endpoint.user_id or endpoint.created_by)


async def own(
    call: Call, id_: str, db: Reader | None = None, *, to_change: bool = False, deleted: bool = False
) -> Endpoint:
    """The endpoint, if the caller sees it. Raises NotFound, and Forbidden where it is not the caller's `to_change`."""
    by = call.by
    endpoint = await config.get_endpoint(db or call.app.db, call.tenant_id, id_, deleted=deleted)
    if not by.sees_all() and endpoint.user_id not in ("", by.user_id):
        raise NotFound("No such webhook.")
    if to_change and not owns(by, endpoint):
        raise Forbidden("This webhook is the tenant's: only an admin may change it or what goes there.")
    return endpoint


async def hidden_endpoints(call: Call, db: Reader | None = None) -> frozenset[str]:
    """The ids of those that the caller does not see, deleted ones too."""
    if call.by.sees_all():
        return frozenset()
    values = {"tenant_id": call.tenant_id, "seen_by": call.by.user_id}
    found = await (db or call.app.db).read("hidden_endpoints", values)
    return frozenset(row[0] for row in found)


def is_hidden_rule(call: Call, rule_id: str, hidden: Iterable[str]) -> bool:
    """Whether a rule stands for a webhook, or for preferences, that the caller does not see: their names tell whose."""
    if call.by.sees_all():
        return False
    kind, _, rest = rule_id.partition(":")
    if kind == OF_ENDPOINT:
        return rest in hidden
    if kind == OF_PREFERENCES:
        place, _, _ = rest.rpartition(":")
        return place in hidden if place.startswith("whk_") else place != call.by.who
    return False


def may_change(by: Principal, rule: Rule, hidden: frozenset[str]) -> bool:
    """A rule is changed by whoever made it, and by admins; one that was set for a pipeline by all who see its
    webhooks."""
    if by.sees_all() or rule.created_by == by.who:
        return True
    return rule.created_by.startswith(MADE_FOR) and not hidden.intersection(rule.endpoint_ids)


async def check_may_change(call: Call, rule: Rule, db: Reader) -> None:
    """Raises Forbidden."""
    if not may_change(call.by, rule, await hidden_endpoints(call, db)):
        raise Forbidden("Somebody else made this rule: only they and admins may change it.")
