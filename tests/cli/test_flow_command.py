"""`tocsin flow`: a flow is checked, and run, without a server."""

from pathlib import Path

from tests.cli.conftest import Invoke
from tests.flows.seeds import FLOWS
from tests.flows.test_engine import FAIL, LOG, flow

SCRIPT = "io.kestra.plugin.scripts.shell.Script"


def written(tmp_path: Path, text: str, name: str = "f.yml") -> str:
    file = tmp_path / name
    file.write_text(text, "utf-8")
    return str(file)


def test_what_is_wrong_has_its_line(invoke: Invoke, tmp_path: Path) -> None:
    good = written(tmp_path, FLOWS[1])
    opaque = written(
        tmp_path,
        flow("  - {id: q, type: io.kestra.plugin.gcp.bigquery.Query}", triggers="  - {id: t, type: x.Webhook}"),
        "opaque.yml",
    )
    done = invoke("flow", "validate", good, opaque)
    assert done.code == 0
    assert done.out.splitlines() == [
        f"{good}: dev.slack-error-message: 3 tasks",
        f"{opaque}: dev.f: 1 tasks",
        f"{opaque}:4: q: io.kestra.plugin.gcp.bigquery.Query is not run here, only declared",
        f"{opaque}:6: t: x.Webhook is not watched here",
    ]
    bad = written(tmp_path, flow(f"  - {{id: a, type: {LOG}, message: '{{{{ oh'}}"), "bad.yml")
    done = invoke("flow", "validate", bad, good, str(tmp_path / "none.yml"))
    assert done.code == 1
    assert f"{bad}:4: tasks[0].message: `{{{{` is never closed" in done.out
    assert "No such file" in done.out
    assert f"{good}: dev.slack-error-message" in done.out


def test_a_flow_runs_and_its_log_is_shown(invoke: Invoke, tmp_path: Path) -> None:
    message = "{{ inputs.n + 1 }} {{ secret('KEY') }} {{ secret('OTHER') }}"
    text = flow(f'  - {{id: a, type: {LOG}, message: "{message}"}}', inputs="  - {id: n, type: INT}")
    file = written(tmp_path, text)
    done = invoke(
        "flow", "run", file, "--input", "n=4", "--secret-from-env", "KEY", KEY="s3cr3t", SECRET_OTHER="b3RoZXI="
    )
    assert done.code == 0, done.out
    started, said, ended = done.out.splitlines()
    assert (started, said) == ("stage.started a", "INFO a: 5 ****** ******")
    assert ended.startswith("dev.f SUCCESS after ")
    assert invoke("flow", "run", file).code == 2
    assert "inputs.n: expected a whole number, found 'x'" in invoke("flow", "run", file, "-i", "n=x").err
    assert invoke("flow", "run", file, "-i", "n").code == 2
    assert "there is no such variable" in invoke("flow", "run", file, "-i", "n=1", "--secret-from-env", "NO").err


def test_a_flow_that_fails_ends_with_1(invoke: Invoke, tmp_path: Path) -> None:  # S2-01 S2-04
    done = invoke("flow", "run", written(tmp_path, FLOWS[3]))
    assert done.code == 1
    assert "ModuleNotFoundError: No module named 'non_existing_library'" in done.out
    assert "dev.failing-task FAILED" in done.out
    done = invoke("flow", "run", written(tmp_path, flow(f"  - {{id: a, type: {FAIL}, allowFailure: true}}")))
    assert (done.code, "dev.f WARNING" in done.out) == (0, True)
    scripts = flow(f"  - {{id: a, type: {SCRIPT}, script: echo hello}}")
    done = invoke("flow", "run", written(tmp_path, scripts), TOCSIN_FLOWS_SCRIPTS="false")
    assert (done.code, "scripts are switched off here: TOCSIN_FLOWS_SCRIPTS" in done.out) == (1, True)


def test_hostile_words_do_not_steer_the_terminal(invoke: Invoke, tmp_path: Path) -> None:
    text = flow(f'  - {{id: a, type: {LOG}, message: "\\e[2Jgone"}}')
    done = invoke("flow", "run", written(tmp_path, text))
    assert "\x1b" not in done.out
    assert "\\x1b[2Jgone" in done.out, done.out
