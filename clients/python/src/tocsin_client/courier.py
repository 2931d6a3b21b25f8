"""Takes lines from whoever has some and brings them to the server, in a thread of its own; what it cannot bring waits
on the disk. Nobody who hands over a line waits for anything but memory."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import random
import sys
import threading
import time
import weakref
from collections import deque
from typing import Any, Callable

from tocsin_client.post import Away, Post, Refused
from tocsin_client.spool import Segment, Spool

BATCH, BATCH_BYTES = 100, 1024 * 1024
MOST_WAITING = 10_000
"""Lines in memory. Whoever brings the next one writes all of them to the disk: one write, no fsync."""
HELD_WITHOUT_DISK = 100_000

LINGER_S, AWAY_LINGER_S = 0.02, 0.2
"""So long a first event waits for others to travel with, to the server and to the disk."""
FIRST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_ASKED_S = 0.5, 60.0, 600.0
HURRIED_PAUSE_S = 0.1
LOOK_S = 30.0
"""So often the folder is searched for what other processes left there."""
EXIT_S = 2.0
log = logging.getLogger("tocsin_client")


class Courier:
    """`counts` says what became of the lines; nothing here raises."""

    def __init__(self, post: Post | None, spool: Spool | None) -> None:
        self.post = post
        self.spool = spool
        self.counts = {
            "emitted": 0,
            "sent": 0,
            "duplicates": 0,
            "refused": 0,
            "dropped": 0,
            "spooled": 0,
            "failures": 0,
        }
        self.last_error = ""
        self.pid = 0
        self._begin()
        ALL.add(self)

    def _begin(self) -> None:
        """As it is in a process that has not handed over anything yet."""
        self.waiting: deque[bytes] = deque()
        self.in_hand: list[bytes] = []
        self.thread: threading.Thread | None = None
        self.moving = threading.RLock()  # held while lines are neither here nor there
        self.wake = threading.Event()
        self.hurry = threading.Event()
        self.round_over = threading.Condition()
        self.rounds = 0
        self.closed = False
        self.away = False
        self.asked = False
        self.pause_s = 0.0
        self.retry_at = 0.0
        self.look_at = 0.0
        self.left = False
        self.kept = 0
        self.sent_of: dict[str, int] = {}
        self.said: set[str] = set()
        self.beats: dict[int, tuple[float, float, Callable[[], None]]] = {}

    def after_fork(self) -> None:
        """In the child. What waits is the parent's to send, and so is the connection."""
        for name in self.counts:
            self.counts[name] = 0
        if self.spool is not None:
            self.spool.forget()
        if self.post is not None:
            self.post.forget()
        self._begin()

    # On the caller's side.

    def put(self, line: bytes) -> None:
        self.counts["emitted"] += 1
        if self.post is None:
            return
        self.waiting.append(line)
        if self.thread is None or self.closed:
            self._start()
        if not self.wake.is_set():
            self.wake.set()
        if len(self.waiting) > MOST_WAITING:
            self._keep([], sync=False)

    def beat(self, key: int, every_s: float, what: Callable[[], None]) -> None:
        """Calls `what` again and again, in the thread, until `still(key)`."""
        self.beats[key] = (time.monotonic() + every_s, every_s, what)
        self.wake.set()

    def still(self, key: int) -> None:
        self.beats.pop(key, None)

    def _start(self) -> None:
        with self.moving:
            if self.thread is not None and not self.closed:
                return
            if self.closed:  # after the end: on the disk, for the next process
                self._keep([])
                if self.spool is not None:
                    self.spool.seal()
                return
            self._at_exit_too()
            thread = threading.Thread(target=self._work, name="tocsin", daemon=True)
            with contextlib.suppress(RuntimeError):  # the interpreter ends: close() takes care
                thread.start()
                self.thread = thread

    def _at_exit_too(self) -> None:
        """Processes of multiprocessing end without atexit."""
        pid = os.getpid()
        if self.pid != pid:
            self.pid = pid
            ALL.add(self)
            util = sys.modules.get("multiprocessing.util")
            if util is not None:
                util.Finalize(None, close_all, exitpriority=100)

    def flush(self, timeout_s: float, *, patient: bool = True) -> bool:
        """Whether everything was sent within the time. Without patience it ends where the server is away."""
        if self.post is None:
            return True
        if self.thread is None and (self.waiting or self.left):
            self._start()
        until = time.monotonic() + timeout_s
        self.hurry.set()
        try:
            with self.round_over:
                while not self.is_empty():
                    rest_s = until - time.monotonic()
                    if rest_s <= 0 or (self.away and not patient) or self.thread is None or not self.thread.is_alive():
                        return False
                    self.wake.set()
                    self.round_over.wait(min(rest_s, HURRIED_PAUSE_S))
            return True
        finally:
            self.hurry.clear()

    def is_empty(self) -> bool:
        with self.moving:
            return not self.waiting and not self.in_hand and not self.left

    def close(self, timeout_s: float) -> None:
        """Sends what can be sent in that time; the rest is on the disk when it returns."""
        if self.closed:
            return
        if not self.away:
            self.flush(timeout_s, patient=False)
        with self.moving:
            self.closed = True
            self._keep(list(self.in_hand))
        if self.spool is not None:
            self.spool.seal()
        self.wake.set()

    # In the thread.

    def _work(self) -> None:
        thread = threading.current_thread()
        while not self.closed and self.thread in (None, thread):
            self.wake.wait(self._until_next())
            self.wake.clear()
            if self.closed:
                break
            self.hurry.wait(AWAY_LINGER_S if self.away else LINGER_S)
            try:
                self._beat()
                self._round()
            except Exception as error:  # a fault of ours must not end the thread, and nobody is there to see it
                self._say("fault", f"Tocsin's client went wrong: {error!r}")
                self._pause(None)
            with self.round_over:
                self.rounds += 1
                self.round_over.notify_all()
        if self.post is not None and self.thread is thread:
            self.post.forget()

    def _until_next(self) -> float:
        times = [due for due, _, _ in list(self.beats.values())]
        if self.left or self.waiting:
            times.append(self.retry_at)
        times.append(max(self.look_at, self.retry_at))
        rest_s = max(0.0, min(times) - time.monotonic())
        return min(rest_s, HURRIED_PAUSE_S) if self.hurry.is_set() else rest_s

    def _beat(self) -> None:
        now = time.monotonic()
        for key, (due, every_s, what) in list(self.beats.items()):
            if due <= now and key in self.beats:
                self.beats[key] = (now + every_s, every_s, what)
                what()

    def _round(self) -> None:
        now = time.monotonic()
        if now < self.retry_at and (self.asked or not self.hurry.is_set()):
            self._keep([])
            return
        try:
            if self.left or now >= self.look_at:
                self._send_spooled()
            while self.waiting and not self.closed:
                self._send_waiting()
                if self.left:
                    self._send_spooled()
        except Away as away:
            self.counts["failures"] += 1
            self.last_error = str(away)
            self.away = True
            self._pause(away.after_s)
            self._say("away", f"Tocsin does not take events at present ({away}). They are kept and sent later.")
            self._keep([])
        else:
            if self.away:
                log.info("Tocsin takes events again.")
            self.away = False
            self.pause_s = self.retry_at = 0.0
            self.said.discard("away")

    def _pause(self, asked_s: float | None) -> None:
        if not self.hurry.is_set():
            self.pause_s = min(self.pause_s * 2, LONGEST_PAUSE_S)
        self.pause_s = max(self.pause_s, FIRST_PAUSE_S)
        self.asked = asked_s is not None
        pause_s = self.pause_s * random.uniform(0.5, 1.0)
        if asked_s is not None:
            pause_s = max(pause_s, min(asked_s, LONGEST_ASKED_S))
        self.retry_at = time.monotonic() + pause_s

    def _send_waiting(self) -> None:
        size = 0
        batch: list[bytes] = []
        with self.moving:
            self.in_hand = batch
            while self.waiting and len(batch) < BATCH and size < BATCH_BYTES:
                line = self.waiting.popleft()
                batch.append(line)
                size += len(line)
        if not batch:
            return
        try:
            self._send(batch)
        except Away:
            self._keep(batch)
            raise
        finally:
            self.in_hand = []

    def _send_spooled(self) -> None:
        if self.spool is None:
            self.left = False
            return
        kept = self.kept  # first: what is written from here on is for another time
        self.spool.seal()
        # Closed at once: a file that we still hold cannot make room, and a newer one would be lost in its place.
        with contextlib.closing(self.spool.segments()) as segments:
            for segment in segments:
                try:
                    if not self._send_segment(segment):
                        return
                except BaseException:
                    self.left = True
                    raise
                segment.remove()
                self.sent_of.pop(segment.file.name, None)
        with self.moving:
            self.left = self.kept != kept
        self.look_at = time.monotonic() + LOOK_S

    def _send_segment(self, segment: Segment) -> bool:
        """Whether it was sent to its end, which closing cuts short. Raises Away."""
        name = segment.file.name
        with contextlib.closing(segment.lines()) as found:
            lines = itertools.islice(found, self.sent_of.get(name, 0), None)
            while batch := list(itertools.islice(lines, BATCH)):
                self._send(batch)
                self.sent_of[name] = self.sent_of.get(name, 0) + len(batch)
                if self.closed:
                    return False
        return True

    def _send(self, lines: list[bytes]) -> None:
        """Raises Away. What is refused is left out, and the others are sent without it."""
        assert self.post is not None
        while lines:
            try:
                accepted, duplicates = self.post.send(lines)
            except Refused as refused:
                self.last_error = str(refused)
                if refused.number is not None and refused.number < len(lines):
                    at = refused.number
                    lines = lines[:at] + lines[at + 1 :]
                elif len(lines) > 1:
                    half = len(lines) // 2
                    self._send(lines[:half])
                    lines = lines[half:]
                    continue
                else:
                    lines = []
                self.counts["refused"] += 1
                self._say("refused", f"Tocsin refused an event, which is lost: {refused}")
            else:
                self.counts["sent"] += accepted
                self.counts["duplicates"] += duplicates
                return

    def _keep(self, first: list[bytes], *, sync: bool = True) -> None:
        """These and all that wait, on the disk; in memory where there is no disk, as many as have room."""
        lost = 0
        with self.moving:
            lines = list(first)
            while self.waiting:
                lines.append(self.waiting.popleft())
            if not lines:
                return
            try:
                if self.spool is None:
                    raise OSError("there is no folder to keep them in")
                dropped = self.spool.dropped
                self.spool.append(lines)
                self.left = True
                self.kept += 1
                self.counts["spooled"] += len(lines)
                lost = self.spool.dropped - dropped
            except OSError as error:
                self.last_error = str(error)
                lost = max(0, len(lines) - HELD_WITHOUT_DISK)
                self.waiting.extendleft(reversed(lines[lost:]))
        if sync and self.spool is not None:
            with contextlib.suppress(OSError):
                self.spool.sync()
        if lost:
            self.counts["dropped"] += lost
            self._say("dropped", f"Events for Tocsin had no room any more: the oldest {lost} are lost.")

    def _say(self, what: str, sentence: str) -> None:
        """Once, until it is over."""
        if what not in self.said:
            self.said.add(what)
            log.warning("%s", sentence)


ALL: weakref.WeakSet[Courier] = weakref.WeakSet()


def close_all() -> None:
    """At the end of a process. What they have together is two seconds, not each."""
    until = time.monotonic() + EXIT_S
    for courier in list(ALL):
        if courier.thread is not None or courier.waiting:
            courier.close(max(0.0, until - time.monotonic()))


def forked() -> None:
    for courier in list(ALL):
        courier.after_fork()


def stats_of(courier: Courier) -> dict[str, Any]:
    found: dict[str, Any] = dict(courier.counts)
    found["waiting"] = len(courier.waiting) + len(courier.in_hand)
    found["away"] = courier.away
    found["last_error"] = courier.last_error
    return found
