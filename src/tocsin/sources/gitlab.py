"""GitLab pipelines, jobs and deployments: https://docs.gitlab.com/user/project/integrations/webhook_events/

A run is a pipeline of a project, a stage one of its jobs. A job that is retried is a new one with the same name.
"""

from typing import Any

from tocsin.provider_kit import signing
from tocsin.sources.draft import Draft
from tocsin.sources.fitting import a_list, at, draft, words
from tocsin.sources.incoming import Incoming, Source, Taken, id_of, json_object, same

RUN = {
    "created": "progress", "waiting_for_resource": "progress", "preparing": "progress", "pending": "progress",
    "scheduled": "progress", "running": "started", "success": "succeeded", "failed": "failed", "canceled": "cancelled",
    "canceling": "progress", "skipped": "cancelled", "manual": "paused",
}  # fmt: skip
JOB = RUN | {"canceled": "skipped", "skipped": "skipped", "manual": "progress"}


def signed(incoming: Incoming, secret: str) -> bool:
    """The token that GitLab sends as it is, or the signature of Standard Webhooks where the secret is one of those."""
    if secret.startswith("whsec_"):
        return signing.verify([secret], incoming.headers, incoming.body, incoming.now_s)
    return same(secret, incoming.headers.get("x-gitlab-token", ""))


def read(incoming: Incoming) -> Taken:
    whole = json_object(incoming.body)
    kind = words(whole, "object_kind")
    reader = {"pipeline": pipeline, "build": job, "job": job, "deployment": deployment}.get(kind)
    if reader is None:
        return Taken(ignored=f"GitLab's {kind[:60] or 'event'} is not one of runs")
    found = reader(whole)
    return Taken((found,)) if found is not None else Taken(ignored=f"a {kind} in a state that says nothing")


def pipeline(whole: dict[str, Any]) -> Draft | None:
    one, project = whole.get("object_attributes"), words(whole, "project", "path_with_namespace")
    verb = RUN.get(words(one, "status"))
    if verb is None or not isinstance(one, dict):
        return None
    failed = [
        build for build in a_list(whole, "builds") if at(build, "status") == "failed" and not at(build, "allow_failure")
    ]
    excused = any(at(build, "status") == "failed" and at(build, "allow_failure") for build in a_list(whole, "builds"))
    verb = "warning" if verb == "succeeded" and excused else verb
    reasons = ", ".join(f"{words(build, 'name')}: {words(build, 'failure_reason') or 'failed'}" for build in failed[:5])
    return draft(
        source=f"gitlab:{project}",
        type=f"run.{verb}",
        id=None if verb == "progress" else id_of("pipeline", project, one.get("id"), verb, one.get("finished_at")),
        pipeline=f"{project}/{words(one, 'name')}" if words(one, "name") else project,
        run_id=one.get("id"),
        time=utc(one.get("finished_at")) if verb not in ("started", "progress", "paused") else None,
        labels={"project": project, "branch": words(one, "ref"), "trigger": words(one, "source")},
        data={
            "commit": words(one, "sha")[:12],
            "change": words(whole, "commit", "message").strip().partition("\n")[0],
            "actor": words(whole, "user", "username"),
            "duration_s": one.get("duration"),
            "failed_step": words(failed, 0, "name"),
            "error": reasons if verb == "failed" else "",
        },
        links={"run": one.get("url") or f"{words(whole, 'project', 'web_url')}/-/pipelines/{words(one, 'id')}"},
    )


def job(whole: dict[str, Any]) -> Draft | None:
    project, status = words(whole, "project_name").replace(" / ", "/"), words(whole, "build_status")
    run_id = words(whole, "pipeline_id") or words(whole, "commit", "id")
    verb = JOB.get(status)
    if verb is None or not run_id:
        return None
    excused = status == "failed" and whole.get("build_allow_failure") is True
    retries = whole.get("retries_count")
    page = words(whole, "repository", "homepage")
    return draft(
        source=f"gitlab:{project}",
        type=f"stage.{'skipped' if excused else verb}",
        id=None if verb == "progress" else id_of("job", project, whole.get("build_id"), verb),
        pipeline=project,
        run_id=run_id,
        stage=words(whole, "build_name"),
        time=utc(whole.get("build_finished_at") or whole.get("build_started_at")),
        labels={"project": project, "branch": words(whole, "ref"), "group": words(whole, "build_stage")},
        data={
            "stage_attempt": retries + 1 if type(retries) is int and 0 <= retries < 1000 else None,
            "duration_s": whole.get("build_duration"),
            "runner": words(whole, "runner", "description"),
            "error": words(whole, "build_failure_reason").replace("_", " ") if status == "failed" else "",
        },
        links={"logs": f"{page}/-/jobs/{words(whole, 'build_id')}" if page else None},
    )


def deployment(whole: dict[str, Any]) -> Draft | None:
    project, verb = words(whole, "project", "path_with_namespace"), RUN.get(words(whole, "status"))
    if verb is None:
        return None
    environment = words(whole, "environment")
    return draft(
        source=f"gitlab:{project}",
        type=f"run.{verb}",
        id=None if verb == "progress" else id_of("deployment", project, whole.get("deployment_id"), verb),
        pipeline=f"{project}/deploy {environment}".rstrip(),
        run_id=f"deployment-{words(whole, 'deployment_id')}",
        time=utc(whole.get("status_changed_at")),
        labels={"project": project, "env": environment, "branch": words(whole, "ref")},
        data={"commit": words(whole, "short_sha"), "change": words(whole, "commit_title")},
        links={"run": whole.get("deployable_url"), "dashboard": whole.get("environment_external_url")},
    )


def utc(value: object) -> object:
    """GitLab's `2016-08-12 15:23:28 UTC` as RFC 3339."""
    return value.replace(" UTC", "Z").replace(" ", "T", 1) if isinstance(value, str) else value


SOURCE = Source(kind="gitlab", label="GitLab", read=read, signed=signed)
