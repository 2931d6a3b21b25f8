"""When a host fails, rather than one endpoint of it: its deliveries wait, one probe at a time asks whether it is back,
and its return is met with a ramp, not a wave.

A host is down when several of its endpoints failed and none succeeded since. Kept in memory, a process its own: what it
protects are the connections of that process, and a restart learns it again within a few attempts.
"""

from msgspec import Struct, field

ENDPOINTS_DOWN = 3
"""Fewer failing endpoints are taken to be the endpoints' own trouble."""

PROBE_S = 5.0
STEADY = 64
"""Concurrent sends at which a host that came back is as any other."""


class Host(Struct):
    """`ramp` is how many may be under way while it comes back; None where all is well."""

    failing: set[str] = field(default_factory=set)
    next_probe_ms: int = 0
    under_way: int = 0
    ramp: int | None = None

    @property
    def is_down(self) -> bool:
        return len(self.failing) >= ENDPOINTS_DOWN


class Hosts:
    """By "host:port"."""

    def __init__(self) -> None:
        self.known: dict[str, Host] = {}

    def is_down(self, name: str) -> bool:
        host = self.known.get(name)
        return host is not None and host.is_down

    def wait_s(self, name: str, now_ms: int) -> float:
        """0 when a message may go now (`ended` follows), else how long to hold it."""
        host = self.known.get(name)
        if host is None:
            return 0.0
        if host.is_down:
            if now_ms < host.next_probe_ms:
                return max(0.001, (host.next_probe_ms - now_ms) / 1000)
            host.next_probe_ms = now_ms + int(PROBE_S * 1000)
        elif host.ramp is not None and host.under_way >= host.ramp:
            return 1.0
        host.under_way += 1
        return 0.0

    def ended(self, name: str, endpoint_id: str, *, ok: bool, now_ms: int) -> None:
        """`ok` where the host answered as a host that is up does, whatever it said."""
        host = self.known.get(name)
        if host is None:
            if ok:
                return
            host = self.known[name] = Host()
            host.under_way = 1
        host.under_way = max(0, host.under_way - 1)
        if ok:
            self._answered(name, host)
            return
        was_down = host.is_down
        host.failing.add(endpoint_id)
        if host.is_down and not was_down:
            host.next_probe_ms = now_ms + int(PROBE_S * 1000)

    def _answered(self, name: str, host: Host) -> None:
        if host.is_down:
            host.ramp = 1
        host.failing.clear()
        if host.ramp is not None:
            host.ramp *= 2
        if host.ramp is None or host.ramp >= STEADY:
            del self.known[name]
