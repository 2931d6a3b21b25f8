"""What somebody wants to hear of, and where; and their inbox."""

from typing import Any

from starlette.responses import Response

from tocsin.model.preference import CATEGORIES, CHANNELS, CRITICAL
from tocsin.web.dashboard.api import Refused
from tocsin.web.dashboard.visit import Page, Visit

PREFERENCES = "/v1/preferences"
NAMES = {"slack": "Slack", "email": "Email"}
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MOST_HOURS = 20


async def show(visit: Visit) -> Response:
    wants, tag = await visit.api.tagged(PREFERENCES)
    return await preferences_page(visit, wants, tag)


async def preferences_page(
    visit: Visit, wants: dict[str, Any], tag: str, refused: Refused | None = None, status: int = 200
) -> Response:
    return await visit.page(
        "pages/notifications.html",
        status,
        wants=wants,
        tag=tag,
        refused=refused,
        channels=NAMES,
        categories=CATEGORIES,
        days=DAYS,
        unread=(await visit.api.get("/v1/inbox", limit=1))["unread"],
    )


async def save(visit: Visit) -> Response:
    wanted = wanted_of(visit)
    try:
        await visit.api.put(PREFERENCES, wanted, tag=visit.form.get("tag", ""))
    except Refused as refused:
        if refused.status not in (400, 412):  # changed elsewhere meanwhile: what was meant is shown, to be saved again
            raise
        known, tag = await visit.api.tagged(PREFERENCES)
        return await preferences_page(visit, known | wanted, tag, refused, refused.status)
    return visit.see("/notifications", "Saved. It holds from now on.")


def wanted_of(visit: Visit) -> dict[str, Any]:
    """The whole form, as the API takes it: what is not ticked is off."""
    form, on = visit.form, set(visit.many.get("cell", []))
    cells = {name: {channel: f"{name}.{channel}" in on for channel in CHANNELS} for name in CATEGORIES}
    return {
        **{f"{channel}_enabled": channel in on for channel in CHANNELS},
        "slack_channel": form.get("slack_channel", "").strip() or None,
        "email_address": form.get("email_address", "").strip() or None,
        "categories": cells | {CRITICAL: {"slack": True, "email": True}},
        "quiet_hours": quiet_hours_of(visit),
        "digest": digest_of(form),
    }


def quiet_hours_of(visit: Visit) -> list[dict[str, Any]]:
    """The rows that are filled in; one without a start and an end is not wanted."""
    form, found = visit.form, []
    for number in range(MOST_HOURS + 1):
        start, end = form.get(f"start-{number}", ""), form.get(f"end-{number}", "")
        if start or end:
            weekdays = sorted(int(day) for day in visit.many.get(f"day-{number}", []) if day in "0123456")
            zone = form.get(f"zone-{number}", "").strip() or "UTC"
            every_day = len(weekdays) == len(DAYS)
            found.append({"start": start, "end": end, "weekdays": [] if every_day else weekdays, "time_zone": zone})
    return found


def digest_of(form: Any) -> dict[str, Any] | None:
    every = form.get("digest", "")
    if every not in ("day", "week"):
        return None
    weekday, zone = form.get("digest_weekday", "0"), form.get("digest_zone", "").strip() or "UTC"
    at = form.get("digest_at", "") or "09:00"
    return {"every": every, "at": at, "weekday": int(weekday) if weekday.isdecimal() else 0, "time_zone": zone}


async def test(visit: Visit) -> Response:
    channel = visit.form.get("channel", "")
    found = await visit.api.post("/api/v1/notifications/test", {"channel": channel})
    return visit.see("/notifications", found["message"], tone="ok" if found["success"] else "bad")


# The inbox.


async def inbox(visit: Visit) -> Response:
    shows_all = visit.query("show") == "all"
    found = await visit.api.get("/v1/inbox", unread="" if shows_all else "true", cursor=visit.query("cursor"), limit=50)
    return await visit.page("pages/inbox.html", found=found, shows_all=shows_all)


def back(visit: Visit) -> str:
    return "/inbox?show=all" if visit.form.get("show") == "all" else "/inbox"


async def read(visit: Visit) -> Response:
    await visit.api.post(f"/v1/inbox/{visit.path('id')}/read")
    return visit.see(back(visit))


async def read_all(visit: Visit) -> Response:
    count = (await visit.api.post("/v1/inbox/read"))["read"]
    return visit.see(back(visit), f"{count} marked as read." if count != 1 else "1 marked as read.")


PAGES: tuple[Page, ...] = (
    Page("GET", "/notifications", show),
    Page("POST", "/notifications", save),
    Page("POST", "/notifications/test", test, "developer"),
    Page("GET", "/inbox", inbox),
    Page("POST", "/inbox/read", read_all),
    Page("POST", "/inbox/{id}/read", read),
)
