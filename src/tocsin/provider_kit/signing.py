"""Signatures: Standard Webhooks v1 and the plain hex family.

    webhook-id: dlv_0198c5f2…
    webhook-timestamp: 1614265330
    webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,…
    X-Exosphere-Signature: sha256=5bd1…

Standard Webhooks (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md) signs
`id.timestamp.body` with the bytes that the secret's base64 stands for. While a secret is being rotated the header
carries one signature for each valid secret, newest first.

The hex family signs the body alone, and its key is the UTF-8 bytes of the whole secret as it was handed out, `whsec_`
included: that is what `hmac.new(SECRET.encode(), body, "sha256").hexdigest()` does in anyone's ten lines. It has room
for one signature only, the newest secret's.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from tocsin.model.errors import Invalid

PREFIX = "whsec_"
KEY_BYTES_MIN = 24
KEY_BYTES_MAX = 64
"""The bounds that the Standard Webhooks specification sets for a symmetric secret."""
TOLERANCE_S = 300
"""How far a timestamp may be off, either way: what the published libraries allow."""

_TIMESTAMP = re.compile(r"[0-9]{1,12}")


@lru_cache(maxsize=8192)
def key(secret: str) -> bytes:
    """The bytes to sign with. Refuses a secret of the wrong shape and never repeats it."""
    encoded = secret.removeprefix(PREFIX).rstrip("=")
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("secret", "something that is not base64", _EXPECTED) from None
    if not KEY_BYTES_MIN <= len(decoded) <= KEY_BYTES_MAX:
        raise Invalid("secret", f"base64 of {len(decoded)} bytes", _EXPECTED)
    return decoded


_EXPECTED = f"{PREFIX} and the base64 of {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes"


def sign(secrets: Sequence[str], message_id: str, at_s: int, body: bytes) -> str:
    """The value of `webhook-signature`; `at_s` is Unix time in seconds, as in `webhook-timestamp`."""
    signed = f"{message_id}.{at_s}.".encode() + body
    return " ".join([_v1(key(secret), signed) for secret in secrets])


def hex_signature(secret: str, body: bytes) -> str:
    """The value of `X-Exosphere-Signature` and its like."""
    return "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()


def verify(
    secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now_s: float, tolerance_s: float = TOLERANCE_S
) -> bool:
    """Whether any of the secrets signed these bytes, lately. Header names are lower-case."""
    at_s = headers.get("webhook-timestamp", "")
    message_id = headers.get("webhook-id", "")
    if not message_id or not _TIMESTAMP.fullmatch(at_s) or abs(now_s - int(at_s)) > tolerance_s:
        return False
    signed = f"{message_id}.{at_s}.".encode() + body
    right = [_v1(key(secret), signed).encode() for secret in secrets]
    given = [one.encode("utf-8", "replace") for one in headers.get("webhook-signature", "").split(" ")]
    return any(hmac.compare_digest(one, other) for one in right for other in given)


def verify_hex(secret: str, value: str, body: bytes) -> bool:
    """Whether the hex header's value is this secret's signature of the body."""
    return hmac.compare_digest(hex_signature(secret, body).encode(), value.encode("utf-8", "replace"))


def _v1(with_key: bytes, signed: bytes) -> str:
    return "v1," + binascii.b2a_base64(hmac.digest(with_key, signed, "sha256"), newline=False).decode()
