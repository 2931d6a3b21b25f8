"""The ledger: what was taken in and what was removed, a day and a tenant, counted where it happens and in the same
transaction. Held against the rows that are there, it tells whether any went missing.

A row's day is the one that its id carries (UTC), so that counting and looking up agree whatever the clock does.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec import Struct

from tocsin.model.delivery import Delivery
from tocsin.model.event import Event
from tocsin.store.database import Database, Row, Transaction

DAY_MS = 86_400_000
HEX = slice(4, 16)
"""Where an id has its milliseconds: `evt_` and a UUIDv7, which starts with them in hex."""

FATES = ("delivered", "dead", "expired", "cancelled", "suppressed", "folded", "waiting")
SLICE_ROWS = 500_000
"""Rows that one statement counts, about: half a second's work on either store."""

LOOKS = 3
IDS = (("event", "evt"), ("delivery", "dlv"))
DELIVERIES = ("delivery", "deliveries")
WAITING = ("pending", "sending", "retrying")


def day_of(id_: str) -> int:
    return int(id_[HEX], 16) // DAY_MS


def hex_of(day: int) -> str:
    return f"{day * DAY_MS:012x}"


def taken(
    events: Sequence[tuple[Event, str]], deliveries: Sequence[tuple[Delivery, str, str | None, int | None]], writer: str
) -> list[Row]:
    """What `count_taken` is to add for these: a row a tenant, and two around midnight."""
    heard = {delivery.event_uid for delivery, *_ in deliveries}
    counts: dict[tuple[str, int], list[int]] = {}
    day, begins, ends = -1, "", ""
    for event, _ in events:
        uid = event.uid
        if not begins <= uid[HEX] < ends:
            day = day_of(uid)
            begins, ends = hex_of(day), hex_of(day + 1)
        count = counts.get((event.tenant_id, day))
        if count is None:
            count = counts[event.tenant_id, day] = [0, 0, 0]
        count[0] += 1
        if uid not in heard:
            count[1] += 1
    for delivery, *_ in deliveries:
        id_ = delivery.id
        if not begins <= id_[HEX] < ends:
            day = day_of(id_)
            begins, ends = hex_of(day), hex_of(day + 1)
        count = counts.get((delivery.tenant_id, day))
        if count is None:
            count = counts[delivery.tenant_id, day] = [0, 0, 0]
        count[2] += 1
    return [(tenant_id, day, writer, *count) for (tenant_id, day), count in sorted(counts.items())]


async def removed(tx: Transaction, tenant_id: str, rows: Iterable[tuple[str, str]]) -> None:
    """(id, what it was: `event`, or a delivery's fate) of rows that this transaction deletes."""
    counts = Counter((day_of(id_), what) for id_, what in rows)
    await tx.run_many("count_removed", [(tenant_id, day, what, count) for (day, what), count in sorted(counts.items())])


async def sum_up(tx: Transaction, before_day: int) -> None:
    """One row for each tenant and day that is over, whoever wrote in it."""
    counts: dict[tuple[str, int], list[int]] = {}
    for tenant_id, day, *numbers in await tx.fetch("take_finished_days", {"before_day": before_day}):
        known = counts.setdefault((tenant_id, day), [0, 0, 0])
        counts[tenant_id, day] = [one + more for one, more in zip(known, numbers, strict=True)]
    await tx.run_many("count_taken", [(*key, "", *numbers) for key, numbers in sorted(counts.items())])


async def forget(tx: Transaction, before_day: int) -> None:
    """Days of which no row is kept any more."""
    await tx.fetch("delete_old_days", {"before_day": before_day})
    await tx.fetch("delete_old_removed", {"before_day": before_day})


