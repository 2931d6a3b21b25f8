"""Where the browser of the tests is. `make test` runs this file first:

    python -m tests.chromium    # installs Debian's where there is none, as far as it may; says so where it may not

Without one, pytest leaves out the tests that look with it, and says at its end how many those are. Where the
environment variable CI is set they are not left out: they fail.
"""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--force-color-profile=srgb"]
FIXTURE = "chromium"
"""Tests that ask for this fixture need it."""

PACKAGES = ("chromium", "libatomic1")
"""Debian's. The second is what Playwright's own driver is linked to; a minimal Debian lacks it."""

MISSING = f"no Chromium: install one (Debian: apt-get install {' '.join(PACKAGES)}), or set CHROMIUM=/path/to/it"
INSTALL_S = 300.0


def chromium_path() -> str:
    """ "" where there is none."""
    named = os.environ.get("CHROMIUM", "")
    return next(filter(None, map(shutil.which, [named] if named else NAMES)), None) or ""


def install() -> None:
    """Debian's, for root. Raises OSError or SubprocessError where it does not work."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", *PACKAGES]):
        subprocess.run(["apt-get", *arguments], env=environment, stdout=sys.stderr, timeout=INSTALL_S, check=True)


def main() -> None:
    if chromium_path():
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        print("No Chromium: installing Debian's, for the tests of the dashboard.", file=sys.stderr)
        try:
            install()
        except (OSError, subprocess.SubprocessError) as error:
            print(f"That did not work: {error}", file=sys.stderr)
    if not chromium_path():
        print(f"The tests of the dashboard cannot look: {MISSING}.", file=sys.stderr)


if __name__ == "__main__":
    main()
