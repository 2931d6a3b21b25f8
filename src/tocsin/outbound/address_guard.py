"""Where requests may go, and what headers they may carry: pure checks, no I/O.

A URL is checked twice, when it is saved and before it is sent; the address that is dialled is vetted a third time, at
connect, because a name may answer differently then. What a refusal says never holds the URL: webhook URLs are secrets.
"""

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path

from msgspec import Struct

from tocsin.model.errors import Invalid
from tocsin.model.hidden import Hidden

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_URL = 2048
"""Characters: what browsers, proxies and servers agree on in practice."""
MAX_HEADER_VALUE = 8192
"""Characters, which are bytes as values are ASCII (S14)."""

# IANA special-purpose registries + Smokescreen + Svix; the file says so itself.
_DENY = json.loads(Path(__file__).with_name("deny_cidrs.json").read_text())
_DENIED_V4 = tuple(IPv4Network(cidr) for cidr in _DENY["ipv4"])
_DENIED_V6 = tuple(IPv6Network(cidr) for cidr in _DENY["ipv6"])
_GLOBAL_V6 = IPv6Network(_DENY["allow_v6_only_inside"])

# Whoever reaches one of these holds the machine's cloud credentials, so that no allow-list opens them.
_METADATA: frozenset[Address] = frozenset(
    ip_address(address)
    for address in (
        "169.254.169.254",  # AWS, Azure, GCP, DigitalOcean, …
        "169.254.170.2",  # AWS ECS task credentials
        "169.254.170.23",  # AWS EKS pod identity
        "fd00:ec2::254",  # AWS over IPv6
        "fd00:ec2::23",  # AWS EKS pod identity over IPv6
        "fd20:ce::254",  # GCP over IPv6
        "100.100.100.200",  # Alibaba
        "169.254.0.23",  # Tencent
        "169.254.42.42",  # Scaleway
        "fd00:42::42",  # Scaleway over IPv6
        "192.0.0.192",  # Oracle
        "168.63.129.16",  # Azure WireServer: globally routable by registry
    )
)

# Services above port 1023 that take commands from whoever connects, or leak by default, and are no HTTP receivers.
_DENIED_PORTS = frozenset(
    {
        1433,  # SQL Server
        1521,  # Oracle
        2049,  # NFS
        2181,  # ZooKeeper
        2375,  # Docker
        2376,  # Docker over TLS
        2379,  # etcd
        2380,  # etcd peers
        3306,  # MySQL
        3389,  # RDP
        4222,  # NATS
        5432,  # PostgreSQL
        5671,  # AMQP over TLS
        5672,  # AMQP
        5900,  # VNC
        5984,  # CouchDB
        5985,  # WinRM
        5986,  # WinRM over TLS
        6379,  # Redis
        6380,  # Redis over TLS
        6443,  # Kubernetes API
        8500,  # Consul
        8501,  # Consul over TLS
        9042,  # Cassandra
        9092,  # Kafka
        9200,  # Elasticsearch
        9300,  # Elasticsearch nodes
        10250,  # kubelet
        10255,  # kubelet, read-only
        11211,  # memcached
        27017,  # MongoDB
        27018,  # MongoDB shards
    }
)

_NOT_URL = re.compile(r"[^!-\[\]-~]")  # all but visible ASCII without the backslash, which some parsers read as "/"
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # WHATWG: a host that ends in a number is an IPv4 address, or an error
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}")  # RFC 9110, 5.6.2
_VALUE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")
_DENIED_HEADERS = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "cookie",
        "content-encoding",
        "accept-encoding",
    }
)


class Allow(Struct, frozen=True):
    """A network that the operator named. `port` None is every port; where it opens a private network, every ordinary
    one."""

    network: Network
    port: int | None = None


class Allowed(Struct, frozen=True):
    """What the operator says of where requests may go; all of it empty is the public internet.

    private: networks that may be reached although they are private (TOCSIN_ALLOW_TARGETS).
    denied: networks and hosts that may not be reached although they are public (TOCSIN_DENY_TARGETS).
    only: where any are named, nothing else may be reached (TOCSIN_EGRESS_ONLY).
    A host is a name, or `*.` and the end of names. Metadata services stay closed whatever is said here.
    """

    private: tuple[Allow, ...] = ()
    denied: tuple[Allow, ...] = ()
    denied_hosts: tuple[str, ...] = ()
    only: tuple[Allow, ...] = ()
    only_hosts: tuple[str, ...] = ()


