"""Google Chat incoming webhooks: a card for every message, and a thread for every run.

Shapes:      https://developers.google.com/workspace/chat/api/reference/rest/v1/spaces.messages
Webhooks:    https://developers.google.com/workspace/chat/quickstart/webhooks
Formatting:  https://developers.google.com/workspace/chat/format-messages
Limits:      https://developers.google.com/workspace/chat/limits

A webhook cannot edit what it posted. `requestId` makes a post repeatable: after a timeout the second try returns the
message of the first. Cards read a little HTML, so text in them is escaped; message text has no escapes, so what would
be read as a mention, a link or formatting is broken up there.
"""

import html
import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from tocsin.model.event import Action
from tocsin.model.message import Message, Tone
from tocsin.model.wire import Delivered, HttpReply, HttpRequest, Outcome, Rejected, Reply, Retry, Sending
from tocsin.provider_kit import given
from tocsin.provider_kit.body import rfc3339
from tocsin.provider_kit.classify import by_status, retry_after_s, said
from tocsin.provider_kit.json_reply import decoded
from tocsin.provider_kit.links import URL_CHARS, web_links
from tocsin.provider_kit.progress import bar, current
from tocsin.provider_kit.provider import Provider, refuse_address
from tocsin.provider_kit.text import cut, cut_escaped, line, lines, masked, tail

ADDRESS = re.compile(
    r"https://chat\.googleapis\.com/v1/spaces/[A-Za-z0-9_-]{1,100}/messages"
    r"\?(?=(?:[^#]*&)?key=[^&])(?=(?:[^#]*&)?token=[^&])(?![^#]*\b(?:requestId|messageId)=)"
    r"[A-Za-z0-9%&=._~:/?@!$'()*+,;-]{1,2000}"
)
"""As Google Chat hands them out. A fixed `requestId` would make every message but the first one vanish."""

MAX_BYTES = 32_000
"""A whole message, its cards included; https://developers.google.com/workspace/chat/api/reference/rest/v1/cards"""

# Characters of each part, escaped. No character takes more than four bytes in JSON here, so that together with three
# links (6,000), a mention (500) and the shape around them it is always less than MAX_BYTES.
TITLE_CHARS = 150
SUBTITLE_CHARS = 200
SENTENCE_CHARS = 500
CAUSE_CHARS = 300
TEXT_CHARS = 1000
DETAIL_CHARS = 900
PROGRESS_CHARS = 120
NAME_CHARS = 60
VALUE_CHARS = 200
LABEL_CHARS = 40
FACTS = 6
PLAIN_CHARS = 1200

UNFOLDED = 4
"""So many facts are seen at once; the rest and the end of the error wait behind "Show more"."""

MENTIONED: frozenset[Tone] = frozenset({"bad", "rollback"})
COLOURS: dict[Tone, str] = {"bad": "#D72D30", "warning": "#B26A00", "rollback": "#8B2FC9"}
"""Of words, so at least 4.5:1 against white (WCAG 2.2, 1.4.3)."""

PASSING = frozenset({"RESOURCE_EXHAUSTED", "UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED", "ABORTED", "UNKNOWN"})
ENDPOINT_DEAD = frozenset({"PERMISSION_DENIED", "NOT_FOUND"})

Mention = Annotated[
    str,
    Meta(
        pattern=r"^(?:all|users/[0-9]{5,30})(?: (?:all|users/[0-9]{5,30})){0,9}\Z",
        description="`all`, `users/<id>`, or several with a space between",
    ),
]
Widget = dict[str, Any]

_encoder = msgspec.json.Encoder()


class GoogleChatSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a space is told.

    use_rich_formatting: false sends words alone, no cards.
    mention_on_failure: true mentions everybody in the space; or say whom: `users/<id>`, several with a space between.
    include_action_buttons: whether to show the links.
    thread_per_run: all that is said of one run goes into one thread, unless the address names a thread itself.
    """

    use_rich_formatting: bool = True
    mention_on_failure: bool | Mention = False
    include_action_buttons: bool = True
    thread_per_run: bool = True


def check_address(address: str) -> str:
    """A space's webhook, with its key and its token."""
    if not ADDRESS.fullmatch(address):
        expected = "https://chat.googleapis.com/v1/spaces/…/messages?key=…&token=…"
        raise refuse_address(masked(address), expected)
    return address


