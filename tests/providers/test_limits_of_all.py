"""Whatever a message holds, the other side takes what is made of it: at every published limit, one over, far over.

The other side is each provider's fake, which refuses as the real one does. Numbers: limits.json.
"""

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes.all_fakes import WITHOUT, Desk
from tests.providers.examples import BASE, EVERY_MESSAGE, provider_of, sending, sized
from tocsin.model.event import KINDS, SEVERITIES, Action
from tocsin.model.message import Message, Tone
from tocsin.model.run import RunStep
from tocsin.model.thread import Thread
from tocsin.model.wire import Accepted, Delivered, Outcome, Request
from tocsin.providers import PROVIDERS

SHARED = Path(__file__).parents[2].parent / "shared" / "schemas"
LIMITS = json.loads((SHARED / "limits.json").read_text())
FAKED = [kind for kind in PROVIDERS if kind not in WITHOUT]
SECTIONS = {"slack_bot": "slack", "slack_workflow": "slack", "mattermost_bot": "mattermost", "email": "sendgrid"}
"""Whose limits a kind has, where they are not its own."""

CASES: dict[str, tuple[str, dict[str, Any]]] = {kind: (kind, {}) for kind in FAKED} | {
    "slack with mentions": ("slack", {"mention_on_failure": True}),
    "slack_bot with buttons": ("slack_bot", {"interactivity": True, "mention_on_failure": "here channel"}),
    "slack_bot without stages": ("slack_bot", {"stage_details": False, "reply_broadcast": False}),
    "teams with mentions": ("teams", {"mention_on_failure": [{"id": "ana@example.com", "name": "Ana"}] * 5}),
    "discord with mentions": ("discord", {"mention_on_failure": True}),
    "discord in a forum": ("discord", {"forum_threads": True}),
    "mattermost with mentions": ("mattermost", {"mention_on_failure": True}),
    "mattermost_bot with mentions": ("mattermost_bot", {"mention_on_failure": True}),
    "google_chat with mentions": ("google_chat", {"mention_on_failure": True}),
    "telegram with mentions": ("telegram", {"mention_on_failure": "@ana_of_ops", "stage_details": True}),
    "email by SendGrid": ("email", {"sendgrid_api_key": f"SG.{'a' * 22}.{'b' * 43}"}),
}
"""Every kind as its example has it, and with the settings that make its messages larger."""
MOST_CHARS = 33_000
"""More than any limit of one text; larger numbers are limits of whole requests, and 1 MB is tried as well."""

WORDED = (
    "title", "sentence", "cause", "text", "detail", "pipeline", "run_id", "stage", "event_id", "event_type", "source",
)  # fmt: skip
"""The parts of a message that are words from outside."""

FAMILY, FLAG, ACCENTED = "👨‍👩‍👧‍👦", "🇩🇪", "ω\u0301"


def numbers(value: Any) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from numbers(one)


def lengths(case: str) -> list[int]:
    """One below, at and one above each published number; of those that are not in limits.json, the fake's."""
    kind = CASES[case][0]
    published = LIMITS.get(SECTIONS.get(kind, kind)) or vars(import_module(f"tocsin.fakes.{kind}"))
    found = {one for one in numbers(published) if 1 < one <= MOST_CHARS}
    return sorted({near for one in found for near in (one - 1, one, one + 1)})


def everywhere(words: str, count: int = 12) -> Message:
    """These words in every part of a message, the names of its stages included; that many facts, links and stages."""
    url = "a" * min(len(words), MOST_CHARS)
    return msgspec.structs.replace(
        BASE,
        **dict.fromkeys(WORDED, words),
        facts=tuple((f"{number}{words}", words) for number in range(count)),
        actions=tuple(Action(words, f"https://{number}.example/{url}", "primary") for number in range(count)),
        footer=(words,) * count,
        labels={f"{number}{words}": words for number in range(count)} | {words: words},
        steps=tuple(RunStep(words, "failed" if number == 1 else "succeeded", 1000) for number in range(count)),
    )


def is_taken(outcome: Outcome) -> bool:
    return isinstance(outcome, Delivered | Accepted)


