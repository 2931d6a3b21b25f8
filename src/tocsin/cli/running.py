"""One process of Tocsin from start to stop: lock, store, stages, server, signals."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
import uvloop
from starlette.routing import Route as StarletteRoute

from tocsin.app import App, lock_store, switched_off
from tocsin.cli.supervisor import notify, watch
from tocsin.settings import Settings, SettingsError, read_supervisor
from tocsin.store import accounts
from tocsin.store.database import StoreBroken, StoreUnavailable
from tocsin.web.origin import open_to_others
from tocsin.web.people import check_sign_in, setup_link
from tocsin.web.server import PROBES, Server, Tocsin, listen, server_of
from tocsin.worker import Worker

ANY_HOST = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on
log = structlog.get_logger()


def run_process(
    settings: Settings,
    *,
    api: bool,
    works: bool,
    extra: Callable[[App], tuple[StarletteRoute, ...]] = lambda app: (),
    meanwhile: Callable[[App], Awaitable[None]] | None = None,
    greeting: Callable[[str], str] | None = None,
) -> int:
    """Runs until a signal, or until `meanwhile` ends. Returns the exit code: 1 where the store broke. `greeting` makes
    what the console shows first from the link to the first account, "" where there is one."""
    check_sign_in(settings)
    lock = lock_store(settings)
    try:
        listening = listen_or_say(settings, "TOCSIN_PORT", settings.port) if api else None
        metrics_port = settings.metrics_port
        probed = listen_or_say(settings, "TOCSIN_METRICS_PORT", metrics_port) if metrics_port else None
        sys.setswitchinterval(0.001)
        gc.freeze()
        gc.set_threshold(25_000, 20, 50)  # events come and go young: looking through them often finds nothing
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(
                serve(
                    settings, listening, probed,
                    works=works, extra=extra, meanwhile=meanwhile, greeting=greeting or nobody_yet,
                )
            )  # fmt: skip
    finally:
        if lock is not None:
            lock.close()


def listen_or_say(settings: Settings, name: str, port: int) -> socket.socket:
    try:
        return listen(settings.host, port)
    except OSError as error:
        where = f"TOCSIN_HOST={settings.host} {name}={port}"
        raise SettingsError(f"{where}: {error.strerror}. `tocsin doctor` says more.") from error


async def serve(
    settings: Settings,
    listening: socket.socket | None,
    probed: socket.socket | None,
    *,
    works: bool,
    extra: Callable[[App], tuple[StarletteRoute, ...]],
    meanwhile: Callable[[App], Awaitable[None]] | None,
    greeting: Callable[[str], str],
) -> int:
    app = await App.open(settings, works=works)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    worker = Worker(app)
    worker.start()
    say_what_is_unusual(app, await app.db.weaknesses())
    probes = await started(Tocsin(app, routes=PROBES), probed) if probed is not None else None
    served = None
    if listening is not None:
        served = await started(Tocsin(app, extra(app)), listening)
        host, port = listening.getsockname()[:2]
        log.info("serving", url=f"http://{host}:{port}", store=app.db.dialect, works=works)
        print(greeting(await first_link(app, host, port)), end="", flush=True)
    else:
        log.info("working", store=app.db.dialect)
    supervisor = read_supervisor()
    notify(supervisor, "READY=1")
    watching = asyncio.create_task(watch(supervisor))
    warming = asyncio.create_task(warm(app)) if served is not None else None
    waits: set[asyncio.Task[Any]] = {asyncio.create_task(stop.wait()), asyncio.create_task(worker.failed.wait())}
    if meanwhile is not None:
        waits.add(asyncio.ensure_future(meanwhile(app)))
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    notify(supervisor, "STOPPING=1")
    for task in waits:
        task.cancel()
    if warming is not None:
        warming.cancel()
    app.deliver.stopping = True
    if served is not None and settings.stop_delay_s and not worker.failed.is_set():
        await asyncio.sleep(settings.stop_delay_s)  # /readyz says so meanwhile
    await stopped(served)
    await worker.stop()
    await stopped(probes)
    await app.close()
    watching.cancel()
    log.info("stopped")
    return 1 if worker.failed.is_set() else 0


async def warm(app: App) -> None:
    """Whoever looks first does not wait for a day to be counted."""
    try:
        await app.tallies.warm()
    except (StoreUnavailable, StoreBroken) as error:
        log.info("not.counted.yet", reason=str(error))


async def started(asgi: Tocsin, listening: socket.socket) -> tuple[Server, asyncio.Task[None]]:
    server = server_of(asgi)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    await server.serving.wait()
    return server, serving


async def stopped(served: tuple[Server, asyncio.Task[None]] | None) -> None:
    """Requests under way are answered first."""
    if served is not None:
        served[0].should_exit = True
        await served[1]


async def first_link(app: App, host: str, port: int) -> str:
    """Where there is nobody yet: for the console and not for the log, because whoever has it is the operator."""
    if await accounts.anybody(app.db):
        return ""
    base = app.settings.public_url or f"http://{'127.0.0.1' if host in ANY_HOST else host}:{port}"
    return await setup_link(app, base.rstrip("/"))


def nobody_yet(link: str) -> str:
    if not link:
        return ""
    return f"\nNobody has an account yet. This link makes the first one; it works once, for 24 hours:\n\n  {link}\n\n"


def say_what_is_unusual(app: App, weaknesses: tuple[str, ...]) -> None:
    for weakness in weaknesses:
        log.warning("reduced durability", reason=weakness)
    if app.settings.connect_to:
        log.warning(
            "TOCSIN_CONNECT_TO: messages go elsewhere than they are meant for", connect_to=app.settings.connect_to
        )
    for variable in app.settings.odd_secrets:
        log.warning("a SECRET_ variable is not the base64 of a text: not taken as a secret", variable=variable)
    if unsafe := open_to_others(app.settings):
        log.warning("open to others without TLS", reason=unsafe)
    for off in switched_off(app.settings):
        log.warning("a provider is switched off", provider=off)
