"""Discord webhooks: one message per run, edited as it goes on, or one post in a forum.

Requests:  https://docs.discord.com/developers/resources/webhook#execute-webhook
Errors:    https://docs.discord.com/developers/topics/opcodes-and-status-codes#json
Limits:    https://docs.discord.com/developers/topics/rate-limits
"""

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from tocsin.model.wire import Delivered, HttpReply, HttpRequest, Outcome, Rejected, Reply, Retry, Sending
from tocsin.provider_kit import given
from tocsin.provider_kit.block_kit import MENTIONED
from tocsin.provider_kit.classify import WAIT_MAX_S, WAIT_MIN_S, by_status, retry_after_s, said
from tocsin.provider_kit.discord_embed import (
    CONTENT_CHARS,
    SILENT,
    Mention,
    allowed_mentions,
    embed,
    is_silent,
    mention,
    plain,
    sentence,
    thread_name,
)
from tocsin.provider_kit.json_reply import decoded
from tocsin.provider_kit.provider import Live, Provider, refuse_address
from tocsin.provider_kit.text import cut, line, masked

ADDRESS = re.compile(
    r"https://(?:(?:canary|ptb)\.)?discord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks/\d{17,20}/[A-Za-z0-9_-]{60,80}/?",
    re.ASCII,
)
"""As Discord hands them out, by its old name and its test versions too."""

MESSAGE_REFUSED = frozenset({50035, 50006, 50109, 40005, 240000, 20031, 200000, 200001, 220002})
"""Invalid form, empty, no JSON, too large, blocked by a filter."""
ENDPOINT_DEAD = frozenset({10015, 50027, 10004, 50013, 50001, 220001, 220003, 220004, 40067})
"""The webhook, its token or its server is gone, it may not post there, or the channel is of another type than the
settings say. A webhook that is gone must not be used again: too many 404s from one address have it banned."""
THREAD_LOST = frozenset({10003, 10008, 30046, 50083, 160005})
"""The message was deleted, or it is over an hour old and was edited too often; its forum post was deleted (a deleted
channel takes its webhooks with it, so 10003 is always about the post), archived or locked."""
PASSING = frozenset({20028, 40062, 130000, 40333})
"""A shared limit, an overload, or Cloudflare in between."""
ADVICE = {
    220001: "the channel is a forum: switch on forum_threads",
    220003: "the channel is no forum: switch off forum_threads",
    40067: "the forum asks for a tag, which a webhook of Tocsin does not give",
}

_ID = re.compile(r"[0-9]{1,20}", re.ASCII)
_HEADERS = (("content-type", "application/json"),)
_encoder = msgspec.json.Encoder()


class DiscordSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a webhook posts.

    use_rich_formatting: false sends words alone.
    mention_on_failure: true mentions whoever is there (`@here`); or say whom: a user (`<@id>`), a role (`<@&id>`),
        `here`, `everyone`, or several with a space between.
    include_action_buttons: whether to show the links.
    theme_color: RRGGBB, in place of the colour of whatever did not go wrong.
    username: in place of the webhook's own.
    avatar_url: a picture (https), in place of the webhook's own.
    forum_threads: the channel is a forum; each run gets a post in it.
    one_message_per_run: one message per run, kept up to date. False posts each message by itself.
    """

    use_rich_formatting: bool = True
    mention_on_failure: bool | Mention = False
    include_action_buttons: bool = True
    theme_color: Annotated[str, Meta(pattern=r"^(?:#?[0-9A-Fa-f]{6})?\Z")] = ""
    username: Annotated[str, Meta(pattern=r"^(?i:(?!.*(?:clyde|discord))[^\x00-\x1f]{0,80})\Z")] = ""
    avatar_url: Annotated[str, Meta(pattern=r"^(?:https://[!-~]{1,2000})?\Z")] = ""
    forum_threads: bool = False
    one_message_per_run: bool = True


class Said(Struct):
    """What matters in Discord's answers: a message's ids, or an error's code."""

    id: str = ""
    channel_id: str = ""
    code: int = 0
    message: str = ""
    retry_after: float | None = None
    everywhere: bool = msgspec.field(default=False, name="global")


def check_address(address: str) -> str:
    """A webhook and nothing else: no `/slack` or `/github` behind it, no query."""
    if not ADDRESS.fullmatch(address):
        raise refuse_address(masked(address), "https://discord.com/api/webhooks/…/…")
    return address


def render(sending: Sending) -> HttpRequest:
    """A message of its own; in a forum, a post of its own."""
    settings: DiscordSettings = sending.target.settings
    body = new_message(sending)
    if settings.forum_threads:
        body["thread_name"] = thread_name(sending.told)
    return HttpRequest("POST", f"{sending.target.address}?wait=true", _encoder.encode(body), _HEADERS)


def reply(sending: Sending) -> HttpRequest:
    """A message of its own, in the forum post where there is one: a webhook cannot answer or open threads elsewhere."""
    url = f"{sending.target.address}?wait=true{in_thread(sending, '&')}"
    return HttpRequest("POST", url, _encoder.encode(new_message(sending)), _HEADERS)


