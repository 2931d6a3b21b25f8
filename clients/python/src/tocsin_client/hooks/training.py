"""What Lightning, Keras and Transformers have in common: a training run that is told of epoch by epoch."""

from __future__ import annotations

from typing import Any

from tocsin_client import Run, Tocsin, shared


class Training:
    """One training run. `every_epochs` is how often progress is told (0: never). As a context manager around `fit` or
    `train` it tells of an exception where the framework tells its callbacks nothing."""

    def __init__(
        self,
        pipeline: str,
        run_id: str | None = None,
        client: Tocsin | None = None,
        every_epochs: int = 1,
        **about: Any,
    ) -> None:
        self.told: Run = (client or shared()).run(pipeline, run_id, noun="training", **about)
        self.every_epochs = every_epochs

    def began(self) -> None:
        if self.told.over and not self.told.began:
            self.told.start()

    def epoch(self, number: int, total: int | None, metrics: Any) -> None:
        if self.every_epochs and (number + 1) % self.every_epochs == 0:
            data = {"epoch": number + 1, **numbers(metrics)}
            if total:
                data["progress"] = (number + 1) / total
            self.told.emit("training.progress", data=data)

    def ended(self, metrics: Any = None) -> None:
        self.told.succeed(**numbers(metrics))

    def __enter__(self) -> Any:
        self.began()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is not None:
            self.told.ended(error)


def numbers(metrics: Any) -> dict[str, float]:
    """Metrics as numbers: what is none is left out."""
    found = {}
    for name, value in dict(metrics or {}).items():
        try:
            found[str(name)] = float(value)
        except (TypeError, ValueError):
            continue
    return found
