"""The pages that are a step away from everywhere, in their order."""

from msgspec import Struct


class Place(Struct, frozen=True):
    """`key` is the second letter of its shortcut: `g d` leads to the deliveries. `counts`: the name of its number.
    `other`: a page that belongs to it, under a path of its own."""

    path: str
    name: str
    icon: str
    group: str
    key: str = ""
    role: str = "viewer"
    counts: str = ""
    other: str = ""


NAVIGATION = (
    Place("/", "Overview", "house", "What happens", "o"),
    Place("/events", "Events", "activity", "What happens", "e"),
    Place("/deliveries", "Deliveries", "send", "What happens", "d", counts="retrying"),
    Place("/runs", "Runs", "play", "What happens", "r"),
    Place("/pipelines", "Pipelines", "workflow", "What happens", "p"),
    Place("/dead-letters", "Dead letters", "inbox", "What happens", "l", counts="dead"),
    Place("/endpoints", "Endpoints", "plug", "Who hears of it", "n", counts="failing"),
    Place("/rules", "Rules", "route", "Who hears of it", "u"),
    Place("/silences", "Silences", "bell-off", "Who hears of it", "s", counts="silences"),
    Place("/sources", "Sources", "radio", "Who hears of it", "c"),
    Place("/flows", "Flows", "git-branch", "Who hears of it", "f"),
    Place("/notifications", "My notifications", "bell", "You and others", "m", counts="unread", other="/inbox"),
    Place("/audit", "Audit", "shield-check", "You and others", "a", role="admin"),
    Place("/team", "Team & tokens", "users", "You and others", "t"),
    Place("/settings", "Settings", "settings", "You and others", "x", role="anybody"),
)