def talk(case: str, message: Message) -> Iterator[tuple[str, Request]]:
    """Everything that the provider can say of the message, and the proof that the other side takes it."""
    kind, chosen = CASES[case]
    provider = provider_of(kind)
    for plain in (False, True):
        desk = Desk(provider)
        if case == "discord in a forum":
            desk.fake.forum = True
        first = desk.here(sending(provider, message, plain=plain, **chosen))
        said = provider.render(first)
        outcome = desk.ask(said)
        assert is_taken(outcome), (case, plain, outcome)
        yield "render", said
        if provider.resolve:
            said = provider.resolve(first)
            assert is_taken(desk.ask(said)), (case, plain)
            yield "resolve", said
        if provider.live and provider.live.is_on(first.target.settings):
            assert isinstance(outcome, Delivered)
            thread = Thread(refs=dict(outcome.receipt))
            later = msgspec.structs.replace(first, thread=thread)
            quiet = msgspec.structs.replace(later, quiet=True)
            for name, request in (
                ("edit", provider.live.edit(later)),
                ("reply", provider.live.reply(later)),
                ("quiet reply", provider.live.reply(quiet)),
                ("mark", provider.live.mark(later) if provider.live.mark else None),
            ):
                if request is not None:
                    outcome = desk.ask(request)
                    assert is_taken(outcome), (case, plain, name, outcome)
                    yield name, request
        assert not desk.complaints()


def check(case: str, message: Message, *what: object) -> None:
    """`what` says which message it is, where it is refused."""
    try:
        for name, request in talk(case, message):
            assert len(request.body) <= provider_of(CASES[case][0]).max_body_bytes, name
    except Exception as error:
        error.add_note(f"of {case}: {what}")
        raise


@pytest.mark.parametrize("case", CASES)
def test_every_message_is_taken(case: str) -> None:
    for name, message in EVERY_MESSAGE.items():
        check(case, message, name)


@pytest.mark.parametrize("case", CASES)
def test_is_taken_at_every_published_limit(case: str) -> None:
    for chars in lengths(case):
        for filler in ("ä", "𝔘&", "\\\"'<"):
            check(case, sized(chars, 12, filler), chars, filler)
        check(case, everywhere("ä" * chars, 3), chars)


@pytest.mark.parametrize("case", CASES)
def test_is_taken_however_many_parts_it_has(case: str) -> None:
    for count in (0, 1, 2, 3, 5, 6, 10, 11, 25, 26, 40, 50, 51, 100, 101, 1000):
        for chars in (1, 60):
            check(case, everywhere("ä" * chars, count), count, chars)


ABSURD: dict[str, tuple[str, int]] = {
    "a megabyte everywhere": ("ä" * 1_000_000, 2),
    "a megabyte of escapes": ("&<>\"'\\`*_~|[](){}#+-=.!" * 50_000, 2),
    "a megabyte of lines": ("a\n" * 500_000, 2),
    "a thousand facts": ("ä" * 300, 1000),
    "families": (FAMILY * 6000, 12),
    "flags": (FLAG * 6000, 12),
    "a pile of marks": ("e" + "\u0301" * 50_000, 12),
    "only marks": ("\u0301" * 5000, 12),
    "zalgo": (("Z" + "\u0300\u0337\u0489" * 6) * 1000, 12),
    "right to left": ("\u202e\u2067שלום עולם \u200f" * 600, 12),
    "nulls": ("\x00" * 5000, 12),
    "nulls between": ("a\x00b\x1f\x7f" * 1000, 12),
    "lone surrogates": ("\ud800x\udfff" * 2000, 12),
    "nothing": ("", 12),
    "blanks": (" \t\r\n\u00a0\u2003\u3000" * 500, 12),
    "invisible": ("\u200b\u2060\u200d\ufe0f\u00ad\u3164" * 500, 12),
    "line ends": ("\r\n\u2028\u2029\x85" * 500, 12),
    "fences": ("```\n~~~\n" * 800, 12),
    "mentions": ("@everyone <!channel> <@U012AB3CD> <at>all</at> <users/all> @all " * 200, 12),
    "markup": ("</b></pre><script> ]](javascript:alert(1)) &amp;lt; \\" * 300, 12),
    "one long word": ("W" * 30_000, 12),
    "JSON": ('{"a":["\\u0000"]}' * 1000, 12),
    "percent": ("%0d%0a%00%s{}" * 500, 12),
}
"""What every part says, and how many of each there are."""


@pytest.mark.parametrize("case", CASES)
def test_is_taken_with_one_endless_part_and_nothing_else(case: str) -> None:
    """One part takes another's place where that is empty."""
    nothing = everywhere("", 0)
    for name in WORDED:
        check(case, msgspec.structs.replace(nothing, **{name: '𐀀"<&' * 5000}), name)


