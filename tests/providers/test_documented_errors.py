"""What each provider is documented to answer, word for word, and what it must mean. Research: providers.md, section 1.

One table for all of them, read off the documents and not off the code. A meaning of several words, as in
`endpoint|credential`, is where the document says only that it is dead.
"""

import json
from typing import Any

import pytest

from tests.providers.examples import provider_of, reply
from tocsin.model.wire import Accepted, Delivered, Outcome, Rejected, Reply, Retry, SmtpReply
from tocsin.providers import PROVIDERS

DEAD = "endpoint|credential"
TAKEN = "delivered|accepted"

Row = tuple[str, int, Any, str]


def rows(kind: str, status: int, meaning: str, *bodies: Any) -> list[Row]:
    return [(kind, status, body, meaning) for body in bodies]


def slack(meaning: str, words: str) -> list[Row]:
    """The Web API says no with status 200."""
    return [("slack_bot", 200, {"ok": False, "error": word}, meaning) for word in words.split()]


def teams(status: int, meaning: str, *codes: str) -> list[Row]:
    return [("teams", status, {"error": {"code": code, "message": "said so"}}, meaning) for code in codes]


def discord(status: int, meaning: str, *codes: int) -> list[Row]:
    return [("discord", status, {"message": "said so", "code": code}, meaning) for code in codes]


def mattermost(status: int, meaning: str, *ids: str, kind: str = "mattermost") -> list[Row]:
    return [
        (
            kind,
            status,
            {"id": one, "message": "m", "detailed_error": "", "request_id": "q", "status_code": status},
            meaning,
        )
        for one in ids
    ]


def google(status: int, meaning: str, word: str) -> list[Row]:
    return [("google_chat", status, {"error": {"code": status, "message": "m", "status": word}}, meaning)]


def telegram(status: int, meaning: str, *descriptions: str, **parameters: Any) -> list[Row]:
    more = {"parameters": parameters} if parameters else {}
    return [
        ("telegram", status, {"ok": False, "error_code": status, "description": one} | more, meaning)
        for one in descriptions
    ]


SLACK_WEBHOOK = [
    *rows("slack", 200, "delivered", "ok"),
    *rows(
        "slack", 400, "message", "invalid_payload", "invalid_blocks", "invalid_attachments", "no_text",
        "too_many_attachments", "missing_text_or_fallback_or_attachments", "user_not_found",
    ),
    *rows("slack", 400, "endpoint", "invalid_token"),
    *rows(
        "slack", 403, "endpoint", "invalid_token", "action_prohibited", "posting_to_general_channel_denied",
        "team_disabled",
    ),
    *rows("slack", 404, "endpoint", "channel_not_found", "no_service", "no_service_id", "no_team", "no_active_hooks"),
    *rows("slack", 410, "endpoint", "channel_is_archived"),
    *rows("slack", 500, "retry", "rollup_error", "<html><title>Server Error</title></html>"),
    *rows("slack", 429, "limited", "rate_limited"),
    *rows("slack_workflow", 200, TAKEN, {"ok": True}),
    *rows("slack_workflow", 400, "message", ""),
    *rows("slack_workflow", 429, "limited", "rate_limited"),
]  # fmt: skip

