"""Mattermost by a bot's token: one post per run, edited as it goes on, what happens in its thread.

Requests:  https://developers.mattermost.com/api-documentation/#/operations/CreatePost
Errors:    https://github.com/mattermost/mattermost/blob/master/server/channels/api4/post.go

A reaction needs the bot's own user id beside its token, so none is set.
"""

import re
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from tocsin.model.errors import Invalid
from tocsin.model.hidden import Hidden
from tocsin.model.wire import Delivered, HttpReply, HttpRequest, Outcome, Rejected, Reply, Retry, Sending
from tocsin.provider_kit.block_kit import MENTIONED
from tocsin.provider_kit.classify import by_status, said
from tocsin.provider_kit.json_reply import decoded
from tocsin.provider_kit.mattermost_text import (
    Mention,
    ThemeColor,
    app_error,
    attachment,
    card,
    mention,
    plain,
    reason,
    wait_s,
)
from tocsin.provider_kit.provider import Live, Provider, SecretText
from tocsin.provider_kit.text import masked, shared_key

THREAD_LOST = frozenset({
    "api.context.permissions.app_error",
    "api.post.update_post.find.app_error",
    "api.post.update_post.permissions_details.app_error",
    "api.post.update_post.permissions_time_limit.app_error",
    "api.post.update_post.can_not_update_post_in_deleted.error",
    "api.post.create_post.root_id.app_error",
    "api.post.create_post.channel_root_id.app_error",
    "app.post.get.app_error",
})  # fmt: skip
"""The post was deleted, is in another channel, or is too old to be edited. The first is what the server answers to an
edit of a post that is gone, as well as where the bot may not post: a new post then fails the same, and is counted."""
ENDPOINT_DEAD = frozenset({
    "app.channel.get.existing.app_error",
    "api.post.create_post.can_not_post_to_deleted.error",
    "api.post.create_post.town_square_read_only",
})  # fmt: skip
"""The channel is gone or archived, or nobody may post there."""

ID = re.compile(r"[a-z0-9]{26}")
SERVER = re.compile(
    r"https?://[A-Za-z0-9._-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?|https?://\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?"
)

_encoder = msgspec.json.Encoder()


