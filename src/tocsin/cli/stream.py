"""A command's way to `GET /v1/stream`: it comes back by itself, and is told what it missed."""

import json
import sys
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Generator, Iterator
from threading import Event
from typing import Any
from urllib.parse import urlencode

from tocsin.cli.client import explained
from tocsin.cli.output import fail

SILENT_S = 60
"""Four heartbeats that did not come: the connection is dead."""

AGAIN_S = 2


def messages(name: str, pipeline: str, *, url: str, token: str) -> Generator[dict[str, Any]]:
    """The data of each message of that name, until interrupted. Ends the command where the token may not. After an
    interruption the last moments are told again: what was seen is left out."""
    seen: deque[str] = deque(maxlen=1000)
    query = {"types": name} | ({"pipeline": pipeline} if pipeline else {})
    last = ""
    while True:
        request = urllib.request.Request(f"{url.rstrip('/')}/v1/stream?{urlencode(query)}")  # noqa: S310 - theirs
        request.add_header("authorization", f"Bearer {token}")
        if last:
            request.add_header("last-event-id", last)
        try:
            with urllib.request.urlopen(request, timeout=SILENT_S) as answer:  # noqa: S310
                for at, kind, data in parsed(answer, last):
                    last = at
                    if kind == name and (key := data.get("uid") or str(data)) not in seen:
                        seen.append(key)
                        yield data
                    elif kind == "reset":
                        print(f"Some are missing: {data['reason']}.", file=sys.stderr)
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code != 429:
                fail(explained(error).detail, 3 if error.code in (401, 403) else 2)
        except (urllib.error.URLError, OSError) as error:
            print(f"{getattr(error, 'reason', error)}; trying again.", file=sys.stderr)
        Event().wait(AGAIN_S)


def parsed(lines: Iterator[bytes], last: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(id, name, data) of each message; an id that comes alone goes with an empty name."""
    name, data = "", ""
    for raw in lines:
        field, _, value = raw.decode("utf-8").rstrip("\r\n").partition(": ")
        if field == "id":
            last = value
        elif field == "event":
            name = value
        elif field == "data":
            data = value
        elif not field and not value and not raw.startswith(b":"):
            yield last, name, json.loads(data) if data else {}
            name, data = "", ""
