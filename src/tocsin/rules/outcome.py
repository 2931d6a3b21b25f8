"""What became of an event, in a few words for a line of a list: `2 sent`, `silenced`, `no rule matched`."""

from collections.abc import Sequence

from msgspec import Struct

from tocsin.model.delivery import WAITING
from tocsin.model.fate import Bundle
from tocsin.provider_kit.text import cut, line
from tocsin.rules.plan import Decision

REASON_CHARS = 120
WORDS = (
    ("delivered", "{} sent"),
    ("dead", "{} dead letter"),
    ("expired", "{} expired"),
    ("cancelled", "{} cancelled"),
    ("retrying", "{} retrying"),
    ("waiting", "{} queued"),
    ("silenced", "{} silenced"),
    ("suppressed", "{} held back"),
)
"""The parts in their order. Held back and failed are different words everywhere."""


class Outcome(Struct, frozen=True):
    """`summary`: a few words. `counts`: deliveries by what became of them: delivered, waiting, retrying, dead, expired,
    cancelled, silenced, suppressed. `reason`: why there is none, or why none was sent. `elsewhere`: so many went to
    webhooks of others."""

    summary: str
    counts: dict[str, int]
    reason: str = ""
    elsewhere: int = 0


def state_of(bundle: Bundle) -> str:
    """A message that another one tells of shares its fate."""
    if bundle.status == "suppressed" and bundle.head:
        return "waiting" if bundle.head in WAITING else bundle.head
    return "waiting" if bundle.status in ("pending", "sending") else bundle.status


def of_deliveries(bundles: Sequence[Bundle]) -> Outcome:
    counts: dict[str, int] = {}
    elsewhere = 0
    reason = ""
    for bundle in bundles:
        if not bundle.seen:
            elsewhere += bundle.count
            continue
        state = state_of(bundle)
        if state != "suppressed":
            counts[state] = counts.get(state, 0) + bundle.count
        else:
            for name, count in (("silenced", bundle.silenced), ("suppressed", bundle.count - bundle.silenced)):
                if count:
                    counts[name] = counts.get(name, 0) + count
        if state not in ("delivered", "waiting"):
            reason = reason or bundle.reason
    parts = [words.format(counts[name]) for name, words in WORDS if counts.get(name)]
    parts = [part + "s" if part.endswith(" letter") and counts["dead"] != 1 else part for part in parts]
    if set(counts) == {"silenced"}:
        parts = ["silenced"]
    elif set(counts) == {"suppressed"}:
        parts = ["held back"]
    return Outcome(", ".join(parts) or "sent to others", counts, clean(reason), elsewhere)


def without_deliveries(decisions: Sequence[Decision], rules: int, off: str) -> Outcome:
    """The decisions of the rules that were asked; `rules` and `off` as in explain.py."""
    if off:
        return Outcome("no rule was asked", {}, clean(off))
    for verdict, words in (("suppressed", "held back"), ("matched", "matched, nobody to tell")):
        for one in decisions:
            if one.verdict == verdict:
                return Outcome(words, {}, clean(f"{one.rule}: {one.reason}"))
    if not rules and not decisions:
        return Outcome("no rule", {})
    return Outcome("no rule matched", {}, clean(f"{decisions[0].rule}: {decisions[0].reason}") if decisions else "")


def clean(reason: str) -> str:
    return cut(line(reason), REASON_CHARS)
