"""What holds of every provider. A new one is covered by its line in PROVIDERS and its example in examples.py."""

import json
import typing
from collections.abc import Callable
from typing import Any

import pytest

from tests.providers.examples import EVERY_MESSAGE, EXAMPLES, MESSAGES, SECRETS, SIZES, reply, sending
from tocsin.model.errors import Invalid
from tocsin.model.message import Message
from tocsin.model.wire import Accepted, Delivered, NoReply, NoReplyReason, Outcome, Rejected, Retry
from tocsin.provider_kit.provider import Provider
from tocsin.providers import PROVIDERS

Golden = Callable[[str, Any], None]


@pytest.fixture(params=list(PROVIDERS.values()), ids=list(PROVIDERS))
def provider(request: pytest.FixtureRequest) -> Provider:
    found: Provider = request.param
    return found


@pytest.fixture(params=list(EVERY_MESSAGE.values()), ids=list(EVERY_MESSAGE))
def message(request: pytest.FixtureRequest) -> Message:
    found: Message = request.param
    return found


def test_has_an_example_and_a_sane_record(provider: Provider) -> None:
    target = EXAMPLES[provider.kind]
    assert isinstance(target.settings, provider.settings_type)
    assert provider.check_address(target.address) == target.address
    assert PROVIDERS[provider.kind] is provider
    assert 0 < provider.timeout_s <= 30
    assert bool(target.secrets) == provider.signs
    assert provider.settings_type.__struct_config__.frozen
    assert provider.settings_type.__struct_config__.forbid_unknown_fields


@pytest.mark.parametrize("name", MESSAGES)
def test_sends_what_the_golden_file_says(provider: Provider, name: str, golden: Golden) -> None:  # S0-02, S0-03, S0-05
    request = provider.render(sending(provider, MESSAGES[name]))
    golden(f"{provider.kind}-{name}", json.loads(request.body))


def test_fits_whatever_the_message_holds(provider: Provider, message: Message) -> None:
    for plain in (False, True):
        request = provider.render(sending(provider, message, plain=plain))
        assert 2 < len(request.body) <= provider.max_body_bytes
        json.loads(request.body)
        for name, value in request.headers:
            assert name.isascii()
            assert value.isascii()
            assert value.isprintable()


def test_says_no_secret(provider: Provider, message: Message) -> None:  # S4-12
    given = sending(provider, message)
    request = provider.render(given)
    for shown in (repr(given.target), repr(given), repr(request)):
        assert not any(secret in shown for secret in SECRETS)
    assert not any(secret.encode() in request.body for secret in SECRETS)


def test_renders_the_same_twice(provider: Provider, message: Message) -> None:
    assert provider.render(sending(provider, message)) == provider.render(sending(provider, message))


def expected(provider: Provider, status: int) -> type[Outcome] | tuple[type[Outcome], ...]:
    if 200 <= status < 300:
        return (Delivered, Accepted, Retry)
    if status in (404, 410):
        return Rejected
    if status in (408, 425, 429) or status >= 500 or status < 400:
        return Retry
    return Retry if provider.kind == "webhook" else Rejected  # S4-07


@pytest.mark.parametrize("body", [b"", b"ok", b"\xff\xfe", b"<html>login</html>", b'{"ok":true}', b"[", b"{", b"null"])
def test_every_status_has_a_meaning(provider: Provider, body: bytes) -> None:
    for status in range(100, 600):
        outcome = provider.classify(reply(status, body))
        assert isinstance(outcome, expected(provider, status)), (status, outcome)
        if isinstance(outcome, Retry):
            assert outcome.rate_limited == (status == 429)
            assert outcome.reason
        if status in (404, 410):
            assert isinstance(outcome, Rejected)
            assert outcome.scope == "endpoint"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_waits_as_long_as_it_is_asked_to(provider: Provider, status: int) -> None:  # S1-03
    outcome = provider.classify(reply(status, retry_after="30"))
    assert isinstance(outcome, Retry)
    assert outcome.after_s == 30.0


@pytest.mark.parametrize("reason", typing.get_args(NoReplyReason))
def test_silence_is_tried_again_but_a_blocked_address_is_not(provider: Provider, reason: NoReplyReason) -> None:
    outcome = provider.classify(NoReply(reason, "connect timed out", maybe_received=reason == "timeout"))
    if reason in ("blocked", "invalid"):
        assert outcome == Rejected(f"{reason}: connect timed out", "message")
    else:
        assert outcome == Retry(f"{reason}: connect timed out")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "http",
        "ftp://a.example/x",
        "javascript:alert(1)",
        "https://a.example/ x",
        "https://a.example/\n",
        "https://" + "a" * 9000,
    ],
)
def test_refuses_what_is_no_address_and_does_not_repeat_it(provider: Provider, address: str) -> None:  # S1-14
    with pytest.raises(Invalid) as refused:
        provider.check_address(address)
    assert refused.value.field == "webhook_url"
    assert len(address) < 12 or address not in refused.value.detail


def test_the_sizes_differ_from_the_usual() -> None:
    assert not set(SIZES) & set(MESSAGES)
