"""The sample pipeline: extract, transform, load, report. The first run fails at `load`; the second one recovers."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from tocsin.app import App
from tocsin.cli.client import ask
from tocsin.cli.demo_page.receivers import SLACK_PATH, WEBHOOK_PATH, Inbox, Run
from tocsin.model.ids import DEFAULT_TENANT
from tocsin.provider_kit.body import rfc3339
from tocsin.web.api.system import make_token

PIPELINE = "shop/orders"
STAGES = ("extract", "transform", "load", "report")
NAMES = "Demo: "
"""Endpoints and rules of the demo begin so: in a data directory that was kept, the next demo replaces them."""

BEAT_S = 0.9
PAUSE_S = 3.0
"""Between the runs: long enough to see the first one fail and the refused webhook come again."""

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

    def __init__(self, app: App, inbox: Inbox, said: Callable[[str], None], slack_host: str, real_slack: str) -> None:
        self.app = app
        self.inbox = inbox
        self.said = said
        self.slack_host = slack_host
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
        """A token, three endpoints at most, two rules."""
        self.token = (await make_token(self.app, DEFAULT_TENANT, "tocsin demo", "admin", "", None)).token
        for path in ("/v1/alert-rules", "/v1/webhooks"):
            for old in (await self.api("GET", f"{path}?limit=100"))["items"]:
                if old["name"].startswith(NAMES):
                    await self.api("DELETE", f"{path}/{old['id']}")
        addresses = [f"https://{self.slack_host}{SLACK_PATH}", self.real_slack]
        channels = [
            await self.add("webhooks", name="#data-alerts", provider_type="slack", webhook_url=address)
            for address in addresses
            if address
        ]
        receiver = await self.add(
            "webhooks",
            name="receiver",
            provider_type="webhook",
            webhook_url=self.url + WEBHOOK_PATH,
            enabled_events=["*"],
        )
        self.inbox.secret = receiver["secret"]
        ids = [channel["id"] for channel in channels]
        types = ["run.started", "run.failed", "run.succeeded"]
        await self.add("alert-rules", name="runs of the shop", event_types=types, webhook_endpoint_ids=ids)
        await self.add(
            "alert-rules",
            name="too many rows dropped",
            event_types=["data.quality"],
            pipelines=["shop/*"],
            condition="data.dropped_share > 0.01",
            webhook_endpoint_ids=ids,
        )

    async def add(self, what: str, *, name: str, **fields: Any) -> dict[str, Any]:
        made: dict[str, Any] = await self.api("POST", f"/v1/{what}", {"name": NAMES + name} | fields)
        return made

    async def tell(self) -> None:
        self.said("pipeline  shop/orders starts")
        await self.run(dropped_share=0.019, fails_at="load")
        await asyncio.sleep(PAUSE_S)
        self.said("pipeline  somebody made room on the disk: shop/orders starts again")
        await self.run(dropped_share=0.002)
        await self.wait_for_arrivals()

    async def run(self, *, dropped_share: float, fails_at: str = "") -> None:
        run_id = rfc3339(self.app.clock_ms())[:19] + "Z"
        run = Run(run_id, dict.fromkeys(STAGES, "waiting"))
        self.inbox.runs.append(run)
        send = Sender(self, run_id, f"{self.url}/demo#run-{len(self.inbox.runs)}")
        rows = 48_211
        await send("run.started", data={})
        for stage in STAGES:
            run.stages[stage] = "running"
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
        ours = {run.run_id for run in self.inbox.runs}
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
        by_kind = {"slack": 0, "webhook": 0}
        for delivery in self.deliveries:
            if delivery["status"] != "delivered":
                return False
            by_kind[delivery["provider_type"]] += 1
        channels = 2 if self.real_slack else 1
        return (
            0 < by_kind["slack"] == self.inbox.slack_taken * channels
            and 0 < by_kind["webhook"] == len(self.inbox.webhooks_taken)
            and self.inbox.retried == 1
            and self.inbox.unverified == 0
        )

    def summary(self) -> str:
        attempts = sum(delivery["attempts"] for delivery in self.deliveries)
        if not self.passed:
            late = [delivery for delivery in self.deliveries if delivery["status"] != "delivered"]
            reasons = {str(delivery["reason"] or delivery["status"]) for delivery in late} or {"some did not arrive"}
            return f"Not every message arrived: {'; '.join(sorted(reasons))}."
        return (
            f"The story is over: {len(self.deliveries)} messages delivered in {attempts} attempts "
            f"({self.inbox.slack_taken} to Slack, {len(self.inbox.webhooks_taken)} to the webhook), "
            "every signature verified."
        )


class Sender:
    """Sends events of one run; returns the id that each was given."""

    def __init__(self, story: Story, run_id: str, link: str) -> None:
        self.story = story
        self.run_id = run_id
        self.link = link

    async def __call__(self, type_: str, *, data: Mapping[str, Any], **fields: Any) -> str:
        event = {
            "type": type_,
            "source": "sample-pipeline",
            "pipeline": PIPELINE,
            "run_id": self.run_id,
            "labels": {"env": "prod", "owner": "ana"},
            "links": {"run": self.link},
            "data": dict(data),
        }
        receipt = await self.story.api("POST", "/v1/events", event | fields)
        return str(receipt["id"])
