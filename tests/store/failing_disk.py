"""A disk that fails or fills when the test wants it, as an SQLite VFS over the real files."""

from typing import Any

import apsw


class FailingFile(apsw.VFSFile):
    def __init__(self, vfs: "FailingVfs", name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self.vfs = vfs

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        if self.vfs.is_full and offset + len(data) > self.xFileSize():
            raise apsw.FullError("the disk is full, as the test wants it")
        self.vfs.count("write")
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self.vfs.count("sync")
        super().xSync(flags)


class FailingVfs(apsw.VFS):
    """Registered under `name` for as long as it lives. `fail` arms it for one call: the n-th write or sync from now."""

    name = "failing"

    def __init__(self) -> None:
        self.is_full = False
        self.failing = ""
        self.good = 0
        super().__init__(self.name, "")

    def fail(self, call: str, n: int) -> None:
        self.failing, self.good = call, n - 1

    def count(self, call: str) -> None:
        if call == self.failing:
            self.good -= 1
            if self.good < 0:
                self.failing = ""
                raise apsw.IOError("the disk failed, as the test wants it")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return FailingFile(self, name, flags)
