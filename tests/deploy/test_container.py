"""The image: built from its Dockerfile, run as it says by an OCI runtime, read-only and without any right.

There is no daemon and no registry in this: the base is Debian from its own mirror, `buildah` builds, `runc` runs, with
the system calls that container engines allow. The Compose file is read by the library of `docker compose`.
"""

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from tests.deploy.debian import debian, need, run
from tests.end_to_end.process import steady_port
from tocsin.cli.main import app
from tocsin.settings import defaults

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "deploy/docker"
COMPOSE_READER = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"
ENGINES_FILTER = Path("/usr/share/containers/seccomp.json")
"""The default of Podman, Buildah and CRI-O; Docker's is of the same origin."""

USER = 10001
STARTING_S = 60.0


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text("utf-8"))
    return found


def test_compose_names_commands_and_settings_that_are_there() -> None:
    services = compose()["services"]
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    ours = [service for service in services.values() if service["image"] == "tocsin"]
    assert len(ours) == 3
    for service in ours:
        assert service["command"][0] in known
        named = {name for name in service["environment"] if name.startswith("TOCSIN_")}
        assert named
        assert named <= set(defaults())
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]


def test_compose_asks_for_what_its_example_has() -> None:
    asked = set(re.findall(r"\$\{(\w+)", (DOCKER / "compose.yaml").read_text("utf-8")))
    given = set(re.findall(r"^(\w+)=", (DOCKER / ".env.example").read_text("utf-8"), re.MULTILINE))
    assert asked == given


