"""The queue: claims with a lease, results, and what they do to their endpoints."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from tocsin.model.delivery import Alike, Attempt, Company, Delivery, Words
from tocsin.model.event import Event
from tocsin.model.rule import RetryPolicy
from tocsin.model.run import Run
from tocsin.store import rows
from tocsin.store.database import Row, Transaction


class Ready(msgspec.Struct, frozen=True):
    """An endpoint at which something is due; locked until the claiming transaction ends."""

    endpoint_id: str
    tenant_id: str
    paused_until_ms: int
    bucket_us: int
    provider_type: str
    settings: str
    version: int
    is_open: bool


class Taken(msgspec.Struct, frozen=True):
    """A claimed row."""

    delivery: Delivery
    policy: RetryPolicy
    plain: bool


class Requeue(msgspec.Struct, frozen=True):
    """What a claim leaves behind for its endpoint."""

    endpoint_id: str
    bucket_us: int
    is_open: bool
    not_before_ms: int


class Result(msgspec.Struct, frozen=True, gc=False):
    """A finished attempt, as it is written. `lease` is the one it was claimed with."""

    attempt: Attempt
    lease: str
    status: str
    reason: str
    failures: int
    plain: bool
    due_ms: int
    delivered_ms: int | None
    was_tried: bool = True


async def ready(tx: Transaction, now_ms: int, limit: int) -> list[Ready]:
    found = await tx.fetch("ready_endpoints", {"now": now_ms, "limit": limit})
    return [as_ready(*row) for row in found]


def as_ready(
    endpoint_id: str,
    tenant_id: str,
    paused_until_ms: int,
    bucket_us: int,
    provider_type: str,
    settings: str,
    version: int,
    is_open: int,
) -> Ready:
    return Ready(endpoint_id, tenant_id, paused_until_ms, bucket_us, provider_type, settings, version, bool(is_open))


async def claim(
    tx: Transaction, wanted: Mapping[str, int], now_ms: int, lease: str, lease_until_ms: int
) -> list[Taken]:
    """Up to so many due deliveries of each endpoint: first attempts, then, where there is room left, retries. One that
    cannot be read is dead, and says so."""
    order = sorted(wanted)
    first = await tx.fetch_many("claim_first", [(lease, lease_until_ms, e, now_ms, wanted[e]) for e in order])
    left = dict(wanted)
    for row in first:
        left[row[3]] -= 1
    retries = await tx.fetch_many(
        "claim_retries", [(lease, lease_until_ms, e, now_ms, left[e]) for e in order if left[e] > 0]
    )
    taken: list[Taken] = []
    unreadable: list[Row] = []
    for row in (*first, *retries):
        try:
            taken.append(Taken(rows.delivery(row), rows.retry_policy(row[10]), bool(row[9])))
        except rows.UNREADABLE as error:
            unreadable.append((f"what is stored of it cannot be read: {error}", now_ms, *row[:2]))
    if unreadable:
        await tx.run_many("bury_deliveries", unreadable)
    return taken


async def requeue(tx: Transaction, endpoints: Iterable[Requeue]) -> None:
    await tx.run_many(
        "requeue_endpoints", [(e.bucket_us, int(e.is_open), e.not_before_ms, e.endpoint_id) for e in endpoints]
    )


async def events(tx: Transaction, wanted: Iterable[tuple[str, str]]) -> dict[str, Event]:
    """By (tenant, uid)."""
    found = await tx.fetch_many("events_of", sorted(set(wanted)))
    return {event.uid: event for event in rows.readable(rows.event, found)}


async def runs(tx: Transaction, keys: Iterable[tuple[str, str, str, int]]) -> list[Run]:
    """The runs as they stand now: of each (tenant, pipeline, run id, attempt) that attempt, and the newest."""
    asked = sorted(set(keys))
    return list(rows.readable(rows.run, await tx.fetch_many("runs_of", asked))) if asked else []


async def companies(tx: Transaction, heads: Iterable[tuple[str, str]]) -> dict[str, Company]:
    """By (delivery, tenant): what joined this delivery's message, without the events. Of more than 2,000 lines the
    newest."""
    asked = sorted(heads)
    alike: dict[str, list[Alike]] = {}
    counts: dict[str, int] = {}
    ids: dict[str, list[str]] = {}
    for head, *columns, count in await tx.fetch_many("folded_alike", asked):
        alike.setdefault(head, []).append(Alike(*columns))
        counts[head] = count
    for head, id_ in await tx.fetch_many("folded_ids", asked) if alike else ():
        ids.setdefault(head, []).append(id_)
    return {head: Company(counts[head], tuple(found), tuple(ids.get(head, ()))) for head, found in alike.items()}


async def events_as_told(tx: Transaction, deliveries: Iterable[tuple[str, str]]) -> dict[str, tuple[Event, Words]]:
    """By (tenant, delivery): the events, with what planning said to their messages."""
    found = await tx.fetch_many("folded_events", sorted(deliveries))
    return {id_: (rows.event(tuple(columns)), rows.words_of(words)) for id_, words, *columns in found}


async def finish(tx: Transaction, results: Sequence[Result], now_ms: int) -> set[str]:
    """Writes the results whose lease still holds; returns their delivery ids. The others were somebody else's."""
    kept = await tx.fetch_many(
        "finish_deliveries",
        [
            (r.status, r.reason, r.attempt.number, r.failures, int(r.plain), r.due_ms, r.attempt.http_status)
            + (r.attempt.error, now_ms, r.delivered_ms, r.attempt.tenant_id, r.attempt.delivery_id, r.lease)
            for r in results
        ],
    )
    ids = {row[0] for row in kept}
    attempts = [r.attempt for r in results if r.was_tried and r.attempt.delivery_id in ids]
    await tx.run_many(
        "insert_attempts",
        [
            (a.tenant_id, a.delivery_id, a.number, a.endpoint_id, a.started_ms, a.duration_ms, a.outcome, a.http_status)
            + (a.error, a.response_body, a.request_body)
            for a in attempts
        ],
    )
    return ids


