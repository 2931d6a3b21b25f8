"""A run of two tries, as an orchestrator tells of it: each try is a job of its own, with the run as its parent."""

from datetime import UTC, datetime

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.facet_v2 import error_message_run, parent_run
from openlineage.client.uuid import generate_new_uuid
from orders import load

client = OpenLineageClient()
job, run_id = Job("prod", "etl/orders"), str(generate_new_uuid())
parent = parent_run.ParentRunFacet(parent_run.Run(run_id), parent_run.Job("prod", "etl/orders"))


def tell(state: RunState, job: Job, run_id: str, **facets: object) -> None:
    now = datetime.now(UTC).isoformat()
    client.emit(RunEvent(eventType=state, eventTime=now, run=Run(run_id, facets), job=job, producer="urn:test"))


def one_try() -> str:
    """What went wrong."""
    stage, stage_id = Job("prod", "etl/orders.load"), str(generate_new_uuid())
    tell(RunState.START, stage, stage_id, parent=parent)
    try:
        load()
    except ValueError as error:
        said = error_message_run.ErrorMessageRunFacet(str(error), "python")
        tell(RunState.FAIL, stage, stage_id, parent=parent, errorMessage=said)
        return str(error)
    tell(RunState.COMPLETE, stage, stage_id, parent=parent)
    return ""


tell(RunState.START, job, run_id)
if error := one_try() and one_try():
    tell(RunState.FAIL, job, run_id, errorMessage=error_message_run.ErrorMessageRunFacet(error, "python"))
else:
    tell(RunState.COMPLETE, job, run_id)