def test_what_the_image_is_made_of_gets_into_the_build() -> None:
    copied = re.findall(r"^COPY (?!--from)(\S+)", (DOCKER / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    let_in = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE)
    assert sorted(copied) == sorted(let_in)


# The long form.


@pytest.mark.proof
def test_compose_is_taken_by_the_library_that_reads_it(tmp_path: Path) -> None:
    need("go")
    run("go", "install", COMPOSE_READER, env=os.environ | {"GOBIN": str(tmp_path)})
    reader = tmp_path / "cmd"
    shutil.copy(DOCKER / "compose.yaml", tmp_path)
    refused = subprocess.run([reader, "compose.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "required variable TOCSIN_SECRET_KEY is missing a value: set it in .env" in refused.stderr + refused.stdout
    given = (DOCKER / "compose.yaml").read_text("utf-8").replace(":?set it in .env}", ":-given}")
    (tmp_path / "compose.yaml").write_text(given)
    project = json.loads(run(reader, "-format", "json", "compose.yaml", cwd=tmp_path))
    services = project["services"]
    assert set(services) == {"api", "migrate", "nats", "postgres", "stream", "worker"}
    assert services["worker"]["environment"]["TOCSIN_SECRET_KEY"] == "given"
    assert services["worker"]["environment"]["TOCSIN_BUS_URL"]
    assert services["worker"]["deploy"]["replicas"] == 2
    assert services["api"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert services["api"]["ports"] == [
        {"mode": "ingress", "host_ip": "127.0.0.1", "target": 8000, "published": "8000", "protocol": "tcp"}
    ]


class Image:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.buildah = ("buildah", "--root", folder / "store", "--runroot", folder / "run", "--storage-driver", "vfs")

    def build(self, base: Path) -> None:
        scratch = self.run("from", "scratch").strip()
        self.run("add", "-q", scratch, base, "/")
        self.run("commit", "-q", "--format", "docker", scratch, "base")
        self.run(
            "build", "--isolation", "chroot", "--format", "docker", "--build-arg", "BASE=localhost/base",
            "-f", DOCKER / "Dockerfile", "-t", "tocsin", ROOT,
        )  # fmt: skip
        self.config = json.loads(self.run("inspect", "--type", "image", "tocsin"))["Docker"]["config"]
        self.root = Path(self.run("mount", self.run("from", "localhost/tocsin").strip()).strip())

    def run(self, *command: object) -> str:
        return run(*self.buildah, *command)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    need("buildah", "runc")
    assert os.geteuid() == 0, "An image is built and run by root here."
    folder = tmp_path_factory.mktemp("image")
    try:
        run("make", "dist", cwd=ROOT)
        made = Image(folder)
        made.build(debian(folder / "base"))
        yield made
    finally:
        shutil.rmtree(folder)


def allowed_calls() -> dict[str, Any]:
    """The engines' filter for a process without capabilities on this architecture, as OCI writes it."""
    given = json.loads(ENGINES_FILTER.read_text("utf-8"))
    rules = [
        {name: rule[name] for name in ("names", "action", "args", "errnoRet") if rule.get(name) is not None}
        for rule in given["syscalls"]
        if not rule.get("includes", {}).get("caps") and "amd64" in rule.get("includes", {}).get("arches", ["amd64"])
    ]
    return {
        "defaultAction": given["defaultAction"],
        "defaultErrnoRet": given["defaultErrnoRet"],
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": rules,
    }


class Container:
    """One container of the image: its own processes and network, no capability, `/data` on a volume. With `outside` it
    has this machine's network, which stands in for the one that Compose makes."""

    def __init__(
        self, image: Image, folder: Path, command: list[str], given: dict[str, str], *, read_only: bool, outside: bool
    ) -> None:
        self.image = image
        self.name = f"tocsin-{os.getpid()}-{folder.name}"
        self.folder = folder
        self.runtime = ("runc", "--root", folder / "runc")
        self.data = folder / "data"
        self.data.mkdir()
        os.chown(self.data, USER, USER)
        user, group = map(int, image.config["User"].split(":"))
        run("runc", "spec", cwd=folder)
        spec = json.loads((folder / "config.json").read_text())
        spec["process"] |= {
            "terminal": False,
            "user": {"uid": user, "gid": group},
            "args": image.config["Entrypoint"] + command,
            "env": image.config["Env"] + [f"{name}={value}" for name, value in given.items()],
            "cwd": image.config["WorkingDir"] or "/",
            "capabilities": {},
            "noNewPrivileges": True,
            "rlimits": [],
        }
        spec["root"] = {"path": str(image.root), "readonly": read_only}
        spec["linux"]["seccomp"] = allowed_calls()
        spec["mounts"] = [mount for mount in spec["mounts"] if mount["destination"] != "/sys/fs/cgroup"] + [
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]},
            {"destination": "/data", "type": "bind", "source": str(self.data), "options": ["rbind", "rw"]},
        ]
        if outside:
            spec["linux"]["namespaces"].remove({"type": "network"})
        (folder / "config.json").write_text(json.dumps(spec))

    def start(self) -> "subprocess.Popen[str]":
        with (self.folder / "log").open("w") as log:
            return subprocess.Popen(
                [*map(str, self.runtime), "run", self.name], cwd=self.folder, stdout=log, stderr=log, text=True
            )

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def do(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """A command in the container, as `docker exec` has it."""
        words = [*map(str, self.runtime), "exec", self.name, *command]
        return subprocess.run(words, capture_output=True, text=True, timeout=60)

    def health(self) -> "subprocess.CompletedProcess[str]":
        kind, *command = self.image.config["Healthcheck"]["Test"]
        assert kind == "CMD"
        return self.do(*command)

    def signal(self, name: str) -> None:
        run(*self.runtime, "kill", self.name, name)

    def remove(self) -> None:
        subprocess.run([*map(str, self.runtime), "delete", "-f", self.name], capture_output=True)


@contextlib.contextmanager
def container(
    image: Image,
    folder: Path,
    command: list[str],
    given: dict[str, str] | None = None,
    *,
    read_only: bool = True,
    outside: bool = False,
) -> Iterator[Container]:
    folder.mkdir(exist_ok=True)
    made = Container(image, folder, command, given or {}, read_only=read_only, outside=outside)
    try:
        yield made
    finally:
        made.remove()


def wait_until_healthy(served: Container, process: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + STARTING_S
    while served.health().returncode != 0:
        assert process.poll() is None, served.log()
        assert time.monotonic() < until, served.log()


def changed(root: Path, since: float) -> list[str]:
    found = []
    for path in root.rglob("*"):
        name = str(path.relative_to(root))
        if name.split("/")[0] not in ("data", "tmp", "proc", "sys", "dev") and path.lstat().st_ctime > since:
            found.append(name)
    return found


@pytest.mark.proof
def test_the_image_holds_what_runs_and_nothing_to_build_with(image: Image) -> None:
    size = int(run("du", "-smx", image.root).split()[0])
    base = int(run("du", "-smx", image.folder / "base").split()[0])
    print(f"image: {size} MB, of which the base is {base} MB")
    assert image.config["User"] == f"{USER}:{USER}"
    assert not (image.root / "opt/tocsin/bin/pip").exists()
    assert not list(image.root.glob("src/*"))
    assert not shutil.which("gcc", path=str(image.root / "usr/bin"))
    assert oct((image.root / "data").stat().st_mode)[-3:] == "700"
    assert (image.root / "data").stat().st_uid == USER
    files = [path for path in (image.root / "opt").rglob("*") if not path.is_symlink()]
    assert not [path for path in files if path.stat().st_mode & 0o22 or path.stat().st_uid != 0]
    started = ["chroot", str(image.root), "/opt/tocsin/bin/python3", "-B", "-v", "-c", "import tocsin.web.server"]
    told = subprocess.run(started, capture_output=True, text=True, check=True).stderr
    assert re.search(r"code object from '/opt/tocsin/.*\.pyc'", told)
    assert not re.search(r"code object from /opt/tocsin", told), "each start compiles it anew"


@pytest.mark.proof
def test_the_demo_tells_its_story_in_it(image: Image, tmp_path: Path) -> None:
    """With a root that could be written to: nothing is."""
    began = time.time()
    with container(image, tmp_path, ["demo", "--exit-after-story"], read_only=False) as demo:
        assert demo.start().wait(120) == 0, demo.log()
        assert not changed(image.root, began)
        assert not list(demo.data.iterdir()), "the demo keeps nothing"


@pytest.mark.proof
def test_it_serves_is_healthy_and_ends_when_it_is_told_to(image: Image, tmp_path: Path) -> None:
    with container(image, tmp_path, image.config["Cmd"]) as served:
        process = served.start()
        wait_until_healthy(served, process)
        made = served.do("tocsin", "token", "create", "--role", "admin", "--name", "first")
        assert made.returncode == 0, made.stderr
        token = made.stdout.strip()
        sent = served.do("env", f"TOCSIN_TOKEN={token}", "tocsin", "send", "run.failed", "--pipeline", "etl/orders")
        assert sent.returncode == 0, sent.stderr
        seen = served.do("env", f"TOCSIN_TOKEN={token}", "tocsin", "events", "-o", "json")
        assert seen.returncode == 0, seen.stderr
        assert "etl/orders" in seen.stdout
        assert served.do("touch", "/opt/tocsin/mark").returncode != 0
        status = served.do("cat", "/proc/1/status").stdout
        assert re.search(rf"^Uid:\t{USER}\t", status, re.MULTILINE)
        assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
        assert re.search(r"^Seccomp:\t2$", status, re.MULTILINE)
        served.signal(image.config["StopSignal"])
        assert process.wait(40) == 0, served.log()
        assert {path.stat().st_uid for path in served.data.rglob("*")} == {USER}
        assert (served.data / "tocsin.db").exists(), list(served.data.iterdir())
        told = [json.loads(line)["event"] for line in served.log().splitlines() if line.startswith("{")]
        assert told[-1] == "stopped"


@pytest.mark.proof
def test_its_health_follows_the_port(image: Image, tmp_path: Path) -> None:
    with container(image, tmp_path, ["serve"], {"TOCSIN_PORT": "8017"}) as served:
        process = served.start()
        wait_until_healthy(served, process)
        served.signal("KILL")
        process.wait(40)
        assert not re.search(r"8000", served.log())


@pytest.mark.proof
def test_a_volume_that_it_may_not_write_to_is_a_clear_end(image: Image, tmp_path: Path) -> None:
    with container(image, tmp_path, ["serve"]) as served:
        os.chown(served.data, 0, 0)
        os.chmod(served.data, 0o755)
        assert served.start().wait(60) not in (0, -9)
        assert f"TOCSIN_DATA_DIR=/data: Permission denied. User {USER}" in served.log()
        assert "Traceback" not in served.log(), served.log()


@pytest.mark.proof
def test_it_does_on_postgresql_what_compose_has_it_do(image: Image, tmp_path: Path, postgres_dsn: str) -> None:
    """The commands and settings of the three services, one after the other, with PostgreSQL at the other end."""
    services = compose()["services"]
    port = str(steady_port())
    here = {
        "TOCSIN_DATABASE_URL": postgres_dsn,
        "TOCSIN_SECRET_KEY": base64.b64encode(bytes(32)).decode(),
        "TOCSIN_PORT": port,
        "TOCSIN_HOST": "127.0.0.1",
    }
    given = services["api"]["environment"] | {"TOCSIN_PUBLIC_URL": ""} | here
    with container(image, tmp_path / "migrate", services["migrate"]["command"], given, outside=True) as migrate:
        assert migrate.start().wait(STARTING_S) == 0, migrate.log()
    with (
        container(image, tmp_path / "api", services["api"]["command"], given, outside=True) as api,
        container(image, tmp_path / "worker", services["worker"]["command"], given, outside=True) as worker,
    ):
        answering, working = api.start(), worker.start()
        wait_until_healthy(api, answering)
        token = api.do("tocsin", "token", "create", "--role", "admin", "--name", "first").stdout.strip()
        told = ("env", f"TOCSIN_URL=http://127.0.0.1:{port}", f"TOCSIN_TOKEN={token}", "tocsin")
        sent = api.do(*told, "send", "run.failed", "--pipeline", "etl/orders")
        assert sent.returncode == 0, sent.stderr
        assert "etl/orders" in api.do(*told, "events", "-o", "json").stdout
        until = time.monotonic() + STARTING_S
        while '"event": "working"' not in worker.log():
            assert time.monotonic() < until, worker.log()
            assert working.poll() is None, worker.log()
            time.sleep(0.1)
        for one, process in ((api, answering), (worker, working)):
            one.signal(image.config["StopSignal"])
            assert process.wait(40) == 0, one.log()
            assert not list(one.data.iterdir()), "with PostgreSQL nothing is kept beside it"
