"""What arrived, as HTML. Every text in it came from outside and goes through `esc`; links are http or https."""

import html
import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from tocsin.cli.demo_page.slack_shapes import (
    Actions,
    Attachment,
    Block,
    Context,
    Divider,
    Header,
    Link,
    Mrkdwn,
    Payload,
    Piece,
    Preformatted,
    RichSection,
    RichText,
    Section,
    Text,
)
from tocsin.provider_kit.block_kit import COLOURS

TONES: dict[str, str] = {colour: tone for tone, colour in COLOURS.items()}
"""The page's policy allows no style attributes, so a colour becomes a class."""

# Slack formats a word between two marks, where they touch it on the inside and nothing else does on the outside.
_MARKED = re.compile(
    r"<(?P<link>[^<>]+)>"
    r"|(?<!\w)`(?P<code>[^`\n]+)`(?!\w)"
    r"|(?<!\w)\*(?P<bold>[^\s*](?:[^*\n]*[^\s*])?)\*(?!\w)"
    r"|(?<!\w)_(?P<italic>[^\s_](?:[^_\n]*[^\s_])?)_(?!\w)"
    r"|(?<!\w)~(?P<strike>[^\s~](?:[^~\n]*[^\s~])?)~(?!\w)"
)
TAGS = {"bold": "b", "italic": "i", "strike": "s", "code": "code"}


def esc(text: object) -> str:
    """Safe between tags and inside double quotes."""
    return html.escape(str(text), quote=True)


def slack_message(payload: Payload, at_ms: int) -> str:
    """A message as a channel shows it: its blocks, or its text where it has none."""
    body = "".join(map(block, payload.blocks))
    if not payload.blocks:
        body = f"<p>{mrkdwn(payload.text) if payload.mrkdwn else plain(payload.text)}</p>"
    body += "".join(map(attachment, payload.attachments))
    return (
        '<article class="message"><img class="avatar" src="/demo/bell.svg" alt="" width="36" height="36">'
        f'<div class="said"><p class="by"><b>Tocsin</b> <span class="app">APP</span> {clock(at_ms)}</p>{body}</div>'
        "</article>"
    )


def refused_message(word: str, at_ms: int) -> str:
    return f'<article class="note bad">{clock(at_ms)} Slack would refuse this: <code>{esc(word)}</code></article>'


def webhook_arrival(
    *,
    body: bytes,
    headers: Mapping[str, str],
    at_ms: int,
    attempt: int,
    verified: bool,
    status: int,
    same_bytes: bool,
) -> str:
    """One request of the webhook: what came, whether both signatures hold, and what was answered."""
    try:
        found = json.loads(body)
        shown = json.dumps(found, indent=2, ensure_ascii=False)
    except ValueError:
        found, shown = {}, body.decode("utf-8", "replace")
    fields = found if isinstance(found, dict) else {}
    what = fields.get("type") or fields.get("event_type") or "request"
    signature = ("✓ signature verified", "good") if verified else ("✗ signature wrong", "bad")
    marks = [signature, (f"answered {status}", "good" if status < 300 else "warning")]
    if attempt > 1:
        marks.append((f"attempt {attempt}", "neutral"))
    told = str(fields.get("title") or "")
    if attempt > 1:
        told += f" – tried again: same id, {'same' if same_bytes else 'other'} bytes"
    elif status >= 500:
        told += " – not taken: Tocsin tries again in about two seconds"
    lines = "".join(f"<dt>{esc(name)}</dt><dd>{esc(value)}</dd>" for name, value in headers.items())
    opened = " open" if attempt > 1 else ""
    return (
        f'<article class="delivery"><details{opened}><summary><b>{esc(what)}</b> {clock(at_ms)} '
        f'<span class="marks">{"".join(mark(text, tone) for text, tone in marks)}</span>'
        f'<span class="told">{esc(told)}</span></summary><dl>{lines}</dl><pre>{esc(shown)}</pre></details></article>'
    )


