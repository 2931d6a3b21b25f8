"""A store in which there is everything that a page can show: two days at a small company, told over the API.

`fill(tocsin)` for what looks real; `fill(tocsin, hostile)` for the same with an attack in every word that somebody
outside can choose. The clock ends about where the browser's is, so that "3 h ago" is true on both sides.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, cycle
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from tests.harness import Client, Clock, Receiver, Reply, Running, receiving, running
from tests.web.browser import PASSWORD, account_of, set_up
from tests.web.browser import Browser as Forms
from tocsin.cli.demo_page.story import ERROR
from tocsin.fakes.discord import FakeDiscord
from tocsin.fakes.pagerduty import FakePagerDuty
from tocsin.fakes.slack import FakeSlack
from tocsin.model.ids import NewId
from tocsin.provider_kit.body import rfc3339

HOUR = 3600.0
LASTS_S = 46 * HOUR
"""How long the story is, in the clock's time."""

SLACK_TOKEN = "xoxb-1234567890-tocsin-fake-workspace"
DISCORD = "https://discord.com/api/webhooks/100000000000000001/" + "filled" * 11 + "ab"
ROUTING_KEY = "filled00" * 4

FLOW = """\
id: nightly-report
namespace: company.sales
description: Counts the orders of the day and tells the team.
inputs:
  - {id: day, type: STRING, required: false}
tasks:
  - {id: count, type: io.kestra.plugin.core.log.Log, message: "orders of {{ inputs.day }}"}
  - {id: tell, type: io.kestra.plugin.core.log.Log, message: told}
"""
BROKEN_FLOW = "id: broken\nnamespace: company.sales\ntasks:\n  - {id: a, type: no.such.Task}\n"

STAGES = ("extract", "transform", "load", "report")
MOST_AT_ONCE = 50

Say = Callable[[str], str]


def plainly(text: str) -> str:
    return text


TRAP = "window.__ran=1"
ATTACKS = (
    f"<script>{TRAP}</script>",
    f"<img src=https://evil.example/x.png onerror={TRAP}>",
    f"\"'><svg/onload={TRAP}>",
    f"javascript:{TRAP}//",
    f"</textarea></title></style><script>{TRAP}</script>",
    "{{7*7}}{% for a in [].__class__.__mro__ %}${7*7}#{7*7}<%=7*7%>",
    f"<a href=\"javascript:{TRAP}\" data-href='javascript:{TRAP}' hx-get=/sign-out hx-trigger=load>x</a>",
    f"<iframe srcdoc='<script>parent.__ran=1</script>' onload={TRAP}></iframe>",
    "\u202egnp.exe\u202c \u200b\u2066x\u2069 \ufeff",
    "<!--><base href=https://evil.example/><link rel=stylesheet href=https://evil.example/a.css>",
    "' OR 1=1;--\"; DROP TABLE delivery; %00 %2e%2e%2f../../etc/passwd",
    f"<details open ontoggle={TRAP}><style>*{{background:url(https://evil.example/b)}}</style>",
    "Zalgo Z̸̡̛͔͓a̵͎̓l̷̰͂g̵̦̒o̶̞͝ 👩‍👩‍👧‍👦 " + "W" * 120,
    f"<form action=https://evil.example><button formaction=javascript:{TRAP}>",
)
"""Markup, addresses, templates, terminals, directions, SQL, endless words."""


def attacking() -> Say:
    """Each word with the next attack before it."""
    attacks: Iterator[str] = cycle(ATTACKS)
    return lambda text: f"{next(attacks)}{text}"


@dataclass
class Filled:
    """`ids` fill the gaps of pages' paths: by the first part of the path, then by the parameter's name ("" is any)."""

    tocsin: Running
    admin: Forms
    ids: dict[str, dict[str, str]] = field(default_factory=dict)
    deliveries: dict[str, str] = field(default_factory=dict)  # one of each status
    runs: dict[str, str] = field(default_factory=dict)  # one of each status
    people: dict[str, Forms] = field(default_factory=dict)  # see `people_of`


