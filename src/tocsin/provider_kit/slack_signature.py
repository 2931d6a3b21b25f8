"""Slack's signature over what it sends to us, such as a click on a button.

    X-Slack-Request-Timestamp: 1531420618
    X-Slack-Signature: v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503

https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

import hmac
import re

TOLERANCE_S = 300
"""How old a request may be, and how far ahead of us its clock."""

_TIMESTAMP = re.compile(r"[0-9]{1,12}")


def verified(secret: str, timestamp: str, body: bytes, signature: str, now_s: float) -> bool:
    """Whether Slack, which knows the app's signing secret, sent exactly these bytes within the last five minutes.

    `timestamp` and `signature` are the headers' values as they came, "" where they are missing; `now_s` is Unix time.
    """
    if not secret or not _TIMESTAMP.fullmatch(timestamp) or abs(now_s - int(timestamp)) > TOLERANCE_S:
        return False
    expected = hmac.digest(secret.encode("utf-8", "replace"), b"v0:" + timestamp.encode() + b":" + body, "sha256")
    return hmac.compare_digest(f"v0={expected.hex()}".encode(), signature.encode("utf-8", "replace"))
