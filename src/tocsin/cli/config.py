"""`tocsin config`: endpoints, rules, silences, pipelines and preferences in files."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin.cli.options import DEFAULT_URL, Output, Token, Url

if TYPE_CHECKING:
    from tocsin.cli.config_plan import Change, Plan

app = typer.Typer(help="Configuration in files: write it out, compare it, apply it.", no_args_is_help=True)

FilesArgument = Annotated[list[str], typer.Argument(metavar="FILE...", help="YAML; several are read as one.")]
Prune = Annotated[bool, typer.Option("--prune", help="Delete what the files do not have, of the sections they have.")]
Last = Annotated[int, typer.Option(min=1, max=500, help="Events to plan anew, from the newest.")]

MARKS = {"create": "+", "change": "~", "delete": "-"}
ONE = {
    "endpoints": "endpoint",
    "rules": "rule",
    "silences": "silence",
    "pipelines": "pipeline",
    "preferences": "preferences of",
}


@app.command()
def export(url: Url = DEFAULT_URL, token: Token = "") -> None:
    """Write what the server has as YAML. Secrets are not in it: they are references to the environment, env:NAME.

    Example: tocsin config export > tocsin.yaml
    """
    import sys

    from tocsin.cli.client import ask
    from tocsin.cli.config_export import exported
    from tocsin.cli.output import fail, safe
    from tocsin.model.yaml_text import written

    known = ask("GET", "/v1/config", url=url, token=token)
    providers = ask("GET", "/v1/providers", url=url, token=token)["items"]
    try:
        sections, notes = exported(known, providers)
    except ValueError as error:
        fail(str(error), 2)
    sys.stdout.write(written(sections))
    for note in notes:
        print(safe(f"note: {note}"), file=sys.stderr)


@app.command()
def plan(
    files: FilesArgument,
    prune: Prune = False,
    last: Last = 50,
    check: Annotated[bool, typer.Option("--check", help="End with 1 where there is something to do.")] = False,
    url: Url = DEFAULT_URL,
    token: Token = "",
    output: Output = "auto",
) -> None:
    """Show what `config apply` would do, and what it would change for the last events. Nothing is changed.

    \b
    Examples:
      tocsin config plan tocsin.yaml
      tocsin config plan tocsin.yaml --prune --check
    """
    found = planned(files, prune, last, url, token)
    show(found, output)
    if check and found.changes:
        raise typer.Exit(1)


@app.command()
def apply(
    files: FilesArgument,
    prune: Prune = False,
    last: Last = 50,
    url: Url = DEFAULT_URL,
    token: Token = "",
    output: Output = "auto",
) -> None:
    """Make the server have what the files say. What is so already is left alone.

    `env:NAME` is read from the environment of this command; `secret:NAME` is sent as it is.

    Example: tocsin config apply tocsin.yaml --prune
    """
    from tocsin.cli.client import Refused, try_to_ask
    from tocsin.cli.config_apply import apply as apply_
    from tocsin.cli.output import fail
    from tocsin.model.yaml_text import Wrong

    found = planned(files, prune, last, url, token)
    show(found, output)
    done = 0
    try:
        for _ in apply_(lambda method, path, body: try_to_ask(method, path, body, url=url, token=token), found):
            done += 1
    except (Wrong, Refused) as wrong:
        fail(f"{wrong}. {done} of {len(found.changes)} changes were made.", 2)
    if found.changes and output != "json":
        print(f"{done} made.")


def planned(files: list[str], prune: bool, last: int, url: str, token: str) -> "Plan":
    """Ends the command with 2 where a file is wrong, or the server says so."""
    import os
    import sys

    from tocsin.cli.client import Refused, try_to_ask
    from tocsin.cli.config_file import load
    from tocsin.cli.config_plan import made
    from tocsin.cli.output import fail, safe
    from tocsin.model.yaml_text import Wrong

    def ask(method: str, path: str, body: Any) -> Any:
        return try_to_ask(method, path, body, url=url, token=token)

    try:
        environment = os.environ  # noqa: TID251 - what the files refer to is this command's environment
        found = made(ask, load(files), environment, prune=prune, last=last)
    except Wrong as wrong:
        fail(str(wrong), 2)
    except Refused as refused:
        fail(refused.detail, 2)
    for note in found.notes:
        print(safe(f"note: {note}"), file=sys.stderr)
    return found


def show(found: "Plan", output: str) -> None:
    from tocsin.cli.output import rows, safe

    if output == "json":
        rows([{"changes": [as_json(one) for one in found.changes], "change": found.said}], (), "json")
        return
    for one in found.changes:
        for line in lines_of(one):
            print(safe(line))
    if not found.changes:
        print("Nothing to do.")
        return
    counts = {action: sum(one.action == action for one in found.changes) for action in MARKS}
    said = ", ".join(f"{number} to {action}" for action, number in counts.items() if number)
    print(safe(f"{said}; {found.said}" if found.said else said))


def lines_of(change: "Change") -> list[str]:
    lines = [f"{MARKS[change.action]} {ONE[change.section]} {change.name}"]
    if change.action == "change":
        lines += [f"    {one.field}: {shown(one.before)} → {shown(one.after)}" for one in change.differences]
    if change.said:
        lines.append(f"    {change.said}")
    return lines


def shown(value: Any) -> str:
    import json

    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def as_json(change: "Change") -> dict[str, Any]:
    fields = [{"field": one.field, "before": one.before, "after": one.after} for one in change.differences]
    named = {"section": change.section, "name": change.name, "action": change.action, "fields": fields}
    return named | {"change": change.said}
