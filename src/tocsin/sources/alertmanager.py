"""Prometheus Alertmanager's webhook, version 4: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config

An event for each alert. What fires and what resolves have the alert's fingerprint in common: `data.alert_key`.
"""

from typing import Any

from tocsin.model.errors import Invalid
from tocsin.sources.draft import Draft
from tocsin.sources.fitting import a_list, at, draft, time_ms, words
from tocsin.sources.incoming import Incoming, Source, Taken, id_of, json_object

SEVERITY = {
    "critical": "critical", "page": "critical", "emergency": "critical", "error": "error", "severe": "error",
    "high": "error", "major": "error", "warning": "warning", "warn": "warning", "minor": "warning", "info": "info",
    "information": "info", "none": "info", "low": "info",
}  # fmt: skip


def read(incoming: Incoming) -> Taken:
    whole = json_object(incoming.body)
    if not isinstance(whole.get("alerts"), list):
        raise Invalid("alerts", "nothing", "a list of alerts")
    found = [draft_of(whole, alert) for alert in a_list(whole, "alerts") if isinstance(alert, dict)]
    return Taken(tuple(found), "" if found else "there is no alert in it")


def draft_of(whole: dict[str, Any], alert: dict[str, Any]) -> Draft:
    given = alert.get("labels")
    labels: dict[str, Any] = given if isinstance(given, dict) else {}
    name = words(labels, "alertname") or "alert"
    key = words(alert, "fingerprint") or id_of(*(f"{label}={labels[label]}" for label in sorted(labels)))
    resolved = (words(alert, "status") or words(whole, "status")) == "resolved"
    began, ended = alert.get("startsAt"), alert.get("endsAt")
    notes = alert.get("annotations")
    said = words(notes, "description") or words(notes, "message")
    return draft(
        source="alertmanager",
        type="alert.resolved" if resolved else "alert.firing",
        id=id_of(key, began, "resolved" if resolved else "firing", ended if resolved else ""),
        pipeline=words(labels, "pipeline") or words(labels, "job") or name,
        time=ended if resolved and time_ms(ended) else began,
        severity="info" if resolved else SEVERITY.get(words(labels, "severity").lower(), "error"),
        title=words(notes, "summary") or name,
        message=said,
        labels=labels,
        data={
            "alert_key": key,
            "alert": name,
            "group": words(whole, "groupKey"),
            "receiver": words(whole, "receiver"),
            "began": began,
            "value": words(notes, "value"),
        },
        links={
            "run": alert.get("generatorURL"),
            "runbook": at(notes, "runbook_url") or at(notes, "runbook"),
            "dashboard": at(notes, "dashboard_url") or at(notes, "dashboard") or whole.get("externalURL"),
        },
    )


SOURCE = Source(kind="alertmanager", label="Prometheus Alertmanager", read=read)
