"""Writing what came in: the events of a moment with their runs, traces and deliveries."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from tocsin.model.delivery import Delivery, Words
from tocsin.model.event import Event
from tocsin.model.rollout import EVERYTHING, Rollouts
from tocsin.model.rule import Rule
from tocsin.model.run import Run
from tocsin.model.world import Silence
from tocsin.store import ledger, preferences, rollouts, rows, silences
from tocsin.store.database import Reader, Row, Transaction
from tocsin.store.preferences import Stored

RunKey = tuple[str, str, str, int]
"""Tenant, pipeline, run id, attempt."""

EventKey = tuple[str, str, str]
"""Tenant, the source's id, source."""


AlarmKey = tuple[str, str, str]
"""Tenant, endpoint, the trouble's opaque name."""


NO_WORDS = Words()


class Contended(Exception):
    """Another process wrote the same event or run at this very moment. Do the whole transaction again."""


async def config_version(tx: Transaction, tenant_id: str) -> int:
    found = await tx.fetch("config_version", {"tenant_id": tenant_id})
    return int(found[0][0]) if found else 0


class Config(Struct, frozen=True):
    """What people set up in a tenant: endpoints, as `config_endpoints` names their columns, active rules, silences that
    are not over, and preferences by user; and what the operator has rolled out to whom."""

    endpoints: Sequence[Row]
    rules: Sequence[Rule] = ()
    silences: tuple[Silence, ...] = ()
    preferences: Sequence[Stored] = ()
    rollouts: Rollouts = EVERYTHING


async def config(db: Reader, tenant_id: str) -> Config:
    return Config(
        await db.read("config_endpoints", {"tenant_id": tenant_id}),
        list(rows.readable(rows.rule, await db.read("config_rules", {"tenant_id": tenant_id}))),
        await silences.config(db, tenant_id),
        await preferences.everybody(db, tenant_id),
        await rollouts.in_force(db, EVERYTHING),
    )


async def known_events(tx: Transaction, keys: Sequence[EventKey]) -> dict[EventKey, str]:
    """Which of these events are stored already, and their uids."""
    found = await tx.fetch_many("find_events", keys) if keys else []
    return {(tenant_id, id_, source): uid for tenant_id, id_, source, uid in found}


async def runs(tx: Transaction, keys: Iterable[RunKey]) -> dict[RunKey, Run]:
    """The runs as stored, each with its newest attempt, kept from changing until this transaction ends."""
    found = await tx.fetch_many("lock_runs", sorted(keys))
    known = (rows.run(row) for row in found)
    return {(run.tenant_id, run.pipeline, run.run_id, run.attempt): run for run in known}


async def save(
    tx: Transaction,
    events: Sequence[tuple[Event, str]],
    new_runs: Sequence[Run],
    changed_runs: Sequence[Run],
    deliveries: Sequence[tuple[Delivery, str, str | None, int | None]],
    buckets: Mapping[tuple[str, str], int],
    *,
    fired: Iterable[tuple[str, str, int]] = (),
    alone: bool,
    writer: str | None,
) -> None:
    """Events with their traces, runs, deliveries with their retry policies (JSON) and, where this process takes them at
    once, lease and its end; the rules that fired (tenant, id, Unix milliseconds). Raises Contended where another
    process wrote one of these events or new runs first; `alone` says that there is none. `writer` is who writes, no
    other at the same time under this name; None is not counted.
    """
    kept_events, made_runs, *_ = await tx.run_together(
        [
            ("insert_events", [event_row(event, trace) for event, trace in events]),
            ("insert_runs", [run_row(run) for run in new_runs]),
            ("update_runs", [changed_run_row(run) for run in changed_runs]),
            ("insert_deliveries", [delivery_row(*delivery) for delivery in deliveries]),
            ("count_taken", [] if writer is None else ledger.taken(events, deliveries, writer)),
            ("put_buckets", [(*key, bucket_us) for key, bucket_us in sorted(buckets.items())]),
            ("note_rules", sorted(fired)),
        ]
    )
    if not alone and (kept_events, made_runs) != (len(events), len(new_runs)):
        raise Contended


def event_row(e: Event, trace: str) -> Row:
    return (
        (e.tenant_id, e.uid, e.id, e.source, e.type, e.kind, e.severity, e.pipeline, e.run_id, e.stage)
        + (e.time_ms, e.received_ms, rows.event_content(e), trace)
    )  # fmt: skip


def run_row(run: Run) -> Row:
    return (
        (run.tenant_id, run.id, run.pipeline, run.run_id, run.attempt, run.status, run.started_ms, run.finished_ms)
        + (run.updated_ms, run.error, rows.text(run.stages), rows.about(run), run.parent_run_id, run.log_tail)
    )  # fmt: skip


def changed_run_row(run: Run) -> Row:
    return (
        (run.status, run.started_ms, run.finished_ms, run.updated_ms, run.error, rows.text(run.stages))
        + (rows.about(run), run.parent_run_id, run.log_tail, run.tenant_id, run.id)
    )  # fmt: skip


def delivery_row(d: Delivery, policy: str, lease: str | None, lease_until_ms: int | None) -> Row:
    return (
        (d.tenant_id, d.id, d.event_uid, d.endpoint_id, d.rule_id, d.provider_type, d.event_type, d.status, d.reason)
        + (policy, d.due_ms, d.expires_ms, lease, lease_until_ms, d.body)
        + ("" if d.words == NO_WORDS else rows.text(d.words), d.folded_into, d.created_ms, d.created_ms)
    )  # fmt: skip


async def wake(tx: Transaction, due: Mapping[str, int]) -> None:
    """Endpoint ids with the time from which something is due there."""
    if due:
        await tx.run_many("wake_endpoints", [(due_ms, endpoint_id) for endpoint_id, due_ms in sorted(due.items())])


async def open_alarms(tx: Transaction, keys: Iterable[tuple[str, str]]) -> dict[AlarmKey, str]:
    """The alarms that are open, and the rules that opened them; kept from changing until this transaction ends."""
    found = await tx.fetch_many("lock_incidents", sorted(keys))
    return {(tenant_id, endpoint_id, key): rule_id for tenant_id, endpoint_id, key, rule_id in found}


async def put_alarms(tx: Transaction, opened: Mapping[AlarmKey, str], closed: Iterable[AlarmKey], now_ms: int) -> None:
    await tx.run_many("open_incidents", [(*alarm, rule_id, now_ms) for alarm, rule_id in sorted(opened.items())])
    await tx.run_many("close_incidents", [(now_ms, *alarm) for alarm in sorted(closed)])


async def rule_buckets(tx: Transaction, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    found = await tx.fetch_many("lock_buckets", sorted(keys))
    return {(tenant_id, rule_id): bucket_us for tenant_id, rule_id, bucket_us in found}


async def known_answer(tx: Transaction, tenant_id: str, key: str, since_ms: int) -> tuple[bytes, str] | None:
    """The hash of the body that came with this idempotency key, and what was answered."""
    found = await tx.fetch("find_idempotency", {"tenant_id": tenant_id, "key": key, "since_ms": since_ms})
    return (bytes(found[0][0]), found[0][1]) if found else None


async def save_answer(
    tx: Transaction, tenant_id: str, key: str, body_hash: bytes, answer: str, now_ms: int, since_ms: int
) -> None:
    values = {"tenant_id": tenant_id, "key": key, "body_hash": body_hash, "answer": answer, "now": now_ms}
    if not await tx.fetch("put_idempotency", values | {"since_ms": since_ms}):
        raise Contended