class Days(Struct, frozen=True):
    """What was taken in from `first` to `last` (days since 1970), and what became of it. `fates` of deliveries, those
    that were removed since among them. `unheard`: events that nobody was to hear of."""

    first: int
    last: int
    accepted: int
    unheard: int
    stored: int
    removed_events: int
    planned: int
    fates: dict[str, int]
    removed_deliveries: int

    @property
    def differences(self) -> list[str]:
        """What does not add up, in words."""
        found = []
        events = self.stored + self.removed_events - self.accepted
        deliveries = sum(self.fates.values()) - self.planned
        for count, one, many, how in ((events, "event", "events", "accepted"), (deliveries, *DELIVERIES, "planned")):
            what = one if abs(count) == 1 else many
            if count < 0:
                found.append(f"{-count} {what} of those {how} missing")
            elif count > 0:
                found.append(f"{count} {what} too many: never {how}")
        return found


async def reconcile(db: Database, tenant_id: str, first_day: int, last_day: int) -> list[Days]:
    """Each day with anything in it, and each span between them in which there is something although nothing was
    counted. Reads the rows of those days once."""
    uncounted = await db.read("get_meta", {"name": "uncounted_until"})
    if uncounted:
        first_day = max(first_day, day_of(uncounted[0][0]) + 1)
    days = sorted(
        row[0]
        for row in await db.read("counted_days", {"tenant_id": tenant_id, "first_day": first_day})
        if row[0] <= last_day
    )
    found, next_day = [], first_day
    for day in days:
        if next_day < day:
            found.append(await _days(db, tenant_id, next_day, day - 1))
        found.append(await _days(db, tenant_id, day, day))
        next_day = day + 1
    if next_day <= last_day:
        found.append(await _days(db, tenant_id, next_day, last_day))
    return [one for one in found if one.first in days or one.differences]


async def _days(db: Database, tenant_id: str, first: int, last: int) -> Days:
    """Looks again where something does not add up: in a day that takes several statements, rows may have moved."""
    found = await _counted(db, tenant_id, first, last)
    for _ in range(LOOKS - 1):
        if not found.differences:
            break
        found = await _counted(db, tenant_id, first, last)
    return found


async def _counted(db: Database, tenant_id: str, first: int, last: int) -> Days:
    """A statement for each slice of the time, so that none takes long and each is of one moment. What was counted is
    taken from the last slice that has rows: those before it are over, nothing comes in there any more."""
    begin_ms, end_ms = first * DAY_MS, (last + 1) * DAY_MS
    values = {"tenant_id": tenant_id, "first_day": first, "end_day": last + 1}
    ((rows,),) = await db.read("counted_rows", values)
    slices = max(1, -(-int(rows) // SLICE_ROWS))
    edges = [begin_ms + (end_ms - begin_ms) * number // slices for number in range(slices + 1)]
    counts: Counter[str] = Counter()
    taken: list[int] = [0, 0, 0]
    gone: dict[str, int] = {}
    for begin, end in pairwise(edges):
        spans = {
            f"{edge}_{kind}": f"{prefix}_{ms:012x}"
            for edge, ms in (("first", begin), ("end", end))
            for kind, prefix in IDS
        }
        answer = {what: numbers for what, *numbers in await db.read("reconcile", values | spans)}
        now_taken = answer.pop("taken")
        there = Counter({what: numbers[0] for what, numbers in answer.items() if not what.startswith("removed ")})
        if begin == begin_ms or there.total():
            taken = now_taken
            gone = {what: numbers[0] for what, numbers in answer.items() if what.startswith("removed ")}
        counts.update(there)
    accepted, unheard, planned = taken
    stored, removed_events = counts.pop("event", 0), gone.pop("removed event", 0)
    fates = dict.fromkeys(FATES, 0)
    removed_deliveries = 0
    for what, count in (*counts.items(), *gone.items()):
        fate = what.removeprefix("removed ")
        fates["waiting" if fate in WAITING else fate] += count
        removed_deliveries += count if fate != what else 0
    return Days(first, last, accepted, unheard, stored, removed_events, planned, fates, removed_deliveries)
