"""The sentences of the API, as pages show them: its times in the zone that somebody chose, and what a receiver answered
in a word, without its markup. What it answered in full stands with the delivery."""

import re
from http import HTTPStatus

from markupsafe import Markup, escape

from tocsin.web.dashboard.tracing import without_ids

MOST_ANSWER = 80
MOMENT = re.compile(r"\b([0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9]{2}:[0-9]{2})(:[0-9]{2})? UTC\b")
ANSWER = re.compile(
    r"\bHTTP ([0-9]{3}): (.*?)"
    r"(?=; all [0-9]+ attempts failed|; [^;:]{1,200} (?:is|are|was|were) not told|\ \(and [0-9]+ more reason|\.?\Z)",
    re.DOTALL,
)
"""What a receiver said after its status; it ends where the sentence goes on."""
TAG = re.compile(r"<[^<>]{0,500}>")


def phrase(code: str) -> str:
    """`Internal Server Error`; "" for a status that has no name."""
    try:
        return HTTPStatus(int(code)).phrase
    except ValueError:
        return ""


def answer(code: str, said: str) -> str:
    """`HTTP 500 (Internal Server Error)`, `HTTP 410: This hook is gone`: in one short line without markup."""
    words = " ".join(TAG.sub(" ", said).split()).rstrip(".")
    named = phrase(code)
    if not words or words.lower() == named.lower() or TAG.search(said):
        return f"HTTP {code} ({named})" if named else f"HTTP {code}"
    return f"HTTP {code}: {words if len(words) <= MOST_ANSWER else words[: MOST_ANSWER - 1] + '…'}"


def in_short(text: str) -> str:
    return ANSWER.sub(lambda found: answer(found[1], found[2]), without_ids(text))


def sentence(text: str) -> Markup:
    """Escaped, its times as `<time>`: `app.js` says them in the zone that somebody chose."""
    parts, start = [Markup()], 0
    short = in_short(text)
    for found in MOMENT.finditer(short):
        exact = f"{found[1]}T{found[2]}{found[3] or ':00'}Z"
        parts += [
            escape(short[start : found.start()]),
            Markup('<time datetime="{}" data-clock="{}">{}</time>').format(exact, "s" if found[3] else "min", found[0]),
        ]
        start = found.end()
    return Markup().join([*parts, escape(short[start:])])


def capital(text: str) -> str:
    """With a capital at its beginning, as what stands alone has."""
    return text[:1].upper() + text[1:]


FILTERS = {"sentence": sentence, "capital": capital}
