"""`tocsin audit`: the trail of changes, where the store is."""

from typing import Annotated

import typer

from tocsin.cli.options import Output
from tocsin.cli.output import fail

app = typer.Typer(help="The trail of who changed what.", no_args_is_help=True)
Tenant = Annotated[str, typer.Option(help="Whose trail.")]


@app.callback()
def trail() -> None:
    """Who changed what, and who was refused, read directly from the store: run this where the server runs, with its
    settings. GET /v1/audit lists it."""


@app.command()
def head(tenant: Tenant = "default") -> None:
    """Print the end of the trail: its number, its hash and the key's signature. Keep it where the store is not:
    `tocsin audit verify --head` then finds an end that was cut off. The server logs it every hour in which it moved.

    Example: tocsin audit head
    """
    from tocsin.app import App
    from tocsin.cli.opening import run_with_store
    from tocsin.store.audit import head_of

    async def find(app: App) -> str:
        return str(await head_of(app.db, tenant) or "")

    found = run_with_store(find)
    if not found:
        fail(f"The tenant {tenant} has no trail.", 1)
    print(found)


@app.command()
def verify(
    tenant: Tenant = "default",
    head: Annotated[str, typer.Option(help="What `tocsin audit head` printed before.")] = "",
    output: Output = "auto",
) -> None:
    """Check that every entry is as it was written: none changed, removed, moved, or added without the key. Exit code 1
    names the first that is not.

    Example: tocsin audit verify
    """
    from msgspec.structs import asdict

    from tocsin.app import App
    from tocsin.cli.opening import run_with_store
    from tocsin.cli.output import rows
    from tocsin.store import audit
    from tocsin.store.audit import Verdict

    try:
        known = audit.parse_head(head) if head else None
    except ValueError:
        fail("--head: expected what `tocsin audit head` prints.", 2)

    async def check(app: App) -> Verdict:
        return await audit.verify(app.db, app.keyring, tenant, known)

    verdict = run_with_store(check)
    rows([asdict(verdict)], Verdict.__struct_fields__, output)
    raise typer.Exit(0 if verdict.ok else 1)


@app.command()
def export(tenant: Tenant = "default") -> None:
    """Write the whole trail to standard output, oldest first, a JSON object a line.

    Example: tocsin audit export > audit.jsonl
    """
    import sys

    import msgspec

    from tocsin.app import App
    from tocsin.cli.opening import run_with_store
    from tocsin.store import audit
    from tocsin.web.api.audit import shown

    async def write(app: App) -> None:
        number = 0
        while entries := await audit.after(app.db, tenant, number):
            for entry in entries:
                sys.stdout.write(msgspec.json.encode(shown(entry)).decode() + "\n")
            number = entries[-1].number

    run_with_store(write)
