"""What people would get to see, on a page: Slack's and its like as a part of the page with a style sheet of their own,
a mail as a document in a frame that may do nothing, and what programs get as text."""

import json
from typing import Any

import msgspec
from markupsafe import Markup
from msgspec import Struct
from starlette.responses import HTMLResponse, Response

from tocsin.model.errors import Invalid, NotFound
from tocsin.web.dashboard.api import Refused
from tocsin.web.dashboard.visit import Page, Visit
from tocsin.web.dashboard.wording import query
from tocsin.web.headers import PAGE_POLICY

Json = dict[str, Any]

MOST_LOOKS = 5
NOT_FOUND = 404
MOST_ADDRESS = 6000
"""Characters of a frame's address, which has the rule's own words in it."""

STANDARD = (("slack", "Slack"), ("teams", "Teams"), ("email", "Email"), ("webhook", "JSON"))
SKETCHES: dict[str, Json] = {"email": {"settings": {"to": ["team@example.com"]}}}
"""What a kind cannot be drawn without."""

FRAMING_POLICY = PAGE_POLICY.decode() + "; frame-src 'self'"
FRAMED_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'; base-uri 'none'; "
    "form-action 'none'; sandbox"
)
"""A mail has its styles in its elements; nothing of it runs, loads or leads anywhere."""


class Look(Struct, frozen=True, kw_only=True):
    """`key` is a webhook's id or a kind. Only the chosen one is drawn: `html` is a fragment for the style sheet
    `style`, `frame` the address of a document, `text` what is sent as it is."""

    key: str
    label: str
    chosen: bool = False
    html: Markup | None = None
    style: str = ""
    frame: str = ""
    text: str = ""
    problems: tuple[str, ...] = ()


async def looks_of(visit: Visit, endpoints: list[Json], rule: Json, event_id: str, chosen: str) -> list[Look]:
    """The endpoints that a rule leads to, and the kinds that it does not lead to; one of them drawn."""
    mine = [one for one in endpoints if one["id"] in rule["webhook_endpoint_ids"]][:MOST_LOOKS]
    found = [Look(key=one["id"], label=one["name"]) for one in mine]
    kinds = {family(one["provider_type"]) for one in mine}
    found += [Look(key=kind, label=label) for kind, label in STANDARD if kind not in kinds]
    at = next((place for place, one in enumerate(found) if one.key == chosen), 0)
    found[at] = await drawn(visit, found[at], event_id, rule["templates"])
    return found


async def look_of_delivery(visit: Visit, delivery: Json) -> Look:
    """As its event would be told there now, in the words of its rule, if that is still there."""
    templates = None
    if delivery["rule_id"].startswith("rul_"):
        try:
            templates = (await visit.api.get(f"/v1/alert-rules/{delivery['rule_id']}"))["templates"]
        except Refused as refused:
            if refused.status != NOT_FOUND:
                raise
    return await drawn(visit, Look(key=delivery["webhook_id"], label=""), delivery["event_id"], templates)


async def look_of_kind(visit: Visit, kind: str) -> Look:
    """A run that failed, as endpoints of this kind tell of it before anything is set."""
    return await drawn(visit, Look(key=kind, label=""), "", None)


def with_frames(response: Response) -> Response:
    """A page that may show a mail in a frame."""
    response.headers["content-security-policy"] = FRAMING_POLICY
    return response


def family(kind: str) -> str:
    return "slack" if kind == "slack_bot" else kind


async def drawn(visit: Visit, look: Look, event_id: str, templates: Json | None) -> Look:
    asked = subject(look.key, event_id, templates)
    try:
        made = await visit.api.look("/v1/webhooks/preview", asked)
    except Refused as refused:
        return msgspec.structs.replace(look, chosen=True, problems=(refused.detail,))
    is_sketch = "provider_type" in asked
    frame = html = None
    if made["html_kind"] == "document":
        given = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in asked.items()}
        frame = "/previews/document" + query(given)
    elif made["html"] is not None:
        html = Markup(made["html"])  # noqa: S704  # drawn by previews/, which escapes all that comes from outside
    return msgspec.structs.replace(
        look,
        chosen=True,
        html=html,
        style=f"previews/{made['provider_type']}.css" if html else "",
        frame=frame if frame and len(frame) <= MOST_ADDRESS else "",
        text="" if html or (frame and len(frame) <= MOST_ADDRESS) else text_of(made["body"]),
        # What a kind by itself lacks is no news: nobody has filled it in.
        problems=() if is_sketch else tuple(made["problems"]),
    )


def subject(key: str, event_id: str, templates: Json | None) -> Json:
    found: Json = {"webhook_id": key} if key.startswith("whk_") else {"provider_type": key} | SKETCHES.get(key, {})
    found |= {"event_id": event_id} if event_id else {"sample": "failed"}
    return found | ({"templates": templates} if templates else {})


def text_of(body: Any) -> str:
    return body if isinstance(body, str) else json.dumps(body, indent=2, ensure_ascii=False)


async def document_of(visit: Visit) -> str:
    """A mail's, for what the query asks. Raises NotFound where it is no document."""
    asked: Json = {
        name: visit.query(name) for name in ("webhook_id", "provider_type", "event_id", "sample") if visit.query(name)
    }
    for name in ("templates", "settings"):
        try:
            asked |= {name: msgspec.json.decode(given, type=dict[str, Any])} if (given := visit.query(name)) else {}
        except (msgspec.DecodeError, msgspec.ValidationError):
            raise Invalid(name, "something else", "a JSON object") from None
    made = await visit.api.look("/v1/webhooks/preview", asked)
    if made["html_kind"] != "document":
        raise NotFound("There is no document of this kind.")
    html: str = made["html"]
    return html


async def show_document(visit: Visit) -> Response:
    return HTMLResponse(await document_of(visit), headers={"content-security-policy": FRAMED_POLICY})


FRAMES = (Page("GET", "/previews/document", show_document, "developer"),)
"""What stands in a frame of a page, and is none by itself."""
