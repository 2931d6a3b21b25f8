"""What an import made, and what it has to say about what it found."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

How = Literal["kept", "changed", "left"]


@dataclass(frozen=True)
class Finding:
    """`where` it stood. `kept`: it is the same. `changed`: it works otherwise, and `said` how. `left`: it was not
    taken, and `said` why."""

    where: str
    how: How
    said: str


@dataclass
class Found:
    """What was read so far. `secrets`: what the configuration refers to as env:NAME."""

    endpoints: list[dict[str, Any]] = field(default_factory=list)
    rules: list[dict[str, Any]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)

    def say(self, where: str, how: How, said: str) -> None:
        self.findings.append(Finding(where, how, said))

    def secret(self, name: str, value: str) -> str:
        """A reference to it, in its place."""
        variable = re.sub(r"[^A-Z0-9]+", "_", name.upper()).strip("_") or "SECRET"
        if variable[0].isdigit():
            variable = f"N{variable}"
        wanted, number = variable, 2
        while self.secrets.get(variable, value) != value:
            variable, number = f"{wanted}_{number}", number + 1
        self.secrets[variable] = value
        return f"env:{variable}"

    def endpoint(self, where: str, provider_type: str, name: str, **fields: Any) -> str:
        """Its name, which no other endpoint has."""
        taken = {one["name"] for one in self.endpoints}
        chosen, number = name[:200], 2
        while chosen in taken:
            chosen, number = f"{name[:190]} {number}", number + 1
        kept = {key: value for key, value in fields.items() if value not in ("", None, {}, [])}
        self.endpoints.append({"name": chosen, "provider_type": provider_type} | kept)
        self.say(where, "kept", f"endpoint {chosen} ({provider_type})")
        return chosen

    def rule(self, where: str, name: str, **fields: Any) -> None:
        taken = {one["name"] for one in self.rules}
        chosen, number = name[:200], 2
        while chosen in taken:
            chosen, number = f"{name[:190]} {number}", number + 1
        self.rules.append({"name": chosen} | {key: value for key, value in fields.items() if value not in ("", [], {})})
        self.say(where, "kept", f"rule {chosen}")

    @property
    def sections(self) -> list[tuple[str, Any]]:
        found: list[tuple[str, Any]] = []
        if self.endpoints:
            found.append(("endpoints", self.endpoints))
        if self.rules:
            found.append(("rules", self.rules))
        return found


def duration_s(text: Any) -> int | None:
    """`30s`, `5m`, `1h30m`, `4h`, `1d` in seconds; None for what is none."""
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
    parts = re.findall(r"(\d+)(ms|[smhdwy])", str(text))
    if not parts or "".join(number + unit for number, unit in parts) != str(text):
        return None
    return max(1, round(sum(int(number) * units[unit] for number, unit in parts)))
