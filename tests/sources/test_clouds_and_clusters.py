"""Tekton, CDEvents, EventBridge, Nextflow, Prefect and Azure DevOps: stories that samples alone do not tell."""

import copy
import json
from typing import Any

import pytest

from tests.sources.payloads import samples, taken
from tocsin.sources import SOURCES
from tocsin.sources.cloudevents import decode_cloudevents


def draft(kind: str, body: Any, **headers: str) -> dict[str, Any]:
    (found,) = taken(SOURCES[kind], json.dumps(body).encode(), **headers)["drafts"]
    return dict(found)


def sample(folder: str, part: str) -> Any:
    (file,) = [file for file in samples(folder) if part in file.name]
    return json.loads(file.read_bytes())


# Tekton


def task_run(condition: str = "False", reason: str = "Failed", **metadata: Any) -> dict[str, Any]:
    whole: dict[str, Any] = sample("tekton", "events")
    whole["taskRun"]["metadata"] |= metadata
    whole["taskRun"]["status"]["conditions"][0] |= {"status": condition, "reason": reason, "message": "boom"}
    return whole


OWNED: dict[str, Any] = {"ownerReferences": [{"kind": "PipelineRun", "name": "nightly-1", "uid": "pr-uid"}]}


@pytest.mark.parametrize(
    "condition, reason, kind",
    [("True", "Succeeded", "stage.succeeded"), ("False", "Failed", "stage.failed"),
     ("False", "TaskRunTimeout", "stage.failed"), ("False", "TaskRunCancelled", "stage.skipped"),
     ("Unknown", "Running", "stage.progress")],
)  # fmt: skip
def test_a_taskrun_of_a_pipelinerun_is_a_stage(condition: str, reason: str, kind: str) -> None:
    labels = {"tekton.dev/pipeline": "nightly", "tekton.dev/pipelineTask": "build"}
    found = draft("tekton", task_run(condition, reason, labels=labels, **OWNED))
    assert (found["kind"], found["pipeline"], found["run_id"], found["stage"]) == (
        kind, "default/nightly", "pr-uid", "build",
    )  # fmt: skip


def test_a_pipelinerun_says_who_it_is_as_its_stages_do() -> None:
    run = {"metadata": {"name": "nightly-1", "namespace": "default", "uid": "pr-uid"},
           "spec": {"pipelineRef": {"name": "nightly"}},
           "status": {"conditions": [{"type": "Succeeded", "status": "False", "reason": "PipelineRunCancelled"}]},
           }  # fmt: skip
    found = draft("tekton", {"pipelineRun": run}, ce_type="dev.tekton.event.pipelinerun.failed.v1")
    assert (found["kind"], found["pipeline"], found["run_id"]) == ("run.cancelled", "default/nightly", "pr-uid")


def test_tekton_sends_again_with_another_id_and_it_is_one_event() -> None:
    headers = {"ce-specversion": "1.0", "ce-type": "dev.tekton.event.taskrun.failed.v1", "ce-source": "/apis/x"}
    drafts = [
        decode_cloudevents(headers | {"ce-id": id_}, "application/json", json.dumps(task_run(**OWNED)).encode())[0]
        for id_ in ("a", "b")
    ]
    assert drafts[0] == drafts[1]
    assert (drafts[0].kind, drafts[0].run_id, drafts[0].data["error"]) == ("stage.failed", "pr-uid", "boom")


def test_a_cloudevent_that_only_says_it_is_tektons_is_taken_as_it_is() -> None:
    headers = {
        "ce-specversion": "1.0",
        "ce-type": "dev.tekton.event.taskrun.failed.v1",
        "ce-source": "/x",
        "ce-id": "1",
    }
    (found,) = decode_cloudevents(headers, "application/json", b'{"rows": 3}')
    assert (found.id, found.kind, found.data) == ("1", "stage.failed", {"rows": 3})


# CDEvents


def cdevent(type_: str, **content: Any) -> dict[str, Any]:
    context = {"specversion": "0.4.1", "id": "c1", "source": "/ci", "type": f"dev.cdevents.{type_}.0.2.0"}
    subject = {"id": "run-7", "source": "/ci", "content": content}
    return {"context": context | {"timestamp": "2026-11-21T02:00:00Z"}, "subject": subject}


