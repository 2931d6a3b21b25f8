"""Logs: one line an entry on standard error, as JSON, or for people on a terminal."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from tocsin.cli.output import safe
from tocsin.settings import Settings
from tocsin.web.request_id import current


def with_request_id(logger: Any, method: str, entry: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Which request caused this line, where one did."""
    if id_ := current.get():
        entry["request_id"] = id_
    return entry


def without_steering(logger: object, method: str, entry: structlog.types.EventDict) -> structlog.types.EventDict:
    """Nothing that was sent to us moves the cursor, begins a line or turns the direction of reading."""
    entry = structlog.processors.format_exc_info(logger, method, entry)
    for name, value in entry.items():
        if isinstance(value, str):
            entry[name] = "\n  ".join(map(safe, value.split("\n"))) if name == "exception" else safe(value)
    return entry


def set_up_logging(settings: Settings) -> None:
    """Standard output is left to what a command answers. JSON escapes control characters of hostile text."""
    console = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    # The variables of a failing function may be tokens, addresses or what a customer sent: none of them is logged.
    without_locals = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)  # what it says, the store says in one line
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            with_request_id,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            without_steering if console else without_locals,
            structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
