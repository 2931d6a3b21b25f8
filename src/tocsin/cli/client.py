"""A command's way to the server: TOCSIN_URL and TOCSIN_TOKEN."""

import json
import urllib.error
import urllib.request
from typing import Any

from tocsin.cli.output import fail

TIMEOUT_S = 30


def ask(method: str, path: str, body: Any = None, *, url: str, token: str) -> Any:
    """The answer's JSON. Ends the command: 2 refused input, 3 a token that may not, 4 nobody answers."""
    request = urllib.request.Request(  # noqa: S310 - the user's own server
        url.rstrip("/") + path, method=method, data=None if body is None else json.dumps(body).encode()
    )
    request.add_header("content-type", "application/json")
    if token:
        request.add_header("authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            text = answer.read()
    except urllib.error.HTTPError as error:
        detail = explained(error)
        if error.code in (401, 403):
            fail(f"{detail} (TOCSIN_TOKEN)" if not token else detail, 3)
        fail(detail, 4 if error.code in (429, 502, 503, 504) else 2 if error.code < 500 else 1)
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        fail(f"No Tocsin answers at {url}: {reason}. Is `tocsin serve` running? Set TOCSIN_URL if it is elsewhere.", 4)
    return json.loads(text) if text else None


def explained(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["detail"])
    except (ValueError, KeyError, OSError):
        return f"HTTP {error.code}"
