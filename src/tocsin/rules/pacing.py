"""Rate limits as one number: the theoretical arrival time of the generic cell rate algorithm, in microseconds.

https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm: one number per bucket, easily kept in the store, so that a
limit holds over all processes and restarts.
"""

from msgspec import Struct

SECOND_US = 1_000_000


class Rate(Struct, frozen=True):
    """`count` messages at once, then one each `per_s / count` seconds."""

    count: int
    per_s: float

    @property
    def interval_us(self) -> int:
        return max(1, int(self.per_s * SECOND_US / self.count))


def spaced(per_s: float) -> Rate:
    """`per_s` messages a second, evenly spaced: no burst, as chat providers want it."""
    return Rate(1, 1 / per_s)


def allowed(rate: Rate, bucket_us: int, now_us: int, wanted: int) -> int:
    """How many of `wanted` may go now."""
    room_us = now_us + (rate.count - 1) * rate.interval_us - max(bucket_us, now_us)
    return 0 if room_us < 0 else min(wanted, room_us // rate.interval_us + 1)


def taken(rate: Rate, bucket_us: int, now_us: int, count: int) -> int:
    """The bucket after `count` messages went."""
    return bucket_us if count == 0 else max(bucket_us, now_us) + count * rate.interval_us


def next_us(rate: Rate, bucket_us: int, now_us: int) -> int:
    """When the next message may go; `now_us` where it may go at once."""
    return max(now_us, bucket_us - (rate.count - 1) * rate.interval_us)
