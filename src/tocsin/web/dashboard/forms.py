"""What a form sent, and where to go afterwards."""

from urllib.parse import parse_qsl

from starlette.requests import Request

from tocsin.model.errors import Invalid
from tocsin.web.routes import read_body

MOST_BYTES = 16_384
MOST_FIELDS = 20


async def form_of(request: Request) -> dict[str, str]:
    """Fields of `application/x-www-form-urlencoded`, each once. Raises Invalid."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise Invalid("content-type", "something else", "a form")
    body = await read_body(request, MOST_BYTES)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise Invalid("", "something else", "a form in UTF-8") from None
    fields = dict(pairs)
    if len(fields) != len(pairs) or any("\x00" in value for value in fields.values()):
        raise Invalid("", "a field twice, or a NUL character", "each field once, as text")
    return fields


def local(path: str, otherwise: str = "/") -> str:
    """A path of this site, for somebody is sent there: nothing that a browser would take for another site."""
    if not path.startswith("/") or path.startswith("//") or not path.isascii() or not path.isprintable():
        return otherwise
    return otherwise if "\\" in path or len(path) > 500 else path
