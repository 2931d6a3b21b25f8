"""What needs somebody: the numbers in the navigation, and dead letters by their reason."""

from collections.abc import Iterable
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response

from tocsin.store import stats
from tocsin.store.stats import DeadGroup
from tocsin.web.ownership import seen_by
from tocsin.web.replies import sees_words, status_alone
from tocsin.web.routes import Call, Route, reply, rfc3339

MOST_REASONS = 5
"""Reasons of one endpoint that begin alike and are told apart; more are one group, that of how they begin."""


class AttentionOut(Struct, frozen=True):
    """Each up to 1,000. `dead`: dead letters. `failing`: endpoints that Tocsin switched off, or whose last deliveries
    failed. `silences` that are active. `unread`: messages in one's own inbox. `next_retry_at`: when the first of those
    that are retrying is tried again."""

    retrying: int
    dead: int
    failing: int
    silences: int
    unread: int
    next_retry_at: str | None


class DeadGroupOut(Struct, frozen=True):
    """Dead letters of one endpoint with one reason. A `reason` that ends with `*` stands for all that begin so.
    `is_well`: something got there since the newest of them was made; `is_there`: it is not deleted and is on."""

    webhook_id: str
    webhook_name: str
    provider_type: str
    reason: str
    count: int
    oldest_at: str | None
    newest_at: str | None
    newest_id: str
    is_there: bool
    is_well: bool


class DeadGroupsOut(Struct, frozen=True):
    """The largest first. `count`: in all; the newest 10,000 are looked at, and `more` says that there are others."""

    count: int
    more: bool
    items: tuple[DeadGroupOut, ...]


async def attention(call: Call) -> Response:
    app, scope = call.app, seen_by(call.by)
    found = await stats.attention(app.db, call.tenant_id, scope, call.by.user_id, app.clock_ms())
    next_ms = await stats.next_retry_ms(app.db, call.tenant_id, scope) if found.retrying else None
    return reply(
        AttentionOut(found.retrying, found.dead, found.failing, found.silences, found.unread, rfc3339(next_ms))
    )


def beginning(reason: str) -> str:
    """`HTTP 500: connection 7f3a…` begins with `HTTP 500`, `Slack says no` with all of it."""
    return status_alone(reason)


def together(groups: Iterable[DeadGroup], *, words: bool) -> list[DeadGroup]:
    """Groups of the same endpoint that say the same; those that say much the same in many words are one."""
    in_order = sorted(groups, key=lambda one: (one.endpoint_id, beginning(one.reason)))
    found = []
    for (_, begins), alike in groupby(in_order, key=lambda one: (one.endpoint_id, beginning(one.reason))):
        theirs = list(alike)
        if words and len(theirs) <= MOST_REASONS:
            found += theirs
            continue
        newest = max(theirs, key=lambda one: one.newest_id)
        found.append(
            replace(
                newest,
                reason=begins if len(theirs) == 1 and theirs[0].reason == begins else f"{begins}*",
                count=sum(one.count for one in theirs),
                oldest_ms=min(one.oldest_ms for one in theirs),
                newest_ms=max(one.newest_ms for one in theirs),
            )
        )
    return sorted(found, key=lambda one: (-one.count, one.newest_id))


async def dead_letters(call: Call) -> Response:
    app = call.app
    groups = await stats.dead_groups(app.db, call.tenant_id, seen_by(call.by))
    found = together(groups, words=sees_words(call.by))
    ids = sorted({one.endpoint_id for one in found})
    known = {one.id: one for one in await stats.endpoint_states(app.db, call.tenant_id, len(ids), {}, ids)}
    well = await stats.last_delivered(app.db, call.tenant_id, ids)
    items = []
    for one in found:
        state = known.get(one.endpoint_id)
        items.append(
            DeadGroupOut(
                webhook_id=one.endpoint_id,
                webhook_name=state.name if state else "",
                provider_type=one.provider_type,
                reason=one.reason,
                count=one.count,
                oldest_at=rfc3339(one.oldest_ms),
                newest_at=rfc3339(one.newest_ms),
                newest_id=one.newest_id,
                is_there=state is not None and state.is_active and not state.disabled_reason,
                is_well=well.get(one.endpoint_id, 0) > one.newest_ms,
            )
        )
    count = sum(one.count for one in found)
    return reply(DeadGroupsOut(count, sum(one.count for one in groups) >= stats.NEWEST_DEAD, tuple(items)))


ROUTES = (
    Route(
        method="GET",
        path="/v1/stats/attention",
        handler=attention,
        summary="How much there is that needs somebody",
        role="viewer",
        answer=AttentionOut,
    ),
    Route(
        method="GET",
        path="/v1/stats/dead-letters",
        handler=dead_letters,
        summary="Dead letters by endpoint and reason",
        role="viewer",
        answer=DeadGroupsOut,
    ),
)
