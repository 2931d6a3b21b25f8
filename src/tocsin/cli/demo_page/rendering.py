"""What a program gets, as HTML. Every text in it came from outside and goes through `esc`."""

import html
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime


def esc(text: object) -> str:
    """Safe between tags and inside double quotes."""
    return html.escape(str(text), quote=True)


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


def run_line(name: str, stages: Iterable[tuple[str, str]], status: str, link: str) -> str:
    """One attempt of the sample pipeline's run: its stages, each with its state."""
    marks = {"succeeded": "✓", "failed": "✗", "running": "…", "waiting": "·"}
    tones = {"succeeded": "good", "failed": "bad", "running": "running", "waiting": "neutral"}
    steps = "".join(
        f'<li class="{tones[state]}"><span aria-hidden="true">{marks[state]}</span> {esc(name)}'
        f'<span class="hidden"> {state}</span></li>'
        for name, state in stages
    )
    return (
        f'<div class="run" id="{esc(link)}"><code>{esc(name)}</code><ol>{steps}</ol>'
        f"{mark(status, tones.get(status, 'neutral'))}</div>"
    )


def mark(text: str, tone: str) -> str:
    return f'<span class="mark {esc(tone)}">{esc(text)}</span>'


def clock(at_ms: int) -> str:
    """UTC here; the page's script shows the reader's own time."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f'<time datetime="{at.isoformat(timespec="seconds")}">{at:%H:%M} UTC</time>'
