"""A Slack message as HTML: that it shows the message, and that nobody's text becomes markup."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.compose.samples import AT_MS
from tests.providers.examples import EVERY_MESSAGE, HOSTILE_MESSAGE, MESSAGES, provider_of, sending
from tocsin.model.message import Message
from tocsin.model.wire import HttpRequest
from tocsin.previews.slack import STYLE, html, marked

TAGS = {"article", "div", "p", "span", "h3", "b", "i", "s", "code", "pre", "br", "hr", "ul", "ol", "li", "blockquote"}
TAGS |= {"a", "time", "svg", "rect", "path"}
VOID = {"br", "hr"}
ATTRIBUTES = {"class", "href", "target", "rel", "datetime", "aria-hidden"}
SHAPES = {"svg": {"xmlns", "viewbox"}, "rect": {"width", "height", "rx", "fill"}, "path": {"d", "fill"}}


class Read(HTMLParser):
    """Checks every tag, and collects the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words = ""
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS
        assert tag != "div" or "p" not in self.open
        for name, value in attrs:
            assert name in ATTRIBUTES | SHAPES.get(tag, set()), (tag, name)
            assert name != "class" or re.fullmatch(r"[a-z0-9 -]+", value or "")
            assert name != "fill" or re.fullmatch(r"#[0-9A-Fa-f]{3,6}", value or "")
            if name == "href":
                assert (value or "").lower().startswith(("https://", "http://"))
                self.links.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)


def read(made: str) -> Read:
    reader = Read()
    reader.feed(made)
    reader.close()
    assert reader.open == []
    made.encode()
    return reader


def shown(message: Message, kind: str = "slack", *, plain: bool = False, **settings: Any) -> Read:
    request = provider_of(kind).render(sending(provider_of(kind), message, plain=plain, **settings))
    assert isinstance(request, HttpRequest)
    return read(html(request.body, AT_MS))


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("kind", ["slack", "slack_bot"])
@pytest.mark.parametrize("name", EVERY_MESSAGE)
def test_every_message_is_shown(name: str, kind: str, plain: bool) -> None:
    # S1-02
    assert "Tocsin" in shown(EVERY_MESSAGE[name], kind, plain=plain).words


def test_a_failure_is_shown_as_people_would_see_it() -> None:
    # S0-02, S0-03, S0-05
    request = provider_of("slack").render(sending(provider_of("slack"), MESSAGES["run-failed"]))
    made = html(request.body, AT_MS)
    reader = read(made)
    for words in (
        "❌ train-ranker failed in prod",
        "CUDA out of memory",
        "evaluate",
        "12m 31s",
        "02:00 UTC",
        "owner ana",
    ):
        assert words in reader.words
    assert "<h3>❌ train-ranker failed in prod</h3>" in made
    assert "<pre>Traceback" in made
    assert 'fill="#D72D30"' in made
    assert reader.links[:2] == ["https://airflow.example/runs/8f3a21c", "https://airflow.example/logs/8f3a21c?a=1&b=2"]


def test_links_are_buttons_where_the_app_listens() -> None:
    request = provider_of("slack_bot").render(
        sending(provider_of("slack_bot"), MESSAGES["run-failed"], interactivity=True)
    )
    assert 'class="slack-button slack-primary" href="https://airflow.example/runs/8f3a21c"' in html(request.body)


@pytest.mark.parametrize("plain", [False, True])
def test_hostile_text_stays_text(plain: bool) -> None:
    reader = shown(HOSTILE_MESSAGE, plain=plain)
    assert "<https://evil.example|ok>" in reader.words
    assert not any("evil.example" in link or "javascript" in link for link in reader.links)


@pytest.mark.parametrize("plain", [False, True])
def test_whom_a_message_wakes_is_a_chip(plain: bool) -> None:
    # S1-17
    whom = ["here", "U012AB3CD", "S01AB2"]
    slack = provider_of("slack")
    request = slack.render(sending(slack, MESSAGES["run-failed"], plain=plain, mention_on_failure=whom))
    made = html(request.body)
    assert '<span class="slack-mention slack-loud">@here</span>' in made
    for who in ("@U012AB3CD", "@S01AB2"):
        assert f'<span class="slack-mention">{who}</span>' in made


def block(**fields: Any) -> str:
    return html(json.dumps({"text": "words", "blocks": [fields]}).encode())


def piece(text: str, **style: bool) -> dict[str, Any]:
    return {"type": "text", "text": text} | ({"style": style} if style else {})


