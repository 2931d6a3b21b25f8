"""What a process that holds keys in memory does about its own core dumps."""

import contextlib
import ctypes
import resource

PR_SET_DUMPABLE = 4
"""prctl(2): with 0 the kernel writes no core dump, whatever takes dumps on this machine, and other processes of the
same user cannot read this one's memory."""


def leave_no_core_dump() -> None:
    """A core dump would hold keys and opened secrets. Where the system has no prctl, the limit alone has to do; where a
    sandbox does not let a process set limits, who made it has set them (deploy/systemd/tocsin.service)."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