PUBLIC = Allowed()


class ParsedUrl(Hidden, frozen=True):
    """A URL as it will be sent. `host` is lower-case and without brackets, `target` the path and query, byte-exact."""

    scheme: str
    host: str
    port: int
    target: str


def parse_allow_targets(text: str, deny: str = "", only: str = "") -> Allowed:
    """TOCSIN_ALLOW_TARGETS: `cidr[:port]`, comma separated; an IPv6 network stands in brackets when a port follows.
    TOCSIN_DENY_TARGETS and TOCSIN_EGRESS_ONLY are the same, and may name hosts: `example.com`, `*.example.com`."""
    private = tuple(_parse_allow("TOCSIN_ALLOW_TARGETS", item) for item in _items(text))
    denied, denied_hosts = _networks_and_hosts("TOCSIN_DENY_TARGETS", deny)
    named, named_hosts = _networks_and_hosts("TOCSIN_EGRESS_ONLY", only)
    return Allowed(private, denied, denied_hosts, named, named_hosts)


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _networks_and_hosts(setting: str, text: str) -> tuple[tuple[Allow, ...], tuple[str, ...]]:
    items = _items(text.lower())
    hosts = [item for item in items if _is_host(item)]
    return tuple(_parse_allow(setting, item) for item in items if item not in hosts), tuple(hosts)


def _is_host(item: str) -> bool:
    labels = item.removeprefix("*.").split(".")
    return all(map(_LABEL.fullmatch, labels)) and not _NUMBER.fullmatch(labels[-1])


def _parse_allow(setting: str, item: str) -> Allow:
    network, port = item, ""
    if item.startswith("["):
        network, bracket, rest = item[1:].partition("]")
        port = rest[1:]
        if not bracket or (rest and (rest[0] != ":" or not port)):
            raise _bad_allow(setting, item)
    elif item.count(":") == 1:
        network, _, port = item.partition(":")
        if not port:
            raise _bad_allow(setting, item)
    if port and (not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536):
        raise _bad_allow(setting, item)
    try:
        return Allow(ip_network(network), int(port) if port else None)
    except ValueError:
        raise _bad_allow(setting, item) from None


def _bad_allow(setting: str, item: str) -> Invalid:
    expected = "cidr[:port] without host bits, such as 10.0.0.0/8, 10.1.2.3:8080 or [fd00::/8]:8443"
    if setting != "TOCSIN_ALLOW_TARGETS":
        expected += ", or a host such as example.com or *.example.com"
    return Invalid(setting, repr(item[:80]), expected)


def refusal(address: str, port: int, allow: Allowed = PUBLIC) -> str:
    """Why this address may not be dialled on this port; "" where it may. The words are for tests and the operator's
    log: a sender is told only that the guard refused, lest it learn what listens inside."""
    try:
        ip: Address = ip_address(address)
    except ValueError:
        return "not an address"
    carried = _carried_v4(ip)
    if ip in _METADATA or not _METADATA.isdisjoint(carried):
        return "metadata"
    if _naming(ip, port, allow.denied) or any(_naming(carried_ip, port, allow.denied) for carried_ip in carried):
        return "denied by the operator"
    allowed = _naming(ip, port, allow.private)
    if not _ordinary_port(port) and not any(rule.port == port for rule in allowed):
        return "port"
    if allowed:
        return ""
    if isinstance(ip, IPv4Address):
        return "denied network" if any(ip in network for network in _DENIED_V4) else ""
    if ip not in _GLOBAL_V6 or any(ip in network for network in _DENIED_V6):
        return "denied network"
    return ""


def vet(address: str, port: int, allow: Allowed = PUBLIC) -> bool:
    """Whether this address, as it is passed to connect(), may be dialled on this port."""
    return not refusal(address, port, allow)


def is_reachable(host: str, addresses: Iterable[str], port: int, allow: Allowed) -> bool:
    """What vetting each address leaves open: that TOCSIN_DENY_TARGETS does not name the host, and that
    TOCSIN_EGRESS_ONLY, where it is set, names it or each of its addresses."""
    if _matches(host, allow.denied_hosts):
        return False
    if not (allow.only or allow.only_hosts) or _matches(host, allow.only_hosts):
        return True
    found = [ip_address(address) for address in addresses]
    return bool(found) and all(_naming(ip, port, allow.only) for ip in found)