def render(sending: Sending) -> HttpRequest:
    """A card, or words alone where the settings or the deliver stage ask for that."""
    settings: GoogleChatSettings = sending.target.settings
    message = sending.told
    whom = "" if sending.quiet else mention(message, settings.mention_on_failure)
    links = web_links(message.actions) if settings.include_action_buttons else []
    rich = settings.use_rich_formatting and not sending.plain
    payload = (rich_payload if rich else plain_payload)(message, whom, links)
    url = f"{sending.target.address}&requestId={sending.id}"
    thread = (sending.run_key or sending.incident_key) if settings.thread_per_run else ""
    if "threadKey=" in url:
        thread = ""
    if thread:
        payload["thread"] = {"threadKey": thread}
    if "messageReplyOption=" not in url and (thread or "threadKey=" in url):
        url += "&messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD"  # without it, threads are ignored
    headers = (("content-type", "application/json; charset=UTF-8"),)
    return HttpRequest("POST", url, _encoder.encode(payload), headers)


def rich_payload(message: Message, whom: str, links: list[Action]) -> Widget:
    """The card; above it, if somebody is to be woken, whom and why."""
    payload: Widget = {"text": f"{whom} {cut_escaped(headline(message), TITLE_CHARS, inert)}"} if whom else {}
    payload["fallbackText"] = cut_escaped(line(message.sentence) or headline(message), SENTENCE_CHARS, inert)
    payload["cardsV2"] = [{"cardId": "tocsin", "card": card(message, links)}]
    return payload


def plain_payload(message: Message, whom: str, links: list[Action]) -> Widget:
    """Words and addresses, one under the other."""
    sentence = line(message.sentence) or headline(message)
    parts = [part for part in (whom, cut_escaped(sentence, PLAIN_CHARS, inert)) if part]
    if message.text and line(message.text) not in sentence:
        parts.append(cut_escaped(lines(message.text).strip(), PLAIN_CHARS, inert))
    parts += [f"{cut_escaped(line(one.label), LABEL_CHARS, inert) or 'Link'}: {one.url}" for one in links]
    return {"text": "\n".join(parts)}


def card(message: Message, links: list[Action]) -> Widget:
    """What, which state and where; why; facts and the end of the error; links."""
    small = " · ".join((*message.footer, rfc3339(message.time_ms)[:16].replace("T", " ") + " UTC"))
    parts = [*story(message), *facts(message), *link_sections(links)]
    return {
        "header": {
            "title": cut_escaped(headline(message), TITLE_CHARS, unmentionable),
            "subtitle": cut_escaped(line(small), SUBTITLE_CHARS, unmentionable),
        },
        "sections": parts or [{"widgets": [paragraph(cut_escaped(headline(message), TITLE_CHARS, escape))]}],
    }


def story(message: Message) -> list[Widget]:
    """The cause in the colour of the state, what the source says, and how far the run is while it runs."""
    found: list[Widget] = []
    if cause := cut_escaped(line(message.cause), CAUSE_CHARS, escape):
        colour = COLOURS.get(message.tone)
        found.append(paragraph(f'<font color="{colour}"><b>{cause}</b></font>' if colour else f"<b>{cause}</b>"))
    if text := cut_escaped(lines(message.text).strip(), TEXT_CHARS, escape):
        found.append(paragraph(text))
    if running := current(message.steps):
        shown = f"{bar(message.steps)} · {running}"
        found.append(paragraph(cut_escaped(shown, PROGRESS_CHARS, escape)))
    return [{"widgets": found}] if found else []


def facts(message: Message) -> list[Widget]:
    """Pairs, and beneath them the end of the error. Longer ones can be unfolded."""
    widgets: list[Widget] = [
        {
            "decoratedText": {
                "topLabel": cut_escaped(line(name), NAME_CHARS, unmentionable) or "·",
                "text": cut_escaped(line(value), VALUE_CHARS, escape) or "–",
                "wrapText": True,
            }
        }
        for name, value in message.facts[:FACTS]
    ]
    shown = min(len(widgets), UNFOLDED)
    if detail := tail_escaped(lines(message.detail).strip(), DETAIL_CHARS):
        widgets.append(paragraph(detail))
    if not widgets:
        return []
    if len(widgets) == shown:
        return [{"widgets": widgets}]
    return [{"collapsible": True, "uncollapsibleWidgetsCount": max(1, shown), "widgets": widgets}]


def link_sections(links: list[Action]) -> list[Widget]:
    """Buttons. Google opens a button's http address as https, so those are links in a text."""
    widgets: list[Widget] = []
    if buttons := [button(one) for one in links if one.url.lower().startswith("https:")]:
        widgets.append({"buttonList": {"buttons": buttons}})
    others = [(one.label, html.escape(one.url)) for one in links if not one.url.lower().startswith("https:")]
    anchors = [
        f'<a href="{url}">{cut_escaped(line(label), LABEL_CHARS, escape) or "Link"}</a>'
        for label, url in others
        if len(url) <= URL_CHARS
    ]
    if anchors:
        widgets.append(paragraph(" · ".join(anchors)))
    return [{"widgets": widgets}] if widgets else []


