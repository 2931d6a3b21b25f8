"""What executions are lent of the world: on a server, and in a command."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from tocsin.flows.model import Flow, tasks_of
from tocsin.flows.reading import texts
from tocsin.model.errors import Busy, Refusal
from tocsin.model.wire import Reply, Request
from tocsin.sources.draft import Draft
from tocsin.sources.native import decode_native
from tocsin.store.database import StoreUnavailable

SECRET = re.compile(r"""secret\(\s*(?:key\s*=\s*)?(?:'([^']{1,64})'|"([^"]{1,64})")""")
AT_ONCE_S = 1.0
"""A sleep looks at the clock this often: clocks are set, and machines sleep, too."""
AGAIN_S = 1.0
log = structlog.get_logger()

Tell = Callable[[dict[str, Any]], Awaitable[None]]


class Lent:
    """A Reach whose parts are given. `envs` are the variables that flows see, in small letters, without the prefix."""

    def __init__(
        self,
        *,
        now_ms: Callable[[], int],
        new_id: Callable[[], str],
        envs: Mapping[str, str],
        secret: Callable[[str], Awaitable[str | None]],
        tell: Tell,
        send: Callable[[Request, float], Awaitable[Reply]],
    ) -> None:
        self.now_ms = now_ms
        self.new_id = new_id
        self.envs = envs
        self.find_secret = secret
        self.teller = tell
        self.sender = send

    def env(self, name: str) -> str | None:
        return self.envs.get(name)

    async def secret(self, name: str) -> str | None:
        return await self.find_secret(name)

    async def tell(self, event: dict[str, Any]) -> None:
        await self.teller(event)

    async def send(self, request: Request, timeout_s: float) -> Reply:
        return await self.sender(request, timeout_s)

    async def sleep(self, seconds: float) -> None:
        until_ms = self.now_ms() + seconds * 1000
        while (left_s := (until_ms - self.now_ms()) / 1000) > 0:  # noqa: ASYNC110 - the clock is not the loop's
            await asyncio.sleep(min(left_s, AT_ONCE_S))


def teller(tenant_id: str, accept: Callable[[str, list[Draft]], Awaitable[Any]]) -> Tell:
    """Through intake, like anybody's events. Where it takes nothing just now, the execution waits."""

    async def tell(event: dict[str, Any]) -> None:
        try:
            drafts = decode_native(json.dumps(event, default=str).encode())
        except Refusal as refusal:
            log.error("flows.untold", type=event["type"], run_id=event["run_id"], reason=refusal.detail)
            return
        while True:
            try:
                await accept(tenant_id, drafts)
            except (Busy, StoreUnavailable) as error:
                log.warning("flows.tell_again", run_id=event["run_id"], reason=str(error))
                await asyncio.sleep(AGAIN_S)
            else:
                return

    return tell


def secret_names(flow: Flow) -> set[str]:
    """What `secret('…')` in it opens, where the name stands there; from a variable only the environment's are known."""
    given: list[Any] = [flow.variables, flow.labels, [one.default for one in flow.inputs]]
    for task in tasks_of(flow):
        given += [task.given, task.run_if, task.timeout]
    return {single or double for _, text in texts((), given) for single, double in SECRET.findall(text)}


async def opened(flow: Flow, reach: Lent, given: Mapping[str, str]) -> dict[str, str]:
    """The secrets that an execution may name, by name in capitals. `given` are those of the environment."""
    found = {name.upper(): value for name, value in given.items()}
    for name in secret_names(flow):
        for one in (name, name.upper()):
            if name.upper() not in found and (value := await reach.secret(one)) is not None:
                found[name.upper()] = value
    return found
