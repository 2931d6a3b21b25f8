"""One example of every provider, and messages from the usual to the absurd."""

from typing import Any

import msgspec

from tests.compose.samples import AT_MS, HOSTILE, SAMPLES
from tocsin.compose.message import compose
from tocsin.model.endpoint import Target
from tocsin.model.event import Action
from tocsin.model.message import Message
from tocsin.model.thread import Thread
from tocsin.model.wire import HttpReply, Sending
from tocsin.provider_kit.provider import Live, Provider
from tocsin.providers import PROVIDERS
from tocsin.providers.apprise import AppriseSettings
from tocsin.providers.discord import DiscordSettings
from tocsin.providers.email import EmailSettings
from tocsin.providers.google_chat import GoogleChatSettings
from tocsin.providers.in_app import InAppSettings
from tocsin.providers.mattermost import MattermostSettings
from tocsin.providers.mattermost_bot import MattermostBotSettings
from tocsin.providers.ntfy import NtfySettings
from tocsin.providers.opsgenie import OpsgenieSettings
from tocsin.providers.pagerduty import PagerDutySettings
from tocsin.providers.slack import SlackSettings
from tocsin.providers.slack_bot import SlackBotSettings
from tocsin.providers.slack_workflow import SlackWorkflowSettings
from tocsin.providers.teams import TeamsSettings
from tocsin.providers.telegram import TelegramSettings
from tocsin.providers.webhook import WebhookSettings

TOKEN = "s3cr3tTokenDoNotPrint0000"
SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SIGNING = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDaaaa"
KEY32 = "e93facc04764012d7bfb002500d5d1a6"
KEY_UUID = "0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0"
DISCORD_TOKEN = f"{TOKEN}{TOKEN}{TOKEN[:18]}"
HOOK = "s3cr3ta1a1a1a1a1a1a1a1a1a1"
SECRETS = (TOKEN, HOOK, SIGNING, OLD_SIGNING, KEY32, KEY_UUID)

EXAMPLES: dict[str, Target] = {
    "slack": Target(f"https://hooks.slack.com/services/T00000000/B00000000/{TOKEN}", SlackSettings()),
    "slack_bot": Target("", SlackBotSettings(bot_token=f"xoxb-1234-{TOKEN}", channel="#alerts")),
    "slack_workflow": Target(f"https://hooks.slack.com/triggers/T00000000/1234/{TOKEN}", SlackWorkflowSettings()),
    "pagerduty": Target("", PagerDutySettings(routing_key=KEY32)),
    "opsgenie": Target("", OpsgenieSettings(api_key=KEY_UUID)),
    "teams": Target(
        "https://default0123.4b.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/b840a60a"
        f"/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig={TOKEN}",
        TeamsSettings(),
    ),
    "discord": Target(f"https://discord.com/api/webhooks/417429632418316298/{DISCORD_TOKEN}", DiscordSettings()),
    "mattermost": Target(f"https://mm.example.com/hooks/{HOOK}", MattermostSettings()),
    "mattermost_bot": Target(
        "",
        MattermostBotSettings(
            server_url="https://mm.example.com", token=TOKEN, channel_id="4xp9fdt77pncbef59f4k1qe83o"
        ),
    ),
    "google_chat": Target(
        f"https://chat.googleapis.com/v1/spaces/AAAAk6lGXyM/messages?key=AIza{TOKEN}&token={TOKEN}%3D",
        GoogleChatSettings(),
    ),
    "telegram": Target("", TelegramSettings(bot_token=f"110201543:{TOKEN}{TOKEN[:10]}", chat_id=-1001234567890)),
    "ntfy": Target("https://ntfy.sh/tocsin-alerts", NtfySettings(token=f"tk_{TOKEN}")),
    "email": Target(
        "",
        EmailSettings(
            to=("ana@example.com",),
            from_address="alerts@example.com",
            from_name="Tocsin",
            smtp_host="mail.example.com",
            smtp_username="alerts",
            smtp_password=TOKEN,
        ),
    ),
    "in_app": Target("", InAppSettings(user_id="ana")),
    "apprise": Target("", AppriseSettings(url=f"gotifys://gotify.example/{TOKEN}")),
    "webhook": Target(
        f"https://hooks.example/in?key={TOKEN}",
        WebhookSettings(),
        (SIGNING, OLD_SIGNING),
        (("Authorization", f"Bearer {TOKEN}"),),
    ),
}
"""By provider kind; a provider without its line here fails the suite."""

