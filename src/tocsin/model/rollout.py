"""How far a feature has come: nobody has it, chosen tenants have it, everybody has it."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from tocsin.model.access import TENANT_ID
from tocsin.model.errors import Invalid

ALERTS = "alerts"
"""The alert engine as a whole. The other features are the kinds of endpoints."""

State = Literal["off", "tenants", "on"]
EXPECTED = "off, on, or tenants: and their ids with commas (tenants:a,b)"


class Rollout(Struct, frozen=True):
    """`tenants` have it where the state is "tenants". `setting`: the environment variable that says so, or "" where
    the store does."""

    feature: str
    state: State = "on"
    tenants: tuple[str, ...] = ()
    setting: str = ""

    def off(self, tenant_id: str) -> str:
        """Why this tenant does not have it, or ""."""
        if self.state == "on" or (self.state == "tenants" and tenant_id in self.tenants):
            return ""
        if self.setting:
            return f"{self.setting} is off" if self.state == "off" else f"{self.setting} does not name this tenant"
        if self.state == "off":
            return f"the rollout of {self.feature} is off"
        return f"the rollout of {self.feature} has not come to this tenant"

    def said(self) -> str:
        """As `parse` reads it."""
        return f"tenants:{','.join(self.tenants)}" if self.state == "tenants" else self.state


Rollouts = Mapping[str, Rollout]
EVERYTHING: Rollouts = {}
"""What is not named is on for everybody."""


def parse(field: str, feature: str, text: str, setting: str = "") -> Rollout:
    """Raises Invalid, about this field."""
    state, colon, names = text.strip().partition(":")
    tenants = tuple(sorted({name.strip() for name in names.split(",")})) if colon else ()
    if state in ("off", "on") and not colon:
        return Rollout(feature, "off" if state == "off" else "on", (), setting)
    if state != "tenants" or not all(TENANT_ID.match(name) for name in tenants) or not tenants:
        raise Invalid(field, repr(text[:80]), EXPECTED)
    return Rollout(feature, "tenants", tenants, setting)


def off(rollouts: Rollouts, feature: str, tenant_id: str) -> str:
    """Why this tenant does not have the feature, or ""."""
    rollout = rollouts.get(feature)
    return "" if rollout is None else rollout.off(tenant_id)
