"""A platform whose users are told by Slack and by email: both set up in the environment, both played by fakes."""

from dataclasses import dataclass
from typing import Any

from tests.harness import Client, Running, Start
from tocsin.fakes.sendgrid import FakeSendGrid
from tocsin.fakes.slack import Channel, FakeSlack

TOKEN = "xoxb-1234567890-tocsin-fake-workspace"
ENVIRONMENT = {
    "SLACK_BOT_TOKEN": TOKEN,
    "SLACK_DEFAULT_CHANNEL": "#platform-alerts",
    "SENDGRID_API_KEY": "SG.abcdefghijklmnopqrstuv.ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopq",
    "EMAIL_FROM_ADDRESS": "platform@example.com",
}
SHORT = "/api/v1/notifications/preferences"
LONG = "/v1/preferences"


@dataclass
class Platform:
    """`slack.channels`: #platform-alerts, #team. Mails are what SendGrid took."""

    tocsin: Running
    slack: FakeSlack
    mail: FakeSendGrid

    def posts(self, channel: str = "platform-alerts") -> list[str]:
        """The new messages in a channel."""
        (found,) = (one for one in self.slack.channels.values() if one.name == channel)
        texts = [message.text for message in found.messages]
        found.messages.clear()
        return texts

    def mails(self) -> list[tuple[str, str]]:
        """(to, subject) of the new mails."""
        found = [(", ".join(one.to), one.subject) for one in self.mail.mails]
        self.mail.mails.clear()
        return sorted(found)

    async def user(self, name: str = "ana@example.com", role: str = "viewer", **switches: Any) -> Client:
        """A user who has looked at their preferences, and has changed these."""
        client = await self.tocsin.as_(role, user=name)
        if switches:
            (await client.request("PUT", SHORT, switches)).ok()
        else:
            (await client.get(SHORT)).ok()
        return client

    async def happens(self, type_: str = "safety_rollback", *, after_s: float = 2, **fields: Any) -> str:
        """An event, so long after the last that Slack takes a message for it."""
        self.tocsin.clock.move(after_s)
        sent = await self.tocsin.send(type=type_, **fields)
        await self.tocsin.settle()
        return str(sent["id"])


async def platform(start: Start, **environment: str) -> Platform:
    tocsin = await start(**(ENVIRONMENT | environment))
    slack, mail = FakeSlack(), FakeSendGrid()
    slack.channels = {
        id_: Channel(id_, name) for id_, name in (("C0PLATFORM", "platform-alerts"), ("C0TEAM0001", "team"))
    }
    tocsin.receiver.play(slack)
    tocsin.receiver.play(mail)
    return Platform(tocsin, slack, mail)
