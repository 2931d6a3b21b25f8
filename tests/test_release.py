"""What a release is made by: the tag and the program say one version, the signature is checked, no secret is needed."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tocsin import __version__

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github/workflows/release.yml"
LINTER = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.7"
NEEDED = (
    ".ci/release", "CHANGELOG.md", "clients/python/src/tocsin_client/__init__.py", "deploy/helm/tocsin/Chart.yaml",
    "src/tocsin/__init__.py",
)  # fmt: skip


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository of what `.ci/release` looks at, committed, with a section for this version."""
    folder = tmp_path / "clone"
    for name in NEEDED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    notes = folder / "CHANGELOG.md"
    notes.write_text(
        f"# Changelog\n\n## [Unreleased]\n\n## [{__version__}] - 2026-11-22\n\n- New.\n\n## [0.0.1]\n\n- Old.\n"
    )
    (folder / ".ci/allowed_signers").write_text("# nobody yet\n")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        git(folder, *words)
    return folder


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "tag.gpgSign=false")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def release(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([folder / ".ci/release", *words], capture_output=True, text=True)


def test_a_commit_without_a_tag_can_be_built_and_is_no_release(clone: Path) -> None:
    assert release(clone, "check").returncode == 0
    refused = release(clone, "check", "--tagged")
    assert refused.returncode == 1
    assert f"no tag v{__version__}" in refused.stderr


def test_the_tag_is_the_version(clone: Path) -> None:
    git(clone, "tag", "v9.9.9")
    refused = release(clone, "check")
    assert (refused.returncode, refused.stderr) == (1, f"The tag says v9.9.9, the program v{__version__}.\n")
    git(clone, "tag", "-d", "v9.9.9")
    git(clone, "tag", f"v{__version__}")
    assert release(clone, "check", "--tagged").returncode == 0


@pytest.mark.parametrize(
    ("file", "what"),
    [("clients/python/src/tocsin_client/__init__.py", "client"), ("deploy/helm/tocsin/Chart.yaml", "chart")],
)
def test_client_and_chart_have_the_programs_version(clone: Path, file: str, what: str) -> None:
    text = (clone / file).read_text("utf-8")
    (clone / file).write_text(text.replace(__version__, "7.7.7"))
    assert release(clone, "check").stderr == f"The {what} says 7.7.7, the program {__version__}.\n"


def test_a_release_has_notes_and_no_changes_that_its_tag_has_not(clone: Path) -> None:
    assert release(clone, "notes").stdout.strip() == "- New."
    git(clone, "tag", f"v{__version__}")
    (clone / "CHANGELOG.md").write_text("# Changelog\n")
    assert "changes that" in release(clone, "check", "--tagged").stderr
    git(clone, "commit", "-q", "-am", "no notes")
    git(clone, "tag", "-f", f"v{__version__}")
    assert f"no section [{__version__}]" in release(clone, "check", "--tagged").stderr


def key(folder: Path, name: str) -> tuple[Path, str]:
    """A new SSH key and its public half."""
    file = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", file], check=True)
    return file, file.with_suffix(".pub").read_text().strip()


@pytest.mark.usefixtures("ssh_keygen")
def test_what_is_signed_is_checked_by_the_documented_commands(clone: Path, tmp_path: Path) -> None:
    mine, public = key(tmp_path, "mine")
    (clone / "dist").mkdir()
    (clone / "dist/tocsin.whl").write_bytes(b"a wheel")
    summed = subprocess.run(["sha256sum", "tocsin.whl"], cwd=clone / "dist", capture_output=True, check=True).stdout
    (clone / "dist/SHA256SUMS").write_bytes(summed)
    nobody = release(clone, "sign", str(mine))
    assert nobody.returncode == 1
    assert "does not name this key" in nobody.stderr
    assert not (clone / "dist/SHA256SUMS.sig").exists()

    (clone / ".ci/allowed_signers").write_text(f'ana@example.com namespaces="tocsin-release" {public}\n')
    signed = release(clone, "sign", str(mine))
    assert signed.returncode == 0, signed.stderr
    assert "signed by ana@example.com, every digest holds" in signed.stdout
    page = (ROOT / "docs/install.md").read_text("utf-8")
    (command,) = re.findall(r"^ssh-keygen -Y verify .*(?:\\\n.*)*$", page, re.MULTILINE)
    command = command.replace("allowed_signers", str(clone / ".ci/allowed_signers")).replace("NAME", "ana@example.com")
    for line in (command, "sha256sum --check SHA256SUMS"):
        assert line == command or line in page
        done = subprocess.run(["bash", "-c", line], cwd=clone / "dist", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    (clone / "dist/tocsin.whl").write_bytes(b"another")
    assert release(clone, "verify").returncode == 1
    (clone / "dist/tocsin.whl").write_bytes(b"a wheel")
    assert release(clone, "verify").returncode == 0
    (clone / "dist/SHA256SUMS").write_bytes(summed + b"\n")
    assert release(clone, "verify").returncode == 1
    theirs, _ = key(tmp_path, "theirs")
    (clone / "dist/SHA256SUMS").write_bytes(summed)
    assert release(clone, "sign", str(theirs)).returncode == 1


def workflow() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text("utf-8"))
    return found


def test_the_workflow_keeps_no_secret_and_may_do_little() -> None:
    text, jobs = WORKFLOW.read_text("utf-8"), workflow()["jobs"]
    assert "secrets." not in text
    assert workflow()["permissions"] == {}
    may = {name: job["permissions"] for name, job in jobs.items()}
    assert may["test"] == may["build"] == {"contents": "read"}
    assert may["publish"] == {"attestations": "write", "contents": "write", "id-token": "write"}
    assert jobs["publish"]["environment"] == "release"  # somebody may have to agree
    assert set(jobs["publish"]["needs"]) == {"test", "build"}


@pytest.mark.proof
def test_the_workflow_is_one(tmp_path: Path) -> None:
    """As a linter for workflows sees it: its expressions, the inputs of its actions, its scripts."""
    assert shutil.which("go"), "No go: it builds the linter."
    subprocess.run(["go", "install", LINTER], env=os.environ | {"GOBIN": str(tmp_path)}, check=True, timeout=900)
    done = subprocess.run([tmp_path / "actionlint", WORKFLOW], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_workflow_runs_what_is_pinned_and_what_is_there() -> None:
    steps = [step for job in workflow()["jobs"].values() for step in job["steps"]]
    for step in steps:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step.get("uses", "a/b@" + "0" * 40)), step
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
        # What comes from outside reaches a shell as a variable, never as text of the script.
        assert "${{" not in step.get("run", "")
    ran = " ".join(step.get("run", "") for step in steps)
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(re.findall(r"\bmake (\w+)", ran)) <= set(targets)
    assert {path for path in re.findall(r"\.ci/\w+", ran) if not (ROOT / path).exists()} == set()
