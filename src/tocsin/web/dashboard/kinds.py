"""What kinds of endpoints are called: on pages, and where they are said to answer."""

from tocsin.providers import PROVIDERS

OTHERS_SPEAK = ("webhook", "apprise")
"""Kinds that say nothing of who answers."""


def kind_name(provider_type: str) -> str:
    """`Slack bot` for `slack_bot`; one that this version does not have as it is."""
    provider = PROVIDERS.get(provider_type)
    return provider.label if provider else provider_type


def speaker(provider_type: str) -> str:
    """Whose words an answer's are."""
    return "The receiver" if provider_type in OTHERS_SPEAK else kind_name(provider_type)


FILTERS = {"kind": kind_name}
