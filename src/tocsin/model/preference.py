"""What a user wants to hear of, and where: category × channel, quiet hours, a digest, and two addresses."""

from msgspec import Struct

from tocsin.model.noise import Digest, Hours

SLACK, EMAIL = "slack", "email"
CHANNELS = (SLACK, EMAIL)
PROVIDER_OF = {SLACK: "slack_bot", EMAIL: "email"}


class Category(Struct, frozen=True):
    """Kinds and types that people hear of together. `default`: the channels that are on unless a user says otherwise;
    `when_on`: those that go on where it is switched on as a whole."""

    label: str
    event_types: tuple[str, ...]
    condition: str
    default: tuple[str, ...]
    when_on: tuple[str, ...]


CATEGORIES = {
    "safety_rollback": Category("safety rollbacks", ("safety.rollback",), "", CHANNELS, CHANNELS),
    "experiment_lifecycle": Category(
        "experiments", ("experiment.*", "experiment_*"), 'event.kind != "run.progress"', CHANNELS, CHANNELS
    ),
    "rollout_advance": Category("rollout stages", ("rollout.advanced",), "", (), (SLACK,)),
    "alert": Category("alerts", ("alert", "alert.resolved"), 'event.source != "tocsin"', CHANNELS, CHANNELS),
}
CRITICAL = "critical"
"""What is critical in any of the categories is always sent: nobody can switch it off."""


class Preferences(Struct, frozen=True, omit_defaults=True):
    """One user's. `off` and `on` are the cells, as (category, channel), that differ from the default.

    slack_channel None: the operator's SLACK_DEFAULT_CHANNEL. email_address None: the address that the user is known by.
    """

    slack_enabled: bool = True
    email_enabled: bool = True
    on: tuple[tuple[str, str], ...] = ()
    off: tuple[tuple[str, str], ...] = ()
    quiet_hours: tuple[Hours, ...] = ()
    digest: Digest | None = None
    slack_channel: str | None = None
    email_address: str | None = None

    def is_on(self, category: str, channel: str) -> bool:
        """The cell alone, whether the channel as a whole is on or not."""
        cell = (category, channel)
        return cell in self.on or (channel in CATEGORIES[category].default and cell not in self.off)

    def wants(self, category: str, channel: str) -> bool:
        return self.is_on(category, channel) and (self.slack_enabled if channel == SLACK else self.email_enabled)
