"""Under which address people see Tocsin, and whether a browser's request comes from there.

A cookie goes along with whatever another site has a browser send. So what a cookie authorises has to come from our own
origin: browsers say it (Sec-Fetch-Site, Origin), and no page can make them say otherwise.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from tocsin.model.errors import Forbidden
from tocsin.settings import Settings

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
SAFE = ("GET", "HEAD", "OPTIONS")


class Site(Struct, frozen=True):
    """`origin` is that of TOCSIN_PUBLIC_URL, "" where none is set: then browsers are served on this machine alone."""

    origin: str = ""

    @classmethod
    def of(cls, settings: Settings) -> "Site":
        url = urlsplit(settings.public_url)
        return cls(f"{url.scheme}://{url.netloc}".lower() if url.netloc else "")

    @property
    def is_secure(self) -> bool:
        return self.origin.startswith("https://")

    def cookie(self, name: str) -> str:
        """A cookie's whole name. `__Host-`: this host alone, over TLS alone (RFC 6265bis, 4.1.3.2)."""
        return f"__Host-{name}" if self.is_secure else name

    def own_origin(self, headers: Mapping[str, str]) -> str:
        """The origin that this request was sent to. Raises Forbidden where it is none of ours (DNS rebinding), or one
        over which no cookie may go."""
        host = headers.get("host", "").lower()
        if self.origin:
            if self.origin.partition("://")[2] == host and (self.is_secure or is_loopback(host)):
                return self.origin
            if self.origin.partition("://")[2] == host:
                raise Forbidden(
                    f"People sign in over https: put TLS in front, and set TOCSIN_PUBLIC_URL to it ({host})."
                )
            raise Forbidden(f"This is {self.origin}: use that address (TOCSIN_PUBLIC_URL).")
        if is_loopback(host):
            return f"http://{host}"
        raise Forbidden("Without TOCSIN_PUBLIC_URL people sign in on this machine only, at 127.0.0.1 or localhost.")

    def check_same_origin(self, headers: Mapping[str, str]) -> None:
        """Raises Forbidden for a request that does not come from a page of ours."""
        own = self.own_origin(headers)
        fetched_from, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if fetched_from is None and origin is None:
            raise Forbidden("A request with a cookie has to say where it comes from: Origin or Sec-Fetch-Site.")
        if fetched_from not in (None, "same-origin") or origin not in (None, own):
            raise Forbidden(f"This request comes from another site, not from {own}.")


def is_loopback(host: str) -> bool:
    name, _, port = host.rpartition(":")
    if not port.isdigit() or (host.startswith("[") and host.endswith("]")):
        name = host
    return name in LOOPBACK


def open_to_others(settings: Settings) -> str:
    """Why tokens and passwords may be read on their way; "" where they may not."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    if is_loopback(host) or settings.public_url.startswith("https://"):
        return ""
    return (
        f"TOCSIN_HOST={settings.host} can be reached from other machines, and there is no https: put TLS in front, and "
        "set TOCSIN_PUBLIC_URL to its https address. Until then nobody can sign in from elsewhere."
    )