def run_line(run_id: str, stages: Iterable[tuple[str, str]], status: str, link: str) -> str:
    """One run of the sample pipeline: its stages, each with its state."""
    marks = {"succeeded": "✓", "failed": "✗", "running": "…", "waiting": "·"}
    tones = {"succeeded": "good", "failed": "bad", "running": "running", "waiting": "neutral"}
    steps = "".join(
        f'<li class="{tones[state]}"><span aria-hidden="true">{marks[state]}</span> {esc(name)}'
        f'<span class="hidden"> {state}</span></li>'
        for name, state in stages
    )
    return (
        f'<div class="run" id="{esc(link)}"><code>{esc(run_id)}</code><ol>{steps}</ol>'
        f"{mark(status, tones.get(status, 'neutral'))}</div>"
    )


def mark(text: str, tone: str) -> str:
    return f'<span class="mark {esc(tone)}">{esc(text)}</span>'


def clock(at_ms: int) -> str:
    """UTC here; the page's script shows the reader's own time."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f'<time datetime="{at.isoformat(timespec="seconds")}">{at:%H:%M} UTC</time>'


def attachment(one: Attachment) -> str:
    tone = TONES.get(one.color.upper(), "neutral")
    return f'<div class="attachment {tone}">{"".join(map(block, one.blocks)) or plain(one.fallback)}</div>'


def block(one: Block) -> str:
    match one:
        case Header(text=title):
            return f"<h3>{esc(title.text)}</h3>"
        case Section(text=said, fields=fields):
            body = f"<p>{words(said)}</p>" if said is not None else ""
            return body + (f'<ul class="fields">{"".join(map(item, fields))}</ul>' if fields else "")
        case Context(elements=elements):
            return f'<p class="context">{" · ".join(map(words, elements))}</p>'
        case Actions(elements=buttons):
            return f'<p class="actions">{"".join(anchor(button.url, esc(button.text.text)) for button in buttons)}</p>'
        case RichText(elements=elements):
            return "".join(map(rich, elements))
        case Divider():
            return "<hr>"


def rich(part: RichSection | Preformatted) -> str:
    tag = "pre" if isinstance(part, Preformatted) else "p"
    return f"<{tag}>{inner(part.elements)}</{tag}>"


def item(field: Text) -> str:
    return f"<li>{words(field)}</li>"


def inner(pieces: Iterable[Piece | Link]) -> str:
    return "".join(anchor(one.url, esc(one.text or one.url)) if isinstance(one, Link) else piece(one) for one in pieces)


def piece(one: Piece) -> str:
    shown = broken(esc(one.text))
    for name, tag in TAGS.items():
        if getattr(one.style, name):
            shown = f"<{tag}>{shown}</{tag}>"
    return shown


def words(text: Text) -> str:
    return mrkdwn(text.text) if isinstance(text, Mrkdwn) else broken(esc(text.text))


def mrkdwn(text: str) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text"""
    shown, end = "", 0
    for found in _MARKED.finditer(text):
        shown += plain(text[end : found.start()])
        end = found.end()
        kind, content = found.lastgroup or "", found[found.lastgroup or 0]
        if kind == "link":
            shown += marked_link(content)
        elif kind == "code":
            shown += f"<code>{plain(content)}</code>"
        else:
            shown += f"<{TAGS[kind]}>{mrkdwn(content)}</{TAGS[kind]}>"
    return shown + plain(text[end:])


def plain(text: str) -> str:
    """Text in which Slack's three escapes stand for their characters."""
    return broken(esc(unescaped(text)))


def unescaped(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def broken(escaped: str) -> str:
    return escaped.replace("\n", "<br>")


def marked_link(content: str) -> str:
    """What stands between < and >: a link, a date, or somebody to wake."""
    target, _, label = content.partition("|")
    if target.startswith("!date^"):
        when = target.split("^")[1]
        return clock(int(when) * 1000) if re.fullmatch(r"[0-9]{1,11}", when) else plain(label)
    if target[:1] in ("!", "@", "#"):
        name = label or target[1:].rpartition("^")[2]
        return f'<span class="mention">@{plain(name)}</span>'
    return anchor(unescaped(target), plain(label or target))


def anchor(url: str, label: str) -> str:
    """`label` is HTML already. What is no web address is no link."""
    if not url.lower().startswith(("https://", "http://")):
        return label
    return f'<a href="{esc(url)}" target="_blank" rel="noopener noreferrer nofollow">{label}</a>'
