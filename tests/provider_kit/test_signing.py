"""Signatures against vectors of others, and against whoever tampers. S23 and S24 of the security matrix."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tocsin.provider_kit.signing import _v1, hex_signature, sign, verify, verify_hex

SHARED = Path(__file__).parents[2].parent / "shared"
WYCHEPROOF = json.loads((SHARED / "data" / "wycheproof" / "hmac_sha256_test.json").read_text())["testGroups"]
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
AT_S = 1_614_265_330
BODY = b'{"test": 2432232314}'
HEADERS = {
    "webhook-id": "msg_1",
    "webhook-timestamp": str(AT_S),
    "webhook-signature": sign([SECRET], "msg_1", AT_S, BODY),
}


def test_wycheproof_hmac() -> None:
    """Every valid tag is ours to the byte; no modified and no truncated one is."""
    seen = 0
    for group in WYCHEPROOF:
        for case in group["tests"]:
            made = base64.b64decode(_v1(bytes.fromhex(case["key"]), bytes.fromhex(case["msg"])).removeprefix("v1,"))
            is_whole = group["tagSize"] == 256
            assert (made == bytes.fromhex(case["tag"])) is (is_whole and case["result"] == "valid"), case["tcId"]
            seen += 1
    assert seen == 174


def accepted(secret: str = SECRET, body: bytes = BODY, now_s: float = AT_S, **headers: str) -> bool:
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    return verify([secret], HEADERS | changed, body, now_s)


def test_our_own_signature_is_accepted() -> None:
    assert accepted()
    assert accepted(webhook_signature=f"v1a,xxx v2,yyy {HEADERS['webhook-signature']}")
    assert accepted(now_s=AT_S + 300)
    assert accepted(now_s=AT_S - 300)


WHOLE = HEADERS["webhook-signature"]


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook_signature": ""},
        {"webhook_signature": "v1,"},
        {"webhook_signature": WHOLE.removeprefix("v1,")},
        {"webhook_signature": WHOLE[:-1]},
        {"webhook_signature": WHOLE[:24]},
        {"webhook_signature": WHOLE + "="},
        {"webhook_signature": WHOLE.replace("v1,", "v1a,")},
        {"webhook_signature": WHOLE.swapcase()},
        {"webhook_signature": "v1,é" + WHOLE[4:]},
        {"webhook_signature": "v1,\udcff"},
        {"webhook_signature": "v1," + "A" * 100_000},
        {"webhook_id": "msg_2"},
        {"webhook_id": ""},
        {"webhook_timestamp": str(AT_S + 1)},
        {"webhook_timestamp": f"{AT_S}.0"},
        {"webhook_timestamp": f" {AT_S}"},
        {"webhook_timestamp": "٠" * 10},
        {"webhook_timestamp": "-1"},
        {"webhook_timestamp": "9" * 40},
        {"webhook_timestamp": ""},
        {"body": BODY + b" "},
        {"body": b""},
        {"secret": "whsec_" + "A" * 32},
        {"now_s": AT_S + 301.0},
        {"now_s": AT_S - 301.0},
    ],
    ids=repr,
)
def test_anything_else_is_refused_without_an_exception(changed: dict[str, Any]) -> None:
    assert not accepted(**changed)


@pytest.mark.parametrize("value", ["", "sha256=", "sha256", "é", "\udcff", hex_signature("x", BODY)[:-1], "sha1=00"])
def test_a_hex_signature_is_whole_or_none(value: str) -> None:
    assert verify_hex("x", hex_signature("x", BODY), BODY)
    assert not verify_hex("x", value, BODY)
    assert not verify_hex("x", hex_signature("x", BODY).upper(), BODY)
    assert not verify_hex("x", hex_signature("y", BODY), BODY)