class MattermostBotSettings(Hidden, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a bot posts, and how.

    server_url: the server's address, with its path where it has one.
    token: the bot's access token.
    channel_id: 26 characters, under "View info" in the channel's menu. The bot must be a member.
    mention_on_failure: true mentions whoever is there (`@here`); or say whom: `channel`, `all`, the name of a user or a
        group, or several with a space between.
    use_rich_formatting: false sends words alone.
    include_action_buttons: whether to show the links.
    theme_color: RRGGBB, in place of the colour of whatever did not go wrong.
    one_message_per_run: one post per run, kept up to date, with what else happens in its thread. False posts each
        message by itself.
    """

    server_url: Annotated[str, Meta(max_length=1000)]
    token: SecretText
    channel_id: Annotated[str, Meta(pattern=r"^[a-z0-9]{26}\Z")]
    use_rich_formatting: bool = True
    mention_on_failure: bool | Mention = False
    include_action_buttons: bool = True
    theme_color: ThemeColor = ""
    one_message_per_run: bool = True


class Post(Struct):
    """What matters in a post as the server returns it."""

    id: str = ""
    channel_id: str = ""


def check_settings(settings: MattermostBotSettings) -> None:
    """The shape only: which hosts may be reached, and how, is for the address guard to say when it is used."""
    if not SERVER.fullmatch(settings.server_url):
        raise Invalid("settings.server_url", masked(settings.server_url), "https://mattermost.example")
    if not re.fullmatch(r"[!-~]+", settings.token):
        raise Invalid("settings.token", "blanks or characters that no token has", "a bot's access token")


def hint(settings: MattermostBotSettings) -> str:
    """The server and the channel."""
    return f"{urlsplit(settings.server_url).hostname} {settings.channel_id}"


def render(sending: Sending) -> HttpRequest:
    """A post of its own, the root of what follows."""
    settings: MattermostBotSettings = sending.target.settings
    return request(sending, "POST", "/posts", post(sending, settings.channel_id, ""))


def reply(sending: Sending) -> HttpRequest:
    """A post in the root's thread, in the root's channel even if the settings name another by now."""
    settings: MattermostBotSettings = sending.target.settings
    refs = sending.thread.refs
    return request(sending, "POST", "/posts", post(sending, refs.get("channel_id", settings.channel_id), refs["id"]))


def edit(sending: Sending) -> HttpRequest:
    """The root rewritten. While it is loud its text is left as it was, so whom it named when it was posted stays named.
    The server's time limit for edits is about the text only, so it hardly ever applies."""
    settings: MattermostBotSettings = sending.target.settings
    message = sending.told
    body: dict[str, Any]
    if sending.plain or not settings.use_rich_formatting:
        body = {"message": plain(message, "", settings.include_action_buttons), "props": {}}
    elif message.tone in MENTIONED:
        body = {"props": props(sending)}
    else:
        body = {"message": "", "props": props(sending)}
    return request(sending, "PUT", f"/posts/{sending.thread.refs['id']}/patch", body)


def post(sending: Sending, channel_id: str, root_id: str) -> dict[str, Any]:
    """A new post. `pending_post_id`: the server makes no second post for the same one within 30 seconds, so a retry
    after a lost answer is harmless."""
    settings: MattermostBotSettings = sending.target.settings
    message = sending.told
    whom = "" if sending.quiet else mention(message, settings.mention_on_failure)
    body: dict[str, Any] = {
        "channel_id": channel_id,
        "pending_post_id": shared_key(sending.id, message.event_uid, root_id),
    }
    if root_id:
        body["root_id"] = root_id
    if sending.plain or not settings.use_rich_formatting:
        return body | {"message": plain(message, whom, settings.include_action_buttons)}
    return body | {"message": whom, "props": props(sending)}


def props(sending: Sending) -> dict[str, Any]:
    """The attachment, and the card beside the channel where there is more to read."""
    settings: MattermostBotSettings = sending.target.settings
    message = sending.told
    made: dict[str, Any] = {
        "attachments": [attachment(message, settings.include_action_buttons, settings.theme_color)],
    }
    if more := card(message):
        made["card"] = more
    return made


def request(sending: Sending, method: Any, path: str, body: dict[str, Any]) -> HttpRequest:
    settings: MattermostBotSettings = sending.target.settings
    url = f"{settings.server_url.rstrip('/')}/api/v4{path}"
    headers = (("content-type", "application/json"), ("authorization", f"Bearer {settings.token}"))
    return HttpRequest(method, url, _encoder.encode(body), headers)


def classify(reply: Reply) -> Outcome:
    """The documented ids count for more than the status they come with."""
    if not isinstance(reply, HttpReply):
        return by_status(reply)
    if 200 <= reply.status < 300:
        return posted(reply)
    error = app_error(reply)
    if error.id in THREAD_LOST:
        return Rejected(reason(error), "thread")
    if error.id in ENDPOINT_DEAD:
        return Rejected(reason(error), "endpoint")
    if reply.status == 429:
        return Retry(said(reply), wait_s(reply), rate_limited=True)
    return by_status(reply)


def posted(reply: HttpReply) -> Outcome:
    """Delivered, with what a later edit or answer needs."""
    found = decoded(reply.body, Post) or Post()
    if ID.fullmatch(found.id) and ID.fullmatch(found.channel_id):
        return Delivered({"id": found.id, "channel_id": found.channel_id})
    # The server answers with the post that it kept; anything else is a proxy in between, and nothing was posted.
    return Delivered() if reply.truncated else Retry(f"answered, but not with a post: {said(reply)}")


PROVIDER = Provider(
    kind="mattermost_bot",
    dialled=("server_url",),
    label="Mattermost (bot)",
    about="Posts as a bot: one message per run that is kept up to date, with its stages in the thread.",
    settings_type=MattermostBotSettings,
    check_address=None,
    check_settings=check_settings,
    hint=hint,
    render=render,
    classify=classify,
    live=Live(edit=edit, reply=reply, is_on=lambda settings: bool(settings.one_message_per_run)),
    rate_per_s=5.0,  # servers that limit take 10 requests a second from one token
    timeout_s=10.0,
    max_age_s=6 * 3600,
    max_body_bytes=100_000,
)
