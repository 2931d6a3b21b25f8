"""`tocsin doctor`: what is well, what is not, and how to mend it."""

from typing import Annotated

import typer

from tocsin.cli.options import Output


def doctor(
    reconcile: Annotated[
        bool, typer.Option("--reconcile", help="Also hold what was accepted against what is there, of all days.")
    ] = False,
    output: Output = "auto",
) -> None:
    """Check this machine, the settings and the store: one line each, with what to do about it.

    Exit code 0 where nothing is a problem (warnings are allowed), 1 where something is. It changes nothing that a
    start of the server would not, and shows no secret.

    Example: tocsin doctor -o json
    """
    import sys

    from msgspec.structs import asdict

    from tocsin.cli.checks import examine
    from tocsin.cli.output import fail, rows, safe
    from tocsin.web.checks import Finding

    if output not in ("auto", "table", "tsv", "json"):
        fail(f"--output: expected auto, table, tsv or json, found {output!r}.", 2)
    findings: list[Finding] = examine(reconcile=reconcile)
    if output == "table" or (output == "auto" and sys.stdout.isatty()):
        for finding in findings:
            print(safe(f"{finding.level:<8} {finding.check:<11} {finding.found}  {finding.mend}".rstrip()))
    else:
        rows([asdict(finding) for finding in findings], Finding.__struct_fields__, output)
    raise typer.Exit(1 if any(finding.level == "problem" for finding in findings) else 0)
