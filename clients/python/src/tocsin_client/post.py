"""One batch to the server, and what its answer means. A connection is kept between batches."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import urllib.parse
import urllib.request
from typing import Any

TIMEOUT_S = 5.0
MOST_ANSWER = 1024 * 1024
DENIED_PAUSE_S = 30.0
EVENT = re.compile(r"events\[(\d+)\]")


class Away(Exception):
    """It was not taken, and may be later; `after_s` is what the server asked for."""

    def __init__(self, why: str, after_s: float | None = None) -> None:
        super().__init__(why)
        self.after_s = after_s


class Refused(Exception):
    """The server will never take it; `number` is the event's in the batch, where that is known."""

    def __init__(self, why: str, number: int | None = None) -> None:
        super().__init__(why)
        self.number = number


class Post:
    """Raises ValueError for an address that is none of http or https."""

    def __init__(self, url: str, token: str, timeout_s: float = TIMEOUT_S) -> None:
        parts = urllib.parse.urlsplit(url.strip())
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"TOCSIN_URL: expected http(s)://host, found {url[:80]!r}")
        self.secure = parts.scheme == "https"
        self.host = parts.hostname
        self.port = parts.port or (443 if self.secure else 80)
        self.path = parts.path.rstrip("/") + "/v1/events"
        self.timeout_s = timeout_s
        self.headers = {"content-type": "application/json", "user-agent": "tocsin-client/0.1"}
        if token.strip():
            self.headers["authorization"] = "Bearer " + token.strip()
        self.connection: http.client.HTTPConnection | None = None

    def forget(self) -> None:
        """The connection, without a word over it."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def send(self, lines: list[bytes]) -> tuple[int, int]:
        """How many were new, and how many were known already. Raises Away, Refused."""
        body = b'{"events":[' + b",".join(lines) + b"]}"
        was_open = self.connection is not None
        try:
            try:
                status, headers, answer = self._ask(body)
            except (http.client.HTTPException, OSError) as error:
                self.forget()
                if not was_open or isinstance(error, TimeoutError):
                    raise
                status, headers, answer = self._ask(body)  # the other side had ended a connection that was kept
        except Exception as error:
            self.forget()
            raise Away(f"{type(error).__name__}: {error}"[:300]) from None
        return meaning(status, headers, answer)

    def _ask(self, body: bytes) -> tuple[int, Any, bytes]:
        if self.connection is None:
            self.connection = self._connected()
        self.connection.request("POST", self.path, body, self.headers)
        reply = self.connection.getresponse()
        answer = reply.read(MOST_ANSWER)
        if not reply.isclosed() or reply.will_close:
            self.forget()
        return reply.status, reply.headers, answer

    def _connected(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self.secure else http.client.HTTPConnection
        proxy = urllib.request.getproxies().get("https" if self.secure else "http")
        if not proxy or urllib.request.proxy_bypass(self.host) or not self.secure:
            return kind(self.host, self.port, timeout=self.timeout_s)
        through = urllib.parse.urlsplit(proxy)
        connection = kind(through.hostname or "", through.port or 8080, timeout=self.timeout_s)
        connection.set_tunnel(self.host, self.port)
        return connection


def meaning(status: int, headers: Any, answer: bytes) -> tuple[int, int]:
    """Raises Away, Refused. Only what Tocsin itself would say counts as taken: a login page answers 200 as well."""
    found: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(answer)
    if not isinstance(found, dict):
        found = {}
    if status == 202 and isinstance(found.get("accepted"), int) and isinstance(found.get("duplicates"), int):
        return found["accepted"], found["duplicates"]
    said = str(found.get("detail") or f"HTTP {status}")[:300]
    if status in (400, 413, 422):
        errors = found.get("errors")
        field = errors[0].get("field") if isinstance(errors, list) and errors and isinstance(errors[0], dict) else ""
        at = EVENT.match(str(field))
        raise Refused(said, int(at[1]) if at else None)
    if status in (401, 403):
        raise Away(f"TOCSIN_TOKEN is not accepted: {said}", DENIED_PAUSE_S)
    raise Away(said if status != 202 else "an answer that is not Tocsin's", seconds(headers.get("retry-after")))


def seconds(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None
