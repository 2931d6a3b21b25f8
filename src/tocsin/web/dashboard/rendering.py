"""Templates to pages. Everything that a template shows is escaped; a name that it does not get is an error."""

from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined
from starlette.responses import HTMLResponse

FOLDER = files("tocsin.web.dashboard")
STATIC = {"style.css": "text/css", "bell.svg": "image/svg+xml"}


@cache
def environment() -> Environment:
    templates = {file.name: file.read_text("utf-8") for file in (FOLDER / "templates").iterdir()}
    return Environment(
        loader=DictLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(environment().get_template(template).render(**values), status)


@cache
def static(name: str) -> bytes:
    """Raises KeyError for a file that is none of ours."""
    if name not in STATIC:
        raise KeyError(name)
    return (FOLDER / "static" / name).read_bytes()
