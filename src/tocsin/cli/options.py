"""Options that several commands share."""

from typing import Annotated

import typer

Url = Annotated[str, typer.Option(envvar="TOCSIN_URL", help="The server.")]
Token = Annotated[str, typer.Option(envvar="TOCSIN_TOKEN", help="A token; `tocsin token create` makes one.")]
Output = Annotated[str, typer.Option("-o", "--output", help="auto, table, tsv, csv or json.")]
DEFAULT_URL = "http://127.0.0.1:8000"
