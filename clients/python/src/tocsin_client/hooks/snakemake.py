"""Snakemake 9: what a logger plugin needs. A package named `snakemake_logger_plugin_tocsin` that says
`from tocsin_client.hooks.snakemake import LogHandler, LogHandlerSettings` makes `--logger tocsin` work."""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.settings import LogHandlerSettingsBase

from tocsin_client import Run, Stage, shared


@dataclass
class LogHandlerSettings(LogHandlerSettingsBase):
    pass


class LogHandler(LogHandlerBase):
    """Snakemake says how far it is, and not that it has ended: done is when all jobs are, or when the process ends."""

    def __post_init__(self) -> None:
        self.run: Run | None = None
        self.names: dict[int, str] = {}
        self.stages: dict[int, Stage] = {}
        self.error = ""
        atexit.register(self.ended)

    def emit(self, record: Any) -> None:
        event = getattr(getattr(record, "event", None), "name", "")
        job: Any = getattr(record, "jobid", getattr(record, "job_id", None))
        if event == "WORKFLOW_STARTED":
            name = os.environ.get("TOCSIN_PIPELINE") or Path.cwd().name  # what Snakemake names is a file of its own
            self.run = shared().run(name, str(record.workflow_id)).start()
        elif event == "JOB_INFO":
            self.names[job] = str(record.rule_name)
        elif self.run is None:
            return
        elif event == "JOB_STARTED":
            for one in getattr(record, "jobs", None) or getattr(record, "job_ids", None) or [job]:
                self.stages[one] = self.run.stage(self.names.get(one, str(one)), map_index=one).start()
        elif event == "JOB_FINISHED" and job in self.stages:
            self.stages.pop(job).succeed()
        elif event == "JOB_ERROR":
            self.error = f"rule {self.names.get(job, job)} failed"
            if job in self.stages:
                self.stages.pop(job).fail(self.error)
        elif event == "ERROR":
            self.error = self.error or str(getattr(record, "exception", None) or record.getMessage())
        elif event == "PROGRESS":
            self.run.progress(
                record.done / record.total if record.total else None, done=record.done, total=record.total
            )
            if record.done == record.total:
                self.run.succeed()

    def ended(self) -> None:
        if self.run is not None and not self.run.over:
            self.run.fail(self.error or "it ended before all jobs were done")
        shared().close()

    @property
    def writes_to_stream(self) -> bool:
        return False

    @property
    def writes_to_file(self) -> bool:
        return False

    @property
    def has_filter(self) -> bool:
        return True

    @property
    def has_formatter(self) -> bool:
        return True

    @property
    def needs_rulegraph(self) -> bool:
        return False
