"""Every provider that people look at has its picture."""

import pytest

from tests.providers.examples import MESSAGES, provider_of, sending
from tocsin.previews import PREVIEWS
from tocsin.providers import PROVIDERS


def test_there_are_pictures_for_providers_that_exist() -> None:
    assert set(PREVIEWS) == {"slack", "slack_bot", "teams", "discord", "email"}
    assert set(PREVIEWS) <= set(PROVIDERS)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("kind", PREVIEWS)
@pytest.mark.parametrize("name", MESSAGES)
def test_a_picture_loads_nothing_and_runs_nothing(name: str, kind: str, plain: bool) -> None:
    provider, look = provider_of(kind), PREVIEWS[kind]
    made = look.html(provider.render(sending(provider, MESSAGES[name], plain=plain)))
    assert MESSAGES[name].title.split()[0] in made
    assert made.lower().startswith("<!doctype html>") == (look.kind == "document")
    assert bool(look.style) == (look.kind == "fragment")
    for part in ("<script", "<img", "<link", "<iframe", "<object", "url(", "@import"):
        assert part not in made + look.style
