"""A Teams card as HTML: that it shows the message, and that nobody's text becomes markup."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.providers.examples import EVERY_MESSAGE, HOSTILE_MESSAGE, MESSAGES, provider_of, sending
from tocsin.previews.teams import STYLE, html, markdown

TEAMS = provider_of("teams")
TAGS = {"article", "section", "header", "div", "span", "p", "h3", "b", "i", "br", "a", "dl", "dt", "dd", "pre", "code"}
TAGS |= {"label", "input", "time"}
VOID = {"br", "input"}
ATTRIBUTES = {"class", "href", "target", "rel", "type", "aria-hidden"}


class Read(HTMLParser):
    """Checks every tag, and collects the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        for name, value in attrs:
            assert name in ATTRIBUTES
            assert name != "href" or (value or "").lower().startswith(("https://", "http://"))
            assert name != "class" or re.fullmatch(r"[a-z -]+", value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)


def words(fragment: str) -> str:
    read = Read()
    read.feed(fragment)
    read.close()
    assert not read.open
    return read.words


def body(name: str, *, plain: bool = False, **settings: Any) -> bytes:
    return TEAMS.render(sending(TEAMS, EVERY_MESSAGE[name], plain=plain, **settings)).body


@pytest.mark.parametrize("name", EVERY_MESSAGE)
@pytest.mark.parametrize("plain", [False, True])
def test_is_safe_and_whole(name: str, plain: bool) -> None:
    words(html(body(name, plain=plain, mention_on_failure=[{"id": "ana@contoso.com", "name": "Ana"}])))


def test_shows_what_people_would_see() -> None:
    shown = html(body("run-failed", mention_on_failure=[{"id": "ana@contoso.com", "name": "Ana Silva"}]))
    seen = words(shown)
    for part in ("❌ train-ranker failed in prod", "CUDA out of memory", "12m 31s", "Ana Silva", "Logs", "owner ana"):
        assert part in seen
    assert "Sat, Nov 21, 2026" in seen
    assert "02:00 UTC" in seen
    assert "{{" not in seen
    assert '<h3 class="teams-text teams-size-large teams-weight-bolder">❌ train-ranker failed in prod</h3>' in shown
    assert "teams-attention teams-bleed" in shown
    assert 'href="https://airflow.example/logs/8f3a21c?a=1&amp;b=2"' in shown
    assert '<span class="teams-mention">Ana Silva</span>' in shown


def test_stages_unfold_without_a_script() -> None:
    shown = html(body("run-failed"))
    assert '<div class="teams-folded">' in shown
    assert '<input type="checkbox">Stages 2/3</label>' in shown
    assert ".teams-card:not(:has(input:checked)) .teams-folded { display: none; }" in STYLE


def test_hostile_text_is_text() -> None:
    shown = html(TEAMS.render(sending(TEAMS, HOSTILE_MESSAGE)).body)
    assert "<i>" not in shown
    assert "<b>bold" not in shown
    assert "javascript:alert(1)" in words(shown)
    assert "&lt;!channel&gt;" in shown


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("a **b** _c_ *d*", "a <b>b</b> <i>c</i> <i>d</i>"),
        ("snake_case_name 2*3*4", "snake_case_name 2*3*4"),
        ("[x](javascript:alert)", '<span class="teams-link">x</span>'),
        ("<at>Ana</at> <b>", '<span class="teams-mention">Ana</span> &lt;b&gt;'),
        ("{{DATE(2026-13-41T00:00:00Z)}}", "<time>2026-13-41</time>"),
        ("a\n\nb", "a<br><br>b"),
    ],
)
def test_markdown(text: str, made: str) -> None:
    assert markdown(text) == made


def test_elements_of_other_cards() -> None:
    """A card by somebody else: columns, badges, images, unknown elements with and without a fallback."""
    card = {
        "body": [
            {
                "type": "ColumnSet",
                "columns": [
                    {
                        "type": "Column",
                        "width": "auto",
                        "items": [{"type": "Image", "url": "https://x", "altText": "Bell"}],
                    },
                    {
                        "type": "Column",
                        "items": [{"type": "Badge", "text": "New"}, {"type": "Chart.Line", "fallback": "drop"}],
                    },
                ],
            },
            {"type": "Chart.Line", "fallback": {"type": "TextBlock", "text": "as words"}},
            {"type": "RichTextBlock", "inlines": ["a", {"type": "TextRun", "text": "b", "color": '"><script>'}]},
            {"type": "TextBlock", "text": "hidden", "isVisible": False},
            {"type": "ActionSet", "actions": [{"type": "Action.OpenUrl", "title": "Go", "url": "javascript:1"}]},
        ]
    }
    shown = html(json.dumps({"attachments": [{"content": card}]}).encode())
    assert words(shown) == "Workflows AppBellNewas wordsabGo"
    assert "https://x" not in shown
    assert "<script" not in shown


@pytest.mark.parametrize(
    "sent", [b"", b"{", b"null", b'{"text":"<b>"}', b"\xff", b"[" * 100_000, b'{"attachments":[1]}']
)
def test_what_is_no_card_is_shown_as_it_is(sent: bytes) -> None:
    assert words(html(sent)) == "Workflows App" + sent.decode("utf-8", "replace")


def test_nesting_ends() -> None:
    inner: dict[str, Any] = {"type": "TextBlock", "text": "deep"}
    for _ in range(100):
        inner = {"type": "Container", "items": [inner]}
    assert "deep" not in html(json.dumps({"attachments": [{"content": {"body": [inner]}}]}).encode())


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["Container", "FactSet"])
KEYS = st.sampled_from(
    ["type", "items", "text", "facts", "title", "value", "actions", "body", "style", "inlines", "url"]
)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5))


@given(JSON)
def test_any_json_is_shown_somehow(value: Any) -> None:
    words(html(json.dumps({"attachments": [{"content": value}]}).encode()))


def test_is_for_light_and_dark_and_loads_nothing() -> None:
    assert "prefers-color-scheme: dark" in STYLE
    assert "[data-theme=dark] .teams" in STYLE
    assert "url(" not in STYLE
    assert "@import" not in STYLE
    assert STYLE.count("{") == STYLE.count("}")
    classes = set(re.findall(r'class="([^"]+)"', "".join(html(body(name)) for name in MESSAGES)))
    assert all(one.startswith("teams") for found in classes for one in found.split())
