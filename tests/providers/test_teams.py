"""Teams' own rules: addresses, official schema, bytes, Markdown, error codes, and what the fake makes of it all."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.compose.samples import HOSTILE
from tests.providers.examples import (
    BASE,
    EVERY_MESSAGE,
    EXAMPLES,
    HOSTILE_MESSAGE,
    MESSAGES,
    SIZES,
    provider_of,
    reply,
    sending,
    sized,
)
from tocsin.fakes import Answer, Asked
from tocsin.fakes.teams import GROWTH, MEASURED_BYTES, FakeTeams
from tocsin.model.endpoint import Target
from tocsin.model.errors import Invalid
from tocsin.model.event import Action
from tocsin.model.message import Message
from tocsin.model.run import RunStep
from tocsin.model.wire import Accepted, HttpRequest, Rejected, Retry, Sending
from tocsin.provider_kit.adaptive_card import MAX_BYTES, URL_CHARS, literal, style_of
from tocsin.providers.teams import ADDRESS, STATUSES, TeamsSettings

SHARED = Path(__file__).parents[2].parent / "shared" / "schemas"
LIMITS = json.loads((SHARED / "limits.json").read_text())["teams"]
PATTERNS = json.loads((SHARED / "url-patterns.json").read_text())
TEAMS_SCHEMA = jsonschema.Draft6Validator(
    json.loads((SHARED / "adaptive-card-1.5-teams.patched.schema.json").read_text())
)
OFFICIAL_SCHEMA = jsonschema.Draft6Validator(json.loads((SHARED / "adaptive-card-1.5.0.json").read_text()))
TEAMS = provider_of("teams")
COMMONMARK = MarkdownIt("commonmark")

ANA = {"id": "ana@contoso.com", "name": "Ana Silva"}
BOB = {"id": "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0", "name": "Bob (on call)"}
MOST_PEOPLE = [{"id": f"{'a' * 64}@{'b' * 40}.example", "name": "🇩🇪" * 32}] * 5
INVISIBLE = str.maketrans("", "", "\u200a\u200b")


def body(message: Message, *, plain: bool = False, **settings: Any) -> bytes:
    request = TEAMS.render(sending(TEAMS, message, plain=plain, **settings))
    return request.body


def content(message: Message, *, plain: bool = False, **settings: Any) -> Any:
    return json.loads(body(message, plain=plain, **settings))["attachments"][0]["content"]


def objects(value: Any, kind: str) -> Iterator[Any]:
    """Every object of a type, however deep."""
    if isinstance(value, dict):
        if value.get("type") == kind:
            yield value
        for one in value.values():
            yield from objects(one, kind)
    elif isinstance(value, list):
        for one in value:
            yield from objects(one, kind)


def markdowns(card: Any) -> list[str]:
    """Every text that Teams reads as Markdown, except the line of mentions and the plain form's links."""
    texts = [one["text"] for one in objects(card, "TextBlock") if not one["text"].startswith(("<at>", "["))]
    facts = [fact for one in objects(card, "FactSet") for fact in one["facts"]]
    return [*texts, *(fact["title"] for fact in facts), *(fact["value"] for fact in facts), card["fallbackText"]]


