"""ETags: what an answer is known by; and changes that are made only while a thing is as it was seen.

A tag is `"edited"`, or `"edited-whole"` where Tocsin itself notes things beside what people set (when a webhook was
used last): If-Match asks for the first half alone, so that a delivery in between does not refuse somebody's change.
"""

import hashlib
import re
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from tocsin.model.errors import Changed, Invalid

TAGS = re.compile(r'\s*(?:(W/)?("[\x21\x23-\x7e\x80-\xff]*")\s*(?:,\s*|$))')


def digest(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=10).hexdigest()


def tag_of(shown: Any) -> str:
    """Of a thing as it is shown. Its type's `noted` names the fields that change without anybody's doing."""
    noted = getattr(shown, "noted", ())
    whole = digest(msgspec.json.encode(shown))
    if not noted:
        return f'"{whole}"'
    edited = {name: getattr(shown, name) for name in shown.__struct_fields__ if name not in noted}
    return f'"{digest(msgspec.json.encode(edited))}-{whole}"'


def half(tag: str) -> str:
    return tag.strip('"').partition("-")[0]


def listed(name: str, header: str) -> list[tuple[bool, str]]:
    """The tags of If-Match or If-None-Match: (weak, tag). Raises Invalid where it is no list of tags."""
    found, at = [], 0
    while at < len(header):
        one = TAGS.match(header, at)
        if one is None or one.end() == at:
            raise Invalid(name, repr(header[:80]), 'an ETag such as "1f2e3d4c", several with commas, or *')
        found.append((bool(one[1]), one[2]))
        at = one.end()
    return found


def check_unchanged(request: Request, shown: Any) -> None:
    """Raises Changed where the request says If-Match and the thing is not as it was seen. Call it in the transaction
    that makes the change, with what is there then."""
    asked = request.headers.get("if-match", "").strip()
    if not asked or asked == "*":
        return
    tag = tag_of(shown)
    if half(tag) not in [half(one) for weak, one in listed("If-Match", asked) if not weak]:
        raise Changed("It was changed since you read it; `current` is how it is now.", tag, shown)


def conditional(request: Request, response: Response) -> Response:
    """A whole answer with its ETag, or 304 where the caller has it already."""
    tag = response.headers.get("etag")
    if tag is None:
        tag = response.headers["etag"] = f'"{digest(bytes(response.body))}"'
    asked = request.headers.get("if-none-match", "").strip()
    if asked and (asked == "*" or tag in [one for _, one in listed("If-None-Match", asked)]):
        return Response(status_code=304, headers={"etag": tag})
    return response
