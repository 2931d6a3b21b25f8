"""Several rules or endpoints at once: what is asked before they are deleted, and what was seen when it was."""

from collections.abc import Awaitable, Callable, Iterable

from starlette.responses import Response

from tocsin.web.dashboard.visit import Visit
from tocsin.web.dashboard.wording import plural

NAMED = 3
"""Of those that are about to be deleted: the others are counted."""

Names = Callable[[Visit, Iterable[str]], Awaitable[dict[str, str]]]
"""What some are called, by id."""


def count_seen(visit: Visit, otherwise: int) -> int:
    """How many there were when they were asked."""
    seen = visit.form.get("expected", "")
    return int(seen) if seen.isdecimal() else otherwise


async def ask_delete(
    visit: Visit, noun: str, back: str, ids: list[str], names_of: Names, about: tuple[str, ...]
) -> Response:
    """What would be deleted, before anything is. `back`: the list that they are in."""
    names = await names_of(visit, ids[:NAMED])
    nouns = f"{noun}s"
    return await visit.page(
        "pages/bulk_delete.html",
        title=f"Delete {plural(len(ids), noun)}?",
        name=nouns.capitalize(),
        back=back,
        action=f"/{nouns}/bulk",
        count=len(ids),
        ids=ids,
        names=[names.get(id_, id_) for id_ in ids[:NAMED]],
        about=about,
    )
