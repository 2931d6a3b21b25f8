"""Mattermost incoming webhooks.

Requests:  https://developers.mattermost.com/integrate/webhooks/incoming/
Errors:    https://github.com/mattermost/mattermost/blob/master/server/channels/app/webhook.go

A webhook answers `ok` and no more: there is no id to edit or to answer later.
"""

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from tocsin.model.wire import Delivered, HttpReply, HttpRequest, Outcome, Rejected, Reply, Retry, Sending
from tocsin.provider_kit.classify import by_status, said
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
from tocsin.provider_kit.provider import Provider, refuse_address
from tocsin.provider_kit.text import line, masked

ADDRESS = re.compile(r"https?://[^\s/]+(?:/[^\s?#]*)?/hooks/[a-z0-9]{26}/?")
"""On any host, under any path. Which hosts may be reached, and how, is for the address guard to say."""
ADDRESS_CHARS = 2048

ENDPOINT_DEAD = frozenset({
    "web.incoming_webhook.invalid.app_error",
    "web.incoming_webhook.disabled.app_error",
    "web.incoming_webhook.channel_locked.app_error",
    "web.incoming_webhook.permissions.app_error",
    "web.incoming_webhook.user.app_error",
    "api.post.create_post.town_square_read_only",
})  # fmt: skip
"""The webhook was deleted, webhooks are switched off, or this one may not post to that channel."""
MESSAGE_REFUSED = frozenset({"web.incoming_webhook.text.app_error", "api.webhook.incoming.error"})

_encoder = msgspec.json.Encoder()


class MattermostSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an incoming webhook posts.

    use_rich_formatting: false sends words alone.
    mention_on_failure: true mentions whoever is there (`@here`); or say whom: `channel`, `all`, the name of a user or a
        group, or several with a space between.
    include_action_buttons: whether to show the links.
    theme_color: RRGGBB, in place of the colour of whatever did not go wrong.
    channel: another channel than the webhook's own, by the name in its address, or `@user` for a direct message.
    username: in place of the webhook's own, where the server allows it.
    icon_url: a picture (https), in place of the webhook's own, where the server allows it.
    """

    use_rich_formatting: bool = True
    mention_on_failure: bool | Mention = False
    include_action_buttons: bool = True
    theme_color: ThemeColor = ""
    channel: Annotated[str, Meta(pattern=r"^(?:[@#]?[a-z0-9][a-z0-9._-]{0,63})?\Z")] = ""
    username: Annotated[str, Meta(pattern=r"^[^\x00-\x1f]{0,64}\Z")] = ""
    icon_url: Annotated[str, Meta(pattern=r"^(?:https://[!-~]{1,2000})?\Z")] = ""


def check_address(address: str) -> str:
    """An incoming webhook, without a name or a password in the address."""
    if len(address) > ADDRESS_CHARS or not ADDRESS.fullmatch(address) or not address.isprintable() or "@" in address:
        raise refuse_address(masked(address), "https://mattermost.example/hooks/ and 26 characters")
    return address


def render(sending: Sending) -> HttpRequest:
    """One attachment, or words alone where the settings or the deliver stage ask for that."""
    settings: MattermostSettings = sending.target.settings
    message, with_links = sending.told, settings.include_action_buttons
    whom = "" if sending.quiet else mention(message, settings.mention_on_failure)
    body: dict[str, Any]
    if settings.use_rich_formatting and not sending.plain:
        body = {"text": whom, "attachments": [attachment(message, with_links, settings.theme_color)]}
        if more := card(message):
            body["props"] = {"card": more}
    else:
        body = {"text": plain(message, whom, with_links)}
    if settings.channel:
        body["channel"] = settings.channel
    if name := line(settings.username):
        body["username"] = name
    if settings.icon_url:
        body["icon_url"] = settings.icon_url
    headers = (("content-type", "application/json"),)
    return HttpRequest("POST", sending.target.address, _encoder.encode(body), headers)


def classify(reply: Reply) -> Outcome:
    """Delivered is 2xx and `ok`, nothing less. The documented ids count for more than the status they come with."""
    if not isinstance(reply, HttpReply):
        return by_status(reply)
    error = app_error(reply)
    if error.id in ENDPOINT_DEAD:
        return Rejected(reason(error), "endpoint")
    if error.id in MESSAGE_REFUSED:
        return Rejected(reason(error), "message")
    if reply.status == 429:
        return Retry(said(reply), wait_s(reply), rate_limited=True)
    if not 200 <= reply.status < 300:
        return by_status(reply)
    # Anything but ok is a proxy or a login page in between: nothing was posted.
    return Delivered() if reply.body.strip() == b"ok" else Retry(f"answered, but not with ok: {said(reply)}")


PROVIDER = Provider(
    kind="mattermost",
    label="Mattermost",
    about="Posts to a channel by an incoming webhook, one message for each event.",
    settings_type=MattermostSettings,
    check_address=check_address,
    render=render,
    classify=classify,
    rate_per_s=5.0,  # servers that limit take 10 requests a second from one address, and this may not be all there is
    timeout_s=10.0,
    max_age_s=6 * 3600,
    max_body_bytes=100_000,
)
