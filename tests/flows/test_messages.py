"""What notification tasks send, byte by byte; the providers' fakes take it, or it is wrong."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.flows.test_engine import World, flow
from tocsin.fakes import Asked, Fake
from tocsin.fakes.discord import FakeDiscord
from tocsin.fakes.google_chat import FakeGoogleChat
from tocsin.fakes.opsgenie import FakeOpsgenie
from tocsin.fakes.pagerduty import FakePagerDuty
from tocsin.fakes.sendgrid import FakeSendGrid
from tocsin.fakes.slack import FakeSlack
from tocsin.fakes.teams import FakeTeams
from tocsin.fakes.telegram import FakeTelegram
from tocsin.flows.engine import execute
from tocsin.flows.execution import Called, Ended, Execution, Outgoing, Seen, TaskRun
from tocsin.flows.reading import read_flow
from tocsin.flows.tasks import HANDLERS
from tocsin.model.wire import HttpReply, HttpRequest, Reply, Request, SmtpReply, SmtpRequest

pytestmark = pytest.mark.anyio

SLACK = "https://hooks.slack.com/services/T00000000/B00000000/" + "A" * 24
TEAMS = (
    "https://default0123456789abcdef0123456789abcd.ef.environment.api.powerplatform.com:443/powerautomate/automations"
    "/direct/workflows/b840a60a/triggers/manual/paths/invoke?api-version=1&sig=abc"
)
CONNECTOR = "https://contoso.webhook.office.com/webhookb2/1/IncomingWebhook/2/3"
DISCORD = "https://discord.com/api/webhooks/417429632418316298/" + "d" * 68
CHAT = "https://chat.googleapis.com/v1/spaces/AAAAk6lGXyM/messages?key=AIza&token=abc"
KEY = "a" * 32
GENIE = "01234567-89ab-cdef-0123-456789abcdef"
BOT = "110201543:" + "A" * 35
GRID = "SG." + "a" * 22 + "." + "b" * 43
LINK = "https://tocsin.example/ui/runs/r1"

FAKES: tuple[type[Fake], ...] = (
    FakeSlack, FakeTeams, FakeDiscord, FakeGoogleChat, FakeOpsgenie, FakePagerDuty, FakeSendGrid, FakeTelegram,
)  # fmt: skip


class Outside(World):
    """The fakes at their own hosts; any other host takes what comes. `replies` come first."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self.replies: list[Reply] = []
        self.fakes = {host: fake for made in FAKES for fake in (made(),) for host in fake.hosts}

    async def send(self, request: Request, timeout_s: float) -> Reply:
        self.requests.append(request)
        if self.replies:
            return self.replies.pop(0)
        if isinstance(request, SmtpRequest):
            return SmtpReply(250, b"2.0.0 queued")
        assert isinstance(request, HttpRequest)
        url = urlsplit(request.url)
        host = url.hostname or ""
        if (fake := self.fakes.get(host)) is None:
            return HttpReply(200, {}, b"ok")
        path = url.path + (f"?{url.query}" if url.query else "")
        headers = {name.lower(): value for name, value in request.headers}
        said = fake.answer(Asked(request.method, host, path, headers, request.body, self.ms))
        return HttpReply(said.status, {name.lower(): value for name, value in said.headers.items()}, said.body)


class Elsewhere:
    """A server that knows of one other execution and sends in process: for what messages say, not how they go."""

    def __init__(self, found: Seen | None = None) -> None:
        self.found = found
        self.sent: list[Outgoing] = []

    async def notify(self, outgoing: Outgoing, run: TaskRun, execution: Execution) -> str:
        self.sent.append(outgoing)
        return ""

    async def call(self, called: Called, execution: Execution) -> str:
        raise AssertionError

    async def ended(self, id_: str, called: Called, execution: Execution) -> Ended:
        raise AssertionError

    async def seen(self, id_: str, trigger: Mapping[str, Any]) -> Seen | None:
        return self.found if self.found is not None and self.found.id == id_ else None

    async def url(self, execution: Execution) -> str:
        return LINK


class Did:
    def __init__(self, execution: Execution, outside: Outside, server: Elsewhere | None) -> None:
        self.execution = execution
        self.outside = outside
        self.server = server

    @property
    def request(self) -> HttpRequest:
        (found,) = self.outside.requests
        assert isinstance(found, HttpRequest)
        return found

    @property
    def body(self) -> Any:
        if self.server is not None:
            return json.loads(self.server.sent[-1].body)
        return json.loads(self.request.body)


