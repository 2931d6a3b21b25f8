"""Limits: how many there are, and how much was done. Rates are counted in memory, by each process for itself."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from tocsin.model.errors import Full, Limited, NotFound
from tocsin.model.limits import SECOND_NS, Bucket, Limits, Rates, Reached, with_own
from tocsin.store.database import Database, Reader, Transaction
from tocsin.store.ledger import DAY_MS

KNOWN_MS = 2000
"""So old may be what a process knows of a tenant's limits, and of what the tenant's day came to elsewhere."""

MOST_TENANTS = 10_000
FULL_S = 3600
"""When to come back where as much is kept as may be: what is old goes by itself."""

COUNTED = {
    "endpoints": "count_endpoints",
    "rules": "count_rules",
    "silences": "count_silences",
    "tokens": "count_tokens",
    "members": "count_members",
    "secrets": "count_secrets",
}
"""The limits of what there is at a time, and the queries that count it."""


async def own(db: Reader, tenant_id: str) -> dict[str, int]:
    """The limits that are a tenant's own. Raises NotFound."""
    found = await db.read("limits_of_tenant", {"tenant_id": tenant_id})
    if not found:
        raise NotFound("No such tenant.")
    return msgspec.json.decode(found[0][0], type=dict[str, int]) if found[0][0] else {}


async def put(tx: Transaction, tenant_id: str, limits: dict[str, int]) -> None:
    text = msgspec.json.encode(limits).decode() if limits else ""
    await tx.fetch("put_limits", {"tenant_id": tenant_id, "limits": text})


async def count(db: Reader, tenant_id: str, name: str, now_ms: int) -> int:
    """How many there are; `name` is in COUNTED."""
    values: dict[str, Any] = {"tenant_id": tenant_id} | ({"now": now_ms} if name == "tokens" else {})
    return int((await db.read(COUNTED[name], values))[0][0])


async def events_of_day(db: Reader, tenant_id: str, now_ms: int) -> int:
    return int((await db.read("events_of_day", {"tenant_id": tenant_id, "day": now_ms // DAY_MS}))[0][0])


async def stored_events(db: Reader, tenant_id: str) -> int:
    return int((await db.read("stored_events", {"tenant_id": tenant_id}))[0][0])


class Gate:
    """One tenant's limits, and what it has done lately in this process. `until_ms`: then they are looked up anew."""

    def __init__(self, limits: Limits, refused: Counter[str]) -> None:
        self.limits = limits
        self.refused = refused
        self.until_ms = 0
        self.asked = Rates("requests_per_s", limits.requests_per_s, limits.token_requests_per_s)
        self.sent = Rates("events_per_s", limits.events_per_s, limits.token_events_per_s)
        self.limits_requests = bool(limits.requests_per_s or limits.token_requests_per_s)
        self.limits_rate = bool(limits.events_per_s or limits.token_events_per_s)
        self.limits_count = bool(limits.events_per_day or limits.stored_events)
        self.today = self.day = self.stored = 0

    def request(self, token_id: str, now_ms: int) -> None:
        """Counts one. Raises Limited."""
        if self.limits_requests:
            now_ns = now_ms * 1_000_000
            if (full := self.asked.full(token_id, now_ns)) is not None:
                raise self.rate_reached(full, now_ns)
            self.asked.take(token_id, now_ns, 1)

    def check_events(self, token_id: str, now_ms: int) -> None:
        """Whether any event may come, before one is read. Raises Limited."""
        if self.limits_rate and (full := self.sent.full(token_id, now_ms * 1_000_000)) is not None:
            raise self.rate_reached(full, now_ms * 1_000_000)
        if self.limits_count:
            limits = self.limits
            if limits.events_per_day and self.day == now_ms // DAY_MS and self.today >= limits.events_per_day:
                left_s = -(-(DAY_MS - now_ms % DAY_MS) // 1000)
                raise self.reached(Reached("events_per_day", limits.events_per_day, 86_400), left_s)
            if limits.stored_events and self.stored >= limits.stored_events:
                raise self.reached(Reached("stored_events", limits.stored_events), FULL_S)

    def events(self, token_id: str, now_ms: int, count: int) -> None:
        """So many have come: a batch is taken as a whole, and those after it wait."""
        if self.limits_rate:
            self.sent.take(token_id, now_ms * 1_000_000, count)
        if self.limits_count:
            if self.day != now_ms // DAY_MS:
                self.day, self.today = now_ms // DAY_MS, 0
            self.today += count
            self.stored += count

    def rate_reached(self, full: Bucket, now_ns: int) -> Limited:
        return self.reached(Reached(full.name, full.per_s, 1), max(1, -(-full.wait_ns(now_ns) // SECOND_NS)))

    def reached(self, reached: Reached, retry_after_s: int) -> Limited:
        self.refused[reached.name] += 1
        return Limited(reached, retry_after_s)


class Meter:
    """Gates by tenant. `standard`: the limits of tenants that have none of their own. `refused`: by limit."""

    def __init__(self, db: Database, clock_ms: Callable[[], int], standard: Limits) -> None:
        self.db = db
        self.clock_ms = clock_ms
        self.standard = standard
        self.gates: dict[str, Gate] = {}
        self.refused: Counter[str] = Counter()

    def known(self, tenant_id: str, now_ms: int) -> Gate | None:
        """Without a query, where it is known."""
        found = self.gates.get(tenant_id)
        return found if found is not None and found.until_ms > now_ms else None

    async def gate(self, tenant_id: str, now_ms: int, db: Reader | None = None) -> Gate:
        """One query in two seconds for each tenant, and two more where a day or all that is kept is limited."""
        db = db or self.db
        known = self.gates.get(tenant_id)
        if known is not None and known.until_ms > now_ms:
            return known
        try:
            limits = with_own(self.standard, await own(db, tenant_id))
        except NotFound:  # it was deleted meanwhile; its tokens end
            limits = self.standard
        gate = Gate(limits, self.refused)
        if known is not None:
            gate.asked.follow(known.asked)
            gate.sent.follow(known.sent)
        if limits.events_per_day:
            gate.day, gate.today = now_ms // DAY_MS, await events_of_day(db, tenant_id, now_ms)
        if limits.stored_events:
            gate.stored = await stored_events(db, tenant_id)
        gate.until_ms = now_ms + KNOWN_MS
        if len(self.gates) >= MOST_TENANTS:
            self.gates.clear()
        self.gates[tenant_id] = gate
        return gate

    async def check_room(self, tx: Transaction, tenant_id: str, name: str, adding: int = 1) -> None:
        """Raises Full where there would be more than there may; nobody else adds any before this transaction ends."""
        now_ms = self.clock_ms()
        most = getattr((await self.gate(tenant_id, now_ms, tx)).limits, name)
        if not most or adding <= 0:
            return
        await tx.fetch("bump_config", {"tenant_id": tenant_id})  # the row of the tenant is the lock
        used = await count(tx, tenant_id, name, now_ms)
        if used + adding > most:
            self.refused[name] += 1
            raise Full(Reached(name, most), used, adding)
