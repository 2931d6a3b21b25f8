"""http.Request: through the guard, like everything that Tocsin sends."""

import json
from collections.abc import Mapping
from typing import Any, get_args
from urllib.parse import urlencode, urljoin, urlsplit

from tocsin.flows.durations import seconds
from tocsin.flows.execution import Execution, Handler, TaskFailed, TaskRun
from tocsin.flows.expression.values import text
from tocsin.flows.model import Task
from tocsin.model.wire import Basic, Bearer, HttpReply, HttpRequest, Method, NoReply

TIMEOUT_S, LONGEST_S = 10.0, 300.0
REDIRECTS = 5
MOVED = frozenset({301, 302, 303, 307, 308})
SHOWN_CHARS = 1000
METHODS: tuple[str, ...] = get_args(Method)


async def request(task: Task, run: TaskRun, execution: Execution) -> dict[str, Any]:
    given: dict[str, Any] = execution.rendered(task.given, run)
    options = part(given, "options")
    made = http_request(given, options)
    reply = await execution.reach.send(made, timeout_s := timeout_of(options))
    for _ in range(REDIRECTS):
        if not isinstance(reply, HttpReply) or reply.status not in MOVED or options.get("followRedirects") is False:
            break
        made = redirected(made, reply)
        reply = await execution.reach.send(made, timeout_s)
    if isinstance(reply, NoReply):
        hint = "; TOCSIN_ALLOW_TARGETS says where it may go" if reply.reason == "blocked" else ""
        raise TaskFailed(f"{reply.detail or reply.reason}{hint}")
    assert isinstance(reply, HttpReply)
    body = reply.body.decode("utf-8", "replace")
    if reply.truncated:
        execution.log(f"the answer is longer than {len(reply.body)} bytes: the rest is left out", run, "WARN")
    fine = reply.status < 400 or reply.status in (options.get("allowedResponseCodes") or ())
    if not fine and True not in (given.get("allowFailed"), options.get("allowFailed")):
        said = f"HTTP {reply.status} from {urlsplit(made.url).hostname}"
        raise TaskFailed(said, f"{said}: {head(body)}" if body else said)
    execution.log(f"{made.method} {urlsplit(made.url).hostname}: HTTP {reply.status}", run)
    return {
        "uri": made.url,
        "code": reply.status,
        "headers": {name: [value] for name, value in reply.headers.items()},
        "body": body,
    }


def http_request(given: Mapping[str, Any], options: Mapping[str, Any]) -> HttpRequest:
    """Raises TaskFailed."""
    method = text(given.get("method", "GET")).upper()
    if method not in METHODS:
        raise TaskFailed(f"method: expected one of {', '.join(METHODS)}, found {method[:20]!r}")
    url = text(given.get("uri", ""))
    if params := part(given, "params"):
        url += ("&" if "?" in url else "?") + encoded(params)
    headers = [(text(name), text(value)) for one in (options, given) for name, value in part(one, "headers").items()]
    body, kind = body_of(given)
    if kind and not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("content-type", text(given.get("contentType") or kind)))
    return HttpRequest(method, url, body, tuple(headers), credentials_of(options))  # type: ignore[arg-type]


def body_of(given: Mapping[str, Any]) -> tuple[bytes, str]:
    """The body, and its type where it does not say one itself."""
    if form := part(given, "formData"):
        if any(isinstance(value, dict | list) for value in form.values()):
            raise TaskFailed("formData: expected names with texts; files cannot be sent from here")
        return encoded(form).encode(), "application/x-www-form-urlencoded"
    body = given.get("body")
    if body is None:
        return b"", ""
    written = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, default=text)
    return written.encode("utf-8", "replace"), "application/json"


def credentials_of(options: Mapping[str, Any]) -> Basic | Bearer | None:
    auth = part(options, "auth")
    if options.get("basicAuthUser"):
        return Basic(text(options["basicAuthUser"]), text(options.get("basicAuthPassword", "")))
    match text(auth.get("type", "")).upper():
        case "":
            return None
        case "BASIC":
            return Basic(text(auth.get("username", "")), text(auth.get("password", "")))
        case "BEARER":
            return Bearer(text(auth.get("token", "")))
    raise TaskFailed("options.auth.type: expected BASIC or BEARER")


def timeout_of(options: Mapping[str, Any]) -> float:
    given = part(options, "timeout").get("readIdleTimeout") or options.get("readTimeout")
    if given is None:
        return TIMEOUT_S
    found = seconds(text(given))
    if found is None or not 0 < found <= LONGEST_S:
        raise TaskFailed(f"options: expected a timeout of at most {LONGEST_S:g} s, such as PT30S, found {given!r}")
    return found


def redirected(made: HttpRequest, reply: HttpReply) -> HttpRequest:
    """What it is authorised with stays with the host that it was meant for."""
    url = urljoin(made.url, reply.headers.get("location", ""))
    same = urlsplit(url)[:2] == urlsplit(made.url)[:2]
    headers = tuple(one for one in made.headers if same or one[0].lower() not in ("authorization", "cookie"))
    keeps = reply.status in (307, 308) or made.method in ("GET", "HEAD")
    if not keeps:
        headers = tuple(one for one in headers if one[0].lower() != "content-type")
    return HttpRequest(
        made.method if keeps else "GET", url, made.body if keeps else b"", headers, made.credentials if same else None
    )


def encoded(values: Mapping[str, Any]) -> str:
    return urlencode({text(name): text(value) for name, value in values.items()})


def part(of: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Raises TaskFailed for what is no map."""
    found = of.get(name)
    if found is not None and not isinstance(found, dict):
        raise TaskFailed(f"{name}: expected names with values")
    return found or {}


def head(body: str) -> str:
    return body[:SHOWN_CHARS] + ("…" if len(body) > SHOWN_CHARS else "")


HANDLERS: dict[str, Handler] = {"http.request": request}