def edit(sending: Sending) -> HttpRequest:
    """The root message rewritten. It wakes nobody, and whom it named when it was posted stays named."""
    settings: DiscordSettings = sending.target.settings
    message = sending.told
    body: dict[str, Any] = {"allowed_mentions": allowed_mentions("")}
    if sending.plain or not settings.use_rich_formatting:
        body |= {"content": plain(message, "", settings.include_action_buttons), "embeds": []}
    else:
        body["embeds"] = [embed(message, settings.include_action_buttons, settings.theme_color)]
        if message.tone not in MENTIONED:
            body["content"] = None
    root = sending.thread.refs["id"]
    url = f"{sending.target.address.rstrip('/')}/messages/{root}{in_thread(sending, '?')}"
    return HttpRequest("PATCH", url, _encoder.encode(body), _HEADERS)


def new_message(sending: Sending) -> dict[str, Any]:
    """What a POST carries: words first where it is loud, since embeds hardly show in a phone's notification."""
    settings: DiscordSettings = sending.target.settings
    message = sending.told
    whom = "" if sending.quiet else mention(message, settings.mention_on_failure)
    body: dict[str, Any] = {"allowed_mentions": allowed_mentions(whom)}
    if sending.plain or not settings.use_rich_formatting:
        body["content"] = plain(message, whom, settings.include_action_buttons)
    else:
        if message.tone in MENTIONED:
            told = sentence(message, CONTENT_CHARS - len(whom) - 1)
            body["content"] = f"{whom} {told}".strip()
        body["embeds"] = [embed(message, settings.include_action_buttons, settings.theme_color)]
    if is_silent(message):
        body["flags"] = SILENT
    if name := line(settings.username):
        body["username"] = name
    if settings.avatar_url:
        body["avatar_url"] = settings.avatar_url
    return body


def in_thread(sending: Sending, mark: str) -> str:
    """The query that leads into the root's forum post; "" where the root is in none."""
    thread = sending.thread.refs.get("thread_id", "")
    return f"{mark}thread_id={thread}" if thread else ""


def classify(reply: Reply) -> Outcome:
    """The documented codes count for more than the status they come with."""
    if not isinstance(reply, HttpReply):
        return by_status(reply)
    answer = decoded(reply.body, Said) or Said()
    reason = f"{answer.code}: {cut(line(answer.message), 200)}" if answer.code else said(reply)
    if answer.code in MESSAGE_REFUSED:
        return Rejected(said(reply), "message")  # the body says which field
    if answer.code in ENDPOINT_DEAD:
        advice = ADVICE.get(answer.code)
        return Rejected(f"{reason} ({advice})" if advice else reason, "endpoint")
    if answer.code in THREAD_LOST:
        return Rejected(reason, "thread")
    if reply.status == 429:
        limit = "limited for all webhooks: " if answer.everywhere else ""
        return Retry(limit + reason, wait_s(reply, answer), rate_limited=True)
    if answer.code in PASSING:
        return Retry(reason, wait_s(reply, answer))
    if not 200 <= reply.status < 300:
        return by_status(reply)
    return posted(reply, answer)


def posted(reply: HttpReply, answer: Said) -> Outcome:
    """Delivered, with what a later edit needs. A forum's post and its first message have the same id."""
    pause_s = None
    if reply.headers.get("x-ratelimit-remaining") == "0":
        pause_s = seconds(reply.headers.get("x-ratelimit-reset-after", ""))
    if _ID.fullmatch(answer.id) and _ID.fullmatch(answer.channel_id):
        thread = answer.channel_id if answer.id == answer.channel_id else ""
        return Delivered({"id": answer.id, "channel_id": answer.channel_id, "thread_id": thread}, pause_s)
    if reply.status == 204 or reply.truncated:
        return Delivered({}, pause_s)
    # Discord answers with the message that it kept; anything else is a proxy in between, and nothing was posted.
    return Retry(f"answered, but not with a message: {said(reply)}")


def wait_s(reply: HttpReply, answer: Said) -> float | None:
    """The JSON's fraction of a second is the most exact; Cloudflare, which limits too, sends the header alone."""
    if answer.retry_after is not None:
        return min(max(answer.retry_after, WAIT_MIN_S), WAIT_MAX_S)
    return retry_after_s(reply.headers) or seconds(reply.headers.get("x-ratelimit-reset-after", ""))


def seconds(value: str) -> float | None:
    """A header's number of seconds, with the bounds of `Retry-After`."""
    return retry_after_s({"retry-after": value}) if value[:1].isdigit() else None


PROVIDER = Provider(
    kind="discord",
    label="Discord",
    about="Posts to a channel by its webhook: one message per run that is kept up to date, or one forum post per run.",
    settings_type=DiscordSettings,
    check_address=check_address,
    render=render,
    classify=classify,
    given=given.post,
    live=Live(
        edit=edit,
        reply=reply,
        is_on=lambda settings: bool(settings.one_message_per_run),
        tells_stages=lambda settings: bool(settings.forum_threads),  # elsewhere each would be a message in the channel
    ),
    rate_per_s=2.0,  # about 5 in 2 s for each webhook; what its headers say counts for more
    timeout_s=10.0,
    max_age_s=6 * 3600,
    max_body_bytes=100_000,
)
