"""The sample pipeline: extract, transform, load, report. Its run fails at `load`, is tried again, and recovers."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from tocsin.app import App
from tocsin.cli.client import ask
from tocsin.cli.demo_page.receivers import WEBHOOK_PATH, Receivers, Run
from tocsin.fakes.teams import FakeTeams
from tocsin.model.ids import DEFAULT_TENANT
from tocsin.provider_kit.body import rfc3339
from tocsin.providers import PROVIDERS
from tocsin.web.api.tokens import make_token

PIPELINE = "shop/orders"
STAGES = ("extract", "transform", "load", "report")
NAMES = "Demo: "
"""Endpoints and rules of the demo begin so: in a data directory that was kept, the next demo replaces them."""

BEAT_S = 1.4
PAUSE_S = 4.0
"""Between the attempts: long enough to see the first one fail and the refused webhook come again."""

SLACK_TOKEN = "xoxb-" + "demo" * 6
"""Like the other keys: the fakes take any of the right shape."""
DISCORD_ADDRESS = "https://discord.com/api/webhooks/100000000000000000/" + "demo" * 17
SENDGRID_KEY = f"SG.{'demo' * 5}.{'demo' * 11}"
ROUTING_KEY = "demo" * 8
READER = "ana"
"""Whose inbox is shown."""

ARRIVED_WITHIN_S = 30.0
LOOK_S = 0.25

ERROR = """\
Traceback (most recent call last):
  File "/srv/shop/load.py", line 71, in load
    copy_rows(connection, "orders", batch)
  File "/srv/shop/load.py", line 44, in copy_rows
    cursor.executemany(INSERT_ORDER, rows)
