"""`POST /slack/interactivity`: Slack's clicks, signed by Slack's own SDK."""

import asyncio
import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.signature import SignatureVerifier
from slack_sdk.web import SlackResponse

from tests.harness import Answer, Running, Start

pytestmark = pytest.mark.anyio

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
PATH = "/slack/interactivity"
FORM = "application/x-www-form-urlencoded"
CLICK: dict[str, Any] = {
    "type": "block_actions",
    "user": {"id": "U012AB3CD"},
    "actions": [{"type": "button", "action_id": "open_0", "url": "https://airflow.example/1", "action_ts": "1.2"}],
    "response_url": "https://hooks.slack.com/actions/T1/1/x",
}


@pytest.fixture
async def listening(start: Start) -> Running:
    return await start(SLACK_SIGNING_SECRET=SECRET)


def signed(body: bytes, at_s: float, secret: str = SECRET) -> dict[str, str]:
    """The headers as Slack sends them."""
    timestamp = str(int(at_s))
    signature = SignatureVerifier(secret).generate_signature(timestamp=timestamp, body=body)
    assert signature is not None
    return {"x-slack-request-timestamp": timestamp, "x-slack-signature": signature, "content-type": FORM}


async def send(tocsin: Running, body: bytes, headers: Mapping[str, str] | None = None) -> Answer:
    """Without a token: Slack has none."""
    found = signed(body, tocsin.clock.now_s) if headers is None else headers
    return await tocsin.client.with_token("").request("POST", PATH, data=body, headers=found)


def form(payload: Any) -> bytes:
    return urlencode({"payload": payload if isinstance(payload, str) else json.dumps(payload)}).encode()


async def test_a_click_is_answered_at_once(listening: Running) -> None:
    # S1-18: include_action_buttons, without Slack's warning beside them
    answer = await send(listening, form(CLICK))
    assert (answer.status, answer.body) == (200, b"")


async def test_slack_is_told_that_the_address_is_ours(listening: Running) -> None:
    body = json.dumps({"type": "url_verification", "token": "x", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY"}).encode()
    answer = await send(listening, body)
    assert (answer.status, answer.body) == (200, b"3eZbrw1aBm2rZgRNFdxV2595E9CY")
    assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "body",
    [b"", b"payload=", b"payload=%7B", b"\x00", form("[" * 10_000), form([1]), form("null"), b"[" * 10_000,
     b'{"type": "url_verification"}', b'{"type": "url_verification", "challenge": 7}', b"x" * 65_536],
    ids=lambda body: repr(body[:30]),
)  # fmt: skip
async def test_whatever_is_signed_is_heard(listening: Running, body: bytes) -> None:
    answer = await send(listening, body)
    assert (answer.status, answer.body) == (200, b"")


async def test_bytes_that_are_no_text_are_heard_too(listening: Running) -> None:
    """Slack's SDK signs text alone."""
    timestamp = str(int(listening.clock.now_s))
    digest = hmac.digest(SECRET.encode(), b"v0:" + timestamp.encode() + b":\xff\xfe", "sha256")
    headers = {"x-slack-request-timestamp": timestamp, "x-slack-signature": f"v0={digest.hex()}"}
    assert (await send(listening, b"\xff\xfe", headers)).status == 200


async def test_what_is_not_slacks_is_refused(listening: Running) -> None:
    body, now_s = form(CLICK), listening.clock.now_s
    good = signed(body, now_s)
    assert (await send(listening, body, good)).status == 200
    wrong = [
        {},
        {"content-type": FORM},
        signed(body, now_s, "another secret"),
        signed(body + b"x", now_s),
        signed(body, now_s - 301),
        signed(body, now_s + 301),
        good | {"x-slack-request-timestamp": str(int(now_s) - 1)},
        good | {"x-slack-request-timestamp": "soon"},
        good | {"x-slack-request-timestamp": "9" * 40},
        good | {"x-slack-request-timestamp": ""},
        good | {"x-slack-signature": ""},
        good | {"x-slack-signature": "v0="},
        good | {"x-slack-signature": good["x-slack-signature"].replace("v0=", "v1=")},
        good | {"x-slack-signature": good["x-slack-signature"].removeprefix("v0=")},
        good | {"x-slack-signature": "v0=\xe4"},
    ]
    for headers in wrong:
        problem = (await send(listening, body, headers)).problem(401)
        assert "SLACK_SIGNING_SECRET" in problem["detail"]
        assert SECRET not in json.dumps(problem)


async def test_an_old_click_counts_for_nothing(listening: Running) -> None:
    body = form(CLICK)
    headers = signed(body, listening.clock.now_s)
    listening.clock.move(299)
    assert (await send(listening, body, headers)).status == 200
    listening.clock.move(2)
    (await send(listening, body, headers)).problem(401)


async def test_a_token_does_not_open_this_door(listening: Running) -> None:
    (await listening.client.request("POST", PATH, data=form(CLICK))).problem(401)


async def test_what_is_too_long_is_not_read(listening: Running) -> None:
    (await send(listening, b"x" * 65_537)).problem(413)


async def test_without_a_secret_nothing_is_taken_and_the_answer_says_what_to_set(tocsin: Running) -> None:
    for headers in ({}, signed(form(CLICK), tocsin.clock.now_s)):
        problem = (await send(tocsin, form(CLICK), headers)).problem(404)
        assert "SLACK_SIGNING_SECRET" in problem["detail"]


async def test_only_posts_are_taken(listening: Running) -> None:
    (await listening.client.get(PATH)).problem(405)


async def test_slacks_own_client_gets_through_with_the_right_signature_only(listening: Running) -> None:
    click = {"payload": json.dumps(CLICK)}
    body = urlencode(click).encode()
    client = WebClient(base_url=f"{listening.client.base}/slack/")

    def call(headers: dict[str, str]) -> int:
        with pytest.raises(SlackApiError) as caught:  # it wants JSON, which Slack does not
            client.api_call("interactivity", data=click, headers=headers)
        assert isinstance(caught.value.response, SlackResponse)
        return caught.value.response.status_code

    right = signed(body, listening.clock.now_s)
    assert await asyncio.to_thread(call, right) == 200
    assert await asyncio.to_thread(call, right | {"x-slack-signature": "v0=" + "0" * 64}) == 401
