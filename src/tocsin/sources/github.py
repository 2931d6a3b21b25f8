"""GitHub Actions, checks and deployments: https://docs.github.com/en/webhooks/webhook-events-and-payloads

A run is a workflow run of a repository, an attempt its `run_attempt`, a stage one of its jobs.
"""

from typing import Any

from tocsin.sources.draft import Draft
from tocsin.sources.fitting import a_list, at, draft, seconds_between, words
from tocsin.sources.incoming import Incoming, Source, Taken, fits_hmac, id_of, json_object

SIGNATURE = "x-hub-signature-256"
ENDED = {
    "success": "succeeded", "failure": "failed", "startup_failure": "failed", "timed_out": "failed",
    "cancelled": "cancelled", "skipped": "cancelled", "stale": "cancelled", "neutral": "warning",
    "action_required": "paused",
}  # fmt: skip
GOING = {
    "requested": "started",
    "queued": "progress",
    "in_progress": "started",
    "waiting": "paused",
    "pending": "paused",
}
DEPLOYED = {
    "success": "succeeded", "failure": "failed", "error": "failed", "in_progress": "started", "queued": "progress",
    "pending": "progress", "waiting": "paused", "inactive": "cancelled",
}  # fmt: skip


def signed(incoming: Incoming, secret: str) -> bool:
    return fits_hmac(incoming.body, secret, incoming.headers.get(SIGNATURE, ""), "sha256=")


def read(incoming: Incoming) -> Taken:
    whole = json_object(incoming.body)
    event = incoming.headers.get("x-github-event") or guessed(whole)
    reader = {
        "workflow_run": workflow_run,
        "workflow_job": workflow_job,
        "check_suite": check_suite,
        "check_run": check_run,
        "deployment_status": deployment_status,
    }.get(event)
    if reader is None:
        said = (
            "GitHub's first call: the address works"
            if event == "ping"
            else f"GitHub's {event[:60] or 'event'} is not one of runs"
        )
        return Taken(ignored=said)
    found = reader(whole)
    return Taken((found,)) if found is not None else Taken(ignored=f"{event} says nothing that ended or began")


def guessed(whole: dict[str, Any]) -> str:
    """What the payload is of, where no header says so."""
    names = ("workflow_job", "workflow_run", "check_suite", "check_run", "deployment_status")
    return next((name for name in names if isinstance(whole.get(name), dict)), "ping" if "zen" in whole else "")


def workflow_run(whole: dict[str, Any]) -> Draft | None:
    run, repository = whole.get("workflow_run"), words(whole, "repository", "full_name")
    state, attempt = state_of(run, whole.get("action")), at(run, "run_attempt")
    if not state or not isinstance(run, dict):
        return None
    name = words(run, "name") or words(whole, "workflow", "name") or words(run, "path")
    return draft(
        source=f"github:{repository}",
        type=f"run.{state}",
        id=id_of("run", repository, run.get("id"), attempt, state),
        pipeline=f"{repository}/{name}" if name else repository,
        run_id=run.get("id"),
        time=run.get("updated_at") if state != "started" else run.get("run_started_at") or run.get("created_at"),
        labels=about(whole, run),
        data={
            "attempt": attempt,
            "run_number": run.get("run_number"),
            "event": run.get("event"),
            "conclusion": run.get("conclusion"),
            "commit": words(run, "head_sha")[:12],
            "change": run.get("display_title"),
            "actor": at(run, "actor", "login"),
            "error": why(run),
            "duration_s": seconds_between(run.get("run_started_at"), run.get("updated_at")) if is_end(state) else None,
        },
        links={"run": run.get("html_url")},
    )


