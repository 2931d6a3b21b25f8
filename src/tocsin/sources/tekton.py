"""Tekton's CloudEvents: https://tekton.dev/docs/pipelines/events/

A run is a PipelineRun, a stage one of its TaskRuns; a TaskRun or CustomRun of no PipelineRun is a run of its own.
Tekton makes a new event id for each sending and sends again after a restart, so the id here is made of what happened.
"""

import re
from collections.abc import Mapping
from typing import Any

from tocsin.model.errors import Invalid
from tocsin.sources.draft import Draft
from tocsin.sources.fitting import a_list, at, draft, seconds_between, words
from tocsin.sources.incoming import Incoming, Source, Taken, id_of, json_object

PREFIX = "dev.tekton.event."
OBJECTS = {"pipelinerun": "pipelineRun", "taskrun": "taskRun", "customrun": "customRun", "run": "run"}
VERBS = {
    "queued": "progress", "started": "started", "running": "progress", "unknown": "progress",
    "successful": "succeeded", "failed": "failed",
}  # fmt: skip
BY_CONDITION = {"True": "successful", "False": "failed", "Unknown": "unknown"}
CANCELLED = re.compile(r"Cancel|Stopped|Gracefully", re.IGNORECASE)


def read(incoming: Incoming) -> Taken:
    """The body alone says enough where no `ce-type` came with it."""
    headers = {name[3:]: value for name, value in incoming.headers.items() if name.startswith("ce-")}
    body = json_object(incoming.body)
    if isinstance(body.get("data"), Mapping) and "specversion" in body:
        return taken(body, body["data"])
    return taken(headers, body)


def taken(attributes: Mapping[str, Any], data: Mapping[str, Any]) -> Taken:
    """Of the event's attributes and its data. Raises Invalid where there is no object of Tekton's in it."""
    said = words(attributes, "type").removeprefix(PREFIX).split(".")
    noun = said[0] if said[0] in OBJECTS else next((noun for noun, name in OBJECTS.items() if name in data), "")
    one = at(data, OBJECTS.get(noun, ""))
    if not isinstance(one, Mapping):
        raise Invalid("data", "an object without one", f"one of {', '.join(OBJECTS.values())}")
    condition = next((one for one in a_list(one, "status", "conditions") if at(one, "type") == "Succeeded"), None)
    verb = said[1] if len(said) > 1 and said[1] in VERBS else BY_CONDITION.get(words(condition, "status"), "unknown")
    return Taken((of_object(noun, verb, one, condition),))


def of_object(noun: str, verb: str, one: Mapping[str, Any], condition: object) -> Draft:
    labels, namespace = at(one, "metadata", "labels"), words(one, "metadata", "namespace")
    uid, name = words(one, "metadata", "uid"), words(one, "metadata", "name")
    parent = parent_of(one)
    reason, attempt = words(condition, "reason"), len(a_list(one, "status", "retriesStatus")) + 1
    state = "cancelled" if verb == "failed" and CANCELLED.search(reason) else VERBS[verb]
    is_stage = bool(parent)
    kind = f"stage.{'skipped' if state == 'cancelled' else state}" if is_stage else f"run.{state}"
    over = verb in ("successful", "failed")
    status = at(one, "status")
    return draft(
        source=f"tekton:{namespace}",
        type=f"{PREFIX}{noun}.{verb}.v1",
        kind=kind,
        id=id_of(uid or name, noun, verb, attempt, reason if verb in ("running", "unknown") else ""),
        pipeline=f"{namespace}/{pipeline_of(noun, one, is_stage=is_stage)}".strip("/"),
        run_id=parent or uid or name,
        stage=words(labels, "tekton.dev/pipelineTask") or name if is_stage else "",
        time=at(status, "completionTime" if over else "startTime") or at(condition, "lastTransitionTime"),
        message=words(condition, "message"),
        labels={"namespace": namespace, "name": name, "task": words(labels, "tekton.dev/task")},
        data={
            "attempt": attempt if is_stage else None,
            "reason": reason,
            "error": words(condition, "message") if verb == "failed" else "",
            "params": {words(p, "name"): at(p, "value") for p in a_list(one, "spec", "params") if words(p, "name")},
            "pod": words(status, "podName"),
            "duration_s": seconds_between(at(status, "startTime"), at(status, "completionTime")) if over else None,
        },
    )


def parent_of(one: Mapping[str, Any]) -> str:
    """The PipelineRun that it is a part of, as the PipelineRun's own events name it; "" for none."""
    for owner in a_list(one, "metadata", "ownerReferences"):
        if at(owner, "kind") == "PipelineRun" and words(owner, "uid"):
            return words(owner, "uid")
    labels = at(one, "metadata", "labels")
    return words(labels, "tekton.dev/pipelineRunUID") or words(labels, "tekton.dev/pipelineRun")


def pipeline_of(noun: str, one: Mapping[str, Any], *, is_stage: bool) -> str:
    """By the name of what is run, where there is one; else by that of the run without what makes it unique."""
    labels = at(one, "metadata", "labels")
    named = words(labels, "tekton.dev/pipeline")
    if not is_stage and noun == "taskrun":
        named = words(one, "spec", "taskRef", "name") or words(labels, "tekton.dev/task")
    if noun == "pipelinerun":
        named = words(one, "spec", "pipelineRef", "name") or named
    return named or words(one, "metadata", "generateName").rstrip("-") or words(one, "metadata", "name")


SOURCE = Source(kind="tekton", label="Tekton", read=read)
