"""docs/errors: a page for each error, as `/help/errors` of a running Tocsin shows it; made from tocsin.web.help."""

import re
from pathlib import Path

import pytest

from tocsin.web.help import Group, Help, follows, groups, pages

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs/errors"
NAV = re.compile(r"(?<=          # errors\n).*?(?=          # end\n)", re.DOTALL)
ALERTS = re.compile(r"(?<=<!-- alerts -->\n).*?(?=<!-- end -->)", re.DOTALL)


def listed(texts: tuple[str, ...]) -> str:
    return f"{texts[0]}\n" if len(texts) == 1 else "".join(f"- {text}\n" for text in texts)


def page_of(group: Group, one: Help) -> str:
    several = "It depends on the receiver:\n\n" if len(follows(group, one)) > 1 else ""
    status = f" · HTTP {one.status}" if one.status else ""
    parts = [
        f"# {one.title}\n",
        f"*{group.title}*{status}\n",
        f"{one.means}\n",
        f"## What Tocsin does by itself\n\n{several}{listed(follows(group, one))}",
        f"## What to do\n\n{listed(one.do)}",
        f"## Where to see it\n\n{listed(one.look or group.look)}",
    ]
    if one.related:
        also = "".join(f"- [{pages()[code][1].title}]({code}.md)\n" for code in one.related)
        parts.append(f"## See also\n\n{also}")
    return "\n".join(parts)


def index() -> str:
    parts = [
        "# What errors mean\n",
        "A page for each thing that can go wrong: what it means, what Tocsin does by itself, what to do. Every Tocsin "
        "has the same\npages at `/help/errors`: the `type` of an error of the API and the dashboard lead there.\n",
    ]
    for group in groups().values():
        rows = "".join(f"- [{one.title}]({code}.md)\n" for code, one in group.pages.items())
        parts.append(f"## {group.title}\n\n{group.about}\n\n{rows}")
    return "\n".join(parts)


def nav() -> str:
    lines = ["          - errors/index.md\n"]
    for group in groups().values():
        lines.append(f"          - {group.title}:\n")
        lines += [f'              - "{one.title}": errors/{code}.md\n' for code, one in group.pages.items()]
    return "".join(lines)


def alerts() -> str:
    rows = [f"| [{one.title}](errors/{code}.md) | {one.means} |\n" for code, one in groups()["alerts"].pages.items()]
    return "| | |\n|---|---|\n" + "".join(rows)


def test_the_pages_are_what_the_source_says(request: pytest.FixtureRequest) -> None:
    made = {f"{code}.md": page_of(group, one) for code, (group, one) in pages().items()} | {"index.md": index()}
    site, operations = ROOT / "mkdocs.yml", ROOT / "docs/operations.md"
    navigation = NAV.sub(lambda _: nav(), site.read_text("utf-8"))
    ringing = ALERTS.sub(lambda _: alerts(), operations.read_text("utf-8"))
    if request.config.getoption("--update-golden"):
        FOLDER.mkdir(exist_ok=True)
        for file in FOLDER.iterdir():
            if file.name not in made:
                file.unlink()
        for name, text in made.items():
            (FOLDER / name).write_text(text, "utf-8")
        site.write_text(navigation, "utf-8")
        operations.write_text(ringing, "utf-8")
    assert {file.name: file.read_text("utf-8") for file in FOLDER.iterdir()} == made, "run `make golden`"
    assert navigation == site.read_text("utf-8"), "run `make golden`"
    assert ringing == operations.read_text("utf-8"), "run `make golden`"
