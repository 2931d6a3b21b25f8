"""What a receiver is: a pure function from a request as it came to the events in it.

A receiver is a file here, with a `SOURCE` in it, listed in `tocsin.sources`. It reads what its service is documented to
send; what it does not know it leaves alone and says so.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from tocsin.model.errors import Invalid
from tocsin.sources.draft import MAX_DEPTH, Draft


class Incoming(Struct, frozen=True):
    """A request: header names in small letters, the body unpacked, what `?` brought, the settings of the source where
    somebody set one up, and when it came (Unix seconds)."""

    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, str] = {}
    settings: Mapping[str, Any] = {}
    now_s: float = 0.0


class Taken(Struct, frozen=True):
    """The events, and, where there are none, why nothing was of interest. `answer` is what the service wants to hear
    back where that is something of its own (a handshake)."""

    drafts: tuple[Draft, ...] = ()
    ignored: str = ""
    answer: str = ""


class Source(Struct, frozen=True, kw_only=True):
    """`kind` is the name in the address. `read` raises Invalid for what is not of this service. `signed` says whether
    the raw body carries a signature that fits the secret; None where the service signs nothing. `check_settings` raises
    Invalid for settings that fit their type and still cannot be used. `path` is where the key follows; "" for
    `/v1/ingest/{kind}/`."""

    kind: str
    label: str
    read: Callable[[Incoming], Taken]
    signed: Callable[[Incoming, str], bool] | None = None
    settings_type: type[Struct] | None = None
    check_settings: Callable[[Any], None] | None = None
    path: str = ""


def json_object(body: bytes) -> dict[str, Any]:
    """Raises Invalid for anything but one JSON object."""
    found = json_value(body)
    if not isinstance(found, dict):
        raise Invalid("", "an array" if isinstance(found, list) else "a plain value", "a JSON object")
    return found


def json_value(body: bytes) -> Any:
    """Raises Invalid for malformed JSON."""
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise Invalid("", "JSON nested too deeply", f"at most {MAX_DEPTH} levels") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("", f"malformed JSON ({error})"[:200], "a JSON object") from None


def fits_hmac(body: bytes, secret: str, given: str, prefix: str = "", algorithm: str = "sha256") -> bool:
    """Whether `given` is the hex HMAC of the body, in constant time. Nothing that is given makes it raise."""
    expected = prefix + hmac.new(secret.encode(), body, algorithm).hexdigest()
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))


def same(secret: str, given: str) -> bool:
    """Whether a token that is sent as it is fits, in constant time."""
    return bool(secret) and hmac.compare_digest(secret.encode(), given.encode("utf-8", "replace"))


def id_of(*parts: object) -> str:
    """One id for the same thing told twice: of (run, stage, attempt, state), where a service has no id of its own."""
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
