"""Slack's signature, judged by Slack's own library."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_sdk.signature import Clock, SignatureVerifier

from tocsin.provider_kit.slack_signature import verified

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
"""The worked example of https://docs.slack.dev/authentication/verifying-requests-from-slack."""
AT = "1531420618"
SIGNATURE = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"


class Stopped(Clock):
    def __init__(self, now_s: float) -> None:
        self.now_s = now_s

    def now(self) -> float:
        return self.now_s


def test_slacks_worked_example() -> None:
    assert verified(SECRET, AT, BODY, SIGNATURE, 1531420618.0)


@given(
    body=st.text().map(str.encode),
    secret=st.text(alphabet="0123456789abcdef", min_size=1, max_size=64),
    at=st.integers(0, 10**11),
    late=st.integers(-400, 400),
)
def test_says_what_slacks_library_says(body: bytes, secret: str, at: int, late: int) -> None:
    judge = SignatureVerifier(secret, Stopped(at + late))
    good = judge.generate_signature(timestamp=str(at), body=body)
    assert good is not None
    for signature in (good, good[:-1] + ("0" if good[-1] != "0" else "1"), good.upper(), good[3:], ""):
        said = judge.is_valid(body, str(at), signature)
        assert verified(secret, str(at), body, signature, at + late) is said
    assert verified(secret, str(at), body, good, at + late) is (abs(late) <= 300)


@pytest.mark.parametrize(
    ("secret", "timestamp", "body", "signature"),
    [
        ("", AT, BODY, SIGNATURE),
        (SECRET[:-1], AT, BODY, SIGNATURE),
        (SECRET, "1531420619", BODY, SIGNATURE),
        (SECRET, "", BODY, SIGNATURE),
        (SECRET, "-1531420618", BODY, SIGNATURE),
        (SECRET, "1531420618\n", BODY, SIGNATURE),
        (SECRET, "١٥٣١٤٢٠٦١٨", BODY, SIGNATURE),
        (SECRET, "9" * 5000, BODY, SIGNATURE),
        (SECRET, AT, BODY + b"&", SIGNATURE),
        (SECRET, AT, b"\xff\xfe", SIGNATURE),
        (SECRET, AT, BODY, "v0=é\ud800"),
        (SECRET, AT, BODY, SIGNATURE + "\n"),
        (SECRET, AT, BODY, SIGNATURE.replace("v0", "v1")),
    ],
)
def test_nothing_else_passes(secret: str, timestamp: str, body: bytes, signature: str) -> None:
    assert not verified(secret, timestamp, body, signature, 1531420618.0)
