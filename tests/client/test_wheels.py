"""What is installed: `tocsin` brings the client along, and the client needs nothing."""

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def built(project: Path, folder: Path) -> tuple[set[str], str]:
    """The files of the wheel, and its METADATA."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as found:
        names = set(found.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        return names, found.read(metadata).decode()


@pytest.mark.parametrize(("project", "also"), [("clients/python", ""), (".", "tocsin/cli/main.py")])
def test_the_wheel_has_the_client(tmp_path: Path, project: str, also: str) -> None:
    names, metadata = built(ROOT / project, tmp_path)
    source = ROOT / "clients/python/src"
    assert {str(file.relative_to(source)) for file in source.rglob("*.py")} <= names
    assert "tocsin_client/py.typed" in names
    assert not also or also in names
    if project == "clients/python":
        about = Parser().parsestr(metadata)
        assert about.get_all("Requires-Dist") is None
        assert about["Requires-Python"] == ">=3.9"
        assert not [name for name in names if name.startswith("tocsin/")]
