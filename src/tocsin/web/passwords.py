"""Passwords: argon2id in a few threads of its own, and which passwords are none."""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from tocsin.model.errors import Busy, Invalid

Found = TypeVar("Found")
MEMORY_KIB, ROUNDS, LANES = 19_456, 2, 1
"""https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html: 19 MiB, two rounds, one lane."""

THREADS = 2
MOST_WAITING = 16
"""Each takes some 40 ms of a core and 19 MiB."""

LEAST, MOST = 12, 256
"""Characters. ASVS 5.0, 6.2.1 and 6.2.9: 8 at least and 15 recommended; 64 have to be possible."""

NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$dG9jc2luLW5vYm9keS4$c29tZXRoaW5nIHRoYXQgbm8gcGFzc3dvcmQgZ2l2ZXM"
"""Checked where there is no account, so that it takes as long as if there were one. No password is known to give it."""

COMMON = {
    "password", "passwort", "passord", "parola", "contrasena", "motdepasse", "passphrase", "secret", "geheim",
    "letmein", "welcome", "willkommen", "changeme", "changeit", "default", "admin", "administrator", "root",
    "superuser", "operator", "user", "guest", "test", "testing", "demo", "example", "sample", "qwerty",
    "qwertz", "azerty", "qwertyuiop", "qwertzuiop", "asdfgh", "asdfghjkl", "zxcvbnm", "yxcvbnm", "iloveyou",
    "monkey", "dragon", "sunshine", "princess", "football", "baseball", "superman", "batman", "master",
    "shadow", "michael", "trustno", "whatever", "starwars", "summer", "winter", "spring", "autumn", "monday",
    "friday", "january", "december", "login", "access", "server", "company", "internet", "computer", "tocsin",
    "alert", "alarm", "correcthorsebatterystaple", "abc", "abcd", "qwe",
}  # fmt: skip
"""What is left of most passwords that people guess first, once digits and marks around it are taken off."""

LEET = str.maketrans("0134578@$!", "oleastbasi")
ROWS = ("abcdefghijklmnopqrstuvwxyz", "qwertyuiopasdfghjklzxcvbnm", "qwertzuiopasdfghjklyxcvbnm", "1234567890")


class Passwords:
    """Hashes and compares off the loop, so many at a time and no more."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=ROUNDS, memory_cost=MEMORY_KIB, parallelism=LANES)
        self._threads = ThreadPoolExecutor(THREADS, "argon2")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """In argon2's own notation, with salt and parameters. Raises Busy."""
        return await self._off_the_loop(self._hash, "", password)

    async def verify(self, stored: str, password: str) -> bool:
        """Takes as long where `stored` is "", which nothing matches. Raises Busy."""
        return await self._off_the_loop(self._verify, stored or NOBODY, password) and bool(stored)

    def is_outdated(self, stored: str) -> bool:
        """Whether it was made with other parameters than those of today."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _off_the_loop(self, work: Callable[[str, str], Found], stored: str, password: str) -> Found:
        if self._waiting >= MOST_WAITING:
            raise Busy("Too many people sign in at this moment.", retry_after_s=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work, stored, normal(password))
        finally:
            self._waiting -= 1

    def _hash(self, _: str, password: str) -> str:
        return self._hasher.hash(password)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False


def normal(password: str) -> str:
    """The same characters however a keyboard composes them (NIST SP 800-63B, 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, *own: str, field: str = "password") -> None:
    """Raises Invalid for one that is too short, or among the first that anybody guesses; `own` are the person's name
    and address. What was found is never repeated."""
    found = normal(password)
    if len(found) < LEAST:
        raise Invalid(field, f"{len(found)} characters", f"at least {LEAST} characters")
    if len(found) > MOST:
        raise Invalid(field, f"{len(found)} characters", f"at most {MOST} characters")
    if is_common(found, own):
        raise Invalid(field, "one that is guessed early", "no well-known word or phrase, name of yours or row of keys")


def is_common(password: str, own: tuple[str, ...]) -> bool:
    plain = "".join(password.lower().split())
    if len(set(plain)) < 5 or any(plain in row * 3 or plain in row[::-1] * 3 for row in ROWS):
        return True
    names = {part for name in own for part in name.lower().replace("@", " ").replace(".", " ").split() if len(part) > 2}
    return any(is_made_of(form, COMMON | names) for form in (plain, plain.translate(LEET)))


def is_made_of(text: str, words: set[str]) -> bool:
    """Words of the list, in any number, with digits and marks between and around them, and no more than three letters
    beside."""
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, " ")
    return " " in text and sum(mark.isalpha() for mark in text) <= 3
