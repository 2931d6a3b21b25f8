"""The fake of every provider that has one, and how to ask it what a provider would ask."""

from collections.abc import Callable
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tests.compose.samples import AT_MS
from tests.providers.examples import EXAMPLES
from tocsin.fakes import Asked, Fake
from tocsin.model.endpoint import Target
from tocsin.model.wire import HttpReply, HttpRequest, Outcome, Request, Sending
from tocsin.provider_kit.provider import Provider

WITHOUT = frozenset({"webhook", "email", "in_app", "apprise"})
"""Any receiver will do for a webhook; the others speak no HTTP of one provider's own."""

MODULES = {"slack_bot": "slack", "slack_workflow": "slack", "mattermost_bot": "mattermost", "email": "sendgrid"}
"""The fakes that are not named for the kind."""


def new_fake(kind: str) -> Fake:
    """A fresh one: the only class in `tocsin.fakes.<kind>` that answers."""
    module = import_module(f"tocsin.fakes.{MODULES.get(kind, kind)}")
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


class Desk:
    """A provider and a fresh fake that knows the example's address. A minute passes before each request, so that
    no rate is in the way."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.fake: Any = new_fake(provider.kind)
        example = EXAMPLES[provider.kind]
        self.target = KNOWN[provider.kind](self.fake, example) if provider.kind in KNOWN else example
        self.at_ms = AT_MS

    def here(self, sending: Sending) -> Sending:
        """The sending, to where this fake is."""
        return msgspec.structs.replace(
            sending, target=msgspec.structs.replace(sending.target, address=self.target.address)
        )

    def ask(self, request: Request) -> Outcome:
        assert isinstance(request, HttpRequest)
        self.at_ms += 60_000
        return self.provider.classify(ask(self.fake, request, self.at_ms))

    def complaints(self) -> list[str]:
        """What went wrong without the provider saying so: a workflow of Teams fails after it has answered."""
        flows = getattr(self.fake, "flows", {})
        return [one for flow in flows.values() for one in flow.failures]


def _known_to_teams(fake: Any, target: Target) -> Target:
    return msgspec.structs.replace(target, address=fake.address())


KNOWN: dict[str, Callable[[Any, Target], Target]] = {"teams": _known_to_teams}
"""How the example of a kind becomes one that its fake knows."""
