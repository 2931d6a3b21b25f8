"""What hooks tell, where their frameworks are stand-ins that call them as the real ones do. tests/frameworks runs them
with the real ones; what was found there is held here."""

import importlib
import sys
import types
from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest

from tests.client.conftest import FakeServer, NewClient

Load = Callable[..., Any]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """`load("celery", {"celery": {"signals": …}})`: the hook's module, where these modules have these names in them."""

    def loaded(hook: str, modules: dict[str, dict[str, Any]]) -> Any:
        for name, inside in modules.items():
            stand_in = types.ModuleType(name)
            vars(stand_in).update(inside)
            monkeypatch.setitem(sys.modules, name, stand_in)
        monkeypatch.delitem(sys.modules, f"tocsin_client.hooks.{hook}", raising=False)
        return importlib.import_module(f"tocsin_client.hooks.{hook}")

    return loaded


def told(server: FakeServer, client: Any) -> list[dict[str, Any]]:
    assert client.flush(10)
    return server.events


class Signal:
    def connect(self, handler: Any) -> None:
        self.send = handler


SIGNALS = "task_prerun task_success task_failure task_retry task_revoked worker_process_shutdown"


def test_celerys_retry_ends_an_attempt_and_is_no_last_word(server: FakeServer, client: NewClient, load: Load) -> None:
    signals = types.SimpleNamespace(**{name: Signal() for name in SIGNALS.split()})
    mine = client(server.url)
    load("celery", {"celery": {"signals": signals}}).connect(mine)
    request = types.SimpleNamespace(id="1", retries=0, parent_id=None)
    task = types.SimpleNamespace(name="etl/orders", request=request)
    signals.task_prerun.send(task_id="1", task=task)
    retry = types.SimpleNamespace(exc=ValueError("no rows"))
    signals.task_retry.send(sender=task, request=request, reason=retry)
    request.retries, request.parent_id = 1, "1"
    signals.task_prerun.send(task_id="1", task=task)
    signals.task_failure.send(sender=task, exception=ValueError("no rows"))
    events = [(event["type"], event["data"]) for event in told(server, mine)]
    assert events == [
        ("run.started", {"attempt": 1}),
        ("run.failed", {"attempt": 1, "error": "ValueError: no rows", "will_retry": True}),
        ("run.started", {"attempt": 2}),
        ("run.failed", {"attempt": 2, "error": "ValueError: no rows"}),
    ]


class Names:
    """Anything that has a name."""

    def __getattr__(self, name: str) -> str:
        return name


def test_dagsters_run_says_why_its_steps_failed(server: FakeServer, client: NewClient, load: Load) -> None:
    def run_status_sensor(**about: Any) -> Any:
        return lambda function: function

    dagster = {"DagsterRunStatus": Names(), "run_status_sensor": run_status_sensor}
    mine = client(server.url)
    sensors = load("dagster", {"dagster": dagster}).run_sensors(mine)
    raised = types.SimpleNamespace(message="ValueError: no rows\n", cause=None)
    error = types.SimpleNamespace(message="DagsterExecutionStepExecutionError: Error occurred", cause=raised)
    step = types.SimpleNamespace(step_key="load", event_specific_data=types.SimpleNamespace(error=error))
    context = types.SimpleNamespace(
        dagster_run=types.SimpleNamespace(run_id="1", job_name="orders"),
        dagster_event=types.SimpleNamespace(message="Steps failed: ['load']."),
        for_run_failure=lambda: types.SimpleNamespace(get_step_failure_events=lambda: [step]),
    )
    for sensor in sensors:
        sensor(context)
    failed = next(event for event in told(server, mine) if event["type"] == "run.failed")
    assert failed["data"]["error"] == "load: ValueError: no rows"


