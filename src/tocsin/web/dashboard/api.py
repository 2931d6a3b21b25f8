"""The API, asked in the name of whoever looks at a page: what a page shows and does is what the API says and does to
this person, roles, limits, audit trail and all. In this process: no socket between."""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import msgspec
from starlette.requests import Request

from tocsin.model.errors import Refusal
from tocsin.web.sessions import CSRF_HEADER

Asgi = Callable[[Any, Any, Any], Awaitable[None]]
PASSED_ON = (b"host", b"cookie", b"user-agent", b"origin", b"sec-fetch-site", b"referer", b"traceparent")
CAME_FROM = (b"origin", b"sec-fetch-site", b"referer")
KEPT = ("type", "asgi", "http_version", "scheme", "server", "client", "state", "root_path")


class Refused(Refusal):
    """What the API declined. `field`, `found` and `expected` where it is about one field; `problem` is all it said."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(problem["detail"])
        self.problem = problem
        self.status = problem["status"]
        self.title = problem["title"]
        self.code = problem.get("type", "").rpartition("/")[2]
        error = (problem.get("errors") or [{}])[0]
        self.field: str = error.get("field", "")
        self.found: str = error.get("found", "")
        self.expected: str = error.get("expected", "")


class Api:
    """`csrf` is the token of the session that `request` comes from. All of its methods raise Refused; values that are
    None or "" are not asked with."""

    def __init__(self, rest: Asgi, request: Request, csrf: str) -> None:
        self.rest = rest
        self.request = request
        self.csrf = csrf
        self.asked = 0

    async def get(self, path: str, **query: Any) -> Any:
        return await self.ask("GET", path, query=query)

    async def post(self, path: str, body: Any = None, *, tag: str = "", key: str = "") -> Any:
        """`key`: what is made under it is made once; asked again, the same answer comes again."""
        return await self.ask("POST", path, body, tag=tag, key=key)

    async def look(self, path: str, body: Any) -> Any:
        """A question that takes a POST and changes nothing: a preview, a dry run. A page that is only looked at may ask
        it, too, wherever whoever looks came from."""
        assert path.endswith("/preview") or body["dry_run"], f"{path} may change something"
        return await self.ask("POST", path, body, looks=True)

    async def patch(self, path: str, body: Any, *, tag: str = "") -> Any:
        """`tag`: only while it is as it was shown under this ETag."""
        return await self.ask("PATCH", path, body, tag=tag)

    async def put(self, path: str, body: Any, *, tag: str = "") -> Any:
        return await self.ask("PUT", path, body, tag=tag)

    async def delete(self, path: str, *, tag: str = "") -> Any:
        return await self.ask("DELETE", path, tag=tag)

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: dict[str, Any] | None = None,
        tag: str = "",
        key: str = "",
        looks: bool = False,
    ) -> Any:
        """Its JSON; None of an empty answer."""
        status, headers, content = await self.answer(method, path, body, query or {}, tag, key, looks=looks)
        if status >= 400:
            raise Refused(problem_of(status, content))
        if not content:
            return None
        if not headers.get(b"content-type", b"").startswith(b"application/json"):
            return content
        return msgspec.json.decode(content)

    async def tagged(self, path: str, **query: Any) -> tuple[Any, str]:
        """One thing that can be changed, with its ETag."""
        status, headers, content = await self.answer("GET", path, None, query, "")
        if status >= 400:
            raise Refused(problem_of(status, content))
        return msgspec.json.decode(content), headers.get(b"etag", b"").decode()

    async def answer(
        self,
        method: str,
        path: str,
        body: Any,
        query: dict[str, Any],
        tag: str,
        key: str = "",
        *,
        looks: bool = False,
    ) -> tuple[int, dict[bytes, bytes], bytes]:
        self.asked += 1
        given = self.request.scope
        asked = urlencode({name: value for name, value in query.items() if value not in (None, "")})
        sent = b"" if body is None else msgspec.json.encode(body)
        headers = [(name, value) for name, value in given["headers"] if name in PASSED_ON]
        if looks:  # how a browser came to a page says nothing of what the page itself asks
            headers = [(name, value) for name, value in headers if name not in CAME_FROM]
            headers.append((b"sec-fetch-site", b"same-origin"))
        headers.append((b"content-length", str(len(sent)).encode()))
        if method != "GET":
            headers += [(CSRF_HEADER.encode(), self.csrf.encode()), (b"content-type", b"application/json")]
        if tag:
            headers.append((b"if-match", tag.encode()))
        if key:
            headers.append((b"idempotency-key", key.encode()))
        scope = {name: given[name] for name in KEPT if name in given} | {
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": asked.encode(),
            "headers": headers,
        }
        parts: list[bytes] = []
        status, found = 500, {}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": sent, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status, found
            if message["type"] == "http.response.start":
                status, found = message["status"], {name.lower(): value for name, value in message["headers"]}
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        await self.rest(scope, receive, send)
        return status, found, b"".join(parts)


def problem_of(status: int, content: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError):
        found = {}
    return {"title": "Failed", "detail": f"The API answered {status}.", "status": status} | found