async def do(
    text: str,
    *,
    server: Elsewhere | None = None,
    outside: Outside | None = None,
    trigger: Mapping[str, Any] = {},
    inputs: Mapping[str, Any] = {},
) -> Did:
    outside = outside or Outside()
    secrets = {"SLACK_WEBHOOK": SLACK}
    read = read_flow("f.yml", text)
    execution = Execution(read, outside, id_="exe1", inputs=inputs, trigger=trigger, secrets=secrets, server=server)
    await execute(execution, HANDLERS)
    return Did(execution, outside, server)


def task(type_: str, **fields: Any) -> str:
    return flow("  - " + json.dumps({"id": "say", "type": f"io.kestra.plugin.{type_}"} | fields))


FAILED = Seen(
    id="r1",
    namespace="dev",
    flow_id="failing-task",
    state="FAILED",
    started_ms=1_795_226_000_000,
    ended_ms=1_795_226_083_456,
    url=LINK,
    tasks=(("first", "SUCCESS"), ("failed", "FAILED")),
)

SENDS: dict[str, str] = {
    "slack": task("slack.notifications.SlackIncomingWebhook", url=SLACK, payload='{"text": "{{ flow.id }}"}'),
    "slack-words": task("slack.SlackIncomingWebhook", url=SLACK, messageText="**b** __i__ [t](https://u.example)"),
    "teams": task("notifications.teams.TeamsIncomingWebhook", url=TEAMS, payload='{"title": "T", "text": "x"}'),
    "discord": task(
        "discord.DiscordIncomingWebhook", url=DISCORD, payload={"content": "{{ execution.id }}"}, username="Flow"
    ),
    "google_chat": task("googleworkspace.chat.GoogleChatIncomingWebhook", url=CHAT, payload='{"text": "x"}'),
    "telegram": task("telegram.TelegramSend", token=BOT, channel="-1001234567890", payload="{{ execution.id }}"),
    "pagerduty": task(
        "notifications.pagerduty.PagerDutyAlert",
        url="https://events.pagerduty.com/v2/enqueue",
        payload=json.dumps(
            {
                "routing_key": KEY,
                "event_action": "trigger",
                "payload": {"summary": "it broke", "source": "{{ flow.id }}", "severity": "error"},
            }
        ),
    ),
    "opsgenie": task(
        "opsgenie.OpsgenieAlert",
        url="https://api.opsgenie.com/v2/alerts/",
        payload='{"message": "it broke"}',
        authorizationToken=GENIE,
    ),
    "sendgrid": task(
        "notifications.sendgrid.SendGridMailSend",
        sendgridApiKey=GRID,
        to=["ana@example.com"],
        **{"from": "Flows <flows@example.com>"},
        subject="{{ flow.id }}",
        htmlContent="<b>x</b>",
    ),
}
"""A task of each kind that sends what it is given."""

EXECUTIONS: dict[str, str] = {
    "slack": task("notifications.slack.SlackExecution", url=SLACK, executionId="r1", channel="#ops",
                  customMessage="myCustomMessage", customFields={"Env": "DEV"}),
    "teams": task("teams.TeamsExecution", url=TEAMS, executionId="r1"),
    "teams-connector": task("microsoft365.teams.TeamsExecution", url=CONNECTOR, executionId="r1", themeColor="FF0000"),
    "discord": task("discord.DiscordExecution", url=DISCORD, executionId="r1", content="look", username="Flow",
                    embedList=[{"title": "one", "color": [255, 0, 1], "websiteUrl": LINK}]),
    "google_chat": task("googleworkspace.chat.GoogleChatExecution", url=CHAT, executionId="r1"),
    "telegram": task("telegram.TelegramExecution", token=BOT, channel="-1001234567890", executionId="r1"),
    "pagerduty": task("pagerduty.PagerDutyExecution", url="https://events.pagerduty.com/v2/enqueue", executionId="r1",
                      routingKey=KEY, deduplicationKey="k1", payloadSummary="it broke"),
    "opsgenie": task("opsgenie.OpsgenieExecution", url="https://api.opsgenie.com/v2/alerts", executionId="r1",
                     authorizationToken=GENIE, message="it broke", tags=["a", "b"], responders={"t1": "team"}),
    "mail": task("notifications.mail.MailExecution", host="smtp.example.com", port=465, username="u", password="p",
                 **{"from": "f@example.com"}, to="ana@example.com; bob@example.com", executionId="r1"),
    "sendgrid": task("sendgrid.SendGridMailExecution", sendgridApiKey=GRID, **{"from": "f@example.com"},
                     to=["ana@example.com"], executionId="r1"),
}  # fmt: skip
"""A task of each kind that tells what became of an execution."""


@pytest.mark.parametrize("name", SENDS)
async def test_what_each_kind_sends(name: str, request: pytest.FixtureRequest) -> None:
    did = await do(SENDS[name])
    assert did.execution.state == "SUCCESS", did.execution.log_tail
    golden(request, f"send-{name}", {"url": did.request.url, "body": did.body})


