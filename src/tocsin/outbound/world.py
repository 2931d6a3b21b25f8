"""Everything outside, behind one door: each kind of request by its own way."""

from tocsin.model.wire import AppriseRequest, HttpRequest, InboxRequest, NoReply, Reply, Request, SmtpRequest
from tocsin.outbound.apprise import AppriseSender
from tocsin.outbound.http import Outbound
from tocsin.outbound.smtp import Mail


class World:
    """All of it is closed with it."""

    def __init__(self, http: Outbound, mail: Mail, apprise: AppriseSender) -> None:
        self.http = http
        self.mail = mail
        self.apprise = apprise

    async def send(self, request: Request, timeout_s: float) -> Reply:
        """One try; whatever the network does comes back as a value."""
        match request:
            case HttpRequest():
                return await self.http.send(request, timeout_s)
            case SmtpRequest():
                return await self.mail.send(request, timeout_s)
            case AppriseRequest():
                return await self.apprise.send(request, timeout_s)
            case InboxRequest():
                return NoReply("invalid", "an inbox is not outside")

    async def close(self) -> None:
        await self.http.close()
        await self.mail.close()
        await self.apprise.close()
