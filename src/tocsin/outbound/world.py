"""Everything outside, behind one door: each kind of request by its own way."""

from tocsin.model.wire import AppriseRequest, HttpRequest, InboxRequest, NoReply, Reply, Request, SmtpRequest
from tocsin.outbound.http import Outbound


class World:
    """`http` is closed with it."""

    def __init__(self, http: Outbound) -> None:
        self.http = http

    async def send(self, request: Request, timeout_s: float) -> Reply:
        """One try; whatever the network does comes back as a value."""
        match request:
            case HttpRequest():
                return await self.http.send(request, timeout_s)
            case SmtpRequest() | AppriseRequest() | InboxRequest():
                return NoReply("invalid", "there is no way out for this kind of message")

    async def close(self) -> None:
        await self.http.close()
