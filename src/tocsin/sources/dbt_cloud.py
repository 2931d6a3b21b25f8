"""dbt Cloud's job webhooks: https://docs.getdbt.com/docs/deploy/webhooks

A run that failed comes twice, as errored and as completed: both are the same event here.
"""

from tocsin.sources.fitting import at, draft, seconds_between, words
from tocsin.sources.incoming import Incoming, Source, Taken, fits_hmac, id_of, json_object

BY_CODE = {1: "progress", 2: "progress", 3: "started", 10: "succeeded", 20: "failed", 30: "cancelled"}
BY_TYPE = {"job.run.started": "started", "job.run.errored": "failed", "job.run.completed": "succeeded"}


def signed(incoming: Incoming, secret: str) -> bool:
    return fits_hmac(incoming.body, secret, incoming.headers.get("authorization", ""))


def read(incoming: Incoming) -> Taken:
    whole = json_object(incoming.body)
    kind, run = words(whole, "eventType"), whole.get("data")
    if words(whole, "eventType") in ("", "test") or not words(run, "runId"):
        return Taken(ignored="dbt's test of the address" if kind in ("", "test") else "no run is in it")
    verb = BY_CODE.get(code) if type(code := at(run, "runStatusCode")) is int else None
    verb = verb or BY_TYPE.get(kind)
    if verb is None:
        return Taken(ignored=f"{kind[:60]} says nothing that began or ended")
    project, job = words(run, "projectName"), words(run, "jobName") or words(run, "jobId")
    ended = at(run, "runFinishedAt") or at(run, "runErroredAt")
    said = words(run, "runStatusMessage")
    found = draft(
        source=f"dbt_cloud:{words(whole, 'accountId')}",
        type=f"run.{verb}",
        id=None if verb == "progress" else id_of(words(whole, "accountId"), words(run, "runId"), verb),
        pipeline=f"{project}/{job}".strip("/"),
        run_id=words(run, "runId"),
        time=at(run, "runStartedAt") if verb == "started" else ended or whole.get("timestamp"),
        labels={"project": project, "env": words(run, "environmentName"), "job": job},
        data={
            "reason": words(run, "runReason"),
            "error": (said if said not in ("", "None") else "the run ended with an error") if verb == "failed" else "",
            "dbt_version": words(run, "dbtVersion"),
            "duration_s": seconds_between(at(run, "runStartedAt"), ended),
        },
    )
    return Taken((found,))


SOURCE = Source(kind="dbt_cloud", label="dbt Cloud", read=read, signed=signed)
