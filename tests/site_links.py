"""`python -m tests.site_links build/site`: every link, picture and anchor of a built site leads somewhere in it,
and nothing is loaded from elsewhere."""

import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ADDRESSES = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "srcset", "iframe": "src"}
LOADED = {"img", "script", "source", "iframe"}
LOADED_LINKS = {"stylesheet", "icon", "preload", "modulepreload"}
NOT_OURS = ("mailto:", "data:", "javascript:")


class Page(HTMLParser):
    """`anchors` are the ids of a page; `links` are (address, whether it is loaded with the page)."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[tuple[str, bool]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.anchors |= {given.get("id") or "", (given.get("name") or "") if tag == "a" else ""}
        address = given.get(ADDRESSES.get(tag, ""))
        if address:
            is_loaded = tag in LOADED or (given.get("rel") or "") in LOADED_LINKS
            self.links.append((address, is_loaded))


def dead_links(site: Path) -> Iterator[str]:
    pages = {file.resolve(): Page(file.read_text("utf-8")) for file in site.rglob("*.html")}
    for file, page in pages.items():
        where = file.relative_to(site.resolve())
        for address, is_loaded in page.links:
            if address.startswith(NOT_OURS):
                continue
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                if is_loaded:
                    yield f"{where} loads {address}"
                continue
            path = unquote(parts.path)
            at = (site.resolve() / path.lstrip("/")) if path.startswith("/") else file.parent / path
            target = (at if path else file).resolve()
            if target.is_dir():
                target = target / "index.html"
            if not target.is_file() or site.resolve() not in target.parents:
                yield f"{where} leads to {address}, which is not there"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                yield f"{where} leads to {address}, which has no such anchor"


if __name__ == "__main__":
    found = sorted(set(dead_links(Path(sys.argv[1]))))
    print(*found, f"{len(found)} dead links", sep="\n")
    sys.exit(bool(found))
