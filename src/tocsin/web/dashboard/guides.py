"""What helps people to connect each kind of endpoint: where its address comes from, and what to look at when nothing
arrives. Shorter than docs/providers.md, and beside the form."""

from msgspec import Struct


class Guide(Struct, frozen=True):
    """`place`: where people will see the message. `steps`: where the address or the key comes from. `first`: settings
    that are asked for at once, besides those that are required. `checks`: what to look at when nothing arrived."""

    place: str
    icon: str = "plug"
    steps: tuple[str, ...] = ()
    placeholder: str = ""
    first: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    link: str = ""


STANDARD = Guide(
    place="its place",
    checks=(
        "The address is the one that the receiver shows.",
        "Nothing between Tocsin and the receiver takes messages out.",
    ),
)

GUIDES: dict[str, Guide] = {
    "slack": Guide(
        place="the Slack channel",
        icon="hash",
        steps=(
            "At api.slack.com/apps make an app, or open yours.",
            "Incoming Webhooks → switch on → Add New Webhook to Workspace, and choose the channel.",
            "Copy the address that Slack shows, and paste it here.",
        ),
        placeholder="https://hooks.slack.com/services/T…/B…/…",
        checks=(
            "The address posts to the channel that was chosen when it was made: look there, not elsewhere.",
            "You are a member of that channel, where it is private.",
            "The app still belongs to the workspace: Settings → Manage apps.",
            "The channel is not muted for you.",
        ),
        link="https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks",
    ),
    "slack_bot": Guide(
        place="the Slack channel",
        icon="hash",
        steps=(
            "At api.slack.com/apps make an app; its bot needs the scopes chat:write and reactions:write.",
            "Install it into the workspace, and copy the bot token, xoxb-….",
            "Invite the bot to the channel.",
        ),
        first=("bot_token", "channel"),
        checks=(
            "The bot was invited to that channel.",
            "The channel's name or id is the one meant; ids are safer, for names change.",
            "The app was installed again after its scopes were changed.",
            "The channel is not muted for you.",
        ),
        link="https://docs.slack.dev/authentication/tokens",
    ),
    "slack_workflow": Guide(
        place="what the workflow does",
        icon="workflow",
        steps=(
            "In Slack, build a workflow that starts “from a webhook”.",
            "Declare its variables, all of the type text, and name the same ones below.",
            "Publish it, and copy its address.",
        ),
        placeholder="https://hooks.slack.com/triggers/…",
        first=("variables",),
        checks=(
            "The workflow is published, not a draft.",
            "It declares exactly the variables that are listed here.",
            "Its activity log says what became of the run.",
        ),
        link="https://slack.com/help/articles/360041352714",
    ),
    "teams": Guide(
        place="the Teams channel",
        icon="message-square",
        steps=(
            "In the channel open ••• → Workflows.",
            "Choose “Post to a channel when a webhook request is received”; who can trigger it: Anyone.",
            "Copy the whole address: its signature is in the query.",
        ),
        placeholder="https://….environment.api.powerplatform.com/…",
        checks=(
            "The workflow's run history says why a card was not posted.",
            "“Who can trigger the flow” is Anyone.",
            "Its owner still belongs to the organisation; add a co-owner.",
            "The workflow is switched on.",
        ),
    ),
    "discord": Guide(
        place="the Discord channel",
        icon="message-square",
        steps=("Channel settings → Integrations → Webhooks → New Webhook.", "Copy Webhook URL."),
        placeholder="https://discord.com/api/webhooks/…",
        checks=(
            "The webhook still exists, and points to the channel where you look.",
            "You may see that channel.",
            "A forum needs the setting forum_threads.",
        ),
    ),
    "mattermost": Guide(
        place="the Mattermost channel",
        icon="message-square",
        steps=("Integrations → Incoming Webhooks → Add.", "Copy the address; it ends in /hooks/ and 26 characters."),
        placeholder="https://mattermost.example.org/hooks/…",
        checks=(
            "The channel in the webhook's settings is the one where you look.",
            "Incoming webhooks are switched on in the system console.",
            "A server on a private address is named in TOCSIN_ALLOW_TARGETS.",
        ),
    ),
    "mattermost_bot": Guide(
        place="the Mattermost channel",
        icon="message-square",
        steps=(
            "System console → Integrations → Bot accounts makes the bot and its token.",
            "Make the bot a member of the channel.",
            "The channel's id is under “View info”.",
        ),
        checks=("The bot is a member of the channel.", "The id is the channel's, not the team's."),
    ),
    "google_chat": Guide(
        place="the space",
        icon="message-square",
        steps=(
            "In the space: Apps & integrations → Webhooks → Add.",
            "Copy the whole address, with key and token.",
        ),
        placeholder="https://chat.googleapis.com/v1/spaces/…",
        checks=("The webhook still is in the list of the space.", "Your organisation allows incoming webhooks."),
    ),
    "telegram": Guide(
        place="the chat",
        icon="send",
        steps=(
            "Talk to @BotFather: /newbot gives the token.",
            "Add the bot to the group, and write something there.",
            "A group's number begins with -100.",
        ),
        checks=(
            "The bot is a member of the group, or you have pressed Start in a chat with it.",
            "The number is the group's; a group that became a supergroup has a new one.",
        ),
    ),
    "ntfy": Guide(
        place="the app",
        icon="smartphone",
        steps=("Choose a topic that nobody guesses.", "Subscribe to it with the app or at the server's page."),
        placeholder="https://ntfy.sh/a-topic-nobody-guesses",
        checks=("The topic is the same, letter by letter.", "The telephone allows notifications of the app."),
    ),
    "email": Guide(
        place="the mailbox",
        icon="mail",
        steps=(
            "Whom to write to is enough where the operator has set up a mail server.",
            "Else name a server, or a key of SendGrid's, and a sender that it knows.",
        ),
        first=("from_address",),
        checks=(
            "It is not among the spam.",
            "The sender is one that the server may send for (SPF, DKIM).",
            "The address is right; a server takes mail first and bounces it later.",
        ),
    ),
    "pagerduty": Guide(
        place="the service",
        icon="siren",
        steps=("Service → Integrations → Add → “Events API V2”.", "Copy the integration key."),
        checks=(
            "A test opens no alert: only what fails does.",
            "The region is that of your account.",
            "The service is not in maintenance.",
        ),
    ),
    "opsgenie": Guide(
        place="the team",
        icon="siren",
        steps=("Team → Integrations → Add → API.", "It needs the right to create and to close alerts."),
        checks=("The integration is switched on.", "The region is that of your account."),
    ),
    "in_app": Guide(
        place="your inbox here",
        icon="inbox",
        steps=("Messages wait on this page until somebody has seen them: nothing else is needed.",),
        checks=("It is your own inbox: others see theirs.",),
    ),
    "apprise": Guide(
        place="its place",
        icon="layers",
        steps=("appriseit.com/services has the address of each service.",),
        checks=("The address works with the apprise command on this machine.",),
    ),
    "webhook": Guide(
        place="the receiver's log",
        icon="webhook",
        steps=(
            "Any address that takes a POST.",
            "What it gets is signed; the secret is shown once, after saving.",
        ),
        placeholder="https://example.org/hooks/tocsin",
        first=("format", "auth"),
        checks=(
            "The receiver's log has the request.",
            "It answers 2xx only when it has kept what it got.",
            "It checks the signature with the secret that was shown.",
        ),
    ),
}


def guide_of(kind: str) -> Guide:
    return GUIDES.get(kind, STANDARD)