def without_teams(value: Any) -> Any:
    """What a host other than Teams makes of the card: no `msteams`, and fallbacks for what only Teams knows."""
    if isinstance(value, list):
        return [without_teams(one) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") == "CodeBlock":
        return without_teams(value["fallback"])
    return {name: without_teams(one) for name, one in value.items() if name != "msteams"}


@pytest.mark.parametrize("name", EVERY_MESSAGE)
@pytest.mark.parametrize("plain", [False, True])
def test_is_what_teams_takes(name: str, plain: bool) -> None:  # S0-05, S1-02
    sent = body(EVERY_MESSAGE[name], plain=plain, mention_on_failure=MOST_PEOPLE, theme_color="00ff00")
    assert len(sent) <= MAX_BYTES == LIMITS["safe_payload_bytes"]
    assert MAX_BYTES * GROWTH <= MEASURED_BYTES == LIMITS["payload_bytes"]
    envelope = json.loads(sent)
    assert set(envelope) == {"type", "attachments"}
    (attachment,) = envelope["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert card["version"] == LIMITS["adaptive_card_version"]
    assert not list(TEAMS_SCHEMA.iter_errors(card))
    assert not list(OFFICIAL_SCHEMA.iter_errors(without_teams(card)))
    assert len(card.get("actions", [])) <= LIMITS["actions_safe_max"]
    for one in objects(card, "TextBlock"):
        assert one["text"]
        assert one["wrap"] is True
    for one in objects(card, "TextRun"):
        assert one["text"]
    assert all(one["facts"] for one in objects(card, "FactSet"))


def test_the_schema_would_say_so() -> None:
    card = content(BASE)
    card["body"][0]["style"] = "crimson"
    assert list(TEAMS_SCHEMA.iter_errors(card))
    assert list(OFFICIAL_SCHEMA.iter_errors(content(BASE)))


@pytest.mark.parametrize("filler", ["a", "🇩🇪", "*_", "[](", "\\*", "{{", "<a&b;", "ﷺ", "\x00\n"])
@pytest.mark.parametrize("chars", [1, 119, 120, 121, 1000, 1001, 2000, 6000, 200_000])
def test_fits_in_bytes_whatever_it_is_made_of(filler: str, chars: int) -> None:
    message = sized(chars, 8, filler)
    steps = tuple(RunStep(f"{index}{filler * 50}", "running", 10**12) for index in range(200))
    links = tuple(Action(filler * 40, f"https://{n}.example/{'a' * (URL_CHARS - 18)}", "danger") for n in range(5))
    message = msgspec.structs.replace(message, steps=steps, actions=links)
    for plain in (False, True):
        sent = body(message, plain=plain, mention_on_failure=MOST_PEOPLE)
        assert len(sent) <= MAX_BYTES
        card = json.loads(sent)["attachments"][0]["content"]
        assert not list(TEAMS_SCHEMA.iter_errors(card))
        assert len(list(objects(card, "Action.OpenUrl"))) == (0 if plain else 3)


def test_shrinks_from_the_back() -> None:
    """Detail goes first, then facts, and words last; what matters is never left out."""
    seen = []
    for chars in (10, 500, 1200, 1800, 1980):
        links = tuple(Action("Open", f"https://{n}.example/{'a' * chars}") for n in range(3))
        wide = msgspec.structs.replace(
            BASE,
            actions=links,
            cause="c" * 9,
            text="ﷺ" * 1500,
            detail="ﷺ" * 1000,
            facts=(("Epoch", "ﷺ" * 200),) * 6,
        )
        card = content(wide, mention_on_failure=MOST_PEOPLE)
        assert card["body"][0]["items"][0]["text"].startswith("❌ train-ranker failed in prod")
        assert card["body"][0]["items"][1]["inlines"][0]["text"] == "c" * 9
        detail = next((len(one["codeSnippet"]) for one in objects(card, "CodeBlock")), 0)
        facts = next((len(one["facts"]) for one in objects(card, "FactSet")), 0)
        seen.append((detail, facts, len(card["body"][1]["inlines"][0]["text"])))
    assert seen == sorted(seen, reverse=True)
    assert len(set(seen)) >= 3
    assert seen[0][1] == 6


def test_a_failure_carries_its_details_and_its_link() -> None:  # S0-02
    card = content(MESSAGES["run-failed"])
    shown = json.dumps(card, ensure_ascii=False)
    for part in ("train-ranker", "8f3a21c", "12m 31s", "evaluate", "CUDA out of memory", "in prod"):
        assert part in shown
    head = card["body"][0]
    assert (head["style"], head["bleed"]) == ("attention", True)
    assert head["items"][0]["text"] == "❌ train-ranker failed in prod"
    assert card["actions"][0] == {
        "type": "Action.OpenUrl",
        "title": "Open run",
        "url": "https://airflow.example/runs/8f3a21c",
        "style": "positive",
    }
    assert card["actions"][1]["url"] == "https://airflow.example/logs/8f3a21c?a=1&b=2"
    assert card["fallbackText"] == card["speak"]
    assert card["fallbackText"].startswith("❌ train-ranker failed in prod after 12m 31s")


def test_looks_like_its_example() -> None:  # S1-02
    card = content(MESSAGES["training-complete"])
    assert card["body"][0]["style"] == "good"
    facts = next(objects(card, "FactSet"))["facts"]
    assert {"title": "Accuracy", "value": "96.8%"} in facts
    assert {"title": "Duration", "value": "14m 32s"} in facts
    assert card["actions"][0]["title"] == "View Results"
    assert "Experiment #1234" in card["body"][-1]["text"]
    assert "{{DATE(2026-11-21T02:00:00Z, SHORT)}} {{TIME(2026-11-21T02:00:00Z)}}" in card["body"][-1]["text"]


def test_stages_unfold() -> None:
    steps = (
        RunStep("load", "succeeded", 12_000),
        RunStep("train", "skipped"),
        RunStep("evaluate", "failed", 500),
        *(RunStep(f"s{n}", "running") for n in range(40)),
    )
    message = msgspec.structs.replace(BASE, steps=steps)
    card = content(message)
    toggle = card["actions"][-1]
    assert toggle == {"type": "Action.ToggleVisibility", "title": "Stages 2/43", "targetElements": ["stages"]}
    box = next(one for one in objects(card, "Container") if one.get("id") == "stages")
    assert box["isVisible"] is False
    rows = box["items"][0]["facts"]
    assert rows[0] == {"title": "✅ load", "value": "succeeded · 12 s"}
    assert rows[1] == {"title": "⏭️ train", "value": "skipped"}
    assert rows[-1] == {"title": "…", "value": "and 13 more"}
    bare = content(message, include_action_buttons=False)
    assert next(one for one in objects(bare, "Container") if one.get("id") == "stages")["isVisible"] is True


def test_formatting_can_be_switched_off() -> None:  # S1-02, S1-18
    for card in (
        content(MESSAGES["run-failed"], use_rich_formatting=False),
        content(MESSAGES["run-failed"], plain=True),
    ):
        assert [one["type"] for one in card["body"]] == ["RichTextBlock", "TextBlock"]
        assert card["body"][0]["inlines"][0]["text"].startswith(
            '❌ train-ranker failed in prod after 12m 31s — step "e'
        )
        assert card["body"][1]["text"].startswith("[Open run](https://airflow.example/runs/8f3a21c) · [Logs](")
        assert "actions" not in card


def test_links_can_be_left_out() -> None:  # S1-18
    for plain in (False, True):
        card = content(MESSAGES["run-failed"], include_action_buttons=False, plain=plain)
        assert "actions" not in card
        assert "airflow.example" not in json.dumps(card)


def test_width() -> None:
    assert content(BASE)["msteams"] == {"width": "Full"}
    assert "msteams" not in content(BASE, full_width=False)


@pytest.mark.parametrize(
    ("colour", "style"),
    [
        ("00ff00", "good"),
        ("#2EB67D", "good"),
        ("D72D30", "attention"),
        ("ff0066", "attention"),
        ("DE9B00", "warning"),
        ("0078D7", "accent"),
        ("8B2FC9", "accent"),
        ("868E96", "emphasis"),
        ("000000", "emphasis"),
        ("ffffff", "emphasis"),
    ],
)
def test_theme_color_is_the_nearest_style(colour: str, style: str) -> None:  # S1-18
    assert style_of(colour) == style
    assert content(MESSAGES["training-complete"], theme_color=colour)["body"][0]["style"] == style
    assert content(MESSAGES["run-failed"], theme_color=colour)["body"][0]["style"] == "attention"
    assert content(MESSAGES["run-exceeded"], theme_color=colour)["body"][0]["style"] == "warning"


@pytest.mark.parametrize("plain", [False, True])
def test_mentions_on_failure_and_on_nothing_else(plain: bool) -> None:  # S1-17, S1-18
    for name, message in MESSAGES.items():
        card = content(message, plain=plain, mention_on_failure=[ANA, BOB])
        entities = card["msteams"].get("entities", [])
        assert bool(entities) == (message.tone in ("bad", "rollback")), name
        texts = [one["text"] for one in objects(card, "TextBlock")]
        assert ("<at>Ana Silva</at> <at>Bob (on call)</at>" in texts) == bool(entities)
        for entity in entities:
            assert any(entity["text"] in text for text in texts)
            assert entity["mentioned"] in (ANA, BOB)
        assert "<at>" not in json.dumps(content(message, plain=plain))


def test_a_quiet_message_mentions_nobody() -> None:
    given = sending(TEAMS, BASE, mention_on_failure=[ANA])
    quiet = msgspec.structs.replace(given, quiet=True)
    assert b"<at>" in TEAMS.render(given).body
    assert b"<at>" not in TEAMS.render(quiet).body


def test_mentions_can_be_off_for_all() -> None:  # S1-05
    target = EXAMPLES["teams"]
    off = msgspec.structs.replace(target.settings, mention_on_failure=False)
    request = TEAMS.render(Sending("dlv_1", 1, Target(target.address, off), BASE))
    assert b"<at>" not in request.body


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("plain", [False, True])
def test_nobodys_text_is_more_than_text(name: str, plain: bool) -> None:
    card = content(SIZES[name], plain=plain)
    for text in markdowns(card):
        assert_literal(text)
    assert "<at" not in json.dumps(card).lower()
    for one in objects(card, "Action.OpenUrl"):
        assert one["url"].startswith("https://")
        assert one["url"].isascii()
        assert not set(one["url"]) & set(' <>"()\r\n')


def assert_literal(text: str) -> None:
    """A CommonMark parser finds nothing in it but these very words."""
    tokens = COMMONMARK.parse(text)
    assert [token.type for token in tokens] in ([], ["paragraph_open", "inline", "paragraph_close"]), text
    for token in tokens:
        for child in token.children or []:
            assert child.type == "text", text
    shown = "".join(child.content for token in tokens for child in token.children or [])
    assert shown.translate(INVISIBLE).strip() == text.translate(INVISIBLE).strip()


@given(st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"))))
def test_literal_means_nothing(text: str) -> None:
    made = literal(" ".join(text.split()))
    assert_literal(made)
    assert made.translate(INVISIBLE) == " ".join(text.split()).translate(INVISIBLE).replace("`", "ˋ")


@example(["*", "_", "*"])
@given(
    st.lists(
        st.sampled_from(
            [
                "*",
                "_",
                "a",
                " ",
                "[",
                "]",
                "(",
                ")",
                "<",
                ">",
                "&",
                "amp;",
                "\\",
                "~",
                "`",
                "-",
                "1.",
                "#",
                "!",
                "{{",
                "=",
            ]
        )
    )
)
def test_literal_means_nothing_in_heaps_of_markup(parts: list[str]) -> None:
    assert_literal(literal("".join(parts).strip()))


@pytest.mark.parametrize(
    "text",
    [
        "train_ranker_v2",
        "a__b",
        "0.9034",
        "-3.2%",
        "+14",
        "12m 31s",
        "lr 0.0003, depth 6",
        "p95 < 500 ms",
        "R&D",
        "C:/x",
    ],
)
def test_usual_words_stay_as_they_are(text: str) -> None:
    assert literal(text) == text


def test_hostile_links_and_mentions() -> None:
    hostile = msgspec.structs.replace(
        HOSTILE_MESSAGE,
        title="<at>Ana Silva</at> {{DATE(2026-01-01T00:00:00Z)}}",
        actions=(
            Action("x](https://evil.example) [y", "https://a.example/)[x](javascript:alert(1))"),
            Action(HOSTILE, "JavaScript:alert(1)"),
            Action("z", "https://ä.example/ü?q=%20|x"),
        ),
    )
    card = content(hostile, plain=True, mention_on_failure=[ANA])
    (links,) = [one["text"] for one in objects(card, "TextBlock") if one["text"].startswith("[")]
    (inline,) = [token for token in COMMONMARK.parse(links) if token.type == "inline"]
    hrefs = [token.attrs["href"] for token in inline.children or [] if token.type == "link_open"]
    assert hrefs == [
        "https://a.example/%29%5Bx%5D%28javascript:alert%281%29%29",
        "https://%C3%A4.example/%C3%BC?q=%20%7Cx",
    ]
    rich = json.dumps(content(hostile, mention_on_failure=[ANA]), ensure_ascii=False)
    assert rich.count("<at>Ana Silva</at>") == 2  # the text's and the entity's own
    assert "{{DATE(2026-01" not in rich


@pytest.mark.parametrize("address", PATTERNS["examples"]["teams_workflow"])
def test_takes_every_address_that_power_automate_hands_out(address: str) -> None:  # S1-14
    assert TEAMS.check_address is not None
    assert TEAMS.check_address(address) == address
    assert TEAMS.check_address(address.replace("&", "&amp;")) == address
    request = TEAMS.render(Sending("dlv_1", 1, Target(address, TeamsSettings()), BASE))
    assert isinstance(request, HttpRequest)
    assert request.url == address


@pytest.mark.parametrize(
    "host",
    [
        "prod-00.usgovtexas.logic.azure.us",
        "prod-00.chinaeast2.logic.azure.cn",
        "e.0a.environment.api.gov.powerplatform.microsoft.us",
        "e.0a.environment.api.powerplatform.partner.microsoftonline.cn",
    ],
)
def test_takes_the_other_clouds(host: str) -> None:  # S1-14
    assert ADDRESS.fullmatch(f"https://{host}/workflows/ab12/triggers/manual/paths/invoke?api-version=1&sp=x&sig=y")


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("https://", "http://"),
        (".api.powerplatform.com", ".api.powerplatform.com.evil.example"),
        ("https://", "https://user@"),
        (":443", ":8443"),
        ("api-version=1", "version=1"),
        ("&sig=", "&signature="),
        ("/invoke?", "/invoke#?"),
        ("/triggers/", "/actions/"),
        ("sv=1.0", "sv=1 0"),
        ("sv=1.0", "sv=1\u00a00"),
        ("sv=1.0", "sv=ä"),
        ("sv=1.0", "sv=" + "1" * 2048),
    ],
)
def test_refuses_what_is_no_workflow_and_does_not_repeat_it(good: str, bad: str) -> None:  # S1-14
    address = EXAMPLES["teams"].address
    assert good in address
    refuses(address.replace(good, bad), "environment.api.powerplatform.com")


@pytest.mark.parametrize(
    "address",
    [
        *PATTERNS["examples"]["teams_o365_retired"],
        "https://outlook.office.com/webhook/abcdef",
        "https://a.webhook.office.com/x",
    ],
)
def test_a_retired_connector_is_refused_with_the_way_out(address: str) -> None:  # S1-14
    detail = refuses(address, "Post to a channel when a webhook request is received")
    assert "retired" in detail


def refuses(address: str, words: str) -> str:
    assert TEAMS.check_address is not None
    with pytest.raises(Invalid) as refused:
        TEAMS.check_address(address)
    assert refused.value.field == "webhook_url"
    assert words in refused.value.expected
    assert address not in refused.value.detail
    assert address[8:-11] not in refused.value.detail
    return refused.value.detail


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"colour": "red"}, "colour"),
        ({"theme_color": "green"}, "theme_color"),
        ({"theme_color": "#12345"}, "theme_color"),
        ({"theme_color": "123456\n"}, "theme_color"),
        ({"mention_on_failure": True}, "mention_on_failure"),
        ({"mention_on_failure": [ANA] * 6}, "mention_on_failure"),
        ({"mention_on_failure": [{"id": "ana"}]}, "mention_on_failure"),
        ({"mention_on_failure": [{**ANA, "id": "ana"}]}, "mention_on_failure[0].id"),
        ({"mention_on_failure": [{**ANA, "id": "ana@contoso.com\n"}]}, "mention_on_failure[0].id"),
        ({"mention_on_failure": [{**ANA, "name": ""}]}, "mention_on_failure[0].name"),
        ({"mention_on_failure": [{**ANA, "name": "</at>"}]}, "mention_on_failure[0].name"),
        ({"mention_on_failure": [{**ANA, "name": "*Ana*"}]}, "mention_on_failure[0].name"),
        ({"mention_on_failure": [{**ANA, "name": "a\u202eb"}]}, "mention_on_failure"),
        ({"full_width": "yes"}, "full_width"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=field.replace("[", r"\[").replace(".", r"\.")):
        msgspec.convert(settings, TeamsSettings)


