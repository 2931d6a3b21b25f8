"""Microsoft Teams, through a workflow: "Post to a channel when a webhook request is received".

Setup:   https://support.microsoft.com/office/create-incoming-webhooks-with-workflows-for-microsoft-teams-8ae491c7-0394-4861-ba59-055e33f75498
Errors:  those of Azure Logic Apps, which runs the workflows: {"error": {"code": …, "message": …}}

A workflow answers 202 before anything is posted. What fails after that stands in its run history alone, so the card is
kept valid and small here. There is no id to edit or to answer.
"""

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from tocsin.model.wire import Accepted, HttpReply, HttpRequest, Outcome, Rejected, Reply, Retry, Scope, Sending
from tocsin.provider_kit import given
from tocsin.provider_kit.adaptive_card import MAX_BYTES, PEOPLE, Look, Person, envelope
from tocsin.provider_kit.classify import by_status, said
from tocsin.provider_kit.provider import Provider, refuse_address
from tocsin.provider_kit.text import masked

ADDRESS_CHARS = 2048
ADDRESS = re.compile(
    r"""https://[A-Za-z0-9.-]+\.
    (?: api\.powerplatform\.(?:com|us)                              # Power Automate today
      | api\.(?:(?:gov|high|mil)\.)?powerplatform\.microsoft\.us    # the US government's clouds
      | api\.powerplatform\.partner\.microsoftonline\.cn            # China
      | logic\.azure\.(?:com|us|cn)                                 # Azure Logic Apps
    )(?::443)?
    /(?:[^?\s]*/)?workflows/[A-Za-z0-9]+/triggers/[^/?\s]+/paths/invoke/?
    \?(?=\S*\bapi-version=)(?=\S*\bsig=)\S+""",
    re.VERBOSE | re.ASCII,
)
"""As Power Automate hands them out. The signature covers them, so they are kept to the byte, `:443` and query too."""
RETIRED = re.compile(r"https://(?:outlook\.office(?:365)?\.com/webhook|[A-Za-z0-9-]+\.webhook\.office\.com)/")
"""Office 365 connectors: https://devblogs.microsoft.com/microsoft365dev/retirement-of-office-365-connectors-within-microsoft-teams/"""

EXPECTED = "https://….environment.api.powerplatform.com/…/workflows/…/triggers/manual/paths/invoke?api-version=…&sig=…"
MIGRATE = (
    "the address of a Teams workflow, since Microsoft has retired the connectors: in the channel open ••• → Workflows, "
    "choose “Post to a channel when a webhook request is received”, and copy the address that it shows"
)

OFF = (
    "the workflow is switched off: turn it on in Power Automate, and add a co-owner, for it stops when its owner leaves"
)
GONE = (
    "the workflow is gone, as happens when the person who owned it leaves, or its address is one of those on "
    "logic.azure.com that stopped in November 2025: copy its new address from Power Automate, and add a co-owner"
)
CLOSED = (
    "the address lost its signature, or the trigger admits people of the tenant only: copy the address again, and set "
    "“Who can trigger the flow” to Anyone"
)

CODES: dict[str, tuple[Scope, str]] = {
    "MissingApiVersionParameter": ("endpoint", "the address lost its query: copy the whole of it again"),
    "DirectApiAuthorizationRequired": ("credential", CLOSED),
    "AuthorizationFailed": ("credential", CLOSED),
    "WorkflowNotFound": ("endpoint", GONE),
    "WorkflowTriggerNotFound": ("endpoint", GONE),
    "WorkflowTriggerIsNotEnabled": ("endpoint", OFF),
    "TriggerInputSchemaMismatch": ("message", "the trigger's schema is not that of the Teams template"),
    "InvalidRequestContent": ("message", "the workflow could not read the card"),
}
"""What the documented codes mean, whatever status they come with, in words that one can act on."""
STATUSES = {401: CLOSED, 403: CLOSED, 404: GONE, 410: GONE}

