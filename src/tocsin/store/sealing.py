"""Secrets at rest: AES-256-GCM, with tenant, table, row and column as associated data.

A sealed value is `version (1 byte) · key id (4) · nonce (12) · ciphertext and tag`. The associated data binds it to its
place: a ciphertext moved to another row, column or tenant does not open. Several keys may be known at once: the first
seals, all of them open, so that keys can be rotated while Tocsin runs.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = b"\x01"
NONCE_BYTES = 12
KEY_BYTES = 32


class WrongKey(Exception):
    """The store was sealed with a key that is not among TOCSIN_SECRET_KEY: put the old key back, after the new one."""


class UnknownKey(WrongKey):
    """It was sealed with a key that this process was not given."""


class Place(msgspec.Struct, frozen=True):
    """Where a sealed value stands."""

    tenant_id: str
    table: str
    row: str
    column: str

    def associated(self) -> bytes:
        return "\x1f".join((self.tenant_id, self.table, self.row, self.column)).encode()


class Keyring:
    """`nonce` makes 12 random bytes; app.py owns randomness."""

    def __init__(self, keys: tuple[bytes, ...], nonce: Callable[[], bytes]) -> None:
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self._signing = {key_id(key): hmac.digest(key, b"tocsin signatures", "sha256") for key in keys}
        self._active = key_id(keys[0])
        self._nonce = nonce

    def __repr__(self) -> str:
        return f"Keyring({len(self._ciphers)} keys)"

    def seal(self, value: Any, place: Place) -> bytes:
        """Any JSON value."""
        nonce = self._nonce()
        text = msgspec.json.encode(value)
        return VERSION + self._active + nonce + self._ciphers[self._active].encrypt(nonce, text, place.associated())

    def open(self, sealed: bytes, place: Place) -> Any:
        """Raises WrongKey where no known key opens it here."""
        cipher = self._ciphers.get(sealed[1:5])
        if sealed[:1] != VERSION:
            raise WrongKey("What is stored is not what Tocsin sealed.")
        if cipher is None:
            raise UnknownKey(f"No key with id {sealed[1:5].hex()} is known; check TOCSIN_SECRET_KEY.")
        try:
            text = cipher.decrypt(sealed[5 : 5 + NONCE_BYTES], sealed[5 + NONCE_BYTES :], place.associated())
        except (InvalidTag, ValueError) as error:  # ValueError: cut off before the nonce's end
            raise WrongKey(f"{place.table}.{place.column} does not open: wrong key, or it was moved.") from error
        return msgspec.json.decode(text)

    def sign(self, message: bytes) -> bytes:
        """`key id (4) · HMAC-SHA256`, with a key that is derived from the active one."""
        return self._active + hmac.digest(self._signing[self._active], message, "sha256")

    def signed(self, message: bytes, signature: bytes) -> bool | None:
        """Whether we signed this; None where the key that it names is not known."""
        key = self._signing.get(signature[:4])
        if key is None:
            return None
        return hmac.compare_digest(hmac.digest(key, message, "sha256"), signature[4:])

    @property
    def active(self) -> str:
        """The id of the key that seals, 8 hex digits."""
        return self._active.hex()

    @property
    def known(self) -> frozenset[str]:
        """The ids of the keys that open."""
        return frozenset(id_.hex() for id_ in self._ciphers)

    def is_signed_now(self, signature: bytes) -> bool:
        """Whether it names the active key."""
        return signature[:4] == self._active

    def is_current(self, sealed: bytes) -> bool:
        """Whether the active key sealed it; the others wait to be sealed anew."""
        return sealed[1:5] == self._active


def key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"tocsin key id" + key).digest()[:4]


def parse_keys(text: str) -> tuple[bytes, ...]:
    """`key[,older key…]`, each 32 bytes in base64. Raises ValueError with a sentence to act on."""
    keys = []
    for number, part in enumerate(filter(None, (part.strip() for part in text.split(","))), 1):
        try:
            key = base64.b64decode(part, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise ValueError(f"TOCSIN_SECRET_KEY: key {number} must be 32 bytes in base64 (openssl rand -base64 32).")
        keys.append(key)
    if not keys:
        raise ValueError("TOCSIN_SECRET_KEY is empty.")
    return tuple(keys)
