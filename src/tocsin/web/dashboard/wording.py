"""Numbers and times as people read them, for templates: pure functions, each a filter under its own name."""

import datetime as dt
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape
from msgspec import Struct

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class State(Struct, frozen=True):
    """How a state looks: a shape, a word, and a tone (ok, warn, bad, info, mute)."""

    word: str
    icon: str
    tone: str


STATES = {
    # Of deliveries. Held back, failed and dead are different words everywhere.
    "pending": State("Queued", "clock", "info"),
    "sending": State("Sending", "send", "info"),
    "retrying": State("Retrying", "rotate-cw", "warn"),
    "delivered": State("Delivered", "check", "ok"),
    "dead": State("Dead letter", "x", "bad"),
    "expired": State("Expired", "timer", "bad"),
    "cancelled": State("Cancelled", "ban", "mute"),
    "suppressed": State("Held back", "minus", "mute"),
    # Of runs and stages.
    "unknown": State("Unknown", "circle-help", "mute"),
    "running": State("Running", "play", "info"),
    "paused": State("Paused", "pause", "warn"),
    "succeeded": State("Succeeded", "check", "ok"),
    "failed": State("Failed", "x", "bad"),
    "warning": State("Warning", "triangle-alert", "warn"),
    "skipped": State("Skipped", "minus", "mute"),
    # Of endpoints, silences and other things that are on or off.
    "active": State("Active", "check", "ok"),
    "disabled": State("Off", "circle-pause", "mute"),
    "failing": State("Failing", "x", "bad"),
    "ended": State("Ended", "minus", "mute"),
    "planned": State("Planned", "calendar", "info"),
    # Of events.
    "info": State("Info", "info", "info"),
    "error": State("Error", "x", "bad"),
    "critical": State("Critical", "flame", "bad"),
}


def state(name: str) -> State:
    return STATES.get(name) or State(name, "circle", "mute")


def parsed(text: str) -> dt.datetime:
    """A time of the API, RFC 3339."""
    return dt.datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(dt.UTC)


def utc(text: str) -> str:
    """`2026-11-21 16:41:07 UTC`."""
    return parsed(text).strftime("%Y-%m-%d %H:%M:%S UTC")


def span(seconds: float | None) -> str:
    """A length of time in two units at the most: `214 ms`, `1.2 s`, `41 s`, `2 min 5 s`, `1 h 54 min`, `3 d 4 h`."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    for unit, name, next_unit, next_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit:
            rest = whole % unit // next_unit
            return f"{whole // unit} {name}" + (f" {rest} {next_name}" if rest else "")
    return f"{whole} s"


def ago(text: str, now_ms: int) -> str:
    """`2 min ago`, `in 41 s`, `just now`; beyond a month the day. `app.js` says the same as time goes by."""
    then = parsed(text)
    past_s = now_ms / 1000 - then.timestamp()
    away_s = abs(past_s)
    if away_s < 5:
        return "just now"
    if away_s >= 30 * 86400:
        return f"{then.day} {MONTHS[then.month - 1]} {then.year}"
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if away_s >= unit:
            said = f"{int(away_s // unit)} {name}"
            break
    return f"{said} ago" if past_s > 0 else f"in {said}"


def when(text: str | None, now_ms: int) -> Markup:
    """A time in words, exact on hover and focus; a click copies it."""
    if not text:
        return Markup('<span class="sub">–</span>')
    exact = utc(text)
    return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(text, exact, ago(text, now_ms))


def moment(text: str | None) -> Markup:
    """A time to the second; `app.js` puts it into the zone that somebody chose."""
    if not text:
        return Markup('<span class="sub">–</span>')
    return Markup('<time datetime="{}" title="{}" data-clock>{}</time>').format(text, utc(text), utc(text)[:-4])


TICKS = {"hour": "%H:%M", "day": "%a %-d", "both": "%-d %b %H:%M"}


def tick(text: str, kind: str) -> Markup:
    """A time below a chart, by `kind` of TICKS; `app.js` puts it into the zone that somebody chose."""
    return Markup('<time datetime="{}" data-axis="{}">{}</time>').format(text, kind, parsed(text).strftime(TICKS[kind]))


NOW = Markup("now (<span data-zone-said>UTC</span>)")
"""The end of such an axis, which says in which zone its times are."""


def ends_soon(text: str, now_ms: int) -> str:
    """The class of a time that is past, or will be within a week."""
    left_s = parsed(text).timestamp() - now_ms / 1000
    return "c-bad" if left_s <= 0 else "c-warn" if left_s < 7 * 86400 else ""


def number(value: float) -> str:
    """`1,482`."""
    return f"{value:,}"


def percent(part: float, whole: float) -> str:
    """`98.1 %`; `–` of nothing. Never 100 % where something is missing."""
    if not whole:
        return "–"
    share = 100 * part / whole
    if part != whole:
        share = min(share, 99.9)
    return f"{share:.1f} %".replace(".0 %", " %")


def plural(count: int, one: str, many: str = "") -> str:
    """`1 delivery`, `1,482 deliveries`."""
    word = one if count == 1 else many or f"{one}s"
    return f"{count:,} {word}"


def query(values: dict[str, Any], **changed: Any) -> str:
    """A query string with what is not empty; `?` before it where there is anything."""
    left = {name: value for name, value in (values | changed).items() if value not in (None, "", False)}
    return f"?{urlencode(left)}" if left else ""


def part(text: str) -> str:
    """A part of a path, its slashes written as well."""
    return quote(str(text), safe="")


def breakable(text: str) -> Markup:
    """A long name that may be broken at its marks."""
    return Markup("").join(Markup("{}<wbr>").format(piece) for piece in pieces(text)) if text else escape("")


def pieces(text: str) -> list[str]:
    found, start = [], 0
    for place, mark in enumerate(text):
        if mark in "/._-:":
            found.append(text[start : place + 1])
            start = place + 1
    return [*found, text[start:]] if start < len(text) else found


def coded(text: str) -> Markup:
    """What stands between backticks as code."""
    marks = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(one) if place % 2 and place < len(marks) - 1 else escape(one)
        for place, one in enumerate(marks)
    )


FILTERS = {
    "state": state,
    "utc": utc,
    "span": span,
    "ago": ago,
    "when": when,
    "moment": moment,
    "ends_soon": ends_soon,
    "number": number,
    "percent": percent,
    "plural": plural,
    "query": query,
    "part": part,
    "breakable": breakable,
    "coded": coded,
}
