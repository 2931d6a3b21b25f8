"""One endpoint: how it is, its deliveries, rules and numbers, its settings; sending again what did not get through."""

import datetime as dt

from starlette.responses import Response

from tocsin.model.errors import Invalid, Refusal
from tocsin.web.dashboard import bulk
from tocsin.web.dashboard.api import Refused
from tocsin.web.dashboard.forms import local
from tocsin.web.dashboard.guides import guide_of
from tocsin.web.dashboard.message_preview import with_frames
from tocsin.web.dashboard.named import maker
from tocsin.web.dashboard.ownership import may_change
from tocsin.web.dashboard.settings_fields import PREFIX, fields_of, first_and_others, label_of, settings_of
from tocsin.web.dashboard.views.deliveries import address
from tocsin.web.dashboard.views.endpoint_new import Check, problem
from tocsin.web.dashboard.views.endpoints import Json, failed_tests_of, providers_of, rules_to, standing
from tocsin.web.dashboard.visit import Page, Undo, Visit
from tocsin.web.dashboard.wording import parsed, plural

RECOVERABLE = ("dead", "expired", "cancelled", "suppressed")
OVERLAPS = ((86_400, "a day"), (3600, "an hour"), (7 * 86_400, "7 days"), (0, "not at all"))
EDITED = ("name", "description", "enabled_events", "settings", "digest")
"""Of an endpoint, what the form of its settings changes, besides its address."""


async def page_of(visit: Visit, tab: str, endpoint: Json, http_status: int = 200, **values: object) -> Response:
    provider = (await providers_of(visit))[endpoint["provider_type"]]
    rules = await rules_to(visit, endpoint["id"])
    return await visit.page(
        f"pages/endpoint_{tab}.html",
        http_status,
        tab=tab,
        endpoint=endpoint,
        mine=may_change(visit, endpoint),
        provider=provider,
        guide=guide_of(endpoint["provider_type"]),
        standing=standing(endpoint, (await failed_tests_of(visit, [endpoint])).get(endpoint["id"])),
        rules=rules,
        **values,
    )


async def asked(visit: Visit) -> Json:
    found: Json = await visit.api.get(f"/v1/webhooks/{visit.path('id')}")
    return found


async def show(visit: Visit) -> Response:
    endpoint = await asked(visit)
    found = await visit.api.get(
        "/v1/deliveries",
        webhook_id=endpoint["id"],
        status=visit.query("status"),
        cursor=visit.query("cursor"),
        limit=25,
    )

    def only_here(name: str, value: str) -> str:
        return address({"endpoint": endpoint["id"], name: value})

    return with_frames(
        await page_of(visit, "deliveries", endpoint, found=found, status=visit.query("status"), add=only_here)
    )


async def show_rules(visit: Visit) -> Response:
    return await page_of(visit, "rules", await asked(visit))


# On and off, away and back.


async def enable(visit: Visit) -> Response:
    return await switch(visit, "enable", "disable", "on")


async def disable(visit: Visit) -> Response:
    return await switch(visit, "disable", "enable", "off")


async def switch(visit: Visit, do: str, undo: str, word: str) -> Response:
    id_ = visit.path("id")
    endpoint = await visit.api.post(f"/v1/webhooks/{id_}/{do}")
    where = local(visit.form.get("next", ""), f"/endpoints/{id_}")
    said = f"{endpoint['name']} is switched {word}."
    return visit.see(where, said, undo=Undo(f"/endpoints/{id_}/{undo}", {"next": where}))


async def delete(visit: Visit) -> Response:
    endpoint = await asked(visit)
    await visit.api.delete(f"/v1/webhooks/{endpoint['id']}")
    undo = Undo(f"/endpoints/{endpoint['id']}/restore")
    return visit.see("/endpoints", f"{endpoint['name']} is deleted.", undo=undo)


async def restore(visit: Visit) -> Response:
    endpoint = await visit.api.post(f"/v1/webhooks/{visit.path('id')}/restore")
    return visit.see(f"/endpoints/{endpoint['id']}", f"{endpoint['name']} is back.")


# Its settings.


async def show_settings(visit: Visit) -> Response:
    endpoint, tag = await visit.api.tagged(f"/v1/webhooks/{visit.path('id')}")
    return await settings_page(visit, endpoint, tag)


