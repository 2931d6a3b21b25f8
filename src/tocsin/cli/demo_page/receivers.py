"""The other end: fakes of five providers, a webhook that checks its signatures, and the page of what came to them."""

from collections.abc import Awaitable, Callable, Iterable
from importlib.resources import files
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tocsin.cli.demo_page import channels, rendering
from tocsin.cli.demo_page.channels import Seen
from tocsin.fakes import Asked
from tocsin.model.errors import Refusal
from tocsin.previews import discord, slack, teams
from tocsin.provider_kit.signing import verify, verify_hex
from tocsin.provider_kit.text import cut, line
from tocsin.web.routes import read_body

PROVIDER_PATHS = (
    "/api/{method}",
    "/api/webhooks/{rest:path}",
    "/powerautomate/{rest:path}",
    "/v2/enqueue",
    "/v3/mail/send",
)
"""Those of Slack, Discord, Teams, PagerDuty and SendGrid. TOCSIN_CONNECT_TO changes where a request goes and
nothing of it: the name of the host says whom it is meant for."""

WEBHOOK_PATH = "/demo/webhook"
HEX_HEADER = "x-exosphere-signature"
SHOWN_HEADERS = ("content-type", "webhook-id", "webhook-timestamp", "webhook-signature", HEX_HEADER, "user-agent")
MOST_BYTES = 1024 * 1024
TOLD_CHARS = 110
NONE = "default-src 'none'; base-uri 'none'; form-action 'none'"
POLICY = (
    f"{NONE}; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; "
    "frame-ancestors 'none'"
)
MAIL_POLICY = f"{NONE}; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox"
"""A mail brings its own styles, and nothing else of it works."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
STATIC = {
    "style.css": "text/css",
    "previews.css": "text/css",
    "live.js": "text/javascript",
    "bell.svg": "image/svg+xml",
}
OURS = {"previews.css": slack.STYLE + teams.STYLE + discord.STYLE, "bell.svg": slack.BELL}
"""What is no file of the page's own."""


class Shown(Struct, frozen=True):
    """One article of the page, as HTML. A later one with the same key takes its place; `number` counts them all."""

    number: int
    column: str
    key: str
    html: str


class Run(Struct):
    """One attempt of the sample pipeline's run, as the page shows it."""

    run_id: str
    stages: dict[str, str]
    status: str = "running"


async def no_inbox() -> list[dict[str, Any]]:
    return []


