"""Programs that some tests use and that pip cannot bring. `make test` runs this file first:

    python -m tests.programs    # installs Debian's where they are missing, as far as it may; says so where it may not

A test asks for the fixture of the same name. Where the program is missing, pytest leaves its tests out, and says at its
end how many those are. Where the environment variable CI is set they are not left out: they fail.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Program:
    """What it is called, where to find it, and Debian's packages that it takes."""

    called: str
    names: tuple[str, ...]
    packages: tuple[str, ...]
    tests: str
    """Those that ask for it."""
    variable: str = ""
    """An environment variable that may say where it is."""

    @property
    def path(self) -> str:
        """Of the first that there is, or what the variable says; "" where there is none."""
        named = os.environ.get(self.variable, "") if self.variable else ""
        return next(filter(None, map(shutil.which, [named] if named else self.names)), None) or ""

    @property
    def missing(self) -> str:
        told = f", or set {self.variable}=/path/to/it" if self.variable else ""
        return f"no {self.called}: install it (Debian: apt-get install {' '.join(self.packages)}){told}"

    def found(self) -> str:
        """Its path. Raises AssertionError where there is none."""
        assert self.path, self.missing
        return self.path


CHROMIUM = Program(
    "Chromium",
    ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    ("chromium", "libatomic1"),  # Playwright's own driver is linked to the second
    "tests of the dashboard",
    "CHROMIUM",
)
PROGRAMS = {
    "chromium": CHROMIUM,
    "curl": Program("curl", ("curl",), ("curl",), "tests of what the pages say about curl"),
    "ssh_keygen": Program("ssh-keygen", ("ssh-keygen",), ("openssh-client",), "tests of a release's signature"),
}
"""By the fixture that asks for it."""

FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--force-color-profile=srgb"]
"""Chromium's."""

INSTALL_S = 300.0


def needed(fixtures: Iterable[str]) -> list[Program]:
    """What a test with these fixtures lacks."""
    return [program for name, program in PROGRAMS.items() if name in fixtures and not program.path]


def install(packages: list[str]) -> None:
    """Debian's, for root. Raises OSError or SubprocessError where it does not work."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", *packages]):
        subprocess.run(["apt-get", *arguments], env=environment, stdout=sys.stderr, timeout=INSTALL_S, check=True)


def main() -> None:
    missing = needed(PROGRAMS)
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"Installing Debian's {', '.join(one.called for one in missing)}, for tests.", file=sys.stderr)
        try:
            install([package for one in missing for package in one.packages])
        except (OSError, subprocess.SubprocessError) as error:
            print(f"That did not work: {error}", file=sys.stderr)
    for one in needed(PROGRAMS):
        print(f"The {one.tests} cannot run: {one.missing}.", file=sys.stderr)


if __name__ == "__main__":
    main()
