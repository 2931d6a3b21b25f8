"""GitHub's webhooks: what each of them is in Tocsin's words."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from tests.sources.payloads import check_golden, samples, taken
from tocsin.sources import SOURCES
from tocsin.sources.incoming import Incoming

GITHUB = SOURCES["github"]
FILES = samples("github")


def test_every_sample_is_read(request: pytest.FixtureRequest) -> None:
    found = {file.name: taken(GITHUB, file.read_bytes()) for file in FILES}
    check_golden("github", found, update=request.config.getoption("--update-golden"))


def sample(part: str, **changes: Any) -> dict[str, Any]:
    (file,) = [file for file in FILES if part in file.name]
    whole: dict[str, Any] = json.loads(file.read_bytes())
    whole["workflow_run" if "workflow_run" in whole else "workflow_job"] |= changes
    return whole


@pytest.mark.parametrize(
    "conclusion, type_",
    [("success", "run.succeeded"), ("failure", "run.failed"), ("timed_out", "run.failed"),
     ("cancelled", "run.cancelled"),
     ("startup_failure", "run.failed"), ("neutral", "run.warning"), ("something_new", "run.warning")],
)  # fmt: skip
def test_how_a_run_ended(conclusion: str, type_: str) -> None:
    (draft,) = taken(GITHUB, json.dumps(sample("workflow_run_completed", conclusion=conclusion)).encode())["drafts"]
    assert (draft["type"], draft["run_id"]) == (type_, "289782451")


def test_a_run_that_is_tried_again_is_another_attempt() -> None:
    tries = [sample("workflow_run_completed", run_attempt=n, conclusion="failure") for n in (1, 1, 2)]
    drafts = [taken(GITHUB, json.dumps(one).encode())["drafts"][0] for one in tries]
    assert drafts[0]["id"] == drafts[1]["id"] != drafts[2]["id"]
    assert [draft["data"]["attempt"] for draft in drafts] == [1, 1, 2]


def test_its_signature() -> None:
    assert GITHUB.signed is not None
    body, secret = b'{"zen": "x"}', "It's a Secret to Everybody"
    good = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    assert GITHUB.signed(Incoming({"x-hub-signature-256": good}, body), secret)
    for wrong in ("", "sha256=", good[:-1], good.upper(), good.replace("sha256=", "sha1="), "sha256=é"):
        assert not GITHUB.signed(Incoming({"x-hub-signature-256": wrong}, body), secret)
    assert not GITHUB.signed(Incoming({"x-hub-signature-256": good}, body + b" "), secret)
    # GitHub's own example: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    published = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert GITHUB.signed(Incoming({"x-hub-signature-256": published}, b"Hello, World!"), secret)
