"""What a route is. One table of them makes the application, the OpenAPI document and the tests of roles."""

import base64
import datetime as dt
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tocsin.app import App
from tocsin.model.access import ANYBODY
from tocsin.model.audit import Act, Actor, changes
from tocsin.model.errors import Conflict, Invalid
from tocsin.store import answers, log
from tocsin.store.database import Transaction
from tocsin.web.auth import Principal
from tocsin.web.etags import check_unchanged, tag_of
from tocsin.web.request_id import current

Shape = TypeVar("Shape")


class Call(Struct, frozen=True):
    """One request, authenticated. `principal` is None on public routes only. `asked` and `raw` are there where it came
    with an Idempotency-Key: see once.py."""

    app: App
    request: Request
    principal: Principal | None
    asked: answers.Asked | None = None
    raw: bytes | None = None

    @property
    def tenant_id(self) -> str:
        return self.by.tenant_id

    @property
    def by(self) -> Principal:
        assert self.principal is not None, "a public route asked who is calling"
        return self.principal

    @property
    def most_bytes(self) -> int:
        """The longest body that the caller may send."""
        meter = self.app.meter
        gate = meter.gates.get(self.principal.tenant_id) if self.principal is not None else None
        return (gate.limits if gate is not None else meter.standard).body_bytes

    async def check_room(self, tx: Transaction, name: str, adding: int = 1) -> None:
        """Raises Full where the tenant would have more of these than it may; see model/limits.py for the names."""
        await self.app.meter.check_room(tx, self.tenant_id, name, adding)

    @property
    def actor(self) -> Actor:
        return actor_of(self.request, self.by)

    async def audit(
        self,
        tx: Transaction,
        action: str,
        kind: str,
        id_: str,
        before: Any = None,
        after: Any = None,
        *,
        touched: tuple[str, ...] = (),
    ) -> None:
        """Writes down what the caller does, in the transaction of the change, as the last thing in it.

        `before` and `after` are the object as it is shown, so without its secrets; None where there is none. Only the
        fields that differ are kept, and those `touched`, whose change does not show. Several objects at once are one
        entry, with the id "" and what says how many.
        """
        old, new = changes(before, after, touched)
        await self.app.trail.add(tx, Act(self.tenant_id, self.actor, action, kind, id_, old, new))

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])

    async def body(self, shape: type[Shape]) -> Shape:
        """The JSON body in this shape. Raises Invalid, naming the field."""
        raw = self.raw
        if raw is None:
            raw = await json_body(self.request, self.most_bytes)
        return decode(raw, shape)

    async def made(self, tx: Transaction, value: Any, status: int = 201) -> Response:
        """The answer of a POST that made something, kept in the same transaction under its Idempotency-Key. Raises
        Conflict, which undoes the transaction, where the same request was faster."""
        answer = tagged(value, status)
        if self.asked is not None:
            app = self.app
            if not await answers.keep(tx, app.keyring, self.asked, status, bytes(answer.body), app.clock_ms()):
                raise Conflict("The same request is being answered at this moment; send it again.")
        return answer

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Transaction]:
        """A transaction in which nobody else changes what people of this tenant set up: what is read in it is what is
        changed."""
        async with self.app.db.transaction() as tx:
            # The row of the tenant is the lock: of the changes to a tenant one follows the other.
            await tx.fetch("bump_config", {"tenant_id": self.tenant_id})
            yield tx

    def check_unchanged(self, shown: Any) -> None:
        """Raises Changed where the request says If-Match and the thing, as it is shown, is another by now."""
        check_unchanged(self.request, shown)


def actor_of(request: Request, by: Principal) -> Actor:
    """Who calls, and from where: the peer's address, and the request's id."""
    return Actor(
        name=by.who,
        token_id=by.token_id,
        role=by.role,
        address=request.client.host if request.client else "",
        request_id=current.get(),
        user_agent=request.headers.get("user-agent", ""),
    )


Handler = Callable[[Call], Awaitable[Response]]

ALLOWED = "tocsin.allowed"
"""Where in the scope the methods stand that there are at a path, as `Allow` names them."""


class Param(Struct, frozen=True):
    """A parameter of a query: what it means, the type that its text has to fit, and that type in words."""

    about: str
    shape: Any = str
    expected: str = ""
    is_number: bool = False

    def check(self, name: str, text: str) -> None:
        """Raises Invalid."""
        try:
            msgspec.convert(text, self.shape, strict=not self.is_number)
        except msgspec.ValidationError:
            expected = self.expected or f"one of {', '.join(map(str, get_args(self.shape)))}"
            raise Invalid(name, repr(text[:40]), expected) from None


Moment = Annotated[dt.datetime, Meta(tz=True)]


def moment_ms(text: str) -> int:
    """Unix milliseconds of a moment that a query gives."""
    moment: dt.datetime = msgspec.convert(text, Moment)
    return int(moment.timestamp() * 1000)


A_TIME = "a time such as 2026-11-21T14:00:00Z"


