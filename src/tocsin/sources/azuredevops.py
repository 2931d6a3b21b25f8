"""Azure DevOps' service hooks: https://learn.microsoft.com/azure/devops/service-hooks/events

A run is a build, a run of a YAML pipeline (they share their ids) or a deployment of a release; stages and jobs are its
stages. The web hook sends Basic: any name, the token as password.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tocsin.model.errors import Invalid
from tocsin.sources.draft import Draft
from tocsin.sources.fitting import at, draft, seconds_between, text, words
from tocsin.sources.incoming import Incoming, Source, Taken, id_of, json_object

RESULTS = {
    "succeeded": "succeeded", "partiallysucceeded": "warning", "succeededwithissues": "warning", "failed": "failed",
    "rejected": "failed", "abandoned": "cancelled", "stopped": "cancelled", "canceled": "cancelled",
    "cancelled": "cancelled", "skipped": "cancelled", "none": "warning",
}  # fmt: skip
STATES = {
    "inprogress": "started", "running": "started", "notstarted": "progress", "queued": "progress",
    "canceling": "progress", "cancelling": "progress", "postponed": "progress", "waiting": "paused",
    "pending": "paused",
}  # fmt: skip
STAGE = {"paused": "progress", "cancelled": "skipped", "warning": "succeeded"}

Body = Mapping[str, Any]


def read(incoming: Incoming) -> Taken:
    whole = json_object(incoming.body)
    event = words(whole, "eventType")
    if not event:
        raise Invalid("eventType", "nothing", "what Azure DevOps' service hooks send")
    reader = READERS.get(event)
    if reader is None:
        return Taken(ignored=f"Azure DevOps' {event[:80]} is not one of runs")
    resource = whole.get("resource")
    if not isinstance(resource, Mapping):
        raise Invalid("resource", "nothing" if resource is None else "something else", "an object: send all details")
    found = reader(whole, resource)
    return Taken((found,)) if found is not None else Taken(ignored=f"{event} says nothing that began or ended")


def state_of(state: object, result: object) -> str:
    """The verb; "" where there is none."""
    return (
        RESULTS.get(text(result).lower(), "")
        or RESULTS.get(text(state).lower(), "")
        or STATES.get(text(state).lower(), "")
    )


def project_of(whole: Body, resource: Body) -> str:
    return words(resource, "project", "name") or words(resource, "teamProject") or words(resource, "run", "project")


def made(
    whole: Body,
    resource: Body,
    state: str,
    *,
    pipeline: str,
    run_id: object,
    stage: str = "",
    one: object,
    begin: object,
    end: object,
    **data: object,
) -> Draft | None:
    if not state or text(run_id) == "":
        return None
    verb = STAGE.get(state, state) if stage else state
    project = project_of(whole, resource)
    over = state in ("succeeded", "failed", "warning", "cancelled")
    said = words(whole, "detailedMessage", "text") or words(whole, "message", "text")
    return draft(
        source="azuredevops",
        type=f"{'stage' if stage else 'run'}.{verb}",
        id=id_of(pipeline, run_id, stage, data.get("attempt"), verb),
        pipeline=pipeline,
        run_id=run_id,
        stage=stage,
        time=(end if over else begin) or whole.get("createdDate"),
        message=said if state in ("failed", "warning") else "",
        labels={"project": project, "branch": words(resource, "sourceBranch").removeprefix("refs/heads/")},
        data={
            "result": at(one, "result") or at(one, "status"),
            "error": words(whole, "message", "text") if verb == "failed" else "",
            "duration_s": seconds_between(begin, end) if over else None,
            **data,
        },
        links={
            "run": at(one, "_links", "web", "href") or at(resource, "_links", "web", "href"),
            "logs": at(resource, "_links", "pipeline.web", "href"),
        },
    )


def build(whole: Body, resource: Body) -> Draft | None:
    named = words(resource, "definition", "name")
    return made(
        whole,
        resource,
        state_of(resource.get("status"), resource.get("result")),
        pipeline=named,
        run_id=resource.get("id"),
        one=resource,
        begin=resource.get("startTime"),
        end=resource.get("finishTime"),
        number=resource.get("buildNumber"),
        reason=resource.get("reason"),
        requested_for=at(resource, "requestedFor", "displayName")
        or at(resource, "requests", 0, "requestedFor", "displayName"),
    )


def run_state(whole: Body, resource: Body) -> Draft | None:
    run = at(resource, "run")
    return made(
        whole,
        resource,
        state_of(at(run, "state"), at(run, "result")),
        pipeline=words(resource, "pipeline", "name") or words(run, "pipeline", "name"),
        run_id=at(run, "id"),
        one=run,
        begin=at(run, "createdDate"),
        end=at(run, "finishedDate"),
        number=at(run, "name"),
    )


def part_state(part: str) -> Callable[[Body, Body], Draft | None]:
    """Of a stage or a job."""

    def of_part(whole: Body, resource: Body) -> Draft | None:
        one = at(resource, part)
        named = words(one, "displayName") or words(one, "name")
        return made(
            whole,
            resource,
            state_of(at(one, "state"), at(one, "result")),
            pipeline=words(resource, "pipeline", "name"),
            run_id=at(resource, "run", "id"),
            stage=named or part,
            one=one,
            begin=at(one, "startTime") or at(one, "startedDate"),
            end=at(one, "finishTime") or at(one, "finishedDate"),
            attempt=at(one, "attempt"),
        )

    return of_part


def deployment(whole: Body, resource: Body) -> Draft | None:
    environment, release = at(resource, "environment"), at(resource, "release") or at(resource, "deployment", "release")
    named = words(environment, "name") or words(resource, "deployment", "releaseEnvironment", "name")
    definition = words(release, "releaseDefinition", "name") or words(
        resource, "deployment", "releaseDefinition", "name"
    )
    done = words(whole, "eventType").endswith("completed-event")
    status = at(environment, "status") or at(resource, "deployment", "deploymentStatus")
    return made(
        whole,
        resource,
        (state_of(status, None) or "warning") if done else "started",
        pipeline=f"{definition}/deploy {named}".strip("/ "),
        run_id=f"release-{words(release, 'id')}-{words(environment, 'id') or named}",
        one=environment or at(resource, "deployment"),
        begin=at(resource, "deployment", "startedOn"),
        end=at(resource, "deployment", "completedOn"),
        release=at(release, "name"),
        attempt=at(resource, "deployment", "attempt"),
    )


READERS: dict[str, Callable[[Body, Body], Draft | None]] = {
    "build.complete": build,
    "ms.vss-pipelines.run-state-changed-event": run_state,
    "ms.vss-pipelines.stage-state-changed-event": part_state("stage"),
    "ms.vss-pipelines.job-state-changed-event": part_state("job"),
    "ms.vss-release.deployment-started-event": deployment,
    "ms.vss-release.deployment-completed-event": deployment,
}

SOURCE = Source(kind="azuredevops", label="Azure DevOps", read=read)
