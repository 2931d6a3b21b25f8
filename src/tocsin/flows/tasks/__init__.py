"""What kinds of tasks do, by the names of `types.py`."""

from tocsin.flows.execution import Handler
from tocsin.flows.tasks import core, http, messages, scripts

HANDLERS: dict[str, Handler] = {**core.HANDLERS, **http.HANDLERS, **messages.HANDLERS, **scripts.HANDLERS}
"""The tasks that need nothing but the execution itself."""