@pytest.mark.parametrize("name", EXECUTIONS)
async def test_what_each_kind_tells_of_an_execution(name: str, request: pytest.FixtureRequest) -> None:
    server = Elsewhere(FAILED)
    did = await do(EXECUTIONS[name], server=server)
    assert did.execution.state == "SUCCESS", did.execution.log_tail
    golden(request, f"execution-{name}", did.body)
    assert not {KEY, GENIE, BOT, GRID} & set(server.sent[0].body.decode().split('"'))  # sealed, apart from the body


@pytest.mark.parametrize("name", EXECUTIONS)
async def test_each_fake_takes_what_is_told_of_an_execution(name: str) -> None:
    """Of the one that the task is a part of, without a server."""
    did = await do(EXECUTIONS[name].replace('"executionId": "r1"', '"executionId": "{{ execution.id }}"'))
    assert did.execution.state == "SUCCESS", did.execution.log_tail
    assert len(did.outside.requests) == 1


async def test_the_words_that_people_know_from_slack() -> None:  # S2-05 S2-06
    did = await do(EXECUTIONS["slack"], server=Elsewhere(FAILED))
    said = json.dumps(did.body, ensure_ascii=False, separators=(",", ":"))
    for known in (
        "Failed on task `failed` after 00:01:23.456",
        f"*<{LINK}|[dev] failing-task ➛ FAILED>*",
        '{"title":"Env","value":"DEV","short":true}',
        '{"title":"Final task ID","value":"failed","short":true}',
        "myCustomMessage",
        '"color":"danger"',
        '"channel":"#ops"',
    ):
        assert known in said
    assert [field["title"] for field in did.body["attachments"][0]["fields"]] == [
        "Namespace", "Flow ID", "Execution ID", "Execution Status", "Env", "Final task ID"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("state", "words", "color"),
    [
        ("SUCCESS", "Succeeded after", "good"),
        ("WARNING", "Succeeded with warnings after", "warning"),
        ("KILLED", "Killed after", "danger"),
        ("CANCELLED", "Cancelled after", "danger"),
        ("FAILED", "Failed after", "danger"),
    ],
)
async def test_an_execution_without_tasks_is_told_of_as_it_ended(state: str, words: str, color: str) -> None:
    server = Elsewhere(Seen("r1", "dev", "f", state))
    did = await do(task("slack.SlackExecution", url=SLACK, executionId="r1"), server=server)
    assert words in did.body["text"]
    assert did.body["attachments"][0]["color"] == color
    assert "Final task ID" not in json.dumps(did.body)


async def test_among_the_errors_the_failed_task_is_named() -> None:
    errors = f"  - {{id: say, type: io.kestra.plugin.slack.SlackExecution, url: '{SLACK}', payload: 'no JSON'}}"
    broken = "  - {id: broken, type: io.kestra.plugin.core.execution.Fail, errorMessage: 'say \"no\"'}"
    did = await do(flow(broken, errors=errors))
    assert "Failed on task `broken` after" in did.body["text"]
    assert "➛ FAILED" in did.body["text"]


async def test_a_run_that_nobody_knows_any_more_is_told_of_by_what_the_trigger_said() -> None:
    trigger = {"executionId": "gone", "namespace": "airflow", "flowId": "etl", "state": "FAILED"}
    did = await do(
        task("slack.SlackExecution", url=SLACK, executionId="{{ trigger.executionId }}"),
        server=Elsewhere(),
        trigger=trigger,
    )
    assert "[airflow] etl ➛ FAILED" in did.body["text"]


async def test_an_unknown_execution_is_an_error() -> None:
    did = await do(task("slack.SlackExecution", url=SLACK, executionId="nobody"), server=Elsewhere())
    assert did.execution.state == "FAILED"
    assert "there is no execution 'nobody'" in did.execution.log_tail


GOOD = '{"text": "x"}'
HOSTILE = 'He said "no"\nand left \\ {{ no }} \u2028 </script> <!channel>'


@pytest.mark.parametrize("payload", ['{"text": "{{ inputs.x }}"}', '{"a": "\\"", "text": "said: {{ inputs.x }}."}'])
async def test_a_quotation_mark_in_an_error_breaks_no_message(payload: str) -> None:  # S2-06
    did = await do(task("slack.SlackIncomingWebhook", url=SLACK, payload=payload), inputs={"x": HOSTILE})
    assert HOSTILE in did.body["text"]
    assert "was escaped" in did.execution.log_tail