@pytest.mark.parametrize("status", [200, 202, 204])
@pytest.mark.parametrize("said", ["", "1", '{"ok":true}'])
def test_taken_is_not_posted(status: int, said: str) -> None:
    outcome = TEAMS.classify(reply(status, said))
    assert isinstance(outcome, Accepted)
    assert "does not say whether it was posted" in outcome.note


@pytest.mark.parametrize(
    ("status", "code", "scope", "advice"),
    [
        (400, "MissingApiVersionParameter", "endpoint", "lost its query"),
        (401, "DirectApiAuthorizationRequired", "credential", "to Anyone"),
        (401, "AuthorizationFailed", "credential", "copy the address again"),
        (403, "AuthorizationFailed", "credential", "copy the address again"),
        (404, "WorkflowNotFound", "endpoint", "add a co-owner"),
        (404, "WorkflowTriggerNotFound", "endpoint", "add a co-owner"),
        (409, "WorkflowTriggerIsNotEnabled", "endpoint", "add a co-owner"),
        (400, "WorkflowTriggerIsNotEnabled", "endpoint", "turn it on"),
        (400, "TriggerInputSchemaMismatch", "message", "schema"),
        (400, "InvalidRequestContent", "message", "card"),
        (200, "WorkflowTriggerIsNotEnabled", "endpoint", "turn it on"),
    ],
)
def test_error_codes(status: int, code: str, scope: str, advice: str) -> None:
    outcome = TEAMS.classify(reply(status, json.dumps({"error": {"code": code, "message": "…"}})))
    assert isinstance(outcome, Rejected)
    assert outcome.scope == scope
    assert outcome.reason.startswith(f"{code}: ")
    assert advice in outcome.reason


