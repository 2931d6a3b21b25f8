"""Around every request: its id, how long it took, and, where that is wanted, a line in the log."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from tocsin.app import App
from tocsin.model import tracing
from tocsin.web import request_id

Asgi = Callable[[Any, Any, Any], Awaitable[None]]

ROUTE = "tocsin.route"
"""Where in the scope the answering side says which route it is: its template, for a path may hold a key."""

OTHER = "other"
log = structlog.get_logger()


class Observed:
    def __init__(self, app: App, inner: Asgi) -> None:
        self.app = app
        self.inner = inner
        self.access_log = app.settings.access_log

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        id_ = request_id.given(headers) or self.app.new_id("req")
        request_id.current.set(id_)  # for this request's task alone
        clock = asyncio.get_running_loop().time
        began_s = clock()
        status = 0
        trace = tracing.given(headers)
        span = None if self.app.spans is None else self.app.spans.begin("request", "server", trace)
        tracing.current.set(trace if span is None else span.traceparent)

        async def answer(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (request_id.HEADER, id_.encode())]
            await send(message)

        try:
            await self.inner(scope, receive, answer)
        finally:
            took_s = clock() - began_s
            route = scope.get(ROUTE, OTHER)
            self.app.requests.add((route, status), took_s)
            if span is not None:
                found: dict[str, str | int] = {"http.response.status_code": status, "tocsin.request": id_}
                span.end(found, failed="" if status < 500 else f"status {status}", name=route)
            if self.access_log:
                log.info(
                    "web.request", method=scope["method"], route=route, status=status, took_ms=round(took_s * 1000, 1)
                )
