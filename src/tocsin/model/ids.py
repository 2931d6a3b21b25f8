"""Ids: a prefix that says what it is, then a UUIDv7 in hex, so that ids sort by the time they were made."""

from collections.abc import Callable
from typing import Literal

Prefix = Literal[
    "evt", "run", "whk", "rul", "dlv", "tok", "ten", "sil", "sec", "req", "src", "usr", "ses", "exe", "tsk", "bus"
]
NewId = Callable[[Prefix], str]
"""Makes one id, such as `evt_0198c5f2…`; app.py owns the generator."""

DEFAULT_TENANT = "default"
OPERATOR_TENANT = "_operator"
"""Where the operator's own tokens are. No tenant of people can be called so, and nothing else is ever in it."""
