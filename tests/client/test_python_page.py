"""What docs/python.md shows is run."""

import os
import subprocess
import sys
from pathlib import Path

from tests.client.conftest import FakeServer
from tests.test_docs import TEXTS, blocks

ROOT = Path(__file__).parents[2]


def test_every_example_runs_and_tells_what_it_says(server: FakeServer, tmp_path: Path) -> None:
    examples = [body for _, body in blocks(TEXTS["docs/python.md"], "run")]
    assert len(examples) == 3
    examples[1] += "\nimport asyncio\nassert asyncio.run(pipeline()) == 24\n"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TOCSIN_", "SLACK_"))}
    environment = kept | {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "clients/python/src")]),
        "TOCSIN_URL": server.url,
        "TOCSIN_DATA_DIR": str(tmp_path / "data"),
        "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T00000000/B00000000/" + "x" * 24,
        "TOCSIN_CONNECT_TO": "hooks.slack.com=http://127.0.0.1:9",
        "TOCSIN_ALLOW_TARGETS": "127.0.0.0/8",
    }
    for example in examples:
        done = subprocess.run(
            [sys.executable, "-c", example], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    told = [event["type"] for event in server.events]
    run = ["run.started", "stage.started", "stage.succeeded", "stage.started", "stage.progress", "stage.succeeded"]
    assert told[:7] == [*run, "run.succeeded"]
    assert told[7:] == ["run.started", "stage.started", "stage.succeeded", "run.succeeded"]


def test_every_method_that_the_page_names_is_there() -> None:
    import inspect

    from tocsin_client import Run, Tocsin

    text = TEXTS["docs/python.md"]
    for name in ("emit", "run", "flush", "close", "stats"):
        assert f"`{name}(" in text
        assert hasattr(Tocsin, name)
    for name in ("start", "succeed", "fail", "cancel"):
        assert f"`{name}(" in text
        assert hasattr(Run, name)
    parameters = set(inspect.signature(Run).parameters)
    assert {"labels", "data", "links", "title", "attempt", "capture_logs", "noun", "heartbeat_s"} <= parameters