def _matches(host: str, patterns: tuple[str, ...]) -> bool:
    return any(host.endswith(one[1:]) if one.startswith("*.") else host == one for one in patterns)


def _naming(ip: Address, port: int, rules: tuple[Allow, ...]) -> list[Allow]:
    """The rules that name this address. ::ffff:10.0.0.1 dials 10.0.0.1, so that is what they have to hold."""
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return [rule for rule in rules if (mapped or ip) in rule.network and rule.port in (None, port)]


def _carried_v4(ip: Address) -> tuple[IPv4Address, ...]:
    """Every IPv4 address that an IPv6 one may be a disguise of: in its low 32 bits (mapped, compatible, NAT64, SIIT),
    6to4, Teredo. The low bits are read whatever the prefix, as a network may have a NAT64 prefix of its own."""
    if isinstance(ip, IPv4Address):
        return ()
    carried = [IPv4Address(int(ip) & 0xFFFFFFFF)]
    if ip.sixtofour:
        carried.append(ip.sixtofour)
    if ip.teredo:
        carried.extend(ip.teredo)
    return tuple(carried)


def _ordinary_port(port: int) -> bool:
    return port in (80, 443) or (1023 < port < 65536 and port not in _DENIED_PORTS)


def check_url(url: str, allow: Allowed = PUBLIC) -> ParsedUrl:
    """The URL in its parts, or `Invalid` where it must not be sent to. Names are not looked up here."""
    if len(url) > MAX_URL:
        raise _bad(f"{len(url)} characters", f"at most {MAX_URL} characters")
    if _NOT_URL.search(url):
        raise _bad("a space, a backslash, a control or non-ASCII character", "an ASCII URL, percent-encoded, xn-- host")
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in ("https", "http"):
        raise _bad("another scheme or none", "https://")
    if "#" in rest:
        raise _bad("a fragment (#…)", "a URL without one; encode a literal # as %23")
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    authority, target = rest[:end], rest[end:]
    if "@" in authority:
        raise _bad("a user name or password", "a URL without one")
    host, port_text = _split_authority(authority)
    port = _port(port_text, 443 if scheme == "https" else 80)
    literal = _check_host(host, port, allow)
    if not _ordinary_port(port) and not any(rule.port == port for rule in allow.private):
        raise _bad(f"port {port}", "443, 80 or a port above 1023 that no internal service is known for")
    if scheme == "http" and not _plain_allowed(host, port, literal, allow):
        raise _bad("http", "https://, or an address that TOCSIN_ALLOW_TARGETS names")
    return ParsedUrl(
        scheme, str(literal) if literal else host, port, target if target.startswith("/") else "/" + target
    )


def _bad(found: str, expected: str) -> Invalid:
    return Invalid("webhook_url", found, expected)


def _split_authority(authority: str) -> tuple[str, str]:
    """(host, port); an IPv6 host keeps its brackets, so that nothing else is read as one."""
    if authority.startswith("["):
        literal, bracket, rest = authority.partition("]")
        if not bracket or (rest and (rest[0] != ":" or len(rest) == 1)):
            raise _bad("an unfinished IPv6 address or port", "[address] or [address]:port")
        return literal + bracket, rest[1:]
    host, colon, port = authority.partition(":")
    if colon and not port:
        raise _bad("an empty port", "a port after the colon")
    return host.lower(), port


def _port(text: str, default: int) -> int:
    if not text:
        return default
    if not text.isdigit() or len(text) > 5 or not 0 < int(text) < 65536 or text[0] == "0":
        raise _bad("a malformed port", "a port from 1 to 65535")
    return int(text)


