"""What a form sent, and where to go afterwards."""

from urllib.parse import parse_qsl

from starlette.requests import Request

from tocsin.model.errors import Invalid
from tocsin.web.routes import read_body

MOST_BYTES = 262_144
MOST_FIELDS = 1000


async def pairs_of(request: Request) -> list[tuple[str, str]]:
    """Fields of `application/x-www-form-urlencoded` in their order. Raises Invalid."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise Invalid("content-type", "something else", "a form")
    body = await read_body(request, MOST_BYTES)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise Invalid("", "something else", "a form in UTF-8") from None
    if any("\x00" in value for _, value in pairs):
        raise Invalid("", "a NUL character", "text without one")
    return pairs


async def form_of(request: Request) -> dict[str, str]:
    """The same where each field comes once. Raises Invalid."""
    pairs = await pairs_of(request)
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Invalid("", "a field twice", "each field once")
    return fields


def local(path: str, otherwise: str = "/") -> str:
    """A path of this site, for somebody is sent there: nothing that a browser would take for another site."""
    if not path.startswith("/") or path.startswith("//") or not path.isascii() or not path.isprintable():
        return otherwise
    return otherwise if "\\" in path or len(path) > 500 else path