def button(one: Action) -> Widget:
    shown: Widget = {
        "text": cut_escaped(line(one.label), LABEL_CHARS, unmentionable) or "Link",
        "onClick": {"openLink": {"url": one.url}},
    }
    return shown | ({"type": "FILLED"} if one.style == "primary" else {})


def paragraph(markup: str) -> Widget:
    """The argument is HTML that was made here."""
    return {"textParagraph": {"text": markup}}


def headline(message: Message) -> str:
    """Never empty."""
    return line(f"{message.emoji} {message.title}") or "Notification"


def mention(message: Message, asked: bool | str) -> str:
    """Whom to wake, on a failure or a rollback only."""
    if message.tone not in MENTIONED or not asked:
        return ""
    names = "all" if asked is True else str(asked)
    return " ".join("<users/all>" if name == "all" else f"<{name}>" for name in names.split(" "))


def escape(words: str) -> str:
    """For a card's text, which is HTML."""
    return html.escape(words, quote=False).replace("\n", "<br>")


def tail_escaped(words: str, limit: int) -> str:
    """The end of it, escaped, in at most `limit` characters. HTML would swallow the indentation of a traceback."""
    kept = tail(words.replace("  ", "\u00a0 "), limit)
    while len(escaped := escape(kept)) > limit:
        kept = tail(kept, len(kept) - 1 - (len(escaped) - limit) // 10)
    return escaped


_TAG = re.compile(r"<(?=\S)")
_PAIRED = re.compile(r"(?<!\w)([*_~`])(?=\S)(?=[^\n]*?\1)")
_LOOKS_LIKE = {"*": "∗", "_": "ˍ", "~": "∼", "`": "ˋ"}


def unmentionable(words: str) -> str:
    """For a card's plain text: nothing in it is a tag or a mention."""
    return _TAG.sub("<\u200b", words)


def inert(words: str) -> str:
    """For message text: no mention, no link that says something else than where it leads, no formatting.

    There is no escape for them. A mark that would open formatting, since it has a partner on its line, becomes a sign
    that looks like it.
    """
    return _PAIRED.sub(lambda found: _LOOKS_LIKE[found[1]], unmentionable(words))


class _Detail(Struct, frozen=True):
    reason: str = ""


class _Error(Struct, frozen=True):
    message: str = ""
    status: str = ""
    details: list[_Detail] = []


class _Answer(Struct, frozen=True):
    """`name` is the message's own; `error` as in https://google.aip.dev/193."""

    name: str = ""
    error: _Error | None = None


def classify(reply: Reply) -> Outcome:
    """Delivered is a message with a name. Google's word for the error counts for more than the HTTP status."""
    if not isinstance(reply, HttpReply):
        return by_status(reply)
    answer = decoded(reply.body, _Answer) or _Answer()
    if answer.error is None or not answer.error.status:
        if not 200 <= reply.status < 300:
            return by_status(reply)
        # Anything but a message is a proxy or a login page in between: nothing was posted.
        return (
            Delivered({"name": answer.name})
            if answer.name
            else Retry(f"answered, but not with a message: {said(reply)}")
        )
    word = answer.error.status
    reason = cut(line(f"{word}: {answer.error.message}"), 200)
    if word == "ALREADY_EXISTS":
        return Delivered()
    if word in PASSING:
        limited = word == "RESOURCE_EXHAUSTED" or reply.status == 429
        return Retry(reason, retry_after_s(reply.headers), rate_limited=limited)
    if word in ENDPOINT_DEAD or any(one.reason == "API_KEY_INVALID" for one in answer.error.details):
        return Rejected(reason, "endpoint")
    if word == "UNAUTHENTICATED":
        return Rejected(reason, "credential")
    return Rejected(reason, "message") if word == "INVALID_ARGUMENT" else by_status(reply)


PROVIDER = Provider(
    kind="google_chat",
    label="Google Chat",
    about="Posts cards to a space through its incoming webhook, one thread for each run.",
    settings_type=GoogleChatSettings,
    check_address=check_address,
    render=render,
    classify=classify,
    given=given.post,
    rate_per_s=1.0,  # https://developers.google.com/workspace/chat/limits: one write a second for each space
    timeout_s=10.0,
    max_age_s=6 * 3600,
    max_body_bytes=MAX_BYTES,
)