RICH = {
    "type": "rich_text",
    "elements": [
        {
            "type": "rich_text_section",
            "elements": [
                piece("both", bold=True, italic=True),
                {"type": "emoji", "name": "technologist", "unicode": "1f9d1-200d-1f4bb"},
                {"type": "emoji", "name": "shipit"},
                {"type": "user", "user_id": "U1"},
                {"type": "channel", "channel_id": "C1"},
                {"type": "usergroup", "usergroup_id": "S1"},
                {"type": "broadcast", "range": "here"},
                {"type": "date", "timestamp": 1795226400, "format": "{date}", "fallback": "then"},
                {"type": "link", "url": "javascript:alert(1)", "text": "click"},
            ],
        },
        {
            "type": "rich_text_list",
            "style": "ordered",
            "indent": 1,
            "elements": [{"type": "rich_text_section", "elements": [piece("first", code=True)]}],
        },
        {"type": "rich_text_list", "style": "bullet", "elements": []},
        {"type": "rich_text_quote", "elements": [piece("said *so*\n<b>")]},
        {"type": "rich_text_preformatted", "elements": [piece("a\nb")]},
    ],
}


def test_rich_text_is_shown_and_never_parsed() -> None:
    made = block(**RICH)
    read(made)
    for part in (
        "<b><i>both</i></b>",
        "🧑‍💻",
        '<span class="slack-mention">#C1</span>',
        '<span class="slack-mention slack-loud">@here</span>',
        '<time datetime="2026-11-21T02:00:00+00:00">',
        '<ol class="slack-list slack-indent-1"><li><code>first</code></li></ol>',
        "<blockquote>said *so*<br>&lt;b&gt;</blockquote>",
        "<pre>a<br>b</pre>",
        "click",
    ):
        assert part in made
    assert "javascript" not in made


def test_what_stands_beside_and_below() -> None:
    button = {"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": "https://a.example/?x=1&y=2"}
    made = block(type="section", text={"type": "mrkdwn", "text": "*x*"}, accessory=button)
    assert "<b>x</b>" in made
    assert 'href="https://a.example/?x=1&amp;y=2"' in made
    made = block(type="actions", elements=[button | {"style": "danger"}, button | {"url": ""}])
    assert made.count("slack-danger") == 1
    assert '<span class="slack-button slack-default">Open</span>' in made
    picture = {"type": "image", "image_url": "https://a.example/x.png", "alt_text": "a <plot>"}
    for made in (block(**picture), block(type="context", elements=[picture])):
        assert "a &lt;plot&gt;" in made
        assert "x.png" not in made
    assert "<hr>" in block(type="divider")
    assert "[hologram]" in block(type="hologram")


@pytest.mark.parametrize(
    ("markup", "made"),
    [
        ("*bold* _it_ ~no~ `co*de*`", "<b>bold</b> <i>it</i> <s>no</s> <code>co*de*</code>"),
        ("a*b*c snake_case_name 2 * 3 * 4", "a*b*c snake_case_name 2 * 3 * 4"),
        ("&lt;b&gt; &amp;amp;", "&lt;b&gt; &amp;amp;"),
        ("*Step*\nload", "<b>Step</b><br>load"),
        ("<javascript:alert(1)|Open> <b>", "Open &lt;b&gt;"),
        (
            "<!date^1795226400^{date} {time}|x>",
            '<time datetime="2026-11-21T02:00:00+00:00">2026-11-21 02:00 UTC</time>',
        ),
        ("<!date^99999999999^{date}|then>", '<time datetime="5138-11-16T09:46:39+00:00">5138-11-16 09:46 UTC</time>'),
        ("<!date^x|then>", "then"),
        ("&gt; one\n&gt; *two*\nthree", "<blockquote>one<br><b>two</b></blockquote>three"),
        ("a ```\n*b*\n``` c", "a <pre>*b*</pre> c"),
        ("*_~a~_*", "<b><i><s>a</s></i></b>"),
    ],
)
def test_markup_is_read_as_slack_reads_it(markup: str, made: str) -> None:
    assert marked(markup) == made


