"""Passwords as they are kept, and what none is. S07 of the matrix."""

import asyncio
import statistics
import time

import pytest

from tocsin.model.errors import Busy
from tocsin.web.passwords import MEMORY_KIB, MOST_WAITING, NOBODY, ROUNDS, Passwords, is_common

pytestmark = pytest.mark.anyio

PASSWORD = "umbrella-grove-27-tulip"
PARAMETERS = f"$argon2id$v=19$m={MEMORY_KIB},t={ROUNDS},p=1$"


async def test_a_password_is_kept_as_argon2id_with_what_owasp_asks_for() -> None:
    # S07
    assert (MEMORY_KIB, ROUNDS) >= (19 * 1024, 2)
    passwords = Passwords()
    stored, again = await passwords.hash(PASSWORD), await passwords.hash(PASSWORD)
    assert stored.startswith(PARAMETERS)
    assert stored != again, "each has a salt of its own"
    assert await passwords.verify(stored, PASSWORD)
    assert not await passwords.verify(stored, PASSWORD + " ")
    assert not await passwords.verify("", PASSWORD)
    assert not await passwords.verify("not a hash", PASSWORD)


async def test_who_does_not_exist_takes_as_long() -> None:
    """S07. One comparison each, of the same cost: medians of tries that take turns."""
    assert NOBODY.startswith(PARAMETERS)
    passwords = Passwords()
    took: dict[str, list[float]] = {await passwords.hash(PASSWORD): [], "": []}
    for _ in range(9):
        for stored, times in took.items():
            began = time.process_time()
            assert not await passwords.verify(stored, "wrong-guess-number-1")
            times.append(time.process_time() - began)
    known, unknown = (statistics.median(times) for times in took.values())
    assert 0.5 < known / unknown < 2.0
    assert unknown > 0.005


async def test_one_made_with_less_work_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("tocsin.web.passwords.MEMORY_KIB", 64)
        stored = await Passwords().hash(PASSWORD)
    passwords = Passwords()
    assert await passwords.verify(stored, PASSWORD)
    assert passwords.is_outdated(stored)
    assert not passwords.is_outdated(await passwords.hash(PASSWORD))


async def test_many_at_once_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes memory: their number is bounded, and the loop goes on meanwhile."""
    passwords = Passwords()
    found = await asyncio.gather(*(passwords.hash(PASSWORD) for _ in range(MOST_WAITING + 4)), return_exceptions=True)
    assert sum(isinstance(one, Busy) for one in found) == 4
    assert await passwords.hash(PASSWORD)


async def test_characters_count_however_they_are_composed() -> None:
    passwords = Passwords()
    stored = await passwords.hash("Br\u00fccke-Tannen-Leuchte")
    assert await passwords.verify(stored, "Bru\u0308cke-Tannen-Leuchte")


@pytest.mark.parametrize(
    "password",
    ["Password1234", "P@ssw0rd!!2026", "qwertyuiop12", "123456789012", "098765432109", "aaaaaaaaaaaaaa", "abcdabcdabcd",
     "letmeinletmein", "mia.meyer@example.com", "MiaMeyer1985!", "tocsin-admin-1", "Summer2026!!!!", "zyxwvutsrqpo",
     "correct horse battery staple"],
)  # fmt: skip
async def test_what_is_guessed_first_is_none(password: str) -> None:
    # S07: 6.2.4
    assert is_common(password, ("mia.meyer@example.com", "Mia Meyer"))


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "xk7-grove-Tulip",
        "ubiquitous turtle",
        "horse pond lamp sky",
        "my password is a turtle",
        "T9$kd02-q!xPz",
    ],
)
async def test_others_are_some(password: str) -> None:
    assert not is_common(password, ("mia.meyer@example.com", "Mia Meyer"))
