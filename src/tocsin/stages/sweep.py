"""Sweep: what the clock brings about. Lost leases go back, what is too old expires, notices are sent, old rows go."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import structlog

from tocsin.model.delivery import UNEDITED
from tocsin.model.errors import Refusal
from tocsin.model.rule import Rule
from tocsin.sources.draft import Draft
from tocsin.store import queue, retention
from tocsin.store.database import Database
from tocsin.store.retention import Cleaner

LEASE_LOSSES = 10
"""After so many dead workers a message is taken to be what kills them."""

CLEANING_MS = 10_000
RETENTION_MS = 600_000
"""How often it looks for old rows. While there are more than one round removes, it looks again after CLEANING_MS."""

ORPHANS_MS = 7 * 24 * 3600 * 1000
"""Longer than any message waits."""

KEY_KEPT_MS = 24 * 3600 * 1000
log = structlog.get_logger()


class Accept(Protocol):
    """Intake's door: time is a source like any other."""

    async def __call__(self, tenant_id: str, drafts: list[Draft], *, only_rule: Rule | None = None) -> Any: ...


class Setting(Protocol):
    """What is known of how the clock was set."""

    def was_set_lately(self) -> bool: ...

    def is_far_off(self) -> bool: ...


Round = Callable[[Database, int, Accept], Awaitable[None]]
"""Something else that the clock brings about, at a time in Unix milliseconds."""


class Sweep:
    """`cleaner` removes what is old. `others` are done in every round, too. `clock` says when leases cannot be told
    from lost ones, and when ages mean nothing."""

    def __init__(
        self,
        db: Database,
        clock_ms: Callable[[], int],
        accept: Accept,
        *,
        cleaner: Cleaner,
        clock: Setting,
        others: Sequence[Round] = (),
    ) -> None:
        self.db = db
        self.clock_ms = clock_ms
        self.accept = accept
        self.cleaner = cleaner
        self.others = others
        self.clock = clock
        self.next_cleaning_ms = 0
        self.next_retention_ms = 0
        self.swept_ms = 0
        self.lost_leases = 0
        self.expired = 0

    async def sweep(self) -> None:
        """One round. Safe to run in several processes at once."""
        now_ms = self.clock_ms()
        async with self.db.transaction() as tx:
            lost = expired = 0
            if not self.clock.was_set_lately():
                lost = await queue.take_back(tx, "lost_leases", {"now": now_ms, "limit": LEASE_LOSSES})
            if not self.clock.is_far_off():
                expired = await queue.take_back(
                    tx,
                    "expire_deliveries",
                    {"now": now_ms, "reason": "too old to be worth saying", "unedited": UNEDITED},
                )
        self.lost_leases += lost
        self.expired += expired
        if lost or expired:
            log.info("sweep.took_back", lost_leases=lost, expired=expired)
        await self.send_notices()
        for round_ in self.others:
            await round_(self.db, now_ms, self.accept)
        if now_ms >= self.next_cleaning_ms:
            self.next_cleaning_ms = now_ms + CLEANING_MS
            await self.wake_overdue(now_ms)
            async with self.db.transaction() as tx:
                await queue.cancel_orphans(tx, now_ms, now_ms - ORPHANS_MS)
            if not self.clock.is_far_off():
                async with self.db.transaction() as tx:
                    await retention.delete_old_keys(tx, now_ms - KEY_KEPT_MS)
        if now_ms >= self.next_retention_ms and not self.clock.is_far_off():
            more = await self.cleaner.clean(now_ms)
            self.next_retention_ms = now_ms + (CLEANING_MS if more else RETENTION_MS)
        self.swept_ms = now_ms

    async def send_notices(self) -> None:
        """An endpoint that fails or was switched off is an event of its own, which rules can send elsewhere. Its id is
        made of what it tells, so that it is told once even where the note that it was told is lost."""
        for tenant_id, endpoint_id, notice, *told in await self.db.read("due_notices"):
            draft = notice_of(endpoint_id, notice, *told)
            try:
                await self.accept(tenant_id, [draft])
            except Refusal as refusal:
                log.warning("sweep.notice_refused", endpoint=endpoint_id, reason=refusal.detail)
                continue
            async with self.db.transaction() as tx:
                await tx.fetch("clear_notice", {"endpoint_id": endpoint_id, "notice": notice})

    async def wake_overdue(self, now_ms: int) -> None:
        """Mends what should not be: something waits at an endpoint and nobody would look."""
        overdue = [row[0] for row in await self.db.read("overdue_endpoints")]
        if overdue:
            log.warning("sweep.overdue", endpoints=len(overdue))
            async with self.db.transaction() as tx:
                await queue.wake(tx, dict.fromkeys(overdue, now_ms))


def notice_of(
    endpoint_id: str,
    notice: str,
    failures: int,
    error: str,
    name: str,
    provider: str,
    reason: str,
    version: int,
    last_used_ms: int,
) -> Draft:
    """Each time it is switched off has a version of its own; each time it begins to fail has a last success."""
    off = notice == "disabled"
    return Draft(
        id=f"endpoint.{notice}:{endpoint_id}:{version}" + ("" if off else f":{last_used_ms}"),
        source="tocsin",
        type=f"endpoint.{notice}",
        kind="alert",
        severity="error" if off else "warning",
        title=f"Webhook “{name}” was switched off" if off else f"Webhook “{name}” keeps failing",
        message=(
            f"{reason or error}. Messages for it wait. Mend it, then switch it on again: "
            f"POST /v1/webhooks/{endpoint_id}/enable"
            if off
            else f"{failures} messages in a row did not get through; at 10 it is switched off. Last error: {error}"
        ),
        data={
            "webhook_id": endpoint_id,
            "webhook": name,
            "provider_type": provider,
            "consecutive_failures": failures,
            "reason": reason,
            "error": error,
        },
    )
