"""Checks of Healthchecks, as its API lists them (GET /api/v3/checks/): https://healthchecks.io/docs/api/"""

import json
import re
from typing import Any

from tocsin.cli.importing.found import Found
from tocsin.model.yaml_text import Wrong


def read(text: str) -> Found:
    """A rule for each check, which says when its job is due; where it tells is said by hand, for the API has no
    addresses. Raises Wrong."""
    try:
        content = json.loads(text)
    except ValueError as error:
        raise Wrong("checks", 0, "", f"no JSON: {error}") from None
    checks = content.get("checks") if isinstance(content, dict) else content
    if not isinstance(checks, list):
        raise Wrong("checks", 0, "checks", "expected the list that GET /api/v3/checks/ answers with")
    found = Found()
    found.endpoint("channels", "slack", "on-call", webhook_url=found.secret("ON_CALL_URL", ""))
    found.say("channels", "left", "the API tells no addresses: say in on-call where alerts go, or add endpoints")
    for number, check in enumerate(checks):
        if isinstance(check, dict):
            one(found, f"checks[{number}]", check)
    return found


def one(found: Found, where: str, check: dict[str, Any]) -> None:
    name = str(check.get("name") or check.get("slug") or check.get("unique_key") or where)
    where = f"check {name}"
    pipeline = str(check.get("slug") or re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "check")
    grace = int(check.get("grace") or 3600)
    schedule: dict[str, Any] = {"start_within_s": grace}
    cron = str(check.get("schedule") or "")
    if cron and len(cron.split()) == 5:
        schedule |= {"cron": cron, "time_zone": str(check.get("tz") or "UTC")}
    elif cron:
        found.say(where, "left", f"{cron}: OnCalendar is not read; write it as cron, or as every_s")
        return
    else:
        schedule["every_s"] = int(check.get("timeout") or 86400)
    tags = [tag for tag in str(check.get("tags") or "").split() if tag]
    found.rule(
        where,
        name,
        event_types=["run.failed", "run.missed"],
        pipelines=[pipeline],
        webhook_endpoint_ids=["on-call"],
        schedule=schedule,
        changes={},
        is_active=check.get("status") != "paused",
    )
    if tags:
        found.say(where, "left", f"tags {', '.join(tags)}: pings carry no labels; choose by pipeline")
    if check.get("methods") == "POST":
        found.say(where, "changed", "a GET counts as a ping as well")
    if any(check.get(key) for key in ("subject", "subject_fail", "start_kw", "success_kw", "failure_kw")):
        found.say(where, "left", "what words in a mail mean: send pings over HTTP")
    found.say(where, "changed", f"its address becomes {{TOCSIN}}/ping/KEY/{pipeline}: `tocsin sources add ping`")
