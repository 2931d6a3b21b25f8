"""Amazon EventBridge, from an API destination or through SNS: https://docs.aws.amazon.com/eventbridge/

Executions of Step Functions, jobs of Glue and Batch, jobs and pipelines of SageMaker, CodePipeline and CodeBuild are
runs; alarms of CloudWatch are alerts. What else a rule over there sends is kept under a type made of its own name. SNS
signs with a key that would have to be fetched, so what comes through it is trusted because it knows the address or the
token; whoever sets up a subscription confirms it by opening the link, which is taken from Amazon's own hosts only.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tocsin.model.errors import Invalid
from tocsin.sources.draft import Draft
from tocsin.sources.fitting import a_list, at, draft, name, seconds_between, time_ms, words
from tocsin.sources.incoming import Incoming, Source, Taken, id_of, json_object

SNS_HOST = re.compile(r"https://sns\.[a-z0-9-]{1,40}\.amazonaws\.com(\.cn)?/[!-~]*\Z")
"""Where links to confirm a subscription lead: https://docs.aws.amazon.com/general/latest/gr/sns.html"""
ATTEMPT = re.compile(r"_attempt_(\d{1,6})\Z")
ENDED = {
    "SUCCEEDED": "succeeded", "COMPLETED": "succeeded", "FAILED": "failed", "FAULT": "failed", "TIMED_OUT": "failed",
    "TIMEOUT": "failed", "ERROR": "failed", "ABORTED": "cancelled", "STOPPED": "cancelled", "CANCELED": "cancelled",
    "CANCELLED": "cancelled", "SUPERSEDED": "cancelled",
}  # fmt: skip
BEGUN = {"RUNNING", "STARTED", "INPROGRESS", "IN_PROGRESS", "EXECUTING"}
ALARMS = {"ALARM": "alert", "OK": "alert.resolved"}

Details = Mapping[str, Any]


def state_of(status: object) -> str:
    said = name(status).upper()
    return ENDED.get(said, "started" if said in BEGUN else "progress")


def read(incoming: Incoming) -> Taken:
    whole = json_object(incoming.body)
    sns = words(whole, "Type") if "TopicArn" in whole else ""
    if sns in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        return Taken((confirmation(whole, sns),))
    if sns == "Notification":
        whole = inner(whole)
    detail_type, source = words(whole, "detail-type"), words(whole, "source")
    for field, value in (("detail-type", detail_type), ("source", source)):
        if not value:
            raise Invalid(field, "nothing", "what EventBridge puts there: an event as it is, or in an envelope of SNS")
    detail = at(whole, "detail")
    reader = READERS.get(detail_type, anything)
    return Taken((reader(whole, detail if isinstance(detail, Mapping) else {}),))


def inner(whole: Details) -> dict[str, Any]:
    """What SNS carries. A message that is no event is one of its own, so that nobody's words are lost."""
    try:
        found: Any = msgspec.json.decode(words(whole, "Message"))
    except (msgspec.DecodeError, RecursionError):
        found = None
    if isinstance(found, dict) and "detail-type" in found:
        return found
    said = {"message": whole.get("Message"), "subject": whole.get("Subject"), "topic": whole.get("TopicArn")}
    return {
        "id": whole.get("MessageId"),
        "source": "aws.sns",
        "detail-type": "Notification",
        "time": whole.get("Timestamp"),
        "detail": found if isinstance(found, dict) else said,
    }


def confirmation(whole: Details, kind: str) -> Draft:
    topic, url = words(whole, "TopicArn"), words(whole, "SubscribeURL")
    trusted = url if SNS_HOST.match(url) else ""
    asks = kind == "SubscriptionConfirmation"
    said = "Amazon SNS asks to confirm a subscription" if asks else "A subscription of Amazon SNS ended"
    return draft(
        source="aws.sns",
        type="aws.sns.subscription_confirmation" if asks else "aws.sns.subscription_ended",
        id=whole.get("MessageId") or id_of(topic, kind, words(whole, "Token")),
        time=whole.get("Timestamp"),
        severity="warning",
        title=f"{said}: {topic.rpartition(':')[2]}",
        message="Open the link to have the topic's messages sent here." if trusted else "",
        labels={"topic": topic},
        links={"confirm": trusted},
    )