async def settings_page(
    visit: Visit, endpoint: Json, tag: str, check: Check | None = None, changed: tuple[str, ...] = ()
) -> Response:
    """`changed`: what somebody else changed while the form was open; saving again puts the form's words over it."""
    provider = (await providers_of(visit))[endpoint["provider_type"]]
    given = visit.form if visit.form else None
    fields = fields_of(provider["settings"], endpoint["settings"], given, visit.many)
    first, others = first_and_others(fields, guide_of(endpoint["provider_type"]).first)
    waiting = 0
    if may_change(visit, endpoint):
        waiting = await waiting_for(visit, endpoint["id"])
    return await page_of(
        visit,
        "settings",
        endpoint,
        412 if changed else 422 if check else 200,
        tag=tag,
        values=given or values_of(endpoint),
        first=first,
        others=others,
        check=check or Check(),
        changed=changed,
        waiting=waiting,
        maker=await maker(visit, endpoint["created_by"]),
        overlaps=OVERLAPS,
    )


def values_of(endpoint: Json) -> dict[str, str]:
    digest = endpoint["digest"] or {}
    return {
        "name": endpoint["name"],
        "description": endpoint["description"],
        "enabled_events": "\n".join(endpoint["enabled_events"]),
        "digest": digest.get("every", "day") if endpoint["digest"] is not None else "",
        "digest_at": digest.get("at", "09:00"),
        "digest_zone": digest.get("time_zone", "UTC"),
    }


async def waiting_for(visit: Visit, id_: str) -> int:
    """Messages that wait for it, which deleting it would cancel; 0 where the caller may not."""
    try:
        found = await visit.api.look("/v1/deliveries/cancel", {"webhook_id": id_, "dry_run": True})
    except Refused:
        return 0
    return int(found["count"])


async def save_settings(visit: Visit) -> Response:
    endpoint, tag = await visit.api.tagged(f"/v1/webhooks/{visit.path('id')}")
    provider = (await providers_of(visit))[endpoint["provider_type"]]
    try:
        given = patch_of(visit, endpoint, provider)
        await visit.api.patch(f"/v1/webhooks/{endpoint['id']}", given, tag=visit.form.get("tag", ""))
    except Refused as refusal:
        if refusal.status != 412:
            return await settings_page(visit, endpoint, visit.form.get("tag", tag), problem(refusal))
        words = differing(endpoint, visit) or ("what the form does not show",)
        return await settings_page(visit, endpoint, tag, changed=words)
    except Invalid as refusal:
        return await settings_page(visit, endpoint, visit.form.get("tag", tag), problem(refusal))
    return visit.see(f"/endpoints/{endpoint['id']}/settings", "Saved.")


def patch_of(visit: Visit, endpoint: Json, provider: Json) -> Json:
    """Raises Invalid."""
    form = visit.form
    found: Json = {
        "name": form.get("name", "").strip(),
        "description": form.get("description", "").strip(),
        "enabled_events": form.get("enabled_events", "").split(),
        "settings": settings_of(provider["settings"], form, visit.many, endpoint["settings"]),
        "digest": None,
    }
    if form.get("digest"):
        times = {"at": form.get("digest_at", "09:00"), "time_zone": form.get("digest_zone", "").strip() or "UTC"}
        found["digest"] = (endpoint["digest"] or {}) | {"every": form["digest"]} | times
    if form.get("webhook_url", "").strip():
        found["webhook_url"] = form["webhook_url"].strip()
    return found


def differing(endpoint: Json, visit: Visit) -> tuple[str, ...]:
    """What is there now, where the form says something else, in words."""
    now, form = values_of(endpoint), visit.form
    words = [f"{label_of(name)}: {now[name] or 'nothing'}" for name in now if now[name] != form.get(name, now[name])]
    provider_fields = [name.removeprefix(PREFIX) for name in form if name.startswith(PREFIX)]
    kept = endpoint["settings"]
    for name in provider_fields:
        if str(kept.get(name, "")) != form.get(PREFIX + name, "") and name in kept and not isinstance(kept[name], bool):
            words.append(f"{label_of(name)}: {kept[name]}")
    return tuple(words)


