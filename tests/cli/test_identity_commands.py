"""`tocsin token`, `members` and `tenant`: where the store is, without a server."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Invoke
from tocsin.app import App
from tocsin.model.access import is_token
from tocsin.settings import read_settings
from tocsin.web.auth import Tokens


def me(folder: Path, token: str) -> Any:
    """Who a server would take the token for."""

    async def asked() -> Any:
        app = await App.open(read_settings({"TOCSIN_DATA_DIR": str(folder / "data")}), works=False)
        try:
            return await Tokens(app.db, app.clock_ms, app.beside).principal(f"Bearer {token}".encode())
        finally:
            await app.close()

    return asyncio.run(asked())


def test_a_token_is_printed_alone(invoke: Invoke, tmp_path: Path) -> None:
    done = invoke("token", "create", "--role", "developer", "--user", "ana", "--scope", "ingest", "--expires", "12h")
    assert done.code == 0
    token = done.out.strip()
    assert is_token(token)
    found = me(tmp_path, token)
    assert (found.tenant_id, found.user_id, found.role, found.scopes) == ("default", "ana", "developer", {"ingest"})
    assert found.expires_ms is not None
    assert not found.is_operator


def test_an_operators_token_is_of_no_tenant(invoke: Invoke, tmp_path: Path) -> None:
    found = me(tmp_path, invoke("token", "create", "--operator").out.strip())
    assert (found.role, found.is_operator, found.scopes) == ("operator", True, {"read", "write"})
    assert invoke("token", "list", "-o", "json").json == []
    (listed,) = invoke("token", "list", "--operator", "-o", "json").json
    assert listed["role"] == "operator"
    assert invoke("token", "revoke", "--operator", listed["id"]).code == 0
    assert invoke("token", "list", "--operator", "-o", "json").json == []


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--role", "owner"),
        ("--role", "admin", "--operator"),
        ("--operator", "--tenant", "ml"),
        ("--operator", "--scope", "ingest"),
        ("--role", "viewer", "--scope", "admin"),
        ("--role", "viewer", "--expires", "soon"),
        ("--role", "viewer", "--tenant", "_operator"),
        ("--role", "viewer", "--tenant", "a b"),
        ("--role", "viewer", "--user", " "),
    ],
    ids=" ".join,
)
def test_tokens_that_cannot_be(invoke: Invoke, words: tuple[str, ...]) -> None:
    done = invoke("token", "create", *words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("tocsin: ")


def test_tokens_are_listed_and_revoked(invoke: Invoke) -> None:
    invoke("token", "create", "--role", "admin", "--name", "first")
    (listed,) = invoke("token", "list", "-o", "json").json
    assert (listed["name"], listed["scopes"]) == ("first", ["admin", "ingest", "read", "write"])
    assert invoke("token", "revoke", listed["id"]).code == 0
    assert invoke("token", "revoke", listed["id"]).code == 2
    assert invoke("token", "list", "-o", "json").json == []
    (revoked,) = invoke("token", "list", "--all", "-o", "json").json
    assert revoked["revoked_at"] is not None


def test_members(invoke: Invoke) -> None:
    for user, role in (("ana", "admin"), ("ben", "developer"), ("ben", "viewer")):
        assert invoke("members", "set", user, "--role", role).code == 0
    rows = invoke("members", "list", "-o", "json").json
    assert [(row["user_id"], row["role"]) for row in rows] == [("ana", "admin"), ("ben", "viewer")]
    last = invoke("members", "remove", "ana")
    assert (last.code, "last admin" in last.err) == (2, True)
    assert invoke("members", "set", "ana", "--role", "viewer").code == 2
    assert invoke("members", "remove", "ben").code == 0
    assert invoke("members", "remove", "ben").code == 2
    assert invoke("members", "set", "ana", "--role", "owner").code == 2
    assert invoke("members", "list", "--tenant", "none").code == 2


def test_a_lower_member_gets_no_higher_token(invoke: Invoke) -> None:
    assert invoke("members", "set", "ben", "--role", "viewer").code == 0
    done = invoke("token", "create", "--role", "admin", "--user", "ben")
    assert (done.code, done.out) == (2, "")
    assert "at most viewer" in done.err


def test_tenants(invoke: Invoke) -> None:
    assert invoke("tenant", "create", "ml", "--name", "Machine learning").code == 0
    assert invoke("tenant", "create", "ml").code == 2
    assert invoke("tenant", "rename", "ml", "ML").code == 0
    assert invoke("tenant", "suspend", "ml").code == 0
    rows = {row["id"]: row for row in invoke("tenant", "list", "-o", "json").json}
    assert (rows["ml"]["name"], rows["ml"]["is_suspended"]) == ("ML", True)
    assert set(rows) == {"default", "ml"}
    assert invoke("tenant", "resume", "ml").code == 0
    assert invoke("tenant", "delete", "ml").code == 0
    assert [row["id"] for row in invoke("tenant", "list", "-o", "json").json] == ["default"]
    for words in (("delete", "default"), ("suspend", "ml"), ("suspend", "_operator"), ("create", "ml")):
        assert invoke("tenant", *words).code == 2


def test_what_is_typed_is_in_the_trail(invoke: Invoke) -> None:
    # S4-09
    invoke("tenant", "create", "ml")
    invoke("members", "set", "ana", "--role", "admin", "--tenant", "ml")
    invoke("token", "create", "--role", "viewer", "--tenant", "ml", "--user", "ben")
    invoke("tenant", "suspend", "ml")
    exported = invoke("audit", "export", "--tenant", "ml")
    actions = [line.split('"action":"')[1].split('"')[0] for line in exported.out.splitlines()]
    assert actions == ["tenant.create", "member.create", "token.create", "tenant.suspend"]
    assert '"actor":"command line"' in exported.out