@pytest.mark.parametrize("status", STATUSES)
def test_a_refusal_without_a_code_says_what_to_do(status: int) -> None:
    outcome = TEAMS.classify(reply(status, "nope"))
    assert isinstance(outcome, Rejected)
    assert outcome.scope == ("credential" if status in (401, 403) else "endpoint")
    assert outcome.reason.startswith(f"HTTP {status}: nope (")
    assert "copy" in outcome.reason


CONNECTOR = (
    "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error {} with ContextId tcid=0"
)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (CONNECTOR.format(413), (Rejected, "message")),
        (CONNECTOR.format(429), (Retry, True)),
        (CONNECTOR.format(500), (Retry, False)),
        (CONNECTOR.format(403), (Rejected, "credential")),
        (CONNECTOR.format(404), (Rejected, "endpoint")),
        ("Connector configuration not found", (Rejected, "endpoint")),
        ("<!DOCTYPE html><title>Sign in</title>", (Retry, False)),
    ],
)
def test_text_inside_a_200(said: str, expected: tuple[type[Any], Any]) -> None:
    outcome = TEAMS.classify(reply(200, said))
    assert isinstance(outcome, expected[0])
    assert (outcome.scope if isinstance(outcome, Rejected) else outcome.rate_limited) == expected[1]


