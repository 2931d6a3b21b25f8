"""Counting what happens, for `/metrics`: a few additions at the place, everything else when somebody asks."""

from bisect import bisect_left
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Histogram:
    """How many values were at or below each bound. For one thread, like everything on the loop."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """(bound, how many were at or below it), as Prometheus wants them."""
        found, sum_ = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            sum_ += count
            found.append((bound, float(sum_)))
        return found


class Histograms(Generic[Key]):
    """One for each key. Whoever adds sees to it that there are few: no tenant, no endpoint, nothing from outside."""

    __slots__ = ("bounds", "by_key")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.by_key: dict[Key, Histogram] = {}

    def add(self, key: Key, value: float) -> None:
        found = self.by_key.get(key)
        if found is None:
            found = self.by_key[key] = Histogram(self.bounds)
        found.add(value)
