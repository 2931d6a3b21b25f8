"""Nextflow: what its weblog sends (`-with-weblog`, or the plugin nf-weblog), and the requests of Seqera's Tower.

A run is one launch, which has a name of its own; a resumed one shares its session with the launch before. A stage is a
task, known by its name, so that the next try takes the place of the last.
"""

from collections.abc import Mapping
from typing import Any

from tocsin.model.errors import Invalid
from tocsin.sources.draft import Draft
from tocsin.sources.fitting import a_list, at, draft, seconds_between, text, words
from tocsin.sources.incoming import Incoming, Source, Taken, id_of, json_object

TASK = {
    "NEW": "progress", "SUBMITTED": "progress", "RUNNING": "started", "CACHED": "succeeded", "COMPLETED": "succeeded",
    "FAILED": "failed", "ABORTED": "skipped",
}  # fmt: skip
TASK_EVENTS = {
    "process_submitted": "SUBMITTED",
    "process_started": "RUNNING",
    "process_completed": "COMPLETED",
    "error": "FAILED",
}
NO_EXIT = 2147483647
"""What Java's largest int means here: there is no exit status yet."""


def read(incoming: Incoming) -> Taken:
    whole = json_object(incoming.body)
    if "event" in whole:
        return weblog(whole)
    if "workflow" in whole or "tasks" in whole:
        return tower(whole)
    raise Invalid("event", "nothing", "what Nextflow's weblog sends: runName, runId, event, utcTime")


def weblog(whole: dict[str, Any]) -> Taken:
    event, run_name, session = words(whole, "event"), words(whole, "runName"), words(whole, "runId")
    if not run_name and not session:
        raise Invalid("runId", "nothing", "the id of the run")
    run_id = f"{run_name} {session[:8]}".strip()
    workflow = at(whole, "metadata", "workflow")
    if event == "started":
        return Taken((of_workflow(run_id, "started", workflow, at(whole, "metadata"), whole.get("utcTime")),))
    if event == "completed":
        return Taken((of_workflow(run_id, ended(workflow), workflow, at(whole, "metadata"), whole.get("utcTime")),))
    trace = at(whole, "trace")
    if event == "error" and not words(trace, "name"):
        return Taken((of_workflow(run_id, "failed", workflow, at(whole, "metadata"), whole.get("utcTime")),))
    if event not in TASK_EVENTS:
        return Taken(ignored=f"Nextflow's {event[:60]!r} is neither of a run nor of a task")
    status = words(trace, "status") if words(trace, "status") in TASK else TASK_EVENTS[event]
    if event == "error":
        status = "FAILED"
    return Taken((of_task(run_id, "", status, trace, whole.get("utcTime")),))


def tower(whole: dict[str, Any]) -> Taken:
    """A request of the older protocol holds both a workflow and its tasks, or one of them."""
    workflow, drafts = whole.get("workflow"), []
    run_id = text(whole.get("workflowId")) or words(workflow, "id")
    if not run_id:
        return Taken(ignored="nothing says which run it is of")
    pipeline = pipeline_of(workflow)
    for task in a_list(whole, "tasks"):
        status = words(task, "status")
        if status in TASK:
            drafts.append(of_task(run_id, pipeline, status, task, None))
    if isinstance(workflow, Mapping):
        state = ended(workflow) if workflow.get("complete") else "started"
        drafts.append(of_workflow(run_id, state, workflow, workflow, workflow.get("complete") or workflow.get("start")))
    return Taken(tuple(drafts)) if drafts else Taken(ignored="no task of a known status")


def ended(workflow: object) -> str:
    if at(workflow, "success") is not True:
        return "failed"
    return "warning" if ignored_of(workflow) else "succeeded"


def ignored_of(workflow: object) -> int:
    found = at(workflow, "stats", "ignoredCount")
    return found if isinstance(found, int) else 0


def pipeline_of(workflow: object) -> str:
    return (
        words(workflow, "manifest", "name")
        or words(workflow, "projectName")
        or words(workflow, "repository").removesuffix(".git")
        or words(workflow, "scriptName")
    )


def of_workflow(run_id: str, state: str, workflow: object, around: object, time: object) -> Draft:
    begin, end = at(workflow, "start"), at(workflow, "complete")
    report = words(workflow, "errorReport") or words(workflow, "errorMessage")
    over = state != "started"
    repository = words(workflow, "repository").removesuffix(".git")
    return draft(
        source="nextflow",
        type=f"run.{state}",
        id=id_of("run", run_id, state),
        pipeline=pipeline_of(workflow),
        run_id=run_id,
        time=end or time if over else begin or time,
        message=words(workflow, "errorMessage") if over else "",
        labels={"user": words(workflow, "userName"), "profile": words(workflow, "profile")},
        data={
            "error": report if state == "failed" else "",
            "revision": at(workflow, "revision"),
            "commit": words(workflow, "commitId")[:12],
            "command": at(workflow, "commandLine"),
            "exit_status": at(workflow, "exitStatus") if over else None,
            "tasks_succeeded": at(around, "stats", "succeedCount") if over else None,
            "tasks_failed": at(around, "stats", "failedCount") if over else None,
            "tasks_ignored": ignored_of(workflow) or None,
            "duration_s": seconds_between(begin, end) if over else None,
        },
        links={"repository": repository},
    )


def of_task(run_id: str, pipeline: str, status: str, task: object, time: object) -> Draft:
    state, attempt = TASK[status], at(task, "attempt")
    exit_status = at(task, "exit")
    action = words(task, "error_action") or words(task, "errorAction")
    task_name = words(task, "name") or words(task, "process")
    error = ""
    if state == "failed":
        error = f"{task_name} ended with exit status {exit_status}" if exit_status not in (None, NO_EXIT) else "failed"
    ended_at = at(task, "complete") if state in ("succeeded", "failed", "skipped") else None
    return draft(
        source="nextflow",
        type=f"stage.{state}",
        id=id_of("task", run_id, words(task, "task_id") or words(task, "taskId") or task_name, attempt, status),
        pipeline=pipeline,
        run_id=run_id,
        stage=task_name,
        time=ended_at or (at(task, "start") if state == "started" else at(task, "submit")) or time,
        labels={"process": words(task, "process"), "tag": words(task, "tag"), "container": words(task, "container")},
        data={
            "attempt": attempt,
            "will_retry": True if state == "failed" and action == "RETRY" else None,
            "error": error,
            "error_action": action,
            "status": status,
            "exit": exit_status if exit_status != NO_EXIT else None,
            "workdir": at(task, "workdir"),
            "cpus": at(task, "cpus"),
            "peak_rss": at(task, "peak_rss") or at(task, "peakRss"),
            "duration_s": seconds_between(at(task, "start"), ended_at),
        },
    )


SOURCE = Source(kind="nextflow", label="Nextflow", read=read)
