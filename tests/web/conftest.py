"""What the tests of people share."""

import pytest

from tocsin.web import passwords


@pytest.fixture
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """argon2id with little work. What it costs in earnest is tested by test_passwords.py."""
    monkeypatch.setattr(passwords, "MEMORY_KIB", 64)
    monkeypatch.setattr(passwords, "ROUNDS", 1)
    monkeypatch.setattr(passwords, "NOBODY", passwords.NOBODY.replace("m=19456,t=2", "m=64,t=1"))
