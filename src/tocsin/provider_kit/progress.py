"""How far a run is, in characters that every font has: `▰▰▰▱▱ 3/5`, and a line for each stage."""

from tocsin.model.run import RunStep
from tocsin.provider_kit.text import duration, line

CELLS = 10
"""A run of more stages than this has a bar of so many cells all the same."""
MARKS = {"running": "⏳", "succeeded": "✅", "failed": "❌", "skipped": "⏭️"}
ENDED = frozenset({"succeeded", "failed", "skipped"})


def bar(steps: tuple[RunStep, ...]) -> str:
    """`▰▰▰▱▱ 3/5`: what has ended, of what is known. "" without stages."""
    if not steps:
        return ""
    done, cells = sum(step.status in ENDED for step in steps), min(CELLS, len(steps))
    full = done * cells // len(steps)
    return "▰" * full + "▱" * (cells - full) + f" {done}/{len(steps)}"


def current(steps: tuple[RunStep, ...]) -> str:
    """The stage that runs; of several, the last. "" where none does."""
    return next((line(step.name) for step in reversed(steps) if step.status == "running"), "")


def step_line(step: RunStep) -> str:
    """`✅ load 12 s`."""
    took = f" {duration(step.duration_ms)}" if step.duration_ms is not None else ""
    return f"{MARKS.get(step.status, '•')} {line(step.name)}{took}"
