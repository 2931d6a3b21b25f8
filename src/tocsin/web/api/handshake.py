"""The question that senders of CloudEvents ask before they send: whether they may, and how often.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md, section 4. Azure Event Grid
asks so. What it would have us call (`WebHook-Request-Callback`) is not called: the answer says it all.
"""

import re

from starlette.responses import Response

from tocsin.model.errors import Invalid
from tocsin.web.api.ingest import sender_of, source_of
from tocsin.web.routes import ALLOWED, Call, Route

ORIGIN = re.compile(r"(?=.{1,253}\Z)(\*\.)?[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?(:[0-9]{1,5})?")
"""A name of the DNS; what such senders put there has a port at times."""
ASKED = re.compile(r"[1-9][0-9]{0,8}")


async def with_token(call: Call) -> Response:
    """Agrees where the token could send. `source` is only looked up."""
    if "source" in call.request.path_params:
        source_of(call)
    return await agreed(call, call.tenant_id)


async def with_key(call: Call) -> Response:
    """Agrees where the address is that of a source that is switched on."""
    return await agreed(call, (await sender_of(call, source_of(call))).tenant_id)


async def agreed(call: Call, tenant_id: str) -> Response:
    """The permission, for whoever asks; the rate is what the tenant's limits leave, in requests a minute. Raises
    Invalid."""
    headers = call.request.headers
    origin, rate = headers.get("webhook-request-origin", ""), headers.get("webhook-request-rate", "")
    answer = Response("", media_type="text/plain", headers={"allow": call.request.scope[ALLOWED]})
    if not origin:  # somebody asks what can be done here, and gets no permission
        return answer
    if not ORIGIN.fullmatch(origin):
        raise Invalid("WebHook-Request-Origin", repr(origin[:60]), "the DNS name of the sender")
    if rate and not ASKED.fullmatch(rate):
        raise Invalid("WebHook-Request-Rate", repr(rate[:20]), "a whole number of requests a minute, from 1 on")
    limits = (await call.app.meter.gate(tenant_id, call.app.clock_ms())).limits
    per_s = [one for one in (limits.requests_per_s, limits.token_requests_per_s) if one]
    answer.headers["webhook-allowed-origin"] = origin
    answer.headers["webhook-allowed-rate"] = str(60 * min(per_s)) if per_s else "*"
    return answer


HEADERS = {
    "WebHook-Request-Origin": "The DNS name of the sender that asks",
    "WebHook-Request-Rate": "How many requests a minute it would like to send",
}
WITH_TOKEN = {"/v1/events": "may_send_events", "/v1/ingest/{source}": "may_ingest"}
SUMMARY = "Whether a sender of CloudEvents may send here, and how often (WebHook-Allowed-Origin, -Rate)"
ROUTES = (
    *(
        Route(
            method="OPTIONS",
            path=path,
            handler=with_token,
            name=name,
            summary=SUMMARY,
            role="developer",
            scope="ingest",
            basic=path != "/v1/events",
            headers=HEADERS,
            answer=str,
            media="text/plain",
        )
        for path, name in WITH_TOKEN.items()
    ),
    Route(
        method="OPTIONS",
        path="/v1/ingest/{source}/{key}",
        handler=with_key,
        name="may_ingest_at_source",
        summary=f"{SUMMARY}, at the address of a source",
        role="",
        headers=HEADERS,
        answer=str,
        media="text/plain",
        problems=(403, 429),
    ),
)
