"""Adaptive Cards as Microsoft Teams shows them: a message as a card, always small enough to be posted.

Shapes:      https://adaptivecards.io/schemas/1.5.0/adaptive-card.json
Teams' own:  https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format
Layout:      title and cause on the colour of the state, text, at most six facts, the error's tail, stages to unfold,
             whom it concerns, small print; links as buttons

What comes from outside is text, whatever it says. Text runs and code blocks are never parsed. Text blocks and facts
are Markdown, and since Teams on Android and iOS shows a backslash that escapes
(https://github.com/MicrosoftDocs/msteams-docs/issues/5793), `literal` takes the meaning from it without one.
"""

import colorsys
import re
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct

from tocsin.model.event import Action
from tocsin.model.message import Message, Tone
from tocsin.provider_kit.body import rfc3339
from tocsin.provider_kit.text import cut, duration, line, lines, tail

Element = dict[str, Any]

VERSION = "1.5"
"""The newest version that Teams renders on every client."""
MAX_BYTES = 22_000
"""Teams takes 28 KB, measured after it has expanded the card: 24,453 bytes sent were 28,897 there (a factor of 1.18,
https://github.com/MicrosoftDocs/msteams-docs/issues/11274), and what is larger vanishes without a word."""

FACTS = 6
STEPS = 30
LINKS = 3
URL_CHARS = 2000
LABEL_CHARS = 40
FACT_CHARS = 200
FOOTER_CHARS = 200
PEOPLE = 5

STYLES: dict[Tone, str] = {
    "running": "accent",
    "good": "good",
    "bad": "attention",
    "warning": "warning",
    "rollback": "attention",
    "neutral": "emphasis",
}
TROUBLE: frozenset[Tone] = frozenset({"bad", "rollback", "warning"})
MENTIONED: frozenset[Tone] = frozenset({"bad", "rollback"})
MARKS = {"running": "⏳", "succeeded": "✅", "failed": "❌", "skipped": "⏭️"}


