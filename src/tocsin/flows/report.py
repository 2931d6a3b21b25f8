"""What messages say of an execution: how it ended, where, after how long. One function for each provider's body.

The words and fields are those that people know from the flows' own engine. What differs: a killed run is not told as
one that succeeded, an execution without tasks has a message too, links are links, and everything is made as an object,
so that no value can break it.
"""

import datetime as dt
from collections.abc import Callable
from html import escape
from typing import Any

from msgspec import Struct

from tocsin.flows.execution import Execution, Seen, TaskRun
from tocsin.provider_kit.adaptive_card import literal
from tocsin.provider_kit.text import cut

Json = dict[str, Any]

COLORS = {"SUCCESS": "good", "WARNING": "warning"}
CLAUSES = {"SUCCESS": "Succeeded", "WARNING": "Succeeded with warnings", "KILLED": "Killed", "CANCELLED": "Cancelled",
           "SKIPPED": "Skipped", "PAUSED": "Paused", "FAILED": "Failed"}  # fmt: skip
OVER = frozenset({"SUCCESS", "WARNING", "FAILED", "KILLED"})
SLACK_TEXT_CHARS = 3000
"""Of a section: https://docs.slack.dev/reference/block-kit/blocks/section-block"""

DISCORD_EMBEDS = 10
DISCORD_CHARS = 4096
TEAMS_FACTS = 30


class Report(Struct, frozen=True):
    """`fields` and `message` are the flow's own words."""

    seen: Seen
    fields: tuple[tuple[str, str], ...] = ()
    message: str = ""
    now_ms: int = 0

    @property
    def headline(self) -> str:
        return f"[{self.seen.namespace}] {self.seen.flow_id} ➛ {self.seen.state}"

    @property
    def failed(self) -> str:
        """The id of the task that the execution failed on, "" for none."""
        found = [id_ for id_, state in self.seen.tasks if state == "FAILED"]
        return found[-1] if found and self.seen.state in ("FAILED", "RUNNING") else ""

    @property
    def last(self) -> str:
        return self.failed or next((id_ for id_, state in reversed(self.seen.tasks) if state in OVER), "")

    @property
    def took(self) -> str:
        """`00:01:23.456`"""
        start = self.seen.started_ms
        end = self.seen.ended_ms if self.seen.ended_ms is not None else self.now_ms
        ms = max(0, end - start) if start is not None else 0
        hours, rest = divmod(ms, 3_600_000)
        minutes, rest = divmod(rest, 60_000)
        return f"{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"

    def outcome(self, quote: str = "`") -> str:
        said = CLAUSES.get(self.seen.state, "Running")
        said = f"Failed on task {quote}{self.failed}{quote}" if self.failed else said
        return f"{said} after {self.took}"

    def facts(self, literal: Callable[[str], str] = str) -> list[tuple[str, str]]:
        """Names and values; `literal` takes its meaning from what comes from outside."""
        seen = self.seen
        found = [
            ("Namespace", literal(seen.namespace)),
            ("Flow ID", literal(seen.flow_id)),
            ("Execution ID", literal(seen.id)),
            ("Execution Status", seen.state),
            *self.fields,
        ]
        return [*found, ("Final task ID", literal(self.last))] if self.last else found


def of_this(execution: Execution, run: TaskRun, url: str) -> Seen:
    """The execution that the message is a part of, as far as it has come."""
    return Seen(
        id=execution.id,
        namespace=execution.flow.namespace,
        flow_id=execution.flow.id,
        state=execution.state,
        started_ms=execution.started_ms,
        ended_ms=execution.ended_ms,
        url=url,
        tasks=tuple((one.task.id, one.state) for one in execution.runs if one is not run and one.ended_ms is not None),
        labels=execution.labels,
    )


def slack(report: Report) -> Json:
    seen = report.seen
    headline = mrkdwn(report.headline)
    linked = f"<{seen.url}|{headline}>" if seen.url else headline
    text = cut(f"*{linked}*\n> {mrkdwn(report.outcome())}", SLACK_TEXT_CHARS)
    section: Json = {"type": "section", "text": {"type": "mrkdwn", "text": text}}
    if seen.url:
        label = {"type": "plain_text", "text": "Details"}
        section["accessory"] = {"type": "button", "text": label, "value": "details", "url": seen.url}
    own = {"type": "section", "text": {"type": "mrkdwn", "text": cut(report.message, SLACK_TEXT_CHARS)}}
    attachment: Json = {
        "color": COLORS.get(seen.state, "danger"),
        "fields": [{"title": name, "value": value, "short": True} for name, value in report.facts(mrkdwn)],
    }
    if seen.started_ms is not None:
        attachment["ts"] = seen.started_ms // 1000
    return {"text": text, "blocks": [*([own] if report.message else []), section], "attachments": [attachment]}


def teams(report: Report) -> Json:
    """A MessageCard; `adaptive` makes a card of it for a workflow."""
    seen = report.seen
    section: Json = {
        "activityTitle": literal(report.headline),
        "activitySubtitle": literal(report.outcome(quote="")),
        "facts": [{"name": name, "value": value} for name, value in report.facts(literal)],
        "markdown": True,
    }
    if report.message:
        section["text"] = report.message
    card: Json = {
        "@type": "MessageCard",
        "@context": "http://schema.org/extensions",
        "themeColor": "0076D7",
        "summary": f"{report.headline}: {report.outcome(quote='')}",
        "sections": [section],
    }
    if seen.url:
        targets = [{"os": "default", "uri": seen.url}]
        card["potentialAction"] = [{"@type": "OpenUri", "name": "Details", "targets": targets}]
    return card


