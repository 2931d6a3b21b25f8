"""A command's way to the server: TOCSIN_URL and TOCSIN_TOKEN."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from tocsin.cli.output import fail

TIMEOUT_S = 30
PART_BYTES = 65_536


class Refused(Exception):
    """The server declined the input: `field` and `said` name what was wrong, where its answer says so."""

    def __init__(self, status: int, detail: str, field: str = "", said: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.said = said


def ask(method: str, path: str, body: Any = None, *, url: str, token: str) -> Any:
    """The answer's JSON. Ends the command: 2 refused input, 3 a token that may not, 4 nobody answers."""
    try:
        return try_to_ask(method, path, body, url=url, token=token)
    except Refused as refused:
        fail(refused.detail, 2)


def ask_all(path: str, *, url: str, token: str) -> list[Any]:
    """Every item of a list, page by page."""
    items: list[Any] = []
    cursor = ""
    while True:
        mark = "&" if "?" in path else "?"
        page = ask("GET", f"{path}{mark}{urlencode({'limit': 100, 'cursor': cursor})}", url=url, token=token)
        items += page["items"]
        cursor = page["next"]
        if cursor is None:
            return items


def parts(path: str, *, url: str, token: str) -> Iterator[bytes]:
    """What a GET answers, as it comes. Ends the command as `ask` does, and with 4 where the answer breaks off."""
    try:
        with opened("GET", path, None, url=url, token=token) as answer:
            while part := answer.read(PART_BYTES):
                yield part
    except Refused as refused:
        fail(refused.detail, 2)
    except http.client.HTTPException as error:
        fail(f"The answer broke off: {error}.", 4)


def try_to_ask(method: str, path: str, body: Any = None, *, url: str, token: str) -> Any:
    """The same as `ask`, but raises Refused for input that is refused: 400, 404, 409 and their like."""
    with opened(method, path, body, url=url, token=token) as answer:
        text = answer.read()
    return json.loads(text) if text else None


@contextmanager
def opened(method: str, path: str, body: Any, *, url: str, token: str) -> Iterator[Any]:
    """The answer. Raises Refused."""
    request = urllib.request.Request(  # noqa: S310 - the user's own server
        url.rstrip("/") + path, method=method, data=None if body is None else json.dumps(body).encode()
    )
    request.add_header("content-type", "application/json")
    if token:
        request.add_header("authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            yield answer
    except urllib.error.HTTPError as error:
        refused = explained(error)
        if error.code in (401, 403):
            fail(f"{refused.detail} (TOCSIN_TOKEN)" if not token else refused.detail, 3)
        if error.code < 500 and error.code != 429:
            raise refused from None
        fail(refused.detail, 4 if error.code in (429, 502, 503, 504) else 1)
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        fail(f"No Tocsin answers at {url}: {reason}. Is `tocsin serve` running? Set TOCSIN_URL if it is elsewhere.", 4)


def explained(error: urllib.error.HTTPError) -> Refused:
    try:
        problem = json.loads(error.read())
        detail = str(problem["detail"])
        wrong = (problem.get("errors") or [{}])[0]
        said = f"expected {wrong.get('expected', '')}, found {wrong.get('found', '')}" if wrong else ""
        return Refused(error.code, detail, str(wrong.get("field", "")), said)
    except (ValueError, KeyError, OSError, AttributeError):
        return Refused(error.code, f"HTTP {error.code}")
