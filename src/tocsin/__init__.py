"""Tocsin: a self-hosted alarm bell for pipelines, workflows and machine-learning runs."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tocsin.in_process import NotificationService, SlackNotifier

__all__ = ["NotificationService", "SlackNotifier"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """What is for programs is loaded when they ask for it: commands start without it."""
    if name not in __all__:
        raise AttributeError(f"module 'tocsin' has no attribute {name!r}")
    from tocsin import in_process

    return getattr(in_process, name)
