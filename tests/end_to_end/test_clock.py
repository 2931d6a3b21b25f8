"""Clocks that are set, and clocks that differ: nothing comes twice for it, nothing waits for it (F22)."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.process import Server, Site, short_lease, steady_port, wait_for
from tests.end_to_end.receiver import Receiver, counted
from tests.postgres import PostgresServer, start_postgres

HOUR_S = 3600


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = start_postgres(tmp_path_factory.mktemp("postgres"), durable=False, port=steady_port())
    yield server
    server.remove()


def wrong_clock(folder: Path) -> dict[str, str]:
    """What leads a process to read `folder`/clock; for `changes`. Looks at its clock ten times in a second."""
    (folder / "clock").write_text("0")
    return {"TEST_CLOCK": str(folder / "clock"), "TEST_FOLLOW_S": "0.1"}


def post(server: Server, type_: str, count: int) -> None:
    status, _, answer = server.call("POST", "/v1/events", {"events": [{"type": type_} for _ in range(count)]})
    assert status == 202, answer


def delivered(site: Site, count: int) -> bool:
    return site.rows("SELECT status, count(*) FROM delivery GROUP BY status") == [("delivered", str(count))]


def once_each(receiver: Receiver, count: int) -> bool:
    arrivals = counted(receiver.arrivals())
    return len(arrivals) == count and all(len(a) == 1 and a[0].signed for a in arrivals.values())


def test_a_clock_that_is_set_has_nothing_sent_twice(tmp_path: Path, receiver: Receiver) -> None:
    """F22: an hour on, two hours back, past January 2038. What is on its way comes home, and nothing is thrown away."""
    with Site(tmp_path / "site", changes=short_lease() | wrong_clock(tmp_path)) as site:
        server = site.server().start()
        server.add_webhook(receiver.url("/slow/1"), ["slow"])
        for sets, by_s in enumerate((HOUR_S, -HOUR_S, 13 * 365 * 24 * HOUR_S), 1):
            post(server, "slow", 4)
            wait_for("four are on their way", lambda: len(receiver.arrivals()) == sets * 4, 5.0, 0.005)  # noqa: B023
            (tmp_path / "clock").write_text(str(by_s))
            wait_for("it noticed", lambda: server.log().count("clock.set") == sets, 5.0)  # noqa: B023
            wait_for("all came home", lambda: delivered(site, sets * 4), 8.0)  # noqa: B023
        post(server, "other", 1)
        received = int(site.rows("SELECT received_ms FROM event WHERE type = 'other'")[0][0]) / 1000
        assert abs(received - time.time() - by_s) < 10, "events carry the time that the clock shows now"
        time.sleep(1.1)  # a sweep later nothing was taken for lost, and nothing for too old
        assert delivered(site, 12)
    assert len(receiver.arrivals()) == 12


def test_processes_whose_clocks_differ_share_one_time(
    tmp_path: Path, receiver: Receiver, postgres: PostgresServer
) -> None:
    """F22: a worker an hour ahead of the others neither takes their leases nor pauses their endpoints."""
    with Site(tmp_path / "site", postgres=postgres, database="clocks", changes=short_lease()) as site:
        api, right = site.server("api").start(), site.server("worker").start()
        api.add_webhook(receiver.url("/slow/1"), ["slow"])
        post(api, "slow", 8)
        wait_for("eight are on their way", lambda: len(receiver.arrivals()) == 8, 5.0, 0.005)
        site.environment |= wrong_clock(tmp_path)
        (tmp_path / "clock").write_text(str(HOUR_S))
        wrong = site.server("worker").start()
        wait_for("all came home", lambda: delivered(site, 8), 8.0)
        assert once_each(receiver, 8)
        right.kill()
        api.add_webhook(receiver.url("/ok/1"), ["quick"])
        post(api, "quick", 1)
        wait_for("the wrong one sends it at once", lambda: delivered(site, 9), 8.0)
        assert once_each(receiver, 9), "a signature carries the database's time"
        assert wrong.is_running()
