"""`tocsin rules`: rules before they are trusted."""

from typing import Annotated, Any

import typer

from tocsin.cli.options import DEFAULT_URL, Output, Token, Url

app = typer.Typer(
    help="Rules before they are trusted: tests without a server, and previews with one.", no_args_is_help=True
)
TESTED = ("test", "step", "at", "event", "expected", "found", "result")
PREVIEWED = ("time", "event_id", "event_type", "pipeline", "notifies", "reason")


@app.command("test")
def run_tests(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="YAML with rules and tests of them.")],
    output: Output = "auto",
) -> None:
    """Run the tests in files of rules: events, and who should be told. No server is needed, nothing is sent.

    Ends with 1 where something else came of it than was expected.

    \b
    Examples:
      tocsin rules test rules.yaml
      tocsin rules test tocsin.yaml tests.yaml -o json
    """
    from tocsin.cli import rule_tests
    from tocsin.cli.config_file import load
    from tocsin.cli.output import fail, rows
    from tocsin.model.yaml_text import Wrong

    try:
        loaded = load(files)
        if not loaded.entries("tests"):
            fail(f"{', '.join(files)}: there are no tests.", 2)
        checked = rule_tests.run(loaded)
    except Wrong as wrong:
        fail(str(wrong), 2)
    rows([{name: getattr(row, name) for name in TESTED} for row in checked], TESTED, output)
    if any(row.result == "FAILED" for row in checked):
        raise typer.Exit(1)


@app.command()
def preview(
    rule: Annotated[str, typer.Argument(metavar="FILE|ID", help="A rule's id, or YAML with rules, saved or not.")],
    last: Annotated[int, typer.Option(min=1, max=500, help="Events to look at, from the newest.")] = 50,
    url: Url = DEFAULT_URL,
    token: Token = "",
    output: Output = "auto",
) -> None:
    """Show what a rule would have made of the last events. Nothing is saved or sent.

    \b
    Examples:
      tocsin rules preview rul_0198c5f2
      tocsin rules preview rules.yaml --last 500
    """
    from tocsin.cli.output import rows, safe

    found = by_id(rule, last, url, token) if rule.startswith("rul_") else by_file(rule, last, url, token)
    if output == "json":
        rows(found, (), "json")
        return
    for number, one in enumerate(found):
        if number:
            print()
        counts = f"{one['matched']} match, {one['suppressed']} of them without a message of their own"
        print(safe(f"{one['rule']}: {counts}; {one['change']}"))
        rows([line_of(item) for item in one["items"] if item["matched"]], PREVIEWED, output)


def line_of(item: dict[str, Any]) -> dict[str, Any]:
    return item | {"notifies": ", ".join(item["notifies"])}


def by_id(rule: str, last: int, url: str, token: str) -> list[dict[str, Any]]:
    from urllib.parse import quote

    from tocsin.cli.client import ask

    path = f"/v1/alert-rules/{quote(rule, safe='')}"
    name = ask("GET", path, url=url, token=token)["name"]
    return [{"rule": name} | ask("POST", f"{path}/preview", {"last": last}, url=url, token=token)]


def by_file(path: str, last: int, url: str, token: str) -> list[dict[str, Any]]:
    """Each rule of the file; against the saved one of its name, if there is one."""
    from tocsin.cli.client import ask, ask_all
    from tocsin.cli.config_file import load
    from tocsin.cli.config_form import rule_body
    from tocsin.cli.output import fail
    from tocsin.model.yaml_text import Wrong

    try:
        entries = load([path]).entries("rules")
        if not entries:
            fail(f"{path}: there are no rules.", 2)
        webhooks = {one["name"]: one["id"] for one in ask_all("/v1/webhooks", url=url, token=token)}
        saved = {one["name"]: one["id"] for one in ask_all("/v1/alert-rules", url=url, token=token)}
        bodies = {entry.name: rule_body(entry, webhooks) | {"last": last} for entry in entries}
    except Wrong as wrong:
        fail(str(wrong), 2)
    found = []
    for name, body in bodies.items():
        route = f"/v1/alert-rules/{saved[name]}/preview" if name in saved else "/v1/alert-rules/preview"
        found.append({"rule": name} | ask("POST", route, body, url=url, token=token))
    return found
