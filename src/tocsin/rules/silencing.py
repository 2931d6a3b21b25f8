"""Silences: which of them keeps a message back."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import chain

from tocsin.model.event import Event
from tocsin.model.world import Matcher, Silence
from tocsin.rules.fold import value_of
from tocsin.rules.hours import ends_ms
from tocsin.rules.pattern import is_exact, matches

EVENT_FIELDS = frozenset({"pipeline", "type", "kind", "severity", "source", "stage"})
"""What a matcher may ask of an event, besides labels.NAME."""

Named = tuple[str, str]
"""An id and a name. A matcher may give either."""

Asked = tuple[str, str]
"""A field and a value."""

Placed = tuple[int, Silence]
"""A silence and its place among all: of several that fit, the first counts."""

REMEMBERED = 4096


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

    Each stands in one place, under the first thing that it asks for exactly, of the event if it can be. Those that ask
    for patterns stand under the first field of the event that they ask for, and what fits a value of it is remembered.
    Those that say only what must not be so stand in a list.
    """

    def __init__(self, silences: Iterable[Silence]) -> None:
        self.places: dict[Asked, list[Placed]] = defaultdict(list)
        self.patterns: dict[str, list[tuple[str, Placed]]] = defaultdict(list)
        self.remembered: dict[Asked, list[Placed]] = {}
        self.others: list[Placed] = []
        for placed in enumerate(silences):
            anchor = anchor_of(placed[1])
            if anchor is None:
                self.others.append(placed)
            elif is_exact(anchor.value):
                self.places[anchor.field, anchor.value].append(placed)
            else:
                self.patterns[anchor.field].append((anchor.value, placed))
        self.fields = {field for field, _ in self.places if is_of_event(field)}
        self.asks_rules = any(field == "rule" for field, _ in self.places)
        self.asks_endpoints = any(field == "endpoint" for field, _ in self.places)

    def near(self, event: Event, rules: Iterable[Named] = (), endpoints: Iterable[Named] = ()) -> tuple[Silence, ...]:
        """Those that could fit a message of this event by these rules to these endpoints, in order: what to ask
        `silenced` about."""
        asked = [(field, value_of(event, field)) for field in self.fields]
        if self.asks_rules:
            asked += [("rule", value) for named in rules for value in named]
        if self.asks_endpoints:
            asked += [("endpoint", value) for named in endpoints for value in named]
        found = dict(self.others)
        for one in asked:
            found |= self.places.get(one, ())
        for field in self.patterns:
            found |= self._by_pattern(field, value_of(event, field))
        return tuple(found[order] for order in sorted(found))

    def _by_pattern(self, field: str, value: str) -> list[Placed]:
        known = self.remembered.get((field, value))
        if known is None:
            known = [placed for pattern, placed in self.patterns[field] if matches(pattern, value)]
            if len(self.remembered) >= REMEMBERED:
                self.remembered.clear()
            self.remembered[field, value] = known
        return known


def anchor_of(silence: Silence) -> Matcher | None:
    """What it asks for that the fewest messages have, as far as one can tell: exact names come before patterns."""
    asked = [matcher for matcher in silence.matchers if not matcher.negate]
    exact = [matcher for matcher in asked if is_exact(matcher.value)]
    return next(
        chain(
            (matcher for matcher in exact if is_of_event(matcher.field)),
            (matcher for matcher in exact if matcher.field in ("rule", "endpoint")),
            (matcher for matcher in asked if is_of_event(matcher.field)),
        ),
        None,
    )
