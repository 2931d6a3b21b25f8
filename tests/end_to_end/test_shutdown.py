"""Stopping, hanging and a store that goes away: nothing is lost, nothing is sent that cannot be noted, all heals."""

import signal
import time
from pathlib import Path

import apsw
import pytest

from tests.end_to_end.ledger import Load
from tests.end_to_end.process import LEASE_MS, Server, Site, short_lease, wait_for
from tests.end_to_end.receiver import Receiver, counted
from tests.end_to_end.verdict import wait_until_quiet
from tests.postgres import PostgresServer

HEALS_S = 10.0


def post(server: Server, count: int, type_: str = "load.one") -> None:
    status, _, answer = server.call("POST", "/v1/events", {"events": [{"type": type_} for _ in range(count)]})
    assert status == 202, answer


def no_duplicates(receiver: Receiver) -> bool:
    return all(len(arrivals) == 1 for arrivals in counted(receiver.arrivals()).values())


def statuses(site: Site) -> dict[str, int]:
    return {row[0]: int(row[1]) for row in site.rows("SELECT status, count(*) FROM delivery GROUP BY status")}


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_sigterm_lets_what_is_on_its_way_end(
    store: str, tmp_path: Path, receiver: Receiver, durable_postgres: PostgresServer
) -> None:
    """Some are at a receiver that answers in 0.6 s, others wait; the rest goes out after the next start, once each."""
    given = {"postgres": durable_postgres, "database": "drain"} if store == "postgres" else {}
    with Site(tmp_path / "site", **given) as site:  # type: ignore[arg-type]
        server = site.server().start()
        server.add_webhook(receiver.url("/slow/0.6"), ["load.one"])
        post(server, 100)
        wait_for("ten are on their way", lambda: len(receiver.arrivals()) >= 10, 5.0, 0.01)
        began = time.monotonic()
        assert server.stop() == 0, server.log()[-2000:]
        took_s, at_stop = time.monotonic() - began, statuses(site)
        assert took_s < 5.0, f"stopping took {took_s:.1f} s"
        assert at_stop.get("delivered") == len(receiver.arrivals()), "an answer came and was not recorded"
        assert set(at_stop) <= {"delivered", "pending"}, f"left behind: {at_stop}"
        assert at_stop.get("pending", 0) > 0, "nothing was left to hand back; the test shows nothing"
        server.start()
        wait_until_quiet(site, 20.0)
        assert statuses(site) == {"delivered": 100}
    assert len(receiver.arrivals()) == 100
    assert no_duplicates(receiver)


def test_sigterm_under_load_makes_no_duplicates(
    tmp_path: Path, receiver: Receiver, durable_postgres: PostgresServer
) -> None:
    """Three stops of a worker on PostgreSQL at full speed: each result that came in is written before the end."""
    with Site(tmp_path / "site", postgres=durable_postgres, database="stops") as site:
        api, worker = site.server("api").start(), site.server("worker").start()
        api.add_webhook(receiver.url("/ok/all"), ["load.*"])
        with Load([api.url], site.token, per_s=150, seed=1) as load:
            for stops in range(1, 4):
                wait_for("it sends", lambda: len(receiver.arrivals()) >= stops * 60, 10.0, 0.002)  # noqa: B023
                assert worker.stop() == 0, worker.log()[-2000:]
                left = site.rows("SELECT count(*) FROM delivery WHERE status = 'sending'")
                assert left == [("0",)], f"{left[0][0]} deliveries were left leased"
                worker.start()
            ledger = load.stop()
        wait_until_quiet(site, 20.0)
        assert not ledger.broken_promises
        assert statuses(site) == {"delivered": len(counted(receiver.arrivals()))}
    assert no_duplicates(receiver)


def test_sigterm_ends_the_process_while_the_store_is_away(
    tmp_path: Path, receiver: Receiver, durable_postgres: PostgresServer
) -> None:
    with Site(
        tmp_path / "site", postgres=durable_postgres, database="away", settings={"TOCSIN_DRAIN_SECONDS": "2"}
    ) as site:
        server = site.server().start()
        server.add_webhook(receiver.url("/gate"), ["load.one"])
        post(server, 5)
        wait_for("five are on their way", lambda: len(receiver.arrivals()) == 5, 5.0, 0.01)
        durable_postgres.kill()
        try:
            receiver.gate(is_open=True)
            began = time.monotonic()
            server.stop(within_s=12.0)
            print(f"\nstopped within {time.monotonic() - began:.1f} s")
        finally:
            durable_postgres.restart()


def test_a_worker_that_hung_for_longer_than_its_lease_is_fenced(
    tmp_path: Path, receiver: Receiver, durable_postgres: PostgresServer
) -> None:
    """The other worker takes over; what the first one says when it wakes up is too late and changes nothing."""
    changes = short_lease()
    with Site(tmp_path / "site", postgres=durable_postgres, database="fence", changes=changes) as site:
        api, first = site.server("api").start(), site.server("worker").start()
        api.add_webhook(receiver.url("/slow/0.3"), ["load.one"])
        post(api, 6)
        wait_for("six are on their way", lambda: len(receiver.arrivals()) == 6, 5.0, 0.005)
        first.signal(signal.SIGSTOP)
        second = site.server("worker").start()
        wait_for("the other worker took over", lambda: statuses(site) == {"delivered": 6}, LEASE_MS / 1000 + 10)
        took = "SELECT delivery_id, number, outcome FROM attempt ORDER BY delivery_id"
        before = site.rows(took)
        first.signal(signal.SIGCONT)
        wait_for("the first worker noticed", lambda: "lease_lost" in first.log(), 10.0)
        assert statuses(site) == {"delivered": 6}
        assert site.rows(took) == before, "a result that came too late was written"
        assert [number for _, number, _ in before] == ["1"] * 6
        for arrivals in counted(receiver.arrivals()).values():
            assert len(arrivals) <= 2
            assert len({arrival.body for arrival in arrivals}) == 1
        assert first.stop() == 0
        assert second.stop() == 0


