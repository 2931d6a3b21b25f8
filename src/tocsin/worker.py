"""Runs the stages until told to stop; owns waiting and shutdown."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from tocsin.app import App
from tocsin.store.database import StoreBroken, StoreUnavailable

SWEEP_S = 1.0
RESTART_S = 1.0
FOLLOW_S = 5.0
log = structlog.get_logger()


class Worker:
    """The background tasks of one process. `failed` is set where the store broke and the process has to end."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.tasks: list[asyncio.Task[None]] = []
        self.failed = asyncio.Event()
        self.sweep_now = asyncio.Event()

    def start(self) -> None:
        app = self.app
        jobs: list[Callable[[], Awaitable[None]]] = [
            app.intake.run,
            app.intake.answer_in_time,
            app.db.watch,
            self.keep_time,
            *(bus.run for bus in app.buses),
            app.handed_over.run,
        ]
        if app.works:
            app.deliver.recorder.on_notice = self.sweep_now.set
            jobs += [app.deliver.run_claims, app.deliver.recorder.run, self.run_sweeps, app.flows.run]
        if app.library.folder:
            jobs.append(app.library.watch)
            if app.works:
                jobs.append(app.watcher.run)
        self.tasks = [asyncio.create_task(self.keep(job)) for job in jobs]

    async def keep(self, job: Callable[[], Awaitable[None]]) -> None:
        """An error in one round is logged, and the job goes on; a broken disk ends the process."""
        while True:
            try:
                await job()
            except StoreBroken as error:
                if not self.failed.is_set():
                    log.critical("worker.store_broken", reason=str(error))
                self.failed.set()  # the job goes on until the process ends, so that who still waits is told
            except StoreUnavailable as error:
                log.warning("worker.store_unavailable", reason=str(error))
            except Exception:
                log.exception("worker.job_failed", job=getattr(job, "__qualname__", "job"))
            await asyncio.sleep(RESTART_S)

    async def keep_time(self) -> None:
        while True:
            await self.app.steady.follow(self.app.db)
            await asyncio.sleep(FOLLOW_S)

    async def run_sweeps(self) -> None:
        while True:
            if (
                not self.app.deliver.recorder.cannot_record
            ):  # or leases would look lost whose results wait to be written
                await self.app.sweep.sweep()
            try:
                async with asyncio.timeout(SWEEP_S):
                    await self.sweep_now.wait()
            except TimeoutError:
                pass
            self.sweep_now.clear()

    async def stop(self) -> None:
        """What is on its way ends, what waits in memory goes back to the store, and nothing new is begun."""
        await asyncio.gather(*(bus.stop(self.app.settings.drain_s) for bus in self.app.buses))
        if self.app.works:
            await self.app.flows.drain(self.app.settings.drain_s / 2)
            await self.app.deliver.drain(self.app.settings.drain_s)
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