class Story:
    """Tells it. Everything happens to the clock of `tocsin`."""

    def __init__(self, tocsin: Running, say: Say) -> None:
        self.tocsin = tocsin
        self.say = say
        self.endpoints: dict[str, str] = {}
        self.rules: dict[str, str] = {}
        self.silence = self.source = ""
        self.client = tocsin.client  # a service's
        self.ana = tocsin.client
        self.left_s = LASTS_S
        self.untold: list[dict[str, Any]] = []
        self.pipelines = {name: say(name) for name in ("etl/orders", "etl/customers", "train-ranker", "dbt/marts")}

    def pass_(self, seconds: float) -> None:
        self.left_s -= seconds
        self.tocsin.clock.move(seconds)
        self.tocsin.app.timers.seen_ms = self.tocsin.clock.now_ms

    async def rest(self, seconds: float) -> None:
        """Tells what has happened; then in steps, so that what failed is tried again."""
        for start in range(0, len(self.untold), MOST_AT_ONCE):
            await self.post("/v1/events", {"events": self.untold[start : start + MOST_AT_ONCE]})
        self.untold = []
        for part in (0, min(20, seconds / 4), min(600, seconds / 4)):
            self.pass_(part)
            await self.tocsin.settle()
            seconds -= part
        self.pass_(seconds)
        await self.tocsin.settle()

    async def post(self, path: str, body: Any = None, client: Client | None = None) -> Any:
        answer = await (client or self.client).post(path, body)
        assert answer.status < 300, (path, answer.status, answer.body[:500])
        return answer.json if answer.body else None

    async def endpoint(self, kind: str, name: str, **fields: Any) -> None:
        body = {"provider_type": kind, "name": self.say(name), "description": self.say("Made by hand.")}
        self.endpoints[name] = (await self.post("/v1/webhooks", body | fields))["id"]

    async def rule(self, name: str, types: list[str], *endpoints: str, **fields: Any) -> None:
        ids = [self.endpoints[one] for one in endpoints]
        body = {"name": self.say(name), "event_types": types, "webhook_endpoint_ids": ids} | fields
        self.rules[name] = (await self.post("/v1/alert-rules", body))["id"]

    def event(self, type_: str, pipeline: str, run_id: str = "", **fields: Any) -> None:
        """Is told with the next `rest`."""
        say = self.say
        given: dict[str, Any] = {
            "type": type_,
            "source": say("airflow"),
            "pipeline": self.pipelines[pipeline],
            "time": rfc3339(self.tocsin.clock.now_ms),
            "labels": {"env": say("prod"), "team": say("data")},
            "links": {"run": "https://airflow.example/dags/orders/runs/1", "logs": "https://logs.example/q?a=1&b=2"},
        }
        if run_id:
            given["run_id"] = run_id
        self.untold.append(given | fields)

    def run(self, pipeline: str, number: int, fails_at: str = "", stages: tuple[str, ...] = STAGES) -> None:
        """A run with stages. It goes on where `fails_at` is none of them."""
        say, run_id = self.say, f"scheduled__{number:04}"
        if self.say is not plainly:
            run_id = say(run_id)
        actions = [{"label": say("Open")[:128], "url": "https://airflow.example/1"}]
        self.event("run.started", pipeline, run_id, actions=actions)
        for index, stage in enumerate(stages):
            self.event("stage.started", pipeline, run_id, stage=stage)
            self.pass_(20 + 37 * index)
            if stage == fails_at:
                data = {"error": say(ERROR), "log_tail": say(ERROR), "rows": 48_211, "duration_s": 71.4}
                words = {"title": say("orders failed"), "message": say("No space left on device")}
                self.event("stage.failed", pipeline, run_id, stage=stage, severity="error", data=data)
                self.event("run.failed", pipeline, run_id, severity="critical", data=data, **words)
                return
            if fails_at not in ("", *stages):
                return
            self.event("stage.succeeded", pipeline, run_id, stage=stage, data={"rows": 48_211, "note": say("ok")})
        self.event("run.succeeded", pipeline, run_id, data={"rows": 48_211, "revenue": "€ 1,284,310"})

    async def set_up(self) -> None:
        receiver = self.tocsin.receiver
        slack, discord, pagerduty = FakeSlack(), FakeDiscord(), FakePagerDuty()
        for fake in (slack, discord, pagerduty):
            receiver.play(fake)
        self.ana = await self.tocsin.as_("admin", user="ana@example.com")
        bot = {"bot_token": SLACK_TOKEN, "channel": "#alerts", "mention_on_failure": "here"}
        await self.endpoint("slack_bot", "Data alerts", settings=bot)
        await self.endpoint("discord", "Ops room", webhook_url=DISCORD)
        await self.endpoint("pagerduty", "On call", settings={"routing_key": ROUTING_KEY})
        for name, answer in (
            ("Warehouse", Reply(200, self.say('{"received": true}'))),
            ("Billing (old)", Reply(410, self.say("This hook is gone."))),
            ("Partner API", Reply(503, self.say("upstream connect error"), {"retry-after": "30"})),
            ("Search index", Reply(500, self.say("<h1>Internal Server Error</h1>"))),
        ):
            hook = receiver.hook("/" + re.sub(r"\W+", "-", name.lower()))
            hook.always(answer)
            await self.endpoint("webhook", name, webhook_url=hook.url, headers={"x-team": "data"})
        await self.endpoint("webhook", "Staging", webhook_url=receiver.hook("/staging").url, is_active=False)
        await self.endpoint("webhook", "Laptop", webhook_url=receiver.hook("/laptop").url)
        await self.client.delete(f"/v1/webhooks/{self.endpoints['Laptop']}")
        await self.endpoint("in_app", "Ana's inbox", settings={"user_id": "ana@example.com"})
        both = ["run.failed", "run.succeeded"]
        orders, marts, ranker = (self.pipelines[one] for one in ("etl/orders", "dbt/marts", "train-ranker"))
        waking, rows = ("On call", "Ops room", "Ana's inbox"), ("Data alerts", "Ops room")
        much: dict[str, Any] = {"condition": "data.dropped_share > 0.01", "labels": {"env": self.say("prod")}}
        quiet = {"group": {"by": ["pipeline"], "wait_s": 1800}, "rate_limit": {"count": 10, "per_s": 3600}}
        few = {"max_attempts": 3}
        await self.rule("Every end of a run", both, "Warehouse", "Data alerts")
        await self.rule("Failures wake somebody", ["run.failed"], *waking, retry={"max_attempts": 8})
        await self.rule("Partners hear of orders", both, "Partner API", "Billing (old)", pipelines=[orders])
        await self.rule("Search follows marts", both, "Search index", pipelines=[marts], retry=few)
        await self.rule("Too few rows", ["data.quality"], *rows, **much)
        await self.rule("Nightly quiet", ["run.succeeded"], "Ops room", **quiet)
        await self.rule("Only changes", both, "Ops room", changes={}, pipelines=[ranker])
        await self.rule("Old idea", ["run.failed"], "Warehouse", is_active=False)
        await self.rule("Mistake", ["run.failed"], "Warehouse")
        await self.client.delete(f"/v1/alert-rules/{self.rules['Mistake']}")
        path = f"/v1/alert-rules/{self.rules['Old idea']}"
        (await self.ana.patch(path, {"name": self.say("Old idea, renamed")})).ok()
        for kind in ("gitlab", "github"):
            body = {"kind": kind, "name": self.say(f"{kind} of shop"), "secret": "s3cr3t"}
            self.source = (await self.post("/v1/sources", body))["id"]
        await self.post("/v1/secrets", {"name": "PARTNER_KEY", "value": "s3cr3t"})
        for user, role in (("bo@example.com", "developer"), ("cy@example.com", "viewer")):
            body = {"user_id": user, "role": role, "email": user, "name": self.say("Bo Example")}
            await self.post("/v1/members", body)
        await self.post("/v1/tokens", {"name": self.say("airflow"), "role": "developer", "scopes": ["ingest"]})

    async def silences(self) -> None:
        about = {"reason": self.say("maintenance of the warehouse"), "comment": self.say("until the disk is larger")}
        for pipeline, lasts in (("etl/customers", 12 * HOUR), ("train-ranker", 60.0)):
            matchers = [{"field": "pipeline", "value": self.pipelines[pipeline][:190]}]
            made = await self.post("/v1/silences", {"matchers": matchers, "duration_s": int(lasts)} | about, self.ana)
            self.silence = self.silence or made["id"]
        later: dict[str, Any] = {"starts_at": rfc3339(self.tocsin.clock.now_ms + 86_400_000), "duration_s": 7200}
        later["matchers"] = [{"field": "severity", "value": "info"}]
        await self.post("/v1/silences", later | about, self.ana)

    async def tell(self) -> None:
        """Two days; most goes well."""
        await self.set_up()
        for number in range(6):
            self.run("etl/orders", number, fails_at="load" if number == 3 else "")
            self.run("dbt/marts", number, fails_at="transform" if number == 1 else "", stages=STAGES[:2])
            words = {"severity": "warning", "title": self.say("transform dropped rows")}
            data = {"dropped_share": 0.019 if number % 2 else 0.002}
            self.event("data.quality", "etl/orders", f"scheduled__{number:04}", data=data, **words)
            await self.rest(6 * HOUR)
        await self.silences()
        self.run("etl/customers", 1, fails_at="extract")
        self.run("train-ranker", 1, fails_at="load")
        self.event("run.cancelled", "train-ranker", "manual__1")
        self.event("run.warning", "train-ranker", "manual__2", severity="warning", message=self.say("3 rows dropped"))
        await self.rest(self.left_s - 1800)
        self.run("etl/orders", 7, fails_at="load")
        self.run("dbt/marts", 8, fails_at="extract")
        self.run("train-ranker", 9)
        self.run("etl/customers", 10, fails_at="never")
        self.event("run.succeeded", "etl/orders", "scheduled__0007_again")
        await self.rest(max(self.left_s, 0))

    async def ids(self) -> dict[str, dict[str, str]]:
        first = {}
        for name in ("deliveries", "runs", "tokens", "inbox"):
            first[name] = str((await self.ana.get(f"/v1/{name}?limit=1")).ok()["items"][0]["id"])
        dead = (await self.client.get("/v1/deliveries?status=dead&limit=1")).ok()["items"]
        event = (await self.client.get("/v1/events?type=run.failed&limit=1")).ok()["items"][0]["id"]
        return {
            "events": {"": event},
            "deliveries": {"": first["deliveries"]},
            "dead-letters": {"": dead[0]["id"]},
            "runs": {"": first["runs"]},
            "pipelines": {"": self.pipelines["etl/orders"]},
            "endpoints": {"": self.endpoints["Warehouse"], "kind": "slack"},
            "rules": {"": self.rules["Every end of a run"]},
            "silences": {"": self.silence},
            "sources": {"": self.source, "key": "github"},
            "flows": {"namespace": "company.sales", "id": "nightly-report", "": "nightly-report"},
            "inbox": {"": first["inbox"]},
            "team": {"": first["tokens"], "user": "bo@example.com"},
            "settings": {"": "PARTNER_KEY", "tenant": "default"},
        }