SLACK_BOT = [
    *rows("slack_bot", 200, "delivered", {"ok": True, "channel": "C1", "ts": "1503435956.000247", "message": {}}),
    *rows("slack_bot", 429, "limited", {"ok": False, "error": "ratelimited"}, "", "rate_limited"),
    *slack(
        "retry|limited", "ratelimited rate_limited service_unavailable internal_error request_timeout "
        "team_added_to_org org_login_required external_channel_migrating update_failed accesslimited fatal_error",
    ),
    *slack("delivered", "already_reacted"),
    *slack(
        "credential", "invalid_auth not_authed account_inactive token_revoked token_expired app_access_restricted "
        "two_factor_setup_required enterprise_is_restricted ekm_access_denied method_deprecated",
    ),
    *slack(
        "endpoint", "channel_not_found not_in_channel is_archived missing_scope no_permission restricted_action "
        "restricted_action_read_only_channel messages_tab_disabled "
        "message_limit_exceeded team_not_found",
    ),
    *slack(
        "message", "invalid_blocks invalid_blocks_format invalid_attachments msg_too_long msg_blocks_too_long "
        "attachment_payload_limit_exceeded too_many_attachments no_text markdown_text_conflict invalid_arguments "
        "metadata_too_large",
    ),
    *slack(
        "thread", "message_not_found cant_update_message edit_window_closed is_inactive streaming_state_conflict "
        "block_mismatch cannot_reply_to_message restricted_action_thread_locked "
        "restricted_action_non_threadable_channel",
    ),
    # Slack's own words: no top-level message may be posted there. A new one instead would be refused as well.
    *slack("endpoint", "restricted_action_thread_only_channel"),
]  # fmt: skip

O365 = (
    "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error {} with ContextId tcid=0"
)
TEAMS = [
    *rows("teams", 202, "accepted", ""),
    *rows("teams", 200, "accepted|delivered", ""),
    *teams(400, "message|endpoint", "MissingApiVersionParameter"),
    *teams(400, "message", "TriggerInputSchemaMismatch", "InvalidRequestContent"),
    *teams(401, DEAD, "DirectApiAuthorizationRequired", "AuthorizationFailed"),
    *teams(403, DEAD, "AuthorizationFailed"),
    *teams(404, DEAD, "WorkflowNotFound", "WorkflowTriggerNotFound"),
    *teams(409, DEAD, "WorkflowTriggerIsNotEnabled"),
    *teams(400, DEAD, "WorkflowTriggerIsNotEnabled"),
    *rows("teams", 429, "limited", ""),
    *rows("teams", 502, "retry", ""),
    *rows("teams", 500, "retry", ""),
    *rows("teams", 200, TAKEN, "1"),
    *rows("teams", 200, "retry|limited", O365.format(429), O365.format(502)),
    *rows("teams", 200, "message", O365.format(413)),
    *rows("teams", 200, DEAD, O365.format(403), O365.format(404)),
    *rows("teams", 410, DEAD, "Connector configuration not found"),
]

DISCORD = [
    *rows("discord", 200, "delivered", {"id": "1", "channel_id": "2"}),
    *rows("discord", 204, "delivered", ""),
    *discord(404, DEAD, 10015, 10004),
    # A channel that is deleted takes its webhooks with it (10015), so an unknown channel is a forum's post.
    *discord(404, "thread", 10003),
    *discord(401, DEAD, 50027),
    *discord(403, DEAD, 50013),
    *discord(400, "message", 50035, 50006, 50109, 240000, 20031),
    *discord(413, "message", 40005),
    *discord(404, "thread", 10008),
    *discord(400, "thread", 50083, 30046),
    *discord(403, "thread", 160005),
    *discord(429, "thread", 30046),
    *discord(429, "limited", 20028, 40062),
    *discord(503, "retry", 130000),
    *rows("discord", 429, "limited", {"message": "You are being rate limited.", "retry_after": 64.57, "global": False}),
    *rows("discord", 429, "limited", "<html>error code: 1015</html>"),
    *rows("discord", 502, "retry", "<html>Bad gateway</html>"),
]

