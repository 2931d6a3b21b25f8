"""Keras, Transformers and Lightning are too large to install here: their callbacks are called as they are documented to
call them, with stand-ins for the classes that they inherit from."""

import importlib
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from tests.client.conftest import FakeServer, NewClient

Load = Callable[[str, str, str], Any]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """The hook's module, where the framework is a class of this name in a module of that name."""

    def loaded(hook: str, module: str, name: str) -> Any:
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            stand_in = types.ModuleType(".".join(parts[:end]))
            monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
            if end > 1:
                setattr(sys.modules[".".join(parts[: end - 1])], parts[end - 1], stand_in)
        setattr(sys.modules[module], name, type(name, (), {"params": None}))
        monkeypatch.delitem(sys.modules, f"tocsin_client.hooks.{hook}", raising=False)
        return importlib.import_module(f"tocsin_client.hooks.{hook}")

    return loaded


def told(server: FakeServer, client: Any) -> list[tuple[str, dict[str, Any]]]:
    assert client.flush(10)
    return [(event["type"], event.get("data", {})) for event in server.events]


def test_keras(server: FakeServer, client: NewClient, load: Load) -> None:
    mine = client(server.url)
    with load("keras", "keras.callbacks", "Callback").TocsinCallback("lstm", client=mine) as callback:
        callback.params = {"epochs": 2}
        callback.on_train_begin()
        callback.on_epoch_end(0, {"loss": 0.5})
        callback.on_epoch_end(1, {"loss": float("nan")})
        callback.on_train_end({"loss": 0.25})
    found = told(server, mine)
    assert [type_ for type_, _ in found] == ["training.started"] + ["training.progress"] * 2 + ["training.complete"]
    assert found[1][1] == {"epoch": 1, "loss": 0.5, "progress": 0.5}
    assert found[2][1] == {"epoch": 2, "loss": "nan", "progress": 1.0}
    assert found[3][1]["loss"] == 0.25


def test_keras_that_fails(server: FakeServer, client: NewClient, load: Load) -> None:
    mine = client(server.url)
    hook = load("keras", "keras.callbacks", "Callback")
    with pytest.raises(MemoryError), hook.TocsinCallback("lstm", client=mine) as callback:
        callback.on_train_begin()
        raise MemoryError("GPU")
    (_, (type_, data)) = told(server, mine)
    assert (type_, data["error"]) == ("training.failed", "MemoryError: GPU")


@pytest.mark.parametrize("is_zero", [True, False])
def test_transformers_where_several_processes_train(
    server: FakeServer, client: NewClient, load: Load, is_zero: bool
) -> None:
    mine = client(server.url)
    callback = load("huggingface", "transformers", "TrainerCallback").TocsinCallback("bert", client=mine)
    args = types.SimpleNamespace(num_train_epochs=1)
    state = types.SimpleNamespace(is_world_process_zero=is_zero, epoch=1.0, log_history=[{"loss": 0.5}], global_step=9)
    callback.on_train_begin(args, state, None)
    callback.on_epoch_end(args, state, None)
    callback.on_train_end(args, state, None)
    found = told(server, mine)
    assert [type_ for type_, _ in found] == ["training.started", "training.progress", "training.complete"] * is_zero
    assert not is_zero or found[2][1]["steps"] == 9


@pytest.mark.parametrize("fails", [True, False])
def test_lightning_tells_of_exceptions_by_itself(
    server: FakeServer, client: NewClient, load: Load, fails: bool
) -> None:
    mine = client(server.url)
    callback = load("lightning", "lightning.pytorch.callbacks", "Callback").TocsinCallback("lstm", client=mine)
    trainer = types.SimpleNamespace(is_global_zero=True, current_epoch=0, max_epochs=4, callback_metrics={"loss": 0.5})
    callback.on_fit_start(trainer, None)
    callback.on_train_epoch_end(trainer, None)
    if fails:
        callback.on_exception(trainer, None, ValueError("shape"))
    callback.on_fit_end(trainer, None)
    found = told(server, mine)
    assert found[1][1] == {"epoch": 1, "loss": 0.5, "progress": 0.25}
    assert found[2][0] == ("training.failed" if fails else "training.complete")
    assert len(found) == 3
