"""Every kind of endpoint, one line each."""

from tocsin.provider_kit.provider import Provider
from tocsin.providers import (
    apprise,
    discord,
    email,
    google_chat,
    in_app,
    mattermost,
    mattermost_bot,
    ntfy,
    opsgenie,
    pagerduty,
    slack,
    slack_bot,
    slack_workflow,
    teams,
    telegram,
    webhook,
)

PROVIDERS: dict[str, Provider] = {
    one.kind: one
    for one in (
        slack.PROVIDER,
        slack_bot.PROVIDER,
        slack_workflow.PROVIDER,
        pagerduty.PROVIDER,
        opsgenie.PROVIDER,
        teams.PROVIDER,
        discord.PROVIDER,
        mattermost.PROVIDER,
        mattermost_bot.PROVIDER,
        google_chat.PROVIDER,
        telegram.PROVIDER,
        ntfy.PROVIDER,
        email.PROVIDER,
        in_app.PROVIDER,
        apprise.PROVIDER,
        webhook.PROVIDER,
    )
}
