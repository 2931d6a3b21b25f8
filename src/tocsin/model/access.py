"""What somebody may do: roles, the scopes of a token, and what a token looks like."""

import re
import zlib

from tocsin.model.errors import Invalid

ROLES = {"viewer": 1, "developer": 2, "admin": 3}
"""In a tenant. Each may do all that those before it may."""

ANYBODY = "anybody"
OPERATOR = "operator"
"""Not a role in a tenant: whoever runs Tocsin, who sees and changes tenants and nothing that is theirs."""

RANKS = {OPERATOR: 0, ANYBODY: 0, **ROLES}
SCOPES = ("ingest", "read", "write", "admin")
SCOPES_OF = {
    "viewer": ("read", "write"),
    "developer": ("ingest", "read", "write"),
    "admin": SCOPES,
    OPERATOR: ("read", "write"),
}
"""The most that a token of the role can have, and what it has where none are named. A viewer's `write` is for what is
theirs alone: preferences, inbox, tokens."""

PREFIX = "toc_"
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_CHARS = 43  # 62**43 > 2**256
CHECK_CHARS = 6  # 62**6 > 2**32
TOKEN = re.compile(rf"^{PREFIX}[0-9A-Za-z]{{{RANDOM_CHARS + CHECK_CHARS}}}\Z")

TENANT_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
USER_CHARS = 200


def check_tenant_id(field: str, id_: str) -> str:
    """Raises Invalid."""
    if not TENANT_ID.match(id_):
        raise Invalid(field, repr(id_[:70]), "1 to 64 letters, digits, dots, - and _, the first a letter or a digit")
    return id_


def check_user_id(field: str, user_id: str) -> str:
    """Raises Invalid."""
    if not 1 <= len(user_id) <= USER_CHARS or not user_id.isprintable() or user_id != user_id.strip():
        raise Invalid(field, repr(user_id[:60]), f"1 to {USER_CHARS} printable characters, no space at either end")
    return user_id


def lower(role: str, other: str) -> str:
    """The lesser of two roles."""
    return role if RANKS[role] <= RANKS[other] else other


def scopes_within(scopes: tuple[str, ...], role: str) -> frozenset[str]:
    """What a token with these scopes may do in this role; no scopes are all that the role can have."""
    most = SCOPES_OF[role]
    return frozenset(most) if not scopes else frozenset(scopes).intersection(most)


def token_of(random: int) -> str:
    """A token of 256 random bits. Letters and digits alone, so that a double click takes it whole; its last six are a
    checksum, so that scanners, and Tocsin, know one from what only looks like one."""
    body = PREFIX + in_letters(random, RANDOM_CHARS)
    return body + checksum(body)


def is_token(text: str) -> bool:
    """Whether it can be one: not mistyped, not cut off."""
    return TOKEN.match(text) is not None and checksum(text[:-CHECK_CHARS]) == text[-CHECK_CHARS:]


def checksum(body: str) -> str:
    return in_letters(zlib.crc32(body.encode()), CHECK_CHARS)


def in_letters(number: int, length: int) -> str:
    found = ""
    for _ in range(length):
        number, digit = divmod(number, len(LETTERS))
        found = LETTERS[digit] + found
    return found
