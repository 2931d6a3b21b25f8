"""As much of Block Kit as a message of ours may hold, with Slack's own limits: what does not fit here, Slack refuses.

Shapes and limits: https://docs.slack.dev/reference/block-kit/blocks
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

Words = Annotated[str, Meta(min_length=1, max_length=3000)]
FIELD_CHARS = 2000


class Plain(Struct, frozen=True, tag_field="type", tag="plain_text"):
    text: Words


class Mrkdwn(Struct, frozen=True, tag_field="type", tag="mrkdwn"):
    text: Words


Text = Plain | Mrkdwn


class Title(Struct, frozen=True, tag_field="type", tag="plain_text"):
    text: Annotated[str, Meta(min_length=1, max_length=150)]


class Header(Struct, frozen=True, tag_field="type", tag="header"):
    text: Title


class Section(Struct, frozen=True, tag_field="type", tag="section"):
    text: Text | None = None
    fields: Annotated[tuple[Text, ...], Meta(max_length=10)] = ()

    def __post_init__(self) -> None:
        if self.text is None and not self.fields:
            raise ValueError("a section needs text or fields")
        if any(len(field.text) > FIELD_CHARS for field in self.fields):
            raise ValueError("a field is too long")


class Context(Struct, frozen=True, tag_field="type", tag="context"):
    elements: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=10)]


class Divider(Struct, frozen=True, tag_field="type", tag="divider"):
    pass


class Button(Struct, frozen=True, tag_field="type", tag="button"):
    text: Plain
    url: Annotated[str, Meta(max_length=3000)] = ""


class Actions(Struct, frozen=True, tag_field="type", tag="actions"):
    elements: Annotated[tuple[Button, ...], Meta(min_length=1, max_length=25)]


class Style(Struct, frozen=True):
    bold: bool = False
    italic: bool = False
    strike: bool = False
    code: bool = False


class Piece(Struct, frozen=True, tag_field="type", tag="text"):
    text: Annotated[str, Meta(min_length=1)]
    style: Style = Style()


class Link(Struct, frozen=True, tag_field="type", tag="link"):
    url: str
    text: str = ""


class RichSection(Struct, frozen=True, tag_field="type", tag="rich_text_section"):
    elements: tuple[Piece | Link, ...]


class Preformatted(Struct, frozen=True, tag_field="type", tag="rich_text_preformatted"):
    elements: tuple[Piece | Link, ...]


class RichText(Struct, frozen=True, tag_field="type", tag="rich_text"):
    elements: Annotated[tuple[RichSection | Preformatted, ...], Meta(min_length=1)]


Block = Header | Section | Context | Divider | Actions | RichText
Blocks = Annotated[tuple[Block, ...], Meta(max_length=50)]


class Attachment(Struct, frozen=True):
    color: str = ""
    fallback: str = ""
    blocks: Blocks = ()


class Payload(Struct, frozen=True):
    """`mrkdwn` says whether `text` may hold markup."""

    text: str = ""
    mrkdwn: bool = True
    blocks: Blocks = ()
    attachments: Annotated[tuple[Attachment, ...], Meta(max_length=100)] = ()


class Refused(Exception):
    """The message will not do; the text is the word that Slack answers with, beside a 400."""


def payload_of(body: bytes) -> Payload:
    """Raises Refused."""
    try:
        payload = msgspec.json.decode(body, type=Payload)
    except msgspec.ValidationError as error:
        place = str(error).rpartition("`$.")[2]
        if place.startswith("blocks"):
            raise Refused("invalid_blocks") from error
        raise Refused("invalid_attachments" if place.startswith("attachments") else "invalid_payload") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("invalid_payload") from error
    if not payload.text.strip():
        raise Refused("no_text")
    return payload