async def release(tx: Transaction, held: Sequence[tuple[str, str, str, int]]) -> None:
    """Hands back (tenant, delivery, lease, due again) without an attempt, and has somebody look at them when due."""
    released = await tx.fetch_many("release_deliveries", [(due_ms, t, d, lease) for t, d, lease, due_ms in held])
    soonest = min((due_ms for *_, due_ms in held), default=0)
    await tx.run_many(
        "wake_endpoints", [(soonest, endpoint_id) for endpoint_id in sorted({row[0] for row in released})]
    )


async def succeeded(tx: Transaction, endpoint_ids: Iterable[str], now_ms: int) -> None:
    await tx.run_many("note_success", [(now_ms, endpoint_id) for endpoint_id in sorted(endpoint_ids)])


async def failed(tx: Transaction, failures: Mapping[str, tuple[int, str]]) -> list[tuple[str, str, int]]:
    """By endpoint: how many more failures, and the last error. Returns (tenant, endpoint, failures in a row)."""
    found = await tx.fetch_many("note_failure", [(count, error, e) for e, (count, error) in sorted(failures.items())])
    return [(tenant_id, endpoint_id, count) for tenant_id, endpoint_id, count in found]


async def hold_tenants(tx: Transaction, failures: Mapping[str, int], most: int) -> None:
    """By endpoint, how many failures more. Whose webhooks they may switch off, nobody else changes until the end of the
    transaction: call it before anything is written in it."""
    await tx.fetch_many("hold_tenants", [(endpoint_id, count, most) for endpoint_id, count in sorted(failures.items())])


async def disable(
    tx: Transaction, tenant_id: str, endpoint_id: str, reason: str, now_ms: int, *, version: int = 0
) -> bool:
    """Switches an endpoint off for Tocsin's own reason, and notes that its owner is to be told. False: it was off, or
    it has been changed since `version`, which is what was refused; 0 is any."""
    values = {"tenant_id": tenant_id, "id": endpoint_id, "reason": reason, "now": now_ms, "version": version}
    if not await tx.fetch("disable_endpoint", values):
        return False
    await tx.fetch("bump_config", {"tenant_id": tenant_id})
    await notice(tx, endpoint_id, "disabled")
    return True


async def notice(tx: Transaction, endpoint_id: str, what: str) -> None:
    await tx.run_many("note_notice", [(what, endpoint_id)])


async def suppress(tx: Transaction, endpoint_id: str, reason: str, now_ms: int) -> None:
    """What is due at this endpoint is not sent, for this reason."""
    for query in ("suppress_pending", "suppress_retrying"):
        await tx.fetch(query, {"endpoint_id": endpoint_id, "reason": reason, "now": now_ms})


async def cancel_orphans(tx: Transaction, now_ms: int, since_ms: int) -> None:
    """What waits for endpoints deleted since then will never be sent: it says so."""
    for query in ("cancel_orphans_pending", "cancel_orphans_retrying"):
        await tx.fetch(query, {"now": now_ms, "since_ms": since_ms})


async def pause(tx: Transaction, until_ms: Mapping[str, int]) -> None:
    """Nothing goes to these endpoints before then, from any process."""
    await tx.run_many("pause_endpoints", [(until, endpoint_id) for endpoint_id, until in sorted(until_ms.items())])


async def wake(tx: Transaction, due: Mapping[str, int]) -> None:
    await tx.run_many("wake_endpoints", [(due_ms, endpoint_id) for endpoint_id, due_ms in sorted(due.items())])


async def take_back(tx: Transaction, name: str, values: dict[str, Any]) -> int:
    """Runs a sweep over leases or ages, and has the endpoints concerned looked at. Returns how many rows."""
    found = await tx.fetch(name, values)
    await tx.run_many("wake_endpoints", [(values["now"], e) for e in sorted({row[0] for row in found})])
    return len(found)
