"""What intake counts of itself."""

from collections import Counter
from collections.abc import Iterable

from tocsin.model.tally import Histogram

GROUP_EVENTS_BOUNDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 512.0)

BEGINNINGS = (
    ("told in ", "folded"),
    ("silenced", "silenced"),
    ("the rule is muted", "muted"),
    ("the webhook is switched off", "switched_off"),
    ("its settings do not fit", "unfit"),
    ("the rollout of ", "rollout"),
    ("TOCSIN_ROLLOUT_", "rollout"),
)
"""How the reasons of suppressed deliveries begin, and the word for it."""


class Measured:
    """`refused`: requests, by what was wrong. `groups`: the events of each transaction.
    `suppressed`: by one word. `unplanned`: events of tenants that the alert engine is off for."""

    def __init__(self) -> None:
        self.refused: Counter[str] = Counter()
        self.groups = Histogram(GROUP_EVENTS_BOUNDS)
        self.suppressed: Counter[str] = Counter()
        self.unplanned = 0

    def suppress(self, reasons: Iterable[str]) -> None:
        for reason in reasons:
            self.suppressed[word_for(reason)] += 1


def word_for(reason: str) -> str:
    """A reason is a sentence with names and times in it; a label is one of a few words."""
    for beginning, word in BEGINNINGS:
        if reason.startswith(beginning):
            return word
    return "provider_off" if reason.endswith(" is off") else "rule"
