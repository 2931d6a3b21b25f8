"""Events that programs on this machine left in the data directory for whoever works on it: see `tocsin.in_process`.

Each is a line as `POST /v1/events` takes it. `slack`, where there is one, is a sealed address: the event is for there
and for nobody else. A file goes when all of it is committed; what is read twice is known by its id.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import msgspec
import structlog
from msgspec.structs import replace

from tocsin.model.errors import Busy, Refusal
from tocsin.model.ids import DEFAULT_TENANT
from tocsin.model.rule import Rule
from tocsin.sources.draft import Draft
from tocsin.sources.native import decode_native
from tocsin.store.sealing import Keyring, Place, WrongKey
from tocsin_client.spool import Segment, Spool

BATCH = 100
LOOK_S = 0.5
PLACE = Place(DEFAULT_TENANT, "handed_over", "", "slack")
NOTIFIER = Rule(id="slack_notifier", tenant_id=DEFAULT_TENANT, name="SlackNotifier")
log = structlog.get_logger()


class Accept(Protocol):
    """Intake's door."""

    async def __call__(self, tenant_id: str, drafts: list[Draft], *, only_rule: Rule | None = None) -> Any: ...


def sealed(keyring: Keyring, address: str) -> str:
    return base64.b64encode(keyring.seal(address, PLACE)).decode()


class HandedOver:
    """`slack` gives the endpoint for an address, made where there is none. `now` has it look at once; `is_empty` says
    that the last look found nothing left."""

    def __init__(self, folder: Path, accept: Accept, keyring: Keyring, slack: Callable[[str], Awaitable[str]]) -> None:
        self.spool = Spool(folder)
        self.accept = accept
        self.keyring = keyring
        self.slack = slack
        self.now = asyncio.Event()
        self.is_empty = False
        self.endpoints: dict[str, str] = {}

    async def run(self) -> None:
        while True:
            self.is_empty = False
            self.is_empty = await self.take()
            try:
                async with asyncio.timeout(LOOK_S):
                    await self.now.wait()
            except TimeoutError:
                pass
            self.now.clear()

    async def take(self) -> bool:
        """Whether everything was taken in. What the store does not take now stays for the next look."""
        for segment in self.spool.segments():
            try:
                await self._take(segment)
            except Busy as busy:
                log.warning("handed_over.busy", reason=busy.detail)
                return False
            segment.remove()
        return True

    async def _take(self, segment: Segment) -> None:
        lines = [await self._read(line) for line in segment.lines()]
        for endpoint_id, group in groupby([one for one in lines if one is not None], key=lambda one: one[0]):
            drafts = [draft for _, draft in group]
            rule = replace(NOTIFIER, endpoint_ids=(endpoint_id,))
            for start in range(0, len(drafts), BATCH):
                batch = drafts[start : start + BATCH]
                await self.accept(DEFAULT_TENANT, batch, only_rule=rule if endpoint_id else None)

    async def _read(self, line: bytes) -> tuple[str, Draft] | None:
        """Whom it is for, "" for everybody, and the event; None for what nobody can read."""
        try:
            event = msgspec.json.decode(line)
            address = event.pop("slack", "")
            (draft,) = decode_native(msgspec.json.encode(event))
            return (await self._endpoint(address) if address else ""), draft
        except Busy:
            raise
        except (Refusal, WrongKey, ValueError, TypeError, AttributeError) as error:
            log.warning("handed_over.refused", reason=str(error)[:300])
            return None

    async def _endpoint(self, address: str) -> str:
        opened = self.keyring.open(base64.b64decode(address), PLACE)
        if opened not in self.endpoints:
            self.endpoints[opened] = await self.slack(opened)
        return self.endpoints[opened]
