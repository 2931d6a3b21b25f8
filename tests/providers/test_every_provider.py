"""What holds of every provider. A new one is covered by its line in PROVIDERS and its example in examples.py."""

import itertools
import json
import typing
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from tests.providers.all_requests import every_request, mail, shown
from tests.providers.examples import BASE, EVERY_MESSAGE, EXAMPLES, MESSAGES, SECRETS, SIZES, reply, sending
from tocsin.model.errors import Invalid
from tocsin.model.wire import (
    Accepted,
    AppriseReply,
    AppriseRequest,
    Delivered,
    HttpRequest,
    InboxRequest,
    Kept,
    NoReply,
    NoReplyReason,
    Outcome,
    Rejected,
    Reply,
    Request,
    Retry,
    SmtpReply,
    SmtpRequest,
)
from tocsin.provider_kit.provider import Provider
from tocsin.provider_kit.settings_form import form, split
from tocsin.providers import PROVIDERS

Golden = Callable[[str, Any], None]

CARRIES_ITS_KEY = frozenset({"pagerduty"})
"""The key is a field of the body, as its documentation has it."""


@pytest.fixture(params=list(PROVIDERS.values()), ids=list(PROVIDERS))
def provider(request: pytest.FixtureRequest) -> Provider:
    found: Provider = request.param
    return found


def test_has_an_example_and_a_sane_record(provider: Provider) -> None:
    target = EXAMPLES[provider.kind]
    assert isinstance(target.settings, provider.settings_type)
    if provider.check_address is None:
        assert target.address == ""
    else:
        assert provider.check_address(target.address) == target.address
    assert PROVIDERS[provider.kind] is provider
    assert 0 < provider.timeout_s <= 30
    assert bool(target.secrets) == provider.signs
    assert provider.settings_type.__struct_config__.frozen
    assert provider.settings_type.__struct_config__.forbid_unknown_fields
    assert provider.live is None or provider.resolve is None


def test_its_settings_make_a_form_and_can_be_checked(provider: Provider) -> None:  # S1-18
    given = EXAMPLES[provider.kind].settings
    kept = msgspec.to_builtins(given)
    assert msgspec.convert(kept, provider.settings_type) == given
    assert msgspec.convert(json.loads(json.dumps(kept)), provider.settings_type) == given
    if provider.check_settings:
        provider.check_settings(given)
    fields = form(provider.settings_type)
    assert set(fields["properties"]) == set(kept) | set(provider.settings_type.__struct_fields__)
    described = f"{provider.settings_type.__doc__}"
    missing = [name for name in fields["properties"] if name not in described and "description" not in str(fields)]
    assert not missing
    with pytest.raises(msgspec.ValidationError, match="no_such_field"):
        msgspec.convert(kept | {"no_such_field": 1}, provider.settings_type)


def test_keeps_its_secrets_apart(provider: Provider) -> None:  # S4-12
    target = EXAMPLES[provider.kind]
    seen, sealed = split(provider.settings_type, msgspec.to_builtins(target.settings))
    assert not any(secret in json.dumps(seen) for secret in SECRETS)
    assert not any(secret in provider.hint(target.settings) for secret in SECRETS)
    for name in sealed:
        assert form(provider.settings_type)["properties"][name] != {}


@pytest.mark.parametrize("name", MESSAGES)
def test_sends_what_the_golden_file_says(provider: Provider, name: str, golden: Golden) -> None:  # S0-02, S0-03, S0-05
    golden(f"{provider.kind}-{name}", shown_without_keys(provider.render(sending(provider, MESSAGES[name]))))


def shown_without_keys(request: Request) -> Any:
    content = json.dumps(shown(request))
    for secret in SECRETS:
        content = content.replace(secret, "***")
    return json.loads(content)


def every_purpose(provider: Provider) -> Iterator[tuple[str, Request]]:
    """Everything that it makes of every message, with what that is. One test for all: one for each cost more in the
    telling than in the testing."""
    for name, message in EVERY_MESSAGE.items():
        for purpose, request in every_request(provider, message).items():
            yield f"{purpose} of {name!r}", request


