"""Transformers: `with TocsinCallback("bert") as tocsin: Trainer(..., callbacks=[tocsin]).train()`. It tells its
callbacks nothing of an exception: the `with` does."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from tocsin_client.hooks.training import Training


class TocsinCallback(Training, TrainerCallback):
    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            self.began()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            last = state.log_history[-1] if state.log_history else {}
            self.epoch(round(state.epoch or 1) - 1, round(args.num_train_epochs), last)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            self.ended({**(state.log_history[-1] if state.log_history else {}), "steps": state.global_step})
