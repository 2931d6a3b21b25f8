"""`tocsin serve`: the API, the worker, or both."""

from typing import Annotated

import typer

from tocsin.cli.output import fail


def serve(
    only: Annotated[str, typer.Option(help="api or worker; both where it is not given (PostgreSQL only).")] = "",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Instead of TOCSIN_PORT; 0 takes a free one and says which.")
    ] = None,
    flows: Annotated[str, typer.Option(metavar="DIR", help="A folder of flows, instead of TOCSIN_FLOWS.")] = "",
) -> None:
    """Run Tocsin until SIGTERM or Ctrl-C.

    \b
    Examples:
      tocsin serve
      tocsin serve --flows ./flows
      TOCSIN_DATABASE_URL=postgresql://tocsin@db/tocsin tocsin serve --only worker
    """
    if only not in ("", "api", "worker"):
        fail(f"--only: expected api or worker, found {only!r}.", 2)

    import sys

    from msgspec.structs import replace

    from tocsin.cli.hardening import leave_no_core_dump
    from tocsin.cli.opening import EXPECTED, code_of, settings_or_fail
    from tocsin.cli.running import run_process

    settings = settings_or_fail()
    if port is not None:
        settings = replace(settings, port=port)
    if flows:
        settings = replace(settings, flows=flows)
    if only and settings.is_sqlite:
        fail("--only needs PostgreSQL: SQLite is for one process. Set TOCSIN_DATABASE_URL.", 2)
    leave_no_core_dump()
    try:
        sys.exit(run_process(settings, api=only != "worker", works=only != "api"))
    except EXPECTED as error:
        fail(str(error), code_of(error))