def test_text_without_formatting_has_links_all_the_same() -> None:
    made = html(b'{"text": "*a* <https://a.example|b>", "mrkdwn": false}')
    assert "*a* <a " in made
    assert ">b</a>" in made


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no JSON <b>",
        b"[]",
        b"\xff",
        b"[" * 50_000,
        b'{"text": 7, "blocks": 7, "attachments": 7}',
        b'{"blocks": [7]}',
        b'{"blocks": [{"type": ["header"]}]}',
        b'{"blocks": [{"type": "section", "fields": {"a": 1}}]}',
        b'{"blocks": [{"type": "rich_text", "elements": [{"type": "rich_text_list", "indent": 1e999,'
        b' "elements": []}]}]}',
        b'{"blocks": [{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [{"type": "date",'
        b' "timestamp": 1e300}]}]}]}',
        b'{"attachments": [{"color": "red\\" onload=\\"x", "text": "\\ud800"}]}',
    ],
)
def test_what_is_no_message_is_shown_all_the_same(body: bytes) -> None:
    read(html(body))


def test_light_and_dark_have_the_same_colours_and_nothing_is_loaded() -> None:
    assert "url(" not in STYLE
    assert "@import" not in STYLE
    assert STYLE.count("prefers-color-scheme: dark") == STYLE.count("[data-theme=dark]") == 1
    defined = re.findall(r"(--s-\w+):", STYLE)
    assert all(defined.count(name) == 4 for name in set(defined))
    assert set(re.findall(r"var\((--s-\w+)\)", STYLE)) == set(defined)


HOSTILE = [
    '"><script>alert(1)</script>',
    "<javascript:alert(1)|click>",
    '<https://a.example/" onmouseover="alert(1)|x>',
    "<!--", "</pre></article>", "&lt;img src=x onerror=alert(1)&gt;", "<!date^99999999999^x|y>", "<!date^x|<b>>",
    "*<https://a.example|*_`x`_*>*", "<@U0<script>>", "\x00\x1b[31m", "``<i>``", "```</pre>```", "&gt; <b>\n&gt;",
]  # fmt: skip
ANY = st.one_of(st.text(max_size=40), st.sampled_from(HOSTILE), st.text("<>&|!^*_~`\n\"'/ahtps:;gl", max_size=40))
JUNK = st.recursive(
    st.one_of(ANY, st.integers(), st.floats(), st.none(), st.booleans()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["type", "text", "url", "elements", "fields", "style", "color", "blocks", "accessory"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)
TEXTS = st.builds(lambda kind, text: {"type": kind, "text": text}, st.sampled_from(["plain_text", "mrkdwn"]), ANY)
PIECES = st.one_of(
    st.builds(lambda text: piece(text, bold=True, code=True), ANY),
    st.builds(lambda url, text: {"type": "link", "url": url, "text": text}, ANY, ANY),
    st.builds(
        lambda name, code: {"type": "emoji", "name": name, "unicode": code}, ANY, st.one_of(ANY, st.just("d800"))
    ),
    st.builds(lambda who: {"type": "user", "user_id": who}, ANY),
)
BLOCKS = st.one_of(
    st.builds(lambda text: {"type": "header", "text": {"type": "plain_text", "text": text}}, ANY),
    st.builds(
        lambda text, fields: {"type": "section", "text": text, "fields": fields}, TEXTS, st.lists(TEXTS, max_size=3)
    ),
    st.builds(lambda elements: {"type": "context", "elements": elements}, st.lists(TEXTS, max_size=3)),
    st.builds(
        lambda kind, pieces: {"type": "rich_text", "elements": [{"type": kind, "elements": pieces}]},
        st.sampled_from(["rich_text_section", "rich_text_preformatted", "rich_text_quote"]),
        st.lists(PIECES, max_size=3),
    ),
    st.builds(
        lambda label, url: {"type": "actions", "elements": [{"type": "button", "text": {"text": label}, "url": url}]},
        ANY,
        ANY,
    ),
    st.builds(lambda kind: {"type": kind}, ANY),
    JUNK,
)


@given(text=ANY, mrkdwn=st.booleans(), blocks=st.lists(BLOCKS, max_size=3), color=ANY, junk=JUNK)
def test_no_message_breaks_out(text: str, mrkdwn: bool, blocks: list[Any], color: str, junk: Any) -> None:
    whole = {"text": text, "mrkdwn": mrkdwn, "blocks": blocks, "attachments": [{"color": color, "fallback": text}]}
    read(html(json.dumps(whole).encode()))
    read(html(json.dumps(junk).encode()))


@given(text=ANY)
def test_no_markup_breaks_out(text: str) -> None:
    read(f"<div>{marked(text)}</div>")
