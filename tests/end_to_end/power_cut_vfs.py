"""A disk whose power can be cut, as an SQLite VFS: what was not synced is held in memory and dies with the process.

`kill -9` is the power cut: the files then hold exactly what a disk would, which may be opened as usual. A disk may also
write any page at any time, in any order, before it is asked to: `writeback` is the chance of that for each write. And a
disk may fail: `good_syncs` is how many syncs go well, and the one after them is answered with an error, once.
"""

import random
from typing import Any

import apsw


class Cache:
    """A file as its readers see it, and which parts of that the disk has not got yet."""

    def __init__(self, content: bytes) -> None:
        self.content = bytearray(content)
        self.dirty: dict[int, int] = {}  # offset to end, as they were written
        self.shrunk_to: int | None = None

    def read(self, amount: int, offset: int) -> bytes:
        return bytes(self.content[offset : offset + amount])

    def write(self, data: bytes, offset: int) -> None:
        gap = offset - len(self.content)
        if gap > 0:
            self.content += bytes(gap)
        self.content[offset : offset + len(data)] = data
        self.dirty[offset] = max(self.dirty.get(offset, 0), offset + len(data))

    def truncate(self, size: int) -> None:
        del self.content[size:]
        self.content += bytes(size - len(self.content))
        self.shrunk_to = size if self.shrunk_to is None else min(size, self.shrunk_to)
        self.dirty = {offset: min(end, size) for offset, end in self.dirty.items() if offset < size}


class PowerCutFile(apsw.VFSFile):
    """Every connection of the process to one file shares its cache."""

    def __init__(self, vfs: "PowerCutVfs", name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self.vfs = vfs
        caches = vfs.caches
        path = name if isinstance(name, str) else name.filename()
        if path not in caches:
            size = super().xFileSize()
            caches[path] = Cache(super().xRead(size, 0) if size else b"")
        self.cache = caches[path]

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        return self.cache.read(amount, offset)

    def xFileSize(self) -> int:  # noqa: N802
        return len(self.cache.content)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self.cache.write(data, offset)
        if self.vfs.writeback and random.random() < self.vfs.writeback:
            super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self.cache.truncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802
        """The disk gets everything; only then may anybody say that it is safe."""
        self.vfs.good_syncs -= 1
        if self.vfs.good_syncs == -1:
            raise apsw.IOError("the disk failed, as the test wants it")
        cache = self.cache
        if cache.shrunk_to is not None:
            super().xTruncate(cache.shrunk_to)
            cache.shrunk_to = None
        dirty, cache.dirty = cache.dirty, {}
        for offset, end in sorted(dirty.items()):
            super().xWrite(bytes(cache.content[offset:end]), offset)


class PowerCutVfs(apsw.VFS):
    """Registered under `name` for as long as it lives."""

    name = "power-cut"

    def __init__(self, writeback: float, good_syncs: int) -> None:
        self.caches: dict[str, Cache] = {}
        self.writeback = writeback
        self.good_syncs = good_syncs
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return PowerCutFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        self.caches.pop(filename, None)
        super().xDelete(filename, syncdir)
