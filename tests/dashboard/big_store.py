"""What a large installation has after a month, put under what `filled.py` tells: 100,000 runs, 500,000 events and
1,000,000 deliveries with their attempts, a fifth of them in the last day. Written in bulk, straight into the tables:
told over the API it would take an hour.

Ids carry the time at which a thing was made, as real ones do. Most deliveries got there at the first try; some are
tried again, dead letters, held back. Nothing of it is due, so that nothing is sent while pages are measured.
"""

import json
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import apsw
import asyncpg
import msgspec
from msgspec import Struct
from structlog.testing import capture_logs

from tests.dashboard.filled import Filled, company, settings_of
from tests.harness import Clock, Running, receiving, running
from tests.web.browser import Browser

DAY_MS = 86_400_000
DAYS = 30
RUNS = 100_000
EVENTS_OF_RUN = 5
DELIVERIES_OF_EVENT = 2
LAST_DAY = 0.2
"""The share of all that was made in the last day."""

PIPELINES = tuple(
    f"{team}/{job}"
    for team in ("etl", "dbt", "ml", "sales", "risk", "ops")
    for job in ("orders", "customers", "carts", "stock", "prices", "clicks", "marts", "ranker", "churn", "ledger")
)
TENANT = "default"
PORTION = 50_000
KEPT = "about.json"

Row = tuple[Any, ...]
COLUMNS = {
    "run": "tenant_id id pipeline run_id attempt status started_ms finished_ms updated_ms error stages about",
    "event": "tenant_id uid id source type kind severity pipeline run_id stage time_ms received_ms content trace",
    "delivery": "tenant_id id event_uid endpoint_id rule_id provider_type event_type status reason attempts due_ms "
    "expires_ms body http_status error created_ms updated_ms delivered_ms",
    "attempt": "tenant_id delivery_id number endpoint_id started_ms duration_ms outcome http_status error "
    "response_body",
    "day_taken": "tenant_id day writer events unheard deliveries",
}

TYPES = ("run.started", "stage.started", "stage.succeeded", "data.quality", "run.succeeded")
LABELS = {"env": "prod", "team": "data"}
LINKS = {"run": "https://airflow.example/dags/orders/runs/1", "logs": "https://logs.example/q?a=1&b=2"}
DATA = {"rows": 48_211, "revenue": "1,284,310", "dropped_share": 0.002}


def id_of(prefix: str, ms: int, number: int) -> str:
    return f"{prefix}_{ms:012x}{number:020x}"


def fate_of(number: int, recent: bool) -> tuple[str, str, int, int | None, str]:
    """(status, reason, attempts, HTTP status, error) of the delivery with this number."""
    if number % 2000 == 7 and recent:
        return "retrying", "", 3, 503, "HTTP 503: upstream connect error"
    if number % 500 == 11:
        return "dead", "attempts used up", 10, 500, "HTTP 500: Internal Server Error"
    if number % 2000 == 13:
        return "expired", "too old", 9, None, "no connection"
    if number % 40 == 17:
        return "suppressed", "silenced: maintenance", 0, None, ""
    if number % 100_000 == 19:
        return "delivered", "", 2, 418, ""
    return "delivered", "", 1, 200, ""


