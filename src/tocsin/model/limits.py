"""What a tenant, and each of its tokens, may do at the most."""

from typing import Annotated, Any

from msgspec import Meta, Struct, structs

Limit = Annotated[int, Meta(ge=0, le=1_000_000_000)]
"""0 is no limit."""

BodyBytes = Annotated[int, Meta(ge=1024, le=64 * 1024 * 1024)]


class Limits(Struct, frozen=True, kw_only=True):
    """`requests_per_s` and `events_per_s`: of the whole tenant, in each process, and with `token_` of each token.
    `events_per_day`: of a day, UTC, over all processes. `stored_events`: events kept. The others count what there is
    at a time: `endpoints` (webhooks), `rules`, open `silences`, `tokens`, `members`, `secrets`, `streams` open in each
    process. `body_bytes`: of one request. 0 is no limit."""

    requests_per_s: Limit = 0
    events_per_s: Limit = 0
    token_requests_per_s: Limit = 0
    token_events_per_s: Limit = 0
    events_per_day: Limit = 0
    stored_events: Limit = 0
    endpoints: Limit = 0
    rules: Limit = 0
    silences: Limit = 0
    tokens: Limit = 0
    members: Limit = 0
    secrets: Limit = 0
    streams: Limit = 0
    body_bytes: BodyBytes = 4 * 1024 * 1024


NAMES = Limits.__struct_fields__

SAID = {
    "requests_per_s": "requests a second",
    "events_per_s": "events a second",
    "token_requests_per_s": "requests a second with one token",
    "token_events_per_s": "events a second with one token",
    "events_per_day": "events a day",
    "stored_events": "events kept",
    "endpoints": "webhooks",
    "streams": "open streams",
    "silences": "open silences",
    "body_bytes": "bytes in a request",
}
"""In words, where the name is none."""


SECOND_NS = 1_000_000_000
MOST_TOKENS = 10_000
"""That are known at a time; then they are all forgotten."""


class Reached(Struct, frozen=True):
    """A limit that is reached, for people and programs. `window_s`: what it counts over; null where it counts things
    that are there."""

    name: str
    value: int
    window_s: int | None = None

    def said(self) -> str:
        return f"The limit of this tenant is {self.value:,} {SAID.get(self.name, self.name)} ({self.name})"


RAISE = "Whoever runs this Tocsin can raise it (tocsin tenant limits)."


def with_own(standard: Limits, own: dict[str, Any]) -> Limits:
    """What counts for a tenant: its own limits, where it has any."""
    return structs.replace(standard, **own) if own else standard


class Bucket:
    """A rate, by the generic cell rate algorithm: at most `per_s` at once, one each `1 / per_s` seconds from then on.
    What is taken together may exceed it, as long as anything was left: it is paid for by waiting afterwards."""

    __slots__ = ("each_ns", "empty_ns", "full_ns", "name", "per_s")

    def __init__(self, name: str, per_s: int) -> None:
        self.name = name
        self.per_s = per_s
        self.each_ns = SECOND_NS // per_s
        self.full_ns = SECOND_NS - self.each_ns
        self.empty_ns = 0  # when nothing will be left to pay for

    def wait_ns(self, now_ns: int) -> int:
        """How long until there is room; 0 or less is now."""
        return self.empty_ns - now_ns - self.full_ns

    def take(self, now_ns: int, count: int) -> None:
        self.empty_ns = max(self.empty_ns, now_ns) + count * self.each_ns

    def used(self, now_ns: int) -> int:
        """Of the last second, about."""
        return max(0, -(-(self.empty_ns - now_ns) // self.each_ns))


class Rates:
    """One kind of rate: the whole tenant's, and that of each of its tokens. 0 is no limit."""

    def __init__(self, name: str, per_s: int, token_per_s: int) -> None:
        self.name = name
        self.token_per_s = token_per_s
        self.tenant = Bucket(name, per_s) if per_s else None
        self.tokens: dict[str, Bucket] = {}

    def full(self, token_id: str, now_ns: int) -> Bucket | None:
        """What has no room left, if anything."""
        if self.tenant is not None and self.tenant.wait_ns(now_ns) > 0:
            return self.tenant
        if self.token_per_s and (bucket := self.tokens.get(token_id)) is not None and bucket.wait_ns(now_ns) > 0:
            return bucket
        return None

    def take(self, token_id: str, now_ns: int, count: int) -> None:
        if self.tenant is not None:
            self.tenant.take(now_ns, count)
        if self.token_per_s:
            bucket = self.tokens.get(token_id)
            if bucket is None:
                if len(self.tokens) >= MOST_TOKENS:
                    self.tokens.clear()
                bucket = self.tokens[token_id] = Bucket(f"token_{self.name}", self.token_per_s)
            bucket.take(now_ns, count)

    def used(self, now_ns: int) -> int | None:
        """By the whole tenant, of the last second; None where that is not counted."""
        return None if self.tenant is None else self.tenant.used(now_ns)

    def follow(self, known: "Rates") -> None:
        """What was taken already counts on, where the limits are the same."""
        if self.tenant is not None and known.tenant is not None and self.tenant.per_s == known.tenant.per_s:
            self.tenant = known.tenant
        if self.token_per_s == known.token_per_s:
            self.tokens = known.tokens
