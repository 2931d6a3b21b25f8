"""One message per run: what to do next so that it shows the newest state, and who must be woken is."""

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from tocsin.model.thread import Thread

Act = Literal["post", "edit", "reply", "mark", "wait", "done"]
MOST_TOLD = 1000
"""More than the ends of all the stages that a run shows, each with three statuses (run_state.MAX_STAGES): what is
forgotten is told again."""


class Wanted(Struct, frozen=True):
    """How things should stand once this delivery is done.

    root: the digest of the run's message as it should be. tells: what a reply has to say, () for no reply.
    ended: the run's final status, "" while it runs or where nothing shall mark it.
    """

    root: str
    tells: tuple[str, ...] = ()
    ended: str = ""


def next_act(thread: Thread, wanted: Wanted, now_ms: int, edit_every_ms: int) -> tuple[Act, int]:
    """The next step, and until when to wait where that is "wait" (Unix milliseconds).

    A reply comes before an edit: it wakes people, an edit does not. Edits of one message keep their distance; what
    changes meanwhile goes into the next one.
    """
    if not thread.refs:
        return "post", 0
    if any(told not in thread.told for told in wanted.tells):
        return "reply", 0
    if wanted.root != thread.shown:
        due_ms = thread.edited_ms + edit_every_ms
        return ("edit", 0) if due_ms <= now_ms else ("wait", due_ms)
    if wanted.ended and thread.marked != wanted.ended:
        return "mark", 0
    return "done", 0


def posted(thread: Thread, refs: dict[str, str], wanted: Wanted, now_ms: int, *, alarmed: bool) -> Thread:
    """After a new root message: it says itself what a reply would have said."""
    told = remembered(thread.told, wanted.tells)
    return replace(thread, refs=refs, edited_ms=now_ms, told=told, marked="", alarmed=alarmed)


def edited(thread: Thread, wanted: Wanted, now_ms: int) -> Thread:
    return replace(thread, shown=wanted.root, edited_ms=now_ms)


def replied(thread: Thread, wanted: Wanted, *, alarmed: bool) -> Thread:
    return replace(thread, told=remembered(thread.told, wanted.tells), alarmed=alarmed)


def lost(thread: Thread) -> Thread:
    """The root is gone or cannot be edited any more: the next step posts another."""
    return replace(thread, refs={}, shown="", marked="")


def remembered(told: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return (*told, *(one for one in new if one not in told))[-MOST_TOLD:]
