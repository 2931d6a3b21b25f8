"""pipx on a Debian that has nothing else: installed, tried, removed, and what is left of it."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deploy.debian import debian, need, run
from tocsin import __version__

ROOT = Path(__file__).parents[2]
PIPX_OWN = (".local/share/pipx/", ".local/state/pipx/", ".cache/")
"""Its log, its locks and what packages share, below the home folder: of no package in particular."""
VENV = ".local/share/pipx/venvs/tocsin/"

Shell = Callable[[str], str]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """What ana types, in a login shell; the wheel lies in /srv."""
    need("systemd-nspawn")
    assert os.geteuid() == 0, "Only root can make a Debian."
    folder = tmp_path_factory.mktemp("pipx")
    try:
        tree = debian(folder / "tree")
        packages = ("python3", "python3-venv", "man-db")
        run("chroot", tree, "apt-get", "install", "-y", "-q", "--no-install-recommends", *packages)
        run("chroot", tree, "python3", "-m", "venv", "/opt/pipx")
        run("chroot", tree, "/opt/pipx/bin/pip", "install", "-q", "--no-cache-dir", "pipx")
        run("chroot", tree, "ln", "-s", "/opt/pipx/bin/pipx", "/usr/local/bin/pipx")
        run("chroot", tree, "useradd", "-m", "-s", "/bin/bash", "ana")
        run("make", "dist", cwd=ROOT)
        (wheel,) = (ROOT / "dist").glob("tocsin-*.whl")
        shutil.copy(wheel, tree / "srv")
        nspawn = ("systemd-nspawn", "-q", "--register=no", "--keep-unit", "--pipe", "--user=ana", f"--directory={tree}")
        path = "export PATH=$HOME/.local/bin:$PATH; cd ~; "
        yield lambda typed: run(*nspawn, "bash", "-lc", path + typed)
    finally:
        shutil.rmtree(folder)


def files(shell: Shell) -> set[str]:
    """All that are ana's: of others she can make none. Those in her home folder from there on."""
    found = shell("find / -xdev -path /proc -prune -o -user ana ! -type d ! -type c -print 2>/dev/null || true")
    return {line.removeprefix("/home/ana/") for line in found.splitlines()}


@pytest.mark.proof
def test_it_is_installed_tried_and_removed_and_leaves_nothing_but_its_data(shell: Shell) -> None:
    before = files(shell)
    shell(f"pipx install /srv/tocsin-{__version__}-py3-none-any.whl")
    installed = files(shell) - before
    own = {one for one in installed if not one.startswith((VENV, *PIPX_OWN))}
    assert own == {".local/bin/tocsin", ".local/share/man/man1/tocsin.1"}

    assert shell("tocsin --version") == f"tocsin {__version__}\n"
    assert shell("man -w tocsin").endswith("/share/man/man1/tocsin.1\n")
    assert "alarm bell for pipelines" in " ".join(shell("man tocsin").split())
    assert "_tocsin_completion" in shell("tocsin --show-completion; true")  # beneath a shell, as when typed
    completed = shell('COMP_WORDS="tocsin dem" COMP_CWORD=1 _TOCSIN_COMPLETE=complete_bash tocsin')
    assert completed.split() == ["demo"]

    assert "The story is over" in shell("tocsin demo --port 0 --exit-after-story")
    compiled = files(shell) - before - installed
    assert {one for one in compiled if not one.startswith((VENV, *PIPX_OWN))} == set()

    assert shell("tocsin token create --role admin").startswith("toc_")
    kept = {one for one in files(shell) - before - installed - compiled if not one.startswith((VENV, *PIPX_OWN))}
    assert kept
    assert all(one.startswith("tocsin-data/") for one in kept)

    shell("pipx uninstall tocsin")
    left = files(shell) - before
    assert kept <= left
    assert not {one for one in left - kept if one.startswith(VENV) or not one.startswith(PIPX_OWN)}