CASES = {
    "run-started": "started",
    "stage-update": "stage",
    "run-succeeded": "succeeded",
    "run-failed": "failed",
    "run-exceeded": "exceeded",
    "hpo-trial": "hpo-trial",
    "hpo-study": "hpo-study",
    "safety-rollback": "rollback",
    "experiment-completed": "experiment-completed",
    "training-complete": "training-complete",
    "alert": "alert",
}
"""The golden files, by the sample that each shows."""

MESSAGES: dict[str, Message] = {name: compose(*SAMPLES[sample]) for name, sample in CASES.items()}

BASE = MESSAGES["run-failed"]


def sized(chars: int, count: int, filler: str = "ä") -> Message:
    """A message whose every part has that many characters, and that many facts, actions and footers."""
    words = (filler * chars)[:chars]
    return msgspec.structs.replace(
        BASE,
        title=words,
        sentence=words,
        cause=words,
        text=words,
        detail=words,
        facts=tuple((f"n{index}{words}", words) for index in range(count)),
        actions=tuple(Action(words, f"https://{index}.example/{'a' * chars}", "primary") for index in range(count)),
        footer=(words,) * count,
        event_id=words,
        source=words,
        labels={words: words},
        data={words: words},
        links={f"l{index}": f"https://{index}.example/{'a' * chars}" for index in range(count)},
    )


HOSTILE_MESSAGE = msgspec.structs.replace(
    sized(10, 3),
    title=HOSTILE,
    sentence=HOSTILE,
    cause=HOSTILE,
    text=HOSTILE,
    detail=HOSTILE + "\n```\n",
    facts=((HOSTILE, HOSTILE), ("`", "```"), ("*", "_a_"), ("", "")),
    actions=(
        Action(HOSTILE, 'https://a.example/|x>y<!channel>`"?a=1&b=2'),
        Action("x", "javascript:alert(1)"),
        Action("y", "https://b.example/\r\nX-Injected: 1"),
    ),
    footer=(HOSTILE, "<!channel>"),
    pipeline=HOSTILE,
    source=HOSTILE,
    event_type=HOSTILE,
)

SIZES: dict[str, Message] = {
    "empty": msgspec.structs.replace(
        BASE, title="", sentence="", cause="", text="", detail="", facts=(), actions=(), footer=(), time_ms=-1
    ),
    "at the header's limit": sized(148, 10),
    "at a fact's limit": sized(2000, 10),
    "at a section's limit": sized(3000, 10),
    "one over": sized(3001, 11),
    "absurd": sized(50_000, 40),
    "all escapes": sized(5000, 12, "&<>"),
    "all quotes": sized(5000, 12, '"\\\n'),
    "flags": sized(3000, 10, "🇩🇪"),
    "families": sized(3000, 10, "👨‍👩‍👧‍👦"),
    "code": sized(3000, 10, "`*a_"),
    "at": sized(3000, 10, "@here"),
    "hostile": HOSTILE_MESSAGE,
}

EVERY_MESSAGE = MESSAGES | SIZES


RUN_KEY = "5f0c1a2b3d4e5f60718293a4b5c6d7e8"
INCIDENT_KEY = "a1b2c3d4e5f60718293a4b5c6d7e8f90"


def sending(
    provider: Provider,
    message: Message,
    *,
    plain: bool = False,
    thread: Thread | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Sending:
    """What the deliver stage would hand over: the example's settings, and these in their stead where given."""
    target = EXAMPLES[provider.kind]
    given = msgspec.convert(msgspec.to_builtins(target.settings) | settings, provider.settings_type)
    target = Target(target.address, given, target.secrets, target.headers, target.trusted)
    body = provider.fix_body(message, given) if provider.fix_body else None
    return Sending(
        "dlv_0198c5f2",
        AT_MS // 1000,
        target,
        None if body else message,
        body,
        plain=plain,
        run_key=RUN_KEY,
        incident_key=INCIDENT_KEY,
        thread=thread or Thread(),
        quiet=quiet,
    )


def reply(status: int, body: str | bytes = b"", **headers: str) -> HttpReply:
    """A reply; header names are written with underscores."""
    raw = body.encode() if isinstance(body, str) else body
    return HttpReply(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def provider_of(kind: str) -> Provider:
    return PROVIDERS[kind]


def live_of(provider: Provider) -> Live:
    assert provider.live is not None
    return provider.live
