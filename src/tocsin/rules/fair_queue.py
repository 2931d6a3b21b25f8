"""Who sends next, in one process: tenants take turns, their endpoints take turns, and nobody takes all the room.

Two lanes with room of their own: first attempts to endpoints that answer, and everything else (retries, endpoints that
failed or were slow the last time). A lane's endpoint may hold at most a share of the room that is still free, so that
however many endpoints hang, some room always remains ("dynamic thresholds", Choudhury and Hahne, 1998).
"""

from collections import OrderedDict, deque
from typing import Generic, Literal, TypeVar

Item = TypeVar("Item")
Lane = Literal["first", "again"]
LANES: tuple[Lane, ...] = ("first", "again")

SHARE = 4
"""An endpoint holds at most 1/SHARE of a lane's free room."""

FIRST_IN_FLIGHT, MOST_IN_FLIGHT = 8, 64
"""Connections to one endpoint at once, from one process: few while it is not known, one more for each success."""

SLOW_MS = 1000
SLOW_IN_FLIGHT = 2


class Waiting(Generic[Item]):
    """One endpoint's queue."""

    def __init__(self, endpoint_id: str, tenant_id: str) -> None:
        self.endpoint_id = endpoint_id
        self.tenant_id = tenant_id
        self.items: dict[Lane, deque[Item]] = {"first": deque(), "again": deque()}
        self.in_flight: dict[Lane, int] = {"first": 0, "again": 0}
        self.reserved = 0
        self.window = FIRST_IN_FLIGHT
        self.latency_ms = 20.0
        self.failing = False

    @property
    def size(self) -> int:
        return len(self.items["first"]) + len(self.items["again"]) + self.reserved

    @property
    def idle(self) -> bool:
        return self.size == 0 and self.in_flight["first"] == 0 and self.in_flight["again"] == 0

    @property
    def troubled(self) -> bool:
        return self.failing or self.latency_ms > SLOW_MS


