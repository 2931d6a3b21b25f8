"""The flows of a folder, read anew when files change. A file that breaks keeps its flow as it was, and says why."""

import asyncio
import os
from pathlib import Path

import structlog
from msgspec import Struct
from msgspec.structs import replace

from tocsin.flows.model import Flow
from tocsin.flows.reading import read_flow
from tocsin.model.ids import DEFAULT_TENANT
from tocsin.model.yaml_text import Wrong

LOOK_S = 2.0
MOST_FILES = 1000
MOST_BYTES = 1024 * 1024
SUFFIXES = (".yml", ".yaml")
Stamp = tuple[int, int, int]
log = structlog.get_logger()


class Entry(Struct, frozen=True):
    """A file. `flow` is what it says, or said last; None where it never said anything that could be read. `error` is
    why the file as it is now cannot be used, "" where it can."""

    file: str
    flow: Flow | None = None
    error: str = ""


class Library:
    """`folder` "" has none. Flows of files are the operator's: they belong to the tenant "default"."""

    def __init__(self, folder: str = "") -> None:
        self.folder = folder
        self.entries: dict[str, Entry] = {}
        self.stamps: dict[str, Stamp] = {}

    def get(self, tenant_id: str, namespace: str, id_: str) -> Flow | None:
        return next((one for one in self.flows(tenant_id) if (one.namespace, one.id) == (namespace, id_)), None)

    def flows(self, tenant_id: str) -> list[Flow]:
        return [entry.flow for entry in self.shelf(tenant_id) if entry.flow is not None]

    def shelf(self, tenant_id: str) -> list[Entry]:
        """By file."""
        return [self.entries[file] for file in sorted(self.entries)] if tenant_id == DEFAULT_TENANT else []

    async def watch(self) -> None:
        """Looks every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Reads what has changed. What is wrong is logged, and stands in the entry."""
        if not self.folder:
            return
        try:
            found = files(Path(self.folder))
        except OSError as error:
            log.warning("flows.unreadable", folder=self.folder, reason=str(error))
            return
        entries = {file: entry for file, entry in self.entries.items() if file in found}
        stamps = {}
        for file, (path, stamp) in found.items():
            if file not in entries or self.stamps.get(file) != stamp or entries[file].error:
                entries[file] = self.read(file, path, entries)
            stamps[file] = stamp
        self.entries, self.stamps = entries, stamps

    def read(self, file: str, path: Path, entries: dict[str, Entry]) -> Entry:
        was = entries.get(file, Entry(file))
        try:
            flow = read_flow(file, text_of(path, file))
        except (Wrong, OSError) as error:
            return self.broken(was, str(error))
        others = (one for one in entries.values() if one.flow is not None and one.file != file)
        taken = next((one.file for one in others if one.flow is not None and one.flow.name == flow.name), "")
        if taken:
            return self.broken(was, f"{file}: the flow {flow.name} stands in {taken} already")
        if flow != was.flow:
            log.info("flows.read", file=file, flow=flow.name)
        return Entry(file, flow)

    def broken(self, was: Entry, error: str) -> Entry:
        if error != was.error:
            kept = was.flow.name if was.flow is not None else ""
            log.warning("flows.broken", file=was.file, reason=error, kept=kept)
        return replace(was, error=error)


def files(folder: Path) -> dict[str, tuple[Path, Stamp]]:
    """By their names in the folder. What begins with a dot is left out: editors and Kubernetes keep things there.
    Raises OSError."""
    found: dict[str, tuple[Path, Stamp]] = {}
    for root, folders, names in os.walk(folder, onerror=raised):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if name.startswith(".") or not name.endswith(SUFFIXES) or len(found) >= MOST_FILES:
                continue
            try:
                stat = path.stat()
            except OSError:  # it went meanwhile
                continue
            found[str(path.relative_to(folder))] = path, (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return found


def raised(error: OSError) -> None:
    raise error


def text_of(path: Path, name: str) -> str:
    """Raises Wrong, OSError."""
    with path.open("rb") as file:
        raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise Wrong(name, 0, "", f"more than {MOST_BYTES} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Wrong(name, raw[: error.start].count(b"\n") + 1, "", "no UTF-8") from None
