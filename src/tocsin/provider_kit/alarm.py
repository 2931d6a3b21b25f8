"""What services that wake people have in common: how grave it is, which alarm it is, its details and its links."""

from tocsin.model.event import SEVERITIES, Action
from tocsin.model.message import Message, Tone
from tocsin.model.wire import Sending
from tocsin.provider_kit.links import web_links
from tocsin.provider_kit.text import cut, line, lines, shared_key, tail

FACTS = 6
NAME_CHARS = 100
VALUE_CHARS = 1000
TEXT_CHARS = 4000

BY_TONE: dict[Tone, str] = {"rollback": "critical", "bad": "error", "warning": "warning"}


def severity(message: Message) -> str:
    """info, warning, error or critical: what the state is worth by itself, or what its source says if that is more."""
    by_tone, told = BY_TONE.get(message.tone, "info"), message.severity
    return max(by_tone, told if told in SEVERITIES else "info", key=SEVERITIES.index)


def alarm_key(sending: Sending) -> str:
    """What opens an alarm and closes it again: the trouble, else the run, else the event itself. 32 hex digits."""
    message = sending.told
    return sending.incident_key or sending.run_key or shared_key(message.source, message.event_id)


def summary(message: Message) -> str:
    """One line that is never empty. No emoji: it is read out on the telephone."""
    told = line(message.sentence.removeprefix(message.emoji)) or line(message.title)
    return told or line(message.event_type) or "Something happened, and nobody said what"


def details(message: Message) -> dict[str, str]:
    """Cause, facts and run, as pairs: none of them empty, each name once."""
    pairs = (("Cause", message.cause), *message.facts[:FACTS], ("Run", message.run_id))
    found: dict[str, str] = {}
    for name, value in pairs:
        if line(name) and line(value):
            found.setdefault(cut(line(name), NAME_CHARS), cut(line(value), VALUE_CHARS))
    return found


def said(message: Message) -> str:
    """What the source said, in its lines, where the summary does not say it; "" for nothing."""
    told = "" if line(message.text) in summary(message) else message.text
    return cut(lines(told).strip(), TEXT_CHARS)


def error(message: Message) -> str:
    """The end of the error, in its lines; "" for none."""
    return tail(lines(message.detail).strip(), TEXT_CHARS)


def links(message: Message) -> list[Action]:
    """The first few, with labels in one line that are never empty."""
    return [
        Action(cut(line(one.label), NAME_CHARS) or "Open", one.url, one.style) for one in web_links(message.actions)
    ]