POST, CHANNEL = "4xp9fdt77pncbef59f4k1qe83o", "qe834xp9fdt77pncbef59f4k1o"
MATTERMOST = [
    *rows("mattermost", 200, "delivered", "ok"),
    *mattermost(400, DEAD, "web.incoming_webhook.invalid.app_error"),
    *mattermost(501, DEAD, "web.incoming_webhook.disabled.app_error"),
    *mattermost(404, DEAD, "web.incoming_webhook.channel.app_error"),
    *mattermost(500, "retry", "web.incoming_webhook.channel.app_error"),
    *mattermost(
        403, DEAD, "web.incoming_webhook.channel_locked.app_error", "web.incoming_webhook.permissions.app_error",
        "web.incoming_webhook.user.app_error", "api.post.create_post.town_square_read_only",
    ),
    *mattermost(400, DEAD, "web.incoming_webhook.user.app_error"),
    *mattermost(400, "message", "web.incoming_webhook.text.app_error"),
    *rows("mattermost", 404, DEAD, "<html>404</html>"),
    *rows("mattermost", 429, "limited", "limit exceeded"),
    *rows("mattermost_bot", 201, "delivered", {"id": POST, "channel_id": CHANNEL, "message": "m"}),
    *mattermost(401, "credential", "api.context.session_expired.app_error", kind="mattermost_bot"),
    # Said of a post that is gone as well as of a channel that is closed to the bot: a new post tells the two apart.
    *mattermost(403, "thread", "api.context.permissions.app_error", kind="mattermost_bot"),
    *rows("mattermost_bot", 429, "limited", "limit exceeded"),
]  # fmt: skip

GOOGLE_CHAT = [
    *rows("google_chat", 200, "delivered", {"name": "spaces/A/messages/B", "thread": {"name": "spaces/A/threads/C"}}),
    *google(400, "message", "INVALID_ARGUMENT"),
    *google(401, DEAD, "UNAUTHENTICATED"),
    *google(403, DEAD, "PERMISSION_DENIED"),
    *google(404, DEAD, "NOT_FOUND"),
    *google(409, "delivered", "ALREADY_EXISTS"),
    *google(429, "limited", "RESOURCE_EXHAUSTED"),
    *google(503, "retry", "UNAVAILABLE"),
]

TELEGRAM = [
    *rows("telegram", 200, "delivered", {"ok": True, "result": {"message_id": 7, "chat": {"id": -100}}}),
    *telegram(429, "limited", "Too Many Requests: retry after 35", retry_after=35),
    *telegram(
        403, DEAD, "Forbidden: the group chat was deleted", "Forbidden: bot was blocked by the user",
        "Forbidden: user is deactivated", "Forbidden: bot was kicked from the group chat",
        "Forbidden: bot was kicked from the supergroup chat",
    ),
    *telegram(400, DEAD, "Bad Request: chat not found"),
    *telegram(401, "credential", "Unauthorized"),
    *telegram(404, DEAD, "Not Found"),
    *telegram(
        400, "message", "Bad Request: can't parse entities: unsupported start tag", "Bad Request: message is too long",
        "Bad Request: message text is empty",
    ),
    *telegram(
        400, "delivered",
        "Bad Request: message is not modified: specified new message content and reply markup are exactly the same",
    ),
    *telegram(400, "retry", "Bad Request: group chat was upgraded to a supergroup chat", migrate_to_chat_id=-1001),
]  # fmt: skip

BAD_EVENT = {"status": "invalid event", "message": "Event object is invalid"}
PAGERDUTY = [
    *rows("pagerduty", 202, "delivered", {"status": "success", "message": "Event processed", "dedup_key": "k"}),
    *rows("pagerduty", 400, "message", BAD_EVENT | {"errors": ["'payload.summary' is missing or blank"]}),
    *rows("pagerduty", 400, "endpoint", BAD_EVENT | {"errors": ["'routing_key' is missing or blank"]}),
    *rows("pagerduty", 413, "message", ""),
    *rows("pagerduty", 429, "limited", ""),
    *rows("pagerduty", 403, "limited", ""),
    *rows("pagerduty", 500, "retry", ""),
    *rows("pagerduty", 503, "retry", ""),
]

TOOK = {"took": 0.1, "requestId": "r"}
OPSGENIE = [
    *rows("opsgenie", 202, "accepted", {"result": "Request will be processed"} | TOOK),
    *rows("opsgenie", 401, DEAD, {"message": "Could not authenticate"} | TOOK),
    *rows("opsgenie", 403, DEAD, {"message": "You are not authorized to access"} | TOOK),
    *rows("opsgenie", 402, DEAD, {"message": "Your plan does not include it"} | TOOK),
    *rows("opsgenie", 422, "message", {"message": "Message can not be empty.", "errors": {"message": "empty"}} | TOOK),
    *rows("opsgenie", 429, "limited", {"message": "You are making too many requests!"} | TOOK),
    *rows("opsgenie", 500, "retry", ""),
]

