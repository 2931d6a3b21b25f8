"""Slack by an app's bot token: one message per run, edited in place, with replies in its thread.

Methods:  https://docs.slack.dev/reference/methods/chat.postMessage, chat.update and reactions.add
Limits:   https://docs.slack.dev/apis/web-api/rate-limits

The app needs the scope `chat:write`; `chat:write.public` to write where it was not invited; `reactions:write` to mark
how a run ended. An answer is 200 even where it says no: its `ok` and its `error` count.
"""

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from tocsin.model.errors import Invalid
from tocsin.model.hidden import Hidden
from tocsin.model.wire import Delivered, HttpReply, HttpRequest, Outcome, Rejected, Reply, Request, Retry, Sending
from tocsin.provider_kit import block_kit
from tocsin.provider_kit.block_kit import POSTED, Mentions, Shown, check_mentions, mention
from tocsin.provider_kit.classify import by_status, retry_after_s, said
from tocsin.provider_kit.provider import Limit, Live, Provider, SecretText
from tocsin.provider_kit.slack_replies import answer, reason
from tocsin.provider_kit.text import masked, shared_key

TOKEN = re.compile(r"xox[be](?:\.xox[bp])?-[A-Za-z0-9-]{10,}")
"""A bot's token, or one that is rotated (https://docs.slack.dev/authentication/using-token-rotation)."""
CHANNEL = r"[CGD][A-Z0-9]{2,20}|#?[^\s#@<>&,A-Z\x00-\x1f\x7f]{1,80}"
"""An id, or a name: lower-case letters of any script, at most 80 characters."""

RATE_LIMITED = frozenset({"ratelimited", "rate_limited"})
PASSING = frozenset({
    "service_unavailable", "internal_error", "request_timeout", "team_added_to_org", "org_login_required",
    "external_channel_migrating", "update_failed", "accesslimited", "fatal_error", "unknown_method",
})  # fmt: skip
CREDENTIAL_DEAD = frozenset({
    "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "app_access_restricted",
    "two_factor_setup_required", "enterprise_is_restricted", "ekm_access_denied", "method_deprecated",
    "deprecated_endpoint", "not_allowed_token_type", "is_bot",
})  # fmt: skip
ENDPOINT_DEAD = frozenset({
    "channel_not_found", "not_in_channel", "is_archived", "missing_scope", "no_permission", "access_denied",
    "restricted_action", "restricted_action_read_only_channel", "restricted_action_thread_only_channel",
    "messages_tab_disabled", "message_limit_exceeded", "team_not_found",
})  # fmt: skip
THREAD_LOST = frozenset({
    "message_not_found", "cant_update_message", "edit_window_closed", "is_inactive", "streaming_state_conflict",
    "block_mismatch", "cannot_reply_to_message", "restricted_action_thread_locked",
    "restricted_action_non_threadable_channel",
})  # fmt: skip
"""All words of the three methods that are not here are about the one message: they are our mistake, not the user's."""

HELP = {
    "not_in_channel": "invite the bot to the channel, or give its app the scope chat:write.public",
    "channel_not_found": "there is no such channel, or it is private and the bot was not invited",
}
REACTIONS_SCOPE = "reactions:write"

MARKS = {"succeeded": "white_check_mark", "failed": "x", "warning": "warning", "cancelled": "no_entry_sign"}

_encoder = msgspec.json.Encoder()


