"""Kedro: `HOOKS = (TocsinHooks(),)` in settings.py. A pipeline's run is a run, its nodes are its stages. The
default pipeline is called as the project's package."""

from __future__ import annotations

from typing import Any

from kedro.framework import project
from kedro.framework.hooks import hook_impl

from tocsin_client import Run, Stage, Tocsin, shared


class TocsinHooks:
    def __init__(self, client: Tocsin | None = None) -> None:
        self.client = client
        self.run: Run | None = None
        self.stages: dict[str, Stage] = {}

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any]) -> None:
        name = run_params.get("pipeline_name") or run_params.get("pipeline_names") or ""
        name = ",".join(name) if isinstance(name, (list, tuple)) else str(name)
        if name in ("", "__default__"):  # every project has one of that name
            name = project.PACKAGE_NAME or "__default__"
        run_id = run_params.get("run_id") or run_params.get("session_id") or run_params.get("save_version")
        data = {"env": run_params.get("env")} if run_params.get("env") else {}
        self.run = (self.client or shared()).run(name, run_id, data=data).start()

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any]) -> None:
        if self.run is not None:
            self.run.succeed()

    @hook_impl
    def on_pipeline_error(self, error: Exception, run_params: dict[str, Any]) -> None:
        if self.run is not None:
            self.run.fail(error)

    @hook_impl
    def before_node_run(self, node: Any) -> None:
        if self.run is not None:
            self.stages[node.name] = self.run.stage(node.name).start()

    @hook_impl
    def after_node_run(self, node: Any) -> None:
        if node.name in self.stages:
            self.stages.pop(node.name).succeed()

    @hook_impl
    def on_node_error(self, error: Exception, node: Any) -> None:
        if node.name in self.stages:
            self.stages.pop(node.name).fail(error)
