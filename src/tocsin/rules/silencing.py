"""Silences: which of them keeps a message back."""

from collections import defaultdict
from collections.abc import Iterable

from tocsin.model.event import Event
from tocsin.model.world import Matcher, Silence
from tocsin.rules.fold import value_of
from tocsin.rules.hours import ends_ms
from tocsin.rules.pattern import is_exact, matches

EVENT_FIELDS = frozenset({"pipeline", "type", "kind", "severity", "source", "stage"})
"""What a matcher may ask of an event, besides labels.NAME."""

Named = tuple[str, str]
"""An id and a name. A matcher may give either."""


def silenced(silences: tuple[Silence, ...], event: Event, rule: Named, endpoint: Named, now_ms: int) -> Silence | None:
    """The first that fits this event, for this rule and this endpoint."""
    for silence in silences:
        if is_on(silence, now_ms) and all(fits(matcher, event, rule, endpoint) for matcher in silence.matchers):
            return silence
    return None


def is_on(silence: Silence, now_ms: int) -> bool:
    """Whether it is within its span, and within its hours if it has any. The start belongs to it, the end does not."""
    if now_ms < silence.starts_ms or (silence.ends_ms is not None and now_ms >= silence.ends_ms):
        return False
    return not silence.hours or any(ends_ms(hours, now_ms) for hours in silence.hours)


def fits(matcher: Matcher, event: Event, rule: Named, endpoint: Named) -> bool:
    """A label that the event does not have is read as "". A field that nobody knows never fits, negated or not: a
    silence that hides too little is noticed, one that hides too much is not."""
    values: tuple[str, ...]
    if matcher.field == "rule":
        values = rule
    elif matcher.field == "endpoint":
        values = endpoint
    elif is_of_event(matcher.field):
        values = (value_of(event, matcher.field),)
    else:
        return False
    return any(matches(matcher.value, value) for value in values) is not matcher.negate


def is_of_event(field: str) -> bool:
    """Whether the event alone says if a matcher on this field fits."""
    return field in EVENT_FIELDS or field.startswith("labels.")


class SilenceIndex:
    """A tenant's silences, so that those about something else cost an event nothing.

    Each stands in one place, under the first thing that it asks of an event exactly; those that ask for patterns or for
    rules and endpoints only stand in a list.
    """

    def __init__(self, silences: Iterable[Silence]) -> None:
        self.places: dict[tuple[str, str], list[tuple[int, Silence]]] = defaultdict(list)
        self.others: list[tuple[int, Silence]] = []
        for order, silence in enumerate(silences):
            anchor = anchor_of(silence)
            (self.others if anchor is None else self.places[anchor]).append((order, silence))
        self.fields = {field for field, _ in self.places}

    def near(self, event: Event) -> tuple[Silence, ...]:
        """Those that could fit this event, in order: what to ask `silenced` about."""
        found = list(self.others)
        for field in self.fields:
            found += self.places.get((field, value_of(event, field)), ())
        return tuple(silence for _, silence in sorted(found, key=lambda one: one[0]))


def anchor_of(silence: Silence) -> tuple[str, str] | None:
    """The first thing that it asks of an event exactly, as field and value."""
    for matcher in silence.matchers:
        if is_of_event(matcher.field) and not matcher.negate and is_exact(matcher.value):
            return matcher.field, matcher.value
    return None
