"""Optuna: `with watched(study, "lstm") as callback: study.optimize(objective, n_trials=50, callbacks=[callback])`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

from tocsin_client import Tocsin, shared

VERBS = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}


@contextmanager
def watched(
    study: Any, pipeline: str = "", client: Tocsin | None = None, **about: Any
) -> Iterator[Callable[[Any, Any], None]]:
    """hpo.campaign_started, hpo.trial_complete …, and hpo.campaign_complete with the best; or hpo.campaign_failed:
    Optuna tells nobody when an objective raises, and says nothing where every trial failed and that was caught."""
    counts = dict.fromkeys(VERBS, 0)
    run = (client or shared()).run(pipeline or study.study_name, noun="hpo.campaign", **about)

    def tell(study: Any, trial: Any) -> None:
        verb = VERBS.get(trial.state.name)
        if verb:
            counts[trial.state.name] += 1
            data = {"trial": trial.number, "params": trial.params, "value": values_of(trial), "map_index": trial.number}
            run.emit(f"hpo.trial_{verb}", stage="trial", data=data)

    with run:
        yield tell
        if counts["FAIL"] and not counts["COMPLETE"]:
            run.fail(f"{counts['FAIL']} trials failed, and none was completed")
        run.succeed(**best_of(study))


def values_of(trial: Any) -> Any:
    return trial.values[0] if trial.values and len(trial.values) == 1 else trial.values


def best_of(study: Any) -> dict[str, Any]:
    try:
        best = study.best_trials
    except Exception:
        return {"trials": len(study.trials)}
    found: dict[str, Any] = {"trials": len(study.trials)}
    if best:
        found.update(best_trial=best[0].number, best_value=values_of(best[0]), best_params=best[0].params)
    return found
