"""A new endpoint: pick what it is, fill in the form, see the first message, switch on the first rule."""

from typing import Any

from msgspec import Struct
from starlette.responses import Response

from tocsin.model.errors import Invalid, Refusal
from tocsin.web.dashboard.advice import Advice, advice
from tocsin.web.dashboard.api import Refused
from tocsin.web.dashboard.guides import guide_of
from tocsin.web.dashboard.kinds import speaker
from tocsin.web.dashboard.message_preview import look_of_kind, with_frames
from tocsin.web.dashboard.ownership import may_change
from tocsin.web.dashboard.settings_fields import PREFIX, fields_of, first_and_others, label_of, settings_of
from tocsin.web.dashboard.views.endpoints import Json, providers_of, rules_to
from tocsin.web.dashboard.visit import Page, Undo, Visit
from tocsin.web.dashboard.wording import part

MOST_USED = ("slack", "teams", "email", "webhook", "discord", "pagerduty", "slack_bot", "google_chat", "telegram")
"""These are offered first."""

PREVIEWED = 200
"""So many of the last events the first rules are tried on."""


class Check(Struct, frozen=True):
    """What is known of a form that is still being filled in. `field`: which one is meant."""

    tone: str = ""
    words: str = ""
    field: str = ""


class Starter(Struct, frozen=True):
    """A rule to begin with. `digest`: messages wait for one a week."""

    key: str
    name: str
    about: str
    rule: Json
    digest: bool = False


STARTERS = (
    Starter(
        "failed",
        "Failed production runs",
        "Runs that failed and have a label env that begins with prod, each once.",
        {"event_types": ["run.failed"], "labels": {"env": "prod*"}},
    ),
    Starter(
        "changes",
        "Everything that fails or recovers",
        "The first failure of each pipeline, then nothing until it recovers.",
        {"event_types": ["run.failed"], "changes": {}},
    ),
    Starter(
        "weekly",
        "Weekly digest",
        "One message on Monday at 9 (UTC) with how the runs ended; only what is critical comes at once.",
        {"event_types": ["run.failed", "run.succeeded", "run.warning", "run.cancelled"]},
        digest=True,
    ),
)


async def show_new(visit: Visit) -> Response:
    providers = await providers_of(visit)
    kind = visit.query("type")
    if kind in providers:
        name = await free_name(visit, providers[kind]["label"])
        return await form_page(visit, providers[kind], {"name": name})
    wanted = visit.query("q").strip().lower()
    first = [providers[one] for one in MOST_USED if one in providers]
    shown = [one for one in (*first, *providers.values()) if fits(one, wanted)]
    return await visit.page(
        "pages/endpoint_pick.html",
        providers=list({one["provider_type"]: one for one in shown}.values()),
        guide=guide_of,
    )


def fits(provider: Json, wanted: str) -> bool:
    text = f"{provider['label']} {provider['provider_type']} {provider['about']}".lower()
    return all(word in text for word in wanted.split())


async def free_name(visit: Visit, label: str) -> str:
    """`Slack`, or `Slack 2` where there is one of that name."""
    found = await visit.api.get("/v1/webhooks/names", q=label)
    taken = {one["name"] for one in found["items"]}
    names = [label, *(f"{label} {number}" for number in range(2, 100))]
    return next((name for name in names if name not in taken), label)


async def form_page(
    visit: Visit, provider: Json, values: dict[str, str], check: Check | None = None, http_status: int = 200
) -> Response:
    guide = guide_of(provider["provider_type"])
    given = values if visit.form else None
    first, others = first_and_others(fields_of(provider["settings"], {}, given, visit.many), guide.first)
    response = await visit.page(
        "pages/endpoint_form.html",
        http_status,
        provider=provider,
        look=await look_of_kind(visit, provider["provider_type"]),
        guide=guide,
        values=values,
        first=first,
        others=others,
        check=check or Check(),
    )
    return with_frames(response)


def given_of(provider: Json, visit: Visit) -> Json:
    """What the form says of a new endpoint. Raises Invalid."""
    form = visit.form
    found: Json = {
        "provider_type": provider["provider_type"],
        "name": form.get("name", "").strip(),
        "description": form.get("description", "").strip(),
        "settings": settings_of(provider["settings"], form, visit.many),
    }
    if provider["takes_address"]:
        found["webhook_url"] = form.get("webhook_url", "").strip()
    return found


async def picked(visit: Visit) -> Json:
    kind = visit.form.get("type", "")
    providers = await providers_of(visit)
    if kind not in providers:
        raise Invalid("type", repr(kind[:40]), f"one of {', '.join(providers)}")
    return providers[kind]


async def check(visit: Visit) -> Response:
    """The same page, with a word on what was filled in so far; nothing is saved."""
    provider = await picked(visit)
    return await form_page(visit, provider, dict(visit.form), await checked(visit, provider))


async def checked(visit: Visit, provider: Json) -> Check:
    try:
        given = given_of(provider, visit)
        if provider["takes_address"] and not given["webhook_url"]:
            return Check()
        asked = {name: given[name] for name in ("provider_type", "webhook_url", "settings") if name in given}
        found = await visit.api.post("/v1/webhooks/preview", asked | {"sample": "failed"})
    except Refusal as refusal:
        return problem(refusal)
    missing = [one for one in found["problems"] if "the field is required" not in one]
    if missing:
        return Check("bad", missing[0])
    if found["problems"]:
        return Check()
    return Check("ok", f"This is an address for {provider['label']}." if "webhook_url" in asked else "This fits.")


