"""JSON that is written as text with expressions in it, and error messages with quotation marks that would break it."""

import json
from collections.abc import Sequence
from typing import Any

from tocsin.flows.execution import Execution, TaskFailed, TaskRun
from tocsin.flows.expression import ExpressionError, render


def json_of(template: Any, run: TaskRun, execution: Execution, field: str) -> Any:
    """The value that a template stands for. Where what expressions print breaks the JSON, it is rendered once more
    with that escaped, and the log says so. Raises TaskFailed."""
    rendered = execution.rendered(template, run)
    if not isinstance(rendered, str):
        return rendered
    try:
        return json.loads(rendered, strict=False)
    except (ValueError, RecursionError) as error:
        reason = str(error)
    try:
        found = json.loads(render(str(template), execution.scope(run), Escaper()), strict=False)
    except (ExpressionError, ValueError, RecursionError):
        raise TaskFailed(
            f"{field}: expected JSON: {reason}", f"{field}: expected JSON: {reason}\n{rendered[:1000]}"
        ) from None
    execution.log(f"{field}: what its expressions print was escaped, for it broke the JSON: {reason}", run, "WARN")
    return found


class Escaper:
    """Escapes what is printed inside of a JSON string, and leaves alone what is printed elsewhere."""

    def __init__(self) -> None:
        self.read = 0
        self.inside = False
        self.after_backslash = False

    def __call__(self, written: Sequence[str], printed: str) -> str:
        for part in written[self.read :]:
            for one in part:
                if self.after_backslash:
                    self.after_backslash = False
                elif one == "\\":
                    self.after_backslash = self.inside
                elif one == '"':
                    self.inside = not self.inside
        self.read = len(written)
        return json.dumps(printed, ensure_ascii=False)[1:-1] if self.inside else printed
