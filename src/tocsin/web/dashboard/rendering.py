"""Templates to pages. Everything that a template shows is escaped; a name that it does not get is an error."""

import asyncio
import gzip
import re
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import brotli
from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tocsin.previews import PREVIEWS
from tocsin.web.dashboard import kinds, sentences, tracing, wording

FOLDER = files("tocsin.web.dashboard")
ICONS = "vendor/lucide-1.62.0"
MEDIA = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml", "md": "text/plain", "toml": "text/plain"}
LOOKS = {
    f"previews/{kind}.css": one.style.replace("[data-theme=light]", "html:not(.dark)").replace(
        "[data-theme=dark]", ".dark"
    )
    for kind, one in PREVIEWS.items()
    if one.style
}
"""What previews of messages are drawn with, in the theme that pages have."""

YEAR = "public, max-age=31536000, immutable"
HOUR = "public, max-age=3600"


class StaticFile(Struct, frozen=True):
    """`mark` is in the address of a file, so that it may be kept for good."""

    content: bytes
    media: str
    mark: str


def below(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        name = prefix + entry.name
        if entry.is_dir():
            yield from below(entry, f"{name}/")
        else:
            yield name, entry


@cache
def static_names() -> frozenset[str]:
    return frozenset(name for name, _ in below(FOLDER / "static"))


@cache
def static(name: str) -> StaticFile:
    """Raises KeyError for a file that is none of ours."""
    if name not in static_names() and name not in LOOKS:
        raise KeyError(name)
    file = (FOLDER / "static").joinpath(*name.split("/"))
    content = LOOKS[name].encode() if name in LOOKS else file.read_bytes()
    media = MEDIA.get(name.rpartition(".")[2], "text/plain")
    return StaticFile(content, media, sha256(content).hexdigest()[:12])


def asset(name: str) -> str:
    """Where a file is to be had, under an address that changes with it."""
    return f"/static/{name}?v={static(name).mark}"


def coding_of(request: Request) -> str:
    """How what is sent is packed: Brotli where the browser takes it (over TLS, and on this machine), else gzip."""
    taken = request.headers.get("accept-encoding", "")
    return "br" if "br" in taken else "gzip" if "gzip" in taken else ""


@cache
def packed_file(name: str, coding: str) -> bytes:
    """Half a second of work for the largest, once: not on the event loop."""
    content = static(name).content
    return brotli.compress(content, quality=10) if coding == "br" else gzip.compress(content, 9, mtime=0)


async def static_response(request: Request, name: str) -> Response:
    """Raises KeyError."""
    found, coding = static(name), coding_of(request)
    named = request.query_params.get("v") == found.mark
    headers = {"cache-control": YEAR if named else HOUR, "vary": "accept-encoding"}
    if not coding:
        return Response(found.content, media_type=found.media, headers=headers)
    packed = await asyncio.to_thread(packed_file, name, coding)
    return Response(packed, media_type=found.media, headers=headers | {"content-encoding": coding})


@cache
def drawing(name: str) -> str:
    """What is drawn in a vendored icon. Raises KeyError."""
    text = static(f"{ICONS}/{name}.svg").content.decode()
    return re.sub(r"\s*\n\s*", "", text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")])


@cache
def icon(name: str, size: int = 16) -> Markup:
    """Beside words, which say the same: screen readers pass it by."""
    lines = 'fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"'
    frame = '<svg class="ic" width="{0}" height="{0}" viewBox="0 0 24 24" {1} aria-hidden="true">{2}</svg>'
    return Markup(frame).format(size, Markup(lines), Markup(drawing(name)))


@cache
def environment() -> Environment:
    templates = {name: file.read_text("utf-8") for name, file in below(FOLDER / "templates")}
    found = Environment(
        loader=DictLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.globals |= {"asset": asset, "icon": icon}
    found.filters |= wording.FILTERS | tracing.FILTERS_OF_TEMPLATES | sentences.FILTERS | kinds.FILTERS
    return found


def render(template: str, **values: Any) -> str:
    return environment().get_template(template).render(**values)


def page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    return HTMLResponse(render(template, **values), status)


def packed_page(request: Request, html: str, status: int = 200) -> Response:
    headers, coding = {"vary": "accept-encoding"}, coding_of(request)
    if not coding:
        return HTMLResponse(html, status, headers)
    text = html.encode()
    packed = brotli.compress(text, quality=5) if coding == "br" else gzip.compress(text, 5, mtime=0)
    return HTMLResponse(packed, status, headers | {"content-encoding": coding})