def test_fits_whatever_the_message_holds(provider: Provider) -> None:
    for purpose, request in every_purpose(provider):
        assert len(request.body) <= provider.max_body_bytes, purpose
        if isinstance(request, HttpRequest):
            fits_http(request)
        elif isinstance(request, SmtpRequest):
            fits_smtp(request)
        elif isinstance(request, InboxRequest):
            fits_inbox(request)
        else:
            fits_apprise(request)


def fits_http(request: HttpRequest) -> None:
    """What HTTP can carry: JSON, an address without spaces, headers of printable ASCII."""
    assert request.method in ("POST", "PUT", "PATCH")
    json.loads(request.body)
    assert request.url.startswith(("https://", "http://"))
    assert request.url.isascii()
    assert request.url.isprintable()
    assert " " not in request.url
    for name, value in request.headers:
        assert name.isascii()
        assert value.isascii()
        assert value.isprintable()


def fits_smtp(request: SmtpRequest) -> None:
    """What any mail server takes (RFC 5321, 4.5.3.1): lines of at most 998 bytes, CRLF, no header of anybody else's."""
    assert request.recipients
    assert not any(char in one for one in (request.sender, *request.recipients) for char in "\r\n <>")
    raw = request.body.split(b"\r\n")
    assert all(len(one) <= 998 and b"\n" not in one and b"\r" not in one for one in raw)
    found = mail(request.body)
    names = [name.lower() for name in found["headers"]]
    assert {"from", "to", "subject", "date", "message-id", "mime-version"} <= set(names)
    assert not {"set-cookie", "x-injected", "bcc"} & set(names)
    assert {one["type"] for one in found["parts"]} == {"text/plain", "text/html"}
    assert all(any(line.strip() for line in one["lines"]) for one in found["parts"])


def fits_inbox(request: InboxRequest) -> None:
    assert request.user_id
    assert request.title.strip()
    assert request.url == "" or request.url.startswith(("https://", "http://"))
    json.loads(request.body)


def fits_apprise(request: AppriseRequest) -> None:
    assert request.title.strip() or request.body.strip()
    assert request.title.isprintable()
    request.body.decode()


def secrets_in(content: str | bytes) -> list[str]:
    """Which of them it says."""
    text = content if isinstance(content, str) else content.decode("utf-8", "replace")
    return [secret for secret in SECRETS if secret in text]


def test_says_no_secret(provider: Provider) -> None:  # S4-12
    for name, message in EVERY_MESSAGE.items():
        given = sending(provider, message)
        assert not secrets_in(repr(given.target)), name
        assert not secrets_in(repr(given)), name
    for purpose, request in every_purpose(provider):
        assert not secrets_in(repr(request)), purpose
        assert provider.kind in CARRIES_ITS_KEY or not secrets_in(request.body), purpose


def test_renders_the_same_twice(provider: Provider) -> None:
    for (purpose, request), (_, again) in zip(every_purpose(provider), every_purpose(provider), strict=True):
        assert request == again, purpose


UNUSUAL: dict[str, dict[int, type[Outcome]]] = {
    "webhook": {status: Retry for status in range(400, 500) if status not in (404, 410)},  # S4-07
    "pagerduty": {403: Retry},
}
"""Where a provider's documentation gives a status another meaning than it usually has."""


def expected(provider: Provider, status: int) -> type[Outcome] | tuple[type[Outcome], ...]:
    if status in UNUSUAL.get(provider.kind, {}):
        return UNUSUAL[provider.kind][status]
    if 200 <= status < 300:
        return (Delivered, Accepted, Retry)
    if status in (404, 410):
        return Rejected
    return Retry if status in (408, 425, 429) or status >= 500 or status < 400 else Rejected


BODIES = [b"", b"ok", b"\xff\xfe", b"<html>login</html>", b'{"ok":true}', b"[", b"{", b"null"]