@pytest.mark.parametrize(
    "params, name", [({"pipeline_names": None}, "shop"), ({"pipeline_name": "__default__"}, "shop"),
                     ({"pipeline_names": ["a", "b"]}, "a,b")]
)  # fmt: skip
def test_kedros_default_pipeline_is_called_as_its_project(
    server: FakeServer, client: NewClient, load: Load, params: dict[str, Any], name: str
) -> None:
    mine = client(server.url)
    hooks = load(
        "kedro",
        {
            "kedro": {},
            "kedro.framework": {"project": types.SimpleNamespace(PACKAGE_NAME="shop")},
            "kedro.framework.hooks": {"hook_impl": lambda function: function},
        },
    ).TocsinHooks(mine)
    hooks.before_pipeline_run({"run_id": "1", **params})
    hooks.on_pipeline_error(ValueError("no rows"), {})
    assert [(event["type"], event["pipeline"]) for event in told(server, mine)] == [
        ("run.started", name), ("run.failed", name),
    ]  # fmt: skip


class TemplatedNotifier:
    """As Airflow 3 calls a notifier: in a DAG's callback, `dag` can render nothing."""

    def __call__(self, context: Any) -> None:
        self.render_template_fields(context)
        self.notify(context)

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        raise AttributeError("'SerializedDAG' object has no attribute 'get_template_env'")

    def notify(self, context: Any) -> None:
        raise NotImplementedError


AIRFLOW: dict[str, dict[str, Any]] = {name: {} for name in ("airflow", "airflow.sdk", "airflow.sdk.bases")}
AIRFLOW |= {"airflow.sdk.bases.notifier": {"BaseNotifier": TemplatedNotifier}}
AIRFLOW |= {"airflow.listeners": {"hookimpl": lambda function: function}}
REASONS = [
    ("success", "run.succeeded", {}),
    ("timed_out", "run.failed", {"error": "timed_out"}),
    ("task_failure", "run.failed", {}),  # what tasks tell better is theirs to tell
]


@pytest.mark.parametrize("with_task", [True, False])
@pytest.mark.parametrize("reason, type_, data", REASONS)
def test_airflows_notifier_works_as_a_callback_of_a_dag(
    server: FakeServer, client: NewClient, load: Load, monkeypatch: pytest.MonkeyPatch,
    reason: str, type_: str, data: Any, with_task: bool,
) -> None:  # fmt: skip
    hook, mine = load("airflow", AIRFLOW), client(server.url)
    monkeypatch.setattr(hook, "shared", lambda: mine)
    context: dict[str, Any] = {"dag": types.SimpleNamespace(dag_id="orders"), "run_id": "1", "reason": reason}
    if with_task:  # the last of the run, and the run as it was while that went on
        instance = types.SimpleNamespace(dag_id="orders", run_id="1", task_id="load", state="running", try_number=1)
        dag_run = types.SimpleNamespace(dag_id="orders", run_id="1", state="running")
        context |= {"task": object(), "task_instance": instance, "dag_run": dag_run}
    hook.TocsinNotifier()(context)
    (event,) = told(server, mine)
    assert (event["type"], event["pipeline"], event.get("data", {})) == (type_, "orders", data)


class TaskState(str, Enum):  # noqa: UP042  as Airflow has it: str() of it is "TaskState.FAILED"
    RETRY = "up_for_retry"
    FAILED = "failed"


def test_airflows_task_says_whether_it_is_tried_again(
    server: FakeServer, client: NewClient, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook, mine = load("airflow", AIRFLOW), client(server.url)
    monkeypatch.setattr(hook, "shared", lambda: mine)
    about = {"dag_id": "orders", "run_id": "1", "task_id": "load", "max_tries": 1}
    for number, state in enumerate(TaskState, 1):
        instance = types.SimpleNamespace(try_number=number, state=state, **about)
        hook.TocsinNotifier()({"task": object(), "task_instance": instance, "exception": ValueError("no rows")})
    events = [(event["type"], event["data"]["will_retry"], event["data"]["error"]) for event in told(server, mine)]
    assert events == [("stage.failed", True, "ValueError: no rows"), ("stage.failed", False, "ValueError: no rows")]
