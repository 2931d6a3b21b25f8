"""Where Slack calls: `/slack/interactivity`, the Request URL of the app's interactivity.

A button that opens a link calls here as well, and Slack puts a warning beside it unless it is answered with 200 within
three seconds (https://docs.slack.dev/interactivity/handling-user-interaction#acknowledgment_response). Slack has no
token of ours: its signature counts.
"""

import msgspec
from msgspec import Struct
from starlette.responses import PlainTextResponse, Response

from tocsin.model.errors import NotFound, Unauthorised
from tocsin.provider_kit.slack_signature import verified
from tocsin.web.routes import Call, Route, read_body

MAX_BYTES = 65_536
"""A click carries the message that it was made in, at most 13,200 characters of blocks."""


class Challenge(Struct, frozen=True, tag_field="type", tag="url_verification"):
    """https://docs.slack.dev/reference/events/url_verification: Slack asks whether this address is ours."""

    challenge: str


async def interactivity(call: Call) -> Response:
    secret = call.app.settings.slack_signing_secret
    if not secret:
        raise NotFound("Slack is not listened to: set SLACK_SIGNING_SECRET to the signing secret of the Slack app.")
    body = await read_body(call.request, MAX_BYTES)
    headers = call.request.headers
    timestamp = headers.get("x-slack-request-timestamp", "")
    signature = headers.get("x-slack-signature", "")
    if not verified(secret, timestamp, body, signature, call.app.clock_ms() / 1000):
        raise Unauthorised("The signature is not one of Slack's, made with SLACK_SIGNING_SECRET in the last 5 minutes.")
    try:
        return PlainTextResponse(msgspec.json.decode(body, type=Challenge).challenge)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Response()  # a click, or whatever Slack means to say: it is heard


ROUTES = (
    Route(
        method="POST",
        path="/slack/interactivity",
        handler=interactivity,
        name="slack_interactivity",
        summary="Slack's clicks, signed by Slack (needs SLACK_SIGNING_SECRET)",
        role="",
        media="text/plain",
        problems=(401, 404, 413),
    ),
)
