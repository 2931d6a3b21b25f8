"""What a receiver said, in words that say what to do: for verdicts, deliveries and dead letters. Pure."""

from msgspec import Struct

from tocsin.web.help import address_of, code_of, pages

UNKNOWN = "refused"
"""The page of what no other page knows."""


class Advice(Struct, frozen=True):
    """`what` happened and what to `do` about it; `do` is "" where nothing is known that helps. `more`: the address of
    the page that explains it, or ""."""

    what: str
    do: str = ""
    more: str = ""


def advice(label: str, said: str) -> Advice:
    """`label`: who said it, such as Slack."""
    code = code_of("dead", said)
    if code in ("", UNKNOWN):
        return Advice(said or f"{label} gave no reason.", more=address_of(code))
    page = pages()[code][1]
    return Advice(f"{label} {page.says}." if page.says else f"{page.title}.", page.do[0], address_of(code))