async def rotate(visit: Visit) -> Response:
    """The new secret is in this answer, this once."""
    endpoint = await asked(visit)
    overlap = visit.form.get("overlap_s", "86400")
    if not overlap.isdecimal():
        raise Invalid("overlap_s", repr(overlap[:20]), "a number of seconds")
    rotated = await visit.api.post(f"/v1/webhooks/{endpoint['id']}/rotate-secret", {"overlap_s": int(overlap)})
    return await page_of(visit, "secret", endpoint, rotated=rotated)


# Sending again what did not get through.


async def show_recover(visit: Visit) -> Response:
    """How many fit is asked before anybody can press the button."""
    endpoint = await asked(visit)
    params = visit.request.query_params
    return await recover_page(
        visit, endpoint, params.get("since", ""), params.get("until", ""), params.getlist("status")
    )


async def recover_page(
    visit: Visit, endpoint: Json, since: str, until: str, status: list[str], trouble: str = ""
) -> Response:
    since = since or local_time(outage_began(endpoint))
    status = [one for one in status if one in RECOVERABLE] or ["dead", "expired"]
    count = 0
    if not trouble:
        try:
            body = asked_for(since, until, status) | {"dry_run": True}
            count = (await visit.api.look(f"/v1/webhooks/{endpoint['id']}/recover", body))["count"]
        except Refusal as refusal:
            trouble = problem(refusal).words
    return await page_of(
        visit,
        "recover",
        endpoint,
        since=since,
        until=until,
        statuses=status,
        offered=RECOVERABLE,
        count=count,
        trouble=trouble,
        cli_=f"tocsin deliveries replay --webhook {endpoint['id']} --since {since}Z",
    )


def outage_began(endpoint: Json) -> str:
    """What was sent last before nothing got through any more; for one that never worked, when it was made."""
    return str(endpoint["last_used_at"] or endpoint["created_at"])


def local_time(text: str) -> str:
    """As a field of the type datetime-local has it, in UTC."""
    return parsed(text).strftime("%Y-%m-%dT%H:%M:%S")


def asked_for(since: str, until: str, status: list[str]) -> Json:
    """Raises Invalid."""
    found: Json = {"since": moment_of("since", since), "status": status}
    return found | ({"until": moment_of("until", until)} if until else {})


def moment_of(field: str, text: str) -> str:
    try:
        moment = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise Invalid(field, repr(text[:40]), "a time such as 2026-11-21T14:00 (UTC)") from None
    return moment.replace(tzinfo=moment.tzinfo or dt.UTC).isoformat()


async def recover(visit: Visit) -> Response:
    endpoint, form = await asked(visit), visit.form
    since, until, status = form.get("since", ""), form.get("until", ""), visit.many.get("status", [])
    body = asked_for(since, until, status) | {"expected": bulk.count_seen(visit, 0)}
    try:
        done = await visit.api.post(f"/v1/webhooks/{endpoint['id']}/recover", body)
    except Refused as refusal:
        if refusal.status != 409:
            raise
        return await recover_page(visit, endpoint, since, until, status)
    if form.get("enable") and not endpoint["is_active"]:
        await visit.api.post(f"/v1/webhooks/{endpoint['id']}/enable")
    said = f"{plural(done['replayed'], 'message is', 'messages are')} sent again."
    return visit.see(f"/endpoints/{endpoint['id']}", said)


ONE = "/endpoints/{id}"
PAGES = (
    Page("GET", ONE, show),
    Page("GET", f"{ONE}/rules", show_rules),
    Page("GET", f"{ONE}/settings", show_settings),
    Page("POST", f"{ONE}/settings", save_settings, "developer"),
    Page("POST", f"{ONE}/enable", enable, "developer"),
    Page("POST", f"{ONE}/disable", disable, "developer"),
    Page("POST", f"{ONE}/delete", delete, "developer"),
    Page("POST", f"{ONE}/restore", restore, "developer"),
    Page("POST", f"{ONE}/rotate", rotate, "developer"),
    Page("GET", f"{ONE}/recover", show_recover, "developer"),
    Page("POST", f"{ONE}/recover", recover, "developer"),
)
