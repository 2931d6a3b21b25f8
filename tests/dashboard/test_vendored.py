"""What is others' work is as it was published, with its licence; nothing is loaded from elsewhere."""

import re
import tomllib
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

STATIC = Path(str(files("tocsin.web.dashboard"))) / "static"
LICENCES = {STATIC / "vendor": ("MIT", "ISC", "0BSD"), Path(__file__).parent / "vendor": ("MPL-2.0",)}
"""Those of what is in the wheel; and of what only the tests use."""


def listed_in(vendor: Path) -> dict[str, Any]:
    return tomllib.loads((vendor / "VENDOR.toml").read_text())


@pytest.mark.parametrize("vendor", LICENCES)
def test_every_file_is_listed_and_unchanged(vendor: Path) -> None:
    listed = set()
    for name, one in listed_in(vendor).items():
        assert one["folder"] == f"{name}-{one['version']}"
        for file, digest in one["sha256"].items():
            content = (vendor / one["folder"] / file).read_bytes()
            assert sha256(content).hexdigest() == digest, file
            listed.add(f"{one['folder']}/{file}")
    assert {str(file.relative_to(vendor)) for file in vendor.rglob("*") if file.is_file()} - listed == {"VENDOR.toml"}


@pytest.mark.parametrize("vendor", LICENCES)
def test_each_has_its_licence(vendor: Path) -> None:
    for one in listed_in(vendor).values():
        assert one["licence"] in LICENCES[vendor]
        assert any(file.startswith("LICENSE") for file in one["sha256"])


def test_our_own_files_load_nothing_from_elsewhere() -> None:
    for file in (*STATIC.glob("*.css"), *STATIC.glob("*.js")):
        assert not re.search(r"https?://|@import|url\(", file.read_text()), file.name
