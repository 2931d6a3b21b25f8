"""CDEvents, with or without the CloudEvent around them: https://cdevents.dev

A pipelineRun, a build and a testSuiteRun are runs; a taskRun is a stage of its pipelineRun, a testCaseRun one of its
testSuiteRun; an incident is an alert. What else there is (services, artifacts, changes) is kept for rules that ask for
its type.
"""

from collections.abc import Mapping
from typing import Any

from tocsin.model.errors import Invalid
from tocsin.sources.draft import Draft
from tocsin.sources.fitting import at, draft, text, words
from tocsin.sources.incoming import Incoming, Source, Taken, json_object

PREFIX = "dev.cdevents."
RUNS = {"pipelinerun": "pipelineName", "build": "", "testsuiterun": "", "testsuite": "", "taskrun": "taskName"}
STAGES = {"taskrun": "pipelineRun", "testcaserun": "testSuiteRun", "testcase": "testSuite"}
VERBS = {"queued": "progress", "started": "started", "finished": "succeeded", "skipped": "cancelled"}
OUTCOMES = {
    "success": "succeeded", "pass": "succeeded", "failure": "failed", "fail": "failed", "error": "failed",
    "cancel": "cancelled", "cancelled": "cancelled", "skip": "cancelled",
}  # fmt: skip
EXACT = {
    "incident.detected": "alert",
    "incident.reported": "alert",
    "incident.resolved": "alert.resolved",
    "service.rolledback": "safety.rollback",
}
SEVERITIES = {"low": "info", "medium": "warning", "high": "error", "critical": "critical"}


def read(incoming: Incoming) -> Taken:
    body = json_object(incoming.body)
    inner = body.get("data")
    return taken({}, inner if isinstance(inner, Mapping) and "context" in inner else body)


def taken(attributes: Mapping[str, Any], data: Mapping[str, Any]) -> Taken:
    """Of an event's body; what its context does not say, the attributes of the CloudEvent do. Raises Invalid."""
    context = at(data, "context")
    if not isinstance(context, Mapping):
        found = "nothing" if context is None else "something else"
        raise Invalid("context", found, "an object with id, source and type")
    said = {name: words(context, name) or words(attributes, name) for name in ("id", "source", "type")}
    for name, value in said.items():
        if not value or (name == "type" and not value.startswith(PREFIX)):
            raise Invalid(f"context.{name}", repr(value[:60]) if value else "nothing", EXPECTED[name])
    return Taken((of_body(said, context, data),))


EXPECTED = {
    "id": "the event's id",
    "source": "where the event comes from",
    "type": "a type such as dev.cdevents.pipelinerun.finished.0.3.0",
}


def of_body(said: Mapping[str, str], context: Mapping[str, Any], data: Mapping[str, Any]) -> Draft:
    noun, _, rest = said["type"].removeprefix(PREFIX).lower().partition(".")
    verb = rest.partition(".")[0]
    subject, content = at(data, "subject"), at(data, "subject", "content")
    own_id = words(subject, "id")
    parent = words(content, STAGES.get(noun, ""), "id")
    error = words(content, "errors") or words(content, "error") or words(content, "reason")
    kind = kind_of(noun, verb, content, is_stage=bool(parent))
    is_run = kind.startswith(("run.", "stage."))
    environment = words(content, "environment", "id")
    is_alert = kind.startswith("alert")
    return draft(
        source=said["source"],
        type=said["type"],
        kind=kind,
        id=said["id"],
        pipeline=pipeline_of(noun, content) if not parent else words(content, "pipelineName"),
        run_id=(parent or own_id) if is_run else "",
        stage=stage_of(noun, content) or own_id if parent else "",
        time=at(context, "timestamp"),
        severity=SEVERITIES.get(words(content, "severity").lower(), "") if is_alert or "failed" in kind else "",
        title=words(content, "description") if is_alert else "",
        labels={
            "env": environment,
            "chain_id": words(context, "chainId"),
            "alertname": own_id if is_alert else "",
            "service": words(content, "service", "id"),
        },
        data={
            "subject": own_id,
            "outcome": at(content, "outcome"),
            "error": error if kind in ("run.failed", "stage.failed") else "",
            "artifact": at(content, "artifactId"),
            "fingerprint": own_id if is_alert else "",
            "content": content if not is_run else None,
            "custom": at(data, "customData"),
        },
        links={"run": at(content, "uri") or at(content, "url"), "chain": at(content, "viewLogsUrl")},
    )


def kind_of(noun: str, verb: str, content: object, *, is_stage: bool) -> str:
    """ "other" for what is neither a run nor an alert. Who finished without an outcome got through."""
    if f"{noun}.{verb}" in EXACT:
        return EXACT[f"{noun}.{verb}"]
    if (noun not in RUNS and not is_stage) or verb not in VERBS:
        return "other"
    state = VERBS[verb]
    if verb == "finished":
        outcome = text(at(content, "outcome")).lower()
        state = OUTCOMES.get(outcome, "warning" if outcome else "succeeded")
    if not is_stage:
        return f"run.{state}"
    return {"cancelled": "stage.skipped", "warning": "stage.succeeded"}.get(state, f"stage.{state}")


def pipeline_of(noun: str, content: object) -> str:
    """What runs, where the subject says so."""
    suite = words(content, "testSuite", "name") or words(content, "testSuite", "id") or words(content, "name")
    return words(content, RUNS.get(noun, "")) or (suite if noun.startswith("test") else "")


def stage_of(noun: str, content: object) -> str:
    if noun == "taskrun":
        return words(content, "taskName")
    return words(content, "testCase", "name") or words(content, "testCase", "id")


SOURCE = Source(kind="cdevents", label="CDEvents", read=read)
