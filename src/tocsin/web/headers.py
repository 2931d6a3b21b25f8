"""Headers that every answer has: what a browser must not do with it. What an answer sets itself stays as it is.

https://cheatsheetseries.owasp.org/cheatsheets/HTTP_Headers_Cheat_Sheet.html
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from tocsin.web.origin import Site

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

PAGE_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    b"connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
"""For pages: what they load is ours, nothing is inline, nobody frames them. `data:` are the marks of form fields in the
style sheets; a picture runs nothing."""
DATA_POLICY = b"default-src 'none'; frame-ancestors 'none'"
"""For everything else, which is nothing to look at: where a browser shows it all the same, it does nothing."""

HSTS = (b"strict-transport-security", b"max-age=31536000")
"""A year, where the public address is https. Other hosts below it are not ours to speak for."""

ALWAYS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


class Guard:
    """`data` and `page` are complete lists for answers that set none of these themselves."""

    def __init__(self, site: Site) -> None:
        always = (*ALWAYS, HSTS) if site.is_secure else ALWAYS
        self.data: tuple[Header, ...] = (*always, (b"content-security-policy", DATA_POLICY))
        self.page: tuple[Header, ...] = (
            *always,
            (b"content-security-policy", PAGE_POLICY),
            (b"cross-origin-opener-policy", b"same-origin"),
        )

    def around(self, send: Send) -> Send:
        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given: list[Header] = list(message.get("headers", ()))
                named = {name.lower(): value for name, value in given}
                is_page = named.get(b"content-type", b"").startswith(b"text/html")
                missing = [header for header in (self.page if is_page else self.data) if header[0] not in named]
                message["headers"] = given + missing
            await send(message)

        return guarded
