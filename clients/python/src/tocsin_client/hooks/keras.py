"""Keras 3: `with TocsinCallback("lstm") as tocsin: model.fit(..., callbacks=[tocsin])`. Keras tells its callbacks
nothing of an exception: the `with` does."""

from __future__ import annotations

from typing import Any

import keras

from tocsin_client.hooks.training import Training


class TocsinCallback(Training, keras.callbacks.Callback):
    def __init__(self, pipeline: str, run_id: str | None = None, **about: Any) -> None:
        keras.callbacks.Callback.__init__(self)
        Training.__init__(self, pipeline, run_id, **about)

    def on_train_begin(self, logs: Any = None) -> None:
        self.began()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.epoch(epoch, (self.params or {}).get("epochs"), logs)

    def on_train_end(self, logs: Any = None) -> None:
        self.ended(logs)
