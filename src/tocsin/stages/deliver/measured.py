"""What delivering counts of itself. The words are few and ours: nothing that somebody else said becomes a label."""

from collections import Counter

from tocsin.model.tally import Histograms
from tocsin.model.wire import HttpReply, NoReply, Outcome, Rejected, Reply, Retry, SmtpReply

ATTEMPT_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
DELIVERED_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0, 21_600.0)


class Measured:
    """By provider: attempts and their time; what was recorded of deliveries; the time from accepted to delivered."""

    def __init__(self) -> None:
        self.attempts: Counter[tuple[str, str, str]] = Counter()
        self.retries: Counter[str] = Counter()
        self.took: Histograms[str] = Histograms(ATTEMPT_S)
        self.recorded: Counter[tuple[str, str, str]] = Counter()
        self.latency: Histograms[str] = Histograms(DELIVERED_S)
        self.lease_lost = 0

    def attempt(self, provider: str, outcome: str, why: str, number: int, took_ms: float) -> None:
        self.attempts[provider, outcome, why] += 1
        self.took.add(provider, took_ms / 1000)
        if number > 1:
            self.retries[provider] += 1

    def record(self, provider: str, status: str, why: str, age_ms: int) -> None:
        """`why` is said of ends that nobody wanted; `age_ms` since the delivery was planned."""
        self.recorded[provider, status, why] += 1
        if status == "delivered":
            self.latency.add(provider, age_ms / 1000)


def why_failed(outcome: Outcome, reply: Reply) -> str:
    """One word: what went wrong with an attempt; "" where nothing did."""
    match outcome, reply:
        case Retry(rate_limited=True), _:
            return "rate_limited"
        case Rejected(scope="endpoint" | "credential" as scope), _:
            return f"{scope}_refused"
        case ((Retry() | Rejected()), NoReply(reason=reason)):
            return reason
        case ((Retry() | Rejected()), HttpReply(status=status)) if status >= 300:
            return f"http_{status // 100}xx"
        case ((Retry() | Rejected()), SmtpReply(code=code)) if code >= 400:
            return f"smtp_{code // 100}xx"
        case ((Retry() | Rejected()), _):
            return "refused"
    return ""
