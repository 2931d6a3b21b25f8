"""The tasks that send: a payload as it is written (`slack.send`), and what became of an execution (`slack.execution`).

Each kind is a function that makes an `Outgoing`; how it goes out is sending.py's.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tocsin.flows import report as reports
from tocsin.flows.execution import Execution, Handler, Outgoing, Seen, TaskFailed, TaskRun
from tocsin.flows.expression.values import text
from tocsin.flows.json_text import json_of
from tocsin.flows.model import Task
from tocsin.flows.report import Json, Report, objects
from tocsin.flows.sending import send_once_and_again
from tocsin.providers.teams import RETIRED

BARE = re.compile(r"^\s*(secret\s*\(\s*(['\"])[^'\"]+\2\s*\))\s*$")
"""`url: secret('X')` without its braces, as a page of documentation has it."""

BOLD, ITALIC, LINK = re.compile(r"\*\*(.+?)\*\*"), re.compile(r"__(.+?)__"), re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
PAGERDUTY = {"events.pagerduty.com": "us", "events.eu.pagerduty.com": "eu"}
OPSGENIE = {"api.opsgenie.com": "us", "api.eu.opsgenie.com": "eu"}
TLS = {"SMTP": "none", "SMTPS": "tls", "SMTP_TLS": "starttls"}

_encode = msgspec.json.Encoder().encode


class Given:
    """A task's fields, rendered as they are asked for."""

    def __init__(self, task: Task, run: TaskRun, execution: Execution) -> None:
        self.task = task
        self.run = run
        self.execution = execution

    def value(self, name: str, standard: Any = None) -> Any:
        """Rendered; the standard where the task does not say, or says nothing."""
        found = self.execution.rendered(self.task.given.get(name), self.run)
        return standard if found is None or found == "" else found

    def text(self, name: str, standard: str = "") -> str:
        return text(self.value(name, standard))

    def needed(self, name: str) -> str:
        if not (found := self.text(name)):
            raise TaskFailed(f"{name}: it is missing")
        return found

    def pairs(self, name: str) -> dict[str, str]:
        """A map, written as such, as JSON, or as a list of `{key, value}`."""
        found = self.value(name, {})
        if isinstance(found, str):
            try:
                found = json.loads(found)
            except (ValueError, RecursionError):
                raise TaskFailed(f"{name}: expected names with values") from None
        if isinstance(found, list):
            found = {text(one.get("key")): one.get("value") for one in objects(found)}
        if not isinstance(found, dict):
            raise TaskFailed(f"{name}: expected names with values")
        return {text(key): text(one) for key, one in found.items()}

    def list_(self, name: str) -> list[str]:
        """A list, or text with commas or semicolons."""
        found = self.value(name, [])
        parts = found if isinstance(found, list) else re.split(r"[,;]", text(found))
        return [one for part in parts if (one := text(part).strip())]

    def url(self) -> str:
        written = self.task.given.get("url")
        if isinstance(written, str) and (bare := BARE.match(written)):
            self.warn("url: an expression stands between {{ and }}; it is taken for one")
            return text(self.execution.rendered("{{ " + bare[1] + " }}", self.run)).strip()
        return self.needed("url").strip()

    def json(self, name: str) -> Json | None:
        """The object that a field stands for; None where it is not given."""
        if (written := self.task.given.get(name)) is None or written == "":
            return None
        found = json_of(written, self.run, self.execution, name)
        if not isinstance(found, dict):
            raise TaskFailed(f"{name}: expected a JSON object")
        return found

    def headers(self) -> dict[str, str]:
        options = self.value("options", {})
        found = options.get("headers") if isinstance(options, Mapping) else None
        return {text(name): text(one) for name, one in found.items()} if isinstance(found, Mapping) else {}

    def warn(self, words: str) -> None:
        self.execution.log(words, self.run, "WARN")

    def to_url(self, provider: str, body: Json) -> Outgoing:
        return Outgoing(provider, _encode(body), self.url(), headers=self.headers())


Base = Callable[[Given], Json | None]
"""What the body is made of: the task's payload, or the report of an execution."""

# Slack, Teams, Discord, Google Chat.


def slack(given: Given, base: Json | None) -> Outgoing:
    body = base or from_text(given)
    named = {"channel": "channel", "username": "username", "iconUrl": "icon_url", "iconEmoji": "icon_emoji"}
    own = {name: found for field, name in named.items() if (found := given.text(field))}
    return given.to_url("slack", body | own)


def from_text(given: Given) -> Json:
    """`messageText`: JSON, or words in Markdown."""
    said = given.text("messageText")
    if not said:
        raise TaskFailed("payload: it is missing; either payload or messageText says what is sent")
    try:
        found = json.loads(said)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        return found
    return {"text": LINK.sub(r"<\2|\1>", ITALIC.sub(r"_\1_", BOLD.sub(r"*\1*", said)))}