def test_every_status_has_a_meaning(provider: Provider) -> None:
    for status, body in itertools.product(range(100, 600), BODIES):
        outcome = provider.classify(reply(status, body))
        assert isinstance(outcome, expected(provider, status)), (status, body, outcome)
        if isinstance(outcome, Retry):
            assert outcome.reason, (status, body)
            assert outcome.rate_limited == (status == 429 or status in UNUSUAL.get(provider.kind, {})) or (
                provider.kind == "webhook"
            ), (status, body)
        if status in (404, 410):
            assert isinstance(outcome, Rejected), (status, body)
            assert outcome.scope in ("endpoint", "credential"), (status, body)


WORDS = [
    b'{"error":null}', b'{"error":[]}', b'{"error":{"code":{}}}', b'{"errors":{"a":1}}', b'{"errors":[null,{}]}',
    b'{"message":{},"requestId":1}', b'{"code":"x","retry_after":"soon"}', b'{"parameters":3,"ok":false}',
    b'{"retry_after":-1}', b'{"retry_after":1e999}', b'{"error_code":[],"description":{}}', b'{"id":5}', b'"ok"',
    b"[[[[[[1]]]]]]", b"1e400", b'{"a":"\xed\xa0\x80"}', b"1", b"\x00", b'{"response_metadata":[1]}',
    b'{"parameters":{"retry_after":true}}', b"[" * 3000, b'{"ok":false,"error":7}', b'{"status":"ok","errors":"x"}',
]  # fmt: skip


def test_no_words_can_upset_it(provider: Provider) -> None:
    statuses = (200, 201, 202, 204, 400, 401, 403, 404, 409, 413, 422, 429, 500, 503)
    for body, status in itertools.product(WORDS, statuses):
        outcome = provider.classify(reply(status, body))
        assert isinstance(outcome, Delivered | Accepted | Retry | Rejected), (status, body)
        if isinstance(outcome, Retry) and outcome.after_s is not None:
            assert 0 < outcome.after_s <= 24 * 3600, (status, body)


def test_other_replies_have_a_meaning_too(provider: Provider) -> None:
    replies: list[Reply] = [SmtpReply(250, b"queued"), SmtpReply(550, b"no such user"), SmtpReply(0, b"")]
    for one in [*replies, AppriseReply(True), AppriseReply(False, b"\xff"), Kept()]:
        assert isinstance(provider.classify(one), Delivered | Accepted | Retry | Rejected)


def test_waits_as_long_as_it_is_asked_to(provider: Provider) -> None:  # S1-03
    for status in (408, 425, 429, 500, 503):
        outcome = provider.classify(reply(status, retry_after="30"))
        assert isinstance(outcome, Retry), status
        assert outcome.after_s == 30.0, status


def test_silence_is_tried_again_but_a_blocked_address_is_not(provider: Provider) -> None:
    for reason in typing.get_args(NoReplyReason):
        outcome = provider.classify(NoReply(reason, "connect timed out", maybe_received=reason == "timeout"))
        if reason in ("blocked", "invalid"):
            assert outcome == Rejected(f"{reason}: connect timed out", "message")
        else:
            assert outcome == Retry(f"{reason}: connect timed out")


WITH_ADDRESS = {kind: one for kind, one in PROVIDERS.items() if one.check_address is not None}


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
@pytest.mark.parametrize("kind", WITH_ADDRESS)
def test_refuses_what_is_no_address_and_does_not_repeat_it(kind: str, address: str) -> None:  # S1-14
    check = WITH_ADDRESS[kind].check_address
    assert check is not None
    with pytest.raises(Invalid) as refused:
        check(address)
    assert refused.value.field == "webhook_url"
    assert len(address) < 12 or address not in refused.value.detail


def test_an_edit_says_the_state_and_a_quiet_reply_wakes_nobody(provider: Provider) -> None:
    if provider.live is None:
        return
    requests = every_request(provider, BASE)
    assert {name.partition(" plain=")[0] for name in requests} >= {"edit", "reply", "quiet reply"}
    for name, request in requests.items():
        if name != "mark":
            assert b"train-ranker" in request.body, name


def test_the_sizes_differ_from_the_usual() -> None:
    assert not set(SIZES) & set(MESSAGES)
