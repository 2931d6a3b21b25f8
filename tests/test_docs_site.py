"""The site of the documentation has every page, once; nothing in it is loaded from elsewhere."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[1]
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))


def pages(entries: Any) -> list[str]:
    if isinstance(entries, str):
        return [entries]
    inner = entries if isinstance(entries, list) else list(entries.values())
    return [page for entry in inner for page in pages(entry)]


def test_every_page_has_its_place() -> None:
    there = sorted(str(file.relative_to(ROOT / "docs")) for file in (ROOT / "docs").rglob("*.md"))
    assert sorted(pages(CONFIG["nav"])) == there


def test_no_font_is_loaded() -> None:
    assert CONFIG["theme"]["font"] is False


@pytest.mark.proof
def test_it_is_built_without_a_warning() -> None:
    done = subprocess.run(["make", "docs"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No issues found" in done.stdout + done.stderr
    for file in (ROOT / "build/site").rglob("*.html"):
        loaded = re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"(https?://[^\"]+)", file.read_text("utf-8"))
        assert not loaded, f"{file.name} loads {loaded}"
