"""A rule: who hears of what."""

from typing import Any

from msgspec import Struct

from tocsin.model.noise import Noise

TEST_RULE = "test"
"""The rule that test messages are sent by. They tell a person whether an endpoint works, and count for nothing else."""

FLOW_RULE = "flow"
"""The rule that messages of flows' tasks are sent by: the flow itself has decided."""


class RetryPolicy(Struct, frozen=True, omit_defaults=True):
    """`max_attempts` counts the first try. `base_s` and `cap_s` replace the standard schedule by base·2ⁿ up to cap."""

    max_attempts: int | None = None
    base_s: float | None = None
    cap_s: float | None = None


class RateLimit(Struct, frozen=True):
    """At most `count` messages in `per_s` seconds; what is over waits."""

    count: int
    per_s: float = 1.0


class Rule(Struct, frozen=True, kw_only=True):
    """Patterns are globs with `*` and `?`. An empty list of types, pipelines or labels means any.

    `settings`: what it sets of its endpoints' settings, for its own messages, such as mention_on_failure.
    `noise`: when a match is worth a message. `off`: why it tells only of what is critical: somebody's preferences.

    An endpoint's `enabled_events` is read as the rule `ep:<endpoint id>` with nothing but event types.
    """

    id: str
    tenant_id: str
    name: str
    event_types: tuple[str, ...] = ()
    pipelines: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    condition: str = ""
    endpoint_ids: tuple[str, ...] = ()
    retry: RetryPolicy = RetryPolicy()
    rate_limit: RateLimit | None = None
    settings: dict[str, Any] = {}
    noise: Noise = Noise()
    off: str = ""
    is_active: bool = True
    created_by: str = ""
    created_ms: int = 0
    updated_ms: int = 0