async def test_what_is_json_already_is_not_escaped_again() -> None:
    payload = '{"text": {{ inputs.x | json }}, "list": {{ [1, 2] }}, "more": "{{ inputs.x }}"}'
    did = await do(task("slack.SlackIncomingWebhook", url=SLACK, payload=payload), inputs={"x": 'a "b"'})
    assert did.body == {"text": 'a "b"', "list": [1, 2], "more": 'a "b"'}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"payload": '{"text": '}, "payload: expected JSON"),
        ({"payload": "[1]"}, "payload: expected a JSON object"),
        ({"payload": "hello"}, "payload: expected JSON"),
        ({"payload": ""}, "payload: it is missing"),
        ({"payload": "[" * 50000}, "payload: expected JSON"),
        ({"payload": GOOD, "url": "ftp://x"}, "url: expected https://"),
        ({"payload": GOOD, "url": ""}, "url: it is missing"),
        ({"payload": '{"text": "{{ nobody }}"}'}, "there is no `nobody`"),
    ],
)
async def test_what_cannot_be_sent_says_why(fields: dict[str, Any], said: str) -> None:
    did = await do(task("slack.SlackIncomingWebhook", **{"url": SLACK} | fields))
    assert did.execution.state == "FAILED"
    assert said in did.execution.log_tail
    assert did.outside.requests == []


async def test_a_secret_without_its_braces_is_taken_for_one() -> None:
    did = await do(task("slack.SlackIncomingWebhook", url="secret('SLACK_WEBHOOK')", payload='{"text": "x"}'))
    assert did.request.url == SLACK
    assert "stands between {{ and }}" in did.execution.log_tail


async def test_what_speaks_like_slack_elsewhere_is_any_webhook() -> None:
    url, headers = "https://chat.example.com/hooks/abc", {"headers": {"X-Team": "data", "Host": "evil.example"}}
    did = await do(task("slack.SlackIncomingWebhook", url=url, payload='{"text": "x"}', options=headers))
    sent = {name.lower(): value for name, value in did.request.headers}
    assert (did.request.url, did.body, sent["x-team"]) == (url, {"text": "x"}, "data")


async def test_without_a_server_it_tries_again_and_says_so() -> None:
    outside = Outside()
    outside.replies = [HttpReply(503, {}, b"busy"), HttpReply(429, {"retry-after": "7"}, b"rate_limited")]
    did = await do(task("slack.SlackIncomingWebhook", url=SLACK, payload='{"text": "x"}'), outside=outside)
    assert did.execution.state == "SUCCESS"
    assert outside.slept == [2.0, 7.0]


async def test_without_a_server_a_refusal_fails_the_task_at_once() -> None:
    outside = Outside()
    outside.replies = [HttpReply(404, {}, b"no_service")]
    did = await do(task("slack.SlackIncomingWebhook", url=SLACK, payload='{"text": "x"}'), outside=outside)
    assert did.execution.state == "FAILED"
    assert "it was refused: no_service" in did.execution.log_tail


async def test_defaults_of_the_flow_are_those_of_all_its_tasks() -> None:
    defaults = f"  - {{type: io.kestra.plugin.notifications.slack, values: {{url: '{SLACK}'}}}}"
    tasks = "\n".join(
        f"  - {{id: s{number}, type: io.kestra.plugin.notifications.slack.SlackIncomingWebhook, payload: '{{}}'}}"
        for number in range(2)
    )
    outside = Outside()
    await do(flow(tasks.replace("'{}'", """'{"text": "x"}'"""), pluginDefaults=defaults), outside=outside)
    assert len(outside.requests) == 2


async def test_mail_goes_to_the_server_that_the_task_names() -> None:
    server: dict[str, Any] = {"host": "smtp.example.com", "port": 587, "transportStrategy": "SMTP_TLS"}
    people = {"username": "u", "password": "p", "from": "f@example.com", "to": "ana@example.com"}
    words = {"subject": "{{ flow.id }}\r\nBcc: evil@example.com", "htmlTextContent": "<b>{{ execution.id }}</b>"}
    did = await do(task("email.MailSend", **server, **people, **words, plainTextContent="exe"))
    assert did.execution.state == "SUCCESS", did.execution.log_tail
    (sent,) = did.outside.requests
    assert isinstance(sent, SmtpRequest)
    assert (sent.host, sent.port, sent.tls, sent.recipients) == (
        "smtp.example.com", 587, "starttls", ("ana@example.com",)
    )  # fmt: skip
    assert b"Subject: f Bcc: evil@example.com\r\n" in sent.body
    assert b"<b>exe1</b>" in sent.body


def golden(request: pytest.FixtureRequest, name: str, value: Any) -> None:
    path = Path(__file__).parent / "golden" / f"{name}.json"
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    if request.config.getoption("--update-golden"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