class Month:
    """Its rows, a run after the other. `wheres`: (endpoint, provider) pairs; `rules`: ids."""

    def __init__(self, end_ms: int, wheres: Sequence[tuple[str, str]], rules: Sequence[str]) -> None:
        self.end_ms = end_ms
        self.wheres = wheres
        self.rules = rules

    def moments(self) -> Iterator[tuple[int, int]]:
        """(number, when it began) of each run."""
        before = round(RUNS * (1 - LAST_DAY))
        spans = (
            (0, before, self.end_ms - DAYS * DAY_MS, (DAYS - 1) * DAY_MS),
            (before, RUNS, self.end_ms - DAY_MS, DAY_MS - 600_000),
        )
        for first, end, begin_ms, lasts_ms in spans:
            for number in range(first, end):
                yield number, begin_ms + (number - first) * lasts_ms // (end - first)

    def rows(self) -> Iterator[tuple[str, Row]]:
        days: dict[int, int] = {}
        for number, began_ms in self.moments():
            pipeline, run_id = PIPELINES[number % len(PIPELINES)], f"scheduled__{number:06}"
            status = "failed" if number % 17 == 3 else "warning" if number % 50 == 4 else "succeeded"
            runs = number % 20_000 == 5 or (number > RUNS - 50 and number % 5 == 0)
            yield "run", self.run(number, began_ms, pipeline, run_id, "running" if runs else status)
            for part in range(EVENTS_OF_RUN):
                made_ms = began_ms + part * 60_000
                days[made_ms // DAY_MS] = days.get(made_ms // DAY_MS, 0) + 1
                type_ = "run.failed" if part == EVENTS_OF_RUN - 1 and status == "failed" else TYPES[part]
                uid = id_of("evt", made_ms, number * EVENTS_OF_RUN + part)
                yield "event", self.event(uid, made_ms, pipeline, run_id, type_)
                for place in range(DELIVERIES_OF_EVENT):
                    at = (number * EVENTS_OF_RUN + part) * DELIVERIES_OF_EVENT + place
                    yield from self.delivery(at, made_ms, uid, type_)
        for day, events in days.items():
            yield "day_taken", (TENANT, day, "month", events, 0, events * DELIVERIES_OF_EVENT)

    def run(self, number: int, began_ms: int, pipeline: str, run_id: str, status: str) -> Row:
        end_ms = None if status == "running" else began_ms + 240_000
        stages: list[dict[str, object]] = [
            {"name": name, "status": "succeeded", "started_ms": began_ms, "finished_ms": began_ms + 100_000}
            | {"error": "", "map_index": None, "attempt": 1, "will_retry": False}
            for name in ("extract", "load")
        ]
        about = {"type": f"run.{status}", "labels": LABELS, "data": DATA, "links": LINKS, "from_ms": began_ms}
        error = "No space left on device" if status == "failed" else ""
        times = (began_ms, end_ms, end_ms or began_ms)
        id_ = id_of("run", began_ms, number)
        return TENANT, id_, pipeline, run_id, 1, status, *times, error, json.dumps(stages), json.dumps(about)

    def event(self, uid: str, made_ms: int, pipeline: str, run_id: str, type_: str) -> Row:
        severity, stage = "error" if type_ == "run.failed" else "info", "load" if type_.startswith("stage") else ""
        content = json.dumps({"title": f"{type_} of {pipeline}", "labels": LABELS, "data": DATA, "links": LINKS})
        trace = json.dumps({"at_ms": made_ms, "rules": len(self.rules)})
        what = (uid, uid, "airflow", type_, type_, severity, pipeline, run_id, stage)
        return TENANT, *what, made_ms, made_ms, content, trace

    def delivery(self, number: int, made_ms: int, uid: str, type_: str) -> Iterator[tuple[str, Row]]:
        place = number % len(self.wheres)
        endpoint, provider = self.wheres[place]
        rule = self.rules[(place * 2 + made_ms // 1000 % 2) % len(self.rules)]  # two lead to each endpoint
        status, reason, attempts, code, error = fate_of(number, recent=self.end_ms - made_ms < DAY_MS)
        id_ = id_of("dlv", made_ms, number)
        due_ms = self.end_ms + DAY_MS if status == "retrying" else made_ms
        done_ms = made_ms + 90 if status == "delivered" else None
        body = json.dumps({"id": uid, "type": type_, "data": DATA, "links": LINKS}).encode()
        what = (id_, uid, endpoint, rule, provider, type_, status, reason, attempts)
        yield (
            "delivery",
            ((TENANT, *what, due_ms, due_ms + DAY_MS, body, code, error, made_ms, made_ms + attempts, done_ms)),
        )
        for attempt in range(1, attempts + 1):
            ended = "sent" if attempt == attempts and status == "delivered" else "failed"
            took_ms = 20 + number * 7919 % 300
            yield "attempt", (TENANT, id_, attempt, endpoint, made_ms, took_ms, ended, code, error, error or "ok")


async def grow(filled: Filled) -> None:
    """Puts the month before the two days of `filled` and among them."""
    tocsin = filled.tocsin
    for number in range(20):
        endpoint = {"provider_type": "in_app", "name": f"Team {number}", "settings": {"user_id": "ana@example.com"}}
        made = (await tocsin.client.post("/v1/webhooks", endpoint)).ok(201)
        for half in ("a", "b"):
            rule = {"name": f"Rule {number}{half}", "event_types": ["no.such.event"], "pipelines": [f"etl/{number}*"]}
            (await tocsin.client.post("/v1/alert-rules", rule | {"webhook_endpoint_ids": [made["id"]]})).ok(201)
    endpoints = (await tocsin.client.get("/v1/webhooks?limit=100")).ok()["items"]
    rules = (await tocsin.client.get("/v1/alert-rules?limit=100")).ok()["items"]
    wheres = [(one["id"], one["provider_type"]) for one in endpoints]
    month = Month(tocsin.clock.now_ms, wheres, [one["id"] for one in rules])
    await (into_sqlite if tocsin.dialect == "sqlite" else into_postgres)(tocsin, month)


def portions(month: Month) -> Iterator[tuple[str, list[Row]]]:
    """Rows of one table, many at a time: all of them together would fill the memory."""
    rows: dict[str, list[Row]] = {table: [] for table in COLUMNS}
    for table, row in month.rows():
        rows[table].append(row)
        if len(rows[table]) >= PORTION:
            yield table, rows.pop(table)
            rows[table] = []
    yield from rows.items()


async def into_sqlite(tocsin: Running, month: Month) -> None:
    db: Any = tocsin.app.db
    async with db.transaction():
        writer: apsw.Connection = db.writer
        for table, rows in portions(month):
            names = COLUMNS[table].split()
            marks = ", ".join("?" * len(names))
            writer.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", rows)


async def into_postgres(tocsin: Running, month: Month) -> None:
    db: Any = tocsin.app.db
    connection = await asyncpg.connect(db.dsn)
    for day in range(DAYS + 1):
        await connection.execute("SELECT make_attempt_partition($1)", (tocsin.clock.now_ms // DAY_MS - day) * DAY_MS)
    for table, rows in portions(month):
        await connection.copy_records_to_table(table, records=rows, columns=COLUMNS[table].split())
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


# Keeping one: growing it takes minutes.


class Kept(Struct):
    """What is known of a store besides what is in it. `cookies`: name and value, by whose they are."""

    now_ms: int
    ids: dict[str, dict[str, str]]
    deliveries: dict[str, str]
    runs: dict[str, str]
    cookies: dict[str, dict[str, str]]
    csrf: dict[str, str]


def kept_of(filled: Filled) -> Kept:
    cookies = {
        who: {name: morsel.value for name, morsel in person.cookies.items()} for who, person in filled.people.items()
    }
    csrf = {who: person.csrf for who, person in filled.people.items()}
    return Kept(filled.tocsin.clock.now_ms, filled.ids, filled.deliveries, filled.runs, cookies, csrf)


def filled_of(tocsin: Running, kept: Kept) -> Filled:
    """The same people, still signed in."""
    people = {}
    for who, cookies in kept.cookies.items():
        person = people[who] = Browser(tocsin)
        person.csrf = kept.csrf[who]
        person.keep(tuple(f"{name}={value}" for name, value in cookies.items()))
    return Filled(tocsin, people["operator"], kept.ids, kept.deliveries, kept.runs, people)


@asynccontextmanager
async def big_store(store: Mapping[str, str], folder: Path) -> AsyncIterator[Filled]:
    """A store with all that. What was left in `folder` (and in the database of `store`) is opened again, at the time at
    which it was left."""
    about = folder / KEPT
    if not about.exists():
        for left in ("first", "data"):
            shutil.rmtree(folder / left, ignore_errors=True)  # of one that was not grown to its end
        (folder / "first").mkdir()
        async with company(store, folder / "first") as found:
            await grow(found)
            about.write_bytes(msgspec.json.encode(kept_of(found)))
    kept = msgspec.json.decode(about.read_bytes(), type=Kept)
    clock = Clock()
    clock.now_ms = kept.now_ms
    with capture_logs() as logs:
        async with receiving(clock) as receiver:
            environment = dict(store) | {"TOCSIN_FLOWS": str(folder / "first" / "flows")} | settings_of(receiver)
            async with running(environment, clock, receiver) as tocsin:
                yield filled_of(tocsin, kept)
    crashes = [entry for entry in logs if entry.get("exc_info")]
    assert not crashes, crashes
