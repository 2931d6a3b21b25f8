"""What tests with real processes share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.process import steady_port
from tests.end_to_end.receiver import Receiver
from tests.postgres import PostgresServer, start_postgres


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with Receiver(tmp_path / "receiver") as receiver:
        yield receiver


@pytest.fixture(scope="module")
def durable_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server of this file's own, to be killed and stopped, which syncs as in production."""
    server = start_postgres(tmp_path_factory.mktemp("postgres"), durable=True, port=steady_port())
    yield server
    server.remove()