class Person(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody to mention. `id` is what Microsoft Entra knows them by: a user principal name such as
    `ana@contoso.com`, or an object id. `name` is what the message shows."""

    id: Annotated[
        str,
        Meta(
            # At most 113 characters: https://learn.microsoft.com/windows/win32/adschema/a-userprincipalname
            pattern=r"^(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[A-Za-z0-9.'_!#^~+-]{1,64}@[A-Za-z0-9.-]{1,48})\Z",
            description="`ana@contoso.com` or an Entra object id",
        ),
    ]
    name: Annotated[str, Meta(pattern=r"^[^<>&*_\[\]`\\{}\n\r]{1,64}\Z", description="As the message shows it")]

    def __post_init__(self) -> None:
        if not self.name.isprintable() or not self.name.strip():
            raise ValueError("the `name` must be words that can be seen")


class Look(Struct, frozen=True, kw_only=True):
    """What an endpoint wants of its cards. `theme_color` is six hexadecimal digits or ""."""

    rich: bool = True
    people: tuple[Person, ...] = ()
    theme_color: str = ""
    with_links: bool = True
    full_width: bool = True


class Room(Struct, frozen=True, kw_only=True):
    """How much of each part is shown, in characters; `facts` and `steps` are counted."""

    title: int = 120
    sentence: int = 600
    cause: int = 300
    text: int = 1500
    detail: int = 0
    facts: int = 0
    steps: int = 0


ROOMS = (
    Room(detail=1000, facts=FACTS, steps=STEPS),
    Room(detail=300, facts=FACTS, steps=STEPS),
    Room(facts=FACTS),
    Room(),
    Room(sentence=200, cause=200, text=300),
)
"""From the whole message to the least of it: detail goes first, then facts, then words. The last always fits, with
URLs, labels and names of the greatest length: no character takes more than five bytes."""

_encoder = msgspec.json.Encoder()


def envelope(message: Message, look: Look) -> bytes:
    """The body that a Teams workflow takes, in at most MAX_BYTES of UTF-8."""
    for room in ROOMS:
        content = card(message, look, room)
        attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}
        body = _encoder.encode({"type": "message", "attachments": [attachment]})
        if len(body) <= MAX_BYTES:
            break
    return body


def card(message: Message, look: Look, room: Room) -> Element:
    """The card itself. `fallbackText` and `speak` tell all of it in one sentence."""
    people = look.people if message.tone in MENTIONED else ()
    sentence = literal(cut(line(message.sentence), room.sentence))
    elements, buttons = (rich_parts if look.rich else plain_parts)(message, look, room, people)
    teams: Element = {"width": "Full"} if look.full_width else {}
    if people:
        teams["entities"] = [entity(one) for one in people]
    made: Element = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": VERSION,
        "fallbackText": sentence,
        "speak": sentence,
        "body": elements,
    }
    if buttons:
        made["actions"] = buttons
    return made | ({"msteams": teams} if teams else {})


def rich_parts(
    message: Message, look: Look, room: Room, people: tuple[Person, ...]
) -> tuple[list[Element], list[Element]]:
    """The elements and the buttons. The title is the first text block: the activity feed previews that one."""
    elements = [head(message, look.theme_color, room)]
    if body := lines(message.text).strip():
        elements.append(words(cut(body, room.text)))
    if facts := message.facts[: room.facts]:
        elements.append({"type": "FactSet", "facts": [fact(name, value) for name, value in facts]})
    if room.detail and (detail := lines(message.detail).strip()):
        elements.append(code(tail(detail, room.detail)))
    buttons = [button(one) for one in links(message.actions)] if look.with_links else []
    if message.steps and room.steps:
        elements.append(stages(message, room, unfolds=look.with_links))
        if look.with_links:
            ended = sum(one.status in ("succeeded", "skipped") for one in message.steps)
            title = f"Stages {ended}/{len(message.steps)}"
            buttons.append({"type": "Action.ToggleVisibility", "title": title, "targetElements": ["stages"]})
    if people:
        elements.append(calling(people))
    elements.append(small_print(message))
    return elements, buttons


def plain_parts(
    message: Message, look: Look, room: Room, people: tuple[Person, ...]
) -> tuple[list[Element], list[Element]]:
    """Words and links, one under the other: a workflow takes nothing but cards, so this is the plainest one."""
    sentence = line(message.sentence)
    elements = [words(cut(sentence, room.sentence) or "–")]
    if message.text and line(message.text) not in sentence:
        elements.append(words(cut(lines(message.text).strip(), room.text)))
    shown = links(message.actions) if look.with_links else []
    if shown:
        elements.append(block(" · ".join(f"[{link_label(one.label)}]({address(one.url)})" for one in shown)))
    if people:
        elements.append(calling(people))
    return elements, []


def head(message: Message, theme_color: str, room: Room) -> Element:
    """The title and the cause, on the colour of the state; one's own colour stands for what is no trouble."""
    style = STYLES[message.tone] if message.tone in TROUBLE or not theme_color else style_of(theme_color)
    title = literal(cut(line(f"{message.emoji} {message.title}"), room.title)) or "–"
    items = [block(title, size="Large", weight="Bolder", style="heading")]
    if cause := line(message.cause):
        items.append(words(cut(cause, room.cause), spacing="Small"))
    return {"type": "Container", "style": style, "bleed": True, "items": items}


def style_of(colour: str) -> str:
    """Cards have no colours of their own, only styles: the one whose hue is nearest to #RRGGBB."""
    red, green, blue = (int(colour.removeprefix("#")[at : at + 2], 16) / 255 for at in (0, 2, 4))
    hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
    if saturation < 0.15 or not 0.05 < lightness < 0.95:
        return "emphasis"
    degrees = hue * 360
    if degrees < 20 or degrees >= 330:
        return "attention"
    return "warning" if degrees < 70 else "good" if degrees < 170 else "accent"


def block(markdown: str, **fields: Any) -> Element:
    """A text block; its argument is Markdown that was made here."""
    return {"type": "TextBlock", "text": markdown, "wrap": True, **fields}


def words(text: str, monospace: bool = False, **fields: Any) -> Element:
    """Text that is never parsed, with its line ends."""
    run: Element = {"type": "TextRun", "text": unmentionable(text)}
    if monospace:
        run |= {"fontType": "Monospace", "size": "Small"}
    return {"type": "RichTextBlock", "inlines": [run], **fields}


def code(text: str) -> Element:
    """A code block, which only Teams knows; monospaced words elsewhere."""
    return {"type": "CodeBlock", "codeSnippet": text, "language": "PlainText", "fallback": words(text, monospace=True)}


def fact(name: str, value: str) -> Element:
    """One row of a fact set."""
    return {
        "title": literal(cut(line(name), FACT_CHARS)) or "·",
        "value": literal(cut(line(value), FACT_CHARS)) or "–",
    }


def stages(message: Message, room: Room, unfolds: bool) -> Element:
    """The run's stages, folded away where there is a button to unfold them."""
    rows = []
    for step in message.steps[: room.steps]:
        took = f" · {duration(step.duration_ms)}" if step.duration_ms is not None else ""
        rows.append(fact(f"{MARKS.get(step.status, '•')} {cut(line(step.name), 60)}", f"{step.status}{took}"))
    if more := len(message.steps) - room.steps:
        rows += [fact("…", f"and {more} more")] if more > 0 else []
    return {
        "type": "Container",
        "id": "stages",
        "isVisible": not unfolds,
        "items": [{"type": "FactSet", "facts": rows}],
    }


def small_print(message: Message) -> Element:
    """The footer and the time, which every reader sees in their own time zone."""
    at = rfc3339(message.time_ms)[:19] + "Z"
    when = f"{{{{DATE({at}, SHORT)}}}} {{{{TIME({at})}}}}"
    footer = literal(cut(line(" · ".join(message.footer)), FOOTER_CHARS))
    return block(f"{footer} · {when}" if footer else when, size="Small", isSubtle=True)


def calling(people: tuple[Person, ...]) -> Element:
    return block(" ".join(at(one) for one in people))


def at(person: Person) -> str:
    """The same bytes must stand in the text and in the card's entities."""
    return f"<at>{person.name}</at>"


def entity(person: Person) -> Element:
    return {"type": "mention", "text": at(person), "mentioned": {"id": person.id, "name": person.name}}


def button(action: Action) -> Element:
    made: Element = {"type": "Action.OpenUrl", "title": label(action.label), "url": address(action.url)}
    style = {"primary": "positive", "danger": "destructive"}.get(action.style)
    return made | ({"style": style} if style else {})


def label(text: str) -> str:
    """What a button says, which is no Markdown."""
    return cut(line(text), LABEL_CHARS) or "Open"


def link_label(text: str) -> str:
    """What stands between the brackets of a link."""
    return literal(label(text).translate(_NO_BRACKETS)) or "Open"


def links(actions: tuple[Action, ...]) -> list[Action]:
    """The first few; http and https only, whoever made the message, and none that is absurdly long."""
    return [
        one
        for one in actions
        if one.url.lower().startswith(("https://", "http://")) and len(address(one.url)) <= URL_CHARS
    ][:LINKS]


def address(url: str) -> str:
    """A URL in ASCII in which no character means anything to Markdown."""
    return quote(line(url[: URL_CHARS + 1]), safe="%/:=&?~#+!$,;'@[]")


_NO_BRACKETS = str.maketrans("", "", "[]")
_LEADING = re.compile(r"(?:[-+]|#{1,6}|\d{1,9}[.)])(?:\s|\Z)|>|-{2}")
_EMPHASIS = re.compile(r"\*[*_]*|(?<!\w)_[*_]*|_[*_]*+(?![^\W_])")
_PAIRS = re.compile(r"\](?=[(\[:])|<(?=[A-Za-z/!?])|&(?=#|\w+;)|\\(?=[!-/:-@\[-`{-~])|\{(?=\{)|~(?=~)")
_BETWEEN_MARKS = re.compile(r"(?<=\*)(?=_)|(?<=_)(?=\*)")
_MENTION = re.compile(r"<(?=/?at\b)", re.IGNORECASE)


def literal(text: str) -> str:
    """One line that means nothing in Markdown, told in characters that cannot be seen: a hair space beside a run of
    `*` or `_` leaves it nothing to emphasise, a zero-width space breaks up links, tags, entities, escapes and dates."""
    if text.isalnum():
        return text
    text = _EMPHASIS.sub(_apart, text.replace("`", "ˋ"))
    text = _PAIRS.sub("\\g<0>\u200b", text)
    return "\u200b" + text if _LEADING.match(text) else text


def _apart(found: re.Match[str]) -> str:
    """Marks with space around them; `*` and `_` beside each other would emphasise one another."""
    return "\u200a" + _BETWEEN_MARKS.sub("\u200a", found[0]) + "\u200a"


def unmentionable(text: str) -> str:
    """Text runs are not parsed; still, nothing in them should look like a mention to any client."""
    return _MENTION.sub("<\u200b", text) if "<" in text else text
