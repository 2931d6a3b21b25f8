"""Who sends next: nobody takes all the room, and nothing is lost or counted twice."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tocsin.rules.fair_queue import LANES, MOST_IN_FLIGHT, SLOW_IN_FLIGHT, SLOW_MS, FairQueue

OK = (False, 20.0)
FAILED = (True, 20.0)
SLOW = (False, 30_000.0)


def filled(queue: FairQueue[str], endpoint_id: str, tenant_id: str, count: int, *, is_retry: bool = False) -> None:
    for number in range(count):
        queue.add(f"{endpoint_id}.{number}", endpoint_id, tenant_id, is_retry=is_retry)


def taken(queue: FairQueue[str]) -> list[str]:
    """The endpoints of everything that may go at once."""
    found = []
    while (next_ := queue.take()) is not None:
        found.append(next_[1])
    return found


def test_no_endpoint_takes_all() -> None:
    # F29
    queue: FairQueue[str] = FairQueue()
    filled(queue, "loud", "t", 1000)
    loud = taken(queue)
    assert 0 < len(loud) <= MOST_IN_FLIGHT
    filled(queue, "quiet", "t", 1)
    assert taken(queue) == ["quiet"]


def test_however_many_hang_some_room_remains() -> None:
    # F29
    queue: FairQueue[str] = FairQueue()
    for number in range(40):
        filled(queue, f"hung{number}", f"t{number % 3}", 50)
        taken(queue)
    filled(queue, "healthy", "t9", 1)
    assert "healthy" in taken(queue)


def test_a_slow_endpoint_gets_few_and_a_healthy_one_many() -> None:
    queue: FairQueue[str] = FairQueue()
    for endpoint_id, tried in (("slow", SLOW), ("failing", FAILED), ("healthy", OK)):
        for _ in range(200):
            filled(queue, endpoint_id, "t", 1)
            next_ = queue.take()
            assert next_ is not None
            queue.done(next_[1], next_[2], tried)
    for endpoint_id in ("slow", "failing", "healthy"):
        filled(queue, endpoint_id, "t", 100)
    counts = Counter(taken(queue))
    assert counts["slow"] <= 2 * SLOW_IN_FLIGHT
    assert counts["failing"] <= 2 * SLOW_IN_FLIGHT
    assert counts["healthy"] > 10


def test_first_attempts_do_not_wait_behind_retries() -> None:
    # F30
    queue: FairQueue[str] = FairQueue()
    for number in range(200):
        filled(queue, f"retry{number}", "t", 5, is_retry=True)
    assert taken(queue)
    filled(queue, "new", "t", 1)
    assert taken(queue) == ["new"]


def test_tenants_take_turns() -> None:
    # F31
    queue: FairQueue[str] = FairQueue()
    for number in range(20):
        filled(queue, f"flood{number}", "flood", 20)
    filled(queue, "small", "small", 20)
    order = []
    for _ in range(40):
        next_ = queue.take()
        assert next_ is not None
        order.append(next_[1])
        queue.done(next_[1], next_[2], OK)
    assert order[:40].count("small") == 20, order


def test_endpoints_of_a_tenant_take_turns() -> None:
    queue: FairQueue[str] = FairQueue()
    for endpoint_id in "abc":
        filled(queue, endpoint_id, "t", 10)
    order = []
    for _ in range(30):
        next_ = queue.take()
        assert next_ is not None
        order.append(next_[1])
        queue.done(next_[1], next_[2], OK)
    assert "".join(order) == "abc" * 10


def test_the_order_within_an_endpoint_is_kept() -> None:
    queue: FairQueue[str] = FairQueue()
    filled(queue, "a", "t", 50)
    order = []
    while (next_ := queue.take()) is not None:
        order.append(next_[0])
        queue.done("a", next_[2], OK)
    assert order == [f"a.{n}" for n in range(50)]


def test_memory_is_bounded() -> None:
    queue: FairQueue[str] = FairQueue(capacity=100)
    reserved = 0
    for number in range(1000):
        if queue.reserve(f"e{number % 50}", "t"):
            reserved += 1
    assert queue.size == reserved <= 100
    slow: FairQueue[str] = FairQueue()
    filled(slow, "a", "t", 1)
    next_ = slow.take()
    assert next_ is not None
    slow.done("a", next_[2], (False, 10.0 * SLOW_MS))
    assert slow.free("a", "t") <= SLOW_IN_FLIGHT


def test_what_an_endpoint_will_not_get_to_goes_back() -> None:
    queue: FairQueue[str] = FairQueue()
    filled(queue, "a", "t", 100)
    next_ = queue.take()
    assert next_ is not None
    queue.done("a", next_[2], FAILED)
    shed = queue.shed("a")
    assert queue.size == 99 - len(shed)
    assert 90 < len(shed) < 99
    assert "a.99" in shed, "the newest"
    assert "a.1" not in shed


class Queue(RuleBasedStateMachine):
    """Anything in any order. Beside the queue, what it should hold."""

    ENDPOINTS = [("a", "t1"), ("b", "t1"), ("c", "t2"), ("d", "t3")]

    @initialize(capacity=st.integers(4, 40), in_flight=st.integers(3, 24))
    def start(self, capacity: int, in_flight: int) -> None:
        self.queue: FairQueue[int] = FairQueue(capacity, in_flight)
        self.in_flight = in_flight
        self.next = 0
        self.waiting: dict[int, str] = {}
        self.reserved: Counter[tuple[str, str]] = Counter()
        self.sending: list[tuple[int, str, str]] = []
        self.done = 0

    @rule(at=st.sampled_from(ENDPOINTS), is_retry=st.booleans())
    def add(self, at: tuple[str, str], is_retry: bool) -> None:
        self.queue.add(self.next, *at, is_retry=is_retry)
        self.waiting[self.next] = at[0]
        self.next += 1

    @rule(at=st.sampled_from(ENDPOINTS))
    def reserve(self, at: tuple[str, str]) -> None:
        free = self.queue.free(*at)
        got = self.queue.reserve(*at)
        assert got == (free > 0)
        self.reserved[at] += got

    @precondition(lambda self: +self.reserved)
    @rule(keeps=st.booleans())
    def use_reserved(self, keeps: bool) -> None:
        at = next(iter(+self.reserved))
        self.reserved[at] -= 1
        if keeps:
            self.queue.add(self.next, *at, is_retry=False, reserved=True)
            self.waiting[self.next] = at[0]
            self.next += 1
        else:
            self.queue.cancel(*at)

    @rule()
    def take(self) -> None:
        next_ = self.queue.take()
        if next_ is None:
            assert self.sending or not self.waiting, "nothing is on its way, and yet nothing may go"
            return
        item, endpoint_id, lane = next_
        assert self.waiting.pop(item) == endpoint_id
        self.sending.append((item, endpoint_id, lane))

    @precondition(lambda self: self.sending)
    @rule(tried=st.sampled_from([OK, FAILED, SLOW, None]), at=st.integers(0, 100), sheds=st.booleans())
    def end(self, tried: tuple[bool, float] | None, at: int, sheds: bool) -> None:
        _, endpoint_id, lane = self.sending.pop(at % len(self.sending))
        self.queue.done(endpoint_id, lane, tried)  # type: ignore[arg-type]
        self.done += 1
        if sheds and endpoint_id in self.queue.endpoints:
            for item in self.queue.shed(endpoint_id):
                assert self.waiting.pop(item) == endpoint_id
                self.done += 1

    @rule()
    def empty(self) -> None:
        left = self.queue.empty()
        assert sorted(left) == sorted(self.waiting)
        self.done += len(left)
        self.waiting.clear()

    @invariant()
    def counted(self) -> None:
        queue = getattr(self, "queue", None)
        if queue is None:
            return
        assert queue.size == len(self.waiting) + self.reserved.total()
        assert queue.sending == len(self.sending)
        assert sum(queue.room.values()) == self.in_flight - len(self.sending)
        assert all(room >= 0 for room in queue.room.values())
        assert self.next == self.done + len(self.waiting) + len(self.sending)
        for lane in LANES:
            turns = {e for endpoints in queue.turns[lane].values() for e in endpoints}
            assert turns == {e for e, waiting in queue.endpoints.items() if waiting.items[lane]}

    def teardown(self) -> None:
        if not hasattr(self, "queue"):
            return
        for _ in range(10_000):
            self.take()
            if not self.sending:
                break
            self.end(OK, 0, False)
        assert not self.waiting
        assert not self.sending


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