psycopg.OperationalError: could not extend file "base/16401/24580": No space left on device"""


class Story:
    """Tells it over HTTP, with a token, as any pipeline would. `passed` once every message has arrived."""

    def __init__(self, app: App, receivers: Receivers, said: Callable[[str], None], real_slack: str) -> None:
        self.app = app
        self.receivers = receivers
        self.said = said
        self.real_slack = real_slack
        self.url = app.settings.url
        self.token = ""
        self.missed_event = ""
        self.passed = False
        self.deliveries: list[dict[str, Any]] = []

    async def api(self, method: str, path: str, body: Any = None) -> Any:
        """In a thread: the server that answers runs in this very loop."""
        return await asyncio.to_thread(ask, method, path, body, url=self.url, token=self.token)

    async def set_up(self) -> None:
        """A token, an endpoint of each kind, and three rules."""
        self.token = (await make_token(self.app, DEFAULT_TENANT, "tocsin demo", "admin", "", None)).token
        for path in ("/v1/alert-rules", "/v1/webhooks"):
            for old in (await self.api("GET", f"{path}?limit=100"))["items"]:
                if old["name"].startswith(NAMES):
                    await self.api("DELETE", f"{path}/{old['id']}")
        slack = await self.endpoint("slack_bot", bot_token=SLACK_TOKEN, channel="#alerts", mention_on_failure="here")
        discord = await self.endpoint("discord", DISCORD_ADDRESS, forum_threads=True)
        inbox = await self.endpoint("in_app", user_id=READER)
        fake_teams = self.receivers.channels["teams"].fake
        assert isinstance(fake_teams, FakeTeams)
        told_the_end = [
            inbox,
            await self.endpoint("teams", fake_teams.address()),
            await self.endpoint("pagerduty", routing_key=ROUTING_KEY),
            await self.endpoint(
                "email", to=["ana@shop.example"], from_address="tocsin@shop.example", sendgrid_api_key=SENDGRID_KEY
            ),
        ]
        if self.real_slack:
            told_the_end.append(await self.endpoint("slack", self.real_slack))
        receiver = await self.add(
            "webhooks",
            name="receiver",
            provider_type="webhook",
            webhook_url=self.url + WEBHOOK_PATH,
            enabled_events=["*"],
        )
        self.receivers.secret = receiver["secret"]
        await self.rule("all of a run, in one message", ["run.*", "stage.*"], [slack, discord])
        await self.rule("how runs end", ["run.failed", "run.succeeded"], told_the_end)
        await self.rule(
            "too many rows dropped",
            ["data.quality"],
            [slack, inbox],
            pipelines=["shop/*"],
            condition="data.dropped_share > 0.01",
        )

    async def endpoint(self, kind: str, address: str = "", **settings: Any) -> str:
        """A new one; its id."""
        name = PROVIDERS[kind].label
        made = await self.add("webhooks", name=name, provider_type=kind, webhook_url=address, settings=settings)
        return str(made["id"])

    async def rule(self, name: str, types: list[str], ids: list[str], **fields: Any) -> None:
        await self.add("alert-rules", name=name, event_types=types, webhook_endpoint_ids=ids, **fields)

    async def add(self, what: str, *, name: str, **fields: Any) -> dict[str, Any]:
        made: dict[str, Any] = await self.api("POST", f"/v1/{what}", {"name": NAMES + name} | fields)
        return made

    async def tell(self) -> None:
        run_id = rfc3339(self.app.clock_ms())[:19] + "Z"
        self.said("pipeline  shop/orders starts")
        await self.attempt(1, run_id, dropped_share=0.019, fails_at="load")
        await asyncio.sleep(PAUSE_S)
        self.said("pipeline  somebody made room on the disk: the run is tried again")
        await self.attempt(2, run_id, dropped_share=0.002)
        await self.wait_for_arrivals()

    async def attempt(self, number: int, run_id: str, *, dropped_share: float, fails_at: str = "") -> None:
        """All stages, or those up to the one that fails."""
        run = Run(run_id, dict.fromkeys(STAGES, "waiting"))
        self.receivers.runs.append(run)
        send = Sender(self, run_id, number, f"{self.url}/demo#attempt-{number}")
        rows = 48_211
        await send("run.started", data={})
        for stage in STAGES:
            run.stages[stage] = "running"
            await send("stage.started", stage=stage, data={})
            await asyncio.sleep(BEAT_S)
            if stage == fails_at:
                run.stages[stage] = run.status = "failed"
                self.said(f"pipeline  {stage} fails: {ERROR.splitlines()[-1]}")
                await send("stage.failed", stage=stage, severity="error", data={"duration_s": BEAT_S, "error": ERROR})
                await send("run.failed", severity="error", data={"error": ERROR, "rows": rows, "failed_step": stage})
                return
            run.stages[stage] = "succeeded"
            await send("stage.succeeded", stage=stage, data={"duration_s": BEAT_S, "rows": rows})
            if stage == "transform":
                rows -= round(rows * dropped_share)
                self.missed_event = await self.check_quality(send, rows, dropped_share)
        run.status = "succeeded"
        self.said("pipeline  all four stages succeeded")
        await send("run.succeeded", data={"rows": rows, "revenue": "€ 1,284,310"})

    @staticmethod
    async def check_quality(send: "Sender", rows: int, share: float) -> str:
        return await send(
            "data.quality",
            stage="transform",
            severity="warning",
            title=f"transform dropped {share:.1%} of the rows",
            data={"dropped_share": share, "limit": 0.01, "rows": rows},
        )

    async def wait_for_arrivals(self) -> None:
        """Until every delivery of ours is delivered, and was seen to arrive where the receivers are ours."""
        ours = {run.run_id for run in self.receivers.runs}
        for _ in range(int(ARRIVED_WITHIN_S / LOOK_S)):
            events = (await self.api("GET", "/v1/events?pipeline=shop%2Forders&limit=100"))["items"]
            ids = {event["id"] for event in events if event["run_id"] in ours}
            found = (await self.api("GET", "/v1/deliveries?limit=100"))["items"]
            self.deliveries = [delivery for delivery in found if delivery["event_id"] in ids]
            if self.all_arrived():
                self.passed = True
                return
            await asyncio.sleep(LOOK_S)

    def all_arrived(self) -> bool:
        """Every delivery is delivered, and the other side says so too: each fake took messages and refused none, each
        run is one message in Slack, and every webhook came with a good signature."""
        if any(delivery["status"] != "delivered" for delivery in self.deliveries):
            return False
        webhooks = sum(delivery["provider_type"] == "webhook" for delivery in self.deliveries)
        receivers = self.receivers
        return (
            all(receivers.taken.values())
            and not receivers.refused
            and 0 < webhooks == len(receivers.webhooks_taken)
            and receivers.retried == 1
            and receivers.unverified == 0
        )

    def summary(self) -> str:
        if not self.passed:
            late = [delivery for delivery in self.deliveries if delivery["status"] != "delivered"]
            reasons = {str(delivery["reason"] or delivery["status"]) for delivery in late} | set(self.receivers.refused)
            return f"Not every message arrived: {'; '.join(sorted(reasons or {'some did not arrive'}))}."
        kinds = Counter(delivery["provider_type"] for delivery in self.deliveries)
        lines = [
            f"The story is over: {len(self.deliveries)} deliveries, all delivered. Every fake enforces its provider's "
            "limits; none refused a request."
        ]
        for kind, channel in self.receivers.channels.items():
            waits = self.receivers.asked_to_wait[kind]
            asked = f"; asked to wait {waits}×, and it did" if waits else ""
            lines.append(
                f"  {channel.label:<10} {kinds[kind]:>2} deliveries, {self.receivers.taken[kind]} requests{asked}"
            )
        lines.append(f"  {'inbox':<10} {kinds['in_app']:>2} deliveries")
        signed = f"{self.receivers.retried} tried again with the same bytes, every signature verified"
        lines.append(f"  {'webhook':<10} {kinds['webhook']:>2} deliveries, {signed}")
        return "\n".join(lines)


class Sender:
    """Sends events of one attempt of a run; returns the id that each was given."""

    def __init__(self, story: Story, run_id: str, attempt: int, link: str) -> None:
        self.story = story
        self.run_id = run_id
        self.attempt = attempt
        self.link = link

    async def __call__(self, type_: str, *, data: Mapping[str, Any], **fields: Any) -> str:
        event = {
            "type": type_,
            "source": "sample-pipeline",
            "pipeline": PIPELINE,
            "run_id": self.run_id,
            "labels": {"env": "prod", "owner": "ana"},
            "links": {"run": self.link},
            "data": ({"attempt": self.attempt} if self.attempt > 1 else {}) | dict(data),
        }
        receipt = await self.story.api("POST", "/v1/events", event | fields)
        return str(receipt["id"])
