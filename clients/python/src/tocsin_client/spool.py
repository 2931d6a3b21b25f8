"""What could not be sent, on the disk: files of lines in a folder that several processes may share.

A process writes to a file of its own and holds a lock on it; whoever gets the lock of a file that nobody writes to any
more sends it and deletes it. The lock ends with its process, however that ends. Sent twice is no harm: events have ids.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections.abc import Generator, Iterable
from pathlib import Path

SEGMENT_BYTES = 1024 * 1024
MOST_BYTES = 64 * 1024 * 1024
ENDING = ".jsonl"
LOCKING_AT = 2**40  # far behind the end: on Windows a lock keeps others from reading what it covers

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def locked(fd: int) -> bool:
    """Takes the lock of an open file, unless somebody has it."""
    try:
        if fcntl is not None:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            os.lseek(fd, LOCKING_AT, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
            os.lseek(fd, 0, os.SEEK_SET)
    except OSError:
        return False
    return True


class Spool:
    """`folder` is made with the first line that is kept, for its owner alone. With more than `most_bytes` in it the
    oldest files go; `dropped` counts their lines. Methods that write raise OSError."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self.folder = folder
        self.most_bytes = most_bytes
        self.dropped = 0
        self.lock = threading.Lock()
        self.fd = -1
        self.size = 0
        self.is_new = False

    def append(self, lines: Iterable[bytes]) -> None:
        """They survive the end of the process when it returns, and a power cut after `sync`."""
        content = b"".join([line + b"\n" for line in lines])
        with self.lock:
            if self.fd < 0 or self.size > SEGMENT_BYTES:
                self._begin()
            written = 0
            try:
                while written < len(content):
                    written += os.write(self.fd, content[written:])
            except OSError:
                self._end()  # half a line may be in it: nothing is written behind that
                raise
            self.size += written

    def sync(self) -> None:
        """The file that is written to. Nobody who appends waits for it."""
        with self.lock:
            if self.fd < 0:
                return
            copy = os.dup(self.fd)
            is_new, self.is_new = self.is_new, False
        try:
            os.fsync(copy)
        finally:
            os.close(copy)
        if is_new:
            with contextlib.suppress(OSError):  # Windows opens no folders
                folder = os.open(self.folder, os.O_RDONLY)
                os.fsync(folder)
                os.close(folder)

    def seal(self) -> None:
        """What was written so far may be sent, by whoever comes."""
        with self.lock:
            self._end()

    def forget(self) -> None:
        """In a process that was forked: the file is its parent's."""
        self.lock = threading.Lock()
        self._end()

    def _begin(self) -> None:
        self._end()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "getuid") and self.folder.stat().st_uid != os.getuid():
            raise PermissionError(f"{self.folder} is somebody else's")
        self._make_room()
        name = f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}"
        hidden = self.folder / f"{name}.new"  # nobody takes it before it is locked
        self.fd = os.open(hidden, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND, 0o600)
        self.size = 0
        locked(self.fd)
        hidden.rename(self.folder / (name + ENDING))
        self.is_new = True

    def _end(self) -> None:
        """What was not synced is so with the rest of the system, within half a minute."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)

    def _make_room(self) -> None:
        sizes = {}
        for file in self.files():
            with contextlib.suppress(OSError):
                sizes[file] = file.stat().st_size
        total = sum(sizes.values())
        for file, size in sizes.items():
            if total + SEGMENT_BYTES <= self.most_bytes:
                return
            segment = Segment.taken(file)
            if segment is not None:
                self.dropped += sum(1 for _ in segment.lines())
                segment.remove()
                total -= size

    def files(self) -> list[Path]:
        """Oldest first."""
        try:
            return sorted(self.folder / name for name in os.listdir(self.folder) if name.endswith(ENDING))
        except OSError:
            return []

    def segments(self) -> Generator[Segment, None, None]:
        """Those that nobody writes to or sends, oldest first, each locked until the next is asked for."""
        for file in self.files():
            segment = Segment.taken(file)
            if segment is not None:
                try:
                    yield segment
                finally:
                    segment.close()


class Segment:
    """A file whose lock we have."""

    def __init__(self, file: Path, fd: int) -> None:
        self.file = file
        self.fd = fd

    @classmethod
    def taken(cls, file: Path) -> Segment | None:
        """None where somebody else has it, or it is gone."""
        try:
            fd = os.open(file, os.O_RDWR)
        except OSError:
            return None
        if locked(fd) and os.fstat(fd).st_nlink > 0:
            return cls(file, fd)
        os.close(fd)
        return None

    def lines(self) -> Generator[bytes, None, None]:
        """Whole lines; a last one that was torn by a crash is left out."""
        with open(os.dup(self.fd), "rb") as content:
            content.seek(0)
            for line in content:
                if line.startswith(b"{") and line.endswith(b"}\n"):
                    yield line[:-1]

    def remove(self) -> None:
        if fcntl is None:
            self.close()
        with contextlib.suppress(OSError):
            self.file.unlink()
        self.close()

    def close(self) -> None:
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)