_CONNECTOR_SAID = re.compile(rb"Microsoft Teams endpoint returned HTTP error (\d{3})")
_PAGE = re.compile(rb"\s*<(?:!doctype|html)", re.IGNORECASE)


class TeamsSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`mention_on_failure`: whom to mention when something fails or is rolled back; Teams knows no mention of a whole
    channel. `theme_color`: six hexadecimal digits; cards have styles instead of colours, so the style nearest to it is
    taken, for messages that tell of no trouble. `full_width`: use the channel's whole width. `include_action_buttons`:
    links as buttons, and one that unfolds the stages. Without `use_rich_formatting` there are words and links alone."""

    use_rich_formatting: bool = True
    mention_on_failure: Annotated[tuple[Person, ...], Meta(max_length=PEOPLE)] = ()
    theme_color: Annotated[str, Meta(pattern=r"^(?:#?[0-9A-Fa-f]{6})?\Z", description="`2EB67D` or `#2EB67D`")] = ""
    include_action_buttons: bool = True
    full_width: bool = True


def check_address(address: str) -> str:
    """A workflow's address. Copied from a page's source it has `&amp;` for `&`, which is put right."""
    if RETIRED.match(address):
        raise refuse_address(f"a connector's address ({masked(address)})", MIGRATE)
    repaired = address.replace("&amp;", "&")
    if len(repaired) > ADDRESS_CHARS or not repaired.isascii() or not ADDRESS.fullmatch(repaired):
        raise refuse_address(masked(address), EXPECTED)
    return repaired


def render(sending: Sending) -> HttpRequest:
    """The message as an Adaptive Card: a workflow takes nothing else, so plain words are a card as well."""
    settings: TeamsSettings = sending.target.settings
    look = Look(
        rich=settings.use_rich_formatting and not sending.plain,
        people=() if sending.quiet else settings.mention_on_failure or (),
        theme_color=settings.theme_color,
        with_links=settings.include_action_buttons,
        full_width=settings.full_width,
    )
    headers = (("content-type", "application/json; charset=utf-8"),)
    return HttpRequest("POST", sending.target.address, envelope(sending.told, look), headers)


def classify(reply: Reply) -> Outcome:
    """2xx is accepted, and no more is known. A code, and what a connector writes into a 200, count for more."""
    if not isinstance(reply, HttpReply):
        return by_status(reply)
    if code := error_code(reply.body):
        scope, advice = CODES[code]
        return Rejected(f"{code}: {advice}", scope)
    if found := _CONNECTOR_SAID.search(reply.body[:1000]):
        reply = HttpReply(int(found[1]), reply.headers, reply.body)
    outcome = by_status(reply)
    if isinstance(outcome, Rejected) and reply.status in STATUSES:
        return Rejected(f"{said(reply)} ({STATUSES[reply.status]})", outcome.scope)
    if not 200 <= reply.status < 300:
        return outcome
    if b"Connector configuration not found" in reply.body[:1000]:
        return Rejected(f"{said(reply)} ({GONE})", "endpoint")
    if _PAGE.match(reply.body):
        return Retry(f"a page in between answered, not the workflow: {said(reply)}")
    return Accepted("accepted by the workflow; Teams does not say whether it was posted")


def error_code(body: bytes) -> str:
    """The code of an error that is in CODES, or ""."""
    try:
        found: Any = msgspec.json.decode(body[:100_000])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    error = found.get("error") if isinstance(found, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) and code in CODES else ""


PROVIDER = Provider(
    kind="teams",
    label="Microsoft Teams",
    about="Posts cards to a channel or chat through a Teams workflow.",
    settings_type=TeamsSettings,
    check_address=check_address,
    render=render,
    classify=classify,
    given=given.post,
    rate_per_s=2.0,
    timeout_s=10.0,
    max_age_s=6 * 3600,
    max_body_bytes=MAX_BYTES,
)
