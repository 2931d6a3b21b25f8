"""Where a request comes from, as far as it can be trusted."""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from tocsin.settings import SettingsError

Networks = tuple[IPv4Network | IPv6Network, ...]


def parse_proxies(text: str) -> Networks:
    """TOCSIN_TRUSTED_PROXIES. Raises SettingsError."""
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SettingsError(f"TOCSIN_TRUSTED_PROXIES={text!r}: expected addresses or networks; {error}.") from error


def client_address(scope: Mapping[str, Any], proxies: Networks) -> str:
    """The peer's address; behind trusted proxies, the last one in X-Forwarded-For that no such proxy has.

    What stands further left in the header was written by whoever sent the request, and counts for nothing.
    """
    peer = (scope.get("client") or ("", 0))[0]
    if not proxies or not is_in(peer, proxies):
        return peer
    said = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for").decode("latin-1")
    found = peer
    for hop in reversed([part.strip() for part in said.split(",")]):
        address = plain(hop)
        if not address:
            break
        found = address
        if not is_in(found, proxies):
            break
    return found


def is_in(address: str, networks: Networks) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return any((mapped or found) in network for network in networks)


def plain(hop: str) -> str:
    """An address as proxies write it, `[2001:db8::1]:4711` and `192.0.2.1:4711` among them; "" for anything else."""
    if hop.startswith("["):
        hop = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        hop = hop.partition(":")[0]
    try:
        return str(ip_address(hop))
    except ValueError:
        return ""


def neighbourhood(address: str) -> str:
    """What one party has at least: an IPv4 address, or the /64 of an IPv6 address (RFC 6177)."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    mapped = getattr(found, "ipv4_mapped", None)
    if found.version == 4 or mapped:
        return str(mapped or found)
    return str(ip_network((int(found) >> 64 << 64, 64)))
