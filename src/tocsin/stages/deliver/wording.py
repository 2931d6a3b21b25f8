"""A person's own words for a message, where the rule or the endpoint has any."""

from tocsin.compose.templated import apply
from tocsin.model.event import Event
from tocsin.model.message import Message
from tocsin.model.noise import Templates
from tocsin.model.run import Run


class Wording:
    """For one delivery. `failed` says why the templates could not be used, once they were tried; the message goes out
    in the usual words then."""

    def __init__(self, templates: Templates | None) -> None:
        self.templates = templates
        self.failed = ""

    def __call__(self, message: Message, event: Event, run: Run | None) -> Message:
        if self.templates is None:
            return message
        message, self.failed = apply(message, self.templates, event, run)
        return message
