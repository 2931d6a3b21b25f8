"""Addresses of Slack's incoming webhooks in a file of environment variables."""

import re

from tocsin.cli.importing.found import Found

LINE = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$")
SLACK = re.compile(r"https://hooks\.slack(?:-gov)?\.com/(services|workflows|triggers)/\S+")


def read(text: str) -> Found:
    """An endpoint for each address, and one rule that tells all of them of failures and recoveries."""
    found, names = Found(), []
    for number, line in enumerate(text.splitlines(), 1):
        match = LINE.match(line)
        if match is None:
            if line.strip() and not line.lstrip().startswith("#"):
                found.say(f"line {number}", "left", "no NAME=value")
            continue
        name, value = match[1], match[2].strip("\"'")
        address = SLACK.fullmatch(value)
        if address is None:
            found.say(name, "left", "no address of a Slack webhook")
            continue
        spoken = re.sub(r"^slack_?|_?(slack_?)?(webhook)?_?(url)?$", "", name.lower()).replace("_", "-") or "slack"
        kind = "slack" if address[1] == "services" else "slack_workflow"
        names.append(found.endpoint(name, kind, spoken, webhook_url=found.secret(name, value)))
    if names:
        found.rule(
            "all of them",
            "failures and recoveries",
            event_types=["run.failed", "run.succeeded"],
            webhook_endpoint_ids=names,
            changes={},
        )
    return found
