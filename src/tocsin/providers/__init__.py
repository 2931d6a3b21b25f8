"""Every kind of endpoint, one line each."""

from tocsin.provider_kit.provider import Provider
from tocsin.providers import slack, webhook

PROVIDERS: dict[str, Provider] = {one.kind: one for one in (slack.PROVIDER, webhook.PROVIDER)}
