"""Tocsin without a server: notifications from a program's own process.

    from tocsin import NotificationService, SlackNotifier

    NotificationService.emit_event(event_type="training.complete", user_id=42, data={"accuracy": 0.968})
    await SlackNotifier().send_execution_failed("etl/orders", "2026-11-21", error="disk full")

A call writes one line to a file in TOCSIN_DATA_DIR and returns: no network, no database, no exception. A thread with a
loop of its own takes it from there, stores it as the server would, and sends. Of several processes with one data
directory (SQLite) one does the work, be it a server; the others leave their lines to it, and take over where it ends.
"""

import asyncio
import atexit
import concurrent.futures.thread  # registers its own end first, so that ours comes before it
import logging
import os
import threading
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from tocsin_client import Tocsin
from tocsin_client.spool import Spool

LINGER_S = 0.02
"""So long a first event waits for others to share a transaction with."""
LOOK_S = 0.5
"""So often a process tries to become the one that works."""
TROUBLE_S = 5.0
EXIT_S = 10.0
"""So long the program's end waits for messages that can be sent yet; what is left is sent at the next start."""
SOON_MS = 1500
log = logging.getLogger("tocsin")


class Told:
    """What a `send_…` returns: the event's id, "" where it could not be written. Whoever likes may await it; there is
    nothing to wait for."""

    def __init__(self, event_id: str) -> None:
        self.event_id = event_id

    def __await__(self) -> Generator[None, None, str]:
        return self.event_id
        yield


class NotificationService:
    """One call from anywhere, a training loop too."""

    @classmethod
    def emit_event(
        cls, event_type: str, user_id: int | str | None = None, data: Mapping[str, Any] | None = None, **fields: Any
    ) -> str:
        """The event's id, once it is in the file; "" where even that failed, which is logged. Never raises.

        `user_id` becomes the label of that name. `fields` are those of an event: pipeline, run_id, stage, severity,
        title, message, labels, links, actions, id; what has no name of its own goes into `data`."""
        given = fields.pop("labels", None)
        labels = dict(given) if isinstance(given, Mapping) else {}
        if user_id is not None:
            labels["user_id"] = str(user_id)
        return to_all().emit(event_type, data=data, labels=labels, **fields)

    @classmethod
    def flush(cls, timeout: float = EXIT_S) -> bool:
        """Waits until everything was sent that can be sent now; False where that takes longer, or another process works
        on the data directory."""
        owner = embedded()
        return owner is not None and owner.flush(timeout)


class SlackNotifier:
    """Messages about runs to one Slack channel: `webhook_url`, else SLACK_WEBHOOK_URL. Each method may be awaited or
    just called. Raises ValueError for an address that is none of Slack's; its methods raise nothing."""

    def __init__(self, webhook_url: str | None = None) -> None:
        owner = embedded()
        self._channel = Channel(owner, "" if owner is None else owner.address(webhook_url))

    def send_execution_started(self, pipeline_id: str, execution_id: str, **details: Any) -> Told:
        """`details` are fields of an event or facts for its data: `stage="load"`, `rows=12`, `dashboard_url="https://…"`."""
        return self._send("run.started", pipeline_id, execution_id, details)

    def send_execution_completed(self, pipeline_id: str, execution_id: str, **details: Any) -> Told:
        return self._send("run.succeeded", pipeline_id, execution_id, details)

    def send_execution_failed(
        self, pipeline_id: str, execution_id: str, error: BaseException | str = "", **details: Any
    ) -> Told:
        if error:
            details["error"] = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
        return self._send("run.failed", pipeline_id, execution_id, details)

    def _send(self, type_: str, pipeline_id: str, execution_id: str, details: dict[str, Any]) -> Told:
        return Told(self._channel.emit(type_, pipeline=pipeline_id, run_id=execution_id, **details))


class Channel(Tocsin):
    """Makes events as the client does, and leaves them in the data directory: for everybody, or for one sealed address
    of Slack's."""

    def __init__(self, owner: "Embedded | None", slack: str = "") -> None:
        super().__init__("", "", source="python")
        self.owner = owner
        self.ending = b"}" if not slack else b',"slack":"' + slack.encode() + b'"}'

    def _hand_over(self, line: bytes) -> None:
        if self.owner is not None:
            self.owner.put(line[:-1] + self.ending)