def run(
    whole: Details,
    status: object,
    *,
    pipeline: object,
    run_id: object,
    stage: object = "",
    kind: str = "",
    error: object = "",
    begin: object = None,
    end: object = None,
    **data: object,
) -> Draft:
    """An event of a run, or of one of its stages."""
    state = state_of(status)
    noun = "stage" if stage else "run"
    if noun == "stage":
        state = {"cancelled": "skipped"}.get(state, state)
    return draft(
        source=words(whole, "source"),
        type=kind or f"{noun}.{state}",
        id=f"{words(whole, 'id') or id_of(run_id, stage, data.get('attempt'))}/{name(status)}",
        pipeline=pipeline,
        run_id=run_id,
        stage=stage,
        time=whole.get("time") or end or begin,
        labels=where(whole),
        data={"status": status, "error": error if state == "failed" else "", **data}
        | {"duration_s": seconds_between(begin, end)},
    )


def where(whole: Details) -> dict[str, object]:
    return {"account": whole.get("account"), "region": whole.get("region")}


def last(arn: object) -> str:
    """What an ARN names."""
    return re.split(r"[:/]", words(arn))[-1]


def step_functions(whole: Details, detail: Details) -> Draft:
    error, cause = words(detail, "error"), words(detail, "cause")
    return run(
        whole,
        detail.get("status"),
        pipeline=last(detail.get("stateMachineArn")) or words(detail, "stateMachineArn"),
        run_id=detail.get("executionArn"),
        error=f"{error}: {cause}".strip(": ") or timed_out(detail.get("status")),
        begin=detail.get("startDate"),
        end=detail.get("stopDate"),
        execution=detail.get("name"),
    )


def timed_out(status: object) -> str:
    return "timed out" if name(status).upper() in ("TIMED_OUT", "TIMEOUT") else ""


def glue_job(whole: Details, detail: Details) -> Draft:
    id_ = words(detail, "jobRunId")
    attempt = ATTEMPT.search(id_)
    too_long = words(whole, "detail-type") == "Glue Job Run Status"
    return run(
        whole,
        detail.get("state"),
        pipeline=detail.get("jobName"),
        run_id=ATTEMPT.sub("", id_),
        kind="run.exceeded" if too_long else "",
        error=words(detail, "message") or timed_out(detail.get("state")),
        attempt=int(attempt[1]) + 1 if attempt else None,
        message=detail.get("message"),
    )


def batch_job(whole: Details, detail: Details) -> Draft:
    id_, attempts = words(detail, "jobId"), a_list(detail, "attempts")
    parent, _, index = id_.partition(":")
    return run(
        whole,
        detail.get("status"),
        pipeline=detail.get("jobName"),
        run_id=parent,
        stage="array" if index else "",
        map_index=int(index) if index.isdecimal() and len(index) < 9 else None,
        error=words(detail, "statusReason") or words(detail, "container", "reason"),
        begin=detail.get("startedAt"),
        end=detail.get("stoppedAt"),
        attempts=len(attempts) or None,
        queue=last(detail.get("jobQueue")),
        exit_code=at(detail, "container", "exitCode"),
    )


def sagemaker_job(kind: str) -> Callable[[Details, Details], Draft]:
    """Jobs of SageMaker differ in the first word of their fields."""

    def of_kind(whole: Details, detail: Details) -> Draft:
        status = detail.get(f"{kind}JobStatus")
        secondary = words(detail, "SecondaryStatus")
        first = status == "InProgress" and secondary not in ("", "Starting")
        return run(
            whole,
            "PROGRESS" if first else status,
            pipeline=job_family(words(detail, f"{kind}JobName")),
            run_id=words(detail, f"{kind}JobName") or detail.get(f"{kind}JobArn"),
            error=detail.get("FailureReason"),
            begin=detail.get("CreationTime"),
            end=detail.get(f"{kind}EndTime"),
            secondary_status=secondary,
            job=detail.get(f"{kind}JobArn"),
        )

    return of_kind


def job_family(job: str) -> str:
    """A job's name without the time and the letters that make it unique, as the SDKs add them."""
    return re.sub(r"(-\d{4}(-\d{2}){2,5}(-\d{1,4})?|-\d{10,17}|-[a-zA-Z0-9]{12,})+\Z", "", job) or job


