"""How each thing that runs pipelines is connected: what to put where, with this installation's own address in it.
docs/sources.md, docs/ping.md and docs/python.md say more of each; a test holds these to what is said there.

In a snippet `URL` is this Tocsin's address, `ADDRESS` the address that was made for the sender, `TOKEN` a token.
"""

from typing import Any

from msgspec import Struct


class Quickstart(Struct, frozen=True, kw_only=True):
    """`kind`: the source in the API's words; it has an address of its `own`, or sends with a token. `signs`: it has a
    secret for its signatures. `settings`: what the kind's settings may look like. `steps` come before the snippet,
    `after` says what becomes of it."""

    key: str
    name: str
    icon: str
    about: str
    group: str
    kind: str = ""
    own: bool = False
    signs: bool = False
    settings: Any = None
    steps: tuple[str, ...] = ()
    snippet: str = ""
    after: str = ""

    def filled(self, url: str, address: str = "") -> str:
        return self.snippet.replace("ADDRESS", address or "THE ADDRESS").replace("URL", url).replace("TOKEN", "toc_…")


ANYTHING, ORCHESTRATORS, CI, MONITORS = "Anything", "Orchestrators and training", "CI and code", "Monitors and clouds"

QUICKSTARTS: tuple[Quickstart, ...] = (
    Quickstart(
        key="curl",
        name="curl",
        icon="terminal",
        about="One event with one request, from anywhere.",
        group=ANYTHING,
        snippet="""curl URL/v1/events -H "Authorization: Bearer TOKEN" -H "Content-Type: application/json" \\
  -d '{"type": "run.failed", "pipeline": "etl/orders", "run_id": "1", "message": "no rows"}'""",
    ),
    Quickstart(
        key="run",
        name="Any command",
        icon="square-terminal",
        about="Start, end, exit code and the end of what it wrote, of any command.",
        group=ANYTHING,
        snippet="""export TOCSIN_URL=URL TOCSIN_TOKEN=TOKEN
tocsin run -p backup/orders -- pg_dump orders -f /backup/orders.sql""",
        after="The command's exit code stays its own, and it runs whether Tocsin is there or not.",
    ),
    Quickstart(
        key="ping",
        name="Cron and ping",
        icon="clock",
        about="Jobs that only know an address, as Healthchecks has it.",
        group=ANYTHING,
        kind="ping",
        own=True,
        settings={"pipeline": "backup/db1"},
        snippet="0 2 * * * backup && curl -fsS -m 10 --retry 5 -o /dev/null ADDRESS",
        after="The address with /start at its end says that it began, with /fail or an exit status that it failed. A "
        "rule with a schedule says when one is missed.",
    ),
    Quickstart(
        key="python",
        name="Python",
        icon="zap",
        about="Runs and stages of a program, with its log.",
        group=ANYTHING,
        snippet="""# export TOCSIN_URL=URL TOCSIN_TOKEN=TOKEN
from tocsin_client import Tocsin

tocsin = Tocsin(labels={"env": "prod"})

with tocsin.run("etl/orders") as run:
    with run.stage("extract"):
        rows = 12""",
        after="It never breaks the program and never waits for the network; what cannot be sent is kept on the disk.",
    ),
    Quickstart(
        key="mapping",
        name="Anything with a webhook",
        icon="webhook",
        about="Any JSON: say once where things are in it.",
        group=ANYTHING,
        kind="mapping",
        own=True,
        settings={"type": {"path": "event"}, "pipeline": "project", "run_id": "run.id", "message": "error"},
        snippet="""curl ADDRESS -H "Content-Type: application/json" \\
  -d '{"event": "run.failed", "project": "vision", "run": {"id": "41"}, "error": "out of memory"}'""",
    ),
    Quickstart(
        key="airflow",
        name="Airflow",
        icon="workflow",
        about="DAGs are runs, tasks are stages.",
        group=ORCHESTRATORS,
        kind="airflow",
        steps=("Install tocsin_client beside Airflow, and set TOCSIN_URL and TOCSIN_TOKEN.",),
        snippet="""# export TOCSIN_URL=URL TOCSIN_TOKEN=TOKEN
from tocsin_client.hooks.airflow import TocsinNotifier

with DAG("etl", on_failure_callback=TocsinNotifier(), on_success_callback=TocsinNotifier()):
    ...""",
        after="Or through OpenLineage, without a line in a DAG.",
    ),
    Quickstart(
        key="prefect",
        name="Prefect",
        icon="workflow",
        about="By an automation of the server, or by hooks in the flow.",
        group=ORCHESTRATORS,
        kind="prefect",
        own=True,
        steps=("Make a Custom Webhook block with the address.", "Make an automation that calls it:"),
        snippet="""from prefect.automations import Automation
from prefect.events.actions import CallWebhook
from prefect.events.schemas.automations import EventTrigger

Automation(
    name="tell tocsin",
    trigger=EventTrigger(expect={"prefect.flow-run.*", "prefect.task-run.*"}, posture="Reactive", threshold=1),
    actions=[CallWebhook(block_document_id=block_id, payload="{{ event.model_dump_json() }}")],
).create()""",
        after="Or in the flow itself: @flow(**flow_hooks()) from tocsin_client.hooks.prefect.",
    ),
    Quickstart(
        key="dagster",
        name="Dagster",
        icon="workflow",
        about="Sensors for its runs, hooks for its ops.",
        group=ORCHESTRATORS,
        steps=("Install tocsin_client beside Dagster, and set TOCSIN_URL and TOCSIN_TOKEN.",),
        snippet="""# export TOCSIN_URL=URL TOCSIN_TOKEN=TOKEN
from dagster import Definitions
from tocsin_client.hooks.dagster import run_sensors

defs = Definitions(assets=[...], sensors=[*run_sensors()])""",
    ),
    Quickstart(
        key="dbt_cloud",
        name="dbt Cloud",
        icon="database",
        about="Jobs that start, end and fail.",
        group=ORCHESTRATORS,
        kind="dbt_cloud",
        own=True,
        signs=True,
        steps=(
            "Account settings → Webhooks → Create: the address, all three run events.",
            "dbt Cloud makes the secret: put it in below, once the webhook is there.",
        ),
    ),
    Quickstart(
        key="openlineage",
        name="OpenLineage",
        icon="git-branch",
        about="Airflow, Spark, Flink, dbt, Dagster: without a change to a pipeline.",
        group=ORCHESTRATORS,
        kind="openlineage",
        snippet="export OPENLINEAGE_URL=URL OPENLINEAGE_API_KEY=TOKEN",
        after="A job without a parent is a run, one with a parent a stage of it.",
    ),
    Quickstart(
        key="kestra",
        name="Kestra",
        icon="workflow",
        about="A task that tells of errors; flows in Kestra's YAML run here as well.",
        group=ORCHESTRATORS,
        snippet="""errors:
  - id: tell_tocsin
    type: io.kestra.plugin.core.http.Request
    uri: URL/v1/events
    method: POST
    contentType: application/json
    headers:
      Authorization: "Bearer {{ secret('TOCSIN_TOKEN') }}"
    body: '{"type": "run.failed", "pipeline": "{{ flow.namespace }}/{{ flow.id }}", "run_id": "{{ execution.id }}"}'""",
    ),
    Quickstart(
        key="nextflow",
        name="Nextflow",
        icon="flask-conical",
        about="A run is a launch, a stage a task.",
        group=ORCHESTRATORS,
        kind="nextflow",
        own=True,
        snippet="weblog { enabled = true; url = 'ADDRESS' }",
        after="In nextflow.config; or -with-weblog on the command line.",
    ),
    Quickstart(
        key="mlflow",
        name="MLflow",
        icon="cpu",
        about="Registered models, versions, aliases and tags.",
        group=ORCHESTRATORS,
        kind="mlflow",
        own=True,
        signs=True,
        snippet='MlflowClient().create_webhook(name="tocsin", url="ADDRESS", events=[...], secret="…")',
        after="MLflow tells of models, never of runs: those come from the Python client.",
    ),
    Quickstart(
        key="github",
        name="GitHub",
        icon="git-branch",
        about="Workflow runs, checks, deployments.",
        group=CI,
        kind="github",
        own=True,
        signs=True,
        steps=(
            "Choose a secret, and make the address with it.",
            "Repository or organisation → Settings → Webhooks → Add: the address, application/json, the same secret.",
            "Events: Workflow runs, Workflow jobs, Check suites, Deployment statuses.",
        ),
        after="A run is a workflow run, a stage a job.",
    ),
    Quickstart(
        key="gitlab",
        name="GitLab",
        icon="git-branch",
        about="Pipelines, jobs, deployments.",
        group=CI,
        kind="gitlab",
        own=True,
        signs=True,
        steps=(
            "Choose a secret, and make the address with it.",
            "Settings → Webhooks: the address, the secret as Secret token.",
            "Triggers: Pipeline events, Job events, Deployment events.",
        ),
        after="A job that may fail does not fail the run: it ends with a warning.",
    ),
    Quickstart(
        key="azuredevops",
        name="Azure DevOps",
        icon="git-branch",
        about="Builds, runs, stages, releases.",
        group=CI,
        kind="azuredevops",
        own=True,
        steps=(
            "Project settings → Service hooks → Web Hooks, with the address and all details.",
            "Build completed, Run state changed, Run stage state changed, Run job state changed, Release deployment.",
        ),
    ),
    Quickstart(
        key="cloudevents",
        name="Tekton and CDEvents",
        icon="layers",
        about="CloudEvents of controllers that are given an address.",
        group=CI,
        kind="cloudevents",
        own=True,
        steps=("For Tekton: default-cloud-events-sink in the config map config-defaults is the address.",),
        after="What can set a header sends CloudEvents to URL/v1/events with a token.",
    ),
    Quickstart(
        key="alertmanager",
        name="Alertmanager",
        icon="siren",
        about="Alerts of Prometheus, and their ends.",
        group=MONITORS,
        kind="alertmanager",
        snippet="""receivers:
  - name: tocsin
    webhook_configs:
      - url: URL/v1/ingest/alertmanager
        send_resolved: true
        http_config:
          authorization:
            credentials: TOKEN""",
        after="The label severity becomes the event's.",
    ),
    Quickstart(
        key="eventbridge",
        name="Amazon EventBridge",
        icon="cloud",
        about="Step Functions, Glue, Batch, SageMaker, CodePipeline, CloudWatch.",
        group=MONITORS,
        kind="eventbridge",
        own=True,
        steps=(
            "Make an API destination with the address, or subscribe it to an SNS topic.",
            "SNS asks whether the subscription is meant: the link is in the event aws.sns.subscription_confirmation.",
        ),
    ),
)
BY_KEY = {one.key: one for one in QUICKSTARTS}
GROUPS = (ANYTHING, ORCHESTRATORS, CI, MONITORS)


def of_kind(kind: str) -> Quickstart | None:
    return next((one for one in QUICKSTARTS if one.kind == kind), None)
