"""`Tocsin`: what pipelines import."""

from __future__ import annotations

import atexit
import hashlib
import itertools
import logging
import os
import secrets
import tempfile
import threading
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from tocsin_client.courier import Courier, close_all, forked, stats_of
from tocsin_client.post import TIMEOUT_S, Post
from tocsin_client.runs import Run, Stage, here
from tocsin_client.spool import MOST_BYTES, Spool
from tocsin_client.wire import line_of

log = logging.getLogger("tocsin_client")


class Ids:
    """A random beginning for each process, then a number: unique, and quick to make."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self.prefix = secrets.token_hex(8)
        self.numbers = itertools.count(1)

    def next(self) -> str:
        return f"{self.prefix}-{next(self.numbers):x}"


ids = Ids()


class Tocsin:
    """A way to a server. No method raises because of what the server does, or waits for it (but `flush` and `close`).

    `url` and `token` are TOCSIN_URL and TOCSIN_TOKEN where they are not given; without an address nothing is sent.
    `labels` go with every event. What cannot be sent is kept in `spool_dir` (TOCSIN_SPOOL_DIR), by default a folder of
    the user's for this address and token; "" keeps nothing on the disk.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        source: str = "python",
        labels: Mapping[str, str] | None = None,
        spool_dir: str | os.PathLike[str] | None = None,
        spool_bytes: int = MOST_BYTES,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        url = os.environ.get("TOCSIN_URL", "") if url is None else url
        token = os.environ.get("TOCSIN_TOKEN", "") if token is None else token
        self.source = source
        self.labels = {str(name): str(value) for name, value in (labels or {}).items()}
        post = None
        try:
            if url:
                post = Post(url, token, timeout_s)
            else:
                log.info("TOCSIN_URL is not set: events go nowhere.")
        except ValueError as error:
            log.warning("%s. Events go nowhere.", error)
        folder = spool_folder(url, token, spool_dir) if post is not None else None
        self.courier = Courier(post, Spool(folder, spool_bytes) if folder is not None else None)

    def emit(
        self,
        type: str,
        *,
        pipeline: str | None = None,
        run_id: str | None = None,
        stage: str | None = None,
        severity: str | None = None,
        title: str | None = None,
        message: str | None = None,
        labels: Mapping[str, str] | None = None,
        data: Mapping[str, Any] | None = None,
        links: Mapping[str, str] | None = None,
        actions: list[dict[str, str]] | None = None,
        time: datetime | None = None,
        source: str | None = None,
        id: str | None = None,
        **more: Any,
    ) -> str:
        """One event; returns its id. Pipeline, run and stage are those of the `run` and `stage` around it where they
        are not given. What has no name of its own goes into `data`: `emit("training.epoch", loss=0.2)`. The same `id`
        twice is stored once."""
        try:
            at = here()
            event: dict[str, Any] = {
                "type": type,
                "id": id or ids.next(),
                "source": source or self.source,
                "time": (time or datetime.now(timezone.utc)).isoformat(timespec="milliseconds"),
            }
            if pipeline := at.pipeline if pipeline is None else pipeline:
                event["pipeline"] = pipeline
            if run_id := at.run_id if run_id is None else run_id:
                event["run_id"] = run_id
            if stage := at.stage if stage is None else stage:
                event["stage"] = stage
            if severity:
                event["severity"] = severity
            if title:
                event["title"] = title
            if message:
                event["message"] = message
            if labels or self.labels:
                event["labels"] = {**self.labels, **{str(name): str(value) for name, value in (labels or {}).items()}}
            if data is not None and not isinstance(data, Mapping):
                data = {"value": data}
            if data or more:
                event["data"] = {**(data or {}), **more}
            if links:
                event["links"] = dict(links)
            if actions:
                event["actions"] = actions
            self._hand_over(line_of(event))
            return str(event["id"])
        except Exception as error:  # whatever it is, it is not the pipeline's
            self.courier.counts["dropped"] += 1
            self.courier._say("fault", f"An event for Tocsin could not be made: {error!r}")
            return ""

    def _hand_over(self, line: bytes) -> None:
        self.courier.put(line)

    def run(self, pipeline: str, run_id: str | None = None, **about: Any) -> Run:
        """`with tocsin.run("etl/orders") as run:`, `async with`, or `@tocsin.run("etl/orders")` above a function. See
        `Run` for what else it takes."""
        return Run(self, pipeline, run_id, **about)

    def stage(self, name: str, **about: Any) -> Stage:
        """A part of the run around it, as context manager or decorator."""
        return Stage(self, name, **about)

    def flush(self, timeout: float = 10.0) -> bool:
        """Waits until everything was sent; False where that took longer. What was not is sent later."""
        return self.courier.flush(timeout)

    def close(self, timeout: float = 2.0) -> None:
        """Sends what can be sent in that time and puts the rest on the disk. Happens by itself at the process's end."""
        self.courier.close(timeout)

    def stats(self) -> dict[str, Any]:
        """Of this process: events emitted, sent, duplicates (known to the server already), refused, dropped, spooled,
        waiting; failures: batches that could not be sent; away: whether that is so now; last_error: why."""
        return stats_of(self.courier)

    def __enter__(self) -> Tocsin:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_shared: list[Tocsin] = []
_sharing = threading.Lock()


def shared() -> Tocsin:
    """The process's own client, made from the environment when it is first asked for."""
    with _sharing:
        if not _shared:
            _shared.append(Tocsin())
        return _shared[0]


def spool_folder(url: str, token: str, given: str | os.PathLike[str] | None) -> Path | None:
    """One for each address and token, so that nothing is sent to somebody else's; as given, where one is."""
    if given is None:
        given = os.environ.get("TOCSIN_SPOOL_DIR")
    if given is not None:
        return Path(given).expanduser() if str(given) else None
    name = hashlib.sha256(f"{url.rstrip('/')}\n{token}".encode()).hexdigest()[:16]
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    base = Path(state) / "tocsin"
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(base, os.W_OK):
            raise PermissionError(base)
    except OSError:
        base = Path(tempfile.gettempdir()) / f"tocsin-{os.getuid() if hasattr(os, 'getuid') else 'spool'}"
    return base / name


def _after_fork() -> None:
    global _sharing
    _sharing = threading.Lock()
    ids.renew()
    forked()


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