class Embedded:
    """The way of this process to its data directory. Raises SettingsError where the settings do not hold."""

    def __init__(self) -> None:
        from tocsin.settings import read_settings

        self.settings = read_settings()
        self.spool = Spool(Path(self.settings.data_dir) / "spool")
        self._begin()

    def _begin(self) -> None:
        self.thread: threading.Thread | None = None
        self.starting = threading.Lock()
        self.wake = threading.Event()
        self.pause = threading.Event()
        self.stopping = False
        self.elsewhere = False
        self.lock: Any = None
        self.app: Any = None
        self.loop: asyncio.AbstractEventLoop | None = None

    def after_fork(self) -> None:
        """In the child, whose parent goes on with its files; the lock is the parent's, and ends with it."""
        self.spool.forget()
        if self.lock is not None:
            self.lock.close()
        left.append((self.app, self.loop))  # their sockets and files are the parent's: nothing here may close them
        self._begin()

    def address(self, webhook_url: str | None) -> str:
        """Sealed, as it may lie in a file."""
        from tocsin.app import keyring_of
        from tocsin.model.errors import Invalid
        from tocsin.providers import PROVIDERS
        from tocsin.stages.handed_over import sealed

        url = webhook_url or self.settings.slack_webhook_url
        if not url:
            raise ValueError("SlackNotifier needs a webhook_url, or SLACK_WEBHOOK_URL in the environment.")
        check = PROVIDERS["slack"].check_address
        assert check is not None
        try:
            return sealed(keyring_of(self.settings), check(url))
        except Invalid as error:
            raise ValueError(error.detail) from None

    def put(self, line: bytes) -> None:
        """On the disk as far as this process can bring it there: its end loses nothing of it."""
        self.spool.append([line])
        if self.stopping:
            self.spool.seal()
        elif self.thread is None:
            self._start()
        self.wake.set()

    def _start(self) -> None:
        with self.starting:
            if self.thread is None and not self.stopping:
                thread = threading.Thread(target=self._work, name="tocsin", daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # the program ends: the line is in the file
                    self.spool.seal()
                else:
                    self.thread = thread

    # In the thread.

    def _work(self) -> None:
        import uvloop

        quiet_logs()
        while not self.stopping:
            try:
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runner.run(self._serve())
            except Exception as error:
                log.error("Notifications wait: %s", error)
                self.wake.wait(TROUBLE_S)

    async def _serve(self) -> None:
        from msgspec.structs import replace

        from tocsin.app import App, lock_store
        from tocsin.settings import SettingsError
        from tocsin.worker import Worker

        while True:
            try:
                self.lock = lock_store(self.settings)
                self.elsewhere = False
                break
            except SettingsError:  # another process works here: it takes what we leave
                self.elsewhere = True
                self.spool.seal()
                if self.stopping:
                    return
                await asyncio.sleep(LOOK_S)
        try:
            app = await App.open(replace(self.settings, drain_s=1.0))
            worker = Worker(app)
            worker.start()
            self.app, self.loop = app, asyncio.get_running_loop()
            try:
                while not (self.stopping or worker.failed.is_set()):
                    self.spool.seal()
                    app.handed_over.now.set()
                    await self._woken()
            finally:
                self.app = None
                await worker.stop()
                await app.close()
        finally:
            if self.lock is not None:
                self.lock.close()

    async def _woken(self) -> None:
        until = time.monotonic() + LOOK_S
        # An asyncio.Event would have every caller pay for waking the loop.
        while not self.wake.is_set() and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(LINGER_S)
        self.wake.clear()

    def flush(self, timeout_s: float) -> bool:
        """Whether nothing waits that could be sent now."""
        until = time.monotonic() + timeout_s
        self.spool.seal()
        self.wake.set()
        while self.thread is not None and not self.elsewhere and time.monotonic() < until:
            app, loop = self.app, self.loop
            if app is not None and loop is not None and not self.spool.files():
                try:
                    if asyncio.run_coroutine_threadsafe(is_idle(app), loop).result(max(0.0, until - time.monotonic())):
                        return True
                except Exception as error:  # it ends meanwhile, or takes too long
                    log.debug("flush: %r", error)
            self.pause.wait(LINGER_S)
        return self.thread is None

    def close(self) -> None:
        if self.thread is not None and not self.stopping:
            self.flush(EXIT_S)
            self.stopping = True
            self.wake.set()
            self.thread.join(EXIT_S)
        self.spool.seal()


async def is_idle(app: Any) -> bool:
    """Whether nothing is on its way, and nothing is due soon."""
    deliver = app.deliver
    if app.intake.waiting or deliver.queue.size or deliver.senders or deliver.recorder.finished:
        return False
    due_ms = (await app.db.read("soonest_due"))[0][0]
    return due_ms is None or due_ms > app.clock_ms() + SOON_MS


def quiet_logs() -> None:
    """Where the program has said nothing about structlog, warnings go to standard error."""
    import sys

    import structlog

    if not structlog.is_configured():
        structlog.configure(
            processors=[structlog.processors.add_log_level, structlog.processors.KeyValueRenderer(key_order=["event"])],
            wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )


left: list[object] = []
_embedded: list[Embedded | None] = []
_to_all: list[Channel] = []
_making = threading.Lock()


def embedded() -> Embedded | None:
    """The one of this process, made when it is first asked for; None, and a line in the log, where that fails."""
    if not _embedded:
        with _making:
            if not _embedded:
                try:
                    _embedded.append(Embedded())
                except Exception as error:
                    log.error("No notification will be sent: %s", error)
                    _embedded.append(None)
    return _embedded[0]


def to_all() -> Channel:
    """For whoever wants the event."""
    if not _to_all:
        _to_all.append(Channel(embedded()))
    return _to_all[0]


def close() -> None:
    """What can be sent is sent, and the thread ends. The program's end does it."""
    for one in _embedded:
        if one is not None:
            one.close()


def _after_fork() -> None:
    global _making
    _making = threading.Lock()
    for one in _embedded:
        if one is not None:
            one.after_fork()


os.register_at_fork(after_in_child=_after_fork)
# Not atexit where it can be helped: by then threads take no work any more, and the store commits in one.
assert concurrent.futures.thread
getattr(threading, "_register_atexit", atexit.register)(close)
