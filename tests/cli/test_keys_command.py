"""`tocsin keys`: which key seals how much, and another one."""

import base64
from pathlib import Path

from tests.cli.conftest import Invoke

OLD, NEW = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))


def test_from_one_key_to_another(invoke: Invoke) -> None:
    # S4-12 S22
    assert invoke("token", "create", "--role", "admin", TOCSIN_SECRET_KEY=OLD).code == 0
    first = invoke("keys", "status", "-o", "json", TOCSIN_SECRET_KEY=OLD)
    assert first.code == 0
    assert {use["state"] for use in first.json} == {"active"}
    waiting = invoke("keys", "status", "-o", "json", TOCSIN_SECRET_KEY=f"{NEW},{OLD}")
    assert waiting.code == 1
    assert "tocsin keys rotate" in waiting.err
    assert {use["state"] for use in waiting.json} == {"active", "known"}
    wrong = invoke("keys", "rotate", TOCSIN_SECRET_KEY=NEW)
    assert wrong.code == 1
    assert "TOCSIN_SECRET_KEY" in wrong.err
    unknown = invoke("keys", "status", TOCSIN_SECRET_KEY=NEW)
    assert unknown.code == 1
    assert "Put the key" in unknown.err
    done = invoke("keys", "rotate", TOCSIN_SECRET_KEY=f"{NEW},{OLD}")
    assert done.code == 0
    assert invoke("keys", "status", TOCSIN_SECRET_KEY=NEW).code == 0
    assert invoke("keys", "rotate", TOCSIN_SECRET_KEY=NEW).code == 0
    assert invoke("audit", "verify", TOCSIN_SECRET_KEY=NEW).code == 0
    for one in (first, waiting, wrong, unknown, done):
        assert OLD not in one.out + one.err
        assert NEW not in one.out + one.err


def test_no_key_is_made_to_look(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("keys", "status")
    assert done.code == 2
    assert "There is no key here" in done.err
    assert not (tmp_path / "data").exists()
