"""Inbox items: small, clean, and with a link that does no harm when it is followed."""

import json
from typing import Any

import msgspec
import pytest

from tests.providers.examples import BASE, EVERY_MESSAGE, MESSAGES, provider_of, sending, sized
from tocsin.model.event import Action
from tocsin.model.message import Message
from tocsin.model.run import RunStep
from tocsin.model.wire import Delivered, InboxRequest, Kept
from tocsin.providers.in_app import MAX_BYTES, TEXT_CHARS, TITLE_CHARS, InAppSettings

PROVIDER = provider_of("in_app")


def item(message: Message, **settings: Any) -> InboxRequest:
    request = PROVIDER.render(sending(PROVIDER, message, **settings))
    assert isinstance(request, InboxRequest)
    return request


def test_kept_is_delivered() -> None:  # S1-16
    assert PROVIDER.classify(Kept()) == Delivered()


def test_without_a_user_it_is_the_endpoints_own() -> None:  # S1-16
    assert InAppSettings().user_id == ""
    assert item(BASE, user_id="").user_id == ""
    assert item(BASE, user_id="ben").user_id == "ben"
    with pytest.raises(msgspec.ValidationError, match="user_id"):
        msgspec.convert({"user_id": "u" * 201}, InAppSettings)


def test_the_line_says_what_and_why() -> None:  # S0-02
    request = item(MESSAGES["run-failed"])
    assert request.title == "❌ train-ranker failed in prod"
    assert request.text.startswith("torch.cuda.OutOfMemoryError")
    assert item(MESSAGES["alert"]).text == "97 % of /var is used. It grows by 2 % an hour."
    assert item(MESSAGES["run-started"]).text == MESSAGES["run-started"].sentence


@pytest.mark.parametrize(
    ("actions", "links", "url"),
    [
        ((), {}, ""),
        ((Action("Open", "https://a.example/1"), Action("Logs", "https://a.example/2")), {}, "https://a.example/1"),
        (
            (Action("Silence", "https://a.example/1", "danger"), Action("Open", "https://b.example")),
            {},
            "https://b.example",
        ),
        ((Action("Silence", "https://a.example/1", "danger"),), {}, ""),
        ((), {"run": "https://a.example/run"}, "https://a.example/run"),
        ((Action("x", "javascript:alert(1)"),), {}, ""),
        ((Action("x", "https://a.example/" + "a" * 2000),), {}, ""),
    ],
)
def test_the_link_opens_and_never_acts(actions: tuple[Action, ...], links: dict[str, str], url: str) -> None:
    assert item(msgspec.structs.replace(BASE, actions=actions, links=links)).url == url


@pytest.mark.parametrize("chars", [1, TITLE_CHARS, TEXT_CHARS, 1000, 2000, 2001, 8000, 50_000])
@pytest.mark.parametrize("filler", ["a", "ä", "🚨", "👨‍👩‍👧‍👦", '"\\', "\u202e\x00\x1b"])
def test_it_stays_small(chars: int, filler: str) -> None:
    message = msgspec.structs.replace(
        sized(chars, 40, filler), steps=tuple(RunStep(filler * 20, "succeeded", 1) for _ in range(200))
    )
    request = item(message)
    assert len(request.title) <= TITLE_CHARS
    assert len(request.text) <= TEXT_CHARS
    assert len(request.body) <= MAX_BYTES
    for words in (request.title, request.text):
        assert "\n" not in words
        assert "\u202e" not in words


def test_a_small_message_is_kept_whole() -> None:
    body = json.loads(item(MESSAGES["run-failed"]).body)
    assert body["detail"] == MESSAGES["run-failed"].detail
    assert [one["url"] for one in body["actions"]] == [one.url for one in MESSAGES["run-failed"].actions]


@pytest.mark.parametrize("name", EVERY_MESSAGE)
def test_a_body_always_has_the_same_fields(name: str) -> None:
    assert set(json.loads(item(EVERY_MESSAGE[name]).body)) == set(json.loads(item(BASE).body))
