"""The other end: a fake Slack, a webhook that checks its signatures, and the page that shows what came to them."""

from collections import deque
from collections.abc import Awaitable, Callable
from importlib.resources import files

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tocsin.cli.demo_page import rendering
from tocsin.fakes import Asked
from tocsin.fakes.slack import FakeSlack
from tocsin.model.errors import Refusal
from tocsin.previews import slack
from tocsin.provider_kit.signing import verify, verify_hex
from tocsin.web.routes import read_body

SLACK_PATH = "/services/T0000DEMO/B0000DEMO/" + "demo" * 6
"""The path is Slack's own: TOCSIN_CONNECT_TO changes the host of a request and nothing else."""

WEBHOOK_PATH = "/demo/webhook"
HEX_HEADER = "x-exosphere-signature"
SHOWN_HEADERS = ("content-type", "webhook-id", "webhook-timestamp", "webhook-signature", HEX_HEADER, "user-agent")
KEPT = 200
MOST_BYTES = 1024 * 1024
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
STATIC = {"style.css": "text/css", "slack.css": "text/css", "live.js": "text/javascript", "bell.svg": "image/svg+xml"}
OURS = {"slack.css": slack.STYLE, "bell.svg": slack.BELL}
"""What is no file of the page's own."""


class Shown(Struct, frozen=True):
    """One article of the page, as HTML."""

    number: int
    column: str
    html: str


class Run(Struct):
    """One run of the sample pipeline, as the page shows it."""

    run_id: str
    stages: dict[str, str]
    status: str = "running"


class Inbox:
    """What arrived. `said` is told each arrival in one line; `fail_once` names the type that is refused at first."""

    def __init__(self, clock_ms: Callable[[], int], said: Callable[[str], None], *, fail_once: str = "") -> None:
        self.clock_ms = clock_ms
        self.said = said
        self.fail_once = fail_once
        self.secret = ""
        self.shown: deque[Shown] = deque(maxlen=KEPT)
        self.count = 0
        self.runs: list[Run] = []
        self.slack_taken = 0
        self.webhooks_taken: set[str] = set()
        self.unverified = 0
        self.retried = 0
        self.tries: dict[str, list[bytes]] = {}

    def routes(self) -> tuple[Route, ...]:
        return (
            Route("/services/{team}/{webhook}/{token}", guarded(self.slack), methods=["POST"]),
            Route(WEBHOOK_PATH, guarded(self.webhook), methods=["POST"]),
            Route("/demo", page, methods=["GET"]),
            Route("/demo/news", self.news, methods=["GET"]),
            Route("/demo/{name}", static, methods=["GET"]),
        )

    async def slack(self, request: Request) -> Response:
        """Answers as Slack does: a word, and nothing that says which message it was."""
        now_ms = self.clock_ms()
        if request.url.path != SLACK_PATH:
            return PlainTextResponse("no_service", 404)
        body = await read_body(request, MOST_BYTES)
        fake = FakeSlack()
        said = fake.answer(Asked("POST", "hooks.slack.com", SLACK_PATH, dict(request.headers), body, now_ms))
        if said.status != 200:
            word = said.body.decode()
            self.show("slack", rendering.refused_message(word, now_ms))
            self.said(f"Slack     would refuse this: {word}")
            return PlainTextResponse(word, said.status)
        self.slack_taken += 1
        self.show("slack", slack.html(body, now_ms))
        self.said(f"Slack     {slack.unescaped(fake.messages[0].text)}")
        return PlainTextResponse("ok")

    async def webhook(self, request: Request) -> Response:
        """Checks both signatures over the bytes as they came, and only then looks into them."""
        now_ms = self.clock_ms()
        body = await read_body(request, MOST_BYTES)
        headers = {name: value for name, value in request.headers.items() if name in SHOWN_HEADERS}
        id_ = headers.get("webhook-id", "")
        verified = bool(self.secret) and (
            verify([self.secret], headers, body, now_ms / 1000)
            and verify_hex(self.secret, headers.get(HEX_HEADER, ""), body)
        )
        tries = self.tries.setdefault(id_, []) if verified else []
        tries.append(body)
        type_, stage = type_and_stage(body)
        status = 401
        if verified:
            status = 200
            if type_ == self.fail_once:
                self.fail_once, status = "", 503
        self.note(id_, status, verified=verified, again=len(tries) > 1)
        self.show(
            "webhook",
            rendering.webhook_arrival(
                body=body,
                headers=headers,
                at_ms=now_ms,
                attempt=len(tries),
                verified=verified,
                status=status,
                same_bytes=tries[0] == body,
            ),
        )
        again = f", attempt {len(tries)}: same id, same bytes" if len(tries) > 1 and tries[0] == body else ""
        signed = "signature verified" if verified else "signature wrong"
        self.said(f"webhook   {' '.join((type_, stage)).rstrip()}: {signed}, answered {status}{again}")
        return PlainTextResponse("taken" if status < 300 else "not now" if verified else "who are you?", status)

    def note(self, id_: str, status: int, *, verified: bool, again: bool) -> None:
        if not verified:
            self.unverified += 1
        elif status < 300:
            self.webhooks_taken.add(id_)
            self.retried += again

    def show(self, column: str, html: str) -> None:
        self.count += 1
        self.shown.append(Shown(self.count, column, html))

    async def news(self, request: Request) -> Response:
        """What came after the number that the page has already, oldest first."""
        after = request.query_params.get("after", "0")
        since = int(after) if after.isascii() and after.isdigit() and len(after) < 16 else 0
        runs = [
            rendering.run_line(run.run_id, run.stages.items(), run.status, f"run-{number}")
            for number, run in enumerate(self.runs, 1)
        ]
        items = [one for one in self.shown if one.number > since]
        content = msgspec.json.encode({"latest": self.count, "runs": "".join(runs), "items": items})
        return Response(content, media_type="application/json", headers=HEADERS)


def type_and_stage(body: bytes) -> tuple[str, str]:
    """What a body says it is about, whichever of our formats it has."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "not JSON", ""
    if not isinstance(found, dict):
        return "request", ""
    return str(found.get("type") or found.get("event_type") or "request")[:100], str(found.get("stage") or "")[:100]


def guarded(handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return await handle(request)
        except Refusal as refusal:
            return PlainTextResponse(refusal.detail, refusal.status)

    return answer


async def page(request: Request) -> Response:
    return Response(read("page.html"), media_type="text/html", headers=HEADERS)


async def static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        return PlainTextResponse("There is nothing here.", 404)
    return Response(read(name), media_type=STATIC[name], headers=HEADERS)


def read(name: str) -> bytes:
    return OURS[name].encode() if name in OURS else (files("tocsin.cli.demo_page") / name).read_bytes()
