"""Takes Tocsin's webhooks and checks who sent them. Start it with the secret that Tocsin showed once:

TOCSIN_WEBHOOK_SECRET=whsec_… PORT=9000 python3 receiver.py
"""

import base64
import hmac
import os
import re
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = base64.b64decode(os.environ["TOCSIN_WEBHOOK_SECRET"].removeprefix("whsec_") + "==")
if len(KEY) < 24:
    raise SystemExit("TOCSIN_WEBHOOK_SECRET is not whsec_ and the base64 of 24 bytes or more")
TOLERANCE_S = 300
MOST_BYTES = 1_000_000


def verified(id_: str, at: str, signatures: str, body: bytes) -> bool:
    """Whether the body, as it came, was signed with our secret within the last five minutes."""
    if not re.fullmatch("[0-9]{1,12}", at) or abs(time.time() - int(at)) > TOLERANCE_S:
        return False
    digest = hmac.digest(KEY, f"{id_}.{at}.".encode() + body, "sha256")
    right = b"v1," + base64.b64encode(digest)
    # Several, with spaces between, while the secret is being rotated. Compared in a time that tells nothing.
    return any(hmac.compare_digest(right, one.encode()) for one in signatures.split(" "))


class Receiver(BaseHTTPRequestHandler):
    timeout = 30

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        body = self.rfile.read(min(int(length), MOST_BYTES)) if re.fullmatch("[0-9]{1,9}", length) else b""
        id_, at, signatures = (self.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
        known = verified(id_, at, signatures, body)
        self.send_response(204 if known else 401)  # answer first; work that takes time comes afterwards
        self.end_headers()
        if known:  # the id is the same in every attempt: what was done for it need not be done again
            print("verified", repr(id_), len(body), "bytes", flush=True)


ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Receiver).serve_forever()