def workflow_job(whole: dict[str, Any]) -> Draft | None:
    job, repository = whole.get("workflow_job"), words(whole, "repository", "full_name")
    state, attempt = state_of(job, whole.get("action")), at(job, "run_attempt")
    if not state or not isinstance(job, dict):
        return None
    failed = next((words(step, "name") for step in a_list(job, "steps") if at(step, "conclusion") == "failure"), "")
    return draft(
        source=f"github:{repository}",
        type=f"stage.{'skipped' if state == 'cancelled' else state}",
        id=id_of("job", repository, job.get("id"), attempt, state),
        pipeline=f"{repository}/{words(job, 'workflow_name')}".rstrip("/"),
        run_id=job.get("run_id"),
        stage=job.get("name"),
        time=job.get("completed_at") or job.get("started_at") or job.get("created_at"),
        labels=about(whole, job),
        data={
            "run_attempt": attempt,
            "conclusion": job.get("conclusion"),
            "runner": job.get("runner_name"),
            "failed_step": failed,
            "error": f"step “{failed}” failed" if failed else why(job),
            "duration_s": seconds_between(job.get("started_at"), job.get("completed_at")),
        },
        links={"logs": job.get("html_url")},
    )


def check_suite(whole: dict[str, Any]) -> Draft | None:
    return check(whole, "check_suite", words(whole, "check_suite", "app", "name") or "checks")


def check_run(whole: dict[str, Any]) -> Draft | None:
    return check(whole, "check_run", words(whole, "check_run", "name"))


def check(whole: dict[str, Any], kind: str, name: str) -> Draft | None:
    """A check is a run of its own: what GitHub's apps other than Actions report."""
    one, repository = whole.get(kind), words(whole, "repository", "full_name")
    state = state_of(one, whole.get("action"))
    if not state or not isinstance(one, dict):
        return None
    return draft(
        source=f"github:{repository}",
        type=f"run.{state}",
        id=id_of(kind, repository, one.get("id"), state),
        pipeline=f"{repository}/{name}".rstrip("/"),
        run_id=f"{kind}-{words(one, 'id')}",
        time=one.get("completed_at") or one.get("updated_at") or one.get("started_at"),
        labels=about(whole, one),
        data={"conclusion": one.get("conclusion"), "commit": words(one, "head_sha")[:12], "error": why(one)},
        links={"run": one.get("html_url")},
    )


def deployment_status(whole: dict[str, Any]) -> Draft | None:
    status, repository = whole.get("deployment_status"), words(whole, "repository", "full_name")
    state = DEPLOYED.get(words(status, "state"))
    if state is None or not isinstance(status, dict):
        return None
    environment = words(status, "environment") or words(whole, "deployment", "environment")
    return draft(
        source=f"github:{repository}",
        type=f"run.{state}",
        id=id_of("deployment", repository, status.get("id"), state),
        pipeline=f"{repository}/deploy {environment}".rstrip(),
        run_id=f"deployment-{words(whole, 'deployment', 'id')}",
        time=status.get("created_at"),
        message=status.get("description"),
        labels={"repository": repository, "env": environment, "branch": at(whole, "deployment", "ref")},
        data={
            "state": status.get("state"),
            "commit": words(whole, "deployment", "sha")[:12],
            "task": at(whole, "deployment", "task"),
        },
        links={"run": status.get("log_url") or status.get("target_url"), "dashboard": status.get("environment_url")},
    )


def state_of(one: object, action: object) -> str:
    """The verb of the event; "" where nothing began or ended."""
    status, conclusion = words(one, "status"), words(one, "conclusion")
    if status == "completed" or action == "completed":
        return ENDED.get(conclusion, "warning") if conclusion else ""
    return GOING.get(status) or GOING.get(str(action), "")


def is_end(state: str) -> bool:
    return state in ("succeeded", "failed", "cancelled", "warning")


def why(one: object) -> str:
    """What to say where it went wrong and nobody says more."""
    conclusion = words(one, "conclusion")
    return "" if ENDED.get(conclusion) != "failed" else conclusion.replace("_", " ")


def about(whole: dict[str, Any], one: object) -> dict[str, object]:
    return {
        "repository": words(whole, "repository", "full_name"),
        "branch": words(one, "head_branch"),
        "organization": words(whole, "organization", "login"),
    }


SOURCE = Source(kind="github", label="GitHub", read=read, signed=signed)
