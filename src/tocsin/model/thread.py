"""A thread: what one endpoint has been told of one run so far, where its provider keeps one message per run."""

from msgspec import Struct


class Thread(Struct, frozen=True, omit_defaults=True):
    """Empty before the first message.

    refs: what the provider handed back for the root message, such as Slack's channel and ts.
    shown: a digest of the root message as it stands there; an edit that would change nothing is not made.
    edited_ms: when it was posted or last edited, Unix milliseconds.
    told: what replies have said already, as a stage's short digest with its status, or as an event's uid; the newest
        1000.
    marked: the run status that a reaction on the root shows.
    alarmed: somebody was told that it failed, and nobody yet that it recovered.
    """

    refs: dict[str, str] = {}
    shown: str = ""
    edited_ms: int = 0
    told: tuple[str, ...] = ()
    marked: str = ""
    alarmed: bool = False