@pytest.mark.parametrize(
    "outcome, kind",
    [("success", "run.succeeded"), ("failure", "run.failed"), ("error", "run.failed"), ("cancel", "run.cancelled"),
     ("something new", "run.warning")],
)  # fmt: skip
def test_how_a_pipelinerun_of_cdevents_ended(outcome: str, kind: str) -> None:
    found = draft("cdevents", cdevent("pipelinerun.finished", pipelineName="ship", outcome=outcome, errors="no disk"))
    assert (found["kind"], found["pipeline"], found["run_id"]) == (kind, "ship", "run-7")
    assert found["data"].get("error", "") == ("no disk" if kind == "run.failed" else "")


def test_cdevents_inside_of_cloudevents() -> None:
    inner = cdevent("taskrun.finished", taskName="lint", outcome="failure", pipelineRun={"id": "run-1"})
    outer = {"specversion": "1.0", "id": "c1", "source": "/ci", "type": inner["context"]["type"], "data": inner}
    for kind in ("cloudevents", "cdevents"):
        found = draft(kind, outer)
        assert (found["kind"], found["run_id"], found["stage"]) == ("stage.failed", "run-1", "lint")


def test_an_incident_ends_as_the_one_that_began() -> None:
    began, ended = (draft("cdevents", sample("cdevents", name)) for name in ("incident_detected", "incident_resolved"))
    assert (began["kind"], ended["kind"]) == ("alert", "alert.resolved")
    assert began["data"]["fingerprint"] == ended["data"]["fingerprint"]


# EventBridge


def bridge(source: str, detail_type: str, **detail: Any) -> dict[str, Any]:
    return {"version": "0", "id": "e1", "detail-type": detail_type, "source": f"aws.{source}", "account": "1",
            "time": "2026-11-21T02:00:00Z", "region": "eu-west-1", "resources": ["arn:x"],
            "detail": detail}  # fmt: skip


@pytest.mark.parametrize(
    "event, kind, pipeline, run_id",
    [
        (bridge("glue", "Glue Job State Change", jobName="load", jobRunId="jr_1_attempt_1", state="TIMEOUT"),
         "run.failed", "load", "jr_1"),
        (bridge("glue", "Glue Job Run Status", jobName="load", jobRunId="jr_1", state="RUNNING"),
         "run.exceeded", "load", "jr_1"),
        (bridge("batch", "Batch Job State Change", jobName="b", jobId="j1", status="FAILED", statusReason="no host"),
         "run.failed", "b", "j1"),
        (bridge("batch", "Batch Job State Change", jobName="b", jobId="j1:3", status="SUCCEEDED"),
         "stage.succeeded", "b", "j1"),
        (bridge("sagemaker", "SageMaker Training Job State Change", TrainingJobName="ranker-2026-11-21-02-00-00-123",
                TrainingJobStatus="Failed", FailureReason="AlgorithmError"),
         "run.failed", "ranker", "ranker-2026-11-21-02-00-00-123"),
        (bridge("sagemaker", "SageMaker Model Building Pipeline Execution Step Status Change", stepName="train",
                currentStepStatus="Succeeded", pipelineExecutionArn="arn:aws:sagemaker:r:1:pipeline/p/execution/e9"),
         "stage.succeeded", "p", "e9"),
        (bridge("codepipeline", "CodePipeline Pipeline Execution State Change", **{"pipeline": "p",
                "execution-id": "e", "state": "SUPERSEDED"}), "run.cancelled", "p", "e"),
        (bridge("codebuild", "CodeBuild Build State Change", **{"project-name": "p", "build-status": "FAULT",
                "build-id": "arn:aws:codebuild:r:1:build/p:b7"}), "run.failed", "p", "b7"),
    ],
)  # fmt: skip
def test_aws_services(event: dict[str, Any], kind: str, pipeline: str, run_id: str) -> None:
    found = draft("eventbridge", event)
    assert (found["kind"], found["pipeline"], found["run_id"]) == (kind, pipeline, run_id)
    assert ("error" in found["data"]) == (kind == "run.failed")


