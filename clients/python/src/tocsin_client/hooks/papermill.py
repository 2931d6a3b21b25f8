"""papermill: `execute_notebook` as `papermill` has it, as a run; a cell that fails is its error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import papermill

from tocsin_client import Tocsin, shared


def execute_notebook(
    input_path: Any,
    output_path: Any,
    *args: Any,
    pipeline: str = "",
    run_id: str | None = None,
    client: Tocsin | None = None,
    **kwargs: Any,
) -> Any:
    """What papermill's own returns, or raises."""
    run = (client or shared()).run(pipeline or Path(str(input_path)).stem, run_id, data={"notebook": str(input_path)})
    with run:
        try:
            return papermill.execute_notebook(input_path, output_path, *args, **kwargs)
        except papermill.PapermillExecutionError as error:
            run.fail(f"{error.ename}: {error.evalue}", cell=error.cell_index, output=str(output_path))
            raise
