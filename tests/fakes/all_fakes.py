"""The fake of every provider that has one, and how to ask it what a provider would ask."""

from importlib import import_module
from urllib.parse import urlsplit

from tests.compose.samples import AT_MS
from tocsin.fakes import Asked, Fake
from tocsin.model.wire import HttpReply, HttpRequest

WITHOUT = frozenset({"webhook", "email", "in_app", "apprise"})
"""Any receiver will do for a webhook; the others speak no HTTP of one provider's own."""


def new_fake(kind: str) -> Fake:
    """A fresh one: the only class in `tocsin.fakes.<kind>` that answers."""
    module = import_module(f"tocsin.fakes.{kind}")
    (found,) = (
        one
        for one in vars(module).values()
        if isinstance(one, type) and one.__module__ == module.__name__ and hasattr(one, "answer")
    )
    fake: Fake = found()
    return fake


def ask(fake: Fake, request: HttpRequest, at_ms: int = AT_MS) -> HttpReply:
    """What the fake answers, as `outbound` would hand it over."""
    parts = urlsplit(request.url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    headers = {name.lower(): value for name, value in request.headers}
    answer = fake.answer(Asked(request.method, parts.hostname or "", path, headers, request.body, at_ms))
    return HttpReply(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.body)
