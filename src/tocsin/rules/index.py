"""Which rules could want an event: found by what the event says, so that rules that do not match cost nothing.

Every rule stands under the rarest thing it asks for: pipelines by name, else a label, else what its patterns of
pipelines begin with, else types by name. The rest stand under the beginning that all pipelines have, which is nothing.
What fits a (type, kind, pipeline) of those that stand under beginnings is remembered.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from msgspec import Struct

from tocsin.model.errors import Invalid
from tocsin.model.event import Event
from tocsin.model.rule import Rule
from tocsin.rules.condition import Condition, compile_condition
from tocsin.rules.incident import CLOSES
from tocsin.rules.noise_check import check_noise
from tocsin.rules.own import OWN, is_reminder, owner_of
from tocsin.rules.pattern import Matcher, is_exact, literal_start, matcher

REMEMBERED = 4096


HEARTBEAT = "run.heartbeat"
"""A run's sign of life, every minute or so: nobody is told of it who does not name it, for `*` does not mean that."""


class CompiledRule(Struct, frozen=True):
    """`order` is the rule's place among all: of several rules that lead to one endpoint, the first counts."""

    rule: Rule
    order: int
    types: Matcher
    pipelines: Matcher
    labels: tuple[tuple[str, Matcher], ...]
    condition: Condition | None

    def wants(self, event: Event) -> bool:
        """By type, pipeline and labels; the condition is asked afterwards."""
        return self.wants_type(event) and self.pipelines(event.pipeline) and self.wants_labels(event.labels)

    def wants_type(self, event: Event) -> bool:
        if event.type == HEARTBEAT:
            return HEARTBEAT in self.rule.event_types
        return self.types(event.type) or self.types(event.kind)

    def wants_labels(self, labels: Mapping[str, str]) -> bool:
        return not self.labels or all(name in labels and fits(labels[name]) for name, fits in self.labels)


def compile_rule(rule: Rule, order: int = 0) -> CompiledRule:
    """Raises Invalid for a pattern, a condition, a time zone or the like that does not hold."""
    check_noise(rule.noise, rule.pipelines)
    return CompiledRule(
        rule,
        order,
        matcher(types_of(rule)),
        matcher(rule.pipelines),
        tuple((name, matcher((value,))) for name, value in rule.labels.items()),
        compile_condition(rule.condition) if rule.condition else None,
    )


class RuleIndex:
    """The rules of one tenant, in the order in which they count."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.places: dict[tuple[str, ...], list[CompiledRule]] = defaultdict(list)
        self.beginnings: dict[str, list[CompiledRule]] = defaultdict(list)
        self.remembered: dict[tuple[str, str, str], list[CompiledRule]] = {}
        self.label_names: set[str] = set()
        self.by_id: dict[str, CompiledRule] = {}
        self.limited: list[CompiledRule] = []
        self.broken: dict[str, str] = {}
        for order, rule in enumerate(rules):
            try:
                compiled = compile_rule(rule, order)
            except Invalid as error:  # saved by an older or another program; it must not stop the others
                self.broken[rule.id] = error.detail
                continue
            self.by_id[rule.id] = compiled
            if rule.rate_limit is not None:
                self.limited.append(compiled)
            anchors = anchors_of(rule)
            for anchor in anchors:
                self.places[anchor].append(compiled)
                if anchor[0] == "label":
                    self.label_names.add(anchor[1])
            if not anchors:
                for beginning in beginnings_of(rule):
                    self.beginnings[beginning].append(compiled)
        self.lengths = sorted({len(beginning) for beginning in self.beginnings})
        self.uses_labels = any(rule.labels for rule in self.by_id.values())
        self.size = len(self.by_id)

    def candidates(self, event: Event) -> Sequence[CompiledRule]:
        """Those whose type, pipeline and labels fit, in order. What a rule had Tocsin look for is for that rule,
        whatever types it names; a reminder is for nobody else."""
        if event.source != OWN:
            return self._candidates(event)
        owner = self.by_id.get(owner_of(event))
        found = [] if is_reminder(event) else self._candidates(event)
        if owner is None or any(rule.order == owner.order for rule in found):
            return found
        return sorted([*found, owner], key=lambda rule: rule.order)

    def _candidates(self, event: Event) -> Sequence[CompiledRule]:
        """Without labels an event's rules are known by its type, kind and pipeline alone."""
        found = self._by_pattern(event)
        if self.uses_labels:
            found = [rule for rule in found if rule.wants_labels(event.labels)]
            if self.label_names:
                keys = [("label", name, value) for name, value in event.labels.items() if name in self.label_names]
                found += [rule for key in keys for rule in self.places.get(key, ()) if rule.wants(event)]
                if len(found) > 1:
                    found = sorted({rule.order: rule for rule in found}.values(), key=lambda rule: rule.order)
        return found

    def _by_pattern(self, event: Event) -> list[CompiledRule]:
        """The rules whose type and pipeline fit, but for those that stand under a label."""
        key = (event.type, event.kind, event.pipeline)
        known = self.remembered.get(key)
        if known is None:
            places = (("pipeline", event.pipeline), ("type", event.type), ("type", event.kind))
            asked = chain(
                (rule for n in self.lengths for rule in self.beginnings.get(event.pipeline[:n], ())),
                (rule for place in places for rule in self.places.get(place, ())),
            )
            fitting = {rule.order: rule for rule in asked if rule.wants_type(event) and rule.pipelines(event.pipeline)}
            known = [fitting[order] for order in sorted(fitting)]
            if len(self.remembered) >= REMEMBERED:
                self.remembered.clear()
            self.remembered[key] = known
        return known


def types_of(rule: Rule) -> tuple[str, ...]:
    """The types that the rule must see: one that tells of changes has to hear of good news too, or trouble would never
    be over for it."""
    if not rule.event_types or not rule.noise.is_stateful:
        return rule.event_types
    return (*rule.event_types, *sorted(CLOSES - set(rule.event_types)))


OF_ENDPOINT = "ep"
"""What the id of a rule begins with that stands for an endpoint's `enabled_events`."""


def rule_of_endpoint(tenant_id: str, endpoint_id: str, name: str, event_types: tuple[str, ...]) -> Rule:
    """An endpoint's `enabled_events`, as the rule that they are short for."""
    return Rule(
        id=f"{OF_ENDPOINT}:{endpoint_id}",
        tenant_id=tenant_id,
        name=f"events of {name}",
        event_types=event_types,
        endpoint_ids=(endpoint_id,),
    )


def anchors_of(rule: Rule) -> list[tuple[str, ...]]:
    """Where the rule stands, if not under what its pipelines begin with: under each exact pipeline, else its first
    exact label, else each exact type."""
    if rule.pipelines and all(is_exact(pipeline) for pipeline in rule.pipelines):
        return [("pipeline", pipeline) for pipeline in dict.fromkeys(rule.pipelines)]
    for name, value in rule.labels.items():
        if is_exact(value):
            return [("label", name, value)]
    types = types_of(rule)
    if types and all(is_exact(type_) for type_ in types) and "" in beginnings_of(rule):
        return [("type", type_) for type_ in dict.fromkeys(types)]
    return []


def beginnings_of(rule: Rule) -> set[str]:
    """How the pipelines that it wants begin; nothing where they may begin with anything."""
    return {literal_start(pattern) for pattern in rule.pipelines} or {""}
