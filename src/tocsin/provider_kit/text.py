"""Words that came from outside, made safe to show and cut to size."""

import hashlib
import re
import unicodedata
from collections.abc import Callable

BACK_OFF = 40
"""How far a cut may move to the left to spare a cluster. The longest emoji in use (a family, a flag of a region) have
fewer than 15 characters; beyond that it is a pile of marks, which may be cut."""

# Control characters, bidirectional marks and overrides (https://trojansource.codes), the byte order mark, lone
# surrogates (no UTF-8 exists for them) and noncharacters. The joiners stay: emoji and several scripts need them.
_UNWANTED = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufffe\uffff]"
)
_LINE_ENDS = re.compile("\r\n?|[\x85\u2028\u2029]")


def line(text: str) -> str:
    """The text as one line without anything that steers a terminal, a screen or the direction of reading."""
    if text.isprintable():
        return text.strip()
    return " ".join(_UNWANTED.sub("", text).split())


def lines(text: str) -> str:
    """The same, but its lines are kept and end in a plain newline."""
    if text.isprintable():
        return text
    return _UNWANTED.sub("", _LINE_ENDS.sub("\n", text))


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, ending in "…" when something was cut; what is seen as one character stays whole."""
    if len(text) <= limit:
        return text
    if limit < 1:
        return ""
    return text[: _boundary(text, limit - 1)].rstrip() + "…"


def tail(text: str, limit: int) -> str:
    """The last `limit` characters, beginning with "…" when something was cut: the end of a log says most."""
    if len(text) <= limit:
        return text
    start = len(text) - limit + 1
    while start < len(text) and _continues(text, start):
        start += 1
    return "…" + text[start:]


def cut_escaped(text: str, limit: int, escape: Callable[[str], str]) -> str:
    """The text, escaped, in at most `limit` characters. It is cut before it is escaped, so that no escape is cut."""
    kept = cut(text, limit)
    escaped = escape(kept)
    if len(escaped) <= limit:
        return escaped
    found, fits, too_many = "", 0, len(kept)
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        escaped = escape(cut(kept, middle))
        if len(escaped) <= limit:
            found, fits = escaped, middle
        else:
            too_many = middle
    return found


def _boundary(text: str, end: int) -> int:
    """The nearest place at or before `end` where the text may be cut."""
    for at in range(end, max(-1, end - BACK_OFF), -1):
        if not _continues(text, at):
            return at
    return end


def _continues(text: str, at: int) -> bool:
    """Whether the character at `at` belongs to the one before it: https://unicode.org/reports/tr29/, in its essence."""
    char = text[at]
    if char < "\u0300" or at == 0:
        return False
    if char == "\u200d" or text[at - 1] == "\u200d":
        return True
    if "\U0001f3fb" <= char <= "\U0001f3ff" or "\U000e0020" <= char <= "\U000e007f":
        return True  # skin tones; the tags of a region's flag
    if "\U0001f1e6" <= char <= "\U0001f1ff":
        return _flags_before(text, at) % 2 == 1
    return unicodedata.category(char)[0] == "M" or "\udc00" <= char <= "\udfff"


def _flags_before(text: str, at: int) -> int:
    """How many regional indicators stand directly before `at`: two make one flag."""
    start = at
    while start and "\U0001f1e6" <= text[start - 1] <= "\U0001f1ff":
        start -= 1
    return at - start


def duration(ms: float) -> str:
    """A length of time as people read it: `850 ms`, `4.2 s`, `12m 31s`, `1h 04m`, `3d 02h`."""
    if ms < 1000:
        return f"{max(0, round(ms))} ms"
    if ms < 9950:
        return f"{ms / 1000:.1f}".removesuffix(".0") + " s"
    total = round(ms / 1000)
    minutes, seconds = divmod(total, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d {hours:02}h"
    if hours:
        return f"{hours}h {minutes:02}m"
    return f"{minutes}m {seconds:02}s" if minutes else f"{seconds} s"


def masked(address: str) -> str:
    """An address as it may be shown: its last ten characters, fewer where that would be most of it."""
    return "…" + address[-min(10, len(address) // 3) :] if len(address) > 2 else "…"


def shared_key(*parts: str) -> str:
    """An opaque name (32 hex digits) for what the parts say together. It gives none of them away."""
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "replace")).hexdigest()[:32]