async def signed_in(tocsin: Running, email: str, role: str, *tenants: str) -> Forms:
    await account_of(tocsin, email, role, *tenants)
    forms = Forms(tocsin)
    (await forms.log_in(email, PASSWORD)).ok()
    return forms


async def people_of(tocsin: Running, admin: Forms) -> dict[str, Forms]:
    """Somebody of each role, signed in; the operator is the one who set Tocsin up, and an admin as well; a stranger,
    who is the admin of another tenant; and nobody. The developer has an endpoint and a rule of their own."""
    developer = await signed_in(tocsin, "developer@example.com", "developer")
    own = {"provider_type": "in_app", "name": "developer's own", "settings": {}}
    endpoint = (await developer.api("POST", "/v1/webhooks", own)).ok(201)
    rule = {"name": "developer's own rule", "event_types": ["run.failed"], "webhook_endpoint_ids": [endpoint["id"]]}
    (await developer.api("POST", "/v1/alert-rules", rule)).ok(201)
    return {
        "operator": admin,
        "admin": await signed_in(tocsin, "admin@example.com", "admin"),
        "developer": developer,
        "viewer": await signed_in(tocsin, "viewer@example.com", "viewer"),
        "stranger": await signed_in(tocsin, "stranger@example.com", "admin", "other"),
        "nobody": Forms(tocsin),
    }