def _check_host(host: str, port: int, allow: Allowed) -> Address | None:
    """The address where the host is one, None where it is a name that may be looked up."""
    if host.startswith("["):
        literal = _literal(host[1:-1], IPv6Address)
    elif _NUMBER.fullmatch(host.rpartition(".")[2]):
        # 127.1, 0x7f.0.0.1, 0177.1 and 2130706433 all mean 127.0.0.1 to getaddrinfo and something else to others.
        literal = _literal(host, IPv4Address)
    else:
        _check_name(host, port, allow)
        return None
    if not vet(str(literal), port, allow):
        raise _bad("an address that is not public", "a public address, or one that TOCSIN_ALLOW_TARGETS names")
    if not is_reachable("", (str(literal),), port, allow):
        raise _bad(*_NOT_NAMED)
    return literal


def _literal(text: str, kind: type[IPv4Address] | type[IPv6Address]) -> Address:
    try:
        if "%" in text:  # a zone, such as fe80::1%eth0
            raise ValueError
        return kind(text)
    except ValueError:
        raise _bad("an address that is not written plainly", "four decimal numbers, or IPv6 in brackets") from None


_NOT_NAMED = ("a host that TOCSIN_EGRESS_ONLY does not name", "one that it names")


def _check_name(name: str, port: int, allow: Allowed) -> None:
    if not name:
        raise _bad("no host", "a host name")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise _bad("a malformed host name", "letters, digits, hyphens and dots, without a dot at the end")
    if is_this_machine(name):
        if not localhost_addresses(port, allow):
            raise _bad("a name of this machine", "a public host name")
    elif name == "metadata.google.internal":
        raise _bad("a metadata service", "a public host name")
    elif name.endswith((".local", ".internal")) and not allow.private:
        # With an allow-list the name may be meant; its addresses are vetted when it is dialled.
        raise _bad("an internal name", "a public host name")
    if _matches(name, allow.denied_hosts):
        raise _bad("a host that TOCSIN_DENY_TARGETS names", "another")
    if allow.only_hosts and not allow.only and not _matches(name, allow.only_hosts):
        raise _bad(*_NOT_NAMED)  # with networks as well, its addresses say it when it is dialled


def _plain_allowed(host: str, port: int, literal: Address | None, allow: Allowed) -> bool:
    if literal is not None:
        return bool(
            _naming(literal, port, allow.private)
        )  # vetted already; here it must be allowed by name, not merely public
    return host == "localhost" and bool(localhost_addresses(port, allow))


def is_this_machine(host: str) -> bool:
    """RFC 6761: names that nobody is asked about."""
    return host == "localhost" or host.endswith(".localhost")


def localhost_addresses(port: int, allow: Allowed) -> tuple[str, ...]:
    """What `localhost` may stand for, without asking anybody: RFC 6761, and the allow-list."""
    return tuple(address for address in ("127.0.0.1", "::1") if vet(address, port, allow))


def check_header(name: str, value: str) -> None:
    """A header that somebody wants on their webhook; `Invalid` where it could change what the request is."""
    _check_name_and_value(name, value)
    if name.lower().startswith("webhook-"):
        raise Invalid(_field(name), "a header that Tocsin signs with", "another name")


def check_sent(headers: Iterable[tuple[str, str]]) -> None:
    """The same once more for a request about to be sent, which carries Tocsin's own `webhook-` headers: each once,
    so that a second one cannot stand beside the signature."""
    signed: set[str] = set()
    for name, value in headers:
        _check_name_and_value(name, value)
        if name[:8].lower() == "webhook-":
            if name.lower() in signed:
                raise Invalid(_field(name), "the header twice", "it once")
            signed.add(name.lower())


def _check_name_and_value(name: str, value: str) -> None:
    if not _name_allowed(name):
        raise Invalid(_field(name), "a name that is not a token, or that the transport owns", "another name")
    if len(value) > MAX_HEADER_VALUE:
        raise Invalid(_field(name), f"{len(value)} characters", f"at most {MAX_HEADER_VALUE}")
    if not _VALUE.fullmatch(value):
        raise Invalid(_field(name), "a character that is not visible ASCII, or a space at an end", "visible ASCII")


@lru_cache(maxsize=1024)
def _name_allowed(name: str) -> bool:
    lower = name.lower()
    return bool(_TOKEN.fullmatch(name)) and lower not in _DENIED_HEADERS and not lower.startswith("proxy-")


def _field(name: str) -> str:
    """`headers.<name>`, safe to show: a name may hold whatever was pasted, such as a whole header line."""
    return f"headers.{name}" if _TOKEN.fullmatch(name) and len(name) <= 64 else "headers"