class Receivers:
    """What arrived. `said` is told each arrival in one line; `fail_once` names the type that the webhook refuses at
    first; `inbox` reads the messages that Tocsin keeps itself, newest first.

    taken and asked_to_wait: how often the fakes gave such an answer, by provider kind; refused: what they said no to.
    """

    def __init__(
        self,
        clock_ms: Callable[[], int],
        said: Callable[[str], None],
        *,
        fail_once: str = "",
        inbox: Callable[[], Awaitable[list[dict[str, Any]]]] = no_inbox,
    ) -> None:
        self.clock_ms = clock_ms
        self.said = said
        self.fail_once = fail_once
        self.inbox = inbox
        self.channels = channels.new_channels()
        self.taken = dict.fromkeys(self.channels, 0)
        self.asked_to_wait = dict.fromkeys(self.channels, 0)
        self.refused: list[str] = []
        self.secret = ""
        self.shown: dict[str, Shown] = {}
        self.count = 0
        self.runs: list[Run] = []
        self.webhooks_taken: set[str] = set()
        self.unverified = 0
        self.retried = 0
        self.tries: dict[str, list[bytes]] = {}
        self._told: dict[str, list[str]] = {}

    def routes(self) -> tuple[Route, ...]:
        return (
            *(Route(path, guarded(self.provider), methods=["POST", "PATCH"]) for path in PROVIDER_PATHS),
            Route(WEBHOOK_PATH, guarded(self.webhook), methods=["POST"]),
            Route("/demo", page, methods=["GET"]),
            Route("/demo/news", self.news, methods=["GET"]),
            Route("/demo/mail/{number:int}", self.mail, methods=["GET"]),
            Route("/demo/{name}", static, methods=["GET"]),
        )

    async def provider(self, request: Request) -> Response:
        """Asks the fake that the host's name belongs to, and shows what its channel looks like now."""
        host = request.headers.get("host", "").partition(":")[0]
        kind = next((name for name, one in self.channels.items() if host in one.fake.hosts), "")
        if not kind:
            return PlainTextResponse("There is nothing here.", 404)
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        body = await read_body(request, MOST_BYTES)
        channel = self.channels[kind]
        headers = dict(request.headers)
        answer = channel.fake.answer(Asked(request.method, host, path, headers, body, self.clock_ms()))
        words = cut(line(answer.body.decode("utf-8", "replace")), TOLD_CHARS)
        if answer.status == 429:
            self.asked_to_wait[kind] += 1
            self.said(f"{channel.label:<9} asks to wait: {words}")
        elif answer.status >= 300 or b'"ok":false' in answer.body:
            self.refused.append(f"{channel.label}: {words}")
            self.show(kind, [Seen(f"refused-{len(self.refused)}", channels.refused(words), (f"refused: {words}",))])
        else:
            self.taken[kind] += 1
        self.show(kind, channel.look(channel.fake), channel.label)
        return Response(answer.body, answer.status, dict(answer.headers))

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
        html = rendering.webhook_arrival(
            body=body,
            headers=headers,
            at_ms=now_ms,
            attempt=len(tries),
            verified=verified,
            status=status,
            same_bytes=tries[0] == body,
        )
        again = f", attempt {len(tries)}: same id, same bytes" if len(tries) > 1 and tries[0] == body else ""
        signed = "signature verified" if verified else "signature wrong"
        told = f"{' '.join((type_, stage)).rstrip()}: {signed}, answered {status}{again}"
        self.show("webhook", [Seen(str(self.count), html, (told,))], "webhook")
        return PlainTextResponse("taken" if status < 300 else "not now" if verified else "who are you?", status)

    def note(self, id_: str, status: int, *, verified: bool, again: bool) -> None:
        if not verified:
            self.unverified += 1
        elif status < 300:
            self.webhooks_taken.add(id_)
            self.retried += again

    def show(self, column: str, seen: Iterable[Seen], label: str = "") -> None:
        """Puts what is new or has changed on the page, and says in the terminal what was not said of it before."""
        for one in seen:
            key = f"{column}-{one.key}"
            if key not in self.shown or self.shown[key].html != one.html:
                self.count += 1
                self.shown[key] = Shown(self.count, column, key, one.html)
            told = self._told.setdefault(key, [])
            for words in one.told:
                if words not in told:
                    told.append(words)
                    self.said(f"{label:<9} {cut(line(words), TOLD_CHARS)}")

    async def news(self, request: Request) -> Response:
        """What came or changed after the number that the page has already, oldest first."""
        self.show("in_app", channels.inbox(await self.inbox()), "inbox")
        after = request.query_params.get("after", "0")
        since = int(after) if after.isascii() and after.isdigit() and len(after) < 16 else 0
        runs = [
            rendering.run_line(f"{run.run_id} attempt {number}", run.stages.items(), run.status, f"attempt-{number}")
            for number, run in enumerate(self.runs, 1)
        ]
        items = sorted((one for one in self.shown.values() if one.number > since), key=lambda one: one.number)
        content = msgspec.json.encode({"latest": self.count, "runs": "".join(runs), "items": items})
        return Response(content, media_type="application/json", headers=HEADERS)

    async def mail(self, request: Request) -> Response:
        """One mail as a document of its own, for its frame."""
        mails: list[Any] = self.channels["email"].fake.mails  # type: ignore[attr-defined]
        number = request.path_params["number"]
        if number >= len(mails):
            return PlainTextResponse("There is no such mail.", 404)
        headers = HEADERS | {"content-security-policy": MAIL_POLICY}
        return Response(mails[number].html, media_type="text/html", headers=headers)


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