def whole(about: str, most: int, standard: int) -> Param:
    """A whole number from 1 on."""
    return Param(
        f"{about}: 1 to {most}; {standard} where it is not given",
        Annotated[int, Meta(ge=1, le=most)],
        f"a whole number from 1 to {most}",
        is_number=True,
    )


UP_TO_100 = "a whole number from 1 to 100"
PAGE: dict[str, str | Param] = {
    "limit": Param(
        "How many at the most; 50 where it is not given", Annotated[int, Meta(ge=1, le=100)], UP_TO_100, True
    ),
    "cursor": "`next` of the page before",
}
"""What every list takes."""

DELETED: Param = Param(
    "`true`: those that were deleted and can be restored, in place of the others", Literal["true", "false"]
)


class Route(Struct, frozen=True, kw_only=True):
    """`role` is the least one needed: a tenant's, or `operator`, or `anybody` with a token; "" is public. `scope` is
    what the token must be good for, where it is not what follows from method and role. `query` names the query
    parameters with what they mean; no other is taken, and none twice. `action` is what the audit trail calls it,
    `kind.verb`; "" where nothing changes that people set up. `problems` are the statuses it may refuse with besides
    those that follow from the rest. `name` is the operation's in the OpenAPI document, where the one made from the path
    would not do. `if_match`: it changes something only while that is as the caller has seen it, where the request says
    If-Match. `listed`: a list without pages. `idempotent`: it makes something new, a 201 or not. `basic`: the token may
    come as the password of Basic."""

    method: str
    path: str
    handler: Handler
    summary: str
    role: str
    scope: str = ""
    basic: bool = False
    body: Any = None
    answer: Any = None  # a type, or a tuple of those it may be
    status: int = 200
    also: tuple[int, ...] = ()  # other statuses that it may answer with, with the same body
    query: Mapping[str, str | Param] = {}
    headers: Mapping[str, str] = {}  # of the request, with what they mean
    media: str = "application/json"
    other_media: tuple[str, ...] = ()  # of the answer, where it may be asked for in another form
    action: str = ""
    problems: tuple[int, ...] = ()
    name: str = ""
    example: Any = None
    if_match: bool = False
    listed: bool = False
    body_optional: bool = False
    idempotent: bool = False

    @property
    def makes(self) -> bool:
        """Whether it makes something, and so honours an Idempotency-Key: its handler answers with `Call.made`."""
        return self.method == "POST" and bool(self.role) and (self.status == 201 or self.idempotent)

    @property
    def needs(self) -> str:
        """The scope that a token must have; "" where any will do."""
        if self.role in ("", ANYBODY):
            return ""
        if self.scope:
            return self.scope
        if self.role == "admin":
            return "admin"
        return "read" if self.method == "GET" else "write"

    @property
    def answers(self) -> tuple[Any, ...]:
        """The types of the answer, as many as there may be."""
        if isinstance(self.answer, tuple):
            return self.answer
        return () if self.answer is None else (self.answer,)


