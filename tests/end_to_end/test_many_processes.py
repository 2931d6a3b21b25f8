"""Many processes on one PostgreSQL: each message once, each limit in sum, in whatever order they start (F21)."""

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.ledger import Load
from tests.end_to_end.process import Server, Site, wait_for
from tests.end_to_end.receiver import Receiver, counted
from tests.end_to_end.verdict import wait_until_quiet
from tests.postgres import PostgresServer

RATE_PER_S = 10
"""To one Slack webhook, from all workers together."""


@dataclass
class Done:
    acked: int
    deliveries: int
    twice: int
    most_in_a_second: int
    limited: int
    seconds: float
    answers: str

    def __str__(self) -> str:
        return (
            f"{self.acked} events acknowledged, {self.deliveries} deliveries, {self.twice} came twice; "
            f"{self.limited} to the limited one, {self.most_in_a_second} in a second at the most; "
            f"{self.seconds:.0f} s; {self.answers}"
        )


def run(folder: Path, postgres: PostgresServer, name: str, *, workers: int, apis: int, per_s: float, s: float) -> Done:
    """Load over all APIs, to three webhooks and one that is limited; each process is up before the load begins."""
    with Receiver(folder / "receiver") as receiver:
        settings = {
            "SLACK_RATE_LIMIT_PER_WEBHOOK": str(RATE_PER_S),
            "TOCSIN_CONNECT_TO": f"hooks.slack.com={receiver.url('')}",
        }
        with Site(folder / "site", postgres=postgres, database=name, settings=settings) as site:
            servers = [site.server("api") for _ in range(apis)] + [site.server("worker") for _ in range(workers)]
            for server in servers:
                server.launch()
            for server in servers:
                server.wait_until_ready()
            add_webhooks(servers[0], receiver)
            began = time.monotonic()
            with Load([server.url for server in servers[:apis]], site.token, per_s=per_s, seed=1) as load:
                time.sleep(s)
                limited_ones = [{"type": "limited", "id": f"limited-{n}"} for n in range(int(RATE_PER_S * s))]
                wait_for(
                    "the limited ones are taken",
                    lambda: servers[0].call("POST", "/v1/events", {"events": limited_ones})[0] == 202,
                    30.0,
                    1.0,
                )
                ledger = load.stop()
            wait_until_quiet(site, 120.0)
            seconds = time.monotonic() - began
            assert not ledger.broken_promises, ledger.broken_promises[:3]
            assert set(ledger.answers) <= {"202", "503"}, ledger.answers
            rows = site.rows("SELECT status, count(*) FROM delivery GROUP BY status")
            assert [row[0] for row in rows] == ["delivered"], rows
            assert site.rows("SELECT count(*) FROM attempt") == [(rows[0][1],)], "something was tried twice"
            for server in servers:
                assert "lease_lost" not in server.log()
                assert "Traceback" not in server.log(), server.log()[-3000:]
        arrivals = receiver.arrivals()
    limited = sorted(a.at_ns for a in arrivals if a.path.startswith("/services/"))
    others = counted([a for a in arrivals if not a.path.startswith("/services/")])
    most = max(sum(at <= other < at + 1_000_000_000 for other in limited) for at in limited)
    twice = sum(len(a) > 1 for a in others.values()) + len(limited) - int(RATE_PER_S * s)
    got = {a.event for a in arrivals}
    assert ledger.acked.keys() <= got, f"{len(ledger.acked.keys() - got)} acknowledged events never came"
    return Done(len(ledger.acked), int(rows[0][1]), twice, most, len(limited), seconds, str(ledger.answers))


def add_webhooks(server: Server, receiver: Receiver) -> None:
    for path, types in (("/ok/one", ["load.one"]), ("/ok/two", ["load.two"]), ("/ok/all", ["load.*"])):
        server.add_webhook(receiver.url(path), types, path)
    url = "https://hooks.slack.com/services/T00000001/B00000001/abcdefghijklmnopqrstuvwx"
    body = {"provider_type": "slack", "name": "limited", "webhook_url": url, "enabled_events": ["limited"]}
    status, _, answer = server.call("POST", "/v1/webhooks", body)
    assert status == 201, answer


def judge(done: Done) -> None:
    assert done.twice == 0, done
    assert done.most_in_a_second <= RATE_PER_S + 2, done  # two arrive with what the network had held up
    assert done.limited >= RATE_PER_S


def test_four_processes_send_everything_once(tmp_path: Path, durable_postgres: PostgresServer) -> None:
    done = run(tmp_path, durable_postgres, "four", workers=2, apis=2, per_s=80, s=2.0)
    print(f"\n{done}")
    judge(done)


@pytest.mark.proof
def test_ten_processes_send_everything_once(
    tmp_path: Path, durable_postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    done = run(tmp_path, durable_postgres, "ten", workers=8, apis=2, per_s=60, s=60.0)
    with capsys.disabled():
        print(f"\n8 workers and 2 APIs: {done}")
    judge(done)
