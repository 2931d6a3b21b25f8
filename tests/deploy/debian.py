"""A Debian as `debootstrap` makes it, for what has to run on a whole system: the image's base, a machine with systemd.

It gets what this machine needs to reach its mirror and the package index: certificates, a proxy. None of that is in the
files that are being proven.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Any

RELEASE = "bookworm"
CERTIFICATES = Path("/usr/local/share/ca-certificates")
GENTLY = ("nice", "-n", "5")
BUILDING_S = 3600
"""A machine with other work to do takes its time over an image."""


def need(*programs: str) -> None:
    for program in programs:
        assert shutil.which(program), f"No {program}: apt-get install debootstrap buildah runc systemd-container"


def run(*command: object, within_s: float = BUILDING_S, **more: Any) -> str:
    """What the command printed on stdout; its end and what it said, where it did not end with 0."""
    words = [*GENTLY, *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=within_s, **more)
    assert done.returncode == 0, f"{' '.join(words)}: {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return str(done.stdout)


def debian(folder: Path) -> Path:
    """A minimal tree, in `folder`, made anew. Needs root."""
    need("debootstrap")
    run(
        "debootstrap", "--variant=minbase", "--include=ca-certificates", RELEASE, folder
    )  # from the mirror that it knows
    (folder / "etc/apt/apt.conf.d/99this-machine").write_text(run("apt-config", "dump", "Acquire::http::Proxy"))
    ours = folder / CERTIFICATES.relative_to("/")
    for file in CERTIFICATES.glob("*.crt"):
        shutil.copy(file, ours)
    run("chroot", folder, "update-ca-certificates")
    run("chroot", folder, "apt-get", "clean")
    (folder / "etc/pip.conf").write_text("[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n")
    return folder