def test_alarms_of_cloudwatch_and_what_nobody_knows() -> None:
    alarm = bridge("cloudwatch", "CloudWatch Alarm State Change", alarmName="cpu", state={"value": "ALARM"})
    over = bridge("cloudwatch", "CloudWatch Alarm State Change", alarmName="cpu", state={"value": "OK"})
    assert [draft("eventbridge", one)["kind"] for one in (alarm, over)] == ["alert", "alert.resolved"]
    other = draft("eventbridge", bridge("ec2", "EC2 Instance State-change Notification", state="stopped"))
    assert (other["type"], other["kind"]) == ("aws.ec2.ec2_instance_state_change_notification", "other")
    assert other["data"]["state"] == "stopped"


def test_what_sns_carries() -> None:
    inner = sample("aws", "FAILED")
    whole = {"Type": "Notification", "MessageId": "m", "TopicArn": "arn:aws:sns:r:1:jobs", "Message": json.dumps(inner)}
    assert draft("eventbridge", whole) == draft("eventbridge", inner)
    said = draft("eventbridge", whole | {"Message": "disk is full"})
    assert (said["type"], said["data"]["message"]) == ("aws.sns.notification", "disk is full")


@pytest.mark.parametrize(
    "url, shown",
    [("https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336", True),
     ("https://sns.cn-north-1.amazonaws.com.cn/?Token=1", True),
     ("https://sns.eu-west-1.amazonaws.com.evil.test/?Token=1", False),
     ("https://sns.eu-west-1.amazonaws.com@evil.test/", False),
     ("http://sns.eu-west-1.amazonaws.com/", False), ("http://169.254.169.254/latest", False)],
)  # fmt: skip
def test_a_subscription_is_confirmed_by_a_person_at_amazon(url: str, shown: bool) -> None:
    body = {"Type": "SubscriptionConfirmation", "MessageId": "m", "TopicArn": "arn:aws:sns:r:1:jobs",
            "Token": "2336", "SubscribeURL": url}  # fmt: skip
    found = draft("eventbridge", body)
    assert found["type"] == "aws.sns.subscription_confirmation"
    assert found.get("links", {}) == ({"confirm": url} if shown else {})


# Nextflow


def trace(event: str, **fields: Any) -> dict[str, Any]:
    whole: dict[str, Any] = copy.deepcopy(sample("nextflow", "weblog_03"))
    whole["event"] = event
    whole["trace"] |= fields
    return whole


def test_a_task_of_nextflow_that_is_tried_again() -> None:
    failed = draft("nextflow", trace("process_completed", status="FAILED", exit=137, error_action="RETRY"))
    again = draft("nextflow", trace("process_completed", task_id=5, attempt=2))
    assert (failed["kind"], failed["data"]["will_retry"], failed["data"]["exit"]) == ("stage.failed", True, 137)
    assert (again["kind"], again["stage"], again["data"]["attempt"]) == ("stage.succeeded", failed["stage"], 2)
    told_twice = draft("nextflow", trace("error", status="FAILED", exit=137))
    assert told_twice["id"] == failed["id"]


def test_the_end_of_a_run_of_nextflow() -> None:
    whole = sample("nextflow", "weblog_02") | {"event": "completed"}
    workflow = whole["metadata"]["workflow"]
    workflow |= {"complete": "2019-03-25T12:19:52Z", "success": False, "errorMessage": "exit 127"}
    failed = draft("nextflow", whole)
    assert (failed["kind"], failed["pipeline"], failed["data"]["error"]) == (
        "run.failed",
        "nf-core/hlatyping",
        "exit 127",
    )
    assert failed["data"]["duration_s"] == 600
    workflow["success"] = True
    assert draft("nextflow", whole)["kind"] == "run.succeeded"
    workflow["stats"] = {"ignoredCount": 2}
    assert draft("nextflow", whole)["kind"] == "run.warning"
    assert draft("nextflow", whole)["run_id"] == failed["run_id"]


# Prefect


def flow_run(state: str, type_: str, **resource: str) -> dict[str, Any]:
    whole: dict[str, Any] = sample("prefect", "flow-run-events")
    whole["event"] = f"prefect.flow-run.{state}"
    whole["resource"] |= {"prefect.state-name": state, "prefect.state-type": type_} | resource
    return whole