def problem(refusal: Refusal) -> Check:
    """In words for people, and the field that they are about."""
    if not isinstance(refusal, Refused | Invalid) or not refusal.field:
        return Check("bad", refusal.detail)
    name = refusal.field.removeprefix(PREFIX)
    found = "" if refusal.found in ("nothing", "") else f" This is {refusal.found}."
    label = "address" if name == "webhook_url" else label_of(name.partition("[")[0])
    return Check("bad", f"{label[0].upper()}{label[1:]}: expected {refusal.expected}.{found}", refusal.field)


async def create(visit: Visit) -> Response:
    """Saves it, sends a test, and says what came of that. One that signs shows its secret in this answer, this once."""
    provider = await picked(visit)
    try:
        body = given_of(provider, visit)
        made = await visit.api.post("/v1/webhooks", body, key=visit.once(body))
    except Refusal as refusal:
        return await form_page(visit, provider, dict(visit.form), problem(refusal), 422)
    test = await sent_test(visit, made["id"])
    if made.get("secret"):
        return await result_page(visit, made, test, secret=made["secret"])
    return visit.see(f"/endpoints/{made['id']}/tested?test={test['id']}")


async def sent_test(visit: Visit, id_: str) -> Any:
    return await visit.api.post(f"/v1/webhooks/{id_}/test")


async def send_again(visit: Visit) -> Response:
    id_ = visit.path("id")
    return visit.see(f"/endpoints/{id_}/tested?test={(await sent_test(visit, id_))['id']}")


async def show_tested(visit: Visit) -> Response:
    endpoint = await visit.api.get(f"/v1/webhooks/{visit.path('id')}")
    test = await visit.api.get(f"/v1/deliveries/{part(visit.query('test'))}") if visit.query("test") else None
    return await result_page(visit, endpoint, test)


async def result_page(visit: Visit, endpoint: Json, test: Json | None, secret: str = "") -> Response:
    """`seen`: whether they have seen the message: yes, no, or "" while they have not said."""
    providers = await providers_of(visit)
    provider = providers[endpoint["provider_type"]]
    seen = visit.query("seen")
    used = await rules_to(visit, endpoint["id"])
    starters = []
    if seen == "yes" and not used and visit.may("developer"):
        starters = [(one, await tried(visit, one, endpoint["id"])) for one in STARTERS]
    last = test["log"][-1] if test and test["log"] else None
    return await visit.page(
        "pages/endpoint_tested.html",
        endpoint=endpoint,
        provider=provider,
        guide=guide_of(provider["provider_type"]),
        test=test,
        took_s=last["duration_ms"] / 1000 if last else None,
        mine=may_change(visit, endpoint),
        advice=why_not(speaker(provider["provider_type"]), test) if test else None,
        seen=seen,
        starters=starters,
        used=used,
        secret=secret,
    )


def why_not(label: str, test: Json) -> Advice:
    return advice(label, test["error_message"] or test["reason"])


async def tried(visit: Visit, starter: Starter, endpoint_id: str) -> Json:
    """What the rule would have made of the last events."""
    body = {"name": starter.name, "webhook_endpoint_ids": [endpoint_id], "last": PREVIEWED} | starter.rule
    found: Json = await visit.api.look("/v1/alert-rules/preview", body)
    return found


async def start(visit: Visit) -> Response:
    """Switches one of the first rules on."""
    id_, key = visit.path("id"), visit.form.get("starter", "")
    starter = next((one for one in STARTERS if one.key == key), None)
    if starter is None:
        raise Invalid("starter", repr(key[:40]), f"one of {', '.join(one.key for one in STARTERS)}")
    if starter.digest:
        await visit.api.patch(f"/v1/webhooks/{id_}", {"digest": {"every": "week", "at": "09:00", "weekday": 0}})
    rule = await visit.api.post("/v1/alert-rules", {"name": starter.name, "webhook_endpoint_ids": [id_]} | starter.rule)
    undo = Undo(f"/endpoints/{id_}/unstart", {"rule": rule["id"], "digest": "yes" if starter.digest else ""})
    return visit.see(f"/endpoints/{id_}/rules", f"“{starter.name}” is on.", undo=undo)


async def unstart(visit: Visit) -> Response:
    id_ = visit.path("id")
    await visit.api.delete(f"/v1/alert-rules/{visit.form.get('rule', '')}")
    if visit.form.get("digest"):
        await visit.api.patch(f"/v1/webhooks/{id_}", {"digest": None})
    return visit.see(f"/endpoints/{id_}/rules", "The rule is gone again.")


PAGES = (
    Page("GET", "/endpoints/new", show_new, "developer"),
    Page("POST", "/endpoints/new", create, "developer"),
    Page("POST", "/endpoints/check", check, "developer"),
    Page("POST", "/endpoints/{id}/test", send_again, "developer"),
    Page("GET", "/endpoints/{id}/tested", show_tested, "developer"),
    Page("POST", "/endpoints/{id}/start", start, "developer"),
    Page("POST", "/endpoints/{id}/unstart", unstart, "developer"),
)
