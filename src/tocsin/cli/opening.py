"""Opening settings and store for a command, with errors that say what to do."""

import asyncio
import getpass
import os
import platform
from collections.abc import Awaitable, Callable
from typing import TypeVar

from tocsin.app import App, clock_ms, open_store
from tocsin.cli.logs import set_up_logging
from tocsin.cli.output import fail
from tocsin.model.audit import Actor
from tocsin.model.errors import Refusal
from tocsin.settings import Settings, SettingsError, read_settings
from tocsin.store.database import StoreBroken, StoreUnavailable, StoreUnfit
from tocsin.store.sealing import WrongKey

Answer = TypeVar("Answer")
EXPECTED = (SettingsError, StoreUnfit, StoreUnavailable, StoreBroken, WrongKey, Refusal)


def code_of(error: Exception) -> int:
    return 4 if isinstance(error, StoreUnavailable) else 2 if isinstance(error, (SettingsError, Refusal)) else 1


def settings_or_fail() -> Settings:
    try:
        settings = read_settings()
        set_up_logging(settings)
        return settings
    except SettingsError as error:
        fail(str(error), 2)


def command_line() -> Actor:
    """Who types, for the audit trail: the user of the machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a user id without a name
        user = str(os.getuid())
    return Actor("command line", user_agent=f"{user}@{platform.node()}")


def run_with_store(work: Callable[[App], Awaitable[Answer]]) -> Answer:
    """Opens the store without any stage running, does the work, closes it."""
    settings = settings_or_fail()

    async def opened() -> Answer:
        db, keyring = await open_store(settings, clock_ms())
        app = App(settings, db, keyring, works=False)
        try:
            return await work(app)
        finally:
            await app.close()

    return run(opened)


def run(work: Callable[[], Awaitable[Answer]]) -> Answer:
    """What is expected to go wrong ends the command with a sentence."""

    async def awaited() -> Answer:
        return await work()

    try:
        return asyncio.run(awaited())
    except EXPECTED as error:
        fail(str(error), code_of(error))