@pytest.mark.parametrize("case", [*FAKED, "email by SendGrid"])
@pytest.mark.parametrize("name", ABSURD)
def test_is_taken_far_over_every_limit(case: str, name: str) -> None:
    check(case, everywhere(*ABSURD[name]))


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield name
            yield from strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("unit", [FAMILY, FLAG, ACCENTED, "👍🏽"])
def test_no_character_is_cut_in_two(case: str, unit: str) -> None:
    seen = 0
    pieces = re.compile(f"[{unit}]+")
    for name, request in talk(case, everywhere(unit * 6000)):
        for words in strings(json.loads(request.body)) if request.body else ():
            for piece in pieces.findall(words.replace(BASE.emoji, "")):
                seen += 1
                assert piece == unit * (len(piece) // len(unit)), (name, piece[-20:])
    assert seen


PIECES = [
    FAMILY, FLAG, ACCENTED, "\x00", "\u202e", "\ud83d", "&", "<", ">", "`", "```", "*", "_", "~", "|", "[", "](", ")",
    "\\", "\r\n", "\n", "@everyone", "<!channel>", "<at>", "</pre>", "&amp;", '"', "'", "{", "}", "%", " ", "\u200d",
]  # fmt: skip
any_character = st.characters(exclude_categories=())
words = st.builds(
    lambda pieces, times: "".join(pieces) * times,
    st.lists(st.one_of(st.text(any_character, max_size=20), st.sampled_from(PIECES)), max_size=6),
    st.sampled_from([1, 1, 1, 7, 300]),
)
web = st.builds("https://a.example/{}".format, st.text(st.characters(codec="ascii", exclude_categories=("C", "Z"))))
tones: st.SearchStrategy[Tone] = st.sampled_from(("running", "good", "bad", "warning", "rollback", "neutral"))


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Any message at all, as long as its links are links: compose has seen to that."""

    def some(one: st.SearchStrategy[Any], most: int) -> tuple[Any, ...]:
        return tuple(draw(st.lists(one, max_size=most)))

    return msgspec.structs.replace(
        BASE,
        **{
            name: draw(words)
            for name in ("title", "sentence", "cause", "text", "detail", "pipeline", "run_id", "stage")
        },
        event_id=draw(words),
        event_type=draw(words),
        source=draw(words),
        kind=draw(st.sampled_from(KINDS)),
        severity=draw(st.sampled_from(SEVERITIES)),
        tone=draw(tones),
        facts=some(st.tuples(words, words), 12),
        actions=some(st.builds(Action, words, web, st.sampled_from(["", "primary", "danger"])), 5),
        footer=some(words, 5),
        labels=draw(st.dictionaries(words, words, max_size=4)),
        steps=some(st.builds(RunStep, words, st.sampled_from(["running", "succeeded", "failed", "skipped"])), 8),
        duration_ms=draw(st.one_of(st.none(), st.integers(0, 10**12))),
        time_ms=draw(st.integers(-(10**9), 10**15)),
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("examples", [12, pytest.param(300, marks=pytest.mark.proof)])
def test_any_message_is_taken(case: str, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(messages())
    def taken(message: Message) -> None:
        check(case, message)

    taken()


def larger(value: Any) -> Any:
    """The same, with far too much in every text that has spaces in it: names and addresses have none."""
    if isinstance(value, str):
        return value + "ä" * 60_000 if " " in value else value
    if isinstance(value, dict):
        return {name: larger(one) for name, one in value.items()}
    return [larger(one) for one in value] if isinstance(value, list) else value


TAKES_MORE = frozenset({"slack_workflow", "mattermost", "email"})
"""No limit is published, a long text becomes several posts, and 30 MB are fine."""


@pytest.mark.parametrize("case", [case for case, (kind, _) in CASES.items() if kind not in TAKES_MORE])
def test_the_other_side_can_refuse(case: str) -> None:
    kind, chosen = CASES[case]
    desk = Desk(provider_of(kind))
    request = desk.provider.render(desk.here(sending(desk.provider, BASE, **chosen)))
    body = json.dumps(larger(json.loads(request.body))).encode()
    outcome = desk.ask(msgspec.structs.replace(request, body=body))
    assert not is_taken(outcome) or desk.complaints()


def test_every_case_has_its_numbers() -> None:
    assert all(lengths(case) for case in CASES)
