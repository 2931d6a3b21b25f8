"""What a provider would show, as HTML: one file each. Hostile text is escaped; no script, nothing is loaded."""

from collections.abc import Callable
from html import escape
from typing import Any, Literal

from msgspec import Struct

from tocsin.model.wire import HttpRequest, SmtpRequest
from tocsin.previews import discord, email, slack, teams


class Preview(Struct, frozen=True):
    """`html` makes a picture of a request: a fragment for a page that has `style` in it, or a whole document."""

    html: Callable[[Any], str]
    kind: Literal["fragment", "document"] = "fragment"
    style: str = ""


def mail(request: HttpRequest | SmtpRequest) -> str:
    """The mail's HTML; its text, where it has no other part."""
    subject, text = email.subject_and_text(request)
    plain = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(subject)}</title><body>'
    return email.html(request) or f'{plain}<pre style="white-space:pre-wrap">{escape(text)}</pre></body></html>'


SLACK = Preview(lambda request: slack.html(request.body), style=slack.STYLE)
PREVIEWS: dict[str, Preview] = {
    "slack": SLACK,
    "slack_bot": SLACK,
    "teams": Preview(lambda request: teams.html(request.body), style=teams.STYLE),
    "discord": Preview(lambda request: discord.html(request.body), style=discord.STYLE),
    "email": Preview(mail, "document"),
}
"""By provider kind; the others send data that programs read, or text."""
