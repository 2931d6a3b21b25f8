"""Links under a message: few, http and https only, with nothing in them that could end them early in any markup."""

from urllib.parse import quote

from tocsin.model.event import Action

LINKS = 3
URL_CHARS = 2000
"""As long as browsers and proxies agree on in practice; a longer one is left out rather than broken."""

# What a URL may consist of (RFC 3986, 2), and "%" for what is encoded already. The apostrophe is encoded: it ends an
# attribute in some markup.
_IN_URL = "%:/?#[]@!$&()*+,;=-._~"


def web_links(actions: tuple[Action, ...]) -> list[Action]:
    """The first LINKS that can be shown, their addresses in ASCII. Labels are as they came: each markup has its own."""
    found: list[Action] = []
    for one in actions:
        url = quote("".join(one.url.split()), safe=_IN_URL, errors="replace")
        if len(found) < LINKS and len(url) <= URL_CHARS and url.lower().startswith(("https://", "http://")):
            found.append(Action(one.label, url, one.style))
    return found
