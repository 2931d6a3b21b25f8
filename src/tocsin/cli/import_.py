"""`tocsin import`: what people leave behind, as Tocsin's configuration, and a word about everything in it."""

from typing import TYPE_CHECKING, Annotated

import typer

from tocsin.cli.options import Output

if TYPE_CHECKING:
    from pathlib import Path

    from tocsin.cli.importing.found import Found

MARKS = {"kept": "+", "changed": "~", "left": "-"}
KINDS = ("alertmanager", "apprise", "healthchecks", "kestra", "slack-env")


def import_(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A file; with Kestra a folder of flows.")],
    kind: Annotated[str, typer.Option("--from", help="alertmanager, apprise, healthchecks, kestra or slack-env.")] = "",
    secrets: Annotated[str, typer.Option(help="Write the secrets that were found into this file, as NAME=value.")] = "",
    output: Output = "auto",
) -> None:
    """Read another program's configuration: what maps, what does not, and why. Nothing is changed anywhere.

    The configuration comes out as YAML for `tocsin config plan` and `apply`; what there is to say about it goes to the
    standard error. Secrets are references to the environment, env:NAME.

    \b
    Examples:
      tocsin import alertmanager.yml > tocsin.yaml
      tocsin import apprise.yml --secrets tocsin.env > tocsin.yaml
      tocsin import checks.json --from healthchecks > tocsin.yaml
      tocsin import ./flows --from kestra
      tocsin import slack-webhooks.env --secrets tocsin.env > tocsin.yaml
    """
    import sys
    from pathlib import Path

    from tocsin.cli.output import fail, rows, safe
    from tocsin.model.yaml_text import Wrong, written

    if kind and kind not in KINDS:
        fail(f"--from {kind}: expected one of {', '.join(KINDS)}.", 2)
    try:
        found = read(Path(path), kind)
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path} cannot be read: {error}", 2)
    except Wrong as wrong:
        fail(str(wrong), 2)
    if output == "json":
        said = [{"where": one.where, "how": one.how, "said": one.said} for one in found.findings]
        rows([{"configuration": dict(found.sections), "findings": said, "secrets": sorted(found.secrets)}], (), "json")
    else:
        sys.stdout.write(written(found.sections) if found.sections else "")
        for one in found.findings:
            print(safe(f"{MARKS[one.how]} {one.where}: {one.said}"), file=sys.stderr)
        counts = {how: sum(one.how == how for one in found.findings) for how in MARKS}
        print(", ".join(f"{count} {how}" for how, count in counts.items()), file=sys.stderr)
    if secrets:
        try:
            write_secrets(secrets, found.secrets)
        except OSError as error:
            fail(f"{secrets} cannot be written: {error}", 2)


def read(path: "Path", kind: str) -> "Found":
    """Raises Wrong, OSError and UnicodeDecodeError."""
    from tocsin.cli.importing import alertmanager, apprise, healthchecks, kestra, slack_env

    if path.is_dir():
        files = [file for file in path.rglob("*") if file.suffix in (".yml", ".yaml") and file.is_file()]
        return kestra.read_all({str(file): file.read_text("utf-8") for file in files})
    text = path.read_text("utf-8")
    kind = kind or guessed(path.name, text)
    if kind == "kestra":
        return kestra.read_all({path.name: text})
    if kind == "alertmanager":
        return alertmanager.read(text)
    if kind == "healthchecks":
        return healthchecks.read(text)
    return apprise.read(text) if kind == "apprise" else slack_env.read(text)


def guessed(name: str, text: str) -> str:
    """By what is in it, or by its name."""
    import re

    from tocsin.model.yaml_text import Wrong

    if re.search(r"^route:", text, re.MULTILINE) and re.search(r"^receivers:", text, re.MULTILINE):
        return "alertmanager"
    if re.search(r"^tasks:", text, re.MULTILINE):
        return "kestra"
    if text.lstrip().startswith(("{", "[")) and '"checks"' in text:
        return "healthchecks"
    if "hooks.slack.com" in text and name.endswith(".env"):
        return "slack-env"
    if re.search(r"^\s*urls\s*:", text, re.MULTILINE) or "://" in text:
        return "apprise"
    raise Wrong(name, 0, "", "say what it is of, with --from")


def write_secrets(path: str, values: dict[str, str]) -> None:
    """For its owner alone; never over a file that is there. Raises OSError."""
    import os

    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in values.items())
