"""A folder of Kestra's flows: which of them run as they stand, and what they need."""

import re
from pathlib import PurePath

from tocsin.cli.importing.found import Found
from tocsin.flows.reading import read_flow
from tocsin.flows.types import task_kind, trigger_kind
from tocsin.model.yaml_text import Wrong

TYPE = re.compile(r"^\s*-?\s*type:\s*[\"']?([\w.]+)", re.MULTILINE)
SECRET = re.compile(r"secret\(\s*['\"]([A-Za-z0-9_.-]+)['\"]")


def read_all(files: dict[str, str]) -> Found:
    """Flows need no configuration: `tocsin serve --flows DIR` runs them. What is said is what each of them needs."""
    found = Found()
    for name, text in sorted(files.items()):
        one(found, PurePath(name).name, text)
    return found


def one(found: Found, name: str, text: str) -> None:
    try:
        read_flow(name, text)
    except Wrong as wrong:
        found.say(name, "left", str(wrong))
        return
    named = {kind for kind in TYPE.findall(text) if "." in kind and not kind.endswith("Condition")}
    unknown = sorted(kind for kind in named if not known(kind))
    for kind in unknown:
        found.say(name, "changed", f"{kind} is declared and never run here; runs that others report still notify")
    for secret in sorted(set(SECRET.findall(text))):
        found.say(name, "changed", f"secret {secret}: SECRET_{secret} in base64, or `tocsin secret set {secret}`")
    if not unknown:
        found.say(name, "kept", "runs as it stands: tocsin serve --flows DIR")


def known(type_: str) -> bool:
    return bool(task_kind(type_) or trigger_kind(type_))
