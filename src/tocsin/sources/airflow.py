"""What Tocsin's notifier and listener for Airflow send, and callbacks that people write themselves.

    {"dag_id": "etl", "run_id": "scheduled__…", "task_id": "load", "try_number": 2, "max_tries": 3, "map_index": -1,
     "state": "failed", "error": "…", "log_url": "https://…", "start_date": "…", "end_date": "…"}

Without a task it is the DAG's run. All but `dag_id` and `state` may be left out.
"""

from tocsin.model.errors import Invalid
from tocsin.sources.fitting import at, draft, seconds_between, words
from tocsin.sources.incoming import Incoming, Source, Taken, id_of, json_object

RUN = {
    "queued": "progress", "running": "started", "success": "succeeded", "failed": "failed", "restarting": "progress",
}  # fmt: skip
TASK = {
    "queued": "progress", "scheduled": "progress", "running": "started", "success": "succeeded", "failed": "failed",
    "up_for_retry": "failed", "up_for_reschedule": "progress", "deferred": "progress", "restarting": "progress",
    "skipped": "skipped", "upstream_failed": "skipped", "removed": "skipped",
}  # fmt: skip


def read(incoming: Incoming) -> Taken:
    whole = json_object(incoming.body)
    dag, state, task = words(whole, "dag_id"), words(whole, "state").lower(), words(whole, "task_id")
    for field, value in (("dag_id", dag), ("state", state)):
        if not value:
            raise Invalid(field, "nothing", "the DAG's id" if field == "dag_id" else "a state such as failed")
    verb = (TASK if task else RUN).get(state)
    if verb is None:
        return Taken(ignored=f"{state[:60]} is no state that says anything")
    run_id = words(whole, "run_id") or words(whole, "logical_date") or words(whole, "execution_date")
    tries, most = count(whole, "try_number"), count(whole, "max_tries")
    index = at(whole, "map_index")
    again = state == "up_for_retry" or at(whole, "will_retry") is True
    found = draft(
        source=f"airflow:{words(whole, 'instance')}".rstrip(":"),
        type=f"stage.{verb}" if task else f"run.{verb}",
        id=None if verb == "progress" else id_of(dag, run_id, task, index, tries, verb),
        pipeline=dag,
        run_id=run_id,
        stage=task,
        time=at(whole, "start_date") if verb == "started" else at(whole, "end_date"),
        labels={**labels_of(whole), "owner": words(whole, "owner"), "env": words(whole, "env")},
        data={
            "stage_attempt": tries if task else None,
            "max_tries": most,
            "will_retry": True if again and verb == "failed" else None,
            "map_index": index if type(index) is int and index >= 0 else None,
            "error": words(whole, "error") or words(whole, "exception"),
            "log_tail": words(whole, "log_tail"),
            "operator": words(whole, "operator"),
            "duration_s": seconds_between(at(whole, "start_date"), at(whole, "end_date")),
        },
        links={"logs": at(whole, "log_url"), "run": at(whole, "run_url")},
    )
    return Taken((found,))


def count(whole: object, name: str) -> int | None:
    found = at(whole, name)
    return found if type(found) is int and 0 < found < 10_000 else None


def labels_of(whole: object) -> dict[str, object]:
    """Its own labels; tags of a DAG as labels that are true."""
    given = at(whole, "labels")
    return {str(name): value for name, value in given.items()} if isinstance(given, dict) else {}


SOURCE = Source(kind="airflow", label="Airflow", read=read)
