"""`kill -9` while runs are told as one message each: every message ends up with the run's final state, and a kill costs
a run one message more at the most."""

import http.server
import itertools
import os
import random
import re
import threading
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from tests.end_to_end.process import Server, Site, steady_port
from tests.end_to_end.verdict import wait_until_quiet
from tests.postgres import start_postgres
from tocsin.fakes import Answer, Asked
from tocsin.fakes.slack import Channel, FakeSlack, Message

pytestmark = pytest.mark.alone

SEED = int(os.environ.get("TOCSIN_TEST_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
PIPELINES = 4
STAGES = ("load", "train", "publish")
LONG = 100
FAILS_EVERY = 3
"""Every third run fails: that is a reply as well."""

LEASE_MS = 16_000
"""Long enough for one request, which may take ten seconds."""

NOTING_S = 3.0
"""A message that was posted so long before a kill was noted."""

READING_S = 0.5
"""So long after a kill the receiver may read what was sent just before it."""

ANSWERS_LATE_S = 0.5
PAUSE_S = 0.2
TOKEN = "xoxb-1234567890-tocsin-fake-workspace"


class Slack(FakeSlack):
    """Slack over HTTP, in this process; a channel for each pipeline. It answers late, so that a kill finds requests on
    their way, taken and not answered."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__(limits=False)
        self.channels = {channel: Channel(channel) for channel in map(channel_of, range(PIPELINES))}
        self.dice = dice
        self.lock = threading.Lock()
        self.moments: dict[str, tuple[int, int]] = {}  # by ts: when it was asked for, and answered
        slack = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                from_ns = time.monotonic_ns()
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                headers = {name.lower(): value for name, value in self.headers.items()}
                said = slack.take(Asked("POST", "slack.com", self.path, headers, body, time.time_ns() // 1_000_000))
                time.sleep(slack.dice.uniform(0, ANSWERS_LATE_S))
                ts = msgspec.json.decode(said.body).get("ts", "")
                slack.moments.setdefault(ts, (from_ns, time.monotonic_ns()))
                try:
                    self.send_response(said.status)
                    for name, value in {**said.headers, "content-length": str(len(said.body))}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(said.body)
                except OSError:  # whoever asked was killed
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]  # of those that were killed

    def take(self, asked: Asked) -> Answer:
        with self.lock:
            return self.answer(asked)

    @property
    def diversion(self) -> str:
        return f"slack.com=http://127.0.0.1:{self.server.server_address[1]}"

    def __enter__(self) -> "Slack":
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def channel_of(number: int) -> str:
    return f"C0LIVE{number:04}"


def add_endpoints(server: Server) -> None:
    """A channel for each pipeline, each with a bot of its own: limits of one do not slow the others. A channel takes a
    message a second: replies about stages would pile up."""
    for number in range(PIPELINES):
        settings = {"bot_token": f"{TOKEN}-{number}", "channel": channel_of(number), "stage_details": False}
        body = {"provider_type": "slack_bot", "name": f"live {number}", "enabled_events": [], "settings": settings}
        status, _, webhook = server.call("POST", "/v1/webhooks", body)
        assert status == 201, webhook
        about = {"event_types": ["run.*", "stage.*"], "pipelines": [f"live-{number}"]}
        rule = {"name": f"live {number}", "webhook_endpoint_ids": [webhook["id"]]} | about
        status, _, answer = server.call("POST", "/v1/alert-rules", rule)
        assert status == 201, answer


class Runs:
    """Runs with stages in all pipelines, one after another in each, until stopped; those under way get their end.

    ends: by run, the status of its end, once that was acknowledged. acked: how many events were acknowledged.
    """

    def __init__(self, server: Server) -> None:
        self.server = server
        self.ends: dict[str, str] = {}
        self.acked = 0
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._pipeline, args=(n,), daemon=True) for n in range(PIPELINES)]

    def __enter__(self) -> "Runs":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self.threads), "the runs did not end"

    def _pipeline(self, pipeline: int) -> None:
        for number in itertools.count():
            run_id = f"run-{pipeline}-{number}"
            steps = [("run.started", "")]
            for stage in STAGES:
                steps += [("stage.started", stage), ("stage.succeeded", stage)]
            end = "failed" if number % FAILS_EVERY == 0 else "succeeded"
            for type_, stage in [*steps, (f"run.{end}", "")]:
                about = {"pipeline": f"live-{pipeline}", "run_id": run_id} | ({"stage": stage} if stage else {})
                self._send({"id": f"{run_id}-{type_}-{stage}", "type": type_, "source": "load"} | about)
                if not self.stopping.is_set():
                    time.sleep(PAUSE_S)
            self.ends[run_id] = end
            if self.stopping.is_set():
                return

    def _send(self, event: dict[str, str]) -> None:
        """Until it is acknowledged: with its id it is one event however often it is sent."""
        until = time.monotonic() + 40
        while time.monotonic() < until:
            try:
                status, _, answer = self.server.call("POST", "/v1/events", event, timeout_s=5)
            except OSError:
                status, answer = 0, "no answer"
            if status == 202:
                self.acked += 1
                return
            assert status in (0, 429, 503), answer
            time.sleep(0.1)
        raise AssertionError(f"{event} was never taken")


def kill_again_and_again(site: Site, slack: Slack, api: Server, worker: Server, kills: int) -> str:
    """Kills what sends, at moments that only the seed knows. Returns the numbers; raises where anything is wrong."""
    dice = random.Random(SEED)
    servers = list({id(server): server for server in (api, worker)}.values())
    for server in servers:
        server.start()
    add_endpoints(api)
    killed: list[int] = []
    with Runs(api) as runs:
        for _ in range(kills):
            time.sleep(dice.uniform(0.2, 1.0))
            killed.append(worker.kill())
            worker.start()
    wait_until_quiet(site)
    return judge(site, slack, runs, killed)


def judge(site: Site, slack: Slack, runs: Runs, killed: list[int]) -> str:
    roots: dict[str, list[Message]] = {}
    for message in [one for channel in slack.channels.values() for one in channel.messages if not one.thread_ts]:
        found = re.search(r"Run (run-\d+-\d+)\.", message.text)
        assert found is not None, message.text
        roots.setdefault(found[1], []).append(message)
    extra = 0
    for run_id, end in runs.ends.items():
        of_run = sorted(roots.get(run_id, []), key=lambda one: slack.moments[one.ts][0])
        assert of_run, f"seed {SEED}: {run_id} was never told"
        assert end in of_run[-1].text, f"seed {SEED}: {run_id} {end}, and its message says: {of_run[-1].text}"
        for first, second in itertools.pairwise(of_run):
            from_ns, to_ns = slack.moments[first.ts]
            until_ns = min(slack.moments[second.ts][0], to_ns + int(NOTING_S * 1e9))
            since = sorted(((at_ns - from_ns) / 1e9 for at_ns in killed), key=abs)[:2]
            assert any(from_ns - int(READING_S * 1e9) <= at_ns <= until_ns for at_ns in killed), (
                f"seed {SEED}: {run_id} has two messages, and nothing was killed in between; kills after {since} s"
            )
            extra += 1
        if end == "failed":
            told = [one.text for root in of_run for one in (root, *root.replies)]
            assert any("failed" in one for one in told)
    assert set(roots) == set(runs.ends)
    states = Counter(status for (status,) in site.rows("SELECT status FROM delivery"))
    assert states == {"delivered": runs.acked}, f"seed {SEED}: {states}, {runs.acked} events acknowledged"
    edits = sum(len(root.edits) for of_run in roots.values() for root in of_run)
    return f"{len(killed)} kills; {runs.acked} events of {len(roots)} runs, {edits} edits, {extra} messages more"


def on_sqlite(folder: Path, kills: int) -> str:
    with (
        Slack(random.Random(SEED)) as slack,
        Site(folder / "site", settings={"TOCSIN_CONNECT_TO": slack.diversion}) as site,
    ):
        server = site.server()
        return kill_again_and_again(site, slack, server, server, kills)


def on_postgres(folder: Path, kills: int) -> str:
    """The API and the worker are processes of their own; a message of a killed worker is free when its lease ends."""
    postgres = start_postgres(folder, durable=True, port=steady_port())
    try:
        with Slack(random.Random(SEED)) as slack:
            settings, lease = {"TOCSIN_CONNECT_TO": slack.diversion}, {"TEST_LEASE_MS": str(LEASE_MS)}
            with Site(folder / "site", postgres=postgres, database="live", settings=settings, changes=lease) as site:
                return kill_again_and_again(site, slack, site.server("api"), site.server("worker"), kills)
    finally:
        postgres.remove()


def test_kills_while_messages_are_kept_up_to_date(tmp_path: Path) -> None:
    print(f"\nSQLite: {on_sqlite(tmp_path, 3)}")


@pytest.mark.proof
def test_many_kills_on_sqlite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = on_sqlite(tmp_path, LONG)
    with capsys.disabled():
        print(f"\nSQLite, seed {SEED}: {said}")


@pytest.mark.proof
def test_many_kills_on_postgres(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = on_postgres(tmp_path, LONG)
    with capsys.disabled():
        print(f"\nPostgreSQL, seed {SEED}: {said}")
