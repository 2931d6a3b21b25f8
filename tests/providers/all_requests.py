"""Every request that a provider can make of one message, and what of it people would look at."""

import json
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

import msgspec

from tests.fakes.all_fakes import WITHOUT, Desk
from tests.providers.examples import BASE, sending
from tocsin.model.message import Message
from tocsin.model.thread import Thread
from tocsin.model.wire import (
    AppriseRequest,
    Delivered,
    InboxRequest,
    Request,
    SmtpRequest,
)
from tocsin.provider_kit.provider import Provider

_RECEIPTS: dict[str, dict[str, str]] = {}
"""What each provider's fake handed back for the first message of a run."""


def posted(provider: Provider) -> Thread:
    """The thread after a first message of the run, with the receipt that the fake gave for it."""
    if provider.live is None or provider.kind in WITHOUT:
        return Thread()
    if provider.kind not in _RECEIPTS:
        outcome = Desk(provider).ask(provider.render(sending(provider, BASE)))
        assert isinstance(outcome, Delivered), outcome
        _RECEIPTS[provider.kind] = dict(outcome.receipt)
    return Thread(refs=_RECEIPTS[provider.kind])


def every_request(provider: Provider, message: Message) -> dict[str, Request]:
    """By what it is for: rich and plain; edits and replies where there are threads; resolve where there are alarms."""
    found = {
        "rich": provider.render(sending(provider, message)),
        "plain": provider.render(sending(provider, message, plain=True)),
    }
    if provider.resolve:
        found["resolve"] = provider.resolve(sending(provider, message))
    live = provider.live
    if live and live.is_on(sending(provider, message).target.settings):
        thread = posted(provider)
        for plain in (False, True):
            given = sending(provider, message, plain=plain, thread=thread)
            quiet = sending(provider, message, plain=plain, thread=thread, quiet=True)
            found[f"edit plain={plain}"] = live.edit(given)
            found[f"reply plain={plain}"] = live.reply(given)
            found[f"quiet reply plain={plain}"] = live.reply(quiet)
        if live.mark and (marked := live.mark(sending(provider, message, thread=thread))):
            found["mark"] = marked
    return found


def shown(request: Request) -> Any:
    """The request as a golden file holds it: its content, without addresses and keys."""
    if isinstance(request, SmtpRequest):
        return mail(request.body)
    if isinstance(request, AppriseRequest):
        return {"title": request.title, "tone": request.tone, "body": request.body.decode().split("\n")}
    if isinstance(request, InboxRequest):
        return {**msgspec.to_builtins(request), "body": json.loads(request.body)}
    return json.loads(request.body)


def mail(body: bytes) -> dict[str, Any]:
    """A mail's headers and its texts, line by line."""
    parsed = BytesParser(policy=policy.default).parsebytes(body)
    assert isinstance(parsed, EmailMessage)
    return {
        "headers": {name: str(value) for name, value in parsed.items() if name.lower() != "content-type"},
        "parts": [
            {"type": part.get_content_type(), "lines": part.get_content().splitlines()}
            for part in parsed.walk()
            if part.get_content_maintype() == "text"
        ],
    }
