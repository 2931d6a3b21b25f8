"""A disk whose power can be cut, as a FUSE file system: a write reaches the backing folder at fsync, not before.

    python -m tests.end_to_end.power_cut_fs BACKING MOUNT

SIGKILL is the power cut: what was not synced was in this process's memory, and is gone. Needs root, /dev/fuse and
libfuse2.
"""

import errno
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import fuse

from tests.end_to_end.power_cut_vfs import Cache


class PowerCutDisk(fuse.Operations):  # type: ignore[misc]
    """Files are cached whole: they are small, and few."""

    def __init__(self, backing: str) -> None:
        self.backing = backing
        self.caches: dict[str, Cache] = {}
        self.guard = threading.RLock()

    def place(self, path: str) -> str:
        return self.backing + path

    def cache(self, path: str) -> Cache:
        if path not in self.caches:
            with open(self.place(path), "rb") as file:
                self.caches[path] = Cache(file.read())
        return self.caches[path]

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        try:
            found = os.lstat(self.place(path))
        except OSError as error:
            raise fuse.FuseOSError(error.errno) from error
        names = ("st_atime", "st_ctime", "st_gid", "st_mode", "st_mtime", "st_nlink", "st_uid", "st_size")
        values = {name: getattr(found, name) for name in names}
        with self.guard:
            if path in self.caches:
                values["st_size"] = len(self.caches[path].content)
        return values

    def readdir(self, path: str, fh: int) -> Iterator[str]:
        yield from (".", "..", *os.listdir(self.place(path)))

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        with self.guard:
            os.close(os.open(self.place(path), os.O_RDWR | os.O_CREAT, mode))
            self.cache(path)
        return 1

    def open(self, path: str, flags: int) -> int:
        if not os.path.exists(self.place(path)):
            raise fuse.FuseOSError(errno.ENOENT)
        with self.guard:
            self.cache(path)
        return 1

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        with self.guard:
            return self.cache(path).read(size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        with self.guard:
            self.cache(path).write(data, offset)
        return len(data)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        with self.guard:
            self.cache(path).truncate(length)

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        """In place, part by part: what the disk held already stays whole however early the power goes."""
        with self.guard:
            cache = self.cache(path)
            with open(self.place(path), "r+b", buffering=0) as file:
                if cache.shrunk_to is not None:
                    file.truncate(cache.shrunk_to)
                    cache.shrunk_to = None
                dirty, cache.dirty = cache.dirty, {}
                for offset, end in sorted(dirty.items()):
                    os.pwrite(file.fileno(), bytes(cache.content[offset:end]), offset)
        return 0

    def flush(self, path: str, fh: int) -> int:
        return 0

    def release(self, path: str, fh: int) -> int:
        return 0

    def unlink(self, path: str) -> None:
        with self.guard:
            self.caches.pop(path, None)
            os.unlink(self.place(path))

    def rename(self, old: str, new: str) -> None:
        """Names are written at once, contents are not: the worst order of the two."""
        with self.guard:
            os.rename(self.place(old), self.place(new))
            if old in self.caches:
                self.caches[new] = self.caches.pop(old)

    def link(self, target: str, source: str) -> None:
        with self.guard:
            if source in self.caches:
                self.caches[target] = self.caches[source]
            os.link(self.place(source), self.place(target))

    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(self.place(path), mode)

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        return 0

    def chmod(self, path: str, mode: int) -> int:
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        return 0

    def utimens(self, path: str, times: Any = None) -> int:
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        free = 1 << 20
        return {
            "f_bsize": 4096,
            "f_blocks": free,
            "f_bavail": free,
            "f_bfree": free,
            "f_files": 1000,
            "f_ffree": 1000,
        }


if __name__ == "__main__":
    fuse.FUSE(PowerCutDisk(sys.argv[1]), sys.argv[2], foreground=True, nothreads=True)