async def fill(tocsin: Running, say: Say = plainly) -> Filled:
    story = Story(tocsin, say)
    await story.tell()
    admin = await set_up(tocsin)
    found = Filled(tocsin, admin, await story.ids())
    for one in await tocsin.deliveries():
        found.deliveries.setdefault(one["status"], one["id"])
    for one in (await story.client.get("/v1/runs?limit=100")).ok()["items"]:
        found.runs.setdefault(one["status"], one["id"])
    found.people = await people_of(tocsin, admin)
    return found


def flows_in(folder: Path) -> dict[str, str]:
    folder.mkdir()
    (folder / "nightly-report.yml").write_text(FLOW)
    (folder / "broken.yml").write_text(BROKEN_FLOW)
    return {"TOCSIN_FLOWS": str(folder)}


@asynccontextmanager
async def company(store: Mapping[str, str], folder: Path, say: Say | None = plainly) -> AsyncIterator[Filled]:
    """A Tocsin of its own with all that; with nothing in it where `say` is None. An exception in it is one here."""
    clock = Clock()
    clock.move(-LASTS_S)
    with capture_logs() as logs:
        async with receiving(clock) as receiver:
            environment = dict(store) | flows_in(folder / "flows") | settings_of(receiver)
            async with running(environment, clock, receiver, ids=ids_by(clock)) as tocsin:
                if say is None:
                    clock.move(LASTS_S)
                    admin = await set_up(tocsin)
                    yield Filled(tocsin, admin, people=await people_of(tocsin, admin))
                else:
                    yield await fill(tocsin, say)
            for hook in receiver.hooks.values():
                hook.all_new()
    crashes = [entry for entry in logs if entry.get("exc_info")]
    assert not crashes, crashes


def ids_by(clock: Clock) -> NewId:
    """Ids that say when the story says that something was made: lists and numbers go by them."""
    numbers = count()
    return lambda prefix: f"{prefix}_{clock.now_ms:012x}70008{next(numbers):015x}"


def settings_of(receiver: Receiver) -> dict[str, str]:
    return {
        "TOCSIN_ALLOW_TARGETS": "127.0.0.0/8",
        "TOCSIN_CONNECT_TO": receiver.diversions,
        "TOCSIN_DRAIN_SECONDS": "0.2",
    }
