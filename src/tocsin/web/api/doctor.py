"""What `tocsin doctor` checks, asked of the server that runs: `/v1/doctor`, for whoever runs Tocsin."""

import asyncio

from msgspec import Struct
from starlette.responses import Response

from tocsin import __version__
from tocsin.app import App, clock_ms
from tocsin.store.migrate import pending
from tocsin.web import checks
from tocsin.web.checks import Finding
from tocsin.web.routes import Call, Route, reply, rfc3339


class DoctorOut(Struct, frozen=True):
    """Of this process. `status` is the worst of the `findings`; the first problem is the one to mend first. `found`
    says what is, `mend` what to do about it."""

    status: checks.Level
    version: str
    checked_at: str | None
    findings: tuple[Finding, ...]


async def examine(app: App) -> list[Finding]:
    settings, db = app.settings, app.db
    findings = [checks.python(), *await asyncio.to_thread(checks.machine, settings, clock_ms())]
    findings += [await checks.reached(db), *await checks.durability(db)]
    waiting = await pending(db)
    if waiting:
        said = ", ".join(f"{one.number:04d}_{one.name}" for one in waiting)
        findings.append(Finding("warning", "migrations", f"to run: {said}.", "Run `tocsin migrate`."))
    findings += [Finding("ok", "migrations", "up to date")] * (not waiting)
    findings += [keys(app), await checks.sealed(settings, db), await checks.times(db, clock_ms), *buses(app)]
    if app.intake.is_failing():
        findings.append(Finding("problem", "intake", "The store does not take events.", "Look at the log."))
    return [checks.masked(finding, settings) for finding in findings]


def keys(app: App) -> Finding:
    """Which key seals, by its id, 8 hex digits."""
    others = len(app.keyring.known) - 1
    if not others:
        return Finding("ok", "keys", f"{app.keyring.active} seals, and is the only one")
    said = f"{app.keyring.active} seals; {others} more can be opened."
    mend = "`tocsin keys status` says what waits, `tocsin keys rotate` seals it anew; then take the old ones out."
    return Finding("warning", "keys", said, mend)


def buses(app: App) -> list[Finding]:
    return [
        Finding("problem", "bus", f"{bus.name} is not read: {bus.away}", "Mend the connection; nothing is lost.")
        if bus.away
        else Finding("ok", "bus", f"{bus.name} is read")
        for bus in app.buses
    ]


async def get(call: Call) -> Response:
    findings = await examine(call.app)
    levels = [finding.level for finding in findings]
    status: checks.Level = "problem" if "problem" in levels else "warning" if "warning" in levels else "ok"
    return reply(DoctorOut(status, __version__, rfc3339(call.app.clock_ms()), tuple(findings)))


ROUTES = (
    Route(
        method="GET",
        path="/v1/doctor",
        handler=get,
        summary="What is well with this server, what is not, and how to mend it",
        role="operator",
        answer=DoctorOut,
    ),
)
