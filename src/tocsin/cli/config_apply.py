"""Making the changes of a plan, one after the other."""

from collections.abc import Iterator
from urllib.parse import quote

from tocsin.cli.client import Refused
from tocsin.cli.config_form import Json
from tocsin.cli.config_plan import Ask, Change, Plan

ROUTES = {"endpoints": "/v1/webhooks", "rules": "/v1/alert-rules", "silences": "/v1/silences"}


def apply(ask: Ask, plan: Plan) -> Iterator[Change]:
    """Each change, once it is made. Raises Wrong, with the line, for what the server refuses; what was made stays."""
    ids = dict(plan.ids)
    for change in plan.changes:
        try:
            made(ask, change, ids)
        except Refused as refused:
            if change.entry is None or not refused.field:
                raise
            raise change.entry.about(refused.field, refused.said) from None
        yield change


def made(ask: Ask, change: Change, ids: dict[str, str]) -> None:
    if change.section == "pipelines":
        path = f"/v1/pipelines/{quote(change.name, safe='')}/notifications"
        ask(
            "DELETE" if change.action == "delete" else "PUT",
            path,
            None if change.action == "delete" else known(change, ids),
        )
    elif change.section == "preferences":
        ask("PUT", f"/v1/config/preferences/{quote(change.name, safe='')}", change.body)
    elif change.action == "delete":
        ask("DELETE", f"{ROUTES[change.section]}/{change.id}", None)
    elif change.action == "create":
        answer = ask("POST", ROUTES[change.section], known(change, ids))
        if change.section == "endpoints":
            ids[change.name] = answer["id"]
    else:
        path, body = f"{ROUTES[change.section]}/{change.id}", known(change, ids)
        if "secret" in body:
            ask("POST", f"{path}/rotate-secret", {"secret": body.pop("secret")})
        if body:
            ask("PATCH", path, body)


def known(change: Change, ids: dict[str, str]) -> Json:
    """The body, with the ids of endpoints in the place of their names."""
    body = dict(change.body)
    if "webhook_endpoint_ids" in body:
        body["webhook_endpoint_ids"] = [ids.get(name, name) for name in body["webhook_endpoint_ids"]]
    if change.section == "pipelines":
        body["notifications"] = [
            one | {"webhook_id": ids.get(one["webhook_id"], one["webhook_id"])} for one in body["notifications"]
        ]
    return body