class FairQueue(Generic[Item]):
    """`capacity` bounds what waits in memory, `in_flight` what is being sent; a third of that is the second lane's."""

    def __init__(self, capacity: int = 16_384, in_flight: int = 384) -> None:
        self.capacity = capacity
        self.room: dict[Lane, int] = {"first": in_flight - in_flight // 3, "again": in_flight // 3}
        self.endpoints: dict[str, Waiting[Item]] = {}
        self.turns: dict[Lane, OrderedDict[str, OrderedDict[str, None]]] = {
            "first": OrderedDict(),
            "again": OrderedDict(),
        }
        self.size = 0
        self.sending = 0

    def endpoint(self, endpoint_id: str, tenant_id: str) -> Waiting[Item]:
        found = self.endpoints.get(endpoint_id)
        if found is None:
            found = self.endpoints[endpoint_id] = Waiting(endpoint_id, tenant_id)
        return found

    def free(self, endpoint_id: str, tenant_id: str) -> int:
        """How many more of this endpoint's deliveries this process should take on: none that would wait for long."""
        waiting = self.endpoint(endpoint_id, tenant_id)
        share = (self.capacity - self.size) // 2
        return max(0, min(self.soon(waiting) - waiting.size, share))

    @staticmethod
    def soon(waiting: Waiting[Item]) -> int:
        """What an endpoint works off in about five seconds."""
        if waiting.troubled:
            return SLOW_IN_FLIGHT
        return MOST_IN_FLIGHT * max(1, int(5000 / max(waiting.latency_ms, 1.0)))

    def shed(self, endpoint_id: str) -> list[Item]:
        """Takes out what an endpoint will not get to soon, the newest, to be handed back to the store."""
        waiting = self.endpoints[endpoint_id]
        shed: list[Item] = []
        for lane in LANES:
            items = waiting.items[lane]
            while items and len(items) > self.soon(waiting):
                shed.append(items.pop())
        self.size -= len(shed)
        return shed

    def reserve(self, endpoint_id: str, tenant_id: str) -> bool:
        """Takes a place for a delivery that is about to be committed; `add` or `cancel` follows."""
        if self.free(endpoint_id, tenant_id) <= 0:
            return False
        self.endpoint(endpoint_id, tenant_id).reserved += 1
        self.size += 1
        return True

    def empty(self) -> list[Item]:
        """Takes out everything that waits."""
        left = [item for waiting in self.endpoints.values() for lane in LANES for item in waiting.items[lane]]
        for waiting in self.endpoints.values():
            for lane in LANES:
                waiting.items[lane].clear()
        for lane in LANES:
            self.turns[lane].clear()
        self.size -= len(left)
        return left

    def cancel(self, endpoint_id: str, tenant_id: str) -> None:
        """Gives a reserved place back."""
        self.endpoint(endpoint_id, tenant_id).reserved -= 1
        self.size -= 1

    def add(self, item: Item, endpoint_id: str, tenant_id: str, *, is_retry: bool, reserved: bool = False) -> None:
        waiting = self.endpoint(endpoint_id, tenant_id)
        if reserved:
            waiting.reserved -= 1
        else:
            self.size += 1
        lane: Lane = "again" if is_retry or waiting.troubled else "first"
        waiting.items[lane].append(item)
        self._queue(lane, waiting)

    def _queue(self, lane: Lane, waiting: Waiting[Item]) -> None:
        self.turns[lane].setdefault(waiting.tenant_id, OrderedDict()).setdefault(waiting.endpoint_id, None)

    def take(self) -> tuple[Item, str, Lane] | None:
        """The next item, the endpoint it is for and its lane; None when nothing may go now. `done` follows."""
        return self._take("first") or self._take("again")

    def _take(self, lane: Lane) -> tuple[Item, str, Lane] | None:
        room = self.room[lane]
        if room <= 0:
            return None
        tenants = self.turns[lane]
        for tenant_id in list(tenants) if len(tenants) > 1 else tuple(tenants):
            endpoints = tenants[tenant_id]
            for endpoint_id in list(endpoints) if len(endpoints) > 1 else tuple(endpoints):
                waiting = self.endpoints[endpoint_id]
                if waiting.in_flight[lane] >= self.most(waiting, room):
                    continue
                item = waiting.items[lane].popleft()
                waiting.in_flight[lane] += 1
                self.room[lane] -= 1
                self.size -= 1
                self.sending += 1
                if waiting.items[lane]:
                    endpoints.move_to_end(endpoint_id)
                else:
                    del endpoints[endpoint_id]
                if endpoints:
                    tenants.move_to_end(tenant_id)
                else:
                    del tenants[tenant_id]
                return item, endpoint_id, lane
        return None

    @staticmethod
    def most(waiting: Waiting[Item], room: int) -> int:
        if waiting.troubled:
            return SLOW_IN_FLIGHT
        return min(waiting.window, max(1, room // SHARE))

    def done(self, endpoint_id: str, lane: Lane, tried: tuple[bool, float] | None) -> None:
        """An item is dealt with. `tried`: whether the attempt failed and the milliseconds it took; what that shows of
        the endpoint decides its share of the next ones. None where there was no attempt."""
        waiting = self.endpoints[endpoint_id]
        waiting.in_flight[lane] -= 1
        self.room[lane] += 1
        self.sending -= 1
        if tried is not None:
            waiting.failing, took_ms = tried
            waiting.window = SLOW_IN_FLIGHT if waiting.failing else min(MOST_IN_FLIGHT, waiting.window + 1)
            waiting.latency_ms += 0.3 * (took_ms - waiting.latency_ms)
        if waiting.troubled and waiting.items["first"]:
            waiting.items["again"].extend(waiting.items["first"])
            waiting.items["first"].clear()
            self._leave("first", waiting)
            self._queue("again", waiting)
        if waiting.idle and not waiting.troubled and len(self.endpoints) > self.capacity:
            del self.endpoints[endpoint_id]

    def _leave(self, lane: Lane, waiting: Waiting[Item]) -> None:
        endpoints = self.turns[lane].get(waiting.tenant_id)
        if endpoints and waiting.endpoint_id in endpoints:
            del endpoints[waiting.endpoint_id]
            if not endpoints:
                del self.turns[lane][waiting.tenant_id]
