"""Real brokers for tests, on loopback; each keeps its data in a folder and comes back after a kill as it was."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

BIN = Path(sys.executable).parent
STARTING_S = 15.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Broker:
    """One process. `kill` is SIGKILL; `start` again brings it back at its old port with its old data. `env` is all of
    its environment, where it is not ours."""

    def __init__(
        self, command: Sequence[str], port: int, folder: Path, env: Mapping[str, str] | None = None, slow: float = 1.0
    ) -> None:
        self.command = command
        self.port = port
        self.folder = folder
        self.env = env
        self.starting_s = STARTING_S * slow
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Broker":
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command, cwd=self.folder, env=self.env, stdout=log, stderr=log)
        until = time.monotonic() + self.starting_s
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                assert self.process.poll() is None, (self.folder / "log").read_text()[-2000:]
                if time.monotonic() > until:
                    self.kill()
                    raise AssertionError("the broker did not start") from None
                time.sleep(0.01)
            else:
                return self

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()


@contextmanager
def nats_server(folder: Path) -> Iterator[Broker]:
    """JetStream that syncs what it acknowledges, as a broker does that loses nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    (folder / "nats.conf").write_text(
        f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: "{folder}/data", sync_interval: always }}\n'
    )
    broker = Broker([str(BIN / "nats-server"), "-c", str(folder / "nats.conf")], port, folder).start()
    try:
        yield broker
    finally:
        broker.stop()


@contextmanager
def redis_server(folder: Path) -> Iterator[Broker]:
    """Every write is on the disk when it is answered."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [str(BIN / "redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    broker = Broker([*command, "--appendonly", "yes", "--appendfsync", "always", "--save", ""], port, folder).start()
    try:
        yield broker
    finally:
        broker.stop()


RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Debian's, without its wrapper, which would run it as another user and with the system's data folder."""
NO_RABBITMQ = "No RabbitMQ: apt-get install --no-install-recommends rabbitmq-server"


@contextmanager
def rabbitmq_server(folder: Path) -> Iterator[Broker]:
    """RabbitMQ as Debian has it, in a folder of its own, on loopback, with one core and at most 256 MB. Erlang's names
    are kept by an epmd of its own."""
    epmd = shutil.which("epmd")
    assert epmd, NO_RABBITMQ
    assert RABBITMQ.exists(), NO_RABBITMQ
    folder.mkdir(parents=True, exist_ok=True)
    port, names = free_port(), free_port()
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.default = 127.0.0.1:{port}\nvm_memory_high_watermark.absolute = 256MB\n"
        "disk_free_limit.absolute = 10MB\n"
    )
    (folder / "plugins").write_text("[].\n")
    (folder / "nothing").write_text("")
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "ERL_EPMD_PORT": str(names),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"tocsin-{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "nothing"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
        "RUNNING_UNDER_SYSTEMD": "true",  # one process, which is the broker, rather than a shell around it
    }
    known = Broker([epmd, "-address", "127.0.0.1", "-port", str(names)], names, folder, env).start()
    broker = Broker([str(RABBITMQ)], port, folder, env, slow=6)
    try:
        yield broker.start()
    finally:
        broker.stop()
        known.stop()


class MockKafka:
    """librdkafka's own mock of a cluster, in this process: real sockets and Kafka's protocol, groups and offsets."""

    def __init__(self) -> None:
        self.producer = Producer({"test.mock.num.brokers": "1", "bootstrap.servers": "mock", "log_level": 0})
        (broker,) = self.producer.list_topics(timeout=STARTING_S).brokers.values()
        self.port = int(broker.port)

    def send(self, topic: str, body: bytes | None, headers: Sequence[tuple[str, bytes]] = (), key: str = "k") -> None:
        self.producer.produce(topic, body, key=key, headers=list(headers))

    def flush(self) -> None:
        assert self.producer.flush(STARTING_S) == 0

    def committed(self, group: str, topic: str) -> int:
        """Up to which offsets the group is done, all partitions together."""
        consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{self.port}", "group.id": group})
        numbers = self.producer.list_topics(topic, timeout=STARTING_S).topics[topic].partitions
        found = consumer.committed([TopicPartition(topic, number) for number in numbers], timeout=STARTING_S)
        consumer.close()
        return sum(max(0, partition.offset) for partition in found)
