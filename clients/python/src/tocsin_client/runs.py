"""Runs and their stages: told at their beginning and their end, whichever way they end."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import secrets
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, TypeVar, cast

if TYPE_CHECKING:
    from tocsin_client.client import Tocsin

Function = TypeVar("Function", bound=Callable[..., Any])
LOG_BYTES = 16 * 1024
TRACEBACK_CHARS = 8 * 1024
ERROR_CHARS = 4000


class Here(NamedTuple):
    """Which run and stage the running code belongs to."""

    pipeline: str = ""
    run_id: str = ""
    stage: str = ""
    run: Run | None = None


_here: ContextVar[Here] = ContextVar("tocsin_here")


def here() -> Here:
    """Of this thread or task; else what `tocsin run` says in TOCSIN_PIPELINE and TOCSIN_RUN_ID."""
    found = _here.get(None)
    if found is None:
        found = Here(os.environ.get("TOCSIN_PIPELINE", ""), os.environ.get("TOCSIN_RUN_ID", ""))
        _here.set(found)
    return found


def error_text(error: BaseException | str) -> str:
    """As a person would read it aloud: `ValueError: no such table`."""
    if isinstance(error, str):
        return error[-ERROR_CHARS:]
    try:
        return "".join(traceback.format_exception_only(type(error), error)).strip()[-ERROR_CHARS:]
    except Exception:  # whose __str__ fails
        return type(error).__name__


def is_cancel(error: BaseException) -> bool:
    """Whether somebody stopped it. Programs that know nothing of asyncio need not load it for this."""
    asyncio = sys.modules.get("asyncio")
    return isinstance(error, (KeyboardInterrupt, GeneratorExit)) or (
        asyncio is not None and isinstance(error, asyncio.CancelledError)
    )


def trace_text(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))[-TRACEBACK_CHARS:]
    except Exception:
        return ""


class Part:
    """What a run and a stage have in common: a beginning, an end, and three ways to write them down."""

    noun = ""

    def __init__(self, client: Tocsin) -> None:
        self.client = client
        self.pid = 0
        self.began = 0.0
        self.over = True
        self.before: list[Here] = []

    def start(self) -> Any:
        raise NotImplementedError

    def succeed(self, **data: Any) -> None:
        """It ended well; `data` are facts about it. Only the first of several ends counts."""
        raise NotImplementedError

    def fail(self, error: BaseException | str, **data: Any) -> None:
        raise NotImplementedError

    def cancel(self, **data: Any) -> None:
        raise NotImplementedError

    def again(self) -> Part:
        """The same, not begun: what a decorated function needs for each call."""
        raise NotImplementedError

    def here(self) -> Here:
        raise NotImplementedError

    def ended(self, error: BaseException | None) -> None:
        """By an exception, or by none."""
        if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
            self.succeed()
        elif is_cancel(error):
            self.cancel(error=error_text(error))
        else:
            self.fail(error)

    def _begin(self) -> None:
        self.pid, self.began, self.over = os.getpid(), time.monotonic(), False

    def _end(self) -> bool:
        """Whether this is the end: not a second one, and not that of a forked child that goes on with the same code."""
        if self.over or self.pid != os.getpid():
            return False
        self.over = True
        return True

    def duration_s(self) -> float:
        return round(time.monotonic() - self.began, 3)

    def __enter__(self) -> Any:
        self.before.append(here())
        self.start()
        _here.set(self.here())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _here.set(self.before.pop() if self.before else Here())
        self.ended(error)

    async def __aenter__(self) -> Any:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: Function) -> Function:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def waits(*args: Any, **kwargs: Any) -> Any:
                with self.again():
                    return await function(*args, **kwargs)

            return cast("Function", waits)

        @functools.wraps(function)
        def calls(*args: Any, **kwargs: Any) -> Any:
            with self.again():
                return function(*args, **kwargs)

        return cast("Function", calls)


class Run(Part):
    """One execution of a pipeline.

    Made by `Tocsin.run`. `run_id` is made where none is given. `labels`, `data` and `links` go with its beginning and
    its end. `noun` is the first part of its event types: "training" sends training.started, training.complete,
    training.failed. `heartbeat_s` sends `run.heartbeat` so often while it goes on (0: never). `capture_logs` keeps the
    end of what `logging` gets from now on. `attempt` counts from 1 where an orchestrator tries a run again.
    """

    def __init__(
        self,
        client: Tocsin,
        pipeline: str,
        run_id: str | None = None,
        *,
        noun: str = "run",
        title: str = "",
        labels: Mapping[str, str] | None = None,
        data: Mapping[str, Any] | None = None,
        links: Mapping[str, str] | None = None,
        attempt: int = 1,
        parent_run_id: str | None = None,
        heartbeat_s: float = 60.0,
        capture_logs: bool = False,
    ) -> None:
        super().__init__(client)
        self.pipeline = pipeline
        self.given_id = run_id
        self.run_id = run_id or ""
        self.noun = noun
        self.title = title
        self.labels = dict(labels or {})
        self.data = dict(data or {})
        self.links = dict(links or {})
        self.attempt = attempt
        self.parent_run_id = parent_run_id
        self.heartbeat_s = heartbeat_s
        self.capture_logs = capture_logs
        self.tail = Tail()
        self.handler: logging.Handler | None = None

    def again(self) -> Run:
        return Run(
            self.client,
            self.pipeline,
            self.given_id,
            noun=self.noun,
            title=self.title,
            labels=self.labels,
            data=self.data,
            links=self.links,
            attempt=self.attempt,
            parent_run_id=self.parent_run_id,
            heartbeat_s=self.heartbeat_s,
            capture_logs=self.capture_logs,
        )

    def here(self) -> Here:
        return Here(self.pipeline, self.run_id, "", self)

    def start(self) -> Run:
        """Says that it has begun. `with` does it by itself."""
        self._begin()
        self.run_id = self.given_id or time.strftime("%Y-%m-%dT%H:%M:%SZ-", time.gmtime()) + secrets.token_hex(3)
        around = here()
        parent = self.parent_run_id
        if parent is None and (around.pipeline, around.run_id) != (self.pipeline, self.run_id):
            parent = around.run_id
        if parent:
            self.data["parent_run_id"] = parent
        if self.capture_logs and self.handler is None:
            self.handler = TailHandler(self.tail)
            logging.getLogger().addHandler(self.handler)
        self.emit(self._type("started"), title=self.title, links=self.links, data=self._data({}))
        if self.heartbeat_s > 0:
            self.client.courier.beat(id(self), self.heartbeat_s, self._beat)
        return self

    def _beat(self) -> None:
        self.emit("run.heartbeat", duration_s=self.duration_s(), data=self._data({}, about=False))

    def stage(self, name: str, **about: Any) -> Stage:
        """A part of this run, as context manager or decorator."""
        return Stage(self.client, name, run=self, **about)

    def emit(self, type: str, **fields: Any) -> str:
        """Any event about this run; see `Tocsin.emit`."""
        labels = {**self.labels, **(fields.pop("labels", None) or {})}
        at = {"pipeline": self.pipeline, "run_id": self.run_id, "stage": "", **fields}
        return self.client.emit(type, labels=labels, **at)

    def progress(self, fraction: float | None = None, message: str = "", **data: Any) -> None:
        """How far it is, from 0 to 1, and facts worth seeing."""
        if fraction is not None:
            data["progress"] = fraction
        self.emit(self._type("progress"), message=message, data=self._data(data, about=False))

    def log(self, text: str) -> None:
        """Lines for the end of its log, of which the last 16 KiB go with its end."""
        self.tail.write(text if text.endswith("\n") else text + "\n")

    def succeed(self, **data: Any) -> None:
        self._finish("succeeded", data)

    def cancel(self, **data: Any) -> None:
        self._finish("cancelled", data)

    def fail(self, error: BaseException | str, **data: Any) -> None:
        if isinstance(error, BaseException):
            self.tail.write(trace_text(error))
        self._finish("failed", {"error": error_text(error), **data})

    def _finish(self, verb: str, data: dict[str, Any]) -> None:
        if not self._end():
            return
        self.client.courier.still(id(self))
        if self.handler is not None:
            logging.getLogger().removeHandler(self.handler)
            self.handler = None
        data.setdefault("duration_s", self.duration_s())
        if text := self.tail.text():
            data.setdefault("log_tail", text)
        self.emit(self._type(verb), title=self.title, links=self.links, data=self._data(data))

    def _data(self, data: Mapping[str, Any], *, about: bool = True) -> dict[str, Any]:
        found = {**self.data, **data} if about else dict(data)
        if self.attempt > 1:
            found.setdefault("attempt", self.attempt)
        return found

    def _type(self, verb: str) -> str:
        if self.noun != "run" and verb == "succeeded":
            verb = "complete"
        return f"{self.noun}{'_' if '.' in self.noun else '.'}{verb}"


class Stage(Part):
    """A part of a run; of the run around it where `run` is not given. See `Tocsin.stage`. `map_index` tells apart those
    of one name that run side by side; `attempt` counts its tries."""

    def __init__(
        self,
        client: Tocsin,
        name: str,
        *,
        run: Run | None = None,
        data: Mapping[str, Any] | None = None,
        attempt: int = 0,
        map_index: int | None = None,
    ) -> None:
        super().__init__(client)
        self.name = name
        self.run = run
        self.data = dict(data or {})
        self.attempt = attempt
        self.map_index = map_index
        self.at = Here()

    def again(self) -> Stage:
        return Stage(
            self.client, self.name, run=self.run, data=self.data, attempt=self.attempt, map_index=self.map_index
        )

    def here(self) -> Here:
        return self.at._replace(stage=self.name)

    def start(self) -> Stage:
        self._begin()
        self.at = self.run.here() if self.run is not None else here()
        if self.attempt:
            self.data["stage_attempt"] = self.attempt
        if self.map_index is not None:
            self.data["map_index"] = self.map_index
        self._emit("stage.started", {})
        return self

    def progress(self, fraction: float | None = None, message: str = "", **data: Any) -> None:
        """How far it is, from 0 to 1, and facts worth seeing."""
        if fraction is not None:
            data["progress"] = fraction
        self._emit("stage.progress", data, message)

    def succeed(self, **data: Any) -> None:
        self._finish("stage.succeeded", data)

    def cancel(self, **data: Any) -> None:
        self._finish("stage.skipped", data)

    def fail(self, error: BaseException | str, **data: Any) -> None:
        """With `will_retry=True` it is not the last word."""
        self._finish("stage.failed", {"error": error_text(error), **data})

    def _finish(self, type: str, data: dict[str, Any]) -> None:
        if self._end():
            self._emit(type, {"duration_s": self.duration_s(), **data})

    def _emit(self, type: str, data: Mapping[str, Any], message: str = "") -> None:
        labels = self.at.run.labels if self.at.run is not None else None
        self.client.emit(
            type,
            pipeline=self.at.pipeline,
            run_id=self.at.run_id,
            stage=self.name,
            message=message,
            labels=labels,
            data={**self.data, **data},
        )


class Tail:
    """The last LOG_BYTES of a log."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.parts: deque[str] = deque()
        self.size = 0

    def write(self, text: str) -> None:
        text = text[-LOG_BYTES:]
        with self.lock:
            self.parts.append(text)
            self.size += len(text)
            while len(self.parts) > 1 and self.size - len(self.parts[0]) >= LOG_BYTES:
                self.size -= len(self.parts.popleft())

    def text(self) -> str:
        with self.lock:
            return "".join(self.parts).encode("utf-8", "replace")[-LOG_BYTES:].decode("utf-8", "ignore")


class TailHandler(logging.Handler):
    def __init__(self, tail: Tail) -> None:
        super().__init__()
        self.tail = tail
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.tail.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)
