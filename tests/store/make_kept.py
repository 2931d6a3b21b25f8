"""Makes `tests/store/kept/`: the rows that an earlier version wrote, for `test_kept.py` to migrate.

    python -m tests.store.make_kept

Takes that version out of this repository's history, as `tests/end_to_end/test_released.py` does, and drives it through
its API. Run it for another version only: what is kept stays as it was written.
"""

import base64
import json
import tempfile
from pathlib import Path
from typing import Any

import apsw

from tests.end_to_end.process import SECRET, Server, wait_for
from tests.end_to_end.receiver import Receiver
from tests.end_to_end.test_released import NOT_SINCE, Before

KEPT = Path(__file__).with_name("kept")


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as name,
        Receiver(Path(name) / "receiver") as receiver,
        Before(Path(name) / "before", NOT_SINCE) as old,
    ):
        server = old.server().start()
        ids = fill(server, receiver)
        assert server.stop() == 0
        kept = {
            "key": (old.data_dir / "secret.key").read_text().strip(),
            "token": old.token,
            "ids": ids,
            "tables": rows_of(old.data_dir / "tocsin.db"),
        }
    file = KEPT / f"before-{NOT_SINCE:04d}.json"
    file.write_text(as_lines(kept))
    print(f"{file}: {file.stat().st_size:,} bytes")


def fill(server: Server, receiver: Receiver) -> dict[str, str]:
    """Something of everything that people set up then, and messages in several states. Returns ids by name."""

    def made(path: str, body: dict[str, Any]) -> str:
        status, _, answer = server.call("POST", path, body)
        assert status in (201, 202), (path, answer)
        return str(answer.get("id") or answer.get("user_id") or answer.get("name"))

    def webhook(name: str, path: str, **more: Any) -> str:
        body = {"provider_type": "webhook", "name": name, "webhook_url": receiver.url(path), "secret": SECRET}
        return made("/v1/webhooks", body | more)

    ids = {
        "orders": webhook("orders", "/ok/orders", headers={"x-key": "a header's secret"}),
        "away": webhook("away", "/status/503"),
        "quiet": webhook("quiet", "/ok/quiet"),
    }
    ids["slack"] = made(
        "/v1/webhooks",
        {
            "provider_type": "slack",
            "name": "slack",
            "webhook_url": "https://hooks.slack.com/services/T00000000/B00000000/" + "x" * 24,
        },
    )
    for name in ("orders", "away", "quiet"):
        rule = {
            "name": name,
            "event_types": ["run.failed"],
            "pipelines": ["etl/*"],
            "webhook_endpoint_ids": [ids[name]],
        }
        ids[f"rule {name}"] = made("/v1/alert-rules", rule | {"condition": "data.rows > 10"})
    ids["silence"] = made(
        "/v1/silences",
        {"matchers": [{"field": "rule", "value": "quiet"}], "duration_s": 30 * 86_400, "reason": "maintenance"},
    )
    ids["secret"] = made("/v1/secrets", {"name": "API_KEY", "value": "a kept secret"})
    ids["member"] = made("/v1/members", {"user_id": "mia", "role": "developer", "name": "Mia"})
    for type_, rows in (("run.started", 0), ("run.failed", 12)):
        event = {"id": type_, "type": type_, "pipeline": "etl/orders", "run_id": "r1", "data": {"rows": rows}}
        made("/v1/events", event)
    wanted = {"orders": "delivered", "away": "retrying", "quiet": "suppressed"}

    def settled() -> bool:
        items = server.call("GET", "/v1/deliveries")[2]["items"]
        return {one["webhook_id"]: one["status"] for one in items} == {ids[n]: s for n, s in wanted.items()}

    wait_for("its messages are where they should be", settled, 20.0)
    assert server.call("DELETE", f"/v1/webhooks/{ids['slack']}")[0] == 204
    return ids


def rows_of(file: Path) -> dict[str, Any]:
    """Every table with rows; bytes as {"base64": …}."""
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    found: dict[str, Any] = {}
    names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    for (name,) in connection.execute(names).fetchall():
        columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')]
        rows = [[packed(value) for value in row] for row in connection.execute(f'SELECT * FROM "{name}"')]
        if rows:
            found[str(name)] = {"columns": columns, "rows": rows}
    connection.close()
    return found


def packed(value: Any) -> Any:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def as_lines(kept: dict[str, Any]) -> str:
    """JSON with a line for each row."""
    tables = ",\n".join(
        f'{json.dumps(name)}: {{"columns": {json.dumps(table["columns"])}, "rows": [\n'
        + ",\n".join(json.dumps(row) for row in table["rows"])
        + "\n]}"
        for name, table in kept["tables"].items()
    )
    rest = json.dumps({name: value for name, value in kept.items() if name != "tables"}, indent=1)
    return f'{rest[:-2]},\n "tables": {{\n{tables}\n}}}}\n'


if __name__ == "__main__":
    main()
