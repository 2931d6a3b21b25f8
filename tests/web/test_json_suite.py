"""Every file of JSONTestSuite at the front door: https://github.com/nst/JSONTestSuite (MIT, commit of 2024)

n_ is no JSON, y_ is JSON, i_ may be either. None of them is an event, so what is JSON is refused for what it is.
"""

import zipfile
from functools import cache
from pathlib import Path

import pytest

from tests.harness import Client, Running

pytestmark = pytest.mark.anyio

ARCHIVE = Path(__file__).with_name("JSONTestSuite.zip")

ROUNDED = {"i_number_double_huge_neg_exp.json", "i_number_real_underflow.json"}
"""Of what may be either, these are taken, on both stores: numbers too small for a double become 0."""

WITH_NUL = {"y_object_escaped_null_in_key.json", "y_string_null_escape.json"}
"""JSON, but PostgreSQL has no U+0000."""


@cache
def suite() -> dict[str, bytes]:
    with zipfile.ZipFile(ARCHIVE) as archive:
        return {name.rpartition("/")[2]: archive.read(name) for name in archive.namelist() if name.endswith(".json")}


def in_event(text: bytes) -> bytes:
    """The text where any JSON may stand."""
    return b'{"type": "run.failed", "data": {"value": ' + text + b"}}"


async def post(client: Client, body: bytes) -> int:
    answer = await client.request("POST", "/v1/events", data=body)
    if answer.status != 202:
        answer.problem(answer.status)
    return answer.status


def test_the_suite_is_whole() -> None:
    assert len(suite()) == 318


async def test_as_the_whole_body(tocsin: Running) -> None:
    # S18
    for name, text in suite().items():
        assert await post(tocsin.client, text) == 400, name
    assert (await tocsin.client.get("/v1/events")).ok()["items"] == []


async def test_within_an_event(tocsin: Running) -> None:
    # S18 F39
    found = {name: await post(tocsin.client, in_event(text)) for name, text in suite().items()}
    assert set(found.values()) == {202, 400}
    accepted = {name for name, status in found.items() if status == 202}
    assert {name for name in accepted if name.startswith("n_")} == set()
    assert {name for name in accepted if name.startswith("i_")} == ROUNDED
    refused = {name for name in found if name.startswith("y_")} - accepted
    assert refused == WITH_NUL
    # Everything that was accepted can be read back, and nothing else is there.
    events, cursor = [], ""
    while cursor is not None:
        page = (await tocsin.client.get(f"/v1/events?limit=100&cursor={cursor}")).ok()
        events += page["items"]
        cursor = page["next"]
    assert len(events) == len(accepted)