def reply(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def tagged(shown: Any, status: int = 200) -> Response:
    """One thing that can be changed, with the ETag that If-Match takes."""
    response = reply(shown, status)
    response.headers["etag"] = tag_of(shown)
    return response


async def read_body(request: Request, most: int) -> bytes:
    """Raises Invalid as soon as more than `most` bytes have come (413), and where the rest never comes."""
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > most:
                raise too_large(most)
            parts.append(part)
    except ClientDisconnect:
        raise Invalid("", "half a body", "a whole one") from None
    return b"".join(parts)


async def json_body(request: Request, most: int) -> bytes:
    """The same, where the request says nothing against its being JSON. Raises Invalid (415)."""
    check_json(request.headers.get("content-type", ""), request.headers.get("content-encoding", ""))
    return await read_body(request, most)


def unpacked(raw: bytes, encoding: str, most: int) -> bytes:
    """Raises Invalid for what is not gzip though it says so, and (413) for what becomes too large."""
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        return raw
    if encoding not in ("gzip", "x-gzip"):
        raise Invalid("Content-Encoding", repr(encoding[:40]), "gzip, or none", status=415)
    unpacking = zlib.decompressobj(wbits=31)
    try:
        body = unpacking.decompress(raw, most + 1)
    except zlib.error:
        raise Invalid("", "something that is not gzip", "a body packed as Content-Encoding says") from None
    if len(body) > most or unpacking.unconsumed_tail:
        raise too_large(most)
    if not unpacking.eof:
        raise Invalid("", "half of a gzip body", "a whole one")
    if unpacking.unused_data:
        raise Invalid("", "more after the end of a gzip body", "one gzip stream")
    return body


JSON_TYPES = re.compile(
    r"application/(?:[\w.-]+\+)?json|application/x-www-form-urlencoded|text/plain|application/octet-stream"
)
"""The last three are what clients say of bodies that they were told nothing about."""


@lru_cache(256)
def check_json(content_type: str, coding: str) -> None:
    """Raises Invalid (415) for a body that says that it is something else, in another character set, or packed."""
    media, _, parameters = content_type.lower().partition(";")
    if media.strip() and not JSON_TYPES.fullmatch(media.strip()):
        raise Invalid("Content-Type", repr(content_type[:80]), "application/json", status=415)
    charset = re.search(r"charset\s*=\s*\"?([\w-]+)", parameters)
    if charset and charset[1] not in ("utf-8", "utf8", "us-ascii"):
        raise Invalid("Content-Type", repr(content_type[:80]), "JSON in UTF-8", status=415)
    if coding.strip().lower() not in ("", "identity"):
        raise Invalid("Content-Encoding", repr(coding[:40]), "a body that is not packed", status=415)


def too_large(most: int) -> Invalid:
    return Invalid("", "a larger one", f"a body of at most {most} bytes", status=413)


def decode(body: bytes, shape: type[Shape]) -> Shape:
    """Raises Invalid for malformed JSON and for every field that does not fit its type, unknown ones by name."""
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise invalid_field(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("", f"malformed JSON ({error})", "a JSON object") from None
    except RecursionError:
        raise Invalid("", "JSON nested too deeply", "a JSON object") from None


def invalid_field(said: str) -> Invalid:
    """msgspec says `Expected `int`, got `str` - at `$.retry.base_s``."""
    what, _, place = said.partition(" - at `")
    field = place.rstrip("`").removeprefix("$").removeprefix(".")
    if what.startswith("Object contains unknown field `"):
        name = what.split("`")[1]
        return Invalid(f"{field}.{name}".lstrip("."), "an unknown field", "a field of this object")
    if what.startswith("Object missing required field `"):
        name = what.split("`")[1]
        return Invalid(f"{field}.{name}".lstrip("."), "nothing", "a value: the field is required")
    expected, _, found = what.removeprefix("Expected ").partition(", got ")
    if not found:
        return Invalid(field, "something else", expected[:1].lower() + expected[1:])
    return Invalid(field, found, expected)


def no_nul(field: str, text: str) -> str:
    """PostgreSQL has no text with U+0000 in it; both stores refuse it alike."""
    if "\x00" in text:
        raise Invalid(field, "a NUL character", "text without NUL characters")
    return text


def page_limit(call: Call) -> int:
    """`?limit=`, 1 to 100; 50 where it is not given."""
    return number_of(call, "limit", 50)


def number_of(call: Call, name: str, standard: int) -> int:
    """A whole number among the query parameters, which has been checked already; `standard` where none is given."""
    return int(msgspec.convert(call.request.query_params.get(name) or standard, int, strict=False))


def check_query(route: Route, request: Request) -> None:
    """Raises Invalid for a parameter that the route does not have, for one that is given twice, and for a value that
    does not fit its type. An empty text is as one that is not given."""
    if not request.scope["query_string"]:
        return
    seen = set()
    for name, text in request.query_params.multi_items():
        if name not in route.query:
            expected = f"one of {', '.join(sorted(route.query))}" if route.query else "none: this route has none"
            raise Invalid(name[:60], "an unknown query parameter", expected)
        if name in seen:
            raise Invalid(name, "the parameter twice", "it once")
        seen.add(name)
        no_nul(name, text)
        param = route.query[name]
        if isinstance(param, Param) and param.shape is not str:
            param.check(name, text)


def asks_deleted(call: Call) -> bool:
    return call.request.query_params.get("deleted") == "true"


def filters_of(call: Call, known: tuple[str, ...]) -> dict[str, str]:
    """The query parameters that filter."""
    given = call.request.query_params
    return {name: given[name] for name in known if given.get(name)}


AN_ID = re.compile(r"[a-z]{2,8}_[0-9a-f]{32}")
A_NUMBER = re.compile(r"[0-9]{1,18}")


def cursor_of(call: Call, start: str, shape: re.Pattern[str] = AN_ID) -> str:
    """Where the page starts: an id of the last page, or `start`. Raises Invalid for what no page has said."""
    cursor = call.request.query_params.get("cursor", "")
    if cursor and not shape.fullmatch(cursor):
        raise Invalid("cursor", "something else", "the `next` of an earlier page")
    return cursor or start


def name_cursor(call: Call) -> str:
    """The same for lists by name: the name that the last page ended with, or ""."""
    given = call.request.query_params.get("cursor", "")
    try:
        return no_nul("cursor", base64.b64decode(given, b"-_", validate=True).decode())
    except ValueError:
        raise Invalid("cursor", "something else", "the `next` of an earlier page") from None


def as_cursor(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def page(items: list[Any], limit: int, next_: Callable[[Any], str], floor: str = "") -> dict[str, Any]:
    """`items` holds one more than `limit` where there is a next page. `floor`: how far back was looked, where that is
    not to the end: the next page goes on from there."""
    more = len(items) > limit
    items = items[:limit]
    return {"items": items, "next": next_(items[-1]) if more else floor or None}


LAST = log.LAST
"""The start of a list that begins with the newest."""


def rfc3339(ms: int | None, precision: Literal["milliseconds", "seconds"] = "milliseconds") -> str | None:
    """Unix milliseconds as RFC 3339 in UTC."""
    if ms is None:
        return None
    return dt.datetime.fromtimestamp(ms / 1000, dt.UTC).isoformat(timespec=precision).replace("+00:00", "Z")
