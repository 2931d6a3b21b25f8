"""Rules as a file of configuration says them: only what is not as it would be anyway."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from tocsin.web.api.alert_rules import RuleIn, rule_of
from tocsin.web.api.alert_rules import shown as shown_rule

Json = dict[str, Any]

STAMPS = frozenset({"id", "created_by", "created_at", "updated_at", "last_fired_at", "rule_id"})
"""What the server says of an object, and nobody sets."""


def plain(value: Any) -> Any:
    """As it looks in JSON."""
    return json.loads(msgspec.json.encode(value))


def without_stamps(shown: Json) -> Json:
    return {name: value for name, value in shown.items() if name not in STAMPS}


def but_standard(form: Json, standard: Json) -> Json:
    """Only what is not as it would be anyway; the name first."""
    first = {name: form[name] for name in ("name", "webhook_id") if name in form}
    return first | {name: value for name, value in form.items() if value != standard.get(name)}


def rule_shown(shown: Json, names: Mapping[str, str]) -> Json:
    """A saved rule as a file has it. `names`: of webhooks, by id."""
    ids = [names.get(id_, id_) for id_ in shown["webhook_endpoint_ids"]]
    return {**without_stamps(shown), "webhook_endpoint_ids": ids}


def rule_exported(shown: Json, names: Mapping[str, str]) -> Json:
    return but_standard(rule_shown(shown, names), standard_rule())


@cache
def standard_rule() -> Json:
    """What a rule is that says nothing but its name."""
    return without_stamps(in_full(RuleIn(name="-")))


def in_full(given: RuleIn) -> Json:
    """A rule with every field, as the API would show it."""
    found: Json = plain(shown_rule(rule_of(given, "", "", "", 0)))
    return found
