"""A message: words and facts, ready for any provider's shape."""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from tocsin.model.event import Action
from tocsin.model.run import RunStep

Tone = Literal["running", "good", "bad", "warning", "rollback", "neutral"]
"""What colour and emoji follow from."""

FOLDED = "tocsin.folded"
"""The event type of a message that tells of many: its `data` has their ids (`folded`, a hundred or so), their `count`,
how many of each kind (`kinds`), and when (`first_ms`, `last_ms`)."""


class Message(Struct, frozen=True, kw_only=True):
    """Every string is plain text and may be hostile: a provider escapes it for its own markup.

    `title` is line one: what, which state, where, at most 80 characters or so. `sentence` is the whole story in one
    sentence, for notifications, screen readers and plain text. `cause` is the reason of a failure (one line),
    `detail` its longer text (an error's tail), `facts` short pairs, `footer` the small print. `steps` are the run's
    stages in their order, where the message tells of a run that has any.
    """

    event_id: str
    event_uid: str
    event_type: str
    kind: str
    source: str
    severity: str
    tone: Tone
    emoji: str
    title: str
    sentence: str
    cause: str = ""
    text: str = ""
    detail: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    actions: tuple[Action, ...] = ()
    footer: tuple[str, ...] = ()
    pipeline: str = ""
    run_id: str = ""
    stage: str = ""
    run_status: str = ""
    duration_ms: int | None = None
    time_ms: int = 0
    labels: Mapping[str, str] = {}
    data: Mapping[str, Any] = {}
    links: Mapping[str, str] = {}
    steps: tuple[RunStep, ...] = ()