def test_a_second_process_on_one_sqlite_directory_is_refused(tmp_path: Path) -> None:
    with Site(tmp_path) as site:
        site.server().start()
        done = site.run("serve", "--port", "0", expect=None)
        assert done.returncode == 2
        assert str(site.data_dir) in done.stderr
        assert "Another Tocsin already uses" in done.stderr
        assert "TOCSIN_DATABASE_URL" in done.stderr
        assert "Traceback" not in done.stderr


def refused_with_retry_after(server: Server) -> bool:
    status, headers, answer = server.call("POST", "/v1/events", {"type": "load.one"}, timeout_s=15)
    assert status in (202, 503), answer
    if status == 503:
        assert int(headers["retry-after"]) >= 1
        assert answer["status"] == 503
    return status == 503


def test_a_read_only_postgres_stops_the_senders_and_heals(
    tmp_path: Path, receiver: Receiver, durable_postgres: PostgresServer
) -> None:
    """F14: what cannot be recorded is not sent, or it would be sent again and again."""
    with Site(tmp_path / "site", postgres=durable_postgres, database="readonly") as site:
        server = site.server().start()
        server.add_webhook(receiver.url("/slow/0.4"), ["load.*"])
        post(server, 250)
        wait_for("it sends", lambda: len(receiver.arrivals()) > 20, 5.0, 0.002)
        durable_postgres.run_sql("ALTER SYSTEM SET default_transaction_read_only = on")
        durable_postgres.run_sql("SELECT pg_reload_conf()")
        wait_for("the API refuses", lambda: refused_with_retry_after(server), 5.0)
        wait_for("the senders noticed", lambda: "record_unavailable" in server.log(), 5.0)
        time.sleep(0.6)  # an answer that was under way may still come
        sent = len(receiver.arrivals())
        time.sleep(1.0)
        assert len(receiver.arrivals()) == sent < 250, "it went on sending what it could not record"
        assert statuses(site).get("pending", 0) + statuses(site).get("sending", 0) > 0, "nothing was left to send"
        durable_postgres.run_sql("BEGIN READ WRITE; SET LOCAL default_transaction_read_only = off; COMMIT")
        durable_postgres.run_sql("ALTER SYSTEM RESET default_transaction_read_only")
        durable_postgres.run_sql("SELECT pg_reload_conf()")
        healed_s = wait_for("it takes events again", lambda: not refused_with_retry_after(server), HEALS_S)
        wait_until_quiet(site, 30.0)
        assert set(statuses(site)) == {"delivered"}
        print(f"\nheals in {healed_s:.1f} s")
    assert no_duplicates(receiver)


def test_a_locked_sqlite_stops_the_senders_and_heals(tmp_path: Path, receiver: Receiver) -> None:
    """F18: another program holds the file for longer than we wait, and longer than a lease."""
    with Site(tmp_path / "site", changes=short_lease() | {"TEST_LOCK_WAIT_S": "0.5"}) as site:
        server = site.server().start()
        server.add_webhook(receiver.url("/slow/0.4"), ["load.one"])
        post(server, 250)
        wait_for("it sends", lambda: len(receiver.arrivals()) > 20, 5.0, 0.002)
        other = apsw.Connection(str(site.data_dir / "tocsin.db"))
        other.set_busy_timeout(5000)
        other.execute("BEGIN IMMEDIATE")
        locked_at = time.monotonic()
        wait_for("the API refuses", lambda: refused_with_retry_after(server), 10.0)
        wait_for("the senders noticed", lambda: "record_unavailable" in server.log(), 10.0)
        time.sleep(0.4)  # an answer that was under way may still come
        sent = len(receiver.arrivals())
        time.sleep(max(0.5, locked_at + LEASE_MS / 1000 + 0.2 - time.monotonic()))
        assert len(receiver.arrivals()) == sent < 250, "it went on sending what it could not record"
        other.execute("ROLLBACK")
        other.close()
        wait_for("it takes events again", lambda: not refused_with_retry_after(server), HEALS_S)
        wait_until_quiet(site, 30.0)
        assert set(statuses(site)) == {"delivered"}
    assert no_duplicates(receiver)


def test_a_restart_of_postgres_under_load_heals(
    tmp_path: Path, receiver: Receiver, durable_postgres: PostgresServer
) -> None:
    with Site(tmp_path / "site", postgres=durable_postgres, database="restart") as site:
        api, worker = site.server("api").start(), site.server("worker").start()
        api.add_webhook(receiver.url("/ok/all"), ["load.*"])
        with Load([api.url], site.token, per_s=150, seed=1) as load:
            wait_for("it sends", lambda: len(receiver.arrivals()) > 50, 10.0, 0.01)
            durable_postgres.restart()
            before = len(receiver.arrivals())
            healed_s = wait_for("it sends again", lambda: len(receiver.arrivals()) > before + 50, HEALS_S, 0.01)
            ledger = load.stop()
        wait_until_quiet(site, 20.0)
        assert not ledger.broken_promises, ledger.broken_promises[:3]
        assert api.is_running()
        assert worker.is_running()
        stored = {row[0] for row in site.rows("SELECT id FROM event")}
        assert ledger.acked.keys() <= stored
        assert set(statuses(site)) == {"delivered"}
        print(f"\nheals in {healed_s:.1f} s; answers {ledger.answers}")
    assert no_duplicates(receiver)
