"""Prefect's events, as an automation sends them (`{{ event.model_dump_json() }}`) or its event stream shows them:
https://docs.prefect.io/v3/api-ref/events

A run is a flow run, a stage a task run of it, known by its name. A task that is tried again says so by its state.
"""

import re
from collections.abc import Mapping
from typing import Any

from tocsin.model.errors import Invalid
from tocsin.sources.draft import Draft
from tocsin.sources.fitting import a_list, at, draft, words
from tocsin.sources.incoming import Incoming, Source, Taken, json_object
from tocsin.sources.kinds import kind_of

STATES = {
    "SCHEDULED": "progress", "PENDING": "progress", "RUNNING": "started", "COMPLETED": "succeeded", "FAILED": "failed",
    "CRASHED": "failed", "CANCELLING": "progress", "CANCELLED": "cancelled", "PAUSED": "paused",
}  # fmt: skip
NAMES = {
    "Late": "missed",
    "Suspended": "paused",
    "Resuming": "progress",
    "TimedOut": "failed",
    "heartbeat": "progress",
}
"""States that say more by their name than by their type."""
KEY_END = re.compile(r"-[0-9a-f]{8}\Z")
"""What makes the key of a task unique among those of its name."""
STAGE = {"paused": "progress", "missed": "progress", "cancelled": "skipped"}
FLOW_RUN, TASK_RUN = "prefect.flow-run.", "prefect.task-run."


def read(incoming: Incoming) -> Taken:
    whole = json_object(incoming.body)
    inner = whole.get("event")
    if isinstance(inner, Mapping):  # the stream wraps each event, and automations may as well
        whole = dict(inner)
    event, resource = words(whole, "event"), words(whole, "resource", "prefect.resource.id")
    if not event:
        raise Invalid("event", "nothing", "the name of Prefect's event: let the automation send the whole event")
    if not resource:
        raise Invalid("resource.prefect.resource.id", "nothing", "the resource that the event is about")
    if event.startswith(FLOW_RUN) and resource.startswith(FLOW_RUN):
        return Taken((flow_run(whole, event, resource),))
    if event.startswith(TASK_RUN) and resource.startswith(TASK_RUN):
        return Taken((task_run(whole, event, resource),))
    return Taken((anything(whole, event, resource),))


def state_of(whole: Mapping[str, Any], event: str) -> str:
    type_ = words(whole, "resource", "prefect.state-type") or words(whole, "payload", "validated_state", "type")
    named = words(whole, "resource", "prefect.state-name") or event.rpartition(".")[2]
    last = event.rpartition(".")[2]
    return NAMES.get(last) or NAMES.get(named) or STATES.get(type_.upper()) or STATES.get(last.upper(), "progress")


def related(whole: Mapping[str, Any], role: str) -> Mapping[str, Any]:
    found = (one for one in a_list(whole, "related") if at(one, "prefect.resource.role") == role)
    return next((one for one in found if isinstance(one, Mapping)), {})


def named(whole: Mapping[str, Any], role: str) -> str:
    return words(related(whole, role), "prefect.resource.name")


def id_in(resource: str) -> str:
    return resource.rpartition(".")[2]


def run_count(whole: Mapping[str, Any]) -> int | None:
    found = words(whole, "resource", "prefect.run-count")
    return max(1, int(found)) if found.isdecimal() and len(found) < 6 else None


def common(whole: Mapping[str, Any], event: str) -> dict[str, Any]:
    tags = [words(one, "prefect.resource.id").removeprefix("prefect.tag.") for one in a_list(whole, "related")
            if at(one, "prefect.resource.role") == "tag"]  # fmt: skip
    return {
        "source": "prefect",
        "type": event,
        "id": whole.get("id"),
        "time": whole.get("occurred"),
        "labels": {
            "deployment": named(whole, "deployment"),
            "work_pool": named(whole, "work-pool"),
            "tags": ", ".join(sorted(tag for tag in tags if tag)),
        },
    }


def flow_run(whole: Mapping[str, Any], event: str, resource: str) -> Draft:
    state, message = state_of(whole, event), words(whole, "resource", "prefect.state-message")
    state_name = words(whole, "resource", "prefect.state-name") or event.rpartition(".")[2]
    parent = words(related(whole, "flow-run") or related(whole, "parent-flow-run"), "prefect.resource.id")
    return draft(
        **common(whole, event),
        kind=f"run.{state}",
        pipeline=named(whole, "flow") or named(whole, "deployment").partition("/")[0],
        run_id=id_in(resource),
        message=message,
        data={
            "run_name": words(whole, "resource", "prefect.resource.name"),
            "state": state_name,
            "error": (message or state_name) if state == "failed" else "",
            "crashed": True if state_name == "Crashed" else None,
            "run_count": run_count(whole),
            "parent_run_id": id_in(parent) if id_in(parent) != id_in(resource) else "",
        },
    )


def task_run(whole: Mapping[str, Any], event: str, resource: str) -> Draft:
    """Prefect tells of a try that failed by AwaitingRetry, and of the last one by Failed."""
    state, message = state_of(whole, event), words(whole, "resource", "prefect.state-message")
    flow = words(whole, "payload", "task_run", "flow_run_id") or id_in(
        words(related(whole, "flow-run"), "prefect.resource.id")
    )
    run_name = words(whole, "resource", "prefect.resource.name")
    again = bool(flow) and event.endswith(".AwaitingRetry")
    state = "failed" if again else state
    noun = "stage" if flow else "run"
    about = common(whole, event)
    about["labels"]["task"] = KEY_END.sub("", words(whole, "payload", "task_run", "task_key"))
    return draft(
        **about,
        kind=f"{noun}.{STAGE.get(state, state) if flow else state}",
        pipeline=named(whole, "flow") if flow else words(whole, "payload", "task_run", "task_key") or run_name,
        run_id=flow or id_in(resource),
        stage=run_name if flow else "",
        message=message,
        data={
            "attempt": run_count(whole) if flow else None,
            "state": words(whole, "resource", "prefect.state-name"),
            "will_retry": True if again else None,
            "error": (message or "failed") if state == "failed" else "",
        },
    )


def anything(whole: Mapping[str, Any], event: str, resource: str) -> Draft:
    """Workers, pools, deployments, and what people emit themselves."""
    kind = kind_of(event) if not event.startswith("prefect.") else "other"
    payload = at(whole, "payload")
    flow = words(related(whole, "flow-run"), "prefect.resource.id")
    return draft(
        **common(whole, event),
        kind=kind,
        pipeline=named(whole, "flow"),
        run_id=id_in(flow),
        title=f"{event}: {words(whole, 'resource', 'prefect.resource.name') or resource}",
        data={"resource": resource, "payload": payload},
    )


SOURCE = Source(kind="prefect", label="Prefect", read=read)
