"""Runs a command as a run: output passes through and its end is kept, signals go to it, its exit code comes back."""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import IO, Any

from tocsin_client.runs import Run

NOT_FOUND, NOT_EXECUTABLE = 127, 126  # as shells have it
READ_BYTES = 64 * 1024
LINGER_S = 0.5
"""So long after its end the command's output is waited for: a process that it left behind may keep it open for ever."""
FORWARDED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT")


def watched(run: Run, command: list[str], environment: Mapping[str, str]) -> int:
    """Its exit code; 128 + n where signal n ended it, 127 where there is no such command, 126 where it cannot run.
    `environment` is what the command gets beside ours."""
    run.start()
    environment = {**os.environ, **environment, "TOCSIN_PIPELINE": run.pipeline, "TOCSIN_RUN_ID": run.run_id}
    streams = [Stream(sys.stdout, 1), Stream(sys.stderr, 2)]
    with forwarded() as children:
        try:
            child = subprocess.Popen(  # noqa: S603 - the user's own command
                command, env=environment, stdout=streams[0].theirs, stderr=streams[1].theirs
            )
        except OSError as error:
            for stream in streams:
                stream.close()
            code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
            sys.stderr.write(f"tocsin: {command[0]}: {error.strerror}\n")
            run.fail(f"{command[0]}: {error.strerror}", exit_code=code)
            return code
        children.append(child)
        over = threading.Event()
        threads = [threading.Thread(target=stream.pass_on, args=(run, over), daemon=True) for stream in streams]
        for thread in threads:
            thread.start()
        for stream in streams:
            stream.close_theirs()
        code = child.wait()
        over.set()
        for thread in threads:
            thread.join(2 * LINGER_S)
    return told(run, code)


def told(run: Run, code: int) -> int:
    if code == 0:
        run.succeed(exit_code=0)
    elif code > 0:
        run.fail(f"exit code {code}", exit_code=code)
    else:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        if -code == signal.SIGINT:
            run.cancel(exit_code=128 - code, signal=name)
        else:
            run.fail(f"ended by {name}", exit_code=128 - code, signal=name)
    return code if code >= 0 else 128 - code


class Stream:
    """One of the command's output streams. Where ours is a terminal, the command gets one too: colours and progress
    bars stay as they are."""

    def __init__(self, ours: IO[Any], number: int) -> None:
        self.out = number
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self.out = ours.fileno()
        self.mine, self.theirs = terminal_like(self.out) if is_terminal(self.out) else os.pipe()

    def pass_on(self, run: Run, over: threading.Event) -> None:
        """Until the other end is closed, or the command is over and nothing came for a while."""
        shown, decoder = True, codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            ready = select.select([self.mine], [], [], LINGER_S)[0]
            if not ready:
                if over.is_set():
                    return
                continue
            try:
                found = os.read(self.mine, READ_BYTES)
            except OSError:  # how a terminal says that its other end is closed
                return
            if not found:
                return
            run.tail.write(decoder.decode(found))
            try:
                while shown and found:
                    found = found[os.write(self.out, found) :]
            except OSError:  # nobody reads us any more: the command goes on
                shown = False

    def close_theirs(self) -> None:
        os.close(self.theirs)

    def close(self) -> None:
        os.close(self.mine)
        os.close(self.theirs)


def is_terminal(number: int) -> bool:
    try:
        return os.isatty(number)
    except OSError:
        return False


def terminal_like(number: int) -> tuple[int, int]:
    """A new terminal of the same size."""
    import fcntl
    import pty
    import termios

    mine, theirs = pty.openpty()
    with contextlib.suppress(OSError):
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, fcntl.ioctl(number, termios.TIOCGWINSZ, b"\0" * 8))
        settings = termios.tcgetattr(theirs)
        settings[1] &= ~termios.ONLCR  # our own terminal does that
        termios.tcsetattr(theirs, termios.TCSANOW, settings)
    return mine, theirs


@contextlib.contextmanager
def forwarded() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Signals that come meanwhile go to the processes in the list. Those that a terminal sends reach the command by
    themselves: it is in the same group."""
    children: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, frame: object) -> None:
        for child in children:
            if number in (signal.SIGINT, getattr(signal, "SIGQUIT", None)) and any(map(is_terminal, (0, 1, 2))):
                continue
            with contextlib.suppress(OSError):
                child.send_signal(number)

    before = {}
    for name in FORWARDED:
        if (number := getattr(signal, name, None)) is not None:
            before[number] = signal.signal(number, pass_on)
    try:
        yield children
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
