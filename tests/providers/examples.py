"""One example of every provider, and messages from the usual to the absurd."""

from typing import Any

import msgspec

from tests.compose.samples import AT_MS, HOSTILE, SAMPLES
from tocsin.compose.message import compose
from tocsin.model.endpoint import Target
from tocsin.model.event import Action
from tocsin.model.message import Message
from tocsin.model.wire import HttpReply, Sending
from tocsin.provider_kit.provider import Provider
from tocsin.providers import PROVIDERS
from tocsin.providers.slack import SlackSettings
from tocsin.providers.webhook import WebhookSettings

TOKEN = "s3cr3tTokenDoNotPrint0000"
SIGNING = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SIGNING = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDaaaa"
SECRETS = (TOKEN, SIGNING, OLD_SIGNING)

EXAMPLES: dict[str, Target] = {
    "slack": Target(f"https://hooks.slack.com/services/T00000000/B00000000/{TOKEN}", SlackSettings()),
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


def sending(provider: Provider, message: Message, *, plain: bool = False, **settings: Any) -> Sending:
    """What the deliver stage would hand over, with these settings."""
    target = EXAMPLES[provider.kind]
    given = msgspec.convert(settings, provider.settings_type)
    target = Target(target.address, given, target.secrets, target.headers)
    body = provider.fix_body(message, given) if provider.fix_body else None
    return Sending("dlv_0198c5f2", AT_MS // 1000, target, None if body else message, body, plain=plain)


def reply(status: int, body: str | bytes = b"", **headers: str) -> HttpReply:
    """A reply; header names are written with underscores."""
    raw = body.encode() if isinstance(body, str) else body
    return HttpReply(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


def provider_of(kind: str) -> Provider:
    return PROVIDERS[kind]
