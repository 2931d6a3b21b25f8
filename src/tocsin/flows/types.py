"""Which of Tocsin's kinds of tasks a type means.

A type has had several names over time, so what counts is its last word and which family it is from: all of
`io.kestra.plugin.notifications.slack.SlackExecution`, `io.kestra.plugin.slack.SlackExecution` and
`io.kestra.plugin.slack.notifications.SlackExecution` are `slack.execution`.
"""

FAMILY = "io.kestra."

TASKS: dict[str, tuple[tuple[str, str], ...]] = {
    "log": (("", "log"),),
    "return": (("", "return"),),
    "fail": (("", "fail"),),
    "if": (("", "if"),),
    "switch": (("", "switch"),),
    "sequential": (("", "sequential"),),
    "allowfailure": (("", "allow_failure"),),
    "parallel": (("", "parallel"),),
    "foreach": (("", "for_each"),),
    "eachsequential": (("", "each_sequential"),),
    "eachparallel": (("", "each_parallel"),),
    "workingdirectory": (("", "sequential"),),
    "pause": (("", "pause"),),
    "sleep": (("", "sleep"),),
    "assert": (("", "assert"),),
    "labels": (("", "labels"),),
    "outputvalues": (("", "output_values"),),
    "subflow": (("", "subflow"),),
    "flow": ((".tasks.flows.", "subflow"),),
    "request": ((".http.", "http.request"),),
    "script": ((".scripts.python.", "python.script"), (".scripts.shell.", "shell.script")),
    "commands": ((".scripts.python.", "shell.commands"), (".scripts.shell.", "shell.commands")),
    "bash": ((".scripts.", "shell.commands"),),
    "slackincomingwebhook": ((".slack.", "slack.send"),),
    "slackexecution": ((".slack.", "slack.execution"),),
    "teamsincomingwebhook": ((".teams.", "teams.send"),),
    "teamsexecution": ((".teams.", "teams.execution"),),
    "discordincomingwebhook": ((".discord.", "discord.send"),),
    "discordexecution": ((".discord.", "discord.execution"),),
    "mailsend": ((".", "mail.send"),),
    "mailexecution": ((".", "mail.execution"),),
    "sendgridmailsend": ((".sendgrid.", "sendgrid.send"),),
    "sendgridmailexecution": ((".sendgrid.", "sendgrid.execution"),),
    "pagerdutyalert": ((".pagerduty.", "pagerduty.send"),),
    "pagerdutyexecution": ((".pagerduty.", "pagerduty.execution"),),
    "opsgeniealert": ((".opsgenie.", "opsgenie.send"),),
    "opsgenieexecution": ((".opsgenie.", "opsgenie.execution"),),
    "googlechatincomingwebhook": ((".", "google_chat.send"),),
    "googlechatexecution": ((".", "google_chat.execution"),),
    "telegramsend": ((".telegram.", "telegram.send"),),
    "telegramexecution": ((".telegram.", "telegram.execution"),),
}
"""By the type's last word in small letters: the family it must be of, and the kind."""

TRIGGERS: dict[str, str] = {"flow": "flow", "schedule": "schedule"}


def task_kind(type_: str) -> str:
    """ "" for a type that Tocsin does not run."""
    if not type_.lower().startswith(FAMILY):
        return ""
    last = type_.rpartition(".")[2].lower()
    return next((kind for family, kind in TASKS.get(last, ()) if family in type_.lower()), "")


def trigger_kind(type_: str) -> str:
    """ "" for a trigger that Tocsin does not watch."""
    lower = type_.lower()
    if not lower.startswith(FAMILY) or ".trigger" not in lower:
        return ""
    return TRIGGERS.get(lower.rpartition(".")[2], "")
