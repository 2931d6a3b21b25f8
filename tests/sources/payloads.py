"""The sample payloads, and what receivers make of them as text for golden files."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec

from tocsin.model.errors import Refusal
from tocsin.sources.incoming import Incoming, Source, Taken

ROOT = Path(__file__).parents[2]
PAYLOADS = ROOT / "../shared/data/payloads"
GOLDEN = Path(__file__).parent / "golden"
SOMEBODYS_HOME = re.compile(r"/(?:home|Users)/[\w./-]*/(?=work/)|/(?:home|Users)/[\w.-]+/")
"""Samples come from machines: whose they were is left out of what is kept here."""


def samples(folder: str, pattern: str = "*.json") -> list[Path]:
    """A service's sample payloads, all that there are: at least one."""
    found = sorted(path for path in (PAYLOADS / folder).rglob(pattern) if path.name != "manifest.json")
    assert found, f"no samples under {folder}"
    return found


def taken(source: Source, body: bytes, **headers: str) -> dict[str, Any]:
    """What the receiver makes of a body, as plain values; what it refuses, in words."""
    try:
        found: Taken = source.read(Incoming({name.replace("_", "-"): value for name, value in headers.items()}, body))
    except Refusal as refusal:
        return {"refused": refusal.detail}
    drafts = [{name: value for name, value in msgspec.to_builtins(one).items() if value} for one in found.drafts]
    return {"drafts": drafts} if drafts else {"ignored": found.ignored}


def check_golden(name: str, found: dict[str, Any], *, update: bool) -> None:
    """`found` is by the sample's name."""
    text = SOMEBODYS_HOME.sub("", json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True)) + "\n"
    file = GOLDEN / f"{name}.json"
    if update:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
    assert json.loads(file.read_text("utf-8")) == json.loads(text)
