"""Comparing the ledgers: what was acknowledged, what the store says became of it, and what the receiver got."""

import bisect
import itertools
from collections import Counter
from dataclasses import dataclass, field

from tests.end_to_end.ledger import Ledger
from tests.end_to_end.process import Site, wait_for
from tests.end_to_end.receiver import Arrival, Receiver, counted
from tocsin.rules.fair_queue import FairQueue
from tocsin.stages.deliver.recording import MOST_UNRECORDED

MOST_AGAIN = MOST_UNRECORDED + sum(FairQueue[None]().room.values())
"""A kill may have so many messages sent again: the last ones of the process that died, which it had not recorded."""

QUIET_S = 60.0
READING_NS = 500_000_000
"""So late a busy machine's receiver may read what was written to it."""


@dataclass
class Kill:
    """What was killed, from when to when it was away. `sends`: whether something that sends was killed with it."""

    what: str
    from_ns: int
    to_ns: int = 0
    sends: bool = False


@dataclass
class Verdict:
    """Everything that is wrong, in words; and the numbers."""

    wrong: list[str] = field(default_factory=list)
    kills: int = 0
    acked: int = 0
    unknown: int = 0
    unknown_stored: int = 0
    events_lost: int = 0
    deliveries: int = 0
    deliveries_lost: int = 0
    arrivals: int = 0
    duplicates: int = 0
    most_after_one_kill: int = 0
    answers: str = ""

    def __str__(self) -> str:
        return (
            f"{self.kills} kills; {self.acked} events acknowledged, {self.events_lost} lost; "
            f"{self.unknown} unknown, {self.unknown_stored} of them stored; {self.deliveries} deliveries, "
            f"{self.deliveries_lost} lost; {self.arrivals} arrivals, {self.duplicates} duplicates, "
            f"{self.most_after_one_kill} at the most after one kill; "
            f"answers {self.answers}"
        )


def wait_until_quiet(site: Site, within_s: float = QUIET_S) -> None:
    """Nothing waits and nothing is on its way."""
    waiting = "SELECT status, count(*) FROM delivery WHERE status IN ('pending', 'sending', 'retrying') GROUP BY status"
    wait_for("all deliveries ended", lambda: not site.rows(waiting), within_s, 0.1)


def compare(
    site: Site, ledger: Ledger, receiver: Receiver, wants: dict[str, dict[str, str]], kills: list[Kill]
) -> Verdict:
    """`wants`: for each event type, the paths of the receiver that have to get it, by endpoint id."""
    verdict = Verdict(kills=len(kills), acked=len(ledger.acked), unknown=len(ledger.unknown))
    verdict.answers = ", ".join(f"{answer}: {count}" for answer, count in sorted(ledger.answers.items()))
    verdict.wrong += ledger.broken_promises[:5]
    arrivals = receiver.arrivals()
    verdict.arrivals = len(arrivals)
    by_id = counted(arrivals)

    events = site.rows("SELECT id, uid, pipeline FROM event WHERE source = 'load' OR type LIKE 'load.%'")
    stored = Counter(id_ for id_, _, _ in events)
    id_of = {uid: id_ for id_, uid, _ in events}
    rows = site.rows("SELECT event_uid, id, endpoint_id, status, reason FROM delivery")
    planned: dict[str, dict[str, tuple[str, str, str]]] = {}
    for uid, delivery_id, endpoint_id, status, reason in rows:
        planned.setdefault(id_of.get(uid, f"? {uid}"), {})[endpoint_id] = (delivery_id, status, reason)
    verdict.deliveries = len(rows)
    verdict.unknown_stored = sum(id_ in stored for id_ in ledger.unknown)

    for id_, type_ in ledger.acked.items():
        if stored[id_] != 1:
            verdict.events_lost += stored[id_] == 0
            verdict.wrong.append(f"acknowledged event {id_} is stored {stored[id_]} times")
            continue
        for endpoint_id, path in wants[type_].items():
            found = planned.get(id_, {}).get(endpoint_id)
            said = "no delivery" if found is None else f"{found[1]} ({found[2]})"
            got = [a for a in by_id.get(found[0], ()) if a.path == path and a.event == id_] if found else []
            if found is None or found[1] != "delivered" or not any(a.status == 200 for a in got):
                verdict.deliveries_lost += 1
                verdict.wrong.append(f"event {id_} for {path}: {said}; arrived {len(got)} times")
    by_key = Counter(pipeline for _, _, pipeline in events if pipeline.startswith("key-"))
    verdict.wrong += [f"{key} became {count} events" for key, count in by_key.items() if count != 1]
    verdict.wrong += check_arrivals(by_id, {row[1] for row in rows}, kills, verdict)
    return verdict


def check_arrivals(
    by_id: dict[str, list[Arrival]], delivery_ids: set[str], kills: list[Kill], verdict: Verdict
) -> list[str]:
    wrong = []
    moments = sorted(arrival.at_ns for arrivals in by_id.values() for arrival in arrivals)
    blamed: Counter[int] = Counter()
    for id_, arrivals in by_id.items():
        if id_ not in delivery_ids:
            wrong.append(f"{id_} arrived and is in no delivery: it was sent before it was stored")
        if not all(a.signed for a in arrivals):
            wrong.append(f"{id_} arrived with a wrong signature")
        if len({a.body for a in arrivals}) != 1:
            wrong.append(f"{id_} arrived with {len({a.body for a in arrivals})} different bodies")
        taken = [a for a in arrivals if a.status == 200]
        for first, second in itertools.pairwise(taken):
            verdict.duplicates += 1
            kill = end_of_its_sender(first, kills)
            if kill is None or second.at_ns < kill.from_ns:
                wrong.append(f"{id_} for {first.path} arrived twice, and nothing was killed in between")
                continue
            blamed[kill.from_ns] += 1
            since = bisect.bisect(moments, kill.from_ns) - bisect.bisect(moments, first.at_ns)
            if since > MOST_AGAIN:
                wrong.append(f"{id_} for {first.path} was not recorded while {since} others were sent")
    verdict.most_after_one_kill = max(blamed.values(), default=0)
    return wrong


def end_of_its_sender(arrival: Arrival, kills: list[Kill]) -> Kill | None:
    """The kill that ended the process which sent this: the first one since that hit a sender. What a dead process had
    written may be read a little after the next one is up."""
    return next((kill for kill in kills if kill.sends and kill.to_ns + READING_NS >= arrival.at_ns), None)
