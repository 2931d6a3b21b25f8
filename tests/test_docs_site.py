"""The site of the documentation has every page, once; nothing in it is loaded from elsewhere."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.site_links import dead_links

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
    assert "0 dead links" in done.stdout


def test_a_dead_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "index.html").write_text('<h1 id="top"></h1><a href="a/#here">a</a><a href="#top">t</a>')
    (tmp_path / "a/index.html").write_text('<p id="here"></p><a href="../#nowhere">n</a><a href="../gone.html">g</a>')
    (tmp_path / "a/b.html").write_text(
        '<img src="https://elsewhere.example/x.png"><a href="https://fine.example/">f</a>'
    )
    assert sorted(dead_links(tmp_path)) == [
        "a/b.html loads https://elsewhere.example/x.png",
        "a/index.html leads to ../#nowhere, which has no such anchor",
        "a/index.html leads to ../gone.html, which is not there",
    ]
