"""When to try again."""

from tocsin.model.rule import RetryPolicy

QUICK_S = (2, 4, 8)
"""The quick round: most trouble of a receiver, a restart or a deploy, is over within it."""

SLOW_S = (60, 300, 1800, 7200, 18000, 36000)
"""1 min, 5 min, 30 min, 2 h, 5 h, 10 h: about 17 hours in all."""

SCHEDULE_S = QUICK_S + SLOW_S
JITTER = 0.2
SHORTEST_S, LONGEST_S = 1.0, 86_400.0
"""A receiver's Retry-After is honoured between these."""


def attempts_allowed(policy: RetryPolicy, standard: int | None) -> int:
    """The first try included. A rule's word counts first, then the provider's setting, then the whole schedule."""
    if policy.max_attempts is not None:
        return policy.max_attempts
    if standard is not None:
        return standard
    return len(SCHEDULE_S) + 1


def delay_s(policy: RetryPolicy, failures: int, asked_s: float | None, draw: float) -> float:
    """Seconds after the `failures`-th failed try (1 is the first). `draw` is in [-1, 1] and spreads by ± 20 %.

    What the receiver asked for is the least we wait, whatever the schedule says.
    """
    if policy.base_s is not None or policy.cap_s is not None:
        base = policy.base_s if policy.base_s is not None else float(QUICK_S[0])
        cap = policy.cap_s if policy.cap_s is not None else float(SLOW_S[-1])
        plain = min(cap, base * 2.0 ** min(failures - 1, 60))
    else:
        plain = float(SCHEDULE_S[min(failures, len(SCHEDULE_S)) - 1])
    spread = plain * (1 + JITTER * draw)
    if asked_s is None:
        return spread
    return max(spread, min(max(asked_s, SHORTEST_S), LONGEST_S))


def quick_round_over(policy: RetryPolicy, standard: int | None, failures: int) -> bool:
    """Whether this was the failure that counts against the endpoint: the quick round's last, or the last of all."""
    return failures == min(len(QUICK_S) + 1, attempts_allowed(policy, standard))