def adaptive(card: Json) -> Json:
    """A MessageCard as the Adaptive Card that a workflow posts; anything else as it is.

    https://learn.microsoft.com/outlook/actionable-messages/message-card-reference
    """
    if "attachments" in card or str(card.get("type", "")) == "message":
        return card
    if card.get("type") == "AdaptiveCard":
        return envelope(card)
    body: list[Json] = []

    def block(text: Any, **look: Any) -> None:
        if isinstance(text, str) and text:
            body.append({"type": "TextBlock", "text": text, "wrap": True} | look)

    block(card.get("title"), weight="Bolder", size="Medium")
    if not card.get("title") and not card.get("sections"):
        block(card.get("summary"), weight="Bolder")
    block(card.get("text"))
    for section in objects(card.get("sections")):
        block(section.get("title"), weight="Bolder")
        block(section.get("activityTitle"), weight="Bolder", size="Medium")
        block(section.get("activitySubtitle"), isSubtle=True)
        block(section.get("activityText"))
        block(section.get("text"))
        facts = [
            {"title": str(fact.get("name", "")), "value": str(fact.get("value", ""))}
            for fact in objects(section.get("facts"))[:TEAMS_FACTS]
        ]
        if facts:
            body.append({"type": "FactSet", "facts": facts})
    actions = [
        {"type": "Action.OpenUrl", "title": str(action.get("name") or "Open"), "url": target["uri"]}
        for action in objects(card.get("potentialAction"))
        for target in objects(action.get("targets"))[:1]
        if isinstance(target.get("uri"), str)
    ]
    made: Json = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.5",
        "msteams": {"width": "Full"},
        "body": body,
    }
    return envelope(made | ({"actions": actions} if actions else {}))


def envelope(card: Json) -> Json:
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def objects(value: Any) -> list[Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def discord(report: Report) -> Json:
    described = "\n".join(f"{name}: {value}" for name, value in report.facts())
    embed: Json = {
        "title": cut(report.headline, 256),
        "description": cut(described, DISCORD_CHARS),
        "footer": {"text": cut(report.outcome(), 2048)},
        "color": {"SUCCESS": 0x2EB67D, "WARNING": 0xECB22E}.get(report.seen.state, 0xE01E5A),
    }
    if report.seen.url:
        embed["url"] = report.seen.url
    return {"embeds": [embed]} | ({"content": cut(report.message, 2000)} if report.message else {})


def google_chat(report: Report) -> Json:
    headline = mrkdwn(report.headline)
    linked = f"<{report.seen.url}|{headline}>" if report.seen.url else headline
    facts = "\n".join(f"{name}: {value}" for name, value in report.facts(mrkdwn))
    parts = (report.message, f"*{linked}*\n{mrkdwn(report.outcome())}", facts)
    return {"text": cut("\n\n".join(part for part in parts if part), 4000)}


def telegram(report: Report) -> Json:
    facts = "\n".join(f"{name}: {value}" for name, value in report.facts())
    parts = (report.message, f"{report.headline}\n{report.outcome()}", facts, report.seen.url)
    return {"text": cut("\n\n".join(part for part in parts if part), 4096)}


def mail(report: Report) -> Json:
    facts = "\n".join(f"{name}: {value}" for name, value in report.facts())
    parts = (report.message, f"{report.headline}\n{report.outcome(quote='')}", facts, report.seen.url)
    rows = "".join(
        f'<tr><td style="padding:2px 12px 2px 0;color:#555">{escape(name)}</td><td>{escape(value)}</td></tr>'
        for name, value in report.facts()
    )
    link = f'<p><a href="{escape(report.seen.url)}">Details</a></p>' if report.seen.url else ""
    own = f"<p>{escape(report.message)}</p>" if report.message else ""
    html = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"></head><body style="font-family:sans-serif">'
        f"{own}<h3>{escape(report.headline)}</h3><p>{escape(report.outcome(quote=''))}</p>"
        f"<table>{rows}</table>{link}</body></html>\n"
    )
    text = "\n\n".join(part for part in parts if part)
    return {"subject": f"{report.headline}: {report.outcome(quote='')}", "text": text, "html": html}


def pagerduty(report: Report) -> Json:
    seen = report.seen
    payload: Json = {
        "summary": cut(report.message or f"{report.headline}: {report.outcome(quote='')}", 1024),
        "source": cut(f"{seen.namespace} {seen.id}", 255),
        "severity": "error" if seen.state == "FAILED" or report.failed else "info",
        "custom_details": dict(report.facts()),
    }
    if seen.started_ms is not None:
        payload["timestamp"] = dt.datetime.fromtimestamp(seen.started_ms / 1000, dt.UTC).isoformat()
    event: Json = {"event_action": "trigger", "payload": payload}
    return event | ({"links": [{"href": seen.url, "text": report.headline}]} if seen.url else {})


def opsgenie(report: Report) -> Json:
    return {
        "message": cut(report.message or f"{report.headline}: {report.outcome(quote='')}", 130),
        "description": "\n".join(part for part in (report.headline, report.outcome(), report.seen.url) if part),
        "details": dict(report.facts()),
    }


def mrkdwn(words: str) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text#escaping"""
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
