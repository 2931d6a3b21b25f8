"""`Idempotency-Key`: a POST that makes something makes it once, however often it is sent.

The answer is kept in the transaction that makes the thing (`Call.made`), so that one is never there without the other.
Whoever comes with the same key and the same request is given it again; refusals are not kept, for nothing was made.
"""

import re

from msgspec.structs import replace
from starlette.responses import Response

from tocsin.model.errors import Conflict, Invalid, Refusal
from tocsin.store import answers
from tocsin.web.routes import Call, Handler, json_body

HEADER = "idempotency-key"
AGAIN = "idempotent-replayed"
KEY = re.compile(r"^[\x21-\x7e]{1,255}\Z")


def checked_key(key: str) -> str:
    """ "" where none came. Raises Invalid."""
    if key and not KEY.match(key):
        raise Invalid("Idempotency-Key", f"{len(key)} characters", "1 to 255 printable ASCII characters without spaces")
    return key


async def answered(call: Call, handler: Handler) -> Response:
    """The handler's answer, or the one that it gave to the same request before."""
    key = checked_key(call.request.headers.get(HEADER, ""))
    if not key:
        return await handler(call)
    body = await json_body(call.request, call.most_bytes)
    caller = call.by.token_id or call.by.user_id
    asked = answers.asked(call.tenant_id, caller, key, call.request.method, call.request.url.path, body)
    known = await before(call, asked, key)
    if known is not None:
        return known
    try:
        return await handler(replace(call, asked=asked, raw=body))
    except Refusal:
        known = await before(call, asked, key)  # the same request was faster, at this very moment
        if known is not None:
            return known
        raise


async def before(call: Call, asked: answers.Asked, key: str) -> Response | None:
    """Raises Conflict where the key came with another request."""
    known = await answers.find(call.app.db, call.app.keyring, asked, call.app.clock_ms())
    if known is None:
        return None
    if known.request_hash != asked.request_hash:
        raise Conflict(f"The Idempotency-Key {key} came with another request within the last 24 hours.")
    return Response(known.body, known.status, {AGAIN: "true"}, "application/json")