def sagemaker_pipeline(whole: Details, detail: Details) -> Draft:
    step = words(detail, "stepName")
    status = detail.get("currentStepStatus") if step else detail.get("currentPipelineExecutionStatus")
    arn = words(detail, "pipelineExecutionArn")
    return run(
        whole,
        status,
        pipeline=last(detail.get("pipelineArn")) or last(arn.partition("/execution/")[0]),
        run_id=last(arn) or arn,
        stage=step,
        error=detail.get("failureReason") or detail.get("FailureReason"),
        begin=detail.get("stepStartTime") or detail.get("executionStartTime"),
        end=detail.get("stepEndTime") or detail.get("executionEndTime"),
    )


def codepipeline(whole: Details, detail: Details) -> Draft:
    stage = "/".join(part for part in (words(detail, "stage"), words(detail, "action")) if part)
    return run(
        whole,
        detail.get("state"),
        pipeline=detail.get("pipeline"),
        run_id=detail.get("execution-id"),
        stage=stage,
        error=at(detail, "execution-result", "external-execution-summary") or words(detail, "state").lower(),
        begin=detail.get("start-time"),
    )


def codebuild(whole: Details, detail: Details) -> Draft:
    extra = at(detail, "additional-information")
    found = run(
        whole,
        detail.get("build-status"),
        pipeline=detail.get("project-name"),
        run_id=last(detail.get("build-id")),
        error=words(detail, "completed-phase-context").strip("[]: ") or words(detail, "build-status").lower(),
        initiator=at(extra, "initiator"),
    )
    logs = at(extra, "logs", "deep-link")
    return msgspec.structs.replace(found, links=draft(source="", type="x", links={"logs": logs}).links)


def alarm(whole: Details, detail: Details) -> Draft:
    state, named = words(detail, "state", "value"), words(detail, "alarmName")
    return draft(
        source=words(whole, "source"),
        type=f"alert.{'resolved' if state == 'OK' else 'firing'}" if state in ALARMS else "aws.cloudwatch.alarm",
        kind=ALARMS.get(state, "other"),
        id=whole.get("id"),
        time=whole.get("time"),
        title=named,
        message=words(detail, "state", "reason") or words(detail, "configuration", "description"),
        labels={"alertname": named, **where(whole)},
        data={"fingerprint": at(whole, "resources", 0) or named, "state": state},
    )


def anything(whole: Details, detail: Details) -> Draft:
    """What has no meaning of its own here, by its name over there."""
    source, detail_type = words(whole, "source"), words(whole, "detail-type")
    type_ = f"{source}.{re.sub('[^A-Za-z0-9]+', '_', detail_type).strip('_').lower()}"
    return draft(
        source=source,
        type=type_,
        kind="other",
        id=whole.get("id"),
        time=whole.get("time") if time_ms(whole.get("time")) is not None else None,
        title=detail_type,
        labels=where(whole),
        data={**detail, "resources": whole.get("resources")},
    )


READERS: dict[str, Callable[[Details, Details], Draft]] = {
    "Step Functions Execution Status Change": step_functions,
    "Glue Job State Change": glue_job,
    "Glue Job Run Status": glue_job,
    "Batch Job State Change": batch_job,
    "SageMaker Training Job State Change": sagemaker_job("Training"),
    "SageMaker Processing Job State Change": sagemaker_job("Processing"),
    "SageMaker Transform Job State Change": sagemaker_job("Transform"),
    "SageMaker HyperParameter Tuning Job State Change": sagemaker_job("HyperParameterTuning"),
    "SageMaker Model Building Pipeline Execution Status Change": sagemaker_pipeline,
    "SageMaker Model Building Pipeline Execution Step Status Change": sagemaker_pipeline,
    "CodePipeline Pipeline Execution State Change": codepipeline,
    "CodePipeline Stage Execution State Change": codepipeline,
    "CodePipeline Action Execution State Change": codepipeline,
    "CodeBuild Build State Change": codebuild,
    "CloudWatch Alarm State Change": alarm,
}

SOURCE = Source(kind="eventbridge", label="Amazon EventBridge", read=read)
