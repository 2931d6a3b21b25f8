"""Many events in one message: what happened, how often, and the last of each."""

from msgspec.structs import replace

from tocsin.compose.message import NO_WORDS, compose
from tocsin.model.delivery import Words
from tocsin.model.event import Event
from tocsin.model.message import Message


def compose_folded(event: Event, others: tuple[Event, ...], words: Words = NO_WORDS) -> Message:
    """One message about `event` and those that joined it (oldest first), which have `words.fold` in common."""
    first = compose(event, None, words=words)
    count = len(others) + 1
    return replace(first, title=f"{count} events: {words.fold}", sentence=f"{count} events: {words.fold}.")
