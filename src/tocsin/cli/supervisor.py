"""What systemd is told: ready, stopping, and that the event loop still turns (Type=notify, WatchdogSec=)."""

import asyncio
import socket

import structlog

from tocsin.settings import Supervisor

log = structlog.get_logger()


def notify(supervisor: Supervisor, state: str) -> None:
    """One datagram, as sd_notify(3) describes it; nothing where nobody asked. Never raises: it is only news."""
    name = supervisor.notify_socket
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name  # "@" is Linux' abstract namespace
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as out:
            out.sendto(state.encode(), address)
    except OSError as error:
        log.warning("supervisor.not_told", state=state, reason=error.strerror)


async def watch(supervisor: Supervisor) -> None:
    """Twice in the time after which the supervisor would restart us; from the loop, so that a hung loop is silent."""
    while supervisor.watchdog_s > 0:
        notify(supervisor, "WATCHDOG=1")
        await asyncio.sleep(supervisor.watchdog_s / 2)
