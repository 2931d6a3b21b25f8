"""OpenLineage run events: https://openlineage.io/docs/spec/run-cycle

A job with a parent is a stage of the parent's run; one without is a run. Tries of a task come as runs of their own with
the same parent and name, and nobody says whether another follows: a stage's failure is provisional until the run ends.
"""

from typing import Any

from tocsin.model.errors import Invalid
from tocsin.sources.draft import Draft
from tocsin.sources.fitting import a_list, at, draft, text, words
from tocsin.sources.incoming import Incoming, Source, Taken, id_of, json_value

MOST = 1000
VERBS = {"START": "started", "RUNNING": "progress", "COMPLETE": "succeeded", "FAIL": "failed", "ABORT": "cancelled"}
STAGE_VERBS = VERBS | {"ABORT": "skipped"}


def read(incoming: Incoming) -> Taken:
    whole = json_value(incoming.body)
    events = whole if isinstance(whole, list) else [whole]
    if len(events) > MOST:
        raise Invalid("", f"{len(events)} events", f"at most {MOST}")
    found = []
    for event in events:
        if not isinstance(event, dict):
            raise Invalid("", "something else", "an OpenLineage event, or a list of them")
        if (one := draft_of(event)) is not None:
            found.append(one)
    return Taken(tuple(found), "" if found else "datasets, jobs and other events are no runs")


def draft_of(event: dict[str, Any]) -> Draft | None:
    """Raises Invalid for a run event without a run or a job."""
    if "run" not in event and ("dataset" in event or "job" in event):
        return None
    run_id, job = words(event, "run", "runId"), words(event, "job", "name")
    if not run_id:
        raise Invalid("run.runId", "nothing", "the id of a run")
    if not job:
        raise Invalid("job.name", "nothing", "the name of a job")
    state = words(event, "eventType").upper()
    if state and state not in VERBS:
        return None
    namespace = words(event, "job", "namespace")
    parent = at(event, "run", "facets", "parent")
    parent_run, parent_job = words(parent, "run", "runId"), words(parent, "job", "name")
    is_stage = bool(parent_run) and parent_run != run_id
    attempt = try_of(event)
    stage = job.removeprefix(f"{parent_job}.") if parent_job else job
    verb = (STAGE_VERBS if is_stage else VERBS).get(state, "progress")
    facets = at(event, "run", "facets")
    error = words(facets, "errorMessage", "message")
    if error == "task_failure":  # Airflow, of a DAG's run: its tasks say more
        error = ""
    stack = words(facets, "errorMessage", "stackTrace")
    return draft(
        source=f"openlineage:{namespace}",
        type=f"stage.{verb}" if is_stage else f"run.{verb}",
        id=None if verb == "progress" else id_of(namespace, job, run_id, state),
        pipeline=(parent_job or parent_run) if is_stage else job,
        run_id=parent_run if is_stage else run_id,
        stage=stage if is_stage else "",
        time=event.get("eventTime"),
        labels={
            "namespace": namespace,
            "integration": words(event, "job", "facets", "jobType", "integration").lower(),
            "owner": words(a_list(event, "job", "facets", "ownership", "owners"), 0, "name"),
        },
        data={
            "stage_attempt": attempt if is_stage else None,
            "map_index": mapped(facets),
            "error": f"{stack}\n{error}" if stack and error not in stack else stack or error,
            "parent_run_id": root_of(parent, parent_run if is_stage else ""),
            "scheduled_for": words(facets, "nominalTime", "nominalStartTime"),
            "job_run_id": run_id if is_stage else "",
            "inputs": names(event, "inputs"),
            "outputs": names(event, "outputs"),
        },
        links={
            "logs": words(facets, "airflow", "taskInstance", "log_url"),
            "job": words(event, "job", "facets", "sourceCodeLocation", "url"),
        },
    )


def try_of(event: dict[str, Any]) -> int | None:
    """Which try it is, where the integration says."""
    found = at(event, "run", "facets", "airflow", "taskInstance", "try_number")
    return found if type(found) is int and found > 0 else None


def mapped(facets: object) -> int | None:
    found = at(facets, "airflow", "taskInstance", "map_index")
    return found if type(found) is int and found >= 0 else None


def root_of(parent: object, own: str) -> str:
    """The run that started the run that this is about, where it is another one."""
    root = words(parent, "root", "run", "runId")
    return root if root and own and root != own else ""


def names(event: dict[str, Any], field: str) -> list[str]:
    return [text(f"{words(one, 'namespace')}/{words(one, 'name')}".strip("/")) for one in a_list(event, field)[:20]]


SOURCE = Source(kind="openlineage", label="OpenLineage", read=read)
