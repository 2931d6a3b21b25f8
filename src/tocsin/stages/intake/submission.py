"""What comes to intake, what its sender is told, and where deliveries go that this process sends itself."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import msgspec

from tocsin.model.delivery import Claimed
from tocsin.model.rule import Rule
from tocsin.sources.draft import Draft


class HandOver(Protocol):
    """Where a delivery goes that this process will send itself, without a claim."""

    def new_lease(self) -> str: ...

    def doubt(self, lease: str) -> None: ...

    def reserve(self, endpoint_id: str, tenant_id: str) -> bool: ...

    def cancel(self, endpoint_id: str, tenant_id: str) -> None: ...

    def give(self, claimed: Sequence[Claimed]) -> None: ...

    def wake(self) -> None: ...


class Nowhere:
    """No worker in this process: every delivery waits in the store for one."""

    def new_lease(self) -> str:
        return ""

    def doubt(self, lease: str) -> None: ...

    def reserve(self, endpoint_id: str, tenant_id: str) -> bool:
        return False

    def cancel(self, endpoint_id: str, tenant_id: str) -> None: ...

    def give(self, claimed: Sequence[Claimed]) -> None: ...

    def wake(self) -> None: ...


class Receipt(msgspec.Struct, frozen=True):
    """What the sender of an event is told: its id, and whether it was known already."""

    id: str
    duplicate: bool


class Submission(msgspec.Struct):
    """One request's events, waiting for their transaction; since when, by the loop's clock."""

    tenant_id: str
    drafts: Sequence[Draft]
    size: int
    done: "asyncio.Future[list[Receipt]]"
    since_s: float
    key: str = ""
    body_hash: bytes = b""
    only_endpoint: str = ""
    only_rule: Rule | None = None
    given: bytes | None = None
    trace: str = ""


def fail(submission: Submission, error: Exception) -> None:
    if not submission.done.done():
        submission.done.set_exception(error)