SENDGRID_SAID = {"errors": [{"message": "said so", "field": None, "help": None}]}
EMAIL = [
    *rows("email", 202, TAKEN, ""),
    *rows("email", 400, "message", SENDGRID_SAID),
    *rows("email", 413, "message", SENDGRID_SAID),
    *rows("email", 401, "credential", SENDGRID_SAID),
    *rows("email", 403, DEAD, SENDGRID_SAID),
    *rows("email", 429, "limited", SENDGRID_SAID),
    *rows("email", 500, "retry", ""),
]

NTFY = [
    *rows("ntfy", 200, "delivered", {"id": "sPs71M8A2T", "time": 1643935928, "event": "message", "topic": "mytopic"}),
    *rows("ntfy", 400, "message", {"code": 40014, "http": 400, "error": "invalid request: attachments not allowed"}),
    *rows("ntfy", 400, "message", {"code": 40018, "http": 400, "error": "invalid request: actions invalid"}),
    *rows("ntfy", 400, "endpoint", {"code": 40009, "http": 400, "error": "invalid request: topic invalid"}),
    *rows("ntfy", 400, "endpoint", {"code": 40010, "http": 400, "error": "invalid request: topic name is not allowed"}),
    *rows("ntfy", 401, "credential", {"code": 40101, "http": 401, "error": "unauthorized"}),
    *rows("ntfy", 403, "credential", {"code": 40301, "http": 403, "error": "forbidden"}),
    *rows("ntfy", 413, "message", {"code": 41303, "http": 413, "error": "JSON body too large"}),
    *rows("ntfy", 429, "limited", {"code": 42901, "http": 429, "error": "limit reached: too many requests"}),
    *rows("ntfy", 429, "limited", {"code": 42908, "http": 429, "error": "limit reached: daily message quota reached"}),
    *rows("ntfy", 507, "retry", {"code": 50701, "http": 507, "error": "topic is inactive"}),
]

WEBHOOK = [
    *rows("webhook", 200, "delivered", ""),
    *rows("webhook", 202, "delivered", ""),
    *rows("webhook", 204, "delivered", ""),
    *rows("webhook", 301, "retry", ""),
    *rows("webhook", 410, "endpoint", ""),
    *rows("webhook", 404, "endpoint", ""),
    *rows("webhook", 400, "retry", ""),
    *rows("webhook", 429, "limited", ""),
    *rows("webhook", 503, "retry", ""),
]

TABLE = [
    *SLACK_WEBHOOK, *SLACK_BOT, *TEAMS, *DISCORD, *MATTERMOST, *GOOGLE_CHAT, *TELEGRAM, *PAGERDUTY, *OPSGENIE, *EMAIL,
    *NTFY, *WEBHOOK,
]  # fmt: skip

SMTP = [
    (250, "2.0.0 Ok: queued as 4F2", TAKEN),
    (421, "4.3.2 Service shutting down", "retry"),
    (450, "4.2.0 Mailbox busy", "retry"),
    (451, "4.7.1 Greylisted", "retry"),
    (452, "4.2.2 Mailbox full", "retry"),
    (535, "5.7.8 Authentication credentials invalid", "credential"),
    (534, "5.7.9 Authentication mechanism is too weak", "credential"),
    (530, "5.7.0 Authentication required", "credential"),
    (550, "5.1.1 No such user", "message|endpoint"),
    (551, "5.1.6 User not local", "message|endpoint"),
    (553, "5.1.3 Mailbox name not allowed", "message|endpoint"),
    (552, "5.3.4 Message too big", "message"),
    (554, "5.7.1 Refused by policy", "message"),
]


