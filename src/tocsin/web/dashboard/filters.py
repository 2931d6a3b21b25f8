"""The filter box of the deliveries: `status:failed endpoint:slack code:5xx since:14:00 orders`. Pure functions."""

import datetime as dt
import re
from collections.abc import Iterable, Mapping

from tocsin.model.delivery import STATUSES
from tocsin.model.errors import Invalid

WORDS = {
    "status": "failed, waiting, or a state such as retrying",
    "endpoint": "an endpoint's name or id, or a kind such as slack",
    "rule": "a rule's name or id",
    "type": "an event's type",
    "pipeline": "a pipeline; with * at its end all that begin so",
    "code": "404, 5xx, or none",
    "reason": "a reason; with * at its end all that begin so",
    "event": "an event's id",
    "since": "14:00, 2h, 7d, 2026-11-21, or all",
    "until": "as since",
}
"""What may stand before a colon, with what follows it."""

STATES = ("failed", "waiting", *STATUSES)
SAID_OTHERWISE = {"held": "suppressed", "dead-letter": "dead", "queued": "pending", "error": "failed"}
TOKEN = re.compile(r'(?:([A-Za-z_]+):)?(?:"((?:[^"\\]|\\.)*)"|(\S+))')
SPAN = re.compile(r"([0-9]{1,4})(m|h|d)")
CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
UNITS = {"m": 60, "h": 3600, "d": 86400}
CODE = re.compile(r"[1-5](?:[0-9]{2}|xx)|none")
MOST_CHARS = 500


def parse(text: str) -> dict[str, str]:
    """What is asked for, by word; what has no word is looked for under `text`. Raises Invalid for a word that is none,
    and for one that is there twice."""
    if len(text) > MOST_CHARS:
        raise Invalid("filter", f"{len(text)} characters", f"{MOST_CHARS} at the most")
    found: dict[str, str] = {}
    free: list[str] = []
    for word, quoted, plain in TOKEN.findall(text):
        value = re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
        name = word.lower()
        if not word:
            free.append(value)
        elif name not in WORDS:
            raise Invalid(word[:40], "no word of filters", f"one of {', '.join(WORDS)}")
        elif name in found:
            raise Invalid(name, "the word twice", "it once")
        elif value:
            found[name] = value
    return found | ({"text": " ".join(free)} if free else {})


def written(words: Mapping[str, str]) -> str:
    """The same as somebody would write it; `parse` reads it back."""
    parts = [f"{name}:{quoted(words[name])}" for name in WORDS if words.get(name)]
    return " ".join([*parts, *([words["text"]] if words.get("text") else [])])


def quoted(value: str) -> str:
    if re.fullmatch(r'[^\s"\\]+', value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def status_of(value: str) -> str:
    """Raises Invalid."""
    name = SAID_OTHERWISE.get(value.lower(), value.lower())
    if name not in STATES:
        raise Invalid("status", value[:40], f"one of {', '.join(STATES)}")
    return name


def code_of(value: str) -> str:
    """Raises Invalid."""
    if not CODE.fullmatch(value.lower()):
        raise Invalid("code", value[:40], WORDS["code"])
    return value.lower()


def moment_of(name: str, value: str, now_ms: int) -> str:
    """RFC 3339 in UTC; "" for `all`. A time of day is the last one there was. Raises Invalid."""
    now = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
    if value.lower() == "all":
        return ""
    if found := SPAN.fullmatch(value.lower()):
        return text_of(now - dt.timedelta(seconds=int(found[1]) * UNITS[found[2]]))
    if found := CLOCK.fullmatch(value):
        then = now.replace(hour=int(found[1]), minute=int(found[2]), second=0, microsecond=0)
        return text_of(then if then <= now else then - dt.timedelta(days=1))
    try:
        then = dt.datetime.fromisoformat(value.replace("Z", "+00:00"))
        return text_of(then if then.tzinfo else then.replace(tzinfo=dt.UTC))
    except (ValueError, OverflowError):
        raise Invalid(name, value[:40], WORDS["since"]) from None


def text_of(then: dt.datetime) -> str:
    return then.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def one_of(name: str, value: str, known: Iterable[tuple[str, str]]) -> str:
    """The id of what is meant, of (id, name): by its id, its name, or a part that only its name has. Raises Invalid."""
    known = list(known)
    asked = value.lower()
    exact = [id_ for id_, its_name in known if value == id_ or asked == its_name.lower()]
    if exact:
        return exact[0]
    like = [(id_, its_name) for id_, its_name in known if asked in its_name.lower()]
    if len(like) == 1:
        return like[0][0]
    if like:
        raise Invalid(name, f"{value[:40]}, which fits {len(like)}", ", or ".join(its for _, its in like[:5]))
    raise Invalid(name, value[:60], "one of " + ", ".join(its for _, its in known[:10]) if known else "a known one")
