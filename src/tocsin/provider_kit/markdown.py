"""What the dialects of Markdown have in common: links, stages and fenced code."""

from collections.abc import Callable

from tocsin.model.event import Action
from tocsin.model.message import Message
from tocsin.provider_kit.links import web_links
from tocsin.provider_kit.progress import bar, current, step_line
from tocsin.provider_kit.text import cut_escaped, tail

Escape = Callable[[str], str]

STEPS = 8
"""As many stages as are read without scrolling; the newest count."""
STEP_CHARS = 80

# What could end a link early, in `[…](…)` or `<…>`.
_ENDS_LINKS = {ord(char): f"%{ord(char):02X}" for char in "()[]*_~"}


def safe_links(actions: tuple[Action, ...]) -> list[Action]:
    """The first few links, for use inside markup. An address in IPv6 has brackets that must stay, so it is left out."""
    return [
        Action(one.label, one.url.translate(_ENDS_LINKS), one.style)
        for one in web_links(actions)
        if "[" not in one.url.split("/", 3)[2]
    ]


def main_link(links: list[Action]) -> str:
    """Where the title leads: nowhere unless a link is the primary one, since others may do something, such as silence
    an alarm."""
    return next((one.url for one in links if one.style == "primary"), "")


def stages(message: Message, escape: Escape) -> str:
    """`▰▰▰▱▱ 3/5 · **evaluate**` while the run goes on, and a line for each of the newest stages; "" without stages."""
    steps = message.steps
    if not steps:
        return ""
    told = []
    if message.run_status == "running":
        now = cut_escaped(current(steps), STEP_CHARS, escape)
        told.append(f"{bar(steps)} · **{now}**" if now else bar(steps))
    if len(steps) > STEPS:
        told.append(f"… {len(steps) - STEPS} before")
    told += [cut_escaped(step_line(one), STEP_CHARS, escape) for one in steps[-STEPS:]]
    return "\n".join(told)


def fenced(text: str, limit: int) -> str:
    """The end of a text as a block of code, in at most `limit` characters. Nothing in it ends the block early."""
    inside = tail(text.strip("\n").replace("```", "ˋˋˋ"), limit - len("```\n\n```"))
    return f"```\n{inside}\n```"
