"""What people would see where messages go, as HTML: each channel as its fake holds it, by the previews of providers."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from tocsin.cli.demo_page.rendering import clock, esc, mark
from tocsin.fakes import Fake
from tocsin.fakes.discord import FakeDiscord
from tocsin.fakes.pagerduty import FakePagerDuty
from tocsin.fakes.sendgrid import FakeSendGrid
from tocsin.fakes.slack import FakeSlack, Message
from tocsin.fakes.teams import FakeTeams
from tocsin.previews import discord, slack, teams

REACTIONS = {"white_check_mark": "✅", "x": "❌", "warning": "⚠️", "no_entry_sign": "🚫"}


class Seen(Struct, frozen=True):
    """One article of a channel. `key` names it while it changes; `told` is its story so far, in lines."""

    key: str
    html: str
    told: tuple[str, ...]


def slack_channel(fake: FakeSlack) -> Iterator[Seen]:
    """Every message with what was made of it since: edits, reactions, its thread."""
    for message in fake.messages:
        told = [slack.unescaped(message.text)]
        if message.broadcast:
            yield Seen(message.ts, f'<div class="said">{aside("from the thread")}{posted(message)}</div>', ())
            continue
        below = [f'<span class="reaction">{esc(REACTIONS.get(name, name))} 1</span>' for name in message.reactions]
        if message.edits:
            below.append(f"<span>edited {times(len(message.edits))}, so that it shows the newest state</span>")
        made = f'<p class="below">{" ".join(below)}</p>' if below else ""
        if message.replies:
            replies = "".join(posted(one) for one in message.replies)
            made += f'<details class="thread" open><summary>{len(message.replies)} in its thread</summary>{replies}'
            made += "</details>"
            told += [f"thread: {slack.unescaped(one.text)}" for one in message.replies]
        yield Seen(message.ts, f'<div class="said">{posted(message)}{made}</div>', tuple(told))


def posted(message: Message) -> str:
    body = {"text": message.text, "blocks": message.blocks, "attachments": message.attachments}
    return slack.html(json.dumps(body).encode(), message.at_ms)


def discord_forum(fake: FakeDiscord) -> Iterator[Seen]:
    """A post for each run: its first message, which is edited, and what was said beneath."""
    for thread, name in fake.threads.items():
        root, *replies = [one for one in fake.messages if one.thread_id == thread]
        edits = f"edited {times(len(root.edits))}, so that it shows the newest state" if root.edits else ""
        body = json.dumps(root.body | {"thread_name": name}).encode()
        made = f"{discord.html(body)}{aside(edits)}"
        if replies:
            shown = "".join(discord.html(json.dumps(one.body).encode()) for one in replies)
            made += f'<details class="thread"><summary>{len(replies)} beneath it</summary>{shown}</details>'
        told = (discord_title(root.body), *(f"beneath: {discord_title(one.body)}" for one in replies))
        yield Seen(thread, f'<div class="said">{made}</div>', told)


def discord_title(body: dict[str, Any]) -> str:
    return str((body.get("embeds") or [{}])[0].get("title") or body.get("content") or "")


def teams_channel(fake: FakeTeams) -> Iterator[Seen]:
    """The cards that were posted, and why a workflow failed after it had answered."""
    for flow in fake.flows.values():
        for number, card in enumerate(flow.posts):
            body = json.dumps({"attachments": [{"content": card}]}).encode()
            told = str(card.get("fallbackText") or card.get("speak") or "a card")
            yield Seen(f"post-{number}", f'<div class="said">{teams.html(body)}</div>', (told,))
        for number, reason in enumerate(flow.failures):
            yield Seen(f"failure-{number}", refused(reason), (f"the workflow failed: {reason}",))


def mailbox(fake: FakeSendGrid) -> Iterator[Seen]:
    """The mails, each in a frame of its own: a mail brings its own styles."""
    for number, mail in enumerate(fake.mails):
        html = (
            f'<div class="said mail"><p><b>{esc(mail.subject)}</b></p>'
            f'<p class="about">{esc(mail.sender)} to {esc(", ".join(mail.to))}</p>'
            f'<iframe src="/demo/mail/{number}" title="{esc(mail.subject)}" sandbox></iframe></div>'
        )
        yield Seen(str(number), html, (mail.subject,))


def alerts(fake: FakePagerDuty) -> Iterator[Seen]:
    """The alerts with what became of them."""
    for number, alert in enumerate(fake.alerts):
        tone = "good" if alert.status == "resolved" else "bad"
        told = tuple(f"{one['event_action']}: {alert.summary}" for one in alert.events)
        steps = " → ".join(str(one["event_action"]) for one in alert.events)
        html = (
            f'<article class="plain"><p>{mark(alert.status, tone)} {mark(alert.severity, "neutral")}</p>'
            f'<p><b>{esc(alert.summary)}</b></p><p class="about">{esc(steps)}, by one key</p></article>'
        )
        yield Seen(str(number), html, told)


TONES = {"good": "good", "bad": "bad", "warning": "warning", "rollback": "warning", "running": "running"}


def inbox(items: list[dict[str, Any]]) -> Iterator[Seen]:
    """The messages that wait in Tocsin itself, oldest first."""
    for item in reversed(items):
        html = (
            f'<article class="plain"><p><b>{esc(item["title"])}</b> {clock(item["created_ms"])}</p>'
            f'<p class="about {TONES.get(item["tone"], "neutral")}">{esc(item["text"])}</p></article>'
        )
        yield Seen(str(item["id"]), html, (str(item["title"]),))


def refused(words: str) -> str:
    return f'<article class="plain note">The other side refused this: <code>{esc(words)}</code></article>'


def aside(words: str) -> str:
    return f'<p class="below">{esc(words)}</p>' if words else ""


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


class Channel(Struct, frozen=True):
    """A column of the page: what it is called in the terminal, who answers, and what is seen there."""

    label: str
    fake: Fake
    look: Callable[[Any], Iterator[Seen]]


def new_channels() -> dict[str, Channel]:
    """By provider kind. Each fake is as strict as the provider it stands for, its rates included where it knows any."""
    return {
        "slack_bot": Channel("Slack", FakeSlack(limits=True), slack_channel),
        "teams": Channel("Teams", FakeTeams(), teams_channel),
        "discord": Channel("Discord", FakeDiscord(forum=True, limits=True), discord_forum),
        "email": Channel("mail", FakeSendGrid(), mailbox),
        "pagerduty": Channel("PagerDuty", FakePagerDuty(), alerts),
    }
