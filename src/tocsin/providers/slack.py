"""Slack incoming webhooks.

Shapes:  https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
Errors:  https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks

A webhook answers `ok` and no more: there is no timestamp to thread under or to edit later.
"""

import re
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from tocsin.model.wire import Delivered, HttpReply, HttpRequest, Outcome, Rejected, Reply, Retry, Sending
from tocsin.provider_kit import given
from tocsin.provider_kit.block_kit import POSTED, Mentions, check_mentions, mention, plain, rich
from tocsin.provider_kit.classify import by_status, retry_after_s, said
from tocsin.provider_kit.provider import Provider, refuse_address
from tocsin.provider_kit.slack_replies import word
from tocsin.provider_kit.text import masked

ADDRESS = re.compile(r"https://hooks\.slack(?:-gov)?\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{16,64}/?")
"""As Slack hands them out, for commercial workspaces and for GovSlack."""

MESSAGE_REFUSED = frozenset({
    "invalid_payload", "invalid_blocks", "invalid_attachments", "no_text", "too_many_attachments",
    "missing_text_or_fallback_or_attachments", "user_not_found",
})  # fmt: skip
ENDPOINT_DEAD = frozenset({
    "invalid_token", "action_prohibited", "posting_to_general_channel_denied", "team_disabled", "channel_not_found",
    "no_service", "no_service_id", "no_team", "no_active_hooks", "channel_is_archived",
})  # fmt: skip
PASSING = frozenset({"rollup_error", "rate_limited"})

_encoder = msgspec.json.Encoder()


class SlackSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How messages look in the channel of an incoming webhook.

    use_rich_formatting: false sends words alone.
    mention_on_failure: true mentions whoever is active in the channel; or say whom: `here`, `channel`, a user's id
        (U…), a group's id (S…), several as a list.
    include_action_buttons: whether to show the links. They are text: a webhook's button would show a warning.
    thread_ts: the message to answer in its thread, such as 1732154400.000100; every message goes there.
    """

    use_rich_formatting: bool = True
    mention_on_failure: Mentions = False
    include_action_buttons: bool = True
    thread_ts: Annotated[str, Meta(pattern=r"^[0-9]{10}\.[0-9]{6}\Z")] | None = None

    def __post_init__(self) -> None:
        check_mentions(self.mention_on_failure)


def check_address(address: str) -> str:
    """An incoming webhook and nothing else: a workflow's trigger takes other bodies."""
    if not ADDRESS.fullmatch(address):
        raise refuse_address(masked(address), "https://hooks.slack.com/services/T…/B…/…")
    return address


def render(sending: Sending) -> HttpRequest:
    """The message in Block Kit, or in words alone where the settings or the deliver stage ask for that."""
    settings: SlackSettings = sending.target.settings
    make = rich if settings.use_rich_formatting and not sending.plain else plain
    whom = "" if sending.quiet else mention(sending.told, settings.mention_on_failure)
    payload = POSTED | make(sending.told, whom, "links" if settings.include_action_buttons else "no")
    if settings.thread_ts:
        payload["thread_ts"] = settings.thread_ts
    headers = (("content-type", "application/json; charset=utf-8"),)
    return HttpRequest("POST", sending.target.address, _encoder.encode(payload), headers)


def classify(reply: Reply) -> Outcome:
    """Delivered is 200 and `ok`, nothing less. The documented words count for more than the status they come with."""
    if not isinstance(reply, HttpReply):
        return by_status(reply)
    words = word(reply)
    if words in MESSAGE_REFUSED:
        return Rejected(words, "message")
    if words in ENDPOINT_DEAD:
        return Rejected(words, "endpoint")
    if words in PASSING:
        limited = words == "rate_limited" or reply.status == 429
        return Retry(words, retry_after_s(reply.headers), rate_limited=limited)
    if not 200 <= reply.status < 300:
        return by_status(reply)
    # Anything but ok is a proxy or a login page in between: nothing was posted.
    return Delivered() if words == "ok" else Retry(f"answered, but not with ok: {said(reply)}")


PROVIDER = Provider(
    kind="slack",
    label="Slack",
    about="A Slack channel, by an incoming webhook: one message for each event.",
    settings_type=SlackSettings,
    check_address=check_address,
    render=render,
    classify=classify,
    given=given.post,
    rate_per_s=1.0,  # https://docs.slack.dev/apis/web-api/rate-limits: one message a second for each webhook
    timeout_s=10.0,
    max_age_s=6 * 3600,
    max_body_bytes=100_000,
)
