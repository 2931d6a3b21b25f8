"""A delivery: one message for one endpoint, and its attempts.

pending ──▶ sending ──▶ delivered
   ▲           │ ──▶ dead        attempts used up, refused, endpoint gone; can be replayed
   │           ▼
   └─────── retrying ──▶ expired (too old) · cancelled (a person)
suppressed: decided at planning, with a reason; never sent
"""

from typing import Any, Literal, get_args

from msgspec import Struct

from tocsin.model.event import Event
from tocsin.model.noise import Templates
from tocsin.model.rule import RetryPolicy
from tocsin.model.run import Run

Status = Literal["pending", "sending", "retrying", "delivered", "dead", "expired", "cancelled", "suppressed"]
STATUSES: tuple[str, ...] = get_args(Status)
UNEDITED = "waits to bring the run's message up to date"
"""Why a delivery waits that was told already: only its run's message does not show it yet."""
WAITING: frozenset[str] = frozenset({"pending", "sending", "retrying"})


class Words(Struct, frozen=True, omit_defaults=True):
    """What planning says to a message. `title`: the news, where the rule found it. `note`: the small print. `fold`:
    what the messages have in common that this one tells of. `templates`: the rule's own words; `failed`: why they could
    not be used. `settings`: what the rule sets of the endpoint's settings, for this message alone. `kind`:
    what the message is of, where the rule's finding is other than the event ("alert" for a metric that a good run
    brought down); `alarm`: the name of the trouble that the rule found. `quiet`: it is
    told where a run's message is kept up to date, and wakes nobody. `trace`: the
    `traceparent` of the request that brought the event."""

    title: str = ""
    note: str = ""
    fold: str = ""
    templates: Templates | None = None
    failed: str = ""
    settings: dict[str, Any] = {}
    kind: str = ""
    alarm: str = ""
    quiet: bool = False
    trace: str = ""


class Delivery(Struct, frozen=True, kw_only=True, gc=False):
    """`id` is also the `webhook-id` that every attempt carries. `failures` counts the attempts that used up budget:
    all but 429s. `body` is set where the provider fixes it when planned. Times are Unix milliseconds."""

    id: str
    tenant_id: str
    event_uid: str
    endpoint_id: str
    rule_id: str
    provider_type: str
    event_type: str
    status: str = "pending"
    reason: str = ""
    attempts: int = 0
    failures: int = 0
    max_attempts: int | None = None
    due_ms: int = 0
    expires_ms: int = 0
    created_ms: int = 0
    body: bytes | None = None
    words: Words = Words()
    folded_into: str = ""


class Attempt(Struct, frozen=True, kw_only=True, gc=False):
    """One try. `outcome` is sent, failed or rate_limited; `request_body` is None where it equals the delivery's."""

    tenant_id: str
    delivery_id: str
    number: int
    endpoint_id: str
    started_ms: int
    duration_ms: int
    outcome: str
    http_status: int | None = None
    error: str = ""
    response_body: str = ""
    request_body: bytes | None = None


class Alike(Struct, frozen=True):
    """Events that can share a line of a message. `found` is what the rule's finding is of, "" where that is the event
    itself. `type` is "" where the kind says enough, `source` where there is a pipeline. `newest` is the delivery of the
    one that came last; times are those of the events, Unix milliseconds."""

    pipeline: str
    kind: str
    found: str
    type: str
    source: str
    severity: str
    count: int
    first_ms: int
    last_ms: int
    newest: str = ""


class Company(Struct, frozen=True):
    """What joined a message: `count` events in all, and the ids of the first of them. `events`: by delivery, those
    that the message shows, with what planning said to each."""

    count: int
    alike: tuple[Alike, ...]
    ids: tuple[str, ...] = ()
    events: dict[str, tuple[Event, Words]] = {}


class Claimed(Struct, frozen=True, kw_only=True, gc=False):
    """A delivery that this process holds a lease on, with what it takes to send it.

    `version` is that of the endpoint's record when it was claimed. `event` and `run` are None where the body is fixed.
    `run` is the attempt that the event is about, `newest` the newest attempt of the same run.
    `company` is what its message tells of besides, if others joined it.
    """

    delivery: Delivery
    lease: str
    lease_until_ms: int
    version: int
    policy: RetryPolicy = RetryPolicy()
    plain: bool = False
    event: Event | None = None
    run: Run | None = None
    newest: Run | None = None
    company: Company | None = None