class SlackBotSettings(Hidden, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a bot writes, and how.

    bot_token: the app's bot token, xoxb-…
    channel: its id (C…, G…, D…) or its name, such as #alerts.
    mention_on_failure: true mentions whoever is active in the channel; or say whom: `here`, `channel`, a user's id
        (U…), a group's id (S…), several as a list. In a thread, Slack notifies users and groups only.
    use_rich_formatting: false sends words alone.
    include_action_buttons: whether to show the links.
    interactivity: the app's interactivity is switched on and leads here, so that links may be real buttons; without it
        Slack would put a warning beside them.
    one_message_per_run: a run has one message, which is edited as the run goes on; what else happens is told in its
        thread. False posts each message by itself.
    stage_details: lists the stages in the run's message, and tells in its thread of each that ends.
    reply_broadcast: a failure that is told in the thread is shown in the channel as well. An edit notifies nobody.
    gov: the workspace is in GovSlack.
    """

    bot_token: SecretText = ""
    channel: Annotated[str, Meta(pattern=rf"^(?:|{CHANNEL})\Z")] = ""
    mention_on_failure: Mentions = False
    use_rich_formatting: bool = True
    include_action_buttons: bool = True
    interactivity: bool = False
    one_message_per_run: bool = True
    stage_details: bool = True
    reply_broadcast: bool = True
    gov: bool = False

    def __post_init__(self) -> None:
        check_mentions(self.mention_on_failure)


def check_settings(settings: SlackBotSettings) -> None:
    """Raises Invalid where the token or the channel is missing, or the token is none of a bot."""
    if not TOKEN.fullmatch(settings.bot_token):
        found = masked(settings.bot_token) if settings.bot_token else "nothing"
        raise Invalid("settings.bot_token", found, "a bot's token, xoxb-…")
    if not settings.channel:
        raise Invalid("settings.channel", "nothing", "a channel's id (C…) or name (#alerts)")


def render(sending: Sending) -> HttpRequest:
    """A new message. It mentions whom it concerns, unless it is quiet."""
    settings: SlackBotSettings = sending.target.settings
    content = made(sending, whom(sending))
    return call(settings, "chat.postMessage", {"channel": settings.channel, **POSTED, **content})


def edit(sending: Sending) -> HttpRequest:
    """The message of `thread.refs`, rewritten. What is left out would stay as it was, so everything is given."""
    content = {"blocks": [], "attachments": []} | made(sending, "")
    # Without `parse`, chat.update would make links of what looks like a name; chat.postMessage does not.
    place = {"channel": sending.thread.refs["channel"], "ts": sending.thread.refs["ts"], "parse": "none"}
    return call(sending.target.settings, "chat.update", place | content)


def reply(sending: Sending) -> HttpRequest:
    """A message in the thread of `thread.refs`; one that wakes somebody may be seen in the channel too."""
    settings: SlackBotSettings = sending.target.settings
    make = block_kit.reply if is_rich(sending) else block_kit.plain
    content = make(sending.told, whom(sending), shown(settings))
    place = {"channel": sending.thread.refs["channel"], "thread_ts": sending.thread.refs["ts"]}
    broadcast = {"reply_broadcast": True} if settings.reply_broadcast and not sending.quiet else {}
    return call(settings, "chat.postMessage", place | broadcast | POSTED | content)


def mark(sending: Sending) -> HttpRequest | None:
    """A reaction that says how the run ended."""
    name = MARKS.get(sending.told.run_status)
    if name is None:
        return None
    place = {"channel": sending.thread.refs["channel"], "timestamp": sending.thread.refs["ts"]}
    return call(sending.target.settings, "reactions.add", place | {"name": name})


def made(sending: Sending, mentioned: str) -> dict[str, Any]:
    """The message in Block Kit, or in words alone where the settings or the deliver stage ask for that."""
    settings: SlackBotSettings = sending.target.settings
    message = sending.told
    if not is_rich(sending):
        return block_kit.plain(message, mentioned, shown(settings))
    return block_kit.rich(message, mentioned, shown(settings), settings.stage_details)


def is_rich(sending: Sending) -> bool:
    return sending.target.settings.use_rich_formatting and not sending.plain


def whom(sending: Sending) -> str:
    if sending.quiet:
        return ""
    return mention(sending.told, sending.target.settings.mention_on_failure)


def shown(settings: SlackBotSettings) -> Shown:
    if not settings.include_action_buttons:
        return "no"
    return "buttons" if settings.interactivity else "links"


def call(settings: SlackBotSettings, method: str, arguments: dict[str, Any]) -> HttpRequest:
    """One call of the Web API."""
    host = "slack-gov.com" if settings.gov else "slack.com"
    headers = (
        ("content-type", "application/json; charset=utf-8"),
        ("authorization", f"Bearer {settings.bot_token}"),
    )
    return HttpRequest("POST", f"https://{host}/api/{method}", _encoder.encode(arguments), headers)


def limits(sending: Sending, request: Request) -> tuple[Limit, ...]:
    """A message a second in a channel; 50 edits a minute, and as many reactions, for a workspace (tier 3)."""
    assert isinstance(request, HttpRequest)
    settings: SlackBotSettings = sending.target.settings
    method = request.url.rpartition("/")[2]
    if method == "chat.postMessage":
        return (Limit(shared_key("slack", settings.bot_token, settings.channel.removeprefix("#")), 1, 1.05),)
    return (Limit(shared_key("slack", settings.bot_token, method), 50, 60.0),)


def classify(reply: Reply) -> Outcome:
    """By the word of the answer, whatever its status."""
    if not isinstance(reply, HttpReply):
        return by_status(reply)
    found = answer(reply)
    word = str(found.get("error", ""))
    if word:
        return refusal(reply, found, word)
    if not 200 <= reply.status < 300:
        return by_status(reply)
    if found.get("ok") is not True:  # a proxy or a login page in between: nothing was posted
        return Retry(f"answered, but not with ok: {said(reply)}")
    channel, ts = found.get("channel"), found.get("ts")
    has_place = isinstance(channel, str) and isinstance(ts, str) and channel and ts
    return Delivered({"channel": channel, "ts": ts} if has_place else {})  # type: ignore[dict-item]


def refusal(reply: HttpReply, found: dict[str, Any], word: str) -> Outcome:
    """What the word means, with what Slack says about it."""
    why = f"{word}: {HELP[word]}" if word in HELP else reason(found)
    if word == "already_reacted":
        return Delivered()
    if word in RATE_LIMITED or reply.status == 429:
        return Retry(why, retry_after_s(reply.headers), rate_limited=True)
    if word in PASSING:
        return Retry(why, retry_after_s(reply.headers))
    if word in CREDENTIAL_DEAD:
        return Rejected(why, "credential")
    if word in THREAD_LOST:
        return Rejected(why, "thread")
    if word == "missing_scope" and REACTIONS_SCOPE in str(found.get("needed", "")):
        return Rejected(why, "message")  # a reaction is an ornament: everything else still works
    if word in ENDPOINT_DEAD:
        return Rejected(why, "endpoint")
    return by_status(reply) if reply.status >= 500 else Rejected(why, "message")


PROVIDER = Provider(
    kind="slack_bot",
    label="Slack bot",
    about="A Slack channel, by an app's bot token: one message per run, kept up to date, with a thread beneath it.",
    settings_type=SlackBotSettings,
    check_address=None,
    check_settings=check_settings,
    hint=lambda settings: settings.channel,
    operator=(("bot_token",), ("channel",)),
    render=render,
    classify=classify,
    live=Live(edit=edit, reply=reply, mark=mark, is_on=lambda settings: settings.one_message_per_run),
    limits=limits,
    timeout_s=10.0,
    max_age_s=6 * 3600,
    max_body_bytes=100_000,
)
