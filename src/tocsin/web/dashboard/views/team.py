"""Members and their roles; tokens, which are shown once, when they are made."""

from typing import Any

from starlette.responses import Response

from tocsin.model.access import ROLES, SCOPES, SCOPES_OF
from tocsin.web.dashboard.api import Refused
from tocsin.web.dashboard.named import called
from tocsin.web.dashboard.visit import Page, Undo, Visit
from tocsin.web.dashboard.wording import part

DAY_S = 86_400
LIFETIMES = (("30", "30 days"), ("90", "90 days"), ("365", "a year"), ("", "until it is revoked"))
MEANINGS = {
    "ingest": "send events",
    "read": "look at everything",
    "write": "change things",
    "admin": "members, secrets, audit",
}
MOST_PAGES = 5


async def show(visit: Visit) -> Response:
    return await team_page(visit)


async def team_page(visit: Visit, refused: Refused | None = None, about: str = "") -> Response:
    members: dict[str, Any] = {"items": [], "next": None}
    if visit.may("admin"):
        members = await visit.api.get("/v1/members", limit=100, cursor=visit.query("members"))
    tokens = await visit.api.get("/v1/tokens", limit=100, cursor=visit.query("cursor"))
    shows_ended = visit.query("ended") == "yes"
    return await visit.page(
        "pages/team.html",
        refused.status if refused else 200,
        members=members,
        tokens=tokens,
        makers=await called(visit, (one["created_by"] for one in tokens["items"])),
        shown=[one for one in tokens["items"] if shows_ended or one["revoked_at"] is None],
        ended=sum(one["revoked_at"] is not None for one in tokens["items"]),
        shows_ended=shows_ended,
        roles=[role for role in ROLES if visit.may(role)],
        scopes={scope: MEANINGS[scope] for scope in SCOPES if scope in SCOPES_OF[visit.role]},
        lifetimes=LIFETIMES,
        refused=refused,
        about=about,
        given=visit.form,
    )


# Members.


async def invite(visit: Visit) -> Response:
    """Adds them, and shows the link with which they set a password; once."""
    form = visit.form
    email = form.get("email", "").strip()
    user_id = form.get("user_id", "").strip() or email
    body = {"user_id": user_id, "role": form.get("role", ""), "email": email, "name": form.get("name", "").strip()}
    key = form.get("once", "")
    try:
        await visit.api.post("/v1/members", body, key=f"{key}-member" if key else "")
    except Refused as refused:
        return await team_page(visit, refused, "member")
    return await link_page(visit, user_id, f"{email} is a member now.", key)


async def give_link(visit: Visit) -> Response:
    return await link_page(visit, visit.path("user"), "A new sign-in link.", visit.form.get("once", ""))


async def link_page(visit: Visit, user_id: str, said: str, key: str) -> Response:
    try:
        made = await visit.api.post(f"/v1/members/{user_id}/sign-in-link", {}, key=f"{key}-link" if key else "")
    except Refused as refused:
        if refused.status not in (400, 403, 409):
            raise
        return visit.see(f"/team/members/{part(user_id)}", f"No link: {refused.detail}", tone="bad")
    return await visit.page(
        "pages/shown_once.html",
        back=("/team", "Team & tokens"),
        about=said,
        what="Their sign-in link, shown this once",
        text=f"It works once. Whoever has it sets the password: hand it to {user_id} alone.",
        until=made["expires_at"],
        value=made["link"],
    )


async def member(visit: Visit) -> Response:
    return await member_page(visit)


async def member_page(visit: Visit, refused: Refused | None = None) -> Response:
    user_id = visit.path("user")
    found, tag = await visit.api.tagged(f"/v1/members/{user_id}")
    return await visit.page(
        "pages/member.html",
        refused.status if refused else 200,
        member=found,
        tag=tag,
        tokens=await tokens_of(visit, user_id),
        did=(await visit.api.get("/v1/audit", actor=user_id, limit=10))["items"],
        roles=list(ROLES),
        refused=refused,
    )


async def tokens_of(visit: Visit, user_id: str) -> list[dict[str, Any]]:
    """Their tokens that hold, of a few hundred."""
    found: list[dict[str, Any]] = []
    cursor = ""
    for _ in range(MOST_PAGES):
        page = await visit.api.get("/v1/tokens", limit=100, user_id=user_id, cursor=cursor)
        found += [one for one in page["items"] if one["revoked_at"] is None]
        cursor = page["next"]
        if not cursor:
            break
    return found


async def change(visit: Visit) -> Response:
    form = visit.form
    user_id, role, before = visit.path("user"), form.get("role", ""), form.get("before", "")
    body = {name: form[name].strip() for name in ("role", "name") if name in form}
    try:
        await visit.api.patch(f"/v1/members/{user_id}", body, tag=form.get("tag", ""))
    except Refused as refused:
        return await member_page(visit, refused)
    where = f"/team/members/{part(user_id)}"
    if role == before or before not in ROLES:
        return visit.see(where, "Saved.")
    return visit.see(where, f"Saved: {role} now.", undo=Undo(where, {"role": before}))


async def remove(visit: Visit) -> Response:
    user_id = visit.path("user")
    try:
        await visit.api.delete(f"/v1/members/{user_id}", tag=visit.form.get("tag", ""))
    except Refused as refused:
        return await member_page(visit, refused)
    return visit.see("/team", f"{user_id} was removed, and their tokens ended.")


# Tokens.


async def make_token(visit: Visit) -> Response:
    form = visit.form
    body: dict[str, Any] = {
        "name": form.get("name", "").strip(),
        "role": form.get("role", ""),
        "scopes": visit.many.get("scope", []),
    }
    if days := form.get("days", ""):
        body["expires_in_s"] = int(days) * DAY_S if days.isdecimal() else days
    if form.get("whose") == "mine" or not visit.may("admin"):
        body["user_id"] = visit.signed.session.user_id
    try:
        made = await visit.api.post("/v1/tokens", body, key=form.get("once", ""))
    except Refused as refused:
        return await team_page(visit, refused, "token")
    return await token_page(visit, made, "This is your new token.")


async def rotate(visit: Visit) -> Response:
    overlap_s = 0 if visit.form.get("overlap") == "none" else DAY_S
    made = await visit.api.post(
        f"/v1/tokens/{visit.path('id')}/rotate", {"overlap_s": overlap_s}, key=visit.form.get("once", "")
    )
    said = "The old one holds no more." if overlap_s == 0 else "The old one holds for another day."
    return await token_page(visit, made, f"This is the new token. {said}")


async def token_page(visit: Visit, made: dict[str, Any], about: str) -> Response:
    base = visit.app.settings.public_url or str(visit.request.base_url)
    return await visit.page("pages/token_made.html", made=made, about=about, base=base.rstrip("/"))


async def revoke(visit: Visit) -> Response:
    await visit.api.delete(f"/v1/tokens/{visit.path('id')}")
    return visit.see("/team#tokens", f"The token {visit.form.get('name') or visit.path('id')} holds no more.")


PAGES: tuple[Page, ...] = (
    Page("GET", "/team", show),
    Page("POST", "/team/members", invite, "admin"),
    Page("GET", "/team/members/{user:path}", member, "admin"),
    Page("POST", "/team/members/{user:path}", change, "admin"),
    Page("POST", "/team/sign-in-link/{user:path}", give_link, "admin"),
    Page("POST", "/team/remove/{user:path}", remove, "admin"),
    Page("POST", "/team/tokens", make_token),
    Page("POST", "/team/tokens/{id}/rotate", rotate),
    Page("POST", "/team/tokens/{id}/revoke", revoke),
)
