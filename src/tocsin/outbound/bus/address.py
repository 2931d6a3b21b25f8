"""TOCSIN_BUS_URL: `nats://user:password@host:4222/STREAM?tenant=…`, several separated by commas."""

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote

from tocsin.model.bus import BusAddress
from tocsin.model.errors import Invalid
from tocsin.model.ids import DEFAULT_TENANT

FIELD = "TOCSIN_BUS_URL"
SCHEMES = {
    "nats": ("nats", False),
    "nats+tls": ("nats", True),
    "kafka": ("kafka", False),
    "kafka+tls": ("kafka", True),
    "amqp": ("amqp", False),
    "amqps": ("amqp", True),
    "redis": ("redis", False),
    "rediss": ("redis", True),
}
PORTS = {("nats", False): 4222, ("nats", True): 4222, ("kafka", False): 9092, ("kafka", True): 9093,
         ("amqp", False): 5672, ("amqp", True): 5671, ("redis", False): 6379, ("redis", True): 6379}  # fmt: skip
PATHS = {"nats": "stream", "kafka": "topic", "amqp": "queue", "redis": "stream"}
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "nats": ("consumer", "subject", "ack_wait"),
    "kafka": ("group", "sasl"),
    "amqp": ("vhost",),
    "redis": ("group", "db", "idle"),
}
NUMBERS = ("ack_wait", "db", "idle")

_NEXT = re.compile(r",\s*(?=[a-z+]+://)")
_URL = re.compile(r"([a-z+]+)://(?:([^:@/]*)(?::([^@/]*))?@)?([^/?#@]+)/([^?#]+)(?:\?([^#]*))?")
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\])(?::\d{1,5})?")


def parse_bus_urls(text: str) -> list[BusAddress]:
    """Raises Invalid, without a word of what may be a password."""
    found = [parse(one, number) for number, one in enumerate(_NEXT.split(text.strip()), 1)] if text.strip() else []
    for number, one in enumerate(found, 1):
        if one.name in {other.name for other in found[: number - 1]}:
            raise wrong(number, f"{one.name} a second time", "each stream, topic or queue once")
    return found


def parse(text: str, number: int) -> BusAddress:
    scheme = text.partition("://")[0]
    if scheme not in SCHEMES:
        raise wrong(
            number,
            f"{scheme}://" if scheme.isalpha() and len(scheme) < 10 else "another one",
            f"an address that starts with one of {', '.join(SCHEMES)}",
        )
    kind, tls = SCHEMES[scheme]
    parts = _URL.fullmatch(text.strip())
    if parts is None:
        raise wrong(number, "another shape", f"{scheme}://user:password@host:port/{PATHS[kind]}?tenant=…")
    _, user, password, hosts, path, query = parts.groups(default="")
    for host in hosts.split(","):
        if not _HOST.fullmatch(host):
            raise wrong(number, repr(host[:60]), "host:port")
    options = dict(parse_qsl(query, keep_blank_values=True))
    tenant = options.pop("tenant", DEFAULT_TENANT)
    for name, value in options.items():
        if name not in OPTIONS[kind]:
            raise wrong(number, f"?{name[:40]}=", f"one of tenant, {', '.join(OPTIONS[kind])}")
        if not value or (name in NUMBERS and not value.isdigit()):
            raise wrong(number, f"{name}={value[:40]}", "a whole number" if name in NUMBERS else "a name")
    return BusAddress(
        kind=kind,
        tls=tls,
        hosts=tuple(with_port(host, PORTS[kind, tls]) for host in hosts.split(",")),
        user=unquote(user),
        password=unquote(password),
        path=unquote(path),
        tenant=tenant,
        options=options,
    )


def with_port(host: str, port: int) -> str:
    return host if re.search(r":\d+$", host) and not host.endswith("]") else f"{host}:{port}"


def wrong(number: int, found: str, expected: str) -> Invalid:
    return Invalid(f"{FIELD}, address {number}", found, expected)
