"""What is others' work is as it was published, with its licence; nothing is loaded from elsewhere."""

import re
import tomllib
from hashlib import sha256
from importlib.resources import files
from pathlib import Path

STATIC = Path(str(files("tocsin.web.dashboard"))) / "static"
VENDOR = STATIC / "vendor"
MANIFEST = tomllib.loads((VENDOR / "VENDOR.toml").read_text())


def test_every_file_is_listed_and_unchanged() -> None:
    listed = set()
    for name, one in MANIFEST.items():
        assert one["folder"] == f"{name}-{one['version']}"
        for file, digest in one["sha256"].items():
            content = (VENDOR / one["folder"] / file).read_bytes()
            assert sha256(content).hexdigest() == digest, file
            listed.add(f"{one['folder']}/{file}")
    assert {str(file.relative_to(VENDOR)) for file in VENDOR.rglob("*") if file.is_file()} - listed == {"VENDOR.toml"}


def test_each_has_its_licence() -> None:
    for one in MANIFEST.values():
        assert one["licence"] in ("MIT", "ISC", "0BSD")
        assert any(file.startswith("LICENSE") for file in one["sha256"])


def test_our_own_files_load_nothing_from_elsewhere() -> None:
    for file in (*STATIC.glob("*.css"), *STATIC.glob("*.js")):
        assert not re.search(r"https?://|@import|url\(", file.read_text()), file.name