def teams(given: Given, base: Json | None) -> Outgoing:
    """An address of the retired connectors gets a MessageCard, a workflow an Adaptive Card."""
    card = dict(base or needed_payload(given))
    if color := given.text("themeColor"):
        card.setdefault("themeColor", color)
    sections = objects(card.get("sections"))
    for name in ("activityTitle", "activitySubtitle"):
        if sections and (found := given.text(name)):
            sections[0][name] = found
    url = given.url()
    return given.to_url("teams", card if RETIRED.match(url) else reports.adaptive(card))


def needed_payload(given: Given) -> Json:
    found = given.json("payload")
    if found is None:
        raise TaskFailed("payload: it is missing")
    return found


def discord(given: Given, base: Json | None) -> Outgoing:
    body = dict(base or {})
    named = {"content": "content", "username": "username", "avatarUrl": "avatar_url"}
    body |= {name: found for field, name in named.items() if (found := given.text(field))}
    own = [embed(one) for one in objects(given.value("embedList", []))]
    if own:
        body["embeds"] = [*own, *objects(body.get("embeds"))][: reports.DISCORD_EMBEDS]
    if not body:
        raise TaskFailed("payload: it is missing; payload, content or embedList says what is sent")
    return given.to_url("discord", body)


def embed(given: Json) -> Json:
    found: Json = {name: text(given[name]) for name in ("title", "description") if given.get(name)}
    if given.get("websiteUrl"):
        found["url"] = text(given["websiteUrl"])
    if given.get("thumbnail"):
        found["thumbnail"] = {"url": text(given["thumbnail"])}
    if given.get("authorName"):
        found["author"] = {"name": text(given["authorName"])}
    if given.get("footer"):
        found["footer"] = {"text": text(given["footer"])}
    color = given.get("color")
    if isinstance(color, list) and len(color) == 3 and all(type(one) is int and 0 <= one < 256 for one in color):
        found["color"] = color[0] * 65536 + color[1] * 256 + color[2]
    return found


def google_chat(given: Given, base: Json | None) -> Outgoing:
    body = dict(base or {})
    if said := given.text("text"):
        body["text"] = said
    if not body and (said := given.text("messageText")):
        body = {"text": said}
    if not body:
        raise TaskFailed("payload: it is missing")
    return given.to_url("google_chat", body)


# Telegram and mail: what is in the settings is sealed.


def telegram(given: Given, base: Json | None) -> Outgoing:
    body = dict(base or {"text": given.needed("payload")})
    if base is None and (mode := given.text("parseMode")):
        body["parse_mode"] = mode
    settings = {"bot_token": given.needed("token"), "chat_id": chat(given.needed("channel"))}
    return Outgoing("telegram", _encode(body), settings=settings)


def chat(given: str) -> int | str:
    return int(given) if re.fullmatch(r"-?[0-9]{1,16}", given) else given


def mail(given: Given, base: Json | None) -> Outgoing:
    way = given.text("transportStrategy", "SMTPS").upper()
    if way not in TLS:
        raise TaskFailed(f"transportStrategy: expected one of {', '.join(TLS)}, found {way[:20]!r}")
    server: Json = {}
    if host := given.text("host"):
        server = {
            "smtp_host": host,
            "smtp_port": whole_number(given.text("port", "465"), "port"),
            "smtp_tls": TLS[way],
            "smtp_username": given.text("username"),
            "smtp_password": given.text("password"),
        }
    return as_mail(given, server, base, "htmlTextContent", "plainTextContent")


def sendgrid(given: Given, base: Json | None) -> Outgoing:
    return as_mail(given, {"sendgrid_api_key": given.needed("sendgridApiKey")}, base, "htmlContent", "textContent")


def as_mail(given: Given, server: Json, base: Json | None, html: str, plain: str) -> Outgoing:
    body = dict(base or {})
    own = {"subject": given.text("subject"), "html": given.text(html), "text": given.text(plain)}
    body |= {name: found for name, found in own.items() if found}
    if not body.get("html") and not body.get("text"):
        raise TaskFailed(f"{html}: it is missing; it or {plain} says what is written")
    for name in ("attachments", "embeddedImages"):
        if given.task.given.get(name):
            given.warn(f"{name}: they are left out; mail is sent without files")
    name, address = mailbox(given.text("from"))
    settings: Json = server | {"to": given.list_("to")}
    settings |= {"cc": cc} if (cc := given.list_("cc")) else {}
    settings |= {"from_address": address} if address else {}
    settings |= {"from_name": name} if name else {}
    return Outgoing("email", _encode(body), settings=settings)


def mailbox(given: str) -> tuple[str, str]:
    """`Ana <ana@example.com>` to its name and its address."""
    found = re.fullmatch(r"\s*(.*?)\s*<([^<>]+)>\s*", given)
    return (found[1].strip('"'), found[2].strip()) if found else ("", given.strip())


