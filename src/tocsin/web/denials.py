"""What was refused, written down: bounded, so that nobody fills the store by asking for what they may not have."""

import structlog
from starlette.requests import Request

from tocsin.app import App
from tocsin.model.audit import Act
from tocsin.model.errors import Forbidden
from tocsin.store.database import StoreUnavailable
from tocsin.web.auth import Principal
from tocsin.web.routes import Route, actor_of

BY_TOKEN, BY_TENANT = 20, 200
"""Entries in a minute. What is over is counted, and the token's next entry tells how many there were."""

MINUTE_MS = 60_000
MOST_KNOWN = 10_000
log = structlog.get_logger()


class Denials:
    """Counts by process, in memory: a limit for what is written, not for what may be asked."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.minute = 0
        self.written: dict[str, int] = {}
        self.unwritten: dict[str, int] = {}

    async def write(self, request: Request, route: Route, by: Principal, refusal: Forbidden) -> None:
        """Refused all the same where this cannot be written down."""
        if not self._has_room(by):
            self._count(self.unwritten, by.token_id)
            self.app.trail.counts["denied_unwritten"] += 1
            return
        more = self.unwritten.pop(by.token_id, 0)
        reason = refusal.detail + (f" ({more} more like it were not written down.)" if more else "")
        action = route.action or f"{route.method} {route.path}"
        kind = route.action.partition(".")[0]
        id_ = str(next(iter(request.path_params.values()), ""))
        act = Act(by.tenant_id, actor_of(request, by), action, kind, id_, outcome="denied", reason=reason)
        try:
            async with self.app.db.transaction() as tx:
                await self.app.trail.add(tx, act)
        except StoreUnavailable as error:
            log.warning("audit.denial_unwritten", action=action, tenant=by.tenant_id, reason=str(error))

    def _has_room(self, by: Principal) -> bool:
        minute = self.app.clock_ms() // MINUTE_MS
        if minute != self.minute:
            self.minute = minute
            self.written.clear()
        limits: tuple[tuple[str, int], ...] = (
            (f"token {by.token_id}", BY_TOKEN),
            (f"tenant {by.tenant_id}", BY_TENANT),
        )
        if any(self.written.get(key, 0) >= most for key, most in limits):
            return False
        for key, _ in limits:
            self._count(self.written, key)
        return True

    def _count(self, counts: dict[str, int], key: str) -> None:
        if len(counts) >= MOST_KNOWN:
            counts.clear()
        counts[key] = counts.get(key, 0) + 1
