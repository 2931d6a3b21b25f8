"""`tocsin audit`: the trail, where the store is."""

import json
from pathlib import Path

import apsw

from tests.cli.conftest import Invoke


def test_head_verify_and_export(invoke: Invoke, tmp_path: Path) -> None:
    # S4-09; S26 of the security matrix
    for user in ("ana", "ben"):
        assert invoke("token", "create", "--role", "admin", "--user", user, "--tenant", "acme").code == 0
    head = invoke("audit", "head", "--tenant", "acme").out.strip()
    lines = [json.loads(line) for line in invoke("audit", "export", "--tenant", "acme").out.splitlines()]
    assert [line["action"] for line in lines] == ["tenant.create", "token.create", "token.create"]
    assert {line["actor"] for line in lines} == {"command line"}
    assert "@" in lines[0]["user_agent"]
    assert invoke("audit", "verify", "--tenant", "acme", "--head", head).code == 0
    (whole,) = invoke("audit", "verify", "--tenant", "acme", "-o", "json").json
    assert (whole["ok"], whole["entries"], whole["head"]) == (True, 3, head)

    with apsw.Connection(str(tmp_path / "data" / "tocsin.db")) as connection:
        connection.execute("DELETE FROM audit WHERE tenant_id = 'acme' AND number = 3")
        connection.execute(
            "UPDATE audit_head SET number = 2, hash = (SELECT hash FROM audit WHERE tenant_id = 'acme' AND number = 2) "
            "WHERE tenant_id = 'acme'"
        )
    assert invoke("audit", "verify", "--tenant", "acme").code == 0
    cut = invoke("audit", "verify", "--tenant", "acme", "--head", head, "-o", "json")
    assert cut.code == 1
    assert (cut.json[0]["bad"], cut.json[0]["ok"]) == (3, False)
    assert "cut off" in cut.json[0]["found"]


def test_a_tenant_without_a_trail(invoke: Invoke) -> None:
    assert invoke("audit", "head", "--tenant", "nobody").code == 1
    assert invoke("audit", "export", "--tenant", "nobody").out == ""
    assert invoke("audit", "verify", "--tenant", "nobody").code == 0