def whole_number(given: str, field: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", given):
        raise TaskFailed(f"{field}: expected a whole number, found {given[:20]!r}")
    return int(given)


# Alarms.


def pagerduty(given: Given, base: Json | None) -> Outgoing:
    body = dict(base or needed_payload(given))
    key = given.text("deduplicationKey")
    if key:
        body["dedup_key"] = key
    if action := given.text("eventAction"):
        body["event_action"] = action
    if summary := given.text("payloadSummary"):
        body["payload"] = {**(body.get("payload") or {}), "summary": summary}
    url = given.text("url") or "https://events.pagerduty.com/v2/enqueue"
    region = PAGERDUTY.get(urlsplit(url).hostname or "")
    routing_key = given.text("routingKey") or text(body.get("routing_key"))
    if region is None:
        return Outgoing("webhook", _encode(body | {"routing_key": routing_key}), url, headers=given.headers())
    if not routing_key:
        raise TaskFailed("routingKey: it is missing")
    body.pop("routing_key", None)
    return Outgoing("pagerduty", _encode(body), settings={"routing_key": routing_key, "region": region})


def opsgenie(given: Given, base: Json | None) -> Outgoing:
    body = dict(base or needed_payload(given))
    named = {"message": "message", "alias": "alias", "priority": "priority"}
    body |= {name: found for field, name in named.items() if (found := given.text(field))}
    if tags := given.list_("tags"):
        body["tags"] = tags
    for field in ("responders", "visibleTo"):
        if people := given.pairs(field):
            body[field] = [{"id": id_, "type": type_} for id_, type_ in people.items()]
    url = given.text("url") or "https://api.opsgenie.com/v2/alerts"
    key = given.needed("authorizationToken").removeprefix("GenieKey ").strip()
    region = OPSGENIE.get(urlsplit(url).hostname or "")
    if region is None:
        headers = given.headers() | {"authorization": f"GenieKey {key}"}
        return Outgoing("webhook", _encode(body), url, headers=headers)
    return Outgoing("opsgenie", _encode(body), settings={"api_key": key, "region": region})


# How they are run.


async def send(given: Given, make: "Make") -> None:
    outgoing = make(given, given.json("payload") if make not in (telegram, mail, sendgrid) else None)
    await go(given, outgoing)


async def report(given: Given, make: "Make", of: Callable[[Report], Json]) -> None:
    """A `payload` is no part of these: it is taken and left aside, as it always was."""
    execution = given.execution
    told = Report(
        await seen(given),
        tuple(given.pairs("customFields").items()),
        given.text("customMessage"),
        execution.reach.now_ms(),
    )
    await go(given, make(given, of(told)))


async def seen(given: Given) -> Seen:
    execution = given.execution
    id_ = given.text("executionId", execution.id)
    if id_ == execution.id:
        url = await execution.server.url(execution) if execution.server is not None else ""
        return reports.of_this(execution, given.run, url)
    trigger = execution.trigger
    found = await execution.server.seen(id_, trigger) if execution.server is not None else None
    if found is not None:
        return found
    if trigger.get("executionId") == id_:  # what started it says enough for a message
        said = {name: text(trigger.get(name)) for name in ("namespace", "flowId", "state")}
        return Seen(id_, said["namespace"], said["flowId"], said["state"])
    raise TaskFailed(f"executionId: there is no execution {id_[:100]!r}")


async def go(given: Given, outgoing: Outgoing) -> None:
    run, execution = given.run, given.execution
    if execution.server is None:
        await send_once_and_again(outgoing, run, execution, execution.reach.send)
        return
    if waits := await execution.server.notify(outgoing, run, execution):
        run.warned = True
        given.warn(f"{waits}; it goes on without this task")


Make = Callable[[Given, Json | None], Outgoing]
KINDS: dict[str, tuple[Make, Callable[[Report], Json]]] = {
    "slack": (slack, reports.slack),
    "teams": (teams, reports.teams),
    "discord": (discord, reports.discord),
    "google_chat": (google_chat, reports.google_chat),
    "telegram": (telegram, reports.telegram),
    "mail": (mail, reports.mail),
    "sendgrid": (sendgrid, reports.mail),
    "pagerduty": (pagerduty, reports.pagerduty),
    "opsgenie": (opsgenie, reports.opsgenie),
}


async def handle(
    make: Make, of: Callable[[Report], Json] | None, task: Task, run: TaskRun, execution: Execution
) -> Any:
    given = Given(task, run, execution)
    await (send(given, make) if of is None else report(given, make, of))
    return {}


HANDLERS: dict[str, Handler] = {
    name: handler
    for kind, (make, of) in KINDS.items()
    for name, handler in (
        (f"{kind}.send", partial(handle, make, None)),
        (f"{kind}.execution", partial(handle, make, of)),
    )
}