def meaning(outcome: Outcome) -> str:
    if isinstance(outcome, Rejected):
        return outcome.scope
    if isinstance(outcome, Retry):
        return "limited" if outcome.rate_limited else "retry"
    return "delivered" if isinstance(outcome, Delivered) else "accepted"


def as_reply(kind: str, status: int, body: Any, **headers: str) -> Reply:
    return reply(status, body if isinstance(body, str) else json.dumps(body), **headers)


@pytest.mark.parametrize(
    ("kind", "status", "body", "expected"),
    [pytest.param(*row, id=f"{row[0]}-{row[1]}-{number}") for number, row in enumerate(TABLE)],
)
def test_means_what_its_document_says(kind: str, status: int, body: Any, expected: str) -> None:
    outcome = provider_of(kind).classify(as_reply(kind, status, body))
    assert meaning(outcome) in expected.split("|"), outcome
    if isinstance(outcome, Retry | Rejected):
        assert outcome.reason


@pytest.mark.parametrize(("code", "words", "expected"), SMTP)
def test_a_mail_server_s_codes(code: int, words: str, expected: str) -> None:
    outcome = provider_of("email").classify(SmtpReply(code, words.encode()))
    assert meaning(outcome) in expected.split("|"), outcome
    if isinstance(outcome, Retry):
        assert not outcome.rate_limited


WAITS: list[tuple[str, int, Any, dict[str, str], float | None]] = [
    ("discord", 429, {"message": "m", "retry_after": 64.57, "global": False}, {"retry_after": "65"}, 64.57),
    ("discord", 429, {"message": "m", "global": False}, {"x_ratelimit_reset_after": "1.5"}, 1.5),
    ("discord", 429, {}, {"retry_after": "7", "x_ratelimit_reset_after": "9"}, 7.0),
    ("telegram", 429, {"ok": False, "parameters": {"retry_after": 35}}, {"retry_after": "40"}, 35.0),
    ("slack_bot", 429, {"ok": False, "error": "ratelimited"}, {"retry_after": "30"}, 30.0),
    ("slack", 429, "rate_limited", {"retry_after": "30"}, 30.0),
    ("slack_workflow", 429, "", {"retry_after": "30"}, 30.0),
    ("teams", 429, "", {"retry_after": "17"}, 17.0),
    ("google_chat", 429, "", {}, None),
    ("mattermost", 429, "", {"x_ratelimit_reset": "3"}, 3.0),
    ("opsgenie", 429, "", {"x_ratelimit_period_in_sec": "60"}, 60.0),
    ("pagerduty", 429, "", {}, 30.0),
    ("ntfy", 429, {"code": 42908, "http": 429, "error": "daily message quota reached"}, {}, 3600.0),
    ("email", 429, "", {"retry_after": "12"}, 12.0),
    ("webhook", 503, "", {"retry_after": "12"}, 12.0),
]


@pytest.mark.parametrize(
    ("kind", "status", "body", "headers", "after_s"),
    [pytest.param(*row, id=f"{row[0]}-{number}") for number, row in enumerate(WAITS)],
)
def test_waits_as_it_is_told(  # S1-03
    kind: str, status: int, body: Any, headers: dict[str, str], after_s: float | None
) -> None:
    outcome = provider_of(kind).classify(as_reply(kind, status, body, **headers))
    assert isinstance(outcome, Retry)
    assert outcome.after_s == after_s
    assert outcome.rate_limited == (status == 429)


def test_every_provider_that_speaks_http_has_its_rows() -> None:
    assert {kind for kind, *_ in TABLE} >= set(PROVIDERS) - {"in_app", "apprise"}


def test_meanings_are_words_that_exist() -> None:
    words = {"delivered", "accepted", "retry", "limited", "message", "thread", "endpoint", "credential"}
    assert all(set(row[-1].split("|")) <= words for row in TABLE)
    assert all(set(row[-1].split("|")) <= words for row in SMTP)
    assert meaning(Accepted()) == "accepted"