def test_a_429_waits() -> None:  # S1-03
    assert TEAMS.classify(reply(429, "{}", retry_after="7")) == Retry("HTTP 429: {}", 7.0, rate_limited=True)


@given(
    st.binary()
    | st.builds(lambda v: json.dumps(v).encode(), st.recursive(st.none() | st.text() | st.integers(), st.lists))
)
def test_any_reply_has_a_meaning(said: bytes) -> None:
    for status in (200, 400, 503):
        TEAMS.classify(reply(status, said))
    TEAMS.classify(reply(400, b'{"error":' + said + b"}"))
    TEAMS.classify(reply(400, b"[" * 50_000))


def test_pace_and_patience() -> None:  # S1-03, S1-04
    assert (TEAMS.rate_per_s, TEAMS.timeout_s, TEAMS.max_body_bytes) == (2.0, 10.0, 22_000)
    assert TEAMS.live is None


def ask(fake: FakeTeams, message: Message, address: str = "", **headers: str) -> Answer:
    """The rendered request, as the fake gets it."""
    target = Target(address or fake.address(), TeamsSettings())
    request = TEAMS.render(Sending("dlv_1", 1, target, message))
    assert isinstance(request, HttpRequest)
    host, _, path = request.url.removeprefix("https://").partition("/")
    return fake.answer(Asked(request.method, host, "/" + path, dict(request.headers) | headers, request.body, 0))