@pytest.mark.parametrize(
    "state, type_, kind",
    [("Completed", "COMPLETED", "run.succeeded"), ("Failed", "FAILED", "run.failed"),
     ("Crashed", "CRASHED", "run.failed"), ("TimedOut", "FAILED", "run.failed"), ("Late", "SCHEDULED", "run.missed"),
     ("Cancelled", "CANCELLED", "run.cancelled"), ("Suspended", "PAUSED", "run.paused"),
     ("AwaitingRetry", "SCHEDULED", "run.progress"), ("heartbeat", "RUNNING", "run.progress")],
)  # fmt: skip
def test_prefects_states(state: str, type_: str, kind: str) -> None:
    found = draft("prefect", flow_run(state, type_))
    assert (found["kind"], found["pipeline"]) == (kind, "my-etl-flow")
    assert found["type"] == f"prefect.flow-run.{state}"


def test_a_task_of_prefect_that_is_tried_again() -> None:
    whole = sample("prefect", "task-run-events")
    whole["payload"]["task_run"]["task_key"] = "extract-eff363c6"
    kinds = []
    for state, type_ in (("AwaitingRetry", "SCHEDULED"), ("Retrying", "RUNNING"), ("Failed", "FAILED")):
        whole["event"] = f"prefect.task-run.{state}"
        whole["resource"] |= {"prefect.state-name": state, "prefect.state-type": type_}
        found = draft("prefect", whole)
        kinds.append((found["kind"], found["data"].get("will_retry", False), found["labels"]["task"]))
    assert kinds == [
        ("stage.failed", True, "extract"), ("stage.started", False, "extract"), ("stage.failed", False, "extract"),
    ]  # fmt: skip


def test_an_event_of_prefect_in_the_envelope_of_its_stream() -> None:
    whole = flow_run("Failed", "FAILED", **{"prefect.state-message": "no rows"})
    assert draft("prefect", {"type": "event", "event": whole}) == draft("prefect", whole)
    assert draft("prefect", whole)["data"]["error"] == "no rows"


# Azure DevOps


def azure(event: str, **resource: Any) -> dict[str, Any]:
    return {"eventType": event, "message": {"text": "it said so"}, "resource": resource}


PIPELINE = {"pipeline": {"id": 1, "name": "ci"}, "run": {"id": 7}}


@pytest.mark.parametrize(
    "event, kind, run_id",
    [
        (azure("build.complete", id=7, status="completed", result="failed", definition={"name": "ci"}),
         "run.failed", "7"),
        (azure("build.complete", id=7, status="partiallySucceeded", definition={"name": "ci"}), "run.warning", "7"),
        (azure("ms.vss-pipelines.run-state-changed-event",
               **PIPELINE | {"run": {"id": 7, "state": "completed", "result": "failed"}}), "run.failed", "7"),
        (azure("ms.vss-pipelines.run-state-changed-event", **PIPELINE | {"run": {"id": 7, "state": "inProgress"}}),
         "run.started", "7"),
        (azure("ms.vss-pipelines.stage-state-changed-event", **PIPELINE, stage={"name": "deploy", "state": "waiting"}),
         "stage.progress", "7"),
        (azure("ms.vss-pipelines.job-state-changed-event", **PIPELINE,
               job={"name": "test", "state": "completed", "result": "failed", "attempt": 2}), "stage.failed", "7"),
        (azure("ms.vss-release.deployment-completed-event", environment={"id": 3, "name": "prod", "status": "rejected"},
               release={"id": 5, "releaseDefinition": {"name": "shop"}}), "run.failed", "release-5-3"),
    ],
)  # fmt: skip
def test_azure_devops(event: dict[str, Any], kind: str, run_id: str) -> None:
    found = draft("azuredevops", event)
    assert (found["kind"], found["run_id"]) == (kind, run_id)
    if kind.endswith("failed"):
        assert found["data"]["error"] == "it said so"


def test_what_azure_devops_says_of_other_things() -> None:
    assert "ignored" in taken(SOURCES["azuredevops"], b'{"eventType": "workitem.created", "resource": {}}')
    refused = taken(SOURCES["azuredevops"], b'{"eventType": "build.complete"}')
    assert "resource" in refused["refused"]