@pytest.mark.parametrize("name", EVERY_MESSAGE)
def test_the_fake_posts_every_message(name: str) -> None:
    fake = FakeTeams()
    assert TEAMS.check_address is not None
    assert TEAMS.check_address(fake.address()) == fake.address()
    assert ask(fake, EVERY_MESSAGE[name]) == Answer(202, b"")
    (flow,) = fake.flows.values()
    assert not flow.failures
    assert flow.posts == [content(EVERY_MESSAGE[name])]


def test_the_fake_refuses_as_the_real_one_does() -> None:
    fake = FakeTeams()
    address = fake.address("a1")
    cases = [
        (address.replace("api-version=1", "x=1"), {}, 400, "MissingApiVersionParameter"),
        (address, {"authorization": "Bearer x"}, 401, "DirectApiAuthorizationRequired"),
        (address.partition("&sig")[0], {}, 401, "DirectApiAuthorizationRequired"),
        (address + "x", {}, 403, "AuthorizationFailed"),
        (address.replace("/a1/", "/b2/"), {}, 404, "WorkflowNotFound"),
        (address, {"content-type": "text/plain"}, 400, "TriggerInputSchemaMismatch"),
    ]
    for used, headers, status, code in cases:
        answer = ask(fake, BASE, used, **headers)
        assert (answer.status, json.loads(answer.body)["error"]["code"]) == (status, code)
        assert isinstance(TEAMS.classify(reply(answer.status, answer.body)), Rejected)
    fake.flows["a1"].enabled = False
    assert b"WorkflowTriggerIsNotEnabled" in ask(fake, BASE, address).body
    fake.next.append(Answer(429, b"", {"retry-after": "3"}))
    assert ask(fake, BASE, address).status == 429
    assert not fake.flows["a1"].posts


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b'{"text": "hello"}', "Null"),
        (b'{"attachments": [{"contentType": "text/plain", "content": {}}]}', "no Adaptive Card"),
        (body(BASE).replace(b'"1.5"', b'"1.7"'), "version"),
        (body(BASE).replace(b'"speak":"', b'"speak":"' + b"x" * 24_000), "RequestEntityTooLarge"),
        (body(BASE, mention_on_failure=[ANA]).replace(b"<at>Ana", b"<at>Eve", 1), "mention"),
    ],
)
def test_the_fake_loses_in_silence_what_teams_loses(sent: bytes, why: str) -> None:
    fake = FakeTeams()
    path = fake.address().partition(".com:443")[2]
    answer = fake.answer(Asked("POST", fake.hosts[0], path, {"content-type": "application/json"}, sent, 0))
    assert answer == Answer(202, b"")
    (flow,) = fake.flows.values()
    assert not flow.posts
    assert why in flow.failures[0]
    assert fake.answer(Asked("POST", fake.hosts[0], path, {}, b"{", 0)).status == 400
